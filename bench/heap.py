#!/usr/bin/env python3
"""heap.py - heap calls per request (wanted: 0), and mapping calls in steady state (wanted: 0).

weft runs with every call of the malloc family counted (heapcount.c, all libraries). After a warm-up
on each route, REQUESTS requests are made over connections that open and close, while the admin
listener is asked as well. Then strace counts mmap, munmap, mremap, madvise and brk under load.

usage: heap.py --weft build/weft [--requests 1000000]
"""
import os
import re
import signal
import struct
import subprocess
import tempfile
import threading
import time

import lib

ROUTES = ("/", "/json", "/user/7", "/efficient")
KINDS = ("malloc", "calloc", "realloc", "free", "aligned")
MAPPING = ("mmap", "munmap", "mremap", "madvise", "brk")
PER_CONN = 100       # requests of one connection before it is closed and opened again
WARM_UP = 40000      # requests per route
STRACED = 20000      # requests per route under strace
ADMIN = ("/metrics", "/memory", "/healthz")


def read_counts(path):
    with open(path, "rb") as f:
        return dict(zip(KINDS, struct.unpack(f"{len(KINDS)}Q", f.read(8 * len(KINDS)))))


class AdminAsker(threading.Thread):
    """Asks the admin listener five times a second until told to stop."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.port, self.asked, self.quit = port, 0, threading.Event()

    def run(self):
        while not self.quit.wait(0.2):
            try:
                lib.fetch(self.port, ADMIN[self.asked % len(ADMIN)])
                self.asked += 1
            except (OSError, lib.BenchError):
                continue  # shows in asked

    def stop(self):
        self.quit.set()
        self.join(10)


def requests_on_all(server, per_route, result):
    for route in ROUTES:
        one = lib.load(server.port, route, requests=per_route,
                       extra=["--per-conn", str(PER_CONN)])
        result["requests"] += one["requests"]
        result["connections"] += one["connections"]
        result["errors"] += one["errors"]


def fresh():
    return {"requests": 0, "connections": 0, "errors": 0}


def heap_calls(args, engine, folder):
    """Heap calls of the whole process over the measured requests, by kind."""
    path = os.path.join(folder, f"counts-{engine}")
    with open(path, "wb") as f:
        f.write(bytes(8 * len(KINDS)))
    env = dict(os.environ, LD_PRELOAD=lib.program("heapcount.so"), HEAPCOUNT_FILE=path)
    with lib.weft(args.weft, engine, lib.free_port(), env=env) as server:
        server.wait_ready()
        at_start = read_counts(path)
        if not any(at_start.values()):
            raise lib.BenchError("heapcount.so counts nothing: is the binary static?")
        admin = AdminAsker(server.admin_port)
        admin.start()
        requests_on_all(server, WARM_UP, fresh())
        time.sleep(0.5)
        before, result = read_counts(path), fresh()
        requests_on_all(server, args.requests // len(ROUTES), result)
        after = read_counts(path)
        admin.stop()
    calls = {k: after[k] - before[k] for k in KINDS}
    return dict(result, engine=engine, calls=calls, calls_total=sum(calls.values()),
                admin_requests=admin.asked, calls_at_start=sum(at_start.values()))


def parse_strace(text):
    """{call: count} of strace -c's table."""
    found = dict.fromkeys(MAPPING, 0)
    for line in text.splitlines():
        match = re.match(r"\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?(\w+)$", line)
        if match and match[2] in found:
            found[match[2]] = int(match[1])
    return found


def mapping_calls(args, engine, folder):
    """Mapping calls under load, seen by strace; None where strace is missing or not allowed."""
    out = os.path.join(folder, f"strace-{engine}")
    with lib.weft(args.weft, engine, lib.free_port()) as server:
        server.wait_ready()
        requests_on_all(server, WARM_UP, fresh())
        try:
            tracer = subprocess.Popen(
                ["strace", "-f", "-c", "-e", "trace=" + ",".join(MAPPING), "-o", out, "-p",
                 str(server.pid)], stderr=subprocess.DEVNULL)
        except FileNotFoundError:
            return None
        time.sleep(1)
        result = fresh()
        requests_on_all(server, STRACED, result)
        failed = tracer.poll() is not None
        tracer.send_signal(signal.SIGINT)
        tracer.wait(10)
        if failed:
            return None
    calls = parse_strace(lib.read_text(out))
    return dict(result, engine=engine, calls=calls, calls_total=sum(calls.values()))


def run(args):
    if not args.weft:
        raise lib.BenchError("heap needs --weft")
    heap, mapping = [], []
    with tempfile.TemporaryDirectory(prefix="weft-bench-") as folder:
        for engine in ("epoll", "uring"):
            heap.append(heap_calls(args, engine, folder))
            mapping.append(mapping_calls(args, engine, folder))
    print(f"\nheap calls over requests on {', '.join(ROUTES)}, admin listener asked meanwhile")
    lib.table([[r["engine"], f"{r['requests']:,}", f"{r['connections']:,}", r["admin_requests"],
                r["errors"], f"{r['calls_at_start']:,}", *(r["calls"][k] for k in KINDS),
                "yes" if r["calls_total"] == 0 and r["errors"] == 0 else "NO"] for r in heap],
              ["engine", "requests", "connections", "admin", "errors", "at start", *KINDS, "0"])
    print("\nmapping calls in steady state (strace)")
    lib.table([[r["engine"], f"{r['requests']:,}", *(r["calls"][k] for k in MAPPING),
                "yes" if r["calls_total"] == 0 else "NO"] for r in mapping if r],
              ["engine", "requests", *MAPPING, "0"])
    if None in mapping:
        print("note: strace is missing or may not attach")
    return {"machine": lib.machine(), "heap": heap, "mapping": [m for m in mapping if m]}


def add_arguments(parser):
    parser.add_argument("--requests", type=int, default=1000000)


if __name__ == "__main__":
    lib.alone(__doc__, add_arguments, run, required=True)
