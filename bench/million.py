#!/usr/bin/env python3
"""million.py - 1,000,000 idle keep-alive connections on one machine, both ends of them.

One weft, io_uring with direct descriptors: a table per worker, as many workers as it takes. Client
processes hold up to 19,000 connections each, every process from loopback addresses of its own; each
connection does one request. Told at the end: what the server's process holds, what the kernel
holds (both ends: clients are on the same machine), 1,000 answers on connections picked at random,
and what is left 1 s after the last one closed. Needs about 14 GB for a million; it stops adding
connections when less than 1.5 GiB is available.

usage: million.py [--weft build/weft] [--connections 1000000] [--json FILE]
"""
import os
import re
import resource
import subprocess
import time
import urllib.request

import lib

PER_CLIENT = 19000             # connections of a client process: RLIMIT_NOFILE is often 20,000
STEP = 950                     # opened before the memory is looked at again
AVAILABLE_MIN = 1536 << 20     # bytes: below, nothing more is opened
RSS_MAX = 28_000_000           # wanted at a million, bytes
BACK_MAX = 2 << 20             # wanted 1 s after the end, above the baseline
ASKED = 1000
WARM_UP = 10000                # connections before the baseline is taken
BYTES_MIN = 11 << 10           # of the machine, per connection: whether to begin at all


def available():
    return lib.fields_kb("/proc/meminfo")["MemAvailable"] * 1024


def slabs():
    """{cache: bytes} of the kernel's objects; empty where it may not be read."""
    found = {}
    try:
        lines = lib.read_text("/proc/slabinfo").splitlines()[2:]
    except OSError:
        return found
    for line in lines:
        fields = line.split()
        found[fields[0]] = int(fields[14]) * int(fields[5]) * os.sysconf("SC_PAGE_SIZE")
    return found


def kernel():
    """What the whole system's kernel holds, bytes."""
    memory = lib.fields_kb("/proc/meminfo")
    sockets = re.search(r"^TCP:.* inuse (\d+).* mem (\d+)", lib.read_text("/proc/net/sockstat"), re.M)
    return {"available": memory["MemAvailable"] * 1024, "slab": memory["Slab"] * 1024,
            "tcp_sockets": int(sockets.group(1)),
            "tcp_buffers": int(sockets.group(2)) * os.sysconf("SC_PAGE_SIZE"), "slabs": slabs()}


