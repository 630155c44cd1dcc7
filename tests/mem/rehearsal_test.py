"""OOM rehearsal: the Nth allocation, charge or mapping of our own code fails, for every N.

shows GB-12. A build with -Drehearsal=true counts such points (src/base/rehearsal.h) and fails those
that a file names: this test writes to it while the server runs. Two walks:

- Start and stop: N goes over all points from main() to exit. The server either says what it lacks
  and exits with 1 or 2, or it serves, and ends with 0.
- Serving: one exchange at a time (keep-alive, stream, file, upload, forms, CSV, JSON, caches,
  codings, ...) is repeated with its first, second, third ... point failing, until it passes without
  one: that point alone, then 20 in a row. Every answer is the right one, or a 503 with Retry-After (or 500, 413), or the connection is
  closed before or within it, never an answer that only looks whole; right after it the same exchange
  is good; and when all is closed every account of the ledger holds what it held before.

Never: a crash, a hang, a leak (LeakSanitizer at each exit), a report of a sanitizer.

To be done within two minutes, the suite takes a sample where points repeat: every STRIDE-th of a
start, and beyond the first two dozen of an exchange (or four, where 20 fail in a row) steps that grow. With
REHEARSAL=all it takes every point (of a loop of mallocs the first 200), and a sample of them with all
failing from there on.
"""
# phases: rehearsal
# seconds: 400
import ctypes
import functools
import gzip
import itertools
import json
import mmap
import os
import struct
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'e2e'))
import redis_test  # noqa: E402
import weft  # noqa: E402

