#!/usr/bin/env python3
"""files.py - files from disk to client: what they cost in memory and CPU, beside nginx and beside copying.

memory   growth of the peak RSS (VmHWM less Rss after one GET /) while so many clients read a 100 MB
         file, or 50 a sparse one of 4 GB. 1,000 clients take 16 MB each, those of the sparse one 64.
large    server-CPU-seconds per GB: 4 clients read 100 MB each; nginx with sendfile; a program that reads
         8 KiB and writes 8 KiB (readwrite.c); weft told to do so (files.send: read); a bare loop of
         sendfile() (bare_file.c), for what the kernel allows.
hot      requests per server-CPU-second for 1 KB and 64 KB, again and again, beside nginx with and
         without its open_file_cache, and the bare loop.
ways     the same for sizes between: from a copy in memory, by sendfile, splice, mmap, read.
copies   bytes moved in user memory per byte answered, by the server's own count.

Servers run on one core, the load on another; ratios are of samples next to each other with the same
tag (see limit.py), their median counts.

usage: files.py --weft build/weft [--files-rounds 5] [--files-only memory,large,hot,ways,copies]
"""
import os
import re
import shutil
import socket
import statistics
import tempfile
import time

import lib

KB, MB, GB = 1 << 10, 1 << 20, 1 << 30
GROWTH_MB = {1: 1, 50: 4, 1000: 24}  # clients: growth wanted at most
SPARSE_CLIENTS, SPARSE_TAKES = 50, 64 * MB
CROWD_TAKES = 16 * MB
LARGE_CLIENTS, LARGE_RUNS = 4, 3
READWRITE = "read and write"
OVER_NGINX, OVER_READ, HOT_OVER_NGINX = 1.0, 0.35, 2.0
NGINX = "sendfile on; tcp_nopush on; root {root};"
NGINX_CACHE = " open_file_cache max=1000 inactive=60s; open_file_cache_valid 60s;"
WAYS = ("auto", "sendfile", "splice", "mmap", "read")
WAY_SIZES = (1, 4, 16, 64, 256, 1024)  # KB
PARTS = ("memory", "large", "hot", "ways", "copies")
ENGINES = ("epoll", "uring")


def make_root(folder):
    block = os.urandom(MB)
    with open(os.path.join(folder, "big"), "wb") as f:
        for _ in range(100):
            f.write(block)
    for kb in (1, *WAY_SIZES):
        with open(os.path.join(folder, f"{kb}k"), "wb") as f:
            f.write(os.urandom(kb * KB))
    with open(os.path.join(folder, "sparse"), "wb") as f:
        f.truncate(4 * GB)
    os.chmod(folder, 0o755)


def weft(args, engine, root, *extra, name=None, **how):
    server = lib.weft(args.weft, engine, lib.free_port(), extra=("--root", root, *extra), **how)
    server.name, server.prefix = name or server.name, "/file/"
    return server


def nginx(root, more="", name="nginx"):
    server = lib.nginx(lib.free_port(), more=NGINX.format(root=root) + more)
    if server:
        server.name, server.prefix = name, "/"
    return server


def readwrite(root):
    port = lib.free_port()
    server = lib.Server(READWRITE, [lib.program("readwrite"), str(port), os.path.join(root, "big"),
                                           str(lib.SERVER_CPU)], port)
    server.prefix = "/"
    return server


def bare(root, name):
    """What the kernel allows: a loop of sendfile() that answers whatever is asked with one file."""
    port = lib.free_port()
    server = lib.Server("bare sendfile", [lib.program("bare_file"), str(port), os.path.join(root, name),
                                          str(lib.SERVER_CPU)], port)
    server.prefix = "/"
    return server


def drain(server, name, clients, takes=None, cpu=-1):
    argv = [lib.program("drain"), str(server.port), server.prefix + name, str(clients), str(cpu)]
    return lib.run_json(argv + ([str(takes)] if takes else []), 300)


