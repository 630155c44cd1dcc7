#!/usr/bin/env python3
"""alloc.py - what memory costs: pools, arenas and builders, beside malloc of three allocators.

Each case of alloc.c (its own process, one core, ahead of everything else where that is allowed) runs
once a round, rounds go forth and back; a figure is the median of the rounds. A sample is the time of a
batch of 64 operations through 64. The "malloc" cases run with glibc's, and with jemalloc and mimalloc
preloaded where they are installed. With --weft also: the routes /pool/on and /pool/off.

usage: alloc.py [--weft build/weft] [--alloc-rounds 9] [--json FILE]
"""
import json
import os
import statistics
import subprocess

import lib

BATCHES = 5000
TWO_BATCHES = 100000
POOL_MEAN_NS, POOL_P99_NS, TWO_THREADS = 5, 20, 1.9
LIVE_NS, LIVE_TIMES, BUILDER_TIMES, REUSE_TIMES, ROUTE_TIMES = 92, 9, 3, 5, 1.3
ALLOCATORS = {"glibc": None, "jemalloc": "libjemalloc.so.2", "mimalloc": "libmimalloc.so.2"}

# What each case is, and whether other allocators are asked as well.
CASES = {
    "pool-pairs": "pool: take and put, 64 times", "malloc-pairs": "malloc and free, 64 times",
    "pool-sets": "pool: take 64, put 64", "malloc-sets": "malloc 64, free 64",
    "objects-own": "objects of a worker: take and put", "objects-shared": "objects with the lock",
    "arena-bump": "arena: 64 of 256 bytes, reset", "arena-mixed": "arena: 64 of 16 to 2,048, reset",
    "malloc-mixed": "malloc 64 of 16 to 2,048, free all",
    "pool-live": "pool, 10,000 held: one ends, one begins", "malloc-live": "malloc, the same",
    "builder-hint": "a text of 200 pieces, builder", "malloc-concat": "the same, s = s + piece",
    "pool-buffer": "a buffer of 4 KiB, from a pool", "malloc-buffer": "the same, made new",
}


def first_in_line(cpu):
    """For a child before exec: one CPU (None: any), no other work between."""
    share = lib.take_core(cpu)

    def run():
        share()
        try:
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(50))
        except OSError:
            pass  # the figures then say how often it was preempted
    return run


def is_there(library):
    """Does the loader find it? (jemalloc cannot be loaded late: a process is started with it.)"""
    done = subprocess.run(["true"], capture_output=True, env=preload(library), check=False)
    return not done.stderr


def preload(library):
    env = dict(os.environ)
    if library:
        env["LD_PRELOAD"] = library
    return env


def measure(argv, cpu, library=None):
    done = subprocess.run(argv, capture_output=True, timeout=120, check=False, env=preload(library),
                          preexec_fn=first_in_line(cpu))
    if done.returncode != 0:
        raise lib.BenchError(f"{argv}: {done.stderr.decode(errors='replace').strip()}")
    return json.loads(done.stdout)


def allocators():
    found = {}
    for name, library in ALLOCATORS.items():
        if library is None or is_there(library):
            found[name] = library
        else:
            print(f"note: {library} is not installed: no figures of {name}")
    return found


def plan_of(found):
    """[(row, case, library)]: each case, and the malloc ones by allocator."""
    plan = []
    for case in CASES:
        if case.startswith("malloc"):
            plan += [(f"{case} {name}", case, library) for name, library in found.items()]
        else:
            plan.append((case, case, None))
    return plan


def rounds_of(plan, rounds):
    binary, samples = lib.program("alloc"), {row: [] for row, _, _ in plan}
    for i in range(rounds):
        for row, case, library in plan if i % 2 == 0 else plan[::-1]:
            samples[row].append(measure([binary, case, str(BATCHES)], lib.SERVER_CPU, library))
    return samples


def two_threads(found, rounds):
    binary, samples = lib.program("alloc"), {}
    for _ in range(rounds):
        for row, case, library in [("pool-pairs", "pool-pairs", None)] + [
                (f"malloc-pairs {name}", "malloc-pairs", lib_) for name, lib_ in found.items()]:
            samples.setdefault(row, []).append(
                measure([binary, case, str(TWO_BATCHES), "two"], None, library))
    return samples


def median(samples, row, key):
    return statistics.median(one[key] for one in samples[row])


def say(text, value, good):
    print(f"{text}: {value} {'yes' if good else 'NO'}")


