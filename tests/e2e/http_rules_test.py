"""HTTP/1.1 as RFC 9112 and RFC 9110 want it from a server: what good clients do."""
# seconds: 60
# shows HC-01, RT-10
import email.utils
import time
import unittest

import weft

POST = weft.request('/echo', 'POST', body=b'hello')


class KeepAlive(weft.Case):
    def test_many_on_one_connection(self):
        conn = self.conn()
        for i in range(200):
            answer = conn.ask('/user/%d' % i)
            self.assertEqual(answer.body, b'{"id":%d}' % i)
            self.assertIsNone(answer.get('Connection'))
        self.assertTrue(conn.quiet())

    def test_close_is_obeyed(self):
        for value in ('close', 'Close', 'keep-alive, close', 'x,  CLOSE ,y', ',close'):
            with self.subTest(value):
                conn = self.conn()
                answer = conn.ask('/', headers=[('Connection', value)])
                self.assertEqual(answer.status, 200)
                self.assertTrue(answer.closes)
                self.assertTrue(conn.ended())

    def test_close_in_the_second_line(self):
        conn = self.conn()
        self.assertTrue(conn.ask('/', headers=[('Connection', 'x'), ('Connection', 'close')]).closes)
        self.assertTrue(conn.ended())

    def test_what_is_not_close(self):
        for value in ('closed', 'x-close', 'close-x', 'keep-alive'):
            with self.subTest(value):
                conn = self.conn()
                self.assertFalse(conn.ask('/', headers=[('Connection', value)]).closes)
                self.assertEqual(conn.ask('/').status, 200)

    def test_nothing_behind_close_is_served(self):
        before = self.server.metrics()
        conn = self.conn()
        conn.send(weft.request('/', headers=[('Connection', 'close')]) + weft.HELLO * 3)
        self.assertTrue(conn.answer().closes)
        with self.assertRaises(weft.Closed):
            conn.answer()
        self.counted('requests_total', before)

    def test_one_blank_line_before_a_request(self):
        conn = self.conn()
        conn.send(b'\r\n' + weft.HELLO + b'\r\n' + weft.HELLO)
        for _ in range(2):
            self.assertEqual(conn.answer().status, 200)

    def test_byte_by_byte(self):
        conn = self.conn()
        for i in range(len(POST)):
            conn.send(POST[i:i + 1])
            if i % 8 == 0:
                time.sleep(0.001)
        self.assertEqual(conn.answer('POST').body, b'hello')

    def test_every_split_in_two(self):
        conn = self.conn()
        for at in range(1, len(POST)):
            conn.send(POST[:at])
            time.sleep(0.002)
            conn.send(POST[at:])
            self.assertEqual(conn.answer('POST').body, b'hello', at)


class Http10(weft.Case):
    def test_it_closes(self):
        conn = self.conn()
        answer = conn.ask('/', version='1.0', host=None)
        self.assertEqual((answer.status, answer.body), (200, b'Hello, World!'))
        self.assertNotIn('Transfer-Encoding', [name for name, _ in answer.headers])
        self.assertTrue(conn.ended())

    def test_keep_alive(self):
        conn = self.conn()
        for _ in range(3):
            answer = conn.ask('/', version='1.0', headers=[('Connection', 'Keep-Alive')])
            self.assertEqual(answer.get('Connection', '').lower(), 'keep-alive')
        conn.ask('/', version='1.0')
        self.assertTrue(conn.ended())

    def test_no_chunks_for_it(self):
        conn = self.conn()
        answer = conn.ask('/stream?n=10&pause=0', version='1.0',
                          headers=[('Connection', 'keep-alive')])
        self.assertEqual(answer.framing, 'close')
        self.assertEqual(answer.body.count(b'\n'), 10)

    def test_expect_is_ignored(self):
        conn = self.conn()
        conn.send(weft.request('/echo', 'POST', [('Expect', '100-continue')], b'x', '1.0'))
        answer = conn.answer('POST')
        self.assertEqual((answer.interim, answer.body), ([], b'x'))

    def test_later_minor_versions(self):
        self.assertEqual(self.get('/', version='1.2').status, 200)
        self.assertEqual(self.get('/', version='1.9').status, 200)


