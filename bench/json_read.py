#!/usr/bin/env python3
"""json_read.py - ns per small JSON body read into a struct, beside simdjson, json-c, cJSON and jansson.

usage: json_read.py [--json FILE] [--json-rounds N] [--json-passes N]

Two bodies (bench/peers/json/bodies.h), whose fields are all taken out, checked for their type and summed
up; the sums have to be the same. weft's reader changes a body that has escapes, so its time has a copy of
the body in it that no other has. Programs in turns on one core, forth and back; heap calls are counted in
a run of their own. (Not json.py: that name is Python's.)
"""
import os
import shutil
import statistics
import subprocess
import tempfile

import lib

SOURCES = os.path.join(lib.HERE, "peers", "json")
TREES = {"json-c": "WITH_JSON_C", "cJSON": "WITH_CJSON", "jansson": "WITH_JANSSON"}
LIBRARIES = {"simdjson": "simdjson", "json-c": "json-c", "cJSON": "cjson", "jansson": "jansson"}
BODIES = ("user", "order")
WANTED = {"simdjson": 0.7, "json-c": 3.0, "cJSON": 3.0, "jansson": 3.0}
COUNTED_PASSES = 20


def build_peer(name, folder):
    """The peer's path; None and a note where its library or a compiler is not there."""
    out = os.path.join(folder, name)
    link = ["-o", out, "-l" + LIBRARIES[name]]
    if name == "simdjson":
        argv = ["c++", "-std=c++17", "-O3", os.path.join(SOURCES, "simd.cpp"), *link]
    else:
        argv = ["cc", "-O3", "-D" + TREES[name], os.path.join(SOURCES, "trees.c"), *link]
    if not shutil.which(argv[0]):
        print(f"note: no {argv[0]} here: {name} is left out")
        return None
    done = subprocess.run(argv, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode != 0:
        print(f"note: {name} cannot be built and is left out: apt-get install lib{LIBRARIES[name].lower()}-dev")
        return None
    return out


def pinned(program, passes):
    return lib.run_json(["taskset", "-c", str(lib.SERVER_CPU), program, str(passes)], 120)


def heap_calls(program, folder):
    """Calls of the malloc family per parse, libraries included."""
    counts = os.path.join(folder, "heapcount")
    with open(counts, "wb") as f:
        f.write(bytes(64))
    env = f"HEAPCOUNT_FILE={counts}", "LD_PRELOAD=" + lib.program("heapcount.so")
    found = lib.run_json(["env", *env, program, str(COUNTED_PASSES)], 120)
    return {body: found[body]["heap_calls"] for body in BODIES}


def rounds_of(programs, rounds, passes):
    """{name: [answers]}, forth and back (A B, B A) so that drift cancels."""
    answers = {name: [] for name in programs}
    for i in range(rounds):
        order = list(programs) if i % 2 == 0 else list(programs)[::-1]
        for name in order:
            answers[name].append(pinned(programs[name], passes))
    for body in BODIES:
        sums = {one[body]["sum"] for each in answers.values() for one in each}
        if len(sums) != 1 or 0 in sums:
            raise lib.BenchError(f"{body}: not all found the same: sums {sums}")
    return answers


def ratio(answers, name, body):
    """How many times as long the peer takes: the median over the rounds of best pass by best pass, since
    whatever else the machine does only adds."""
    return statistics.median(theirs[body]["best_ns"] / ours[body]["best_ns"]
                             for ours, theirs in zip(answers["weft"], answers[name]))


def report(answers, heap):
    """Prints; returns the figures."""
    result = {"samples": answers, "heap_calls": heap, "wanted": WANTED, "ratios": {}}
    for body in BODIES:
        size = answers["weft"][0][body]["bytes"]
        print(f"\n{body}, {size} bytes: ns per body, medians of {len(answers['weft'])} rounds: of the best pass "
              "of each, of the usual one")
        rows = []
        for name, each in answers.items():
            row = [name, *(f"{statistics.median(one[body][key] for one in each):.0f}" for key in ("best_ns", "ns")),
                   f"{heap[name][body]:.0f}"]
            if name == "weft":
                rows.append(row + ["", "0 heap calls: " + ("yes" if heap[name][body] == 0 else "NO")])
                continue
            times = ratio(answers, name, body)
            result["ratios"][f"{name} {body}"] = times
            good = "yes" if times >= WANTED[name] else "NO"
            rows.append(row + [f"{times:.2f}", f">= {WANTED[name]}: {good}"])
        lib.table(rows, ["reader", "best", "usual", "heap calls", "weft is faster by", "wanted"])
    return result


def run(args):
    """The figures of all readers that are there."""
    print("\njson: a small body into a struct")
    with tempfile.TemporaryDirectory(prefix="weft-bench-json-") as folder:
        peers = {name: build_peer(name, folder) for name in LIBRARIES}
        programs = {"weft": lib.program("json")} | {n: path for n, path in peers.items() if path}
        heap = {name: heap_calls(path, folder) for name, path in programs.items()}
        answers = rounds_of(programs, args.json_rounds, args.json_passes)
    return report(answers, heap)


def add_arguments(parser):
    parser.add_argument("--json-rounds", type=int, default=9)
    parser.add_argument("--json-passes", type=int, default=300, help="of 1,000 parses, per round")


if __name__ == "__main__":
    lib.alone(__doc__, add_arguments, run)
