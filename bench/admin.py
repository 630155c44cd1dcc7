#!/usr/bin/env python3
"""admin.py - does the admin listener answer while the workers are saturated? (rows HC-12, HC-13)

400 keep-alive connections ask `/` as fast as they can, server and load on all cores; meanwhile the
admin listener is asked for /healthz once every few milliseconds, each time on a new connection and on
a kept one. The figure is the 99th percentile of those answers.

usage: admin.py --weft build/weft [--admin-seconds 10]
"""
import http.client
import statistics
import subprocess
import time

import lib

WANTED_MS = 5.0
CONNECTIONS = 400


def ask(port, seconds):
    """Milliseconds of each answer, kept and new connections in turn."""
    kept = http.client.HTTPConnection('127.0.0.1', port, timeout=10)
    times, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        for conn in (kept, http.client.HTTPConnection('127.0.0.1', port, timeout=10)):
            start = time.monotonic()
            conn.request('GET', '/healthz')
            answer = conn.getresponse()
            answer.read()
            times.append((time.monotonic() - start) * 1000)
            if answer.status != 200:
                raise SystemExit('admin answered %d' % answer.status)
            if conn is not kept:
                conn.close()
        time.sleep(0.003)
    return sorted(times)


def measure(weft, engine, seconds):
    port, admin = lib.free_port(), lib.free_port()
    argv = [weft, 'demo', '--port', str(port), '--admin-port', str(admin), '--engine', engine]
    server = lib.Server('weft ' + engine, argv, port, pin=False)
    try:
        server.wait_ready()
        load = subprocess.Popen([lib.program('load'), '--port', str(port), '--conns',
                                 str(CONNECTIONS), '--ms', str(int(seconds * 1000 + 1500)),
                                 '--path', '/'], stdout=subprocess.PIPE)
        time.sleep(0.7)
        times = ask(admin, seconds)
        load.communicate(timeout=60)
    finally:
        server.stop()
    return {'engine': engine, 'answers': len(times), 'p50_ms': statistics.median(times),
            'p99_ms': times[int(len(times) * 0.99)], 'worst_ms': times[-1]}


def run(args):
    if not args.weft:
        raise lib.BenchError('admin needs --weft')
    rows = [measure(args.weft, engine, args.admin_seconds) for engine in ('epoll', 'uring')]
    print('\nadmin answers while %d connections saturate the workers' % CONNECTIONS)
    lib.table([[r['engine'], r['answers'], '%.2f' % r['p50_ms'], '%.2f' % r['p99_ms'],
                '%.2f' % r['worst_ms'], 'yes' if r['p99_ms'] <= WANTED_MS else 'NO'] for r in rows],
              ['engine', 'answers', 'p50 ms', 'p99 ms <= %.0f' % WANTED_MS, 'worst ms', 'met'])
    return rows


def add_arguments(parser):
    parser.add_argument('--admin-seconds', type=float, default=10)


if __name__ == '__main__':
    lib.alone(__doc__, add_arguments, run, required=True)