class Pipelining(weft.Case):
    flags = ('--workers', '1')

    def test_in_order(self):
        conn = self.conn()
        conn.send(b''.join(weft.request('/user/%d' % i) for i in range(500)))
        for i in range(500):
            self.assertEqual(conn.answer().body, b'{"id":%d}' % i)

    def test_answers_leave_in_one_send(self):
        """Sixteen requests in one packet: their answers come in one, by the kernel's count."""
        conn = self.conn()
        conn.ask('/')
        if conn.segments_in() is None:
            self.skipTest('no tcpi_data_segs_in')
        for _ in range(5):
            before = conn.segments_in()
            conn.send(weft.HELLO * 16)
            for _ in range(16):
                self.assertEqual(conn.answer().status, 200)
            self.assertEqual(conn.segments_in() - before, 1)

    def test_mixed(self):
        conn = self.conn()
        conn.send(weft.HELLO + POST + weft.request('/', 'HEAD') + weft.request('/nothing') +
                  weft.request('/echo', 'POST', [('Transfer-Encoding', 'chunked')]) +
                  weft.chunked([b'ab', b'c']) + weft.request('/', 'OPTIONS') +
                  weft.request('/stream?n=1500&pause=5') + weft.request('/user/1'))
        methods = ('GET', 'POST', 'HEAD', 'GET', 'POST', 'OPTIONS', 'GET', 'GET')
        answers = [conn.answer(method) for method in methods]
        self.assertEqual([answer.status for answer in answers], [200, 200, 200, 404, 200, 204, 200, 200])
        self.assertEqual(answers[4].body, b'abc')
        self.assertEqual(answers[6].body.count(b'\n'), 1500)
        self.assertEqual(answers[7].body, b'{"id":1}')

    def test_behind_a_handler_that_waits(self):
        conn = self.conn()
        conn.send(weft.request('/stream?n=2000&pause=50') + weft.HELLO * 100)
        self.assertEqual(conn.answer().body.count(b'\n'), 2000)
        for _ in range(100):
            self.assertEqual(conn.answer().body, b'Hello, World!')

    def test_more_than_a_client_reads(self):
        """Pipelined requests without end, no answer taken: the server stops reading, memory stays."""
        conn = self.conn(receive_bytes=4096)
        self.get('/')
        before = self.server.rss()
        conn.sock.setblocking(False)
        sent, idle = 0, 0
        data = weft.request('/memory-test') * 200
        while idle < 20 and sent < 64 << 20:
            try:
                sent += conn.sock.send(data)
                idle = 0
            except BlockingIOError:
                idle += 1
                time.sleep(0.02)
        self.assertLess(sent, 64 << 20)
        if not weft.SANITIZED:
            self.assertLess(self.server.rss() - before, 4 << 20)
        self.assertEqual(self.get('/').status, 200)
        conn.reset()
        self.assertTrue(self.server.all_closed())

    def test_an_error_ends_it(self):
        conn = self.conn()
        conn.send(weft.HELLO * 2 + b'GET / HTTP/1.1\r\nHost : x\r\n\r\n' + weft.HELLO)
        self.assertEqual([conn.answer().status for _ in range(3)], [200, 200, 400])
        self.assertTrue(conn.ended())


