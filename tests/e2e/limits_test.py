"""Every limit, below and above; a full server refuses politely and recovers."""
# seconds: 60
# shows HC-03
import os
import re
import resource
import select
import time
import unittest

import weft

HERE = os.path.dirname(os.path.abspath(__file__))


def head_of(size):
    """A request head of exactly so many bytes."""
    start = b'GET / HTTP/1.1\r\nHost: x\r\nX: '
    return start + b'y' * (size - len(start) - 4) + b'\r\n\r\n'


def owner(memory, name):
    return [found for found in memory['owners'] if found['owner'] == name and found['worker'] != 'admin']


class Heads(weft.Case):
    def check(self, size):
        self.assertEqual(len(head_of(size)), size)
        for split in (None, 100, size // 2):
            for over, status in ((0, 200), (1, 431)):
                conn = self.conn()
                data = head_of(size + over)
                if split:
                    before = self.server.metrics()
                    conn.send(data[:split])
                    self.counted('heads_carried_total', before)
                    data = data[split:]
                conn.send(data)
                self.assertEqual(conn.answer().status, status, (size + over, split))

    def test_default(self):
        self.check(8192)
        self.assertEqual({found['unit'] for found in owner(self.server.memory(), 'buffers')}, {8192})

    def test_target(self):
        for size, status in ((8000, 404), (8001, 414)):
            self.assertEqual(self.get('/' + 'a' * (size - 1)).status, status)

    def test_header_count(self):
        for count, status in ((100, 200), (101, 431)):
            self.assertEqual(self.get('/', headers=[('A', 'b')] * (count - 1)).status, status)
        before = self.server.metrics()
        self.assertEqual(self.get('/', headers=[('A', 'b')] * 15).status, 200)
        self.assertEqual(self.server.metrics()['header_slow_path_total'], before['header_slow_path_total'])
        self.assertEqual(self.get('/', headers=[('A', 'b')] * 16).status, 200)
        self.counted('header_slow_path_total', before)

    def test_body(self):
        """16 MiB where a handler would gather it; unread bodies beyond close the connection."""
        answer = self.get('/', method='POST', headers=[('Content-Length', (16 << 20) + 1)])
        self.assertEqual(answer.status, 413)
        self.assertTrue(answer.closes)


class LargerBuffers(Heads):
    flags = ('--http-buffer-size', '16384', '--request-target-bytes-max', '8000')

    def test_default(self):
        self.check(16384)
        self.assertEqual({found['unit'] for found in owner(self.server.memory(), 'buffers')}, {16384})


class SmallerLimits(weft.Case):
    flags = ('--http-buffer-size', '4K', '--request-header-count-max', '10', '--request-head-bytes-max',
             '1000', '--request-target-bytes-max', '200', '--request-body-bytes-max', '1000')

    def test_all(self):
        for data, status in ((head_of(1000), 200), (head_of(1001), 431),
                             (weft.request('/', headers=[('A', 'b')] * 9), 200),
                             (weft.request('/', headers=[('A', 'b')] * 10), 431),
                             (weft.request('/' + 'a' * 199), 404),
                             (weft.request('/' + 'a' * 200), 414),
                             (weft.request('/', 'POST', body=b'x' * 1000), 405),
                             (weft.request('/', 'POST', body=b'x' * 1001), 413),
                             (weft.request('/echo', 'POST', body=b'x' * 50000), 200)):
            with self.subTest(data[:60]), self.server.conn() as conn:
                conn.send(data)
                self.assertEqual(conn.answer('POST').status, status)


class Connections(weft.Case):
    flags = ('--connections-max', '8')

    def test_a_full_server_answers_503(self):
        self.assertTrue(self.server.all_closed())
        before = self.server.metrics()
        conns = [self.conn() for _ in range(8)]
        for conn in conns:
            self.assertEqual(conn.ask('/').status, 200)
        for _ in range(20):
            conn = self.conn()
            conn.send(weft.HELLO)
            answer = conn.answer()
            self.assertEqual(answer.status, 503)
            self.assertTrue(answer.closes)
            self.assertIsNotNone(answer.get('Retry-After'))
            self.assertTrue(conn.ended())
            conn.close()
        self.counted('connections_refused_total', before, 20)
        for conn in conns:
            self.assertEqual(conn.ask('/').status, 200)  # those inside notice nothing
        conns.pop().close()

        def again():
            try:
                return self.get('/').status == 200
            except weft.Closed:
                return False
        self.assertTrue(weft.wait_until(again))
        for conn in conns:
            conn.close()
        self.assertTrue(self.server.all_closed())

    def test_a_flood(self):
        """200 at once: each is answered or closed, nobody hangs."""
        conns = [self.conn() for _ in range(200)]
        for conn in conns:
            conn.send(weft.request('/', headers=[('Connection', 'close')]))
        found = {}
        for conn in conns:
            try:
                status = conn.answer().status
            except (weft.Closed, ConnectionResetError):
                status = 'closed'
            found[status] = found.get(status, 0) + 1
            conn.close()
        self.assertTrue(set(found) <= {200, 503, 'closed'}, found)
        self.assertGreater(found.get(200, 0), 0)
        self.assertLess(found.get('closed', 0), 100)
        self.assertTrue(self.server.all_closed())
        self.assertEqual(self.get('/').status, 200)


class Descriptors(unittest.TestCase):
    def limited(self, count, *flags):
        def few():
            resource.setrlimit(resource.RLIMIT_NOFILE, (count, count))
        server = weft.Server('--workers', '1', *flags, preexec=few)
        self.addCleanup(server.kill)
        self.assertEqual(server.engine_now(), weft.ENGINE)
        return server

    def test_when_they_run_out(self):
        """EMFILE: accepting pauses without spinning, those who wait are told 503, those inside are
        served, and all is as before once descriptors are there."""
        server = self.limited(40, '--connections-max', '1000', '--descriptors', 'ordinary')
        inside = server.conn()
        inside.ask('/')
        conns = [server.conn() for _ in range(80)]
        for conn in conns:
            conn.send(weft.HELLO)
        time.sleep(1.0)  # refused some at a time
        cpu = server.cpu_seconds()
        time.sleep(1.0)
        cpu = server.cpu_seconds() - cpu
        self.assertLess(cpu, 0.15 * weft.SLOWER, 'it spins')
        self.assertEqual(inside.ask('/').status, 200)
        found = {200: 0, 503: 0}
        for conn in conns:
            found[conn.answer().status] += 1
        self.assertEqual(found[200] + found[503], 80)
        self.assertGreater(found[200], 5, found)
        self.assertGreater(found[503], 20, found)
        for conn in conns:
            conn.close()
        self.assertTrue(weft.wait_until(lambda: server.ask('/').status == 200))
        self.assertEqual(inside.ask('/').status, 200)
        inside.close()
        self.assertGreater(server.metrics()['accept_pauses_total'], 0)
        self.assertTrue(server.all_closed())
        server.stop()

    def test_started_with_few(self):
        """A low limit: connections.max follows from it, and is held."""
        server = self.limited(64)
        top = int(server.metrics()['connections_max'])
        self.assertLess(top, 64)
        self.assertGreater(top, 7)
        conns = [server.conn() for _ in range(top + 10)]
        statuses = []
        for conn in conns:
            conn.send(weft.HELLO)
            statuses.append(conn.answer().status)
        self.assertEqual(statuses, [200] * top + [503] * 10)
        self.assertEqual(server.admin('/healthz').status, 200)  # there is one left for that
        for conn in conns:
            conn.close()
        self.assertTrue(server.all_closed())
        server.stop()


class Tasks(weft.Case):
    flags = ('--workers', '1', '--tasks-max', '4')

    def test_one_too_many(self):
        """Four handlers may wait; the fifth is told 503, routes that do not wait go on."""
        before = self.server.metrics()
        waiting = [self.conn() for _ in range(4)]
        for conn in waiting:
            conn.send(weft.request('/stream?n=2000&pause=3000'))
        self.assertTrue(weft.wait_until(lambda: self.server.metrics()['tasks_waiting'] == 4))
        for _ in range(3):
            conn = self.conn()
            answer = conn.ask('/stream?n=2000&pause=3000')
            self.assertEqual(answer.status, 503)
            self.assertIsNotNone(answer.get('Retry-After'))
            self.assertEqual(conn.ask('/').status, 200)
        self.assertEqual(self.get('/json').status, 200)
        self.counted('shed_no_stack_total', before, 3)
        for conn in waiting:
            self.assertEqual(conn.answer().body.count(b'\n'), 2000)
        self.assertEqual(self.get('/stream?n=2000&pause=1').body.count(b'\n'), 2000)

    def test_uploads_that_wait(self):
        waiting = [self.conn() for _ in range(4)]
        for conn in waiting:
            conn.send(weft.request('/echo', 'POST', [('Content-Length', 5)]))
        self.assertTrue(weft.wait_until(lambda: self.server.metrics()['tasks_waiting'] == 4))
        conn = self.conn()
        conn.send(weft.request('/echo', 'POST', [('Content-Length', 5)]))
        self.assertEqual(conn.answer('POST').status, 503)
        self.assertEqual(self.get('/').status, 200)
        for conn in waiting:
            conn.send(b'hello')
            self.assertEqual(conn.answer('POST').body, b'hello')


class Active(weft.Case):
    flags = ('--workers', '1', '--requests-max', '8')

    def test_one_too_many(self):
        """Eight heads half read: the ninth is told 503; when they are complete they are served, but for
        one that may find every block taken by the heads."""
        conns = [self.conn() for _ in range(8)]
        for conn in conns:
            conn.send(b'GET / HTTP/1.1\r\n')
        self.assertTrue(weft.wait_until(lambda: self.server.metrics()['active'] == 8))
        before = self.server.metrics()
        conn = self.conn()
        conn.send(weft.HELLO)
        self.assertEqual(conn.answer().status, 503)
        self.counted('connections_refused_total', before)
        statuses = []
        for conn in conns:
            conn.send(b'Host: x\r\n\r\n')
            statuses.append(conn.answer().status)
        self.assertGreaterEqual(statuses.count(200), 7)
        self.assertTrue(set(statuses) <= {200, 503})
        self.counted('shed_no_active_total', before, statuses.count(503))
        self.assertEqual(self.get('/').status, 200)


class Buffers(weft.Case):
    flags = ('--workers', '1', '--buffers-count', '8', '--buffers-spare', '4', '--tasks-max', '100')

    def test_few(self):
        """More requests wait than there are buffers to keep their heads in: 503 for those, and the
        others are served while they wait."""
        before = self.server.metrics()
        conns = [self.conn() for _ in range(40)]
        for conn in conns:
            conn.send(weft.request('/stream?n=2000&pause=700'))
        time.sleep(0.2)
        self.assertEqual(self.get('/').status, 200)
        found = {200: 0, 503: 0}
        for conn in conns:
            found[conn.answer().status] += 1
        self.assertEqual(found[200] + found[503], 40)
        self.assertGreater(found[200], 3, found)
        self.assertGreater(found[503], 3, found)
        self.counted('shed_no_buffer_total', before, found[503])
        self.assertEqual(self.get('/').status, 200)

    def test_a_flood_of_small_requests(self):
        conns = [self.conn() for _ in range(50)]
        for _ in range(5):
            for conn in conns:
                conn.send(weft.HELLO * 20)
            for conn in conns:
                for _ in range(20):
                    self.assertEqual(conn.answer().status, 200)

    def test_uploads(self):
        conns = [self.conn() for _ in range(6)]
        body = b'x' * 30000
        for conn in conns:
            conn.send(weft.request('/echo', 'POST', [('Content-Length', len(body))]))
        pending = {conn.sock: conn for conn in conns}
        for conn in conns:
            conn.send(body)
        while pending:
            ready, _, _ = select.select(list(pending), [], [], 5 * weft.SLOWER)
            self.assertTrue(ready)
            for sock in ready:
                conn = pending.pop(sock)
                answer = conn.answer('POST')
                self.assertIn(answer.status, (200, 503))
                if answer.status == 200:
                    self.assertEqual(answer.body, body)
        self.assertEqual(self.get('/').status, 200)


class Memory(unittest.TestCase):
    def test_too_little(self):
        """`weft plan` and a start both name a term and end with 2."""
        for command in ('plan', 'demo', 'serve'):
            with self.subTest(command):
                code, out, err = weft.run(command, '--port', '0', '--admin-port', '0', '--engine',
                                          weft.ENGINE, '--memory-limit', '4M')
                self.assertEqual(code, 2, err)
                self.assertIn('memory', err)
                self.assertIn('--memory-limit', err)
                self.assertRegex(err, r"term is '\w+'")
                self.assertEqual(command == 'plan', 'the least that it takes' in out)

    def test_the_least_that_is_named_is_enough(self):
        """What the message asks for starts, and serves the route that needs most; a KiB less does not."""
        flags = ('--engine', weft.ENGINE, '--workers', '2', '--memory-limit')
        _, _, err = weft.run('plan', *flags, '4M')
        self.assertIn('a request of /burst', err)
        least = int(re.search(r'raise the limit to (\d+)K at least', err).group(1))
        self.assertEqual(weft.run('plan', *flags, '%dK' % (least - 1))[0], 2)
        if weft.SANITIZED:
            self.skipTest('a sanitizer takes more than the plan knows of')
        with weft.Server(*flags[2:], '%dK' % least) as server:
            self.assertEqual(server.ask('/burst?mb=16&hold=0').status, 200)

    def test_the_plan_of_either_program(self):
        """`weft plan` is the demo's, `weft plan serve` that of a file server."""
        flags = ('--engine', weft.ENGINE, '--workers', '2', '--memory-limit', '1G', '--static=/=%s' % HERE)
        for command, words in (('demo', ['plan']), ('serve', ['plan', 'serve'])):
            with self.subTest(command):
                code, out, err = weft.run(*words, *flags)
                self.assertEqual((code, err), (0, ''))
                with weft.Server(*flags[2:], command=command) as server:
                    self.assertEqual(int(re.search(r'^total +(\d+) ', out, re.M).group(1)), server.memory()['plan'])

    def test_the_plan_adds_up(self):
        code, out, err = weft.run('plan', '--memory-limit', '200M', '--workers', '2')
        self.assertEqual((code, err), (0, ''))
        rows = [re.match(r'(.*?) +(\d+)  ', line).groups() for line in out.splitlines()[1:]
                if not line.startswith('note:')]
        terms = {row[0]: int(row[1]) for row in rows}
        total = terms.pop('total')
        self.assertEqual([row[0] for row in rows[-2:]], ['total', 'limit'])
        limit = terms.pop('limit')
        self.assertEqual(limit, 200 << 20)
        self.assertLessEqual(total, limit)
        kernel = terms.pop('kernel', 0)  # the kernel's own: shown, not ours
        self.assertIn(total, (sum(terms.values()), sum(terms.values()) + kernel))

    def test_a_small_limit_is_held(self):
        """What a start promises: with the least that fits it serves, refuses beyond, and never passes
        the limit."""
        flags = ('--workers', '1', '--memory-limit', '32M')
        if weft.run('plan', '--engine', weft.ENGINE, *flags)[0] != 0:
            self.skipTest('32M do not fit')
        with weft.Server(*flags) as server:
            self.assertEqual(server.engine_now(), weft.ENGINE)
            conns = [server.conn(receive_bytes=4096) for _ in range(100)]
            for conn in conns:
                conn.send(weft.request('/memory-test'))
            found = {}
            for conn in conns:
                answer = conn.answer()
                found[answer.status] = found.get(answer.status, 0) + 1
                if answer.status == 503:
                    self.assertIsNotNone(answer.get('Retry-After'))
                conn.close()
            self.assertTrue(set(found) <= {200, 503}, found)
            self.assertGreater(found[200], 0)
            if not weft.SANITIZED:
                self.assertLess(server.status('VmHWM'), 32 << 20)
            self.assertTrue(server.all_closed())


if __name__ == '__main__':
    unittest.main()