def print_cases(samples):
    rows = []
    for row, each in samples.items():
        case, _, name = row.partition(" ")
        rows.append([CASES[case] + (f", {name}" if name else ""),
                     *(f"{median(samples, row, key):.1f}" for key in ("mean_ns", "p50_ns", "p99_ns")),
                     f"{max(one['max_ns'] for one in each):.0f}",
                     sum(one["failures"] for one in each), sum(one["preempted"] for one in each)])
    print(f"\nns per operation, medians of {len(each)} rounds; a text is one operation")
    lib.table(rows, ["what", "mean", "p50", "p99", "max", "failures", "preempted"])


def times(samples, slow, fast):
    """How many times longer the slow one takes: median over the rounds' pairs."""
    return statistics.median(b["mean_ns"] / a["mean_ns"] for a, b in zip(samples[fast], samples[slow]))


def verdicts(samples, two):
    mean, p99 = median(samples, "pool-pairs", "mean_ns"), median(samples, "pool-pairs", "p99_ns")
    say(f"pool, take and put: mean <= {POOL_MEAN_NS} ns", f"{mean:.2f}", mean <= POOL_MEAN_NS)
    say(f"pool, take and put: P99 <= {POOL_P99_NS} ns", f"{p99:.2f}", p99 <= POOL_P99_NS)
    ratio = median(two, "pool-pairs", "ratio")
    say(f"pool, two threads >= {TWO_THREADS}x one", f"{ratio:.2f}", ratio >= TWO_THREADS)
    live = median(samples, "pool-live", "mean_ns")
    say(f"10,000 held, pool: mean <= {LIVE_NS} ns", f"{live:.0f}", live <= LIVE_NS)
    found = {}
    for text, slow, fast, wanted in (
            ("10,000 held, malloc / pool", "malloc-live", "pool-live", LIVE_TIMES),
            ("text, concatenation / builder", "malloc-concat", "builder-hint", BUILDER_TIMES),
            ("buffer, made new / reused", "malloc-buffer", "pool-buffer", REUSE_TIMES)):
        found[slow] = times(samples, slow + " glibc", fast)
        say(f"{text} (glibc) >= {wanted}", f"{found[slow]:.1f}", found[slow] >= wanted)
    return {"mean_ns": mean, "p99_ns": p99, "two_threads": ratio, "live_ns": live, "times": found}


def routes(args):
    """/pool/on and /pool/off in turns: requests per server-CPU-second, 16 deep."""
    samples = {"/pool/on": [], "/pool/off": []}
    with lib.weft(args.weft, "epoll", lib.free_port()) as server:
        server.wait_ready()
        for i in range(2 * args.alloc_rounds):
            for path in list(samples) if i % 2 == 0 else list(samples)[::-1]:
                samples[path].append(lib.sample(server, path + "?text=weft", ms=300, depth=16))
    pairs = [on["requests_per_cpu_s"] / off["requests_per_cpu_s"]
             for on, off in zip(samples["/pool/on"], samples["/pool/off"])
             if lib.counts(on) and lib.counts(off)]
    if not pairs:
        raise lib.BenchError("no pair of samples counts: the machine is too busy")
    ratio = statistics.median(pairs)
    say(f"/pool/on / /pool/off, requests per server-CPU-second, {len(pairs)} pairs >= {ROUTE_TIMES}",
        f"{ratio:.2f}", ratio >= ROUTE_TIMES)
    return {"ratio": ratio, "samples": samples}


def run(args):
    found = allocators()
    samples = rounds_of(plan_of(found), args.alloc_rounds)
    two = two_threads(found, args.alloc_rounds)
    print_cases(samples)
    print("\ntwo threads, each its own pool and CPU: together / one alone")
    lib.table([[row, f"{median(two, row, 'one_ns'):.1f}", f"{median(two, row, 'ratio'):.2f}",
                f"{min(one['ratio'] for one in each):.2f}", f"{max(one['ratio'] for one in each):.2f}"]
               for row, each in two.items()], ["what", "one: ns", "median", "least", "most"])
    result = verdicts(samples, two)
    if args.weft:
        result["routes"] = routes(args)
    return dict(result, samples=samples, two=two, machine=lib.machine())


def add_arguments(parser):
    parser.add_argument("--alloc-rounds", type=int, default=9)


if __name__ == "__main__":
    lib.alone(__doc__, add_arguments, run, help="the weft binary: for the routes")
