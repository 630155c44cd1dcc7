#!/usr/bin/env python3
"""stress.py - does the plan mean something? Every term at once, as far as it goes.

A server whose handler takes as much as a request may (tests/programs/stress.c): most of its stack, all
of its arena, an answer that nobody reads. As many of those as requests.max allows, some with heads of
8,000 bytes, which keep their receive buffer, the others with heads in two pieces, which keep a block;
idle connections up to connections.max; functions on the offload threads; the admin listener asked by
many; before all that a pool of objects, a cache, a channel and the copies of files are filled, coders set
to streams that nobody reads, and as many listeners attached as may be. (Coders by zstd: brotli's need
depends on its input, so its bound is 1.5 times what ordinary text takes.) What is resident of each owner is its own figure (/memory counts pages, pagemap), of the process
the rest, of the kernel what a control group is charged for it (sockets included, bytes queued in them
apart: those are bounded by tcp_wmem, not by the plan).

Wanted: each term reached to 70 %, and none passed (terms below 1 % of the plan or short of two pages are
not judged: there pages count); the plan at most 1.5 times what was held at the
peak: VmHWM against the plan without the kernel's term, and both with it where a group can be made.

usage: stress.py [--weft build/weft]
"""
import contextlib
import itertools
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time

import lib
import limit64

sys.path.append(os.path.join(lib.HERE, "..", "tests", "e2e"))
import cgroups  # noqa: E402

REACHED_MIN, PLAN_MAX = 0.70, 1.5
SMALL = 0.01  # of the plan: what is smaller, or short of two pages, is not judged
SPARE = {"admin": "room for hundreds of routes", "routes": "counted with the process",
         "media types": "counted with the process"}
REQUESTS, WHOLE, CONNECTIONS = 256, 128, 2000  # per worker
PIECES_MS = 2000  # between the pieces: the server has read the first by then
FILL_S, FILL_S_MAX = 9, 40  # longer where a busy machine has not come so far
OFFLOAD = 2
FILES, FILE_BYTES = 256, 16 << 10  # as many as stay open; their copies fill files.hot_bytes
VALUES, EVENTS, THINGS = 600, 300, 64  # of a cache for 512, a ring for 256, a pool for 64
SUBSCRIBERS, CODERS = 500, 4  # per worker
LIBRARIES = re.compile(r"/lib(z|zstd|brotli\w+)\.so")


def flags_of(workers):
    return ["--workers", str(workers), "--memory-limit", "256M", "--connections-max",
            str(workers * CONNECTIONS), "--requests-max", str(REQUESTS), "--tasks-max", str(REQUESTS),
            "--buffers-count", "32", "--buffers-spare", str(WHOLE + 8), "--log-access", "text",
            "--offload-threads", str(OFFLOAD), "--timeouts-write-ms", "60s", "--compress-codings",
            "zstd, gzip", "--compress-coders", str(CODERS), "--subscribers-max", str(SUBSCRIBERS),
            "--memory-return-ms", "1m"]  # files that were asked for stay until all have been


def plan_of(program, engine, flags):
    """{term: bytes}, in order."""
    done = subprocess.run([program, "plan", "--engine", engine, *flags], capture_output=True, check=True)
    return {m.group(1): int(m.group(2)) for m in
            re.finditer(r"^(\S.*?) +(\d+)  ", done.stdout.decode(), re.M)}


def start(program, engine, flags, group):
    argv = [program, "serve", "--port", str(lib.free_port()), "--admin-port", str(lib.free_port()),
            "--engine", engine, *flags]
    server = lib.Server(f"stress {engine}", argv, int(argv[3]), pin=False,
                        preexec=group.enter if group else None)
    server.admin_port = int(argv[5])
    return server


