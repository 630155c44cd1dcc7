#!/usr/bin/env python3
"""soak.py - does memory stay where it is, for as long as one likes to look? `./dev soak MINUTES`.

A mix of requests, streams, files, uploads, bursts (arena and malloc), aborted ones, slow ones and
rubbish keeps on; the resident set (minus LazyFree) is read each second. A straight line is laid through
the means of blocks of ten seconds (neighbouring seconds are not independent of each other, blocks
nearly are): its slope has to be 0 within three standard errors, or too small to matter over the whole
run (64 KiB). Without traffic, after the mix, no more may be resident than after the warm-up; what
malloc keeps of a /burst?via=malloc is malloc's, and left out of that. And what
each owner of request-scoped memory took has been given back: as many frees as allocs, but for those that
it held before the first request.

usage: soak.py MINUTES [--weft build/weft] [--engine auto] [--json FILE]
"""
import argparse
import json
import sys
import time

import lib
import limit64

WORKERS = 2
FLAGS = ("--memory-limit", "256M", "--timeouts-header-ms", "3s", "--timeouts-write-ms", "5s")
GROUPS = (
    "req:8:40:/:plain", "req:4:40:/json:json", "req:4:60:/user/7:pattern", "req:2:100:/none:missing",
    "req:4:60:/file/hello.txt:file", "req:3:50:/stream?n=50&pause=5:stream",
    "req:2:150:/memory-test:arena", "req:2:400:/burst?mb=2&hold=30:burst",
    "req:1:700:/burst?mb=1&hold=30&via=malloc:malloc", "post:4:80:20000:upload",
    "post:2:300:1000000:large upload", "hog:2:0:40000000:unread", "slow:4:40:300:slow",
    "abort:3:30:/stream?n=500&pause=5:aborted stream", "abort:2:70:/burst?mb=1&hold=200:aborted burst",
    "bad:2:200:-:rubbish")
SCOPED = ("active", "blocks", "buffers", "stacks", "watches", "arenas", "heap", "connections")
BLOCK_S, WARM_S, QUIET_S = 10, 12, 3
ERRORS_MAX, GROWTH_MAX = 3, 64 << 10
QUIET_MAX = 512 << 10


def line(points):
    """(slope, its standard error) of a least-squares line through [(x, y)]."""
    n = len(points)
    if n < 3:
        raise lib.BenchError(f"{n} blocks are too few for a slope: soak longer")
    mx, my = sum(x for x, _ in points) / n, sum(y for _, y in points) / n
    sxx = sum((x - mx) ** 2 for x, _ in points)
    slope = sum((x - mx) * (y - my) for x, y in points) / sxx
    rest = sum((y - my - slope * (x - mx)) ** 2 for x, y in points)
    return slope, (rest / (n - 2) / sxx) ** 0.5


