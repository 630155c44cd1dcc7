#!/usr/bin/env python3
"""footprint.py - the idle process, and what long answers add to it.

Idle: `weft demo` with two workers, unasked: Rss minus LazyFree, private memory. Start: from exec to
the last byte of the first answer. Bodies: in a fresh process, VmHWM after the clients have read
everything, less Rss after one GET / (no warm-up on the route), for /stream and a 100 MB file.

usage: footprint.py --weft build/weft [--stream /stream] [--file-mb 100]
"""
import os
import shutil
import socket
import statistics
import tempfile
import time

import lib

RSS_MB, PRIVATE_MB, FIRST_MS = 4, 2, 50
GROWTH_MB = {1: 1, 50: 4}  # clients: growth wanted at most
STARTS = 5
MB = 1 << 20


def stream_bytes(lines=1000000):
    """Payload of /stream: 'Chunk <i>' and a newline, for i below lines."""
    digits, total, first = 1, 0, 0
    while first < lines:
        last = min(10 ** digits, lines)
        total += (last - first) * (len("Chunk \n") + digits)
        first, digits = last, digits + 1
    return total


def first_answer_ms(server):
    """ms from exec to a whole first answer."""
    request = lib.request_bytes("/")
    end = server.started + 5
    while time.monotonic() < end:
        try:
            with socket.create_connection(("127.0.0.1", server.port), 1) as s:
                s.sendall(request)
                if s.recv(4096).startswith(b"HTTP/1.1 200"):
                    return (time.monotonic() - server.started) * 1000
        except OSError:
            if server.proc.poll() is not None:
                raise lib.BenchError(f"{server.name} ended: {server.errors()}") from None
            time.sleep(0.0005)
    raise lib.BenchError(f"{server.name} gave no first answer in 5 s")


def idle_process(binary, engine):
    first = []
    for _ in range(STARTS):
        with lib.weft(binary, engine, lib.free_port(), workers=2, pin=False) as server:
            first.append(first_answer_ms(server))
    with lib.weft(binary, engine, lib.free_port(), workers=2, pin=False) as server:
        time.sleep(1)
        if server.proc.poll() is not None:
            raise lib.BenchError(f"{server.name} ended: {server.errors()}")
        memory = lib.memory(server.pid)
    return {"engine": engine, "rss": memory["rss"], "private": memory["private"],
            "page_tables": memory["page_tables"], "first_ms": statistics.median(first),
            "first_ms_max": max(first)}


def body_growth(binary, engine, root, path, clients, payload):
    """One scenario in a fresh process."""
    extra = ("--root", root)
    with lib.weft(binary, engine, lib.free_port(), workers=2, extra=extra, pin=False) as server:
        server.wait_ready()
        lib.fetch(server.port, "/")
        time.sleep(0.2)
        before = lib.memory(server.pid)
        out = lib.run_json([lib.program("drain"), str(server.port), path, str(clients)], 300)
        after = lib.memory(server.pid)
    grown = after["rss_peak"] - before["rss"]
    whole = out["failed"] == 0 and out["least"] >= payload
    return {"engine": engine, "path": path, "clients": clients, "growth": grown, "whole": whole,
            "rss_before": before["rss"], "peak": after["rss_peak"], "seconds": out["seconds"],
            "bytes": out["bytes"], "least": out["least"],
            "met": whole and grown <= GROWTH_MB[clients] * MB}


def make_file(folder, megabytes):
    """Bytes that do not compress and are on the disk, not a hole."""
    block = os.urandom(MB)
    with open(os.path.join(folder, "big.bin"), "wb") as f:
        for _ in range(megabytes):
            f.write(block)


def run(args):
    if not args.weft:
        raise lib.BenchError("footprint needs --weft")
    idle, bodies = [], []
    root = tempfile.mkdtemp(prefix="weft-bench-root-")
    try:
        make_file(root, args.file_mb)
        for engine in ("epoll", "uring"):
            idle.append(idle_process(args.weft, engine))
            for clients in GROWTH_MB:
                for path, payload in ((args.stream, stream_bytes() if "?" not in args.stream else 1),
                                      ("/file/big.bin", args.file_mb * MB)):
                    bodies.append(body_growth(args.weft, engine, root, path, clients, payload))
    finally:
        shutil.rmtree(root, ignore_errors=True)
    print_tables(idle, bodies)
    return {"machine": lib.machine(), "idle_process": idle, "bodies": bodies}


def print_tables(idle, bodies):
    print("\nidle process, two workers")
    lib.table([[r["engine"], f"{r['rss'] / MB:.2f}", f"{r['private'] / MB:.2f}",
                f"{r['first_ms']:.1f}", f"{r['first_ms_max']:.1f}",
                "yes" if r["rss"] <= RSS_MB * MB and r["private"] <= PRIVATE_MB * MB and
                r["first_ms"] <= FIRST_MS else "NO"] for r in idle],
              ["engine", f"RSS MB <= {RSS_MB}", f"private MB <= {PRIVATE_MB}",
               f"first answer ms <= {FIRST_MS}", "slowest ms", "met"])
    print("\nlong answers: VmHWM after, less RSS after one GET /")
    lib.table([[r["path"], r["engine"], r["clients"], f"{r['growth'] / MB:.2f}",
                GROWTH_MB[r["clients"]], f"{r['seconds']:.2f}", "yes" if r["whole"] else "NO",
                "yes" if r["met"] else "NO"] for r in bodies],
              ["path", "engine", "clients", "growth MB", "wanted <=", "seconds", "whole", "met"])


def add_arguments(parser):
    parser.add_argument("--stream", default="/stream")
    parser.add_argument("--file-mb", type=int, default=100)


if __name__ == "__main__":
    lib.alone(__doc__, add_arguments, run, required=True)
