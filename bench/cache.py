#!/usr/bin/env python3
"""cache.py - what a cache finds under each policy, what finding costs, and what an answer copies.

Hits: one trace of 1,000,000 requests by Zipf's law over 100,000 keys per case, the second half counted;
with `once`, one request in five is for a key that comes once. Speed: ns per value found and put, one
thread and two. Server: /cache/{key} with a body of 16 KiB, beside the same bytes made for each request
(a cache of one entry that refuses), requests per server-CPU-second; bytes copied per byte of an answer
as /metrics counts them. Wanted: 0 for what is found.

usage: cache.py --weft build/weft [--cache-rounds 3] [--json FILE]
"""
import json
import statistics

import lib

KEYS = 100000
CASES = [(alpha, entries, once) for once in (0, 20) for alpha in (0.8, 1.0) for entries in (1000, 10000)]
POLICIES = ("s3-fifo", "lru", "no-insert")
PAD = 16000
COPIED_WANTED = 0.0
HOT = "/cache/hot?pad=%d" % PAD


def hits():
    rows = []
    for alpha, entries, once in CASES:
        found = lib.run_json([lib.program("cache"), "hits", str(alpha), str(KEYS), str(entries), str(once)], 300)
        rows.append({"alpha": alpha, "entries": entries, "once": once, **found})
    return rows


def print_hits(rows):
    print(f"{'alpha':>6}{'entries':>9}{'once':>7}" + "".join(f"{name:>12}" for name in POLICIES))
    for row in rows:
        print(f"{row['alpha']:>6}{row['entries']:>9,}{row['once']:>6}%"
              + "".join(f"{100 * row[name]:>11.2f}%" for name in POLICIES))
    worst = min(row["s3-fifo"] - row["lru"] for row in rows)
    best = max(row["s3-fifo"] - row["lru"] for row in rows)
    print(f"s3-fifo against lru: {100 * worst:+.2f} to {100 * best:+.2f} points")


def speed():
    return {str(threads): lib.run_json([lib.program("cache"), "speed", str(threads)], 120) for threads in (1, 2)}


def print_speed(found):
    for threads, row in found.items():
        print(f"{threads} thread{'s' if threads != '1' else ''}: " + "; ".join(
            f"{name} {one['find_ns']:.0f} ns found, {one['put_ns']:.0f} ns put" for name, one in row.items()))


def metric(server, name, route):
    text = lib.admin(server, "/metrics")[1]
    wanted = '%s{route="%s"}' % (name, route)
    return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith(wanted))


def copied_per_byte(server):
    """Of answers that were found; all that the routes' books count."""
    def look():
        return [metric(server, "weft_route_%s_bytes_total" % name, "GET /cache/{key}") for name in ("copied", "answer")]
    before = look()
    lib.load(server.port, HOT, requests=20000, conns=16)
    after = look()
    return (after[0] - before[0]) / max(after[1] - before[1], 1)


def serve(binary, engine, extra):
    port = lib.free_port()
    return lib.weft(binary, engine, port, extra=extra)


def rounds_of(args, engine):
    """Found and made for each request, forth and back."""
    result = {"found": [], "made": []}
    for turn in range(args.cache_rounds):
        kinds = ["found", "made"] if turn % 2 == 0 else ["made", "found"]
        for kind in kinds:
            extra = ("--cache-policy", "no-insert", "--cache-bytes-max", "4K") if kind == "made" else ()
            with serve(args.weft, engine, extra) as server:
                server.wait_ready()
                lib.fetch(server.port, HOT)
                if kind == "found" and turn == 0:
                    result["copied_per_byte"] = copied_per_byte(server)
                result[kind].append(lib.sample(server, HOT, ms=args.cache_ms, conns=64))
    return result


def print_server(engine, found):
    rate = {kind: statistics.median(s["requests_per_cpu_s"] for s in found[kind]) for kind in ("found", "made")}
    print(f"{engine}: {rate['found']:,.0f} found, {rate['made']:,.0f} made per server-CPU-second "
          f"({rate['found'] / rate['made']:.2f}x); copied per byte of a found answer: "
          f"{found['copied_per_byte']:.6f} (wanted {COPIED_WANTED:.0f})")


def add_arguments(parser):
    parser.add_argument("--cache-rounds", type=int, default=3, help="samples of each server")
    parser.add_argument("--cache-ms", type=int, default=400, help="length of a sample")


def run(args):
    result = {"hits": hits(), "speed": speed(), "server": {}}
    print("\ncache: what is found, second half of 1,000,000 requests over 100,000 keys")
    print_hits(result["hits"])
    print_speed(result["speed"])
    for engine in ("uring", "epoll"):
        result["server"][engine] = rounds_of(args, engine)
        print_server(engine, result["server"][engine])
    return json.loads(json.dumps(result))


if __name__ == "__main__":
    lib.alone(__doc__, add_arguments, run, required=True, help="the weft binary")
