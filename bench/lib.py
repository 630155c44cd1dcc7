"""lib.py - what the bench drivers share: servers pinned to a core, the load, figures per tag.

Standard library only. Nothing here is timed but by the programs in C; Python sleeps meanwhile.
"""
import argparse
import http.client
import json
import os
import random
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
WEFT = os.path.join(os.path.dirname(HERE), "build", "weft")  # as ./dev build makes it
NEAR_NS = 200  # a cache line's round trip below this: the two CPUs share a cache
SERVER_CPU, LOAD_CPU = 0, 1
given_ports = set()
WAITED_MAX = 0.10  # a server that waited longer for its core, of the wall time, is not compared


class BenchError(Exception):
    """Something without which a figure would not count; the text says what."""


def program(name):
    """The path of a C part: $BENCH_BIN, build/bench beside the tree, or beside this file."""
    places = [os.environ.get("BENCH_BIN"), os.path.join(HERE, "..", "build", "bench"), HERE]
    for place in filter(None, places):
        path = os.path.join(place, name)
        if os.access(path, os.X_OK):
            return os.path.abspath(path)
    raise BenchError(f"{name} is not built: ninja -C build, or set BENCH_BIN")


def take_core(cpu):
    """For a child before exec: one CPU, and ahead of whatever else the machine does, as root."""
    def run():
        if cpu is not None:
            os.sched_setaffinity(0, {cpu})
        try:
            os.setsid()  # a scheduling group of its own, where the kernel makes one per session
            os.setpriority(os.PRIO_PROCESS, 0, -20)
            with open("/proc/self/autogroup", "w", encoding="ascii") as f:
                f.write("-20")
        except OSError:
            pass  # samples whose server had to wait are left out anyhow
    return run


def free_port():
    """Another one each time, below those that the kernel deals out: nobody gets it by chance before the
    server does."""
    ports = range(10000, int(read_text("/proc/sys/net/ipv4/ip_local_port_range").split()[0]))
    while True:
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", random.choice(ports) if ports else 0))
            except OSError:
                continue
            port = s.getsockname()[1]
        if port not in given_ports:
            given_ports.add(port)
            return port


def read_text(path):
    with open(path, encoding="ascii", errors="replace") as f:
        return f.read()


def read_json(path):
    with open(path, encoding="utf-8") as f:
        return json.load(f)


def children(pid):
    try:
        return [int(p) for p in read_text(f"/proc/{pid}/task/{pid}/children").split()]
    except OSError:
        return []


def tree(pid):
    """A process and its children: nginx works in one of them."""
    found = [pid]
    for child in children(pid):
        found += tree(child)
    return found


def cpu_ns(pid):
    """(ran, waited for a CPU) of all threads of a process and its children, ns."""
    ran = waited = 0
    for one in tree(pid):
        for task in os.listdir(f"/proc/{one}/task"):
            try:
                fields = read_text(f"/proc/{one}/task/{task}/schedstat").split()
            except OSError:
                continue
            ran, waited = ran + int(fields[0]), waited + int(fields[1])
    return ran, waited


def fields_kb(path):
    """{name: KB} of a /proc file of 'Name: 123 kB' lines."""
    found = {}
    for line in read_text(path).splitlines():
        name, _, value = line.partition(":")
        if value.strip().endswith("kB"):
            found[name] = int(value.split()[0])
    return found


def memory(pid):
    """Bytes of a process and its children: rss is Rss minus LazyFree, private is clean + dirty."""
    total = {"rss": 0, "private": 0, "page_tables": 0, "rss_peak": 0}
    for one in tree(pid):
        rollup = fields_kb(f"/proc/{one}/smaps_rollup")
        status = fields_kb(f"/proc/{one}/status")
        total["rss"] += (rollup["Rss"] - rollup.get("LazyFree", 0)) * 1024
        total["private"] += (rollup["Private_Clean"] + rollup["Private_Dirty"]) * 1024
        total["page_tables"] += status["VmPTE"] * 1024
        total["rss_peak"] += status["VmHWM"] * 1024
    return total