def blocks(samples, start, block_s):
    """Means of blocks: [(middle, mean)] from `start` on; a last one that is not whole is left out."""
    found = {}
    for at, value in samples:
        if at >= start:
            found.setdefault(int((at - start) // block_s), []).append(value)
    whole = sorted(found)[:-1]
    return [(start + (i + 0.5) * block_s, sum(found[i]) / len(found[i])) for i in whole]


def out_now(server):
    """{owner: (allocs, frees)} of all workers together, of what requests and connections take."""
    found = dict.fromkeys(SCOPED, (0, 0))
    for o in json.loads(lib.admin(server, "/memory")[1])["owners"]:
        if o["worker"] != "admin" and o["owner"] in found:
            was = found[o["owner"]]
            found[o["owner"]] = (was[0] + o["allocs"], was[1] + o["frees"])
    return found


def out_at_first(server, engine, workers):
    """Once each worker has what it holds without a request, and nobody is connected."""
    held = ("watches", "buffers") if engine == "uring" else ("watches",)
    end = time.monotonic() + 15
    while time.monotonic() < end:
        owners = json.loads(lib.admin(server, "/memory")[1])["owners"]
        begun = sum(o["used"] > 0 for o in owners if o["owner"] in held and o["worker"] != "admin")
        now = out_now(server)
        if begun == workers * len(held) and now["connections"][0] == now["connections"][1] > 0:
            return now
        time.sleep(0.05)
    raise lib.BenchError("the workers do not begin")


def quiet_rss(server):
    """Without traffic, when all has ended and memory.return_ms has passed twice over."""
    end = time.monotonic() + 15
    while time.monotonic() < end:
        now = out_now(server)
        if all(now[name][0] == now[name][1] for name in ("active", "stacks", "connections")):
            break
        time.sleep(0.1)
    time.sleep(QUIET_S)
    explained = json.loads(lib.admin(server, "/memory")[1])["explained"]
    return lib.memory(server.pid)["rss"] - explained["heap"]


def soak(weft, engine, seconds):
    server = lib.weft(weft, engine, lib.free_port(), workers=WORKERS, pin=False, extra=FLAGS)
    with server:
        server.wait_ready()
        before = out_at_first(server, engine, WORKERS)
        mix = limit64.Mix(server.port, WARM_S, GROUPS)
        time.sleep(WARM_S)
        mix.end()
        quiet = [quiet_rss(server)]
        mix = limit64.Mix(server.port, int(seconds) + 30, GROUPS)
        start, samples = time.monotonic(), []
        while time.monotonic() - start < seconds and server.proc.poll() is None:
            time.sleep(1 - (time.monotonic() - start) % 1)
            samples.append((time.monotonic() - start, lib.memory(server.pid)["rss"]))
        served = mix.end()
        quiet.append(quiet_rss(server))
        after = out_now(server)
        peak = lib.memory(server.pid)["rss_peak"]
        plan = json.loads(lib.admin(server, "/memory")[1])["plan"]
    block_s = min(BLOCK_S, seconds / 12)
    slope, error = line(blocks(samples, block_s, block_s))
    kept = {name: after[name][0] - after[name][1] - before[name][0] + before[name][1]
            for name in SCOPED}
    tail = [value for at, value in samples if at >= block_s]
    return {"engine": engine, "seconds": seconds, "block_s": block_s, "quiet": quiet,
            "samples": samples, "slope_bytes_s": slope, "error_bytes_s": error,
            "growth": slope * seconds, "low": min(tail), "high": max(tail),
            "mean": sum(tail) / len(tail), "peak": peak, "plan": plan, "served": served,
            "owners": after, "kept": kept,
            "level": slope <= ERRORS_MAX * error or slope * seconds <= GROWTH_MAX,
            "quiet_level": quiet[1] - quiet[0] <= QUIET_MAX}


def show(r):
    print(f"\nsoak, {r['engine']}: {r['seconds'] / 60:.1f} minutes after a warm-up of {WARM_S} s")
    hours = 3600 / 1024
    lib.table([["slope, KiB/h", f"{r['slope_bytes_s'] * hours:+.0f} +- "
                f"{r['error_bytes_s'] * hours:.0f}", "0 within noise",
                "yes" if r["level"] else "NO"],
               ["resident, MiB: mean, low, high", " ".join(
                   f"{r[k] / 2**20:.2f}" for k in ("mean", "low", "high")), "", ""],
               ["resident when quiet, KiB: before, after", " ".join(
                   f"{q / 1024:,.0f}" for q in r["quiet"]), f"<= {QUIET_MAX >> 10} more",
                "yes" if r["quiet_level"] else "NO"],
               ["peak of plan, MiB", f"{r['peak'] / 2**20:.1f} of {r['plan'] / 2**20:.1f}", "<=",
                "yes" if r["peak"] <= r["plan"] else "NO"],
               ["answered", f"{sum(g['ok'] for g in r['served'].values()):,}", "", ""]],
              ["", "measured", "wanted", "met"])
    lib.table([[name, f"{r['owners'][name][0]:,}", f"{r['owners'][name][1]:,}", r["kept"][name],
                "yes" if r["kept"][name] == 0 else "NO"] for name in SCOPED],
              ["owner", "allocs", "frees", "kept", "0"])


def run(args):
    if not args.weft:
        raise lib.BenchError("it takes a weft binary")
    found = []
    for engine in args.soak_engines.split(","):
        found.append(soak(args.weft, engine, args.soak_minutes * 60))
        show(found[-1])
    return {"machine": lib.machine(), "soak": found}


def add_arguments(parser):
    parser.add_argument("--soak-minutes", type=float, default=2.0)
    parser.add_argument("--soak-engines", default="uring,epoll")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("minutes", type=float)
    parser.add_argument("--weft", default=lib.WEFT)
    parser.add_argument("--engine", default="uring")
    parser.add_argument("--json", help="write the figures there")
    args = parser.parse_args()
    args.soak_minutes, args.soak_engines = args.minutes, args.engine
    result = run(args)
    lib.finish(result, args.json)
    return 0 if all(r["level"] and r["quiet_level"] and not any(r["kept"].values()) for r in result["soak"]) else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except lib.BenchError as e:
        sys.exit(f"soak.py: {e}")
