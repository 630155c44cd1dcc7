#!/usr/bin/env python3
"""limit.py - how close weft comes to what the kernel allows, and how far ahead of nginx it is.

Servers are kept running and measured in turn (A B C D E, E D C B A, ...), each sample on an
otherwise quiet pair of cores: server on one, load on the other. The figure is requests per
server-CPU-second, and only ratios inside one run are meant: of each round in which both samples
carry the same tag (near or far, see pingpong.c), the median of the ratios.

usage: limit.py [--weft build/weft] [--rounds 20] [--ms 400] [--modes plain,json,pipelined]
"""
import os
import statistics
import tempfile

import lib

MODES = {  # name: (path, depth, least ratio to the bare loop, least ratio to nginx)
    "plain": ("/", 1, 0.90, 1.2),
    "json": ("/json", 1, 0.90, 1.2),
    "pipelined": ("/", 16, 0.85, 9.0),
}
BARE_OVER_NGINX = 1.3  # below it the bare loop was not as fast as it can be: the run does not count
BUSY_MIN = 0.90        # below it the load, not the server, was the limit
STAND_IN = (b"HTTP/1.1 200 OK\r\nDate: Fri, 21 Nov 2025 04:00:00 GMT\r\nContent-Type: text/plain"
            b"\r\nContent-Length: 13\r\n\r\nHello, World!")


def bare(engine, port, answer, request_len):
    name = f"bare_{engine}"
    argv = [lib.program(name), str(port), answer, str(request_len), str(lib.SERVER_CPU)]
    return lib.Server(name, argv, port)