class Methods(weft.Case):
    def test_head_is_get_without_the_body(self):
        conn = self.conn()
        for path in ('/', '/json', '/user/7', '/efficient', '/health', '/memory-test', '/nothing'):
            with self.subTest(path):
                get, head = conn.ask(path), conn.ask(path, 'HEAD')
                self.assertEqual(head.status, get.status)
                drop = ('Date', 'X-Request-ID')
                self.assertEqual([h for h in head.headers if h[0] not in drop],
                                 [h for h in get.headers if h[0] not in drop])
                self.assertEqual(head.body, b'')

    def test_options(self):
        answer = self.get('/', method='OPTIONS')
        self.assertIn(answer.status, (200, 204))
        self.assertEqual(sorted(answer.get('Allow').split(', ')), ['GET', 'HEAD', 'OPTIONS'])
        answer = self.get('/echo', method='OPTIONS')
        self.assertEqual(sorted(answer.get('Allow').split(', ')), ['OPTIONS', 'POST'])

    def test_options_of_the_server(self):
        answer = self.get('*', method='OPTIONS')
        self.assertIn(answer.status, (200, 204))
        self.assertTrue({'GET', 'HEAD', 'POST', 'OPTIONS'} <= set(answer.get('Allow').split(', ')))

    def test_options_of_a_path_that_is_not_there(self):
        self.assertEqual(self.get('/nothing', method='OPTIONS').status, 404)

    def test_405_says_what_is_allowed(self):
        for method in ('POST', 'PUT', 'DELETE', 'PATCH', 'BREW', 'get', 'GETX', 'PROPFIND', 'TRACE'):
            with self.subTest(method):
                conn = self.conn()
                answer = conn.ask('/json', method)
                self.assertEqual(answer.status, 405)
                self.assertEqual(sorted(answer.get('Allow').split(', ')), ['GET', 'HEAD', 'OPTIONS'])
                self.assertEqual(conn.ask('/').status, 200)  # framing is fine: it goes on
        answer = self.get('/echo')
        self.assertEqual((answer.status, sorted(answer.get('Allow').split(', '))),
                         (405, ['OPTIONS', 'POST']))

    def test_405_with_a_body(self):
        conn = self.conn()
        for body in (b'x', b'y' * 5000):
            self.assertEqual(conn.ask('/', 'POST', body=body).status, 405)
        self.assertEqual(conn.ask('/').status, 200)

    def test_a_body_nobody_reads(self):
        """Little is dropped and the connection goes on; much closes it, and the answer arrives."""
        conn = self.conn()
        conn.send(weft.request('/nothing', 'POST', body=b'z' * (8 << 20)))
        answer = conn.answer('POST')
        self.assertIn(answer.status, (404, 405))
        self.assertTrue(answer.closes)
        self.assertTrue(conn.ended())

    def test_a_get_with_a_body(self):
        conn = self.conn()
        for _ in range(3):
            self.assertEqual(conn.ask('/', body=b'GET /evil HTTP/1.1\r\n\r\n').body, b'Hello, World!')


class Targets(weft.Case):
    def test_absolute_form(self):
        for target in ('http://x/user/5', 'http://x:80/user/5', 'HTTP://X/user/5', 'https://x/user/5',
                       'http://[::1]:60000/user/5', 'http://other/user/5?q=1'):
            with self.subTest(target):
                self.assertEqual(self.get(target).body, b'{"id":5}')
        self.assertEqual(self.get('http://x').status, 200)
        self.assertEqual(self.get('http://x?q').status, 200)

    def test_an_empty_host_is_allowed(self):
        self.assertEqual(self.get('/', host='').status, 200)

    def test_hosts(self):
        for host in ('x', 'x:80', 'x:', '127.0.0.1:60000', '[::1]', '[::1]:80', 'a.b-c_d~e', '%41'):
            with self.subTest(host):
                self.assertEqual(self.get('/', host=host).status, 200)

    def test_escapes_in_the_path(self):
        self.assertEqual(self.get('/%65fficient').status, 200)
        self.assertEqual(self.get('/%75ser/%37').body, b'{"id":7}')


