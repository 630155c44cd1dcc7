#!/usr/bin/env python3
"""run.py - all figures of the bench, or some, as tables and one JSON; `./dev bench` calls it.

usage: run.py [limit|idle|heap|footprint|admin|route|memory|bodies|all]... [--weft build/weft] [--json FILE]
              [--quick] and the options of the parts (limit.py --help ...)

`memory` and `bodies` are groups (MEMORY and BODIES below); each of their parts is a name too. Without a
name everything but these, which take an hour and half of one; `all` is everything, but for million: 10 GB.
"""
import argparse
import os
import subprocess
import sys
import tempfile

import admin
import alloc
import burst
import footprint
import heap
import history
import idle
import json_read
import lib
import limit
import limit64
import soak
import stress
import million

PARTS = {"alloc": alloc, "limit": limit, "idle": idle, "heap": heap, "footprint": footprint,
         "admin": admin, "burst": burst,
         "history": history, "limit64": limit64, "stress": stress, "soak": soak, "million": million,
         "json": json_read}
BY_NAME_ONLY = {"million"}  # or as one of memory
QUICK = {"rounds": 3, "alloc_rounds": 3, "ms": 300, "requests": 100000}


def run_route():
    """The router's bench is a program of its own; None where it is absent."""
    path = os.path.join(lib.HERE, "route.py")
    if not os.path.exists(path):
        print("\nroute: bench/route.py is not there")
        return None
    with tempfile.TemporaryDirectory(prefix="weft-bench-") as folder:
        out = os.path.join(folder, "route.json")
        sys.stdout.flush()
        done = subprocess.run([sys.executable, path, "--json", out], timeout=900, check=False)
        if done.returncode != 0:
            raise lib.BenchError(f"route.py ended with {done.returncode}")
        return lib.read_json(out) if os.path.exists(out) else None


# The parts of the groups. One that is not among PARTS is a script of its own.
MEMORY = ("alloc", "burst", "history", "million", "limit64", "soak", "stress")
BODIES = ("files", "crowd", "csv", "json", "cache", "redis", "subscribers", "compress")
SCRIPT_SECONDS = 3600  # for each such script


def run_script(part, args):
    """A script beside this one, in a process of its own; None where it is absent."""
    path = os.path.join(lib.HERE, part + ".py")
    if not os.path.exists(path):
        print(f"\n{part}: bench/{part}.py is not there")
        return None
    if not args.weft:
        raise lib.BenchError(f"{part} needs --weft")
    with tempfile.TemporaryDirectory(prefix="weft-bench-") as folder:
        out = os.path.join(folder, part + ".json")
        sys.stdout.flush()
        done = subprocess.run([sys.executable, path, "--weft", args.weft, "--json", out],
                              timeout=SCRIPT_SECONDS, check=False)
        if done.returncode != 0:
            raise lib.BenchError(f"{part}.py ended with {done.returncode}")
        return lib.read_json(out) if os.path.exists(out) else None


def run_part(part, args):
    if part == "route":
        return run_route()
    return PARTS[part].run(args) if part in PARTS else run_script(part, args)


def chosen_parts(names, parser):
    """The parts that the words on the command line stand for, each once."""
    groups = {"memory": list(MEMORY), "bodies": list(BODIES)}
    usual = [part for part in PARTS if part not in MEMORY + BODIES] + ["route"]
    known = usual + groups["memory"] + groups["bodies"]
    groups["all"] = [part for part in known if part not in BY_NAME_ONLY]
    found = []
    for name in names or usual:
        if name not in known and name not in groups:
            parser.error(f"no part {name}: {', '.join([*known, *groups])}")
        found += groups.get(name, [name])
    return list(dict.fromkeys(found))


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("parts", nargs="*", metavar="part",
                        help=f"{', '.join(dict.fromkeys([*PARTS, *MEMORY, *BODIES]))}, route, memory, bodies, all")
    parser.add_argument("--weft", default=lib.WEFT, help="the weft binary")
    parser.add_argument("--json", help="write all figures there")
    parser.add_argument("--quick", action="store_true", help="a short look, not for the record")
    for part in PARTS.values():
        part.add_arguments(parser)
    parser.set_defaults(port=None, pid=None)
    args = parser.parse_args()
    args.parts = chosen_parts(args.parts, parser)
    if args.quick:
        vars(args).update(QUICK)
    if not os.access(args.weft, os.X_OK):
        print(f"note: {args.weft} is not there: bare loops and nginx only")
        args.weft = None
    return args


def main():
    args = parse()
    result, failed = {"machine": lib.machine()}, []
    for part in args.parts:
        try:
            result[part] = run_part(part, args)
        except (lib.BenchError, OSError, subprocess.SubprocessError) as e:
            print(f"\n{part}: {e}")
            failed.append(part)
    result["failed"] = failed
    lib.finish(result, args.json)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
