#!/usr/bin/env python3
"""limit64.py - a flood against a server that may hold 64 MB, in a control group of 64 MB if one can be
made: 18,000 connections of idle clients, slow heads, large bodies (some never read back), bursts of
16 MB, aborts and rubbish, all together, while four good clients keep asking.

Wanted: the resident set never above the limit and nobody killed; at least 80 % of what the plan admits
is served, both of connections (held at once) and of arenas (the share of looks at
which a worker had promised so much that no further burst fits); the good clients answered with a P99 of at most 200 ms; a second after the flood's end
service is as usual: ready, and no 503.

usage: limit64.py [--weft build/weft] [--flood-s 20] [--flood-clients 18000]
"""
import json
import os
import re
import resource
import subprocess
import sys
import threading
import time

import lib

sys.path.append(os.path.join(lib.HERE, "..", "tests", "e2e"))
import cgroups  # noqa: E402

LIMIT = 64 << 20
BURST_MS = 300
BURST_CAP = 17 << 20  # what the route is promised
SERVED_MIN, P99_MAX_MS, AFTER_MAX_S = 0.80, 200, 1.0
GOOD, WORKERS = 4, 2
# Of the clients, in thousandths: kind, then ms:what:label. The heavy ones are a process of their own
# and come first, else none of them would get a connection among so many idle ones.
HEAVY = (
    (6, "req", f"0:/burst?mb=16&hold={BURST_MS}:bursts"),
    (3, "post", "0:4000000:bodies"),
    (1, "hog", "0:4000000:unread bodies"),
    (2, "abort", "30:/stream?n=100&pause=10:aborts"),
)
MANY = (
    (15, "slow", "200:400:slow heads"),
    (3, "bad", "500:-:rubbish"),
    (970, "req", "-1:/:idle"),
)


def groups_of(clients, shares):
    return [f"{kind}:{max(1, clients * share // 1000)}:{rest}" for share, kind, rest in shares]


class Mix:
    """bench/mix at work; end() gives its figures."""

    def __init__(self, port, seconds, groups):
        self.proc = subprocess.Popen([lib.program("mix"), str(port), str(seconds), *groups],
                                     stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                     preexec_fn=lib.take_core(None))

    def end(self):
        out, _ = self.proc.communicate(timeout=60)  # the end of its input ends it
        if self.proc.returncode != 0:
            raise lib.BenchError(f"mix ended with {self.proc.returncode}")
        return json.loads(out)


def counters(server):
    """{name: sum over the workers}"""
    found = {}
    for line in lib.admin(server, "/metrics")[1].splitlines():
        match = re.match(r'weft_(\w+)(?:\{([^}]*)\})? (\S+)\Z', line)
        if match and 'worker="admin"' not in (match.group(2) or ""):
            found[match.group(1)] = found.get(match.group(1), 0) + float(match.group(3))
    return found


