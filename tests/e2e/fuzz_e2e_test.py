"""100,000 random and mutated requests over several connections: the server neither dies nor grows,
and says nothing but well-formed answers before it closes."""
# seconds: 480
# Fixed seed: a failure happens again. WEFT_FUZZ_COUNT and WEFT_FUZZ_SEED are for longer hunts.
import os
import random
import select
import socket
import time
import unittest

import weft

COUNT = int(os.environ.get('WEFT_FUZZ_COUNT', weft.volume(100000, 30000)))
SEED = int(os.environ.get('WEFT_FUZZ_SEED', 1))
BATCH = 24       # cases sent on one connection, until one ends it
CONNS = 16
SECONDS = 440 * weft.SLOWER

SEEDS = [
    weft.HELLO,
    b'\r\n' + weft.HELLO,
    weft.request('/json', headers=[('X-Request-ID', 'a"b\\c')]),
    weft.request('/user/12345'),
    weft.request('/user/99999999999999999999'),
    weft.request('/file/index.html'),
    weft.request('/file/%2e%2e/%2e%2e/etc/passwd'),
    weft.request('/stream?n=30&pause=0'),
    weft.request('/echo', 'POST', body=b'hello, body'),
    weft.request('/echo', 'POST', body=b'x' * 3000),
    weft.request('/echo', 'POST', [('Transfer-Encoding', 'chunked')]) + weft.chunked([b'ab', b'c' * 20]),
    weft.request('/echo', 'POST', [('Transfer-Encoding', 'chunked')]) +
    b'3;a=b;c="d"\r\nabc\r\n0\r\nX-T: y\r\n\r\n',
    weft.request('/echo', 'POST', [('Expect', '100-continue')], b'expected'),
    weft.request('/', 'OPTIONS'),
    weft.request('*', 'OPTIONS'),
    weft.request('/', 'DELETE'),
    weft.request('http://a.example:80/efficient?x=y'),
    weft.request('/', version='1.0'),
    weft.request('/', version='1.0', headers=[('Connection', 'keep-alive')]),
    weft.request('/', headers=[('Connection', 'close')]),
    weft.request('/', headers=[('X-%d' % i, 'v' * i) for i in range(40)]),
    weft.request('/health', headers=[('Accept', '*/*'), ('User-Agent', 'Mozilla/5.0 (x; y)'),
                                     ('Cookie', 'a=b; c=d')]),
]
PIECES = [b'\r\n', b'\r', b'\n', b'\r\n\r\n', b' ', b'\t', b':', b';', b',', b'"', b'\0', b'\xff', b'%', b'%00',
          b'%2e', b'/', b'//', b'..', b'*', b'?', b'#', b'HTTP/1.1', b'HTTP/2.0', b'Content-Length: 5\r\n',
          b'Content-Length: 18446744073709551615\r\n', b'Transfer-Encoding: chunked\r\n', b'Host: y\r\n',
          b'Transfer-Encoding: gzip, chunked\r\n', b'Connection: close\r\n', b'Expect: 100-continue\r\n',
          b'Expect: x\r\n', b'0\r\n\r\n', b'ffffffffffffffff\r\n', b'5\r\nhello\r\n', b'GET ', b'POST ',
          b'A' * 300, b'X: ' + b'y' * 5000 + b'\r\n', b'a:\r\n' * 90, weft.HELLO]


def mutate(rng, data):
    data = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        at = rng.randrange(len(data) + 1)
        way = rng.randrange(7)
        if way == 0 and at < len(data):
            data[at] = rng.randrange(256)
        elif way == 1 and at < len(data):
            data[at] ^= 1 << rng.randrange(8)
        elif way == 2:
            del data[at:at + rng.choice((1, 1, 2, 10, 100))]
        elif way == 3:
            data[at:at] = rng.choice(PIECES)
        elif way == 4:
            data[at:at + rng.choice((1, 4, 8))] = rng.choice(PIECES)
        elif way == 5:
            end = min(len(data), at + rng.randrange(60))
            data[at:at] = data[at:end]
        else:
            data += rng.choice(SEEDS)[rng.randrange(30):]
    return bytes(data)


def case(rng):
    kind = rng.randrange(20)
    if kind < 7:
        return rng.choice(SEEDS)
    if kind < 19:
        return mutate(rng, rng.choice(SEEDS))
    return rng.randbytes(rng.choice((1, 10, 100, 1000)))


