#!/usr/bin/env python3
"""history.py - what sizing by history saves: traces replayed with first chunks as learned and fixed.

Four traces: `api`, `site` and `shifting` are made by history_trace.py from recorded distributions; `demo`
is recorded from the running demo under a scripted mix (its access log). The first half is training, figures
are of the second; history.c says how. Saved is against one first chunk for all requests that gives as
many growth events (chunks after a request's first): between the two fixed sizes that have more and
fewer of them, in proportion. Wanted: >= 30 % fewer committed bytes, predictions within 10 % of the P99.

usage: history.py --weft build/weft [--json FILE] [--keep FOLDER]
"""
import http.client
import io
import os
import random
import socket
import subprocess
import tempfile
import threading
import time

import history_trace
import lib

FIXED = (4096, 16384, 65536, 262144, 1048576)
CLIENTS = 16
DEMO_REQUESTS = 24000
CLOSE = 0.10


def replay(trace, policy):
    """{name: value} of one run of history.c."""
    done = subprocess.run([lib.program("history"), trace, str(policy)], capture_output=True, text=True,
                          timeout=300, check=False)
    if done.returncode != 0:
        raise lib.BenchError(f"history {trace} {policy}: {done.stderr.strip()}")
    return done.stdout


def figures(trace, policy):
    fields = replay(trace, policy).split()
    return dict(zip(fields[::2], map(float, fields[1::2])))


def at_equal_growth(fixed, grown, key):
    """What a fixed size costs that has so many growth events; None: beyond all of them."""
    for large, small in zip(fixed[1:], fixed):
        if large["grown"] <= grown <= small["grown"]:
            span = small["grown"] - large["grown"]
            part = (grown - large["grown"]) / span if span else 0.0
            return large[key] + part * (small[key] - large[key])
    return None


def compare(trace):
    fixed = [figures(trace, size) for size in FIXED]
    result = {str(size): row for size, row in zip(FIXED, fixed)}
    for policy in ("cap", "learned", "frozen"):
        result[policy] = figures(trace, policy)
    for policy in ("learned", "frozen"):
        row = result[policy]
        for key in ("committed", "held"):
            other = at_equal_growth(fixed, row["grown"], key)
            row["saved_" + key] = None if not other else 1 - row[key] / other
    return result


def print_comparison(rows):
    print(f"{'first chunk':<14}{'committed':>12}{'peak':>12}{'held/request':>14}{'grown/1000':>12}"
          f"{'saved':>9}{'of held':>9}")
    for name, row in rows.items():
        saved = [row.get("saved_committed"), row.get("saved_held")]
        print(f"{name:<14}{row['committed'] / 2**20:>9.2f} MB{row['peak'] / 2**20:>9.2f} MB"
              f"{row['held']:>14,.0f}{1000 * row['grown'] / row['requests']:>12.1f}"
              + "".join(f"{100 * one:>8.1f}%" for one in saved if one is not None))
    learned, least, cap = rows["learned"], rows["4096"], rows["cap"]
    print(f"learned: {least['grown'] / max(learned['grown'], 1):.1f}x fewer growth events than 4096 "
          f"growing, at {learned['committed'] / least['committed']:.2f}x its committed bytes; "
          f"{100 * (1 - learned['committed'] / cap['committed']):.0f} % less than every route's cap")


def off(predicted, true):
    return predicted / true - 1


def predictions(trace):
    """Per route: the prediction at half time against the P99 of all that follows; and in tenths of the
    second half, made when each begins."""
    found = {}
    for line in replay(trace, "predict").splitlines():
        fields = line.split()
        route = found.setdefault(fields[1], {"blocks": []})
        if fields[0] == "half":
            route.update(strategy=fields[2], first_chunk=4096 << 2 * int(fields[3]),
                         p99=int(fields[4]), true=int(fields[5]))
        elif int(fields[4]) > 0:
            route["blocks"].append(off(int(fields[3]), int(fields[4])))
    return found