class Client:
    """A process that holds connections, from two loopback addresses of its own."""

    def __init__(self, port, number):
        source = f"127.0.{1 + number // 100}.{1 + number % 100 * 2}"
        self.count = 0
        self.proc = subprocess.Popen([lib.program("idle_clients"), str(port), source, "/"],
                                     stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def tell(self, text):
        self.proc.stdin.write(text + "\n")
        self.proc.stdin.flush()

    def told(self):
        answer = self.proc.stdout.readline().split()
        if not answer:
            raise lib.BenchError(f"a client ended with {self.proc.wait(30)}")
        return answer

    def close(self):
        self.proc.stdin.close()


class Crowd:
    """All clients together."""

    def __init__(self, port):
        self.port = port
        self.clients = []

    @property
    def count(self):
        return sum(c.count for c in self.clients)

    def add(self, connections):
        """Two processes at a time, a step each, until there are so many or memory gets short."""
        target, shown = self.count + connections, time.monotonic()
        pair = []
        while self.count < target:
            if available() < AVAILABLE_MIN:
                print(f"  less than {AVAILABLE_MIN >> 20} MiB available: no more are opened")
                return False
            pair = [c for c in pair if c.count < PER_CLIENT]
            while len(pair) < 2:
                self.clients.append(Client(self.port, len(self.clients)))
                pair.append(self.clients[-1])
            for client in pair:
                client.count += min(STEP, PER_CLIENT - client.count, target - self.count)
                client.tell(f"open {client.count}")
            for client in pair:
                client.told()
            if time.monotonic() > shown + 5:
                shown = time.monotonic()
                print(f"  {self.count:,} open, {available() >> 20:,} MiB available", flush=True)
        return True

    def ask(self, count):
        """Returns (answered, slowest in us): each process asks its share, one after another."""
        answered = worst = 0
        for i, client in enumerate(self.clients):
            share = count // len(self.clients) + (i < count % len(self.clients))
            if share == 0:
                continue
            client.tell(f"ask {share}")
            _, done, slowest = client.told()
            answered, worst = answered + int(done), max(worst, int(slowest))
        return answered, worst

    def close(self):
        for client in self.clients:
            client.close()
        for client in self.clients:
            client.proc.wait(120)
            client.proc.stdout.close()
        self.clients = []


def metric(server, name):
    url = f"http://127.0.0.1:{server.admin_port}/metrics"
    with urllib.request.urlopen(url, timeout=30) as answer:
        text = answer.read().decode()
    lines = re.findall(r"^weft_" + name + r'\{[^}]*worker="\d+"[^}]*\} (\d+)', text, re.M)
    return sum(int(value) for value in lines)


def still_open(server):
    return (metric(server, "connections_accepted_total") -
            metric(server, "connections_closed_total"))


def wait_closed(server, seconds):
    """Returns when the server has no connection left, seconds on the monotonic clock."""
    end = time.monotonic() + seconds
    while still_open(server) > 0:
        if time.monotonic() > end:
            raise lib.BenchError(f"{still_open(server)} connections are open after {seconds} s")
        time.sleep(0.05)
    return time.monotonic()


def figures(server):
    found = lib.memory(server.pid)
    status = lib.fields_kb(f"/proc/{server.pid}/status")
    found["rss_anon"], found["rss_file"] = status["RssAnon"] * 1024, status["RssFile"] * 1024
    return found


def grown(before, after, count):
    """[(cache, bytes per connection)] of the kernel's caches that grew most."""
    rows = [((after["slabs"][name] - before["slabs"].get(name, 0)) / count, name)
            for name in after["slabs"]]
    return [(name, each) for each, name in sorted(rows, reverse=True) if each >= 8]


def show(result):
    n, held, idle, back = (result[k] for k in ("connections", "held", "idle", "back"))
    print(f"\nmillion: {n:,} idle keep-alive connections, {result['workers']} workers, "
          f"opened in {result['open_s']:.0f} s, closed in {result['close_s']:.1f} s")
    lib.table([[name, *(f"{one[key] / 1e6:,.2f}" for one in (idle, held, back)),
                f"{(held[key] - idle[key]) / n:,.1f}"]
               for name, key in (("RSS (Rss - LazyFree)", "rss"), ("  private", "private"),
                                 ("  anonymous", "rss_anon"), ("  of files", "rss_file"),
                                 ("page tables", "page_tables"))],
              ["process, MB", "idle", f"{n:,}", "1 s after", "bytes/conn"])
    before, after = result["kernel_idle"], result["kernel_held"]
    each = (after["slab"] - before["slab"]) / n
    machine = (before["available"] - after["available"]) / n
    print(f"\nkernel, both ends: {each:,.0f} bytes of objects (slab) per connection, and "
          f"{(after['tcp_buffers'] - before['tcp_buffers']) / n:,.1f} of socket buffers; the "
          f"machine's available memory fell by {machine:,.0f}, whatever else ran")
    lib.table([[name, f"{each:,.0f}"] for name, each in result["slabs"]],
              ["kernel objects", "bytes/conn"])
    print(f"\nasked {ASKED:,} at random: {result['answered']:,} answered, "
          f"slowest {result['worst_us']:,} us")
    above = back["rss"] - idle["rss"]
    print(f"RSS at {n:,}: {held['rss'] / 1e6:.2f} MB, wanted <= {RSS_MAX / 1e6:.0f} MB: "
          f"{'yes' if held['rss'] <= RSS_MAX else 'NO'}; 1 s after: {above / 1024:+,.0f} KiB of the "
          f"baseline, wanted <= {BACK_MAX >> 10:,}: {'yes' if above <= BACK_MAX else 'NO'}; "
          f"peak {result['peak'] / 1e6:.1f} MB of a plan of {result['plan'] / 1e6:,.0f} MB")


def measure(server, args):
    crowd = Crowd(server.port)
    result = {"wanted": args.connections}
    try:
        crowd.add(min(WARM_UP, args.connections))
        crowd.close()
        time.sleep(max(0, wait_closed(server, 30) + 2 - time.monotonic()))
        result["idle"], result["kernel_idle"] = figures(server), kernel()
        started = time.monotonic()
        result["whole"] = crowd.add(args.connections)
        result["open_s"] = time.monotonic() - started
        result["connections"] = crowd.count
        time.sleep(2)
        if still_open(server) != crowd.count:
            raise lib.BenchError(f"{still_open(server)} of {crowd.count} connections are open")
        result["held"], result["kernel_held"] = figures(server), kernel()
        result["slabs"] = grown(result["kernel_idle"], result["kernel_held"], crowd.count)
        result["answered"], result["worst_us"] = crowd.ask(ASKED)
        started = time.monotonic()
    finally:
        crowd.close()
    last = wait_closed(server, 120)
    result["close_s"] = last - started
    time.sleep(max(0, last + 1 - time.monotonic()))
    result["back"] = figures(server)
    result["peak"] = max(result["back"]["rss_peak"], result["held"]["rss"])
    return result


def run(args):
    if not args.weft:
        raise lib.BenchError("there is no weft")
    if args.connections * BYTES_MIN > available() - AVAILABLE_MIN:
        print(f"note: {available() >> 20:,} MiB available: fewer than wanted will do")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    flags = ("--workers", args.workers, "--connections-max", str(args.connections), "--descriptors", "direct",
             "--timeouts-idle-ms", "24h", "--tcp-backlog", "4096")
    plan = subprocess.run([args.weft, "plan", *flags], capture_output=True, text=True, check=False)
    if plan.returncode != 0:
        raise lib.BenchError(plan.stderr.strip())
    print(f"\nmillion: RLIMIT_NOFILE {soft:,} (hard {hard:,}), {available() >> 20:,} MiB available")
    with lib.weft(args.weft, "uring", lib.free_port(), workers=args.workers, extra=flags,
                  pin=False) as server:
        server.wait_ready()
        result = measure(server, args)
    result["workers"] = int(re.search(r"(\d+) workers", plan.stdout).group(1))
    result["plan"] = int(re.search(r"^total\s+(\d+)", plan.stdout, re.M).group(1))
    show(result)
    return {"machine": lib.machine(), "million": result}


def add_arguments(parser):
    parser.add_argument("--connections", type=int, default=1000000)
    parser.add_argument("--workers", default="auto", help="auto: as many as the tables take")


if __name__ == "__main__":
    lib.alone(__doc__, add_arguments, run, default=lib.WEFT)
