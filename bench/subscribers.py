#!/usr/bin/env python3
"""subscribers.py - what a listener to server-sent events costs the server process, and how long an event
takes to reach all of them, and somebody else's request meanwhile.

Connections that each asked for /events are opened up to two counts; the slope of (Rss minus LazyFree,
shared mappings included) plus page tables between them is the figure, beside what the ledger says of
subscribers and connections. Then events are published, one at a time: from the request's start until
the last listener has read it, and the server's CPU time for each delivery. io_uring with two workers
and direct descriptors (more than RLIMIT_NOFILE), epoll with one; two client processes from loopback
addresses of their own.

usage: subscribers.py [--weft build/weft] [--uring 35000] [--epoll 18000] [--events 10]
"""
import json
import socket
import statistics
import time

import idle
import lib

BYTES_MAX = 128  # per subscriber, wanted
LOW = 1000


class Clients(idle.Clients):
    program = "listen_clients"

    def expect(self, count):
        """All of them read so many events: (how many there were, when the last one was read, ns)."""
        for proc in self.procs:
            proc.stdin.write(f"expect {count}\n")
            proc.stdin.flush()
        found = [proc.stdout.readline().split() for proc in self.procs]
        if not all(found):
            raise lib.BenchError("a client ended")
        return sum(int(f[1]) for f in found), max(int(f[2]) for f in found)


def publish(port, text):
    with socket.create_connection(("127.0.0.1", port), 10) as s:
        s.sendall(b"POST /events HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(text), text))
        answer = s.recv(65536)
    if not answer.startswith(b"HTTP/1.1 202"):
        raise lib.BenchError(f"publishing: {answer[:100]}")


def owners(server):
    """{owner: bytes in use} of the workers."""
    found = {}
    for owner in json.loads(lib.admin(server, "/memory")[1])["owners"]:
        if owner["worker"] != "admin":
            found[owner["owner"]] = found.get(owner["owner"], 0) + owner["used"]
    return found


def deliver(server, clients, high, count):
    """Events one after the other: ms until the last has it, CPU microseconds per delivery."""
    times, cpu0 = [], lib.cpu_ns(server.pid)[0]
    for i in range(count):
        start = time.monotonic_ns()
        publish(server.port, b"event %d" % i)
        got, last = clients.expect(1)
        if got != high:
            raise lib.BenchError(f"{got} of {high} got the event")
        times.append((last - start) / 1e6)
    cpu = lib.cpu_ns(server.pid)[0] - cpu0
    return times, cpu / 1e3 / (high * count)


def beside(server, clients, count):
    """ms that a request of somebody else takes while events go out."""
    times = []
    with socket.create_connection(("127.0.0.1", server.port), 10) as s:
        for i in range(count):
            publish(server.port, b"beside %d" % i)
            start = time.monotonic_ns()
            s.sendall(lib.request_bytes("/"))
            s.recv(4096)
            times.append((time.monotonic_ns() - start) / 1e6)
    clients.expect(count)
    return times


def measure(server, high, events):
    clients = Clients(server.port, "/events")
    try:
        clients.open(LOW)
        publish(server.port, b"warm")
        clients.expect(1)
        low, low_owned = idle.settled(server.pid), owners(server)
        started = time.monotonic()
        clients.open(high)
        opened_s = time.monotonic() - started
        held, held_owned = idle.settled(server.pid), owners(server)
        times, cpu_us = deliver(server, clients, high, events)
        others = beside(server, clients, events)
        after = idle.settled(server.pid)
    finally:
        clients.close()
    span = high - LOW
    slope = (held["rss"] + held["page_tables"] - low["rss"] - low["page_tables"]) / span
    ledger = {name: (held_owned[name] - low_owned[name]) / span
              for name in ("subscribers", "connections", "active", "blocks", "stacks", "buffers")}
    return {"server": server.name, "held": high, "bytes_per_subscriber": slope, "ledger": ledger,
            "rss_held": held["rss"], "rss_after_events": after["rss"], "opened_s": opened_s,
            "event_ms": times, "beside_ms": others, "cpu_us_per_delivery": cpu_us, "met": slope <= BYTES_MAX}


def run(args):
    rows = []
    for engine, held, workers in (("uring", args.uring, 2), ("epoll", args.epoll, 1)):
        if not held:
            continue
        extra = ["--connections-max", str(held + 1000)]
        extra += ["--descriptors", "direct"] if engine == "uring" else []
        with lib.weft(args.weft, engine, lib.free_port(), workers=workers, extra=extra, pin=False) as server:
            server.wait_ready()
            rows.append(measure(server, held, args.events))
    print(f"\nsubscribers: {LOW:,} to so many listeners of /events; one event each time, {args.events} times")
    lib.table([[r["server"], f"{r['held']:,}", f"{r['bytes_per_subscriber']:.1f}",
                f"{r['ledger']['subscribers']:.1f} + {r['ledger']['connections']:.1f}",
                f"{r['rss_held'] // 1024:,}", f"{r['rss_after_events'] // 1024:,}",
                f"{statistics.median(r['event_ms']):.0f}", f"{max(r['event_ms']):.0f}",
                f"{r['cpu_us_per_delivery']:.2f}", f"{max(r['beside_ms']):.0f}", "yes" if r["met"] else "NO"] for r in rows],
              ["server", "held", "bytes each", "ledger: object + slot", "RSS KB", "after events KB",
               "ms to all", "worst ms", "CPU us each", "others' worst ms", f"<= {BYTES_MAX}"])
    return {"machine": lib.machine(), "subscribers": rows}


def add_arguments(parser):
    parser.add_argument("--uring", type=int, default=35000, help="listeners on io_uring; 0: none")
    parser.add_argument("--epoll", type=int, default=18000)
    parser.add_argument("--events", type=int, default=10)


if __name__ == "__main__":
    lib.alone(__doc__, add_arguments, run, required=True)
