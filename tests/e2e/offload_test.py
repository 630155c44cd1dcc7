"""Handlers that block do not hold up others; answers on the wire are what the API says."""
# phases: e2e
import os
import re
import signal
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import weft  # noqa: E402

PROGRAM = os.path.join(os.path.dirname(os.path.abspath(weft.BIN)), 'tests', 'test_waits')


def serve(*flags):
    return weft.Server('--workers', '1', *flags, binary=PROGRAM, command='serve')


class Offload(unittest.TestCase):
    def test_others_go_on(self):
        """shows HC-11: 40 handlers block for 100 ms each, again and again, on two threads; a quick
        route on the same worker is answered in a few ms meanwhile."""
        with serve('--offload-queue', '64') as server:
            quit_now = threading.Event()

            def ask_blocking():
                with server.conn() as conn:
                    while not quit_now.is_set():
                        self.assertEqual(conn.ask('/block?ms=100').body, b'blocked')

            askers = [threading.Thread(target=ask_blocking) for _ in range(40)]
            for asker in askers:
                asker.start()
            time.sleep(0.3)
            times = []
            with server.conn() as conn:
                for _ in range(100):
                    start = time.monotonic()
                    self.assertEqual(conn.ask('/').body, b'hello')
                    times.append(time.monotonic() - start)
            quit_now.set()
            for asker in askers:
                asker.join(20)
            self.assertLess(sorted(times)[50], 0.02)  # one blocked loop would make it 0.1

    def test_a_full_queue_is_503(self):
        with serve('--offload-threads', '1', '--offload-queue', '2') as server:
            before = server.metrics()
            conns = [server.conn() for _ in range(8)]
            for conn in conns:
                conn.send(weft.request('/block?ms=300'))
            statuses = [conn.answer().status for conn in conns]
            self.assertEqual(sorted(set(statuses)), [200, 503])
            self.assertLessEqual(statuses.count(200), 4)
            self.assertEqual(server.metrics()['offload_full_total'] - before['offload_full_total'],
                             statuses.count(503))
            for conn in conns:
                conn.close()


class End(unittest.TestCase):
    """A call that does not come back holds the process for 2 s behind the cut, and no longer."""
    def start(self, *flags):
        server = serve(*flags)
        self.addCleanup(server.kill)
        conn = server.conn()
        self.addCleanup(conn.close)
        return server, conn

    def test_a_call_without_an_end(self):
        server, conn = self.start('--timeouts-drain-ms', '100')
        conn.send(weft.request('/block?ms=3600000'))
        self.assertTrue(weft.wait_until(lambda: server.metrics()['task_waits_total'] == 1))
        server.signal(signal.SIGTERM)
        self.assertEqual(server.wait_exit(), 3)
        self.assertIn('1 connections were cut off', server.output())

    def test_behind_the_cut(self):
        """The worker stands still while the drain begins and ends. It hears of both before it hears of
        a connection that io_uring accepted meanwhile."""
        server, conn = self.start('--timeouts-drain-ms', '0')
        self.assertEqual(conn.ask('/hold').body, b'held')
        time.sleep(0.2)
        late = server.conn()
        self.addCleanup(late.close)
        late.send(weft.request('/block?ms=3600000'))
        server.signal(signal.SIGTERM)
        self.assertIn(server.wait_exit(), (0, 3))


class Golden(unittest.TestCase):
    DATE = rb'Date: [A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT\r\n'
    WIRE = {
        '/headers': rb'HTTP/1.1 201 Created\r\nServer: weft\r\n' + DATE +
                    rb'Content-Type: application/x-test\r\nContent-Length: 4\r\nX-One: 1\r\n'
                    rb'X-Two: two words\r\n\r\nmade',
        '/missing': rb'HTTP/1.1 404 Not Found\r\nServer: weft\r\n' + DATE +
                    rb'Content-Type: text/plain\r\nContent-Length: 14\r\n\r\nFile not found',
        '/begun': rb'HTTP/1.1 200 OK\r\nServer: weft\r\n' + DATE +
                  rb'Content-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n'
                  rb'0007\r\none two\r\n0\r\n\r\n',
    }

    def test_the_wire(self):
        """shows HC-07: header, version, status and body, byte by byte."""
        with serve() as server:
            for path, wire in self.WIRE.items():
                with self.subTest(path), server.conn() as conn:
                    conn.send(weft.request(path))
                    data = conn.sock.recv(4096)
                    self.assertRegex(data, re.compile(b'^' + wire.replace(b'.', rb'\.') + b'$'))


if __name__ == '__main__':
    unittest.main()
