"""Signals: SIGTERM drains, and what a drain promises; CPUs: workers where the mask says."""
# seconds: 60
# phases: e2e asan tsan
import fcntl
import os
import re
import signal
import subprocess
import threading
import time
import unittest

import weft


class Drain(unittest.TestCase):
    def start(self, *flags, **kwargs):
        server = weft.Server(*flags, **kwargs)
        self.addCleanup(server.kill)
        self.assertEqual(server.engine_now(), weft.ENGINE)
        return server

    @staticmethod
    def refuses(server):
        try:
            weft.Conn(server.port, timeout=1).close()
        except OSError:
            return True
        return False

    @staticmethod
    def drains(server):
        return weft.wait_until(lambda: server.admin('/readyz').status == 503)

    def test_idle(self):
        """Idle connections are closed now, not at a time-out; who has said nothing yet may have half a second."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            server = self.start()
            idle, fresh = [[server.conn() for _ in range(10)] for _ in range(2)]
            for conn in idle:
                conn.ask('/')
            started = time.monotonic()
            server.signal(number)
            for conn in idle:
                self.assertTrue(conn.ended())
            self.assertLess(time.monotonic() - started, 1.0 * weft.SLOWER)
            for conn in fresh:
                self.assertTrue(conn.ended())
            self.assertEqual(server.wait_exit(), 0)
            self.assertLess(time.monotonic() - started, 3.0 * weft.SLOWER)  # the time-out: 10 s

    def test_without_a_connection(self):
        server = self.start()
        started = time.monotonic()
        server.stop()
        self.assertLess(time.monotonic() - started, 1.0 * weft.SLOWER)

    def test_busy(self):
        """A stream under way completes, a request that comes behind it on its connection is answered
        with Connection: close; meanwhile nobody new is let in, and /readyz says so."""
        server = self.start()
        half = server.conn()
        half.send(b'GET / HTTP/1.1\r\n')
        upload = server.conn()  # the server is there as long as this one is
        upload.send(weft.request('/echo', 'POST', [('Content-Length', 2)]) + b'x')
        self.assertTrue(upload.more())
        stream = server.conn()
        stream.send(weft.request('/stream?n=5000&pause=200') + weft.HELLO * 2)
        while len(stream.buffer) < 1000:
            stream.more()
        server.signal(signal.SIGTERM)
        self.assertTrue(self.drains(server))
        half.send(b'Host: x\r\n\r\n')
        answer = half.answer()
        self.assertEqual((answer.status, answer.closes), (200, True))
        self.assertTrue(half.ended())
        self.assertTrue(weft.wait_until(lambda: self.refuses(server)))
        self.assertEqual(server.admin('/readyz').status, 503)
        self.assertEqual(server.admin('/healthz').status, 200)
        self.assertEqual(server.metrics()['ready'], 0)
        upload.send(b'y')
        self.assertEqual(upload.answer('POST').body, b'xy')
        self.assertEqual(stream.answer().body.count(b'\n'), 5000)
        answer = stream.answer()
        self.assertEqual((answer.status, answer.closes), (200, True))
        with self.assertRaises(weft.Closed):
            stream.answer()
        self.assertEqual(server.wait_exit(), 0)

    def test_an_upload(self):
        server = self.start()
        conn = server.conn()
        conn.send(weft.request('/echo', 'POST', [('Content-Length', 2000)]) + b'x' * 1000)
        self.assertTrue(conn.more())
        server.signal(signal.SIGTERM)
        self.assertTrue(self.drains(server))
        conn.send(b'y' * 1000)
        self.assertEqual(conn.answer('POST').body, b'x' * 1000 + b'y' * 1000)
        self.assertTrue(conn.ended())
        self.assertEqual(server.wait_exit(), 0)

    def test_hard_deadline(self):
        server = self.start('--timeouts-drain-ms', '500')
        conns = [server.conn(receive_bytes=4096) for _ in range(4)]
        conns[0].send(weft.request('/stream?n=2000&pause=60000'))
        conns[1].send(weft.request('/stream?pause=0'))
        conns[2].send(weft.request('/echo', 'POST', [('Content-Length', 100)]) + b'x')
        conns[3].send(b'GET / HTTP/1.1\r\n')
        time.sleep(0.2)
        started = time.monotonic()
        server.signal(signal.SIGTERM)
        self.assertEqual(server.wait_exit(), 3)
        took = time.monotonic() - started
        self.assertGreater(took, 0.45)
        self.assertLess(took, 2.0 * weft.SLOWER)
        for conn in conns:
            try:
                self.assertEqual(conn.answer('POST').status, 408)  # that far it may have come
            except (weft.Short, weft.Closed, ConnectionResetError):
                pass

    def test_a_second_signal_cuts(self):
        server = self.start()
        conn = server.conn()
        conn.send(weft.request('/stream?n=2000&pause=60000'))
        self.assertTrue(conn.more())
        server.signal(signal.SIGTERM)
        self.assertTrue(self.drains(server))
        self.assertIsNone(server.process.poll())
        started = time.monotonic()
        server.signal(signal.SIGTERM)
        self.assertEqual(server.wait_exit(), 3)
        self.assertLess(time.monotonic() - started, 2.0 * weft.SLOWER)

    def test_the_queue_is_accepted_to_the_end(self):
        """Connections that the kernel had taken before the signal are answered: the server stands
        still while they come, and the signal is there when it goes on."""
        server = self.start()
        server.stand_still()
        conns = [server.conn() for _ in range(100)]
        for i, conn in enumerate(conns):
            conn.send(weft.request('/user/%d' % i))
        server.signal(signal.SIGTERM)
        server.signal(signal.SIGCONT)
        for i, conn in enumerate(conns):
            answer = conn.answer()
            self.assertEqual(answer.body, b'{"id":%d}' % i)
            self.assertTrue(conn.ended())
        self.assertEqual(server.wait_exit(), 0)

    def test_under_load(self):
        """Requests in flight when the signal comes are answered or their connection is closed before
        anything of an answer; never half of one."""
        for _ in range(weft.volume(5, 2)):
            server = self.start()
            stop, failures, counts = threading.Event(), [], [0] * 8

            def load(who):
                try:
                    with server.conn() as conn:
                        while not stop.is_set():
                            answer = conn.ask('/user/7')
                            if answer.body != b'{"id":7}':
                                failures.append(answer)
                            counts[who] += 1
                            if answer.closes:
                                return
                except (weft.Closed, ConnectionResetError, BrokenPipeError):
                    pass
                except Exception as error:  # pylint: disable=broad-except
                    failures.append(error)
            threads = [threading.Thread(target=load, args=(who,), daemon=True) for who in range(8)]
            for thread in threads:
                thread.start()
            self.assertTrue(weft.wait_until(lambda: min(counts) > 10))
            server.signal(signal.SIGTERM)
            self.assertEqual(server.wait_exit(), 0)
            stop.set()
            for thread in threads:
                thread.join(5 * weft.SLOWER)
            self.assertEqual(failures, [])

    def test_descriptors_and_children(self):
        """Nothing is left: the port can be taken at once by the next one."""
        port = weft.free_port()
        server = self.start('--port', str(port))
        conn = server.conn()
        conn.ask('/')
        server.signal(signal.SIGTERM)
        self.assertEqual(server.wait_exit(), 0)
        again = weft.Server('--port', str(port))
        try:
            self.assertEqual(again.port, port)
            self.assertEqual(again.ask('/').status, 200)
        finally:
            again.stop()


class Signals(weft.Case):
    def test_sigpipe_never_kills(self):
        self.server.signal(signal.SIGPIPE)
        for _ in range(20):
            conn = self.conn(receive_bytes=4096)
            conn.send(weft.request('/stream?pause=0'))
            conn.more()
            conn.close()
        self.assertTrue(self.server.all_closed())
        self.assertEqual(self.get('/').status, 200)

    def test_stop_and_continue(self):
        conn = self.conn()
        conn.ask('/')
        self.server.stand_still()
        conn.send(weft.HELLO)
        self.assertTrue(conn.quiet(0.2))
        self.server.signal(signal.SIGCONT)
        self.assertEqual(conn.answer().status, 200)


class ClosedOutput(unittest.TestCase):
    def test_nobody_reads_what_it_says(self):
        """Standard output and error are a closed pipe: it serves all the same."""
        server = weft.Server('--access-log', 'text', ready=False)
        self.addCleanup(server.kill)
        server.wait_ready()
        server.stop()
        reader, writer = os.pipe()
        os.close(reader)
        port = weft.free_port()
        process = subprocess.Popen([weft.BIN, 'demo', '--port', str(port), '--admin-port', '0'], stdout=writer,
                                   stderr=writer, stdin=subprocess.DEVNULL)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        os.close(writer)

        def answers():
            try:
                with weft.Conn(port) as conn:
                    return conn.ask('/').status == 200
            except OSError:
                return False
        self.assertTrue(weft.wait_until(answers))
        process.terminate()
        self.assertEqual(process.wait(10 * weft.SLOWER), 0)

    def test_a_slow_reader_of_the_access_log(self):
        """Standard output is a full pipe: requests are not held up, and the lines that are lost are counted.
        Nothing else is written there: where it listens stands on standard error."""
        reader, writer = os.pipe()
        self.addCleanup(os.close, reader)
        fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
        process = subprocess.Popen([weft.BIN, 'demo', '--port', '0', '--admin-port', '0', '--workers', '1',
                                    '--access-log', 'text'],
                                   stdout=writer, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        self.addCleanup(process.stderr.close)
        os.close(writer)
        text = ''
        while not weft.ADMIN.search(text):
            line = process.stderr.readline().decode()
            self.assertTrue(line, text)
            text += line
        admin = int(weft.ADMIN.search(text).group(1))
        with weft.Conn(int(weft.LISTENING.search(text).group(1))) as conn:
            for _ in range(300):
                self.assertEqual(conn.ask('/health').status, 200)
        self.assertTrue(weft.wait_until(lambda: 100 < self.dropped(admin) <= 300))
        for line in os.read(reader, 65536).splitlines()[:-1]:  # the last one may be cut
            self.assertRegex(line, rb'^\[.*\] 127\.0\.0\.1 "GET /health" 200 0 ')

    def dropped(self, admin):
        with weft.Conn(admin) as conn:
            found = re.search(rb'^weft_access_log_dropped_total\{worker="0"\} (\d+)', conn.ask('/metrics').body, re.M)
        return int(found.group(1))


class Cpus(unittest.TestCase):
    def cpus_of(self, server):
        """{thread name: CPUs that it may run on}"""
        found = {}
        for tid, name in server.threads().items():
            found.setdefault(name, set()).update(os.sched_getaffinity(tid))
        return found

    def test_workers_are_the_cpus_of_the_mask(self):
        mask = sorted(os.sched_getaffinity(0))
        for cpus in ({mask[0]}, {mask[-1]}, set(mask)):
            with self.subTest(cpus):
                with weft.Server(preexec=lambda cpus=cpus: os.sched_setaffinity(0, cpus)) as server:
                    self.assertEqual(server.workers, len(cpus))
                    self.assertEqual(server.engine_now(), weft.ENGINE)

                    def workers():
                        return [own for name, own in self.cpus_of(server).items()
                                if name.startswith('weft-') and name[5:].isdigit()]
                    # one that was not on its CPU yet has its creator's name
                    weft.wait_until(lambda: len(workers()) == len(cpus))
                    found, workers = self.cpus_of(server), workers()
                    self.assertEqual(len(workers), len(cpus))
                    self.assertTrue(all(len(own) == 1 for own in workers), found)  # pinned
                    self.assertEqual(set().union(*workers), cpus)
                    self.assertTrue(set().union(*found.values()) <= cpus, found)
                    self.assertEqual(server.ask('/').status, 200)

    def test_more_workers_than_cpus(self):
        mask = sorted(os.sched_getaffinity(0))[:1]
        with weft.Server('--workers', '3', preexec=lambda: os.sched_setaffinity(0, mask)) as server:
            self.assertEqual(server.workers, 3)
            self.assertTrue(set().union(*self.cpus_of(server).values()) <= set(mask))
            self.assertEqual(server.ask('/').status, 200)


if __name__ == '__main__':
    unittest.main()