class Talk:
    """One connection: a batch of cases out, whole, then FIN; everything in until the end."""

    def __init__(self, server, rng, cases, source):
        self.cases = cases
        self.data = b''.join(cases)
        self.at = 0
        self.step = rng.choice((1 << 20, 1 << 20, 1 << 20, 700, 37))  # some arrive in pieces
        self.received = bytearray()
        self.reset = False
        self.done = False
        self.sock = socket.socket()
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.bind((source, 0))
        self.sock.connect(('127.0.0.1', server.port))
        self.sock.setblocking(False)

    def fileno(self):
        return self.sock.fileno()

    def write(self):
        try:
            self.at += self.sock.send(self.data[self.at:self.at + self.step])
            if self.at == len(self.data):
                self.sock.shutdown(socket.SHUT_WR)
        except BlockingIOError:
            pass
        except OSError:  # closed by a refusal: what was said before counts
            self.at = len(self.data)

    def read(self):
        try:
            data = self.sock.recv(1 << 18)
        except BlockingIOError:
            return
        except ConnectionResetError:
            self.reset, data = True, b''
        self.received += data
        if not data:
            self.done = True
            self.sock.close()


class Canned(weft.Conn):
    """Answers from bytes that were received already."""

    def __init__(self, data):
        self.buffer = data
        self.sink = None
        self.eof = False

    def more(self):
        self.eof = True
        return False


def answers_in(talk):
    """The answers of a finished talk. One that ends early is a close where it was a stream, or where
    a reset overtook it."""
    canned, found = Canned(bytearray(talk.received)), []
    while True:
        try:
            found.append(canned.answer())
        except weft.Closed:
            return found
        except weft.Short:
            if canned.framing != 'chunked' and not talk.reset:
                raise
            return found


class Fuzz(weft.Case):
    flags = ('--timeouts-header-ms', '5s', '--timeouts-body-grace-ms', '5s')

    def batch(self, left):
        while len(self.carried) < BATCH and left > len(self.carried):
            self.carried.append(case(self.rng))
        cases, self.carried = self.carried[:BATCH], self.carried[BATCH:]
        self.opened += 1
        return Talk(self.server, self.rng, cases, '127.0.%d.%d' % (self.opened // 200 % 250,
                                                                  2 + self.opened % 200))

    def finished(self, talk):
        """Check what it got; cases behind the one that ended the connection go to the next."""
        try:
            found = answers_in(talk)
        except AssertionError as error:
            raise AssertionError('seed %d: %s\nsent: %r\nreceived: %r' % (
                SEED, error, talk.data, bytes(talk.received))) from None
        for answer in found:
            self.statuses[answer.status] = self.statuses.get(answer.status, 0) + 1
        used = max(1, len(found))
        self.carried = talk.cases[used:] + self.carried
        return min(used, len(talk.cases))

    def test_no_crash_no_growth_no_nonsense(self):
        self.rng = random.Random(SEED)
        self.carried, self.statuses, self.opened = [], {}, 0
        talks, done, warm = set(), 0, None
        end = time.monotonic() + SECONDS
        while done < COUNT and time.monotonic() < end:
            while len(talks) < CONNS and (self.carried or COUNT - done - BATCH * len(talks) > 0):
                talks.add(self.batch(max(1, COUNT - done)))
            writers = [talk for talk in talks if talk.at < len(talk.data)]
            readable, writable, _ = select.select(list(talks), writers, [], 10 * weft.SLOWER)
            self.assertTrue(readable or writable, 'nothing moves: %r' % [
                (talk.data[-300:], bytes(talk.received[-300:])) for talk in talks][:3])
            for talk in writable:
                talk.write()
            for talk in readable:
                talk.read()
                if talk.done:
                    done += self.finished(talk)
                    talks.discard(talk)
            if warm is None and done > COUNT // 10:
                warm = self.server.rss()
        self.assertGreaterEqual(done, COUNT, 'only so many in time')
        for talk in talks:
            talk.sock.close()
        print('%d cases on %d connections, statuses %r' % (done, self.opened, self.statuses))
        self.assertIsNone(self.server.process.poll())
        self.assertEqual(self.get('/').body, b'Hello, World!')
        self.assertTrue(self.server.all_closed(15), 'connections are left')
        for status in (200, 204, 400, 404, 405, 501):
            self.assertIn(status, self.statuses)  # the cases reach many parts
        self.assertLess(self.statuses.get(500, 0) + self.statuses.get(503, 0), COUNT // 1000)
        if not weft.SANITIZED:
            self.assertLess(self.server.rss() - warm, 2 << 20)


if __name__ == '__main__':
    unittest.main()
