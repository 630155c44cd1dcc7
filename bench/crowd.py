#!/usr/bin/env python3
"""crowd.py - /json for 1,000 connections at once: what a request and the process take, and whether it grows.

One worker. Idle: Rss (minus LazyFree) with 1,000 connections that were answered once, two seconds
later. Then wrk keeps 1,000 connections busy until so many requests were answered; Rss is read every
second. A request's own account is its receipt (memory.receipt, asked at the end); what all requests
held at once is the peak of their owners (active, blocks, arenas, stacks) among the connections.

usage: crowd.py --weft build/weft [--crowd-requests 10000000]
"""
import json
import re
import shutil
import socket
import statistics
import subprocess
import time

import lib

CONNS = 1000
OWNERS = ("active", "blocks", "arenas", "stacks")
WANTED = {"request": 1024, "grown": 512 << 10, "floor_request": 2100, "floor_rss": 45 << 20}
ROUND_S = 10


def rss(server):
    return lib.memory(server.pid)["rss"]


def wait_for_admin(server):
    """It listens a moment after the workers do."""
    end = time.monotonic() + 5
    while time.monotonic() < end:
        try:
            return lib.admin(server, "/readyz")
        except OSError:
            time.sleep(0.05)
    raise lib.BenchError("the admin listener does not answer")


def requests_so_far(server):
    text = lib.admin(server, "/metrics")[1]
    return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines()
               if line.startswith("weft_requests_total"))


def held_at_most(server):
    """Most bytes that requests held at once, by the ledger."""
    owners = json.loads(lib.admin(server, "/memory")[1])["owners"]
    return sum(row["peak"] for row in owners if row["owner"] in OWNERS and row["worker"] == "0")


def idle_crowd(server):
    """Rss with CONNS idle connections."""
    request = lib.request_bytes("/json")
    socks = [socket.create_connection(("127.0.0.1", server.port), 10) for _ in range(CONNS)]
    for sock in socks:
        sock.sendall(request)
        if not sock.recv(4096).startswith(b"HTTP/1.1 200"):
            raise lib.BenchError("/json was not answered")
    time.sleep(2)
    idle = rss(server)
    for sock in socks:
        sock.close()
    return idle


def crowd(server, requests):
    """wrk until so many are answered; [Rss per second], seconds of CPU, answered."""
    seen, begun, ran = [], requests_so_far(server), lib.cpu_ns(server.pid)[0]
    while requests_so_far(server) - begun < requests:
        argv = ["wrk", "-t1", f"-c{CONNS}", f"-d{ROUND_S}s", f"http://127.0.0.1:{server.port}/json"]
        load = subprocess.Popen(argv, stdout=subprocess.PIPE, preexec_fn=lib.take_core(lib.LOAD_CPU))
        while load.poll() is None:
            time.sleep(1)
            seen.append(rss(server))
        text = load.stdout.read().decode()
        if load.returncode != 0 or "Non-2xx" in text or "Socket errors" in text:
            raise lib.BenchError(f"wrk: {text}")
        print(f"  {requests_so_far(server) - begun:,.0f} of {requests:,} requests", flush=True)
    return seen, (lib.cpu_ns(server.pid)[0] - ran) / 1e9, requests_so_far(server) - begun


def receipt(server):
    with socket.create_connection(("127.0.0.1", server.port), 10) as sock:
        sock.sendall(lib.request_bytes("/json"))
        found = re.search(rb"arena=(\d+) held=(\d+) peak=(\d+) copied=(\d+)", sock.recv(4096))
    return {name: int(value) for name, value in zip(("arena", "held", "peak", "copied"), found.groups())}


def one(binary, engine, requests):
    flags = ("--memory-receipt", "on", "--connections-max", str(2 * CONNS))
    with lib.weft(binary, engine, lib.free_port(), extra=flags) as server:
        server.wait_ready()
        wait_for_admin(server)
        held_at_most(server), requests_so_far(server)  # what asking takes is not the crowd's
        idle = idle_crowd(server)
        seen, cpu, answered = crowd(server, requests)
        third = max(len(seen) // 3, 1)
        found = {"idle": idle, "median": statistics.median(seen), "most": max(seen), "answered": answered,
                 "early": statistics.median(seen[:third]), "late": statistics.median(seen[-third:]),
                 "per_cpu_s": answered / cpu, "held": held_at_most(server) / CONNS,
                 "receipt": receipt(server)}
        time.sleep(2)
        found["after"] = rss(server)
    return found


def run(args):
    if not args.weft:
        raise lib.BenchError("crowd needs --weft")
    if not shutil.which("wrk"):
        raise lib.BenchError("crowd needs wrk")
    print(f"\n/json, {CONNS:,} connections, {args.crowd_requests:,} requests, one worker")
    result = {engine: one(args.weft, engine, args.crowd_requests) for engine in ("uring", "epoll")}
    rows = []
    for engine, f in result.items():
        rows += [[f"{engine}: a request, from its arena, bytes", "<= 1,024 (floor 2,100)", f["receipt"]["arena"]],
                 [f"{engine}: held for all requests at once, bytes per connection", "<= 1,024", f"{f['held']:.0f}"],
                 [f"{engine}: Rss idle, MB", "", f"{f['idle'] / 1e6:.2f}"],
                 [f"{engine}: Rss under load, median, MB above idle", "<= 0.50",
                  f"{(f['median'] - f['idle']) / (1 << 20):.2f}"],
                 [f"{engine}: Rss under load, most, MB", "<= 45 (floor)", f"{f['most'] / 1e6:.2f}"],
                 [f"{engine}: last third over first third, KiB", "0", f"{(f['late'] - f['early']) / 1024:.0f}"],
                 [f"{engine}: Rss 2 s after, KiB above idle", "", f"{(f['after'] - f['idle']) / 1024:.0f}"],
                 [f"{engine}: requests per server-CPU-second", "", f"{f['per_cpu_s']:,.0f}"]]
    lib.table(rows, ["", "wanted", "measured"])
    return result


def add_arguments(parser):
    parser.add_argument("--crowd-requests", type=int, default=10000000)


if __name__ == "__main__":
    lib.alone(__doc__, add_arguments, run, default=lib.WEFT)
