"""OOM rehearsal: the Nth allocation, charge or mapping of our own code fails, for every N.

shows GB-12. A build with -Drehearsal=true counts such points (src/base/rehearsal.h) and fails those
that a file names: this test writes to it while the server runs. Two walks:

- Start and stop: N goes over all points from main() to exit. The server either says what it lacks
  and exits with 1 or 2, or it serves, and ends with 0. The suite takes every STRIDE-th point (the
  first one changes with the engine); all of them with REHEARSAL=all.
- Serving: one exchange at a time (keep-alive, JSON, stream, file, upload, ...) is repeated with its
  first, second, third ... point failing, until it passes without one, once with that point alone and
  once with all from there on. Every answer is the right one, or a 503 (or 500 or 413, never part of
  one that looks whole), or the connection is closed; right after it the same exchange is good; and when all
  is closed every account of the ledger holds what it held before.

Never: a crash, a hang, a leak (LeakSanitizer at each exit), a report of a sanitizer.
"""
# phases: rehearsal
# seconds: 120
import json
import mmap
import os
import re
import struct
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'e2e'))
import weft  # noqa: E402

WORKERS, OTHERS = 1, 2
FOR_EVER = 1 << 62
STRIDE = 1 if os.environ.get('REHEARSAL') == 'all' else 2
FLAGS = ('--workers', '1', '--access-log', 'text', '--requests-max', '64', '--tasks-max', '16',
         '--memory-limit', '256M', '--connections-max', '64')
SETTINGS = 'route:\n  memory_bytes: 64K\ntimeouts:\n  idle_ms: 5s\n'


class Control:
    """struct weft_rehearsal: at, count, passed, failed, threads, only, last."""

    def __init__(self, folder):
        self.path = os.path.join(folder, 'rehearsal')
        with open(self.path, 'wb') as out:
            out.write(bytes(4096))
        with open(self.path, 'r+b') as file:
            self.page = mmap.mmap(file.fileno(), 4096)

    def close(self):
        self.page.close()

    def put(self, index, value):
        struct.pack_into('<Q', self.page, 8 * index, value)

    def get(self, index):
        return struct.unpack_from('<Q', self.page, 8 * index)[0]

    def set(self, at, count=1, threads=WORKERS | OTHERS, only=''):
        self.put(0, 0)
        self.page[40:64] = only.encode().ljust(24, b'\0')
        self.put(4, threads)
        self.put(2, 0)
        self.put(3, 0)
        self.put(1, count)
        self.put(0, at)

    def off(self):
        self.put(0, 0)
        self.put(4, 0)

    @property
    def passed(self):
        return self.get(2)

    @property
    def failed(self):
        return self.get(3)

    @property
    def last(self):
        return self.page[64:88].split(b'\0')[0].decode()


def environment(control):
    clean = {key: value for key, value in os.environ.items() if not key.startswith('WEFT_')}
    return dict(clean, REHEARSAL_FILE=control.path)


# ---- from main() to exit ----

class Run:
    """One start, a question if it came up, and its end."""

    def __init__(self, control, folder):
        settings = os.path.join(folder, 'settings.yaml')
        with open(settings, 'w', encoding='utf-8') as out:
            out.write(SETTINGS)
        output = os.path.join(folder, 'output')
        with open(output, 'wb') as out:
            process = subprocess.Popen(
                [weft.BIN, 'demo', '--port', '0', '--admin-port', '0', '--engine', weft.ENGINE,
                 '-c', settings, *FLAGS],
                stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                env=environment(control))

        def text():
            with open(output, encoding='utf-8', errors='replace') as source:
                return source.read()

        def settled():
            return process.poll() is not None or weft.ADMIN.search(text())
        self.answer = None
        try:
            self.hung = not weft.wait_until(settled, 10, 0.003)
            self.served = process.poll() is None
            if self.served and not self.hung:
                self.ask(int(weft.LISTENING.search(text()).group(1)))
                if process.poll() is None:
                    process.terminate()
            try:
                self.code = process.wait(10 * weft.SLOWER)
            except subprocess.TimeoutExpired:
                self.hung, self.code = True, None
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        self.text = text()

    def ask(self, port):
        try:
            with weft.Conn(port) as conn:
                self.answer = conn.ask('/').status
        except (OSError, weft.Closed, weft.Short):
            self.answer = 0

    def wrong(self):
        """What is not as it should be; None if all is well."""
        if self.hung:
            return 'it hangs'
        if weft.TROUBLE.search(self.text):
            return 'a report'
        if self.served:
            if self.answer not in (0, 200, 503):
                return 'answered %d' % self.answer
            if self.code in (0, 1, 2) and (self.code == 0 or 'cannot' in self.text):
                return None
            return 'exit %r after serving' % self.code
        if self.code not in (1, 2):
            return 'exit %r' % self.code
        return None if self.text.strip() else 'refused without a word'