def start_all(args, path, folder):
    """The servers of one mode, neighbours that are compared next to each other."""
    servers = []
    try:
        if args.weft:
            for engine in ("epoll", "uring"):
                server = lib.weft(args.weft, engine, lib.free_port())
                servers.append(server)
                server.wait_ready()
        answer_bytes = lib.fetch(servers[0].port, path) if servers else STAND_IN
        answer = os.path.join(folder, "answer")
        with open(answer, "wb") as f:
            f.write(answer_bytes)
        request_len = len(lib.request_bytes(path))
        for place, engine in ((0, "epoll"), (len(servers) + 1, "uring")):
            server = bare(engine, lib.free_port(), answer, request_len)
            servers.insert(place, server)
            server.wait_ready()
        server = lib.nginx(lib.free_port())
        if server:
            servers.insert(len(servers) // 2, server)
            server.wait_ready()
    except BaseException:
        for server in servers:
            server.stop()
        raise
    return servers


def run_mode(args, mode):
    path, depth, _, _ = MODES[mode]
    rounds = []
    with tempfile.TemporaryDirectory(prefix="weft-bench-") as folder:
        servers = start_all(args, path, folder)
        try:
            for server in servers:
                lib.load(server.port, path, ms=500, conns=args.conns, depth=depth)
            for i in range(args.rounds):
                order = servers if i % 2 == 0 else servers[::-1]
                rounds.append([lib.sample(s, path, ms=args.ms, conns=args.conns, depth=depth,
                                          extra=args.load_args) for s in order])
        finally:
            for server in servers:
                server.stop()
    return rounds


def pair_ratios(rounds, over, under):
    """{tag: [ratio, ...]} of the rounds in which both samples count and carry the same tag."""
    found = {}
    for samples in rounds:
        by = {s["server"]: s for s in samples if lib.counts(s)}
        a, b = by.get(over), by.get(under)
        if a and b and a["tag"] == b["tag"] and a["tag"] != "mixed":
            found.setdefault(a["tag"], []).append(a["requests_per_cpu_s"] /
                                                  b["requests_per_cpu_s"])
    return found


def compare(rounds, mode):
    """What the mode promises, as rows of (over, under, tag, ratio, spread, count, least, met)."""
    _, _, least_bare, least_nginx = MODES[mode]
    wanted = [("bare_epoll", "nginx", BARE_OVER_NGINX if mode == "plain" else None),
              ("bare_uring", "bare_epoll", None)]
    for engine in ("epoll", "uring"):
        wanted += [(f"weft {engine}", f"bare_{engine}", least_bare),
                   (f"weft {engine}", "nginx", least_nginx)]
    rows = []
    for over, under, least in wanted:
        for tag, ratios in sorted(pair_ratios(rounds, over, under).items()):
            ratio = statistics.median(ratios)
            rows.append({"over": over, "under": under, "tag": tag, "ratio": ratio,
                         "min": min(ratios), "max": max(ratios), "pairs": len(ratios),
                         "least": least, "met": None if least is None else ratio >= least})
    return rows


def print_mode(mode, samples, ratios):
    path, depth, _, _ = MODES[mode]
    print(f"\n{mode}: GET {path}, {depth} deep")
    rows = []
    for tag, by in sorted(lib.medians(samples).items()):
        for name, (value, count) in by.items():
            of = [s for s in samples if s["server"] == name and s["tag"] == tag]
            rows.append([name, tag, f"{value:,.0f}", f"{1e9 / value:,.0f}",
                         f"{statistics.median(s['busy'] for s in of):.2f}",
                         f"{statistics.median(s['p50_us'] for s in of):,.0f}",
                         f"{statistics.median(s['p99_us'] for s in of):,.0f}", count])
    lib.table(rows, ["server", "tag", "req/CPU-s", "ns/req", "busy", "p50 us", "p99 us", "samples"])
    rows = [[f"{r['over']} / {r['under']}", r["tag"], f"{r['ratio']:.3f}",
             f"{r['min']:.2f}-{r['max']:.2f}", r["pairs"], "" if r["least"] is None else
             f">= {r['least']}", {None: "", True: "yes", False: "NO"}[r["met"]]] for r in ratios]
    lib.table(rows, ["ratio", "tag", "median", "spread", "pairs", "wanted", "met"])


def warn(samples):
    for s in samples:
        if s["errors"]:
            print(f"warning: {s['server']}: {s['errors']} errors in a sample (left out)")
    idle = sorted({s["server"] for s in samples if lib.counts(s) and s["busy"] < BUSY_MIN})
    if idle:
        print(f"note: in some samples the core of {', '.join(idle)} was under {BUSY_MIN:.0%} busy")
    dropped = sum(not lib.counts(s) for s in samples)
    if dropped:
        print(f"note: {dropped} of {len(samples)} samples left out (errors, mixed tags, or the "
              "server waited for its core)")


def verdict(modes):
    """Whether the run counts: bare epoll >= 1.3x nginx on the plain mode, in each tag seen."""
    rows = [r for m in modes.values() for r in m["ratios"]
            if (r["over"], r["under"]) == ("bare_epoll", "nginx") and r["least"]]
    if not rows:
        return None
    return max(rows, key=lambda r: r["pairs"])["met"]


def run(args):
    """All modes; returns what goes into the JSON."""
    result = {"machine": lib.machine(), "modes": {}}
    for mode in args.modes.split(","):
        if mode not in MODES:
            raise lib.BenchError(f"no mode {mode}: {', '.join(MODES)}")
        rounds = run_mode(args, mode)
        samples = [s for one in rounds for s in one]
        ratios = compare(rounds, mode)
        print_mode(mode, samples, ratios)
        warn(samples)
        result["modes"][mode] = {"ratios": ratios, "samples": samples}
    result["counts"] = verdict(result["modes"])
    print({None: "\nno verdict: nginx or the plain mode is missing, or nothing could be paired",
           True: f"\nbare epoll >= {BARE_OVER_NGINX}x nginx: the run counts",
           False: f"\nbare epoll < {BARE_OVER_NGINX}x nginx: the run does NOT count"}
          [result["counts"]])
    return result


def add_arguments(parser):
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--ms", type=int, default=400,
                        help="of one sample: short ones, many rounds, since near and far change")
    parser.add_argument("--conns", type=int, default=128)
    parser.add_argument("--modes", default=",".join(MODES))
    parser.add_argument("--sweep", dest="load_args", action="store_const", const=["--sweep"],
                        default=[], help="the load goes round its connections without epoll")


if __name__ == "__main__":
    lib.alone(__doc__, add_arguments, run, help="the weft binary; without it bare loops and nginx only")
