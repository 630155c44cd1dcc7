"""The demo's routes, byte for byte; /file is in demo_files_test.py."""
# seconds: 150
# shows HC-01, HC-08, HC-10, HC-17, HC-18, RT-02, SF-01, ZC-06, DM-10, DM-11
import hashlib
import json
import re
import threading
import time
import unittest

import weft

MB = 1 << 20


def lines(count):
    return ''.join('Chunk %d\n' % i for i in range(count)).encode()


class Small(weft.Case):
    def test_root(self):
        answer = self.get('/')
        self.assertEqual((answer.status, answer.reason), (200, 'OK'))
        self.assertEqual(answer.get('Content-Type'), 'text/plain')
        self.assertEqual(answer.get('Content-Length'), '13')
        self.assertEqual(answer.body, b'Hello, World!')

    def test_efficient(self):
        answer = self.get('/efficient')
        self.assertEqual((answer.status, answer.get('Content-Type')), (200, 'text/plain'))
        self.assertEqual(answer.body, b'Hello from memory-efficient handler!')

    def test_health_is_empty(self):
        answer = self.get('/health')
        self.assertEqual((answer.status, answer.body), (200, b''))
        self.assertEqual(answer.get('Content-Length'), '0')

    def test_memory_test(self):
        expected = ','.join('Temporary string %d' % i for i in range(10000)).encode()
        with self.server.conn() as conn:
            for _ in range(20):  # the arena starts over each time
                answer = conn.ask('/memory-test')
                self.assertEqual(answer.status, 200)
                self.assertEqual(len(answer.body), len(expected))
                self.assertTrue(answer.body == expected, 'other bytes')

    @unittest.skipIf(weft.SANITIZED, 'a sanitizer keeps memory')
    def test_memory_test_stays_flat(self):
        def burst():
            with self.server.conn() as conn:
                for _ in range(20):
                    conn.send(weft.request('/memory-test') * 5)
                    for _ in range(5):
                        conn.answer()

        def served():
            """Requests of the worker that had fewest."""
            return min(value for name, labels, value in self.server.samples()
                       if name == 'weft_requests_total' and labels['worker'] != 'admin')
        for _ in range(100):  # each worker has had its peak: which one serves a connection is chance
            if served() >= 300:
                break
            burst()
        before = self.server.rss()
        for _ in range(10):
            burst()
        self.assertLess(self.server.rss() - before, 1 * MB)

    def test_user(self):
        for good in ('0', '7', '4294967296', '18446744073709551615'):
            answer = self.get('/user/' + good)
            self.assertEqual((answer.status, answer.get('Content-Type')), (200, 'application/json'))
            self.assertEqual(answer.body, b'{"id":%s}' % good.encode())
        self.assertEqual(self.get('/user/%37').body, b'{"id":7}')

    def test_user_that_is_no_u64(self):
        for bad in ('', '-1', '+1', 'x', '7x', '1.0', '0x7', '1e3', '18446744073709551616',
                    '99999999999999999999999999', '7/', '7/8', '%20' + '7', '7%20', '7%00', '%37%2f',
                    '%D9%A7'):
            with self.subTest(bad):
                self.assertIn(self.get('/user/' + bad).status, (400, 404))

    def test_unknown_paths(self):
        for path in ('/nothing', '/json/', '/JSON', '/efficient/x', '//', '/%2f', '/file', '/user'):
            with self.subTest(path):
                answer = self.get(path)
                self.assertEqual(answer.status, 404)
                self.assertIsNone(answer.get('Location'))

    def test_a_query_is_no_part_of_the_path(self):
        self.assertEqual(self.get('/efficient?x=/../y').status, 200)
        self.assertEqual(self.get('/user/7?id=8').body, b'{"id":7}')