class Bodies:
    """What is filled once and stays, and the clients that it takes; files are asked for all the time, else
    they would be closed."""

    def __init__(self, port, workers):
        self.port, self.held = port, []
        self.readers = 1 if workers == 1 else 8  # each worker is asked
        for path in (*(f"/cache/{i}" for i in range(VALUES)), *["/publish"] * EVENTS, *["/take"] * THINGS):
            lib.fetch(self.port, path)
        for _ in range(CODERS * workers * workers):
            self.hold("/coded", "Accept-Encoding: zstd\r\n")
        for _ in range(int(SUBSCRIBERS * workers * (1 if workers == 1 else 1.3))):
            self.hold("/events")
            if not self.held[-1].recv(64).startswith(b"HTTP/1.1 200"):
                self.held.pop().close()  # that worker has as many as may be
        self.over = threading.Event()
        self.reader = threading.Thread(target=self.ask_for_files)
        self.reader.start()

    def ask_for_files(self):
        with contextlib.ExitStack() as stack:
            stack.enter_context(contextlib.suppress(OSError))  # the server is stopped before we are
            conns = [stack.enter_context(socket.create_connection(("127.0.0.1", self.port)))
                     for _ in range(self.readers)]
            for turn in itertools.cycle(range(FILES)):
                if self.over.is_set():
                    return
                for conn in conns:
                    conn.sendall(f"GET /static/{turn} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
                    left = FILE_BYTES
                    while left > 0 and (got := len(conn.recv(65536))) > 0:
                        left -= got

    def hold(self, path, fields=""):
        conn = socket.socket()
        conn.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        conn.connect(("127.0.0.1", self.port))
        conn.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n{fields}\r\n".encode())
        self.held.append(conn)

    def close(self):
        self.over.set()
        self.reader.join()
        for conn in self.held:
            conn.close()


def libraries(pid):
    """Resident bytes of the coders' libraries: a part of the coders' term."""
    found, ours = 0, False
    with open(f"/proc/{pid}/smaps", encoding="ascii") as lines:
        for line in lines:
            if re.match(r"[0-9a-f]+-", line):
                ours = LIBRARIES.search(line) is not None
            elif ours and line.startswith("Rss:"):
                found += int(line.split()[1]) * 1024
    return found


def fill(server, workers):
    """The clients, in an order in which each gets its place."""
    more = 1.0 if workers == 1 else 1.3  # each worker is to be full, though chance deals them out
    heavy = int(REQUESTS * workers * more)
    mixes = [limit64.Mix(server.port, 600, [
        f"req:{(CONNECTIONS - SUBSCRIBERS) * workers - CODERS * workers * workers - heavy - 40}:-1:/:idle"]),
             limit64.Mix(server.port, 600, ["req:4:20:/threads:threads", "req:1:50:/none:missing"]),
             limit64.Mix(server.admin_port, 600, [
                 "req:50:-1:/readyz:idle", "req:8:5:/memory/top:top", "req:4:5:/metrics:metrics"])]
    time.sleep(2.5)
    mixes.append(limit64.Mix(server.port, 600, [
        f"jam:{int((REQUESTS - WHOLE) * workers * more)}:{PIECES_MS}:/all:pieces"]))
    time.sleep(0.3)
    mixes.append(limit64.Mix(server.port, 600, [f"jam:{int(WHOLE * workers * more)}:0:/all:whole"]))
    return mixes


def look(server, most, group):
    """Keeps the most that each term had resident."""
    memory = json.loads(lib.admin(server, "/memory")[1])
    now, explained = {}, memory["explained"]
    for owner in memory["owners"]:
        name = "admin" if owner["worker"] == "admin" else owner["owner"]
        now[name] = now.get(name, 0) + owner["resident"]
    loaded = libraries(server.pid)
    now["compress"] += loaded
    now["process"] = explained["image"] + explained["heap"] + max(0, explained["residual"]) - loaded
    now["threads"] = explained["thread_stacks"]
    if group:
        now["kernel"] = group.kernel()
    for name, value in now.items():
        most[name] = max(most.get(name, 0), value)


def stress(program, engine, workers=1):
    folder = tempfile.TemporaryDirectory(prefix="weft-stress.")
    for i in range(FILES):
        with open(os.path.join(folder.name, str(i)), "wb") as out:
            out.write(os.urandom(FILE_BYTES))
    flags = [*flags_of(workers), "--root", folder.name]
    terms = plan_of(program, engine, flags)
    total, _ = terms.pop("total"), terms.pop("limit")
    try:
        group = cgroups.Group(2 << 30)
    except cgroups.Unavailable as why:
        print(f"stress: no control group can be made here ({why}): the kernel's term is not looked at")
        group = None
    most, mixes, bodies = {}, [], None
    try:
        with start(program, engine, flags, group) as server:
            server.wait_ready()
            bodies = Bodies(server.port, workers)
            mixes = fill(server, workers)
            began = time.monotonic()
            while time.monotonic() - began < (FILL_S if is_full(terms, total, most) else FILL_S_MAX):
                look(server, most, group)
                time.sleep(0.2)
            peak = lib.memory(server.pid)["rss_peak"]
            served = [mix.end() for mix in mixes]
            mixes = []
    finally:
        for mix in mixes:
            mix.end()
        if bodies:
            bodies.close()
        if group:
            group.remove()
        folder.cleanup()
    ours = total - terms["kernel"]
    return {"engine": engine, "workers": workers, "terms": terms, "reached": most, "plan": total,
            "peak": peak, "kernel": most.get("kernel"), "ratio": ours / peak,
            "ratio_kernel": total / (peak + most["kernel"]) if group else None, "served": served}


def shares(found):
    """[(term, plan, reached, share, is it enough; None: not looked at)]"""
    rows = []
    for name, plan in found["terms"].items():
        got = found["reached"].get(name)
        small = plan < SMALL * found["plan"] or plan - (got or 0) <= 8192
        judged = got is not None and name not in SPARE
        rows.append((name, plan, got, None if got is None else got / plan,
                     got <= plan and (small or got / plan >= REACHED_MIN) if judged else None))
    return rows


def is_full(terms, plan, most):
    rows = shares({"terms": terms, "plan": plan, "reached": most})
    return all(enough is not False for name, _, _, _, enough in rows if name != "process")


def show(found):
    print(f"\nstress, {found['engine']}, {found['workers']} workers: every term at once")
    word = {None: "", True: "yes", False: "NO"}
    lib.table([[name, f"{plan:,}", "" if got is None else f"{got:,}",
                "" if share is None else f"{share:.0%}", word[enough] or SPARE.get(name, "")]
               for name, plan, got, share, enough in shares(found)],
              ["term", "plan", "reached", "", f">= {REACHED_MIN:.0%}"])
    rows = [["plan without the kernel's term / VmHWM", f"{found['plan'] - found['terms']['kernel']:,}",
             f"{found['peak']:,}", f"{found['ratio']:.2f}", word[1 <= found["ratio"] <= PLAN_MAX]]]
    if found["ratio_kernel"]:
        rows.append(["plan / (VmHWM + the kernel's charge)", f"{found['plan']:,}",
                     f"{found['peak'] + found['kernel']:,}", f"{found['ratio_kernel']:.2f}",
                     word[1 <= found["ratio_kernel"] <= PLAN_MAX]])
    lib.table(rows, ["", "plan", "peak", "ratio", f"1 to {PLAN_MAX}"])


def run(args):
    if not args.weft:
        raise lib.BenchError("it takes a weft binary, and tests/test_stress beside it")
    program = os.path.join(os.path.dirname(args.weft), "tests", "test_stress")
    found = []
    for engine in ("uring", "epoll"):
        for workers in (1, 2):
            found.append(stress(program, engine, workers))
            show(found[-1])
    return {"machine": lib.machine(), "stress": found}


def add_arguments(parser):
    del parser


if __name__ == "__main__":
    lib.alone(__doc__, add_arguments, run, default=lib.WEFT)