class Server:
    """A server process, pinned to SERVER_CPU, killed by its own pid. weft's peak must not have passed
    its plan when it ends."""
    admin_port = None

    def __init__(self, name, argv, port, env=None, pin=True, files=(), preexec=None):
        self.name, self.port, self.files = name, port, files
        core = take_core(SERVER_CPU if pin else None)

        def before_exec():
            core()
            if preexec:
                preexec()
        self.err = tempfile.TemporaryFile()
        self.started = time.monotonic()
        self.proc = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=self.err, stderr=self.err, env=env,
            preexec_fn=before_exec)
        self.pid = self.proc.pid

    def errors(self):
        self.err.seek(0)
        return self.err.read().decode(errors="replace")[-2000:]

    def wait_ready(self, seconds=10.0, step=0.02):
        """Returns the seconds from exec to the first accepted connection."""
        end = self.started + seconds
        while time.monotonic() < end:
            if self.proc.poll() is not None:
                raise BenchError(f"{self.name} ended with {self.proc.returncode}: {self.errors()}")
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return time.monotonic() - self.started
            except OSError:
                time.sleep(step)
        raise BenchError(f"{self.name} does not listen on {self.port}: {self.errors()}")

    def check_peak(self):
        """Peak <= plan, in every run; where the admin listener does not answer, nothing is said."""
        try:
            plan = json.loads(admin(self, "/memory")[1])["plan"]
            peak = fields_kb(f"/proc/{self.pid}/status")["VmHWM"] * 1024
        except (OSError, ValueError, KeyError, BenchError):
            return
        if peak > plan:
            raise BenchError(f"{self.name}: {peak:,} bytes at its peak, the plan said {plan:,}")

    def stop(self):
        try:
            if self.admin_port and self.proc.poll() is None:
                self.check_peak()
        finally:
            self.end()

    def end(self):
        if self.proc.poll() is None:
            self.proc.send_signal(signal.SIGTERM)
            try:
                self.proc.wait(5)
            except subprocess.TimeoutExpired:
                self.proc.kill()
                self.proc.wait(5)
        self.err.close()
        for path in self.files:
            shutil.rmtree(path, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


NGINX_CONF = """
worker_processes 1;
worker_rlimit_nofile {files};
pid {dir}/nginx.pid;
error_log {dir}/error.log error;
daemon off;
events {{ worker_connections {conns}; use epoll; }}
http {{
    access_log off;
    server_tokens off;
    keepalive_requests 2000000000;
    keepalive_timeout 3600s;
    client_body_temp_path {dir}/body;
    proxy_temp_path {dir}/proxy;
    fastcgi_temp_path {dir}/fastcgi;
    uwsgi_temp_path {dir}/uwsgi;
    scgi_temp_path {dir}/scgi;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        {more}
        location = / {{ default_type text/plain; return 200 "Hello, World!"; }}
        location = /json {{
            default_type application/json;
            return 200 '{{"request_id":"unknown","timestamp":1700000000,"status":"ok"}}';
        }}
    }}
}}
"""


def nginx(port, conns=4096, more=""):
    """Debian's nginx, one worker, access log off; None where it is not installed. more: of its server."""
    binary = shutil.which("nginx") or "/usr/sbin/nginx"
    if not os.access(binary, os.X_OK):
        return None
    folder = tempfile.mkdtemp(prefix="weft-bench-nginx-")
    os.chmod(folder, 0o755)
    conf = os.path.join(folder, "nginx.conf")
    with open(conf, "w", encoding="ascii") as f:
        f.write(NGINX_CONF.format(dir=folder, port=port, conns=conns, files=conns + 64, more=more))
    argv = [binary, "-p", folder, "-c", conf, "-e", os.path.join(folder, "error.log")]
    return Server("nginx", argv, port, files=(folder,))


def weft(binary, engine, port, workers=1, extra=(), env=None, pin=True, preexec=None):
    """weft demo on one engine; the admin listener's port is in admin_port."""
    admin_port = free_port()
    argv = [binary, "demo", "--host", "127.0.0.1", "--port", str(port), "--admin-port",
            str(admin_port), "--workers", str(workers), "--engine", engine, *extra]
    server = Server(f"weft {engine}", argv, port, env=env, pin=pin, preexec=preexec)
    server.admin_port = admin_port
    return server


def request_bytes(path):
    """The same request for every server."""
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()


def fetch(port, path, timeout=5):
    """One whole response, head included, exactly as it came."""
    with socket.create_connection(("127.0.0.1", port), timeout) as s:
        s.sendall(request_bytes(path))
        data = b""
        while True:
            head, _, body = data.partition(b"\r\n\r\n")
            for line in head.split(b"\r\n")[1:] if _ else ():
                name, _, value = line.partition(b":")
                if name.strip().lower() == b"content-length" and len(body) >= int(value):
                    return data
            got = s.recv(65536)
            if not got:
                raise BenchError(f"{path} on port {port}: closed after {data!r}")
            data += got


def admin(server, path):
    """(status, body) of the admin listener, however it is framed."""
    conn = http.client.HTTPConnection("127.0.0.1", server.admin_port, timeout=5)
    try:
        conn.request("GET", path)
        answer = conn.getresponse()
        return answer.status, answer.read().decode()
    except http.client.HTTPException as e:
        raise BenchError(f"{path} of the admin listener: {e!r}") from e
    finally:
        conn.close()


def run_json(argv, timeout):
    """Runs a C part that prints one JSON object."""
    try:
        out = subprocess.run(argv, capture_output=True, timeout=timeout, check=True,
                             preexec_fn=take_core(None))
    except subprocess.CalledProcessError as e:
        raise BenchError(f"{argv[0]}: {e.stderr.decode(errors='replace').strip()}") from e
    except subprocess.TimeoutExpired as e:
        raise BenchError(f"{argv[0]} did not end in {timeout} s") from e
    return json.loads(out.stdout)


def load(port, path="/", ms=None, requests=None, conns=64, depth=1, extra=()):
    argv = [program("load"), "--port", str(port), "--path", path, "--conns", str(conns),
            "--depth", str(depth), "--cpu", str(LOAD_CPU), *extra]
    argv += ["--requests", str(requests)] if requests else ["--ms", str(ms)]
    return run_json(argv, 600 if requests else ms / 1000 + 30)


def distance_ns():
    """A cache line's round trip between the two CPUs, now."""
    out = subprocess.run([program("pingpong"), str(SERVER_CPU), str(LOAD_CPU)],
                         capture_output=True, timeout=30, check=False,
                         preexec_fn=take_core(None))
    return int(out.stdout) if out.returncode == 0 else 10 ** 6


def tag_of(ns):
    return "near" if ns < NEAR_NS else "far"


def sample(server, path="/", ms=400, conns=128, depth=1, extra=()):
    """One measured run: requests per server-CPU-second, and what it takes to trust it."""
    before_ns = distance_ns()
    ran0, waited0 = cpu_ns(server.pid)
    result = load(server.port, path, ms=ms, conns=conns, depth=depth, extra=extra)
    ran1, waited1 = cpu_ns(server.pid)
    after_ns = distance_ns()
    tags = {tag_of(before_ns), tag_of(after_ns)}
    wall = result["seconds"]
    return {"server": server.name, "tag": tags.pop() if len(tags) == 1 else "mixed",
            "distance_ns": [before_ns, after_ns], "errors": result["errors"],
            "requests_per_s": result["requests"] / wall,
            "requests_per_cpu_s": result["requests"] / max((ran1 - ran0) / 1e9, 1e-9),
            "busy": (ran1 - ran0) / 1e9 / wall, "waited": (waited1 - waited0) / 1e9 / wall,
            "p50_us": result["p50_us"], "p99_us": result["p99_us"],
            "response_bytes": result["response_bytes"]}


def counts(s):
    """Whether a sample is fit to be compared."""
    return s["errors"] == 0 and s["waited"] <= WAITED_MAX and s["tag"] != "mixed"


def medians(samples, key="requests_per_cpu_s"):
    """{tag: {server: (median, how many)}} of the samples that count."""
    grouped = {}
    for s in samples:
        if counts(s):
            grouped.setdefault(s["tag"], {}).setdefault(s["server"], []).append(s[key])
    return {tag: {name: (statistics.median(values), len(values)) for name, values in by.items()}
            for tag, by in grouped.items()}


def table(rows, heads):
    """Plain columns: the first to the left, the others to the right."""
    cells = [heads] + [[str(c) for c in row] for row in rows]
    widths = [max(len(r[i]) for r in cells) for i in range(len(heads))]
    for row in cells:
        print("  ".join(c.ljust(w) if i == 0 else c.rjust(w)
                        for i, (c, w) in enumerate(zip(row, widths))).rstrip())


def machine():
    """What the figures were measured on."""
    model = [l.split(":", 1)[1].strip() for l in read_text("/proc/cpuinfo").splitlines()
             if l.startswith("model name")]
    try:
        congestion = read_text("/proc/sys/net/ipv4/tcp_congestion_control").strip()
    except OSError:
        congestion = "?"
    return {"cpu": model[0] if model else "?", "cpus": os.cpu_count(),
            "kernel": os.uname().release, "tcp": congestion,
            "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}


def finish(result, json_path):
    if json_path:
        with open(json_path, "w", encoding="ascii") as f:
            json.dump(result, f, indent=1, sort_keys=True)
            f.write("\n")
        print(f"written: {json_path}", file=sys.stderr)


def alone(doc, add_arguments, run, **weft):
    """A part as a program of its own: its first line, its arguments, its figures. weft: how argparse
    is to take --weft."""
    parser = argparse.ArgumentParser(description=doc.split("\n", maxsplit=1)[0])
    parser.add_argument("--weft", **weft)
    parser.add_argument("--json", help="write the figures there")
    add_arguments(parser)
    args = parser.parse_args()
    try:
        finish(run(args), args.json)
    except BenchError as e:
        sys.exit(f"{os.path.basename(sys.argv[0])}: {e}")