class Watcher(threading.Thread):
    """Looks every 10 ms at the resident set, every 200 ms at what is held."""

    def __init__(self, server, group):
        super().__init__(daemon=True)
        self.server, self.group = server, group
        self.rss, self.queued, self.held, self.arenas, self.trouble = [], [], [], [], None
        self.over = threading.Event()

    def look(self):
        """Connections open, and the workers whose arenas are promised so far that no further burst
        fits."""
        owners = [o for o in json.loads(lib.admin(self.server, "/memory")[1])["owners"]
                  if o["worker"] != "admin"]
        self.held.append(sum(o["used"] // o["unit"] for o in owners if o["owner"] == "connections"))
        self.arenas.append(sum(o["promised"] + BURST_CAP > o["reserved"]
                               for o in owners if o["owner"] == "arenas"))

    def run(self):
        turn = 0
        try:
            while not self.over.wait(0.01):
                with open(f"/proc/{self.server.pid}/statm", encoding="ascii") as f:
                    self.rss.append(int(f.read().split()[1]) * resource.getpagesize())
                turn += 1
                if turn % 10 == 0 and self.group:
                    self.queued.append(self.group.queued())
                if turn % 20 == 0:
                    self.look()
        except (OSError, ValueError, lib.BenchError) as error:
            self.trouble = str(error)

    def end(self):
        self.over.set()
        self.join()


def usual(server):
    """Ready, and nobody is refused?"""
    try:
        if lib.admin(server, "/readyz")[0] != 200:
            return False
        return all(lib.fetch(server.port, "/").startswith(b"HTTP/1.1 200") for _ in range(5))
    except (OSError, lib.BenchError):
        return False


def time_until_usual(server, seconds=10.0):
    start = time.monotonic()
    while not usual(server):
        if time.monotonic() - start > seconds:
            return float("inf")
        time.sleep(0.01)
    return time.monotonic() - start


def plan_of(weft, flags):
    """{term: bytes}, and how many connections and bursts at once it admits."""
    text = subprocess.run([weft, "plan", *flags], capture_output=True, check=True).stdout.decode()
    terms = {m.group(1).strip(): int(m.group(2))
             for m in re.finditer(r"^(\S[\S ]*?) {2,}(\d+)  ", text, re.M)}
    connections = int(re.search(r"^kernel.*?(\d+) connections", text, re.M).group(1))
    workers, arena = map(int, re.search(r"^arenas.*?(\d+) workers x (\d+)", text, re.M).groups())
    return terms, connections, workers * max(1, arena // BURST_CAP)


def one(args, engine, group):
    flags = ["--memory-limit-bytes", str(LIMIT), "--workers", str(WORKERS)]
    terms, connections_max, bursts_max = plan_of(args.weft, flags)
    server = lib.weft(args.weft, engine, lib.free_port(), workers=WORKERS, pin=False,
                      extra=flags[:2], preexec=group.enter if group else None)
    with server:
        server.wait_ready()
        good = Mix(server.port, 600, [f"req:{GOOD}:20:/:good"])
        time.sleep(1)
        watcher = Watcher(server, group)
        watcher.start()
        heavy = Mix(server.port, args.flood_s, groups_of(args.flood_clients, HEAVY))
        time.sleep(0.2)
        flood = Mix(server.port, args.flood_s, groups_of(args.flood_clients, MANY))
        while flood.proc.poll() is None and server.proc.poll() is None:
            time.sleep(0.02)
        after_s = time_until_usual(server)
        flood, good = {**heavy.end(), **flood.end()}, good.end()
        watcher.end()
        if server.proc.poll() is not None:
            raise lib.BenchError(f"it died: {server.proc.returncode}: {server.errors()}")
        counted = counters(server)
        after = usual(server)
    bursts = sum(watcher.arenas) / (WORKERS * max(1, len(watcher.arenas)))
    held = max(watcher.held, default=0)
    return {"engine": engine, "plan": terms.get("total"), "connections_max": connections_max,
            "rss_peak": max(watcher.rss), "rss_samples": len(watcher.rss),
            "charge_peak": group.peak() if group else None,
            "queued_peak": max(watcher.queued, default=None),
            "killed": group.killed() if group else None, "held": held,
            "held_share": held / connections_max, "bursts_max": bursts_max, "burst_share": bursts,
            "burst_max": max(watcher.arenas, default=0) / WORKERS,
            "good": good["good"], "after_s": after_s, "after": after, "flood": flood,
            "shed": {k: v for k, v in counted.items() if "shed" in k or "refus" in k or "full" in k},
            "trouble": watcher.trouble}


def verdicts(r):
    return [("resident, at most", f"{r['rss_peak'] / 2**20:.1f} MiB", "<= 64",
             r["rss_peak"] <= LIMIT),
            ("group's charge, at most",
             "no group" if r["charge_peak"] is None else f"{r['charge_peak'] / 2**20:.1f} MiB",
             "nobody killed", not r["killed"]),
            ("connections held", f"{r['held']:,.0f} of {r['connections_max']:,}", ">= 80 %",
             r["held_share"] >= SERVED_MIN),
            ("arenas promised, of looks", f"{r['burst_share']:.0%}, at most {r['burst_max']:.0%}", ">= 80 %",
             r["burst_share"] >= SERVED_MIN),
            ("good clients' P99", f"{r['good']['p99_us'] / 1000:.1f} ms", "<= 200",
             r["good"]["p99_us"] <= P99_MAX_MS * 1000),
            ("good clients: not 200", r["good"]["busy"] + r["good"]["other"] + r["good"]["cut"],
             "", None),
            ("as usual after", f"{r['after_s']:.2f} s", "<= 1", r["after_s"] <= AFTER_MAX_S)]


def show(r):
    print(f"\nlimit64, {r['engine']}: {sum(g['clients'] for g in r['flood'].values()):,} clients")
    lib.table([[what, value, wanted, {None: "", True: "yes", False: "NO"}[met]]
               for what, value, wanted, met in verdicts(r)], ["", "measured", "wanted", "met"])
    lib.table([[label, f"{g['clients']:,}", f"{g['opened']:,}", f"{g['ok']:,}", f"{g['busy']:,}",
                f"{g['other']:,}", f"{g['cut']:,}", f"{g['p99_us'] / 1000:.0f}"]
               for label, g in [*r["flood"].items(), ("good", r["good"])]],
              ["clients", "of them", "connects", "2xx", "503", "other", "cut", "P99 ms"])


def run(args):
    if not args.weft:
        raise lib.BenchError("it takes a weft binary")
    rows = []
    for engine in ("uring", "epoll"):
        try:
            group = cgroups.Group(LIMIT)
        except cgroups.Unavailable as why:
            print(f"limit64: no control group can be made here ({why}): by memory.limit_bytes alone")
            group = None
        try:
            rows.append(one(args, engine, group))
        finally:
            if group:
                group.remove()
        show(rows[-1])
    return {"machine": lib.machine(), "limit64": rows}


def add_arguments(parser):
    parser.add_argument("--flood-s", type=int, default=20, help="seconds")
    parser.add_argument("--flood-clients", type=int, default=18000)


if __name__ == "__main__":
    lib.alone(__doc__, add_arguments, run, default=lib.WEFT)