class Json(weft.Case):
    def json_of(self, *ids):
        answer = self.get('/json', headers=[('X-Request-ID', value) for value in ids])
        self.assertEqual((answer.status, answer.get('Content-Type')), (200, 'application/json'))
        pairs = json.loads(answer.body.decode(), object_pairs_hook=list)
        self.assertEqual([key for key, _ in pairs], ['request_id', 'timestamp', 'status'])
        self.assertRegex(answer.body, rb'\A\{"request_id":".*","timestamp":\d{10},"status":"ok"\}\Z')
        return dict(pairs)

    def test_without_a_request_id(self):
        before = time.time()
        found = self.json_of()
        self.assertEqual((found['request_id'], found['status']), ('unknown', 'ok'))
        self.assertIs(type(found['timestamp']), int)
        self.assertLess(before - 1.01, found['timestamp'])
        self.assertLess(found['timestamp'], time.time() + 1)

    def test_the_timestamp_follows_the_clock(self):
        with self.server.conn() as conn:
            for _ in range(15):
                now = time.time()
                stamp = json.loads(conn.ask('/json').body)['timestamp']
                self.assertLess(abs(stamp - now), 1.1)
                time.sleep(0.1)

    def test_the_last_request_id(self):
        self.assertEqual(self.json_of('abc-123')['request_id'], 'abc-123')
        self.assertEqual(self.json_of('first', 'second', 'last')['request_id'], 'last')

    def test_the_name_in_any_case(self):
        answer = self.get('/json', headers=[('x-rEQUEST-id', 'mixed')])
        self.assertEqual(json.loads(answer.body)['request_id'], 'mixed')

    def test_the_id_is_escaped(self):
        for value in ('say "hi"', 'back\\slash', '\\"', 'a\tb', '{"x":1}', '</script>', "it's",
                      '\x7e', 'x' * 1000, '\\u0041', '"' * 300):
            with self.subTest(value[:20]):
                self.assertEqual(self.json_of(value)['request_id'], value)

    def test_other_bytes_give_valid_json(self):
        """A header may hold any bytes from 0x80 on; JSON is UTF-8."""
        utf8 = 'grün €😀'
        self.assertEqual(self.json_of(utf8.encode().decode('latin-1'))['request_id'], utf8)
        for value in (b'\xff', b'\xc0\xaf', b'\xe2\x82', b'\xed\xa0\x80', b'\xf8\x88\x80\x80\x80',
                      b'a\xc3', b'\x80' * 50, b'\xf5\x80\x80\x80'):
            with self.subTest(value):
                self.assertIsInstance(self.json_of(value.decode('latin-1'))['request_id'], str)

    def test_nothing_is_left_of_the_request_before(self):
        """shows MW-03"""
        with self.server.conn() as conn:
            for i in range(50):
                sent = [('X-Request-ID', 'id-%d' % i)] if i % 2 == 0 else []
                found = json.loads(conn.ask('/json', headers=sent).body)['request_id']
                self.assertEqual(found, 'id-%d' % i if sent else 'unknown')


class NeverCopied(weft.Case):
    flags = ('--http-inline-body-bytes', 'off', '--memory-receipt', 'on')

    def test_a_static_body(self):
        """shows ZC-08: the program's own bytes, sent from where they lie; nothing accounted"""
        conn = self.conn()
        for _ in range(3):
            answer = conn.ask('/efficient')
            self.assertEqual(answer.body, b'Hello from memory-efficient handler!')
            self.assertRegex(answer.get('Server-Timing'), r'arena=0 held=0 peak=0 copied=0 ')

    def test_a_body_in_one_piece(self):
        """It is read where it was received; only one in pieces is put together."""
        body = b'{"name":"Ada","age":36}'
        for cut, copied in ((len(body), 0), (5, len(body))):
            with self.conn() as conn:
                conn.send(weft.request('/users', 'POST', [('Content-Type', 'application/json'),
                                                          ('Content-Length', len(body))]) + body[:cut])
                if copied:
                    self.assertTrue(weft.wait_until(lambda: self.server.metrics()['tasks_waiting'] > 0))
                    conn.send(body[cut:])
                answer = conn.answer('POST')
            self.assertEqual(answer.status, 201)
            self.assertRegex(answer.get('Server-Timing'), r' copied=%d ' % copied)


