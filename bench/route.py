#!/usr/bin/env python3
"""route.py - ns per look-up in the router, beside matchit, in turns on one core of one run.

usage: route.py [--json FILE] [--rounds N] [--passes N] [--keep-lookups FILE]

The routes are bench/github_routes.txt. The look-ups are made of them with a fixed seed: a route at
random, random values for its parameters. Both programs read the same two files and print a sum over
what they found, which has to be the same.
"""
import argparse
import os
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile

import lib

ROUTES = os.path.join(lib.HERE, "github_routes.txt")
PEER = os.path.join(lib.HERE, "peers", "route-matchit")
LOOKUPS, SEED, TABLE_ROUTES = 10000, 20240229, 10000
WANTED_NS = 25.0
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def value(rng, name):
    """What might stand in such a segment: a hash, a number, or a word of 4 to 14 letters."""
    if "sha" in name or name == "ref":
        return "".join(rng.choices("0123456789abcdef", k=40))
    if name == "number" or name.endswith("_id"):
        return str(rng.randrange(1, 10 ** rng.randrange(1, 9)))
    word = "".join(rng.choices(LETTERS, k=rng.randrange(4, 15)))
    return word if rng.random() < 0.7 else f"{word[:len(word) // 2]}-{word[len(word) // 2:]}"


def lookup_lines():
    rng = random.Random(SEED)
    routes = lib.read_text(ROUTES).splitlines()
    return [re.sub(r"\{(\w+)\}", lambda m: value(rng, m[1]), rng.choice(routes))
            for _ in range(LOOKUPS)]


def build_peer():
    """The peer's path, or None and a note where cargo or its packages are not to be had."""
    if not shutil.which("cargo"):
        print("note: no cargo here: matchit is left out")
        return None
    target = os.path.join(PEER, "target")
    done = subprocess.run(["cargo", "build", "--release", "--quiet", "--target-dir", target],
                          cwd=PEER, capture_output=True, text=True, timeout=600, check=False)
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["?"])[0]
        print(f"note: matchit could not be built and is left out: {last}")
        return None
    return os.path.join(target, "release", "route-matchit")


def pinned(argv):
    """On one core, ahead of other work where that is allowed."""
    return lib.run_json(["taskset", "-c", str(lib.SERVER_CPU)] + argv, 120)


def rounds_of(programs, rounds):
    """{name: [answers]}, forth and back (A B, B A) so that drift cancels."""
    answers = {name: [] for name in programs}
    for i in range(rounds):
        order = list(programs) if i % 2 == 0 else list(programs)[::-1]
        for name in order:
            answers[name].append(pinned(programs[name]))
    sums = {one["sum"] for each in answers.values() for one in each}
    if len(sums) != 1:
        raise lib.BenchError(f"the routers do not find the same: sums {sums}")
    return answers


def report(answers, table):
    """Prints; returns the figures."""
    result = {"routes": len(lib.read_text(ROUTES).splitlines()), "lookups": LOOKUPS,
              "table": table, "samples": answers, "wanted_ns": WANTED_NS}
    rows = []
    for name, each in answers.items():
        figures = {key: statistics.median(one[key] for one in each)
                   for key in ("random_ns", "root_ns")}
        best = min(one["random_ns"] for one in each)
        result[name] = figures
        rows.append([name, f"{figures['random_ns']:.1f}", f"{best:.1f}",
                     f"{figures['root_ns']:.1f}"])
    print(f"\nns per look-up, {result['routes']} routes, {LOOKUPS} random look-ups, medians of "
          f"{len(answers['weft'])} rounds")
    lib.table(rows, ["router", "random", "best round", "/"])
    ours = result["weft"]["random_ns"]
    print(f"weft <= {WANTED_NS:.0f} ns: {'yes' if ours <= WANTED_NS else 'NO'}")
    if "matchit" in answers:
        pairs = [b["random_ns"] / a["random_ns"]
                 for a, b in zip(answers["weft"], answers["matchit"])]
        result["ratio"] = statistics.median(pairs)
        print(f"matchit / weft: {result['ratio']:.2f} (median of the rounds' pairs)")
    print(f"{table['routes']} routes: built in {table['build_ms']:.1f} ms, {table['bytes']} bytes, "
          f"{table['random_ns']:.1f} ns per random look-up")
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--json", help="write all figures there")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--passes", type=int, default=50, help="over all look-ups, per round")
    parser.add_argument("--keep-lookups", metavar="FILE",
                        help="only write the look-ups there, for `route loop`")
    args = parser.parse_args()
    text = "\n".join(lookup_lines()) + "\n"
    if args.keep_lookups:
        with open(args.keep_lookups, "w", encoding="ascii") as f:
            f.write(text)
        return
    ours, peer = lib.program("route"), build_peer()
    with tempfile.TemporaryDirectory(prefix="weft-bench-route-") as folder:
        lookups = os.path.join(folder, "lookups.txt")
        with open(lookups, "w", encoding="ascii") as f:
            f.write(text)
        tail = [ROUTES, lookups, str(args.passes)]
        programs = {"weft": [ours, "match", *tail]}
        if peer:
            programs["matchit"] = [peer, *tail]
        answers = rounds_of(programs, args.rounds)
        tables = [pinned([ours, "table", str(TABLE_ROUTES)]) for _ in range(5)]
    table = sorted(tables, key=lambda one: one["build_ms"])[len(tables) // 2]
    result = report(answers, table)
    result["machine"] = lib.machine()
    lib.finish(result, args.json)


if __name__ == "__main__":
    try:
        main()
    except lib.BenchError as e:
        sys.exit(f"route.py: {e}")