class Running:
    """Servers for as long as a part lasts."""
    def __init__(self, servers):
        self.servers = [s for s in servers if s]

    def __enter__(self):
        try:
            for server in self.servers:
                server.wait_ready()
        except BaseException:
            self.__exit__()
            raise
        return self.servers

    def __exit__(self, *_):
        for server in self.servers:
            server.stop()


# ---- memory ----

def growth(args, engine, root, name, clients, takes, wanted):
    with Running([weft(args, engine, root, pin=False)]) as (server,):
        lib.fetch(server.port, "/")
        time.sleep(0.2)
        before = lib.memory(server.pid)
        out = drain(server, name, clients, takes)
        after = lib.memory(server.pid)
    grown = after["rss_peak"] - before["rss"]
    return {"engine": engine, "file": name, "clients": clients, "growth": grown,
            "rss": before["rss"], "peak": after["rss_peak"], "seconds": out["seconds"],
            "bytes": out["bytes"], "failed": out["failed"], "wanted": wanted,
            "met": out["failed"] == 0 and grown <= wanted * MB}


def run_memory(args, root):
    rows = []
    for engine in ENGINES:
        for clients, wanted in GROWTH_MB.items():
            takes = CROWD_TAKES if clients >= 1000 else None
            rows.append(growth(args, engine, root, "big", clients, takes, wanted))
        rows.append(growth(args, engine, root, "sparse", SPARSE_CLIENTS, SPARSE_TAKES,
                           GROWTH_MB[SPARSE_CLIENTS]))
    print("\nmemory: growth of the peak RSS while clients read")
    lib.table([[r["engine"], {"big": "100 MB", "sparse": "4 GB, sparse"}[r["file"]], r["clients"],
                f"{r['bytes'] / GB:.1f}", f"{r['seconds']:.1f}", f"{r['growth'] / MB:.2f}",
                f"{r['peak'] / MB:.1f}", f"<= {r['wanted']}", "yes" if r["met"] else "NO"] for r in rows],
              ["engine", "file", "clients", "GB read", "s", "growth MB", "peak MB", "wanted", "met"])
    return rows


# ---- CPU per GB ----

def large_sample(server):
    before_ns = lib.distance_ns()
    ran0, waited0 = lib.cpu_ns(server.pid)
    runs = [drain(server, "big", LARGE_CLIENTS, cpu=lib.LOAD_CPU) for _ in range(LARGE_RUNS)]
    ran1, waited1 = lib.cpu_ns(server.pid)
    tags = {lib.tag_of(before_ns), lib.tag_of(lib.distance_ns())}
    seconds, gigabytes = sum(r["seconds"] for r in runs), sum(r["bytes"] for r in runs) / GB
    threads = server.name == READWRITE  # they wait for each other
    return {"server": server.name, "tag": tags.pop() if len(tags) == 1 else "mixed",
            "errors": sum(r["failed"] for r in runs),
            "waited": 0 if threads else (waited1 - waited0) / 1e9 / seconds,
            "cpu_s_per_gb": (ran1 - ran0) / 1e9 / gigabytes, "gb_per_s": gigabytes / seconds}


def pairs(rounds, over, under, key):
    """Ratios of the rounds in which both samples count and carry the same tag."""
    found = []
    for samples in rounds:
        by = {s["server"]: s for s in samples if lib.counts(s)}
        if over in by and under in by and by[over]["tag"] == by[under]["tag"]:
            found.append(by[over][key] / by[under][key])
    return found


def ratio_row(rounds, over, under, key, wanted, at_most):
    ratios = pairs(rounds, over, under, key)
    if not ratios:
        return None
    ratio = statistics.median(ratios)
    return {"over": over, "under": under, "ratio": ratio, "min": min(ratios), "max": max(ratios),
            "pairs": len(ratios), "wanted": wanted, "at_most": at_most,
            "met": ratio <= wanted if at_most else ratio >= wanted}


def print_ratios(rows):
    lib.table([[f"{r['over']} / {r['under']}", f"{r['ratio']:.2f}", f"{r['min']:.2f}-{r['max']:.2f}",
                r["pairs"], ("<= " if r["at_most"] else ">= ") + str(r["wanted"]),
                "yes" if r["met"] else "NO"] for r in rows],
              ["ratio", "median", "spread", "pairs", "wanted", "met"])