class Start(unittest.TestCase):
    maxDiff = None

    def test_every_point_from_start_to_exit(self):
        bad, sites, refused = [], {}, 0
        with tempfile.TemporaryDirectory(prefix='weft-rehearsal.') as folder:
            control = Control(folder)
            self.addCleanup(control.close)
            control.set(0)
            first = Run(control, folder)
            self.assertEqual((first.wrong(), first.code, first.answer), (None, 0, 200), first.text)
            points = control.passed
            offset = 1 + (0 if weft.ENGINE == 'epoll' else STRIDE // 2)
            for at in range(offset, points + 1, STRIDE):
                control.set(at)
                run = Run(control, folder)
                site = control.last if control.failed else '(not reached)'
                sites[site] = sites.get(site, 0) + 1
                refused += not run.served
                wrong = run.wrong()
                if wrong:
                    bad.append('point %d (%s): %s\n%s' % (at, site, wrong, run.text[-3000:]))
        print('start to exit: %d points, %d of them failed, %d starts refused, by site %s' % (
            points, sum(sites.values()), refused, sites))
        self.assertEqual(bad, [], '\n'.join(bad))
        self.assertGreater(points, 100)
        self.assertGreater(refused, 0)


# ---- one exchange at a time ----

REFUSALS = (413, 500, 503)


class Refused(Exception):
    """The answer was a refusal, or the connection was closed instead of one."""


def check(answer, status, body=None):
    if answer.status in REFUSALS and answer.status != status:
        raise Refused
    if answer.status != status or (body is not None and answer.body != body):
        raise AssertionError('not the answer: %r' % answer)


def keep_alive(conn):
    for _ in range(3):
        check(conn.ask('/'), 200, b'Hello, World!')
    check(conn.ask('/nothing'), 404)
    check(conn.ask('/user/7'), 200)


def efficient(conn):
    check(conn.ask('/efficient'), 200)


def json_answer(conn):
    answer = conn.ask('/json')
    check(answer, 200)
    json.loads(answer.body)


def many_headers(conn):
    check(conn.ask('/', headers=[('X-%d' % i, 'y') for i in range(40)]), 200, b'Hello, World!')


def pipelined(conn):
    conn.send(weft.HELLO * 4)
    for _ in range(4):
        check(conn.read(), 200, b'Hello, World!')


def head_in_pieces(conn):
    conn.send(weft.HELLO[:9])
    time.sleep(0.01)
    conn.send(weft.HELLO[9:])
    check(conn.read(), 200, b'Hello, World!')


def memory(conn):
    check(conn.ask('/memory-test'), 200)


def stream(conn):
    answer = conn.ask('/stream?n=2000&pause=0')
    check(answer, 200)


def slow_stream(conn):
    check(conn.ask('/stream?n=3&pause=5'), 200)


def file(conn):
    answer = conn.ask('/file/hello.txt')
    check(answer, 200)


def upload(conn):
    body = bytes(range(256)) * 300
    check(conn.ask('/echo', method='POST', body=body), 200, body)


EXCHANGES = (keep_alive, efficient, json_answer, many_headers, pipelined, head_in_pieces, memory, stream,
             slow_stream, file, upload)


class Serving(unittest.TestCase):
    maxDiff = None


if __name__ == '__main__':
    unittest.main()
