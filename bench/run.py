#!/usr/bin/env python3
"""run.py - all figures of the bench, or some, as tables and one JSON; `./dev bench` calls it.

usage: run.py [alloc|limit|idle|heap|footprint|admin|history|route|million|all]... [--weft build/weft]
              [--json FILE] [--quick] and the options of the parts (limit.py --help ...)
million takes 10 GB and minutes: all does not mean it.
"""
import argparse
import os
import subprocess
import sys
import tempfile

import admin
import alloc
import footprint
import heap
import history
import idle
import lib
import limit
import limit64
import million

PARTS = {"alloc": alloc, "limit": limit, "idle": idle, "heap": heap, "footprint": footprint,
         "admin": admin, "history": history, "limit64": limit64, "million": million}
BY_NAME_ONLY = {"million"}
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


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("parts", nargs="*", metavar="part",
                        help=f"{', '.join(PARTS)}, route or all (default)")
    default = os.path.join(lib.HERE, "..", "build", "weft")
    parser.add_argument("--weft", default=os.path.abspath(default), help="the weft binary")
    parser.add_argument("--json", help="write all figures there")
    parser.add_argument("--quick", action="store_true", help="a short look, not for the record")
    for part in PARTS.values():
        part.add_arguments(parser)
    parser.set_defaults(port=None, pid=None)
    args = parser.parse_args()
    known = [*PARTS, "route"]
    usual = [part for part in known if part not in BY_NAME_ONLY]
    args.parts = usual if not args.parts or "all" in args.parts else args.parts
    for part in args.parts:
        if part not in known:
            parser.error(f"no part {part}: {', '.join(known)}, all")
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
            result[part] = run_route() if part == "route" else PARTS[part].run(args)
        except (lib.BenchError, OSError, subprocess.SubprocessError) as e:
            print(f"\n{part}: {e}")
            failed.append(part)
    result["failed"] = failed
    lib.finish(result, args.json)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
