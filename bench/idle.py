#!/usr/bin/env python3
"""idle.py - what one idle keep-alive connection costs the server process, in bytes.

Connections that each did one request are opened up to two counts; the slope of (Rss minus
LazyFree, shared mappings included) plus page tables between them is the figure. What the kernel
holds per socket (9 to 11 KB, both ends) is not in it: it is the same for every server. Afterwards
connections picked at random are asked once more and have to answer.

usage: idle.py [--weft build/weft] [--from 1000] [--to 19000] | --port N --pid N
"""
import os
import subprocess
import time

import lib

BYTES_MAX = 24  # per connection, wanted
ASKED = 1000    # connections asked again at the end
CLIENTS = 2     # processes, each with a descriptor limit of its own


class Clients:
    """Processes that hold the connections, each from a loopback address of its own."""
    program = "idle_clients"

    def __init__(self, port, path):
        self.procs = [subprocess.Popen(
            [lib.program(self.program), str(port), f"127.0.0.{2 + 2 * i}", path],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for i in range(CLIENTS)]

    def command(self, proc, text):
        proc.stdin.write(text + "\n")
        proc.stdin.flush()
        answer = proc.stdout.readline().split()
        if not answer:
            raise lib.BenchError(f"a client ended at '{text}'")
        return answer

    def open(self, count):
        share = count // CLIENTS
        for i, proc in enumerate(self.procs):
            self.command(proc, f"open {share + (count % CLIENTS if i == 0 else 0)}")

    def ask(self, count):
        """Returns the slowest answer, us."""
        return max(int(self.command(p, f"ask {count // CLIENTS}")[2]) for p in self.procs)

    def close(self):
        for proc in self.procs:
            proc.stdin.close()
        for proc in self.procs:
            proc.wait(30)
            proc.stdout.close()


def settled(pid):
    """Memory in bytes, read until two readings half a second apart agree (5 s at most)."""
    last = None
    for _ in range(10):
        time.sleep(0.5)
        now = lib.memory(pid)
        if last and now == last:
            break
        last = now
    return now


def measure(name, port, pid, args):
    clients = Clients(port, args.path)
    try:
        clients.open(args.low)
        low = settled(pid)
        clients.open(args.high)
        high = settled(pid)
        worst_us = clients.ask(ASKED)
    finally:
        clients.close()
    span = args.high - args.low
    slope = (high["rss"] + high["page_tables"] - low["rss"] - low["page_tables"]) / span
    return {"server": name, "bytes_per_connection": slope, "low": low, "high": high,
            "from": args.low, "to": args.high, "answered": ASKED, "worst_us": worst_us,
            "met": slope <= BYTES_MAX if name.startswith("weft") else None}


def servers(args):
    """Starters of what is to be measured."""
    conns = args.high * 9 // 8 + 200  # nginx drops idle ones when fewer than 1/16 are free
    if args.weft:
        for engine in ("epoll", "uring"):
            yield lambda e=engine: lib.weft(args.weft, e, lib.free_port())
    yield lambda: lib.nginx(lib.free_port(), conns=conns)


def run(args):
    rows = []
    if args.port:
        rows.append(measure(f"pid {args.pid}", args.port, args.pid, args))
    else:
        for start in servers(args):
            server = start()
            if server is None:
                continue
            with server:
                server.wait_ready()
                rows.append(measure(server.name, server.port, server.pid, args))
    print(f"\nidle: {args.low:,} to {args.high:,} keep-alive connections, one GET {args.path} each")
    lib.table([[r["server"], f"{r['bytes_per_connection']:.1f}", f"{r['low']['rss'] // 1024:,}",
                f"{r['high']['rss'] // 1024:,}", f"{r['high']['page_tables'] // 1024:,}",
                f"{r['answered']:,}", f"{r['worst_us']:,}",
                {None: "", True: "yes", False: "NO"}[r["met"]]] for r in rows],
              ["server", "bytes/conn", "RSS low KB", "RSS high KB", "PTE high KB", "answered",
               "worst us", f"<= {BYTES_MAX}"])
    return {"machine": lib.machine(), "idle": rows}


def add_arguments(parser):
    parser.add_argument("--from", dest="low", type=int, default=1000)
    parser.add_argument("--to", dest="high", type=int, default=19000)
    parser.add_argument("--path", default="/")


def own_arguments(parser):
    """Also for a server that runs already, which run.py has none of."""
    parser.add_argument("--port", type=int, help="a server that runs already")
    parser.add_argument("--pid", type=int, default=os.getpid())
    add_arguments(parser)


if __name__ == "__main__":
    lib.alone(__doc__, own_arguments, run, help="the weft binary; without it nginx only")