class Dates(weft.Case):
    def test_date(self):
        asked = time.time()
        answer = self.get('/')
        stamp = email.utils.parsedate_to_datetime(answer.get('Date')).timestamp()
        self.assertTrue(asked - 1.5 < stamp <= time.time(), (asked, stamp))
        self.assertEqual(answer.get('Date'), email.utils.formatdate(stamp, usegmt=True))

    def test_it_moves_once_a_second(self):
        conn = self.conn()
        seen = []
        end = time.monotonic() + 2.5
        while time.monotonic() < end:
            date = conn.ask('/').get('Date')
            if date not in seen:
                seen.append(date)
            time.sleep(0.02)
        self.assertIn(len(seen), (3, 4))
        stamps = [email.utils.parsedate_to_datetime(date).timestamp() for date in seen]
        self.assertEqual([b - a for a, b in zip(stamps, stamps[1:])], [1.0] * (len(stamps) - 1))

    def test_errors_have_one_too(self):
        self.assertIsNotNone(self.get('/nothing').get('Date'))
        conn = self.conn()
        conn.send(b'bad\r\n\r\n')
        self.assertIsNotNone(conn.answer().get('Date'))

    def test_server_header(self):
        self.assertEqual(self.get('/').get('Server'), 'weft')


class Continue(weft.Case):
    EXPECT = [('Expect', '100-continue')]

    def test_asked_for(self):
        conn = self.conn()
        conn.send(weft.request('/echo', 'POST', self.EXPECT + [('Content-Length', 5)]))
        while b'\r\n\r\n' not in conn.buffer:
            conn.more()
        self.assertTrue(conn.buffer.startswith(b'HTTP/1.1 100 Continue\r\n\r\n') or
                        b'HTTP/1.1 100 Continue\r\n\r\n' in conn.buffer, bytes(conn.buffer))
        conn.send(b'hello')
        self.assertEqual(conn.answer('POST').body, b'hello')

    def test_the_interim_answer_comes_first(self):
        """Interim answers precede the final one (RFC 9110 15.2), also where a handler begins early."""
        conn = self.conn()
        conn.send(weft.request('/echo', 'POST', self.EXPECT + [('Transfer-Encoding', 'chunked')]))
        while b'\r\n\r\n' not in conn.buffer:
            conn.more()
        conn.send(weft.chunked([b'abc']))
        answer = conn.answer('POST')
        self.assertEqual((answer.interim, answer.status, answer.body), ([100], 200, b'abc'))
        self.assertEqual(conn.ask('/').status, 200)

    def test_the_client_did_not_wait(self):
        conn = self.conn()
        conn.send(weft.request('/echo', 'POST', self.EXPECT, b'hello'))
        self.assertEqual(conn.answer('POST').body, b'hello')
        self.assertEqual(conn.ask('/').status, 200)

    def test_without_a_body(self):
        conn = self.conn()
        answer = conn.ask('/', headers=self.EXPECT)
        self.assertEqual((answer.interim, answer.status), ([], 200))

    def test_refused_before_the_body(self):
        """404 instead of 100: the client need not send it, and the connection says how it goes on."""
        conn = self.conn()
        conn.send(weft.request('/nothing', 'POST', self.EXPECT + [('Content-Length', 5)]))
        answer = conn.answer('POST')
        self.assertEqual((answer.interim, answer.status), ([], 404))
        self.assertTrue(answer.closes)
        self.assertTrue(conn.ended())

    def test_any_other_expectation(self):
        before = self.server.metrics()
        conn = self.conn()
        conn.send(weft.request('/', headers=[('Expect', 'something')]))
        self.assertEqual(conn.answer().status, 417)
        self.counted('http_bad_expect_total', before)