def in_turns(args, servers, sample):
    """A B C, C B A, ...: neighbours are alike."""
    rounds = []
    for i in range(args.files_rounds):
        rounds.append([sample(s) for s in (servers if i % 2 == 0 else servers[::-1])])
    return rounds


def print_medians(rounds, key, text):
    samples = [s for r in rounds for s in r]
    rows = [[name, tag, text(value), count] for tag, by in sorted(lib.medians(samples, key).items())
            for name, (value, count) in by.items()]
    lib.table(rows, ["server", "tag", key.replace("_", " "), "samples"])
    dropped = sum(not lib.counts(s) for s in samples)
    if dropped:
        print(f"note: {dropped} of {len(samples)} samples left out (errors, mixed tags, or the server "
              "waited for its core)")


def run_large(args, root):
    servers = [weft(args, "epoll", root), weft(args, "epoll", root, "--files-send", "read",
                                               name="weft epoll, read"),
               nginx(root), readwrite(root), bare(root, "big"),
               weft(args, "uring", root, "--files-send", "read", name="weft uring, read"),
               weft(args, "uring", root)]
    with Running(servers) as running:
        rounds = in_turns(args, running, large_sample)
    rows = [ratio_row(rounds, "bare sendfile", READWRITE, "cpu_s_per_gb", OVER_READ, True)]
    for engine in ENGINES:
        rows.append(ratio_row(rounds, f"weft {engine}", "nginx", "cpu_s_per_gb", OVER_NGINX, True))
        for under in (READWRITE, f"weft {engine}, read"):
            rows.append(ratio_row(rounds, f"weft {engine}", under, "cpu_s_per_gb", OVER_READ, True))
    rows = [r for r in rows if r]
    print(f"\nlarge: server-CPU-seconds per GB, {LARGE_CLIENTS} clients, 100 MB each")
    print_medians(rounds, "cpu_s_per_gb", lambda v: f"{v:.3f}")
    print_ratios(rows)
    return {"rounds": rounds, "ratios": rows}


# ---- small ones, hot ----

def run_hot(args, root):
    found = {}
    for name in ("1k", "64k"):
        servers = [nginx(root), weft(args, "epoll", root), bare(root, name), weft(args, "uring", root),
                   nginx(root, NGINX_CACHE, "nginx, cached")]
        with Running(servers) as running:
            rounds = in_turns(args, running,
                              lambda s, n=name: lib.sample(s, s.prefix + n, ms=args.files_ms))
            rows = [ratio_row(rounds, over, under, "requests_per_cpu_s", HOT_OVER_NGINX, False)
                    for over in ("bare sendfile", *(f"weft {engine}" for engine in ENGINES))
                    for under in ("nginx", "nginx, cached")]
            rows = [r for r in rows if r]
            print(f"\nhot: GET of {name}, 128 connections")
            print_medians(rounds, "requests_per_cpu_s", lambda v: f"{v:,.0f}")
            print_ratios(rows)
            found[name] = {"rounds": rounds, "ratios": rows}
    return found


def run_ways(args, root):
    found = []
    print("\nways: requests per server-CPU-second; in brackets: to sendfile")
    for engine in ENGINES:
        ways = {way: weft(args, engine, root, "--files-hot-file-bytes-max", "1M", "--files-send", way,
                          name=way) for way in WAYS}
        with Running(ways.values()) as running:
            for kb in WAY_SIZES:
                rounds = in_turns(args, running, lambda s, n=f"{kb}k": lib.sample(
                    s, s.prefix + n, ms=args.files_ms, conns=64) if kb <= 255 else large_of(s, kb))
                row = {"engine": engine, "kb": kb}
                for way in WAYS:
                    ratios = pairs(rounds, way, "sendfile", "requests_per_cpu_s")
                    good = [s["requests_per_cpu_s"] for r in rounds for s in r if s["server"] == way]
                    row[way] = statistics.median(good)
                    row[way + "/sendfile"] = statistics.median(ratios) if ratios else None
                found.append(row)
    lib.table([[r["engine"], f"{r['kb']} KB"] +
               [f"{r[way]:,.0f} ({r[way + '/sendfile'] or 0:.2f})" for way in WAYS] for r in found],
              ["engine", "file", "copy in memory", *WAYS[1:]])
    return found


