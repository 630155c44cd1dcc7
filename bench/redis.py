#!/usr/bin/env python3
"""redis.py - a request that a Redis behind the cache answers: what a command costs, its heap calls, and what
requests hold while a server does not answer.

Redis has one value; weft's own cache is full with another, so that each request asks. One worker, one
Redis, both on loopback. Heap calls are counted twice: of the whole process, by an interposed malloc
family (heapcount.c), and by the ledger, whose row "hiredis" books each call of that library. Then
something that only listens takes the place of Redis, and the gauge weft_bytes_waiting is read.

usage: redis.py --weft build/weft [--redis-ms 2000]
"""
import os
import shutil
import socket
import subprocess
import tempfile
import time

import heap
import lib

CONNS = (1, 16, 64)
WAITING = 100  # requests that wait on who never answers


def start_redis(port, folder):
    binary = shutil.which("redis-server")
    if not binary:
        raise lib.BenchError("redis needs redis-server")
    argv = [binary, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
            "--dir", folder]
    return lib.Server("redis", argv, port, pin=False)


def samples(server):
    """{line without its value: value} of /metrics."""
    lines = lib.admin(server, "/metrics")[1].splitlines()
    return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in lines
            if line and not line.startswith("#")}


def of_worker(now, name):
    return now[f'weft_{name}{{worker="0"}}']


def ledger_calls(now):
    row = '{owner="hiredis",worker="process"}'
    return now["weft_memory_allocs_total" + row] + now["weft_memory_frees_total" + row]


def flags(address, *more):
    return ("--cache-redis", address, *more)


def measure(server, conns, ms, counts_path):
    lib.load(server.port, "/cache/there", ms=300, conns=conns)  # every connection is open by then
    before, ran, calls = samples(server), lib.cpu_ns(server.pid)[0], heap.read_counts(counts_path)
    result = lib.load(server.port, "/cache/there", ms=ms, conns=conns)
    ran, after = lib.cpu_ns(server.pid)[0] - ran, heap.read_counts(counts_path)
    now = samples(server)
    commands = of_worker(now, "redis_commands_total") - of_worker(before, "redis_commands_total")
    return {"conns": conns, "requests": result["requests"], "errors": result["errors"],
            "per_s": result["requests"] / result["seconds"], "commands": commands,
            "cpu_us": ran / 1e3 / max(commands, 1), "p50_us": result["p50_us"], "p99_us": result["p99_us"],
            "heap_process": sum(after.values()) - sum(calls.values()),
            "heap_ledger": ledger_calls(now) - ledger_calls(before),
            "fallbacks": of_worker(now, "redis_fallbacks_total") - of_worker(before, "redis_fallbacks_total")}


def beside_redis_benchmark(port, conns):
    """GETs per second of Redis' own client, for scale."""
    binary = shutil.which("redis-benchmark")
    if not binary:
        return None
    out = subprocess.run([binary, "-p", str(port), "-c", str(conns), "-n", "30000", "-t", "get", "--csv"],
                         capture_output=True, text=True, timeout=120, check=False).stdout
    rows = [line.split(",") for line in out.splitlines() if line.startswith('"GET"')]
    return float(rows[0][1].strip('"')) if rows else None


def with_redis(args, engine, folder):
    counts_path = os.path.join(folder, f"counts-{engine}")
    with open(counts_path, "wb") as f:
        f.write(bytes(8 * len(heap.KINDS)))
    env = dict(os.environ, LD_PRELOAD=lib.program("heapcount.so"), HEAPCOUNT_FILE=counts_path)
    port = lib.free_port()
    with start_redis(port, folder) as redis:
        redis.wait_ready()
        address = f"127.0.0.1:{port}"
        with lib.weft(args.weft, engine, lib.free_port(), extra=flags(address)) as other:
            other.wait_ready()
            lib.fetch(other.port, "/cache/there")
        small = flags(address, "--cache-entries-max", "1")
        with lib.weft(args.weft, engine, lib.free_port(), extra=small, env=env) as server:
            server.wait_ready()
            lib.fetch(server.port, "/cache/fills")
            found = [measure(server, conns, args.redis_ms, counts_path) for conns in CONNS]
        for f in found:
            f["redis_benchmark"] = beside_redis_benchmark(port, min(f["conns"], 16))
    return found


def without_answer(args, engine):
    with socket.create_server(("127.0.0.1", 0), backlog=64) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        more = ("--cache-redis-timeout-ms", "2s", "--cache-redis-connections", "16")
        with lib.weft(args.weft, engine, lib.free_port(), extra=flags(address, *more)) as server:
            server.wait_ready()
            idle = lib.memory(server.pid)["rss"]
            clients = [socket.create_connection(("127.0.0.1", server.port), 10) for _ in range(WAITING)]
            for i, client in enumerate(clients):
                client.sendall(lib.request_bytes(f"/cache/silent{i}"))
            time.sleep(0.5)
            now = samples(server)
            found = {"requests": now['weft_upstream_requests_waiting{upstream="redis"}'],
                     "bytes": now['weft_bytes_waiting{upstream="redis"}'],
                     "grown": lib.memory(server.pid)["rss"] - idle}
            for client in clients:
                if not client.recv(4096).startswith(b"HTTP/1.1 200"):
                    raise lib.BenchError("a request was not answered")
                client.close()
            found["after"] = samples(server)['weft_bytes_waiting{upstream="redis"}']
    return found


def run(args):
    if not args.weft:
        raise lib.BenchError("redis needs --weft")
    result = {}
    with tempfile.TemporaryDirectory(prefix="weft-bench-") as folder:
        for engine in ("uring", "epoll"):
            result[engine] = {"commands": with_redis(args, engine, folder),
                              "silent": without_answer(args, engine)}
    print("\nrequests that Redis answers (16 connections to it), one worker")
    rows = [[f"{engine}, {f['conns']} clients", f"{f['per_s']:,.0f}", f"{f['p50_us']:.0f}", f"{f['p99_us']:.0f}",
             f"{f['cpu_us']:.1f}", f"{f['commands']:,.0f}", f"{f['heap_process']:,.0f}",
             f"{f['heap_ledger']:,.0f}", f"{f['fallbacks']:,.0f}",
             f"{f['redis_benchmark']:,.0f}" if f["redis_benchmark"] else "-"]
            for engine, r in result.items() for f in r["commands"]]
    lib.table(rows, ["", "per second", "p50 us", "p99 us", "server-CPU us", "commands", "heap calls",
                     "of them hiredis", "fallbacks", "redis-benchmark"])
    print(f"\n{WAITING} requests while nobody answers")
    rows = [[engine, f"{r['silent']['requests']:.0f}", f"{r['silent']['bytes'] / WAITING:,.0f}",
             f"{r['silent']['grown'] / WAITING:,.0f}", f"{r['silent']['after']:.0f}"]
            for engine, r in result.items()]
    lib.table(rows, ["", "wait", "weft_bytes_waiting each", "Rss grown each", "afterwards"])
    return result


def add_arguments(parser):
    parser.add_argument("--redis-ms", type=int, default=2000)


if __name__ == "__main__":
    lib.alone(__doc__, add_arguments, run, default=lib.WEFT)