class Echo(weft.Case):
    def exchange(self, size, coding, piece=65536):
        """POST /echo and read the answer meanwhile. Returns (answer, md5s of both)."""
        conn = self.conn(timeout=30)
        block = bytes(range(256)) * (piece // 256 + 1)
        sent, got = hashlib.md5(), hashlib.md5()
        head = [('Transfer-Encoding', 'chunked')] if coding == 'chunked' else [('Content-Length', size)]
        conn.sink = got.update

        def upload():
            conn.send(weft.request('/echo', 'POST', head))
            left = size
            while left > 0:
                data = block[left % 256:][:min(left, piece)]
                sent.update(data)
                conn.send(b'%x\r\n%s\r\n' % (len(data), data) if coding == 'chunked' else data)
                left -= len(data)
            if coding == 'chunked':
                conn.send(b'0\r\n\r\n')
        sender = threading.Thread(target=upload, daemon=True)
        sender.start()
        answer = conn.answer('POST')
        sender.join(30 * weft.SLOWER)
        self.assertFalse(sender.is_alive())
        self.assertEqual(answer.status, 200)
        self.assertEqual(got.hexdigest(), sent.hexdigest())
        conn.sink = None
        self.assertEqual(conn.ask('/').body, b'Hello, World!')  # the connection goes on
        return answer

    def test_sizes(self):
        for size in (0, 1, 2, 255, 4095, 4096, 4097, 8191, 8192, 8193, 65535, 65536, 1 * MB):
            for coding in ('length', 'chunked'):
                with self.subTest(size=size, coding=coding):
                    self.exchange(size, coding)

    def test_chunks_of_one_byte(self):
        self.exchange(5000, 'chunked', piece=1)

    def test_many_small_chunks_in_one_packet(self):
        conn = self.conn()
        body = [b'%d' % i for i in range(2000)]
        conn.send(weft.request('/echo', 'POST', [('Transfer-Encoding', 'chunked')]) +
                  weft.chunked(body))
        self.assertEqual(conn.answer('POST').body, b''.join(body))

    def test_large_in_constant_memory(self):
        """A worker's receive buffers are used in turn, 256 of 8 KiB: each worker may touch all of its."""
        size = weft.volume(50 * MB)
        self.exchange(100, 'length')
        before = self.server.reset_peak()
        for coding in ('length', 'chunked'):
            with self.subTest(coding):
                self.exchange(size, coding)
        if not weft.SANITIZED:
            grown = self.server.status('VmHWM') - before
            self.assertLess(grown, (2 * self.server.workers + 1) * MB)

    def test_it_streams(self):
        """The beginning comes back before the end was sent."""
        conn = self.conn()
        conn.send(weft.request('/echo', 'POST', [('Content-Length', 20000)]) + b'a' * 10000)
        while len(conn.buffer) < 10000:
            self.assertTrue(conn.more())
        conn.send(b'b' * 10000)
        self.assertEqual(conn.answer('POST').body, b'a' * 10000 + b'b' * 10000)

    def test_trailers_are_read_past(self):
        conn = self.conn()
        conn.send(weft.request('/echo', 'POST', [('Transfer-Encoding', 'chunked')]) +
                  b'5;name=value;q="a b"\r\nhello\r\n0\r\nX-Sum: 1\r\nX-Other:  two \r\n\r\n')
        self.assertEqual(conn.answer('POST').body, b'hello')
        self.assertEqual(conn.ask('/').status, 200)

    def test_any_bytes(self):
        body = bytes(range(256)) * 3 + b'\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n'
        answer = self.server.ask('/echo', 'POST', body=body)
        self.assertEqual(answer.body, body)


class Stream(weft.Case):
    def stream(self, query, conn=None):
        conn = conn or self.conn(timeout=30)
        got = hashlib.sha256()
        conn.sink = got.update
        answer = conn.ask('/stream' + query)
        conn.sink = None
        self.assertEqual((answer.status, answer.get('Content-Type')), (200, 'text/plain'))
        self.assertEqual(answer.framing, 'chunked')
        return got.hexdigest()

    def test_few(self):
        for count in (0, 1, 2, 999, 1000, 1001, 12345):
            with self.subTest(count):
                expected = hashlib.sha256(lines(count)).hexdigest()
                self.assertEqual(self.stream('?n=%d&pause=0' % count), expected)

    def test_as_the_map_says(self):
        """1,000,000 lines with a pause of 1 ms each 1,000: byte for byte, and it takes its time.
        shows DM-06"""
        before = self.server.reset_peak()
        started = time.monotonic()
        if weft.SANITIZED:
            self.assertEqual(self.stream('?n=100000'), hashlib.sha256(lines(100000)).hexdigest())
        else:
            self.assertEqual(self.stream(''), hashlib.sha256(lines(1000000)).hexdigest())
        self.assertGreater(time.monotonic() - started, weft.volume(1000) * 0.001)
        if not weft.SANITIZED:
            self.assertLess(self.server.status('VmHWM') - before, 2 * MB)

    def test_pause(self):
        started = time.monotonic()
        self.stream('?n=5000&pause=100')
        self.assertGreater(time.monotonic() - started, 0.39)  # after each 1,000, maybe not the last
        self.assertLess(time.monotonic() - started, 2.0 * weft.SLOWER)

    def test_two_on_one_connection(self):
        conn = self.conn(timeout=30)
        expected = hashlib.sha256(lines(5000)).hexdigest()
        self.assertEqual(self.stream('?n=5000&pause=1', conn), expected)
        self.assertEqual(self.stream('?n=5000&pause=0', conn), expected)

    def test_http_1_0_ends_with_the_connection(self):
        conn = self.conn(timeout=30)
        answer = conn.ask('/stream?n=3000&pause=1', version='1.0')
        self.assertEqual((answer.framing, answer.body), ('close', lines(3000)))

    def fifty(self, pause):
        conns = [self.conn(timeout=30) for _ in range(50)]
        for conn in conns:
            conn.send(weft.request('/stream?n=2000&pause=%d' % pause))
        return conns

    def test_fifty_at_once(self):
        expected = lines(2000)
        for conn in self.fifty(100):
            self.assertTrue(conn.answer().body == expected)

    def test_others_do_not_wait_for_fifty(self):
        conns = self.fifty(60000)
        self.assertTrue(weft.wait_until(lambda: self.server.metrics()['tasks_waiting'] == 50))
        for _ in range(10):  # of either worker
            self.assertEqual(self.get('/').status, 200)
        self.assertEqual(self.server.metrics()['tasks_waiting'], 50)
        for conn in conns:
            conn.reset()
        self.assertTrue(self.server.at_rest())

    def test_head(self):
        conn = self.conn()
        answer = conn.ask('/stream', 'HEAD')
        self.assertEqual(answer.status, 200)
        self.assertEqual(conn.ask('/').body, b'Hello, World!')

    def test_a_bad_number(self):
        for query in ('?n=x&pause=0', '?n=99999999999999999999&pause=0', '?n=10&pause=x', '?n=1&pause=-5'):
            with self.subTest(query):
                self.assertIn(self.get('/stream' + query).status, (200, 400))
                self.assertEqual(self.get('/').status, 200)


class Cors(weft.Case):
    flags = ('--cors-origin', 'https://app.example')

    def test_the_origin_may_read(self):
        answer = self.get('/', headers=[('Origin', 'https://app.example')])
        self.assertEqual(answer.get('Access-Control-Allow-Origin'), 'https://app.example')
        self.assertIn('Origin', answer.get('Vary'))

    def test_others_may_not(self):
        answer = self.get('/', headers=[('Origin', 'https://evil.example')])
        self.assertEqual(answer.status, 200)
        self.assertIsNone(answer.get('Access-Control-Allow-Origin'))
        self.assertIsNone(self.get('/').get('Access-Control-Allow-Origin'))

    def test_preflight(self):
        answer = self.server.ask('/echo', 'OPTIONS', headers=[
            ('Origin', 'https://app.example'), ('Access-Control-Request-Method', 'POST'),
            ('Access-Control-Request-Headers', 'x-a, x-b')])
        self.assertIn(answer.status, (200, 204))
        self.assertEqual(answer.get('Access-Control-Allow-Origin'), 'https://app.example')
        self.assertIn('POST', answer.get('Access-Control-Allow-Methods'))
        self.assertEqual(answer.get('Access-Control-Allow-Headers'), 'x-a, x-b')


class AccessLog(weft.Case):
    flags = ('--log-access', 'json')

    def test_a_line_per_request(self):
        self.get('/user/7?q="x\\y"')
        self.get('/nothing\x7fhere'.replace('\x7f', '%7f'))
        self.server.ask('/echo', 'POST', body=b'12345')

        def logged():
            found = [json.loads(line) for line in self.server.output().splitlines()
                     if line.startswith('{')]
            return found if len(found) >= 3 else None
        entries = weft.wait_until(logged)
        entries.sort(key=lambda entry: entry['bytes'])  # each worker writes its own
        self.assertEqual([(e['method'], e['target'], e['status'], e['bytes']) for e in entries],
                         [('POST', '/echo', 200, 5), ('GET', '/user/7?q="x\\y"', 200, 8),
                          ('GET', '/nothing%7fhere', 404, 9)])


class AccessLogText(weft.Case):
    flags = ('--access-log', 'text')

    def test_a_line_per_request(self):
        self.get('/efficient')
        line = weft.wait_until(lambda: re.search(r'^.*"GET /efficient.*$', self.server.output(), re.M))
        self.assertTrue(line, self.server.output())
        self.assertRegex(line.group(0), r'" 200 36 ')


if __name__ == '__main__':
    unittest.main()