def large_of(server, kb):
    """Files that the load's buffer cannot hold: read by clients that come back."""
    before_ns = lib.distance_ns()
    ran0, waited0 = lib.cpu_ns(server.pid)
    count, failed, seconds = 0, 0, 0.0
    for _ in range(2):
        out = drain(server, f"{kb}k", 200, cpu=lib.LOAD_CPU)
        count, failed, seconds = count + 200, failed + out["failed"], seconds + out["seconds"]
    ran1, waited1 = lib.cpu_ns(server.pid)
    tags = {lib.tag_of(before_ns), lib.tag_of(lib.distance_ns())}
    return {"server": server.name, "tag": tags.pop() if len(tags) == 1 else "mixed", "errors": failed,
            "waited": (waited1 - waited0) / 1e9 / seconds,
            "requests_per_cpu_s": count / max((ran1 - ran0) / 1e9, 1e-9)}


# ---- copies ----

def route_bytes(server):
    text = lib.admin(server, "/metrics")[1]
    found = {}
    for name in ("answer", "copied"):
        values = re.findall(rf'^weft_route_{name}_bytes_total{{route=".*"}} (\d+)', text, re.M)
        found[name] = sum(int(v) for v in values)
    return found


def swallow(port, path, depth=1):
    """Reads answers and keeps nothing of them: lib.fetch() looks at all it has with each piece."""
    with socket.create_connection(("127.0.0.1", port), 30) as sock:
        last = lib.request_bytes(path).replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
        sock.sendall(lib.request_bytes(path) * (depth - 1) + last)
        while sock.recv(1 << 20):
            pass


def run_copies(args, root):
    rows = []
    for engine in ENGINES:
        for name, path in (("file, 1 KB", "/file/1k"), ("file, 64 KB", "/file/64k"),
                           ("file, 100 MB", "/file/big"), ("static body, 13 B", "/"),
                           ("cached body", "/cache/some?pad=1000"),
                           ("static body, 13 B, 16 pipelined", "/")):
            with Running([weft(args, engine, root)]) as (server,):
                swallow(server.port, path)  # a cached body comes in
                before = route_bytes(server)
                for _ in range(4 if "MB" in name else 100):
                    swallow(server.port, path, 16 if "pipelined" in name else 1)
                after = route_bytes(server)
                found = {key: after[key] - before[key] for key in after}
            rows.append({"engine": engine, "what": name, **found,
                         "copies": found["copied"] / max(found["answer"], 1)})
    print("\ncopies: in user memory per byte of a body, by the server's count (wanted: 0)")
    lib.table([[r["what"], r["engine"], f"{r['answer']:,}", f"{r['copies']:.3f}"] for r in rows],
              ["body", "engine", "bytes", "copies per byte"])
    return rows


def add_arguments(parser):
    parser.add_argument("--files-rounds", type=int, default=10)
    parser.add_argument("--files-ms", type=int, default=300)
    parser.add_argument("--files-only", default=",".join(PARTS))


def run(args):
    if not args.weft:
        raise lib.BenchError("files needs --weft")
    folder = tempfile.mkdtemp(prefix="weft-bench-files-")
    result = {"machine": lib.machine()}
    parts = {"memory": run_memory, "large": run_large, "hot": run_hot, "ways": run_ways,
             "copies": run_copies}
    try:
        make_root(folder)
        for part in args.files_only.split(","):
            result[part] = parts[part](args, folder)
    finally:
        shutil.rmtree(folder)
    return result


if __name__ == "__main__":
    lib.alone(__doc__, add_arguments, run)