def print_predictions(rows):
    print(f"{'route':<20}{'strategy':<9}{'first':>8}{'P99 said':>10}{'P99 true':>10}{'off':>8}"
          "   each tenth's P99, said before it")
    for name, row in rows.items():
        gap = f"{100 * off(row['p99'], row['true']):>+7.1f}%" if row["true"] else " " * 8
        tenths = " ".join(f"{100 * x:+.0f}" for x in row["blocks"])
        print(f"{name[:19]:<20}{row['strategy']:<9}{row['first_chunk']:>8}{row['p99']:>10}"
              f"{row['true']:>10}{gap}   {tenths}")
    known = [row for row in rows.values() if row["true"] >= 64]
    good = sum(abs(off(row["p99"], row["true"])) <= CLOSE for row in known)
    tenths = [abs(x) for row in rows.values() for x in row["blocks"]]
    close = sum(x <= CLOSE for x in tenths)
    print(f"within 10 %: {good} of {len(known)} routes over the second half; {close} of {len(tenths)} "
          "tenths")
    return {"routes": len(known), "good": good, "tenths": len(tenths), "close": close}


# ---- a trace of the demo ----

def targets(seed):
    """The mix of one client: many small ones, lists, a large page now and then, and peaks."""
    rng = random.Random(seed)
    for _ in range(DEMO_REQUESTS // CLIENTS):
        yield rng.choices(("/", "/json", f"/user/{rng.randrange(10**rng.randrange(1, 19))}",
                           "/shop/products", "/memory-test",
                           f"/burst?mb={rng.choice((1, 1, 1, 2, 2, 4))}&hold={rng.randrange(20)}"),
                          (20, 20, 30, 20, 6, 4))[0]


def client(port, seed, failed):
    try:
        conn = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        for target in targets(seed):
            conn.request("GET", target)
            if conn.getresponse().read() is None:
                failed.append(target)
        conn.close()
    except OSError as e:
        failed.append(str(e))


def wait_port(port, seconds=10.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.02)
    raise lib.BenchError("the demo does not listen")


def record_demo(weft, path):
    with tempfile.TemporaryDirectory(prefix="weft-bench-") as folder:
        log, port, failed = os.path.join(folder, "log"), lib.free_port(), []
        argv = [weft, "demo", "--port", str(port), "--admin-port", str(lib.free_port()), "--workers", "1",
                "--log-access", "json"]
        with open(log, "wb") as out:
            server = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out,
                                      stderr=subprocess.STDOUT)
        try:
            wait_port(port)
            threads = [threading.Thread(target=client, args=(port, i, failed)) for i in range(CLIENTS)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        finally:
            server.terminate()
            server.wait(20)
        if failed:
            raise lib.BenchError(f"the demo did not answer: {failed[:3]}")
        with open(log, encoding="ascii", errors="replace") as lines, \
                open(path, "w", encoding="ascii") as out:
            history_trace.record(lines, out)


def make_trace(name, path):
    text = io.StringIO()
    history_trace.make(name, text)
    with open(path, "w", encoding="ascii") as out:
        out.write(text.getvalue())


# ---- all of it ----

def add_arguments(parser):
    parser.add_argument("--keep", help="folder for the traces; they are made there unless they exist")


def run_traces(args, folder):
    result = {}
    for name in ("api", "site", "shifting", "demo"):
        path = os.path.join(folder, name + ".trace")
        if name == "demo" and not args.weft:
            print("\nhistory: no weft, no trace of the demo")
            continue
        if not os.path.exists(path):
            if name == "demo":
                record_demo(args.weft, path)
            else:
                make_trace(name, path)
        print(f"\nhistory: {name}, second half of the trace")
        rows, said = compare(path), predictions(path)
        print_comparison(rows)
        result[name] = {"policies": rows, "predictions": said, "within": print_predictions(said)}
    return result


def run(args):
    fields = subprocess.run([lib.program("history"), "cost"], capture_output=True, text=True,
                            timeout=120, check=True).stdout.split()
    cost = dict(zip(fields[::2], fields[1::2]))
    print(f"\nhistory: {float(cost['request_ns']):.1f} ns per request, predictions included; "
          f"{float(cost['predict_ns']) / 1000:.1f} us each; {cost['route_bytes']} bytes per route and worker")
    if args.keep:
        os.makedirs(args.keep, exist_ok=True)
        return {"cost": cost, **run_traces(args, args.keep)}
    with tempfile.TemporaryDirectory(prefix="weft-bench-") as folder:
        return {"cost": cost, **run_traces(args, folder)}


if __name__ == "__main__":
    lib.alone(__doc__, add_arguments, run, help="the weft binary")