class HalfClose(weft.Case):
    """FIN is half-close: the answer is finished."""

    def test_after_the_head(self):
        conn = self.conn()
        conn.send(weft.HELLO)
        conn.half_close()
        self.assertEqual(conn.answer().body, b'Hello, World!')
        self.assertTrue(conn.ended())

    def test_after_several(self):
        conn = self.conn()
        conn.send(weft.request('/user/1') + weft.request('/memory-test') + weft.request('/user/3'))
        conn.half_close()
        self.assertEqual(conn.answer().body, b'{"id":1}')
        self.assertEqual(len(conn.answer().body), 218889)
        self.assertEqual(conn.answer().body, b'{"id":3}')
        self.assertTrue(conn.ended())

    def test_while_the_handler_waits(self):
        conn = self.conn()
        conn.send(weft.request('/stream?n=3000&pause=100'))
        conn.half_close()
        self.assertEqual(conn.answer().body.count(b'\n'), 3000)
        self.assertTrue(conn.ended())

    def test_after_a_body(self):
        for coding in ('length', 'chunked'):
            with self.subTest(coding):
                conn = self.conn()
                conn.send(POST if coding == 'length' else
                          weft.request('/echo', 'POST', [('Transfer-Encoding', 'chunked')]) +
                          weft.chunked([b'hello']))
                conn.half_close()
                self.assertEqual(conn.answer('POST').body, b'hello')
                self.assertTrue(conn.ended())

    def test_in_a_body(self):
        """The rest will never come: an error or an end, soon, and counted."""
        before = self.server.metrics()
        conn = self.conn()
        conn.send(weft.request('/echo', 'POST', [('Content-Length', 10)]) + b'half')
        conn.half_close()
        try:
            self.assertEqual(conn.answer('POST').status, 400)
        except (weft.Short, weft.Closed):
            pass
        self.assertTrue(conn.ended())
        self.counted('http_body_cut_total', before)

    def test_in_a_head(self):
        conn = self.conn()
        conn.send(b'GET / HTTP/1.1\r\nHos')
        conn.half_close()
        try:
            self.assertEqual(conn.answer().status, 400)
        except weft.Closed:
            pass
        self.assertTrue(conn.ended())

    def test_at_once(self):
        conn = self.conn()
        conn.half_close()
        self.assertTrue(conn.ended())
        self.assertTrue(self.server.all_closed())


class Bodies(weft.Case):
    def chunked(self, body, status=200, headers=()):
        conn = self.conn()
        conn.send(weft.request('/echo', 'POST', [('Transfer-Encoding', 'chunked'), *headers]) + body)
        answer = conn.answer('POST')
        self.assertEqual(answer.status, status)
        return answer.body

    def test_what_the_grammar_allows(self):
        for body in (b'5\r\nhello\r\n0\r\n\r\n', b'05\r\nhello\r\n000\r\n\r\n',
                     b'5;a\r\nhello\r\n0;b=c\r\n\r\n', b'5;a=b;c="d;e\\"f"\r\nhello\r\n0\r\n\r\n',
                     b'5; a = b\r\nhello\r\n0\r\n\r\n', b'0000000000000005\r\nhello\r\n0\r\n\r\n',
                     b'5\r\nhello\r\n0\r\nX: y\r\nEmpty:\r\n\r\n'):
            with self.subTest(body):
                self.assertEqual(self.chunked(body), b'hello')
        self.assertEqual(self.chunked(b'a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n'), b'0123456789' * 2)

    def test_coding_names_in_any_case(self):
        conn = self.conn()
        conn.send(weft.request('/echo', 'POST', [('transfer-ENCODING', 'CHUNKED')]) +
                  weft.chunked([b'x']))
        self.assertEqual(conn.answer('POST').body, b'x')

    def test_te_trailers(self):
        """A client that takes trailers gets the same body, well-formed."""
        conn = self.conn()
        answer = conn.ask('/stream?n=5&pause=0', headers=[('TE', 'trailers'), ('Connection', 'TE')])
        self.assertEqual((answer.framing, answer.body.count(b'\n')), ('chunked', 5))
        self.assertEqual(conn.ask('/').status, 200)

    def test_a_length_of_zero(self):
        conn = self.conn()
        answer = conn.ask('/echo', 'POST', body=b'')
        self.assertEqual((answer.status, answer.body), (200, b''))
        self.assertEqual(conn.ask('/').status, 200)

    def test_a_post_without_length(self):
        conn = self.conn()
        self.assertIn(conn.ask('/echo', 'POST').status, (200, 411))


if __name__ == '__main__':
    unittest.main()
