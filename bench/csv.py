#!/usr/bin/env python3
"""csv.py - a CSV file sent in upper case, /csv/{name}, beside a bare loop that reads, upper-cases and
sends the same bytes; and what the request held of memory.

One server at a time on a core of its own, one client that drops what it gets in the kernel. Rounds
go forth and back; each pair of the same round is a ratio, the median counts. The answer's bytes are
compared with `tr a-z A-Z` once. The file is in the page cache.

usage: csv.py --weft build/weft [--csv-mb 1024] [--csv-rounds 3]
"""
import hashlib
import os
import shutil
import socket
import statistics
import subprocess
import tempfile

import json
import lib

MB = 1 << 20
RATIO_WANTED = 0.6
MEMORY_WANTED = 64 << 10
BLOCK_BYTES = 4096  # what an answer is put together in
ENGINES = ("uring", "epoll")


def make_csv(path, megabytes):
    """Lines of a few fields, quoted and not, some of them in other letters than ASCII's."""
    lines = "".join(f"{i},user {i},\"Line {i}, quoted\",user{i}@example.org,gr\u00fc\u00df dich,{i * 7 % 1000}\r\n"
                    for i in range(20000)).encode()
    with open(path, "wb") as f:
        left = megabytes * MB
        while left > 0:
            f.write(lines[:left])
            left -= len(lines)


def bare(path):
    port = lib.free_port()
    server = lib.Server("bare loop", [lib.program("bare_csv"), str(port), path], port)
    return server


def drain(server, path):
    """(seconds, bytes) of one client that reads all."""
    found = lib.run_json([lib.program("drain"), str(server.port), path, "1", str(lib.LOAD_CPU)], 300)
    if found["failed"]:
        raise lib.BenchError(f"{server.name}: the answer broke off")
    return found["seconds"], found["bytes"]


def one(server, path):
    """One pass: seconds, CPU-seconds of the server."""
    ran0, waited0 = lib.cpu_ns(server.pid)
    seconds, got = drain(server, path)
    ran1, waited1 = lib.cpu_ns(server.pid)
    return {"server": server.name, "seconds": seconds, "bytes": got, "cpu_s": (ran1 - ran0) / 1e9,
            "waited_s": (waited1 - waited0) / 1e9}


def held(server):
    """The most that a request of the route held, as Weft counts it: arena, stack, the buffer of lines
    out of its pool; and its block."""
    rows = json.loads(lib.admin(server, "/memory/top?by=route")[1])["top"]
    row = next(row for row in rows if "/csv/" in row["route"] and row["route"].startswith("GET"))
    parts = {key: row[key]["peak"] for key in ("arena", "stack", "body")}
    owners = json.loads(lib.admin(server, "/memory")[1])["owners"]
    parts["lines"] = sum(owner["peak"] for owner in owners if owner["owner"] == "csv_lines")
    return {**parts, "block": BLOCK_BYTES, "sum": sum(parts.values()) + BLOCK_BYTES}


def digest_of(port, path):
    """sha256 of an answer to HTTP/1.0: no chunks, the end is the connection's."""
    digest = hashlib.sha256()
    with socket.create_connection(("127.0.0.1", port), 30) as s:
        s.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        stream = s.makefile("rb")
        while stream.readline() not in (b"\r\n", b""):
            pass
        while piece := stream.read(MB):
            digest.update(piece)
    return digest.hexdigest()


def digest_of_tr(path):
    with open(path, "rb") as source, subprocess.Popen(["tr", "a-z", "A-Z"], stdin=source,
                                                      env={**os.environ, "LC_ALL": "C"},
                                                      stdout=subprocess.PIPE) as tr:
        digest = hashlib.sha256()
        while piece := tr.stdout.read(MB):
            digest.update(piece)
    return digest.hexdigest()


def run_weft(args, engine, folder, name):
    with lib.weft(args.weft, engine, lib.free_port(), extra=("--root", folder)) as server:
        server.wait_ready()
        drain(server, "/csv/" + name)  # once to warm up
        found = one(server, "/csv/" + name)
        found["held"] = held(server)
        found["rss_peak"] = lib.memory(server.pid)["rss_peak"]
        return found


def run_bare(path):
    with bare(path) as server:
        lib.time.sleep(0.2)  # it serves who connects: a probe would be a client
        drain(server, "/")
        return one(server, "/")


def rounds(args, folder, name):
    path, samples = os.path.join(folder, name), []
    for i in range(args.csv_rounds):
        order = ["bare", *ENGINES]
        for what in order if i % 2 == 0 else reversed(order):
            found = run_bare(path) if what == "bare" else run_weft(args, what, folder, name)
            samples.append({"round": i, "what": what, **found})
    return samples


def ratios(samples, engine, key):
    """bare over weft, of the same rounds: 1 is as fast."""
    by = {(s["round"], s["what"]): s[key] for s in samples}
    return [by[i, "bare"] / by[i, engine] for i, what in by if what == engine]


def summary(samples):
    found = {}
    for what in ("bare", *ENGINES):
        own = [s for s in samples if s["what"] == what]
        row = {key: statistics.median(s[key] for s in own) for key in ("seconds", "cpu_s", "waited_s")}
        if what != "bare":
            row.update(speed=statistics.median(ratios(samples, what, "seconds")),
                       speed_cpu=statistics.median(ratios(samples, what, "cpu_s")),
                       held=max((s["held"] for s in own), key=lambda held: held["sum"]),
                       rss_peak=max(s["rss_peak"] for s in own))
            row["met"] = row["speed"] >= RATIO_WANTED and row["held"]["sum"] <= MEMORY_WANTED
        found[what] = row
    return found


def print_table(args, found):
    print(f"\ncsv: {args.csv_mb} MB in upper case, one client; medians of {args.csv_rounds}; request memory is "
          "arena + stack + buffer + block at its peak")
    lib.table([[name, f"{row['seconds']:.2f}", f"{row['cpu_s']:.2f}", f"{row['waited_s']:.2f}",
                f"{row['speed']:.2f}" if "speed" in row else "1",
                f"{row['speed_cpu']:.2f}" if "speed_cpu" in row else "1",
                row["held"]["sum"] if "held" in row else "-",
                f"{row['rss_peak'] / MB:.1f}" if "rss_peak" in row else "-",
                ("yes" if row["met"] else "NO") if "met" in row else ""]
               for name, row in found.items()],
              ["", "s", "CPU s", "waited s", f"speed >= {RATIO_WANTED}", "by CPU",
               f"request bytes <= {MEMORY_WANTED}", "peak RSS MB", "met"])


def run(args):
    if not args.weft:
        raise lib.BenchError("csv needs --weft")
    folder = tempfile.mkdtemp(prefix="weft-bench-csv-")
    try:
        path = os.path.join(folder, "large_dataset.csv")
        make_csv(path, args.csv_mb)
        with lib.weft(args.weft, "epoll", lib.free_port(), extra=("--root", folder)) as server:
            server.wait_ready()
            if digest_of(server.port, "/csv/large_dataset.csv") != digest_of_tr(path):
                raise lib.BenchError("other bytes than tr a-z A-Z gives")
        samples = rounds(args, folder, "large_dataset.csv")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    found = summary(samples)
    print_table(args, found)
    return {"machine": lib.machine(), "csv_mb": args.csv_mb, "samples": samples, "summary": found}


def add_arguments(parser):
    parser.add_argument("--csv-mb", type=int, default=1024, help="size of the file")
    parser.add_argument("--csv-rounds", type=int, default=3)


if __name__ == "__main__":
    lib.alone(__doc__, add_arguments, run, required=True)