PROGRAM = os.path.join(os.path.dirname(os.path.abspath(weft.BIN)), 'tests', 'test_waits')
WORKERS, OTHERS = 1, 2
ALL = os.environ.get('REHEARSAL') == 'all'
LEAST_STEP = 1 if ALL or weft.ENGINE == 'epoll' else 2
STRIDE = 1 if ALL else 3 if weft.ENGINE == 'epoll' else 8
FROM_THERE_ON = 1 << 62  # what waits for a buffer then waits for its deadline: 2 s
IN_A_ROW = (1, 20, FROM_THERE_ON) if ALL else (1, 20)
FLAGS = ('--workers', '1', '--access-log', 'text', '--requests-max', '64', '--tasks-max', '16',
         '--memory-limit', '2G', '--connections-max', '64', '--timeouts-header-ms', '2s',
         '--timeouts-idle-ms', '2s', '--timeouts-body-grace-ms', '2s', '--body-rate-min-bytes-s', '100000')
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

    def __init__(self, control, folder, program, flags):
        settings = os.path.join(folder, 'settings.yaml')
        with open(settings, 'w', encoding='utf-8') as out:
            out.write(SETTINGS)
        output = os.path.join(folder, 'output')
        with open(output, 'wb') as out:
            process = subprocess.Popen(
                [*program, '--port', '0', '--admin-port', '0', '--engine', weft.ENGINE,
                 '-c', settings, *FLAGS, *flags],
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
        except TimeoutError:
            self.answer = -1
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

    def test_every_point_of_the_demo(self):
        self.walk((weft.BIN, 'demo'), STRIDE)

    def test_with_all_that_bodies_need(self):
        """Mounts, coders, keys, a cache in a file, a history."""
        with tempfile.TemporaryDirectory(prefix='weft-rehearsal.') as folder:
            history = os.path.join(folder, 'history')
            self.walk((weft.BIN, 'demo'), 4 * STRIDE, *Bodies(folder).flags, '--memory-history-path', history)

    def test_expressions_are_compiled(self):
        """PCRE2 allocates through the leash: few points, which a sample may pass by."""
        self.walk((PROGRAM, 'serve'), 2 * STRIDE)
        self.walk((PROGRAM, 'serve'), 1, only='leash')

    def walk(self, program, stride, *flags, only=''):
        bad, sites, refused = [], {}, 0
        with tempfile.TemporaryDirectory(prefix='weft-rehearsal.') as folder:
            control = Control(folder)
            self.addCleanup(control.close)
            control.set(0, only=only)
            first = Run(control, folder, program, flags)
            self.assertEqual((first.wrong(), first.code, first.answer), (None, 0, 200), first.text)
            points = control.passed
            for at in range(1, points + 1, stride):
                control.set(at, only=only)
                run = Run(control, folder, program, flags)
                site = control.last if control.failed else '(not reached)'
                sites[site] = sites.get(site, 0) + 1
                refused += not run.served
                wrong = run.wrong()
                if wrong:
                    bad.append('point %d (%s): %s\n%s' % (at, site, wrong, run.text[-3000:]))
        print('%s, start to exit: %d points, %d of them failed, %d starts refused, by site %s' % (
            os.path.basename(program[0]), points, sum(sites.values()), refused, sites))
        self.assertEqual(bad, [], '\n'.join(bad))
        self.assertGreater(points, 0 if only else 100)
        self.assertGreater(refused, 0)


# ---- one exchange at a time ----

REFUSALS = (413, 500, 503)
OF_A_BODY = ('ETag', 'Last-Modified', 'Content-Encoding', 'Content-Range')
FILE_BYTES = 300000


class Refused(Exception):
    """The answer was a refusal, or the connection was closed instead of one."""


def check(answer, status, body=None):
    if answer.status in REFUSALS and answer.status != status:
        if answer.status == 503 and answer.get('Retry-After') is None:
            raise AssertionError('503 without Retry-After: %r' % answer)
        if any(answer.get(name) for name in OF_A_BODY):
            raise AssertionError('it tells of a body that is not there: %r' % answer)
        raise Refused
    if answer.status != status or (body is not None and answer.body != body):
        raise AssertionError('not the answer: %r' % answer)


def keep_alive(conn):
    for _ in range(3):
        check(conn.ask('/'), 200, b'Hello, World!')
    check(conn.ask('/user/7'), 200)
    check(conn.ask('/nothing'), 404)


def stack_buffer(conn):
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
        check(conn.answer(), 200, b'Hello, World!')


def head_in_pieces(conn):
    conn.send(weft.HELLO[:9])
    time.sleep(0.02)
    conn.send(weft.HELLO[9:])
    check(conn.answer(), 200, b'Hello, World!')


def large_arena(conn):
    check(conn.ask('/memory-test'), 200)


def objects(conn):
    check(conn.ask('/shop/products'), 200)
    check(conn.ask('/pool/on'), 200)
    check(conn.ask('/pool/off'), 200)


def burst(conn):
    check(conn.ask('/burst?mb=1&hold=5&via=arena'), 200)


def burst_of_malloc(conn):
    check(conn.ask('/burst?mb=1&hold=5&via=malloc'), 200)


def stream(conn):
    check(conn.ask('/stream?n=2000&pause=0'), 200, b''.join(b'Chunk %d\n' % i for i in range(2000)))


def stream_that_sleeps(conn):
    check(conn.ask('/stream?n=1500&pause=2'), 200,
          b''.join(b'Chunk %d\n' % i for i in range(1500)))


def stream_that_is_pulled(conn):
    check(conn.ask('/stream?n=1500'), 200, b''.join(b'Chunk %d\n' % i for i in range(1500)))


def events(conn):
    check(conn.ask('/events', method='POST', body=b'rehearsed'), 202)
    conn.send(weft.request('/events', headers=[('Last-Event-ID', 'none')]))
    head = conn.until(b'\r\n\r\n')
    if head is None or head[9:12] in (b'500', b'503'):
        raise Refused
    while b'data: rehearsed\n\n' not in conn.buffer:
        if not conn.more():
            raise Refused
    conn.close()


def file(conn):
    check(conn.ask('/file/large'), 200, bytes(FILE_BYTES))


def upload(conn):
    body = bytes(range(256)) * 300
    check(conn.ask('/echo', method='POST', body=body), 200, body)


def upload_in_chunks(conn):
    conn.send(b'POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe')
    time.sleep(0.02)
    conn.send(b'llo\r\n0\r\n\r\n')
    check(conn.answer('POST'), 200, b'hello')


def expression(conn):
    check(conn.ask('/word/weft4'), 200, b'hello')


def offloaded(conn):
    check(conn.ask('/block?ms=1'), 200, b'blocked')


def metrics(conn):
    check(conn.ask('/metrics'), 200)


def ledger(conn):
    answer = conn.ask('/memory')
    check(answer, 200)
    json.loads(answer.body)


def health(conn):
    check(conn.ask('/healthz'), 200)
    check(conn.ask('/readyz'), 200)


# ---- bodies ----

FORM = ('Content-Type', 'application/x-www-form-urlencoded')
JSON = ('Content-Type', 'application/json')
CSV = ('Content-Type', 'text/csv')
MULTIPART = ('Content-Type', 'multipart/form-data; boundary=rehearsed')
WORDS = b''.join(b'warp %d weft %d\n' % (i, i * i) for i in range(6000))
UPLOAD = bytes(range(256)) * 400  # more than what is gathered for one write
turns = itertools.count()


class Bodies:
    """Folders for what the exchanges below read and write, and the flags that switch all of it on."""

    def __init__(self, folder):
        self.root, self.uploads, self.kept = (os.path.join(folder, name) for name in ('root', 'up', 'pmem'))
        for path in (self.root, self.uploads, self.kept):
            os.mkdir(path)
        os.mkdir(os.path.join(self.root, 'many'))
        for i in range(30):
            self.put('many/%d' % i, b'')
        self.put('words.txt', WORDS)
        self.put('table.csv', b'a,b,c\n' * 9000)
        self.put('../keys', b'0123456789abcdef' * 4 + b'\n')
        self.flags = ('--root', self.root, '--upload-root', self.uploads, '--cookies-key-path',
                      os.path.join(folder, 'keys'), '--cache-pmem-path', self.kept, '--cache-pmem-bytes',
                      '1M', '--cache-policy', 's3-fifo', '--compress-codings', 'zstd, br, gzip',
                      '--compress-coders', '1')

    def put(self, name, data):
        with open(os.path.join(self.root, name), 'wb') as out:
            out.write(data)

    # Exchanges: each a method of a connection, as the functions above.

    def form(self, conn):
        answer = conn.ask('/form', 'POST', [FORM], b'name=Ada+L&city=%4condon')
        check(answer, 200, b'[{"name":"name","value":"Ada L"},{"name":"city","value":"London"}]')

    def multipart(self, conn):
        """What is there under its name is whole, whatever was answered."""
        part = b'--rehearsed\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n'
        body = (part % (b'note', b'', b'hello') + part % (b'file', b'; filename="a"', UPLOAD) +
                b'--rehearsed--\r\n')
        try:
            answer = conn.ask('/upload', 'POST', [MULTIPART], body)
            check(answer, 200)
            if [item.get('bytes') for item in json.loads(answer.body)] != [None, len(UPLOAD)]:
                raise AssertionError('not the answer: %r' % answer)
        finally:
            for name in os.listdir(self.uploads):
                path = os.path.join(self.uploads, name)
                with open(path, 'rb') as source:
                    whole = source.read() == UPLOAD
                os.unlink(path)
                if name != 'a' or not whole:
                    raise AssertionError('%s was left behind' % name)

    def csv_of_a_file(self, conn):
        check(conn.ask('/csv/table.csv'), 200, b'A,B,C\n' * 9000)

    def csv_that_is_sent(self, conn):
        check(conn.ask('/csv/stats', 'POST', [CSV], b'a,"b ""x""",c\n' * 3000), 200,
              b'{"rows":3000,"fields":9000,"widest":3,"bytes":21000}')

    def json_both_ways(self, conn):
        check(conn.ask('/users', 'POST', [JSON], b'{"name":"Ada","age":36}'), 201,
              b'{"id":100001,"name":"Ada","age":36}')
        answer = conn.ask('/users?size=300&fields=id,name')
        check(answer, 200)
        if len(json.loads(answer.body)['users']) != 300:
            raise AssertionError('not the answer: %r' % answer)

    def json_of_any_length(self, conn):
        users = b','.join(b'{"name":"User %d","age":1}' % i for i in range(1000))
        check(conn.ask('/users/census', 'POST', [JSON], b'[%s]' % users), 200,
              b'{"users":1000,"years":1000}')

    def signed_cookie(self, conn):
        answer = conn.ask('/login', 'POST', [FORM], b'user=ada')
        check(answer, 204)
        cookie = answer.get('Set-Cookie').split(';')[0]
        check(conn.ask('/whoami', headers=[('Cookie', cookie)]), 200, b'ada')

    def cached(self, conn):
        """Made, and found: or made once more, where it could not be kept."""
        target = '/cache/%d' % next(turns)
        for _ in range(2):
            answer = conn.ask(target + '?pad=3000')
            check(answer, 200)
            if len(answer.body) < 3000 or answer.body[:7] != b'{"key":':
                raise AssertionError('not the answer: %r' % answer)

    def static_file(self, conn):
        """One that is not open yet: opened, then copied, then found."""
        name = 'fresh-%d.txt' % next(turns)
        self.put(name, WORDS[:9000])
        try:
            for _ in range(3):
                answer = conn.ask('/static/' + name)
                check(answer, 200, WORDS[:9000])
            check(conn.ask('/static/' + name, headers=[('If-None-Match', answer.get('ETag'))]), 304, b'')
        finally:
            os.unlink(os.path.join(self.root, name))

    def static_ranges(self, conn):
        answer = conn.ask('/static/words.txt', headers=[('Range', 'bytes=0-9,9000-9099,50000-50010')])
        check(answer, 206)
        if WORDS[9000:9100] not in answer.body:
            raise AssertionError('not the answer: %r' % answer)

    def static_listing(self, conn):
        answer = conn.ask('/static/many/')
        check(answer, 200)
        if any(b'href="%d"' % i not in answer.body for i in range(30)):
            raise AssertionError('not the answer: %r' % answer)

    def coded(self, conn):
        """A file and a stream in each coding; as they are, where there is no coder."""
        lines = b''.join(b'Chunk %d\n' % i for i in range(2000))
        for coding in decoders():
            for target, plain in (('/static/words.txt', WORDS), ('/stream?n=2000&pause=0', lines)):
                answer = conn.ask(target, headers=[('Accept-Encoding', coding)])
                check(answer, 200)
                body = answer.body
                if answer.get('Content-Encoding') is not None:
                    body = decoders()[coding](body, len(plain))
                if body != plain:
                    raise AssertionError('not the answer, %s: %r' % (coding, answer))

    def all(self):
        return (self.form, self.multipart, self.csv_of_a_file, self.csv_that_is_sent, self.json_both_ways,
                self.json_of_any_length, self.signed_cookie, self.cached, self.static_file,
                self.static_ranges, self.static_listing, self.coded)


@functools.cache
def decoders():
    """{coding: function of a body and its length}, as far as there are libraries."""
    found = {'gzip': lambda body, _: gzip.decompress(body)}

    def brotli(body, length):
        out, size = ctypes.create_string_buffer(length + 1), ctypes.c_size_t(length + 1)
        done = brotlidec.BrotliDecoderDecompress(ctypes.c_size_t(len(body)), body, ctypes.byref(size), out)
        return out.raw[:size.value] if done == 1 else b''

    def zstd(body, length):
        out = ctypes.create_string_buffer(length + 1)
        size = libzstd.ZSTD_decompress(out, ctypes.c_size_t(length + 1), body, ctypes.c_size_t(len(body)))
        return out.raw[:size] if 0 <= size <= length + 1 else b''
    try:
        brotlidec = ctypes.CDLL('libbrotlidec.so.1')
        found['br'] = brotli
        libzstd = ctypes.CDLL('libzstd.so.1')
        found['zstd'] = zstd
    except OSError:
        pass
    return found


def cached_elsewhere(conn):
    """The first is found again, where its place was given to the second."""
    first, second = next(turns), next(turns)
    for turn in (first, second, first):
        answer = conn.ask('/cache/%d?pad=1000' % turn)
        check(answer, 200)
        if not answer.body.startswith(b'{"key":"%d"' % turn):
            raise AssertionError('not the answer: %r' % answer)


PUBLIC = (keep_alive, stack_buffer, json_answer, many_headers, pipelined, head_in_pieces, large_arena,
          objects, burst, burst_of_malloc, stream, stream_that_sleeps,
          stream_that_is_pulled, events, file, upload,
          upload_in_chunks)
ADMIN = (metrics, ledger, health)
WATCH_BYTES = 16  # struct weft_watch's place in its pool
# By design: a channel's newest events, files that stay open, what caches hold.
KEPT = ('demo_events', 'open files', 'answers', 'cache files', 'redis', 'hiredis')


def step(at, count):
    """From a point to the next that is tried."""
    if ALL and count != FROM_THERE_ON and at < 200:
        return 1  # beyond, it is one call of malloc in a loop
    return max(LEAST_STEP, at // (24 if count == 1 else 4))


class Serving(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix='weft-rehearsal.')
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        with open(os.path.join(folder.name, 'large'), 'wb') as out:
            out.write(bytes(FILE_BYTES))
        self.control = Control(folder.name)
        self.addCleanup(self.control.close)
        self.control.off()
        self.sites = {}
        self.outcomes = {'served': 0, 'refused': 0}

    def start(self, *flags, **program):
        self.server = weft.Server(*FLAGS, *(flags or ('--root', self.folder)),
                                  env={'REHEARSAL_FILE': self.control.path}, **program)
        self.addCleanup(self.server.kill)

    def perform(self, exchange, admin):
        """None: all as without a failure. Else how it was refused."""
        port = self.server.admin_port if admin else self.server.port
        try:
            with weft.Conn(port) as conn:
                exchange(conn)
            return None
        except Refused:
            return 'refused'
        except TimeoutError:
            raise AssertionError('%s: no answer' % exchange.__name__) from None
        except (weft.Closed, weft.Short, ConnectionError) as error:
            return repr(error)

    def held(self):
        """What each account holds while nothing but this question is under way. The worker's ear for changes
        of files that stay open is there once the first was asked for again, or when a failure has passed."""
        rows = {(row['owner'], row.get('worker')): (row['used'], row.get('promised', 0))
                for row in self.server.memory()['owners'] if row['owner'] not in KEPT}
        ears = self.server.open_files().count('anon_inode:inotify')
        used, promised = rows[('watches', '0')]
        rows[('watches', '0')] = (used - WATCH_BYTES * ears, promised)
        return rows

    def at_rest(self):
        """What is held when nobody is connected. The worker lends its first buffers in its first turn, whoever
        was asked so far."""
        self.server.ask('/')
        self.assertTrue(weft.wait_until(lambda: self.server.open_connections() == 0))
        return self.held()

    def settled(self, before):
        """Back to what it was? Connections close a moment after their clients."""
        if weft.wait_until(lambda: self.held() == before, 5, 0.005):
            return
        now = self.held()
        raise AssertionError('not given back: %r' % {
            key: (before.get(key), now.get(key)) for key in now if now[key] != before.get(key)})

    def fail_at(self, exchange, at, count, admin, before, only=''):
        """One failure; returns whether there was one."""
        self.control.set(at, count, OTHERS if admin else WORKERS, only)
        outcome = self.perform(exchange, admin)
        failed, site = self.control.failed, self.control.last
        self.control.off()
        self.assertIsNone(self.server.process.poll(), self.server.output()[-4000:])
        if not failed:
            self.assertIsNone(outcome)
            return False
        self.sites[site] = self.sites.get(site, 0) + 1
        self.outcomes['refused' if outcome else 'served'] += 1
        self.settled(before)
        self.assertIsNone(self.perform(exchange, admin), 'it does not recover')
        self.settled(before)
        return True

    def walk(self, exchanges, admin, *flags, **program):
        self.start(*flags, **program)
        for exchange in exchanges:  # the first time more is touched than later: not to be compared
            self.assertIsNone(self.perform(exchange, admin), exchange.__name__)
        before = self.at_rest()
        points = 0
        for exchange in exchanges:
            for count in IN_A_ROW:
                at = 1
                try:
                    while self.fail_at(exchange, at, count, admin, before):
                        at += step(at, count)
                        points += 1
                except AssertionError as error:
                    raise AssertionError('%s, %s point %d on (%s): %s\n%s' % (
                        exchange.__name__, '%d from' % count, at, self.control.last, error,
                        self.server.output()[-4000:])) from None
        self.server.stop()
        print('%s: %d points failed, %s, by site %s' % (
            'admin' if admin else 'public', points, self.outcomes, self.sites))
        self.assertGreater(self.outcomes['refused'], 0)

    def test_what_only_happens_once(self):
        """The first thread of the offload pool, the first use of a stack."""
        for only, exchange in (('pthread_create', offloaded), ('mprotect', expression)):
            self.start(binary=PROGRAM, command='serve')
            self.control.set(1, 1, WORKERS, only)
            outcome = self.perform(exchange, False)
            self.assertEqual((self.control.failed, self.control.last), (1, only))
            self.assertIsNotNone(outcome)
            self.control.off()
            self.assertIsNone(self.perform(exchange, False))
            self.server.stop()

    def test_every_point_of_expressions_and_offloading(self):
        self.walk((expression, offloaded), False, binary=PROGRAM, command='serve')

    def test_every_point_of_each_exchange(self):
        self.walk(PUBLIC, False)
        for site in ('pool', 'promise', 'slot', 'stack', 'malloc'):
            self.assertIn(site, self.sites)

    def test_every_point_of_each_kind_of_body(self):
        bodies = Bodies(self.folder)
        self.walk(bodies.all(), False, *bodies.flags)
        kinds = {'arena', 'cache', 'coder', 'copy', 'file', 'library', 'offload'}
        self.start(*bodies.flags)
        for exchange in bodies.all():
            self.assertIsNone(self.perform(exchange, False), exchange.__name__)
        before = self.at_rest()
        for kind in sorted(kinds - set(self.sites)):  # a sample may pass by the one point that there is of a kind
            self.assertTrue(any(self.fail_at(exchange, 1, 1, False, before, kind) for exchange in bodies.all()), kind)

    def test_every_point_of_a_shared_cache(self):
        redis = redis_test.Redis()
        self.addCleanup(redis.close)
        self.walk((cached_elsewhere,), False, '--cache-redis', redis.address, '--cache-entries-max', '1',
                  '--cache-policy', 'lru')

    def test_every_point_of_the_admin_listener(self):
        self.walk(ADMIN, True)


if __name__ == '__main__':
    unittest.main()
