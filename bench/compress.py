#!/usr/bin/env python3
"""compress.py - what coding a body on the way costs, in time and in memory, beside nginx with gzip.

Time: a text of 0.8 MB (the library's own sources), asked for one after the other; server-CPU-milliseconds
per MB of text, and what is left of it; gzip at the same level of the same zlib in both. Memory: 200 clients
ask for 16 MB of it and do not read; what that adds to the resident set, and how many of them were answered
coded (nginx's send buffers are kept small, so that its coders do not end before). Nothing is demanded of
these figures: they are what docs/compression.md speaks of.

usage: compress.py --weft build/weft [--compress-rounds 3] [--json FILE]
"""
import glob
import os
import shutil
import socket
import statistics
import tempfile
import time

import lib

REQUESTS, CLIENTS = 20, 200
CODINGS = ("gzip", "br", "zstd")
NGINX_CONF = """
worker_processes 1;
pid {dir}/nginx.pid;
error_log {dir}/error.log error;
daemon off;
events {{ worker_connections 4096; use epoll; }}
http {{
    access_log off;
    client_body_temp_path {dir}/body;
    proxy_temp_path {dir}/proxy;
    fastcgi_temp_path {dir}/fastcgi;
    uwsgi_temp_path {dir}/uwsgi;
    scgi_temp_path {dir}/scgi;
    default_type text/plain;
    gzip on;
    gzip_comp_level 6;
    gzip_types text/plain;
    server {{ listen 127.0.0.1:{port} backlog=4096{listen}; location /file/ {{ alias {root}/; }} }}
}}
"""


def make_text(folder):
    sources = sorted(glob.glob(os.path.join(lib.HERE, "..", "src", "*", "*.c")))
    text = b"".join(open(path, "rb").read() for path in sources)[:800000]
    with open(os.path.join(folder, "text.txt"), "wb") as out:
        out.write(text)
    with open(os.path.join(folder, "long.txt"), "wb") as out:
        out.write(text * 20)
    return len(text)


def nginx(root, listen=""):
    binary = shutil.which("nginx") or "/usr/sbin/nginx"
    if not os.access(binary, os.X_OK):
        return None
    folder, port = tempfile.mkdtemp(prefix="weft-bench-nginx-"), lib.free_port()
    os.chmod(folder, 0o755)
    conf = os.path.join(folder, "nginx.conf")
    with open(conf, "w", encoding="ascii") as out:
        out.write(NGINX_CONF.format(dir=folder, port=port, root=root, listen=listen))
    return lib.Server("nginx", [binary, "-p", folder, "-c", conf, "-e", os.path.join(folder, "error.log")],
                      port, files=(folder,))


def weft(args, root):
    return lib.weft(args.weft, "epoll", lib.free_port(),
                    extra=("--root", root, "--compress-codings", ",".join(CODINGS),
                           "--compress-file-bytes-max", "1G"))


def request(coding, name="text.txt"):
    return (f"GET /file/{name} HTTP/1.1\r\nHost: x\r\nAccept-Encoding: {coding}\r\n"
            "Connection: close\r\n\r\n").encode()


def whole(port, coding):
    """Bytes that came, head and framing included."""
    with socket.create_connection(("127.0.0.1", port), 30) as s:
        s.sendall(request(coding))
        head, got = b"", 0
        while piece := s.recv(1 << 18):
            head = head or piece
            got += len(piece)
    if b"Content-Encoding: " + coding.encode() not in head:
        raise lib.BenchError(f"port {port}: {coding} was not coded: {head[:300]!r}")
    return got


def cost(server, coding, text_bytes):
    """(server-CPU-ms per MB of text, share of it that came)"""
    whole(server.port, coding)
    before, came = lib.cpu_ns(server.pid)[0], 0
    for _ in range(REQUESTS):
        came += whole(server.port, coding)
    ms = (lib.cpu_ns(server.pid)[0] - before) / 1e6
    return ms / (REQUESTS * text_bytes / 1e6), came / (REQUESTS * text_bytes)


def times(args, root, text_bytes):
    found = {}
    for turn in range(args.compress_rounds):
        cases = [("weft", coding) for coding in CODINGS] + [("nginx", "gzip")]
        for name, coding in cases if turn % 2 == 0 else reversed(cases):
            server = nginx(root) if name == "nginx" else weft(args, root)
            if server is None:
                continue
            with server:
                server.wait_ready()
                found.setdefault(f"{name} {coding}", []).append(cost(server, coding, text_bytes))
    return {case: [statistics.median(column) for column in zip(*rows)] for case, rows in found.items()}


def held(server):
    """What clients that do not read add to the resident set; how many were answered coded."""
    whole(server.port, "gzip")
    start, conns, coded = lib.memory(server.pid)["rss"], [], 0
    try:
        for _ in range(CLIENTS):
            s = socket.socket()
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            s.connect(("127.0.0.1", server.port))
            s.sendall(request("gzip", "long.txt"))
            conns.append(s)
        for s in conns:
            s.settimeout(30)
            coded += b"Content-Encoding: gzip" in s.recv(1024)
        time.sleep(0.5)
        return lib.memory(server.pid)["rss"] - start, coded
    finally:
        for s in conns:
            s.close()


def memories(args, root):
    found = {}
    for name in ("weft", "nginx"):
        server = nginx(root, " sndbuf=32k") if name == "nginx" else weft(args, root)
        if server is not None:
            with server:
                server.wait_ready()
                found[name] = held(server)
    return found


def add_arguments(parser):
    parser.add_argument("--compress-rounds", type=int, default=3, help="samples of each server")


def run(args):
    with tempfile.TemporaryDirectory(prefix="weft-bench-") as root:
        os.chmod(root, 0o755)
        text_bytes = make_text(root)
        result = {"text_bytes": text_bytes, "times": times(args, root, text_bytes),
                  "held": memories(args, root)}
    print(f"\ncompress: {text_bytes:,} bytes of C, epoll, one worker")
    lib.table([(case, f"{ms:.1f}", f"{100 * share:.1f} %") for case, (ms, share) in result["times"].items()],
              ("server", "CPU ms per MB", "came"))
    for name, (grown, coded) in result["held"].items():
        print(f"{name}: {CLIENTS} clients that do not read: {grown / 1e6:+.1f} MB, {coded} of them coded")
    return result


if __name__ == "__main__":
    lib.alone(__doc__, add_arguments, run, required=True, help="the weft binary")
