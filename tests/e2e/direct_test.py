"""More connections than RLIMIT_NOFILE: entries of io_uring's tables instead of descriptors. What
needs a descriptor elsewhere works the same, and its bound is told."""
# engines: uring
# phases: e2e asan
# seconds: 120
# shows HC-14
import os
import re
import resource
import signal
import socket
import tempfile
import time
import unittest

import weft

FILES = 256         # RLIMIT_NOFILE of the server
CONNECTIONS = 600   # more than that
WORKERS = 6         # that takes: 256 - 64 entries each, with room for uneven dealing
INSTALLS = 15       # descriptors lent to files, per worker: (256 - 48 - 4 * 6) / 2 / 6
LARGE = 8 << 20     # more than all socket buffers take
ECHOED = 1 << 20


def few():
    resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, FILES))


class Direct(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        weft.raise_descriptors(CONNECTIONS + 200)
        folder = tempfile.TemporaryDirectory(prefix='weft-direct.')
        cls.addClassCleanup(folder.cleanup)
        cls.large = os.urandom(LARGE)
        with open(os.path.join(folder.name, 'large.bin'), 'wb') as out:
            out.write(cls.large)
        cls.flags = ('--connections-max', str(CONNECTIONS), '--root', folder.name,
                     '--access-log', 'text')
        cls.server = weft.Server(*cls.flags, preexec=few)
        cls.addClassCleanup(cls.server.stop)

    def setUp(self):
        self.assertIsNone(self.server.process.poll(), 'the server has gone')
        self.assertEqual(self.server.engine_now(), 'uring')

    def tearDown(self):
        self.assertTrue(self.server.all_closed())

    def conn(self, **kwargs):
        conn = self.server.conn(**kwargs)
        self.addCleanup(conn.close)
        return conn

    def test_more_than_descriptors(self):
        """All of them are held and answered, whoever is one too many is told 503."""
        self.assertEqual(self.server.workers, WORKERS)
        before = self.server.metrics()
        conns = [self.server.conn() for _ in range(CONNECTIONS)]
        for _ in range(2):
            for conn in conns:
                conn.send(weft.HELLO)
            for conn in conns:
                self.assertEqual(conn.answer().body, b'Hello, World!')
        self.assertLess(self.server.descriptors(), FILES - 100)
        for _ in range(30):
            with self.server.conn() as conn:
                self.assertEqual(conn.answer().status, 503)
                self.assertTrue(conn.ended())
        now = self.server.metrics()
        self.assertEqual(now['connections_refused_total'] - before['connections_refused_total'], 30)
        for conn in conns:
            conn.close()

    def test_pipelined(self):
        conn = self.conn()
        conn.send(weft.request('/user/1') + weft.request('/memory-test') + weft.request('/user/3'))
        conn.half_close()
        self.assertEqual(conn.answer().body, b'{"id":1}')
        self.assertEqual(len(conn.answer().body), 218889)
        self.assertEqual(conn.answer().body, b'{"id":3}')
        self.assertTrue(conn.ended())
        conn.close()

    def test_stream(self):
        with self.conn() as conn:
            conn.send(weft.request('/stream?n=3000&pause=100'))
            conn.half_close()
            self.assertEqual(conn.answer().body.count(b'\n'), 3000)
            self.assertTrue(conn.ended())

    def test_upload(self):
        data = os.urandom(ECHOED)
        with self.conn() as conn:
            self.assertTrue(conn.ask('/echo', 'POST', body=data).body == data)
            self.assertTrue(conn.ask('/echo', 'POST', body=data).body == data)

    def test_file(self):
        """Whole, again and again on one connection, beside others; between them it is idle."""
        conns = [self.conn() for _ in range(8)]
        for _ in range(3):
            for conn in conns:
                conn.send(weft.request('/file/large.bin') + weft.HELLO)
            for conn in conns:
                self.assertTrue(conn.answer().body == self.large)
                self.assertEqual(conn.answer().status, 200)
        for conn in conns:
            conn.close()

    def sockets(self):
        return sum(name.startswith('socket:') for name in self.server.open_files())

    def test_files_beyond_the_bound(self):
        """Slow readers of files have a descriptor each, of a bounded number; the others are told
        503 and keep their connection. Afterwards there is one for everybody again."""
        before, sockets = self.server.metrics(), self.sockets()
        conns = [self.conn(receive_bytes=4096) for _ in range(WORKERS * INSTALLS + 30)]
        found = {200: [], 503: []}
        for conn in conns:
            conn.send(weft.request('/file/large.bin'))
        for conn in conns:
            head = conn.until(b'\r\n\r\n')
            status, _, headers = weft.parse_head(head)
            found[status].append(conn)
            if status == 503:
                self.assertIn(('Retry-After', '1'), headers)
                conn.take([], int(dict(headers)['Content-Length']))
                self.assertEqual(conn.ask('/').status, 200)
        self.assertLessEqual(len(found[200]), WORKERS * INSTALLS)
        self.assertGreaterEqual(len(found[503]), 30)
        now = self.server.metrics()
        self.assertEqual(now['shed_no_descriptor_total'] - before['shed_no_descriptor_total'],
                         len(found[503]))
        self.assertLess(self.server.descriptors(), FILES)
        for i, conn in enumerate(found[200]):
            conn.reset() if i % 2 else conn.close()
        # back are all: each worker has its own, and whom the next one meets is chance
        self.assertTrue(weft.wait_until(lambda: self.sockets() <= sockets))
        for conn in found[503]:
            conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)  # not slow any more
            self.assertTrue(conn.ask('/file/large.bin').body == self.large)
            conn.close()

    def test_resets(self):
        """At every step; nothing is left."""
        for steps, wait in (((), 0), ((b'GET / HT',), 0.05), ((weft.request('/stream?n=100000'),), 0.2),
                            ((weft.request('/file/large.bin'),), 0.2),
                            ((weft.request('/echo', 'POST', body=b'x')[:-1],), 0.05)):
            with self.subTest(steps=steps):
                conns = [self.conn(receive_bytes=4096) for _ in range(20)]
                for conn in conns:
                    for data in steps:
                        conn.send(data)
                time.sleep(wait)
                for conn in conns:
                    conn.reset()
                self.assertTrue(self.server.all_closed())

    def test_a_slow_reader(self):
        with self.conn(receive_bytes=4096) as slow, self.conn() as other:
            slow.send(weft.request('/stream?n=200000&pause=0'))
            time.sleep(0.3)
            for _ in range(50):
                self.assertEqual(other.ask('/').status, 200)
            self.assertEqual(slow.answer().body.count(b'\n'), 200000)

    def test_the_answer_arrives_before_the_end(self):
        """Closed with input unread: half-closed first, so that no reset overtakes the answer."""
        for _ in range(20):
            with self.conn(receive_bytes=4096) as conn:
                conn.send(b'BAD\r\n\r\n' + b'x' * 20000)
                time.sleep(0.01)
                self.assertEqual(conn.answer().status, 400)
                self.assertTrue(conn.ended())

    def test_the_peers_address(self):
        """The access log asks the socket for it."""
        with self.conn(source='127.0.0.77') as conn:
            self.assertEqual(conn.ask('/user/77').status, 200)
        self.assertTrue(weft.wait_until(
            lambda: re.search(r'\] 127\.0\.0\.77 "GET /user/77', self.server.output(), re.M)))

    def test_drain(self):
        """What is under way ends, who has connected and waits in the queue is answered."""
        with weft.Server(*self.flags, preexec=few) as server:
            idle, stream = server.conn(), server.conn()
            idle.ask('/')
            stream.send(weft.request('/stream?n=3000&pause=400') + weft.HELLO)
            while len(stream.buffer) < 1000:
                stream.more()
            late = server.conn()
            late.send(weft.HELLO)
            server.signal(signal.SIGTERM)
            self.assertTrue(idle.ended())
            self.assertEqual(late.answer().status, 200)
            self.assertEqual(stream.answer().body.count(b'\n'), 3000)
            self.assertTrue(stream.answer().closes)
            self.assertEqual(server.wait_exit(), 0)


class Refused(unittest.TestCase):
    """What cannot hold so many says so at the start."""

    def test_epoll(self):
        code, out, err = weft.run('demo', '--engine', 'epoll', '--connections-max', str(CONNECTIONS),
                                  preexec=few)
        self.assertEqual((code, out), (2, ''))
        self.assertRegex(err, r'connections\.max: 600 is more than RLIMIT_NOFILE \(256\).*epoll.*raise')

    def test_too_few_workers(self):
        code, _, err = weft.run('plan', '--engine', 'uring', '--connections-max', str(CONNECTIONS),
                                '--workers', '2', preexec=few)
        self.assertEqual(code, 2)
        self.assertRegex(err, r'256.*there are 2 workers: it takes %d' % WORKERS)

    def test_ordinary_by_wish(self):
        code, out, _ = weft.run('plan', '--engine', 'uring', '--connections-max', str(CONNECTIONS),
                                '--workers', '2', '--descriptors', 'ordinary', preexec=few)
        self.assertEqual(code, 0)
        self.assertRegex(out, r'connections +\d+ +2 workers x 664 x 16')


if __name__ == '__main__':
    unittest.main()
