"""What bad input gets: for each rule the bytes, the exact status, the counter; then the connection is
closed, and the others notice nothing."""
# seconds: 120
import os
import re
import time
import unittest

import weft

DEF = os.path.join(os.path.dirname(os.path.abspath(__file__)), '../../src/http/parse_errors.def')
HOST = b'Host: x\r\n'
G = b'GET / HTTP/1.1\r\n'


def line(text):
    """A request with this request line."""
    return text + b'\r\n' + HOST + b'\r\n'


def get(fields):
    """A good request but for these header lines."""
    return G + HOST + fields + b'\r\n'


def post(body):
    """A chunked upload with this body."""
    return b'POST /echo HTTP/1.1\r\n' + HOST + b'Transfer-Encoding: chunked\r\n\r\n' + body


# (rule of parse_errors.def, bytes)
ROWS = [
    ('BLANK_LINES', b'\r\n\r\n' + weft.HELLO),
    ('BLANK_LINES', b'\r\n' * 1000),
    ('BARE_CR', b'GET / HTTP/1.1\rHost: x\r\n\r\n'),
    ('BARE_CR', b'\r' + weft.HELLO),
    ('BARE_CR', get(b'A: b\rc\r\n')),
    ('BARE_CR', get(b'A: b\r\r\n')),
    ('BARE_LF', b'GET / HTTP/1.1\nHost: x\n\n'),
    ('BARE_LF', b'\n' + weft.HELLO),
    ('BARE_LF', get(b'A: b\n')),
    ('BARE_LF', G + b'Host: x\r\nA: b\r\n\n'),
    ('METHOD', line(b'G@T / HTTP/1.1')),
    ('METHOD', line(b'(GET) / HTTP/1.1')),
    ('METHOD', line(b' GET / HTTP/1.1')),
    ('METHOD', b'\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 hello'),
    ('METHOD', line(b'G\x00T / HTTP/1.1')),
    ('METHOD_LONG', line(b'M' * 40 + b' / HTTP/1.1')),
    ('METHOD_LONG', b'A' * 9000),
    ('CONNECT', line(b'CONNECT x:80 HTTP/1.1')),
    ('CONNECT', line(b'CONNECT / HTTP/1.1')),
    ('SPACES', line(b'GET  / HTTP/1.1')),
    ('SPACES', line(b'GET /  HTTP/1.1')),
    ('SPACES', line(b'GET / HTTP/1.1 ')),
    ('TARGET_EMPTY', line(b'GET')),
    ('TARGET_FORM', line(b'GET x HTTP/1.1')),
    ('TARGET_FORM', line(b'GET ftp://x/ HTTP/1.1')),
    ('TARGET_FORM', line(b'GET x:80 HTTP/1.1')),
    ('TARGET_FORM', line(b'GET \\etc HTTP/1.1')),
    ('TARGET_BYTE', line(b'GET /\x01 HTTP/1.1')),
    ('TARGET_BYTE', line(b'GET /\x00 HTTP/1.1')),
    ('TARGET_BYTE', line(b'GET /\xc3\xa4 HTTP/1.1')),
    ('TARGET_BYTE', line(b'GET /\x7f HTTP/1.1')),
    ('TARGET_FRAGMENT', line(b'GET /a#b HTTP/1.1')),
    ('TARGET_ASTERISK', line(b'GET * HTTP/1.1')),
    ('TARGET_AUTHORITY', line(b'GET http:/// HTTP/1.1')),
    ('TARGET_AUTHORITY', line(b'GET http://a:b/ HTTP/1.1')),
    ('TARGET_USERINFO', line(b'GET http://u@x/ HTTP/1.1')),
    ('TARGET_USERINFO', line(b'GET http://u:p@x/ HTTP/1.1')),
    ('TARGET_LONG', line(b'GET /' + b'a' * 8001 + b' HTTP/1.1')),
    ('TARGET_LONG', b'GET /' + b'a' * 100000),
    ('PATH_ESCAPE', line(b'GET /%zz HTTP/1.1')),
    ('PATH_ESCAPE', line(b'GET /a% HTTP/1.1')),
    ('PATH_ESCAPE', line(b'GET /a%2 HTTP/1.1')),
    ('PATH_NUL', line(b'GET /a%00b HTTP/1.1')),
    ('VERSION_MISSING', line(b'GET /')),
    ('VERSION', line(b'GET / HTTP/1')),
    ('VERSION', line(b'GET / HTTP/1.x')),
    ('VERSION', line(b'GET / http/1.1')),
    ('VERSION', line(b'GET / HTTP/1.1x')),
    ('VERSION', line(b'GET / HTTP/01.1')),
    ('VERSION', line(b'GET / FTP/1.1')),
    ('VERSION_MAJOR', line(b'GET / HTTP/2.0')),
    ('VERSION_MAJOR', b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
    ('VERSION_MAJOR', line(b'GET / HTTP/0.9')),
    ('HEAD_LONG', get(b'A: ' + b'b' * 8192 + b'\r\n')),
    ('HEAD_LONG', G + HOST + b'A: ' + b'b' * 200000),
    ('HEAD_LONG', G + HOST + b'a' * 20000),
    ('FIELD_COUNT', get(b'A: b\r\n' * 100)),
    ('FIELD_COUNT', G + HOST + b'A:\r\n' * 1500),
    ('FIELD_FOLDED', get(b'A: b\r\n c\r\n')),
    ('FIELD_FOLDED', get(b'A: b\r\n\tc\r\n')),
    ('FIELD_FOLDED', G + b' ' + HOST + b'\r\n'),
    ('FIELD_COLON', get(b'nocolon\r\n')),
    ('NAME_EMPTY', get(b': b\r\n')),
    ('NAME_SPACE', get(b'A : b\r\n')),
    ('NAME_SPACE', get(b'A\t: b\r\n')),
    ('NAME_SPACE', G + b'Host : x\r\n\r\n'),
    ('NAME_BYTE', get(b'A b: c\r\n')),
    ('NAME_BYTE', get(b'A\x00: c\r\n')),
    ('NAME_BYTE', get(b'\xc3\xa4: c\r\n')),
    ('NAME_BYTE', get(b'A(x): c\r\n')),
    ('VALUE_BYTE', get(b'A: b\x00c\r\n')),
    ('VALUE_BYTE', get(b'A: \x1f\r\n')),
    ('VALUE_BYTE', get(b'A: \x7f\r\n')),
    ('HOST_MISSING', G + b'\r\n'),
    ('HOST_MISSING', G + b'Hostx: x\r\n\r\n'),
    ('HOST_TWICE', get(b'Host: x\r\n')),
    ('HOST_TWICE', get(b'hOST: y\r\n')),
    ('HOST', G + b'Host: a b\r\n\r\n'),
    ('HOST', G + b'Host: a/b\r\n\r\n'),
    ('HOST', G + b'Host: u@x\r\n\r\n'),
    ('HOST', G + b'Host: x:99x\r\n\r\n'),
    ('HOST', G + b'Host: [::1\r\n\r\n'),
    ('LENGTH', get(b'Content-Length:\r\n')),
    ('LENGTH', get(b'Content-Length: +1\r\n')),
    ('LENGTH', get(b'Content-Length: -1\r\n')),
    ('LENGTH', get(b'Content-Length: 0x10\r\n')),
    ('LENGTH', get(b'Content-Length: 1 1\r\n')),
    ('LENGTH', get(b'Content-Length: 5, 5\r\n')),
    ('LENGTH', get(b'Content-Length: 5,6\r\n')),
    ('LENGTH', get(b'Content-Length: 1.0\r\n')),
    ('LENGTH_RANGE', get(b'Content-Length: 18446744073709551616\r\n')),
    ('LENGTH_RANGE', get(b'Content-Length: ' + b'9' * 100 + b'\r\n')),
    ('LENGTH_TWICE', get(b'Content-Length: 1\r\nContent-Length: 1\r\n')),
    ('LENGTH_TWICE', get(b'Content-Length: 1\r\nContent-Length: 2\r\n')),
    ('CODING', get(b'Transfer-Encoding:\r\n')),
    ('CODING', get(b'Transfer-Encoding: chunked, chunked\r\n')),
    ('CODING', get(b'Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n')),
    ('CODING', get(b'Transfer-Encoding: chunked, gzip\r\n')),
    ('CODING', get(b'Transfer-Encoding: chunked;q=1\r\n')),
    ('CODING', get(b'Transfer-Encoding: "chunked"\r\n')),
    ('CODING_UNKNOWN', get(b'Transfer-Encoding: gzip\r\n')),
    ('CODING_UNKNOWN', get(b'Transfer-Encoding: gzip, chunked\r\n')),
    ('CODING_UNKNOWN', get(b'Transfer-Encoding: identity\r\n')),
    ('CODING_UNKNOWN', get(b'Transfer-Encoding: xchunked\r\n')),
    ('CODING_LENGTH', get(b'Transfer-Encoding: chunked\r\nContent-Length: 5\r\n')),
    ('CODING_LENGTH', get(b'Content-Length: 5\r\nTransfer-Encoding: chunked\r\n')),
    ('CODING_VERSION', b'POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'),
    ('CHUNK_SIZE', post(b'x\r\nhello\r\n0\r\n\r\n')),
    ('CHUNK_SIZE', post(b'\r\nhello\r\n0\r\n\r\n')),
    ('CHUNK_SIZE', post(b'+5\r\nhello\r\n0\r\n\r\n')),
    ('CHUNK_SIZE', post(b'-1\r\nhello\r\n0\r\n\r\n')),
    ('CHUNK_SIZE', post(b'0x5\r\nhello\r\n0\r\n\r\n')),
    ('CHUNK_SIZE', post(b' 5\r\nhello\r\n0\r\n\r\n')),
    ('CHUNK_SIZE', post(b'5 \r\nhello\r\n0\r\n\r\n')),
    ('CHUNK_SIZE', post(b'5 ;a\r\nhello\r\n0\r\n\r\n')),
    ('CHUNK_SIZE', post(b'5\t\r\nhello\r\n0\r\n\r\n')),
    ('CHUNK_SIZE', post(b';a=b\r\nhello\r\n0\r\n\r\n')),
    ('CHUNK_RANGE', post(b'10000000000000005\r\nhello\r\n0\r\n\r\n')),
    ('CHUNK_RANGE', post(b'00000000000000005\r\nhello\r\n0\r\n\r\n')),
    ('CHUNK_RANGE', post(b'f' * 100000)),
    ('CHUNK_LINE', post(b'5;a=' + b'b' * 100000)),
    ('CHUNK_EXT', post(b'5;\r\nhello\r\n0\r\n\r\n')),
    ('CHUNK_EXT', post(b'5;;a\r\nhello\r\n0\r\n\r\n')),
    ('CHUNK_EXT', post(b'5;a=\r\nhello\r\n0\r\n\r\n')),
    ('CHUNK_EXT', post(b'5;(=b\r\nhello\r\n0\r\n\r\n')),
    ('CHUNK_EXT', post(b'5;a="b\r\n"\r\nhello\r\n0\r\n\r\n')),
    ('CHUNK_EXT', post(b'5;a \r\nhello\r\n0\r\n\r\n')),
    ('CHUNK_EXT_LONG', post(b'1;aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa=b\r\nx\r\n' * 5000)),
    ('CHUNK_END', post(b'5\r\nhellox\r\n0\r\n\r\n')),
    ('CHUNK_END', post(b'5\r\nhello5\r\nhello\r\n0\r\n\r\n')),
    ('BARE_CR', post(b'5\rhello\r\n0\r\n\r\n')),
    ('BARE_LF', post(b'5\nhello\r\n0\r\n\r\n')),
    ('BARE_LF', post(b'5\r\nhello\n0\r\n\r\n')),
    ('BARE_LF', post(b'5\r\nhello\r\n0\n\n')),
    ('TRAILER_NAME', post(b'0\r\nContent-Length: 5\r\n\r\n')),
    ('TRAILER_NAME', post(b'0\r\nTransfer-Encoding: chunked\r\n\r\n')),
    ('TRAILER_NAME', post(b'0\r\nhost: y\r\n\r\n')),
    ('TRAILER_NAME', post(b'0\r\nAuthorization: y\r\n\r\n')),
    ('TRAILER_LONG', post(b'0\r\nA: ' + b'b' * 100000)),
    ('TRAILER_COUNT', post(b'0\r\n' + b'A: b\r\n' * 1000)),
    ('FIELD_FOLDED', post(b'0\r\nA: b\r\n c\r\n\r\n')),
    ('NAME_SPACE', post(b'0\r\nA : b\r\n\r\n')),
    ('NAME_BYTE', post(b'0\r\nA\x00: b\r\n\r\n')),
    ('VALUE_BYTE', post(b'0\r\nA: \x01\r\n\r\n')),
    ('NAME_EMPTY', post(b'0\r\n: b\r\n\r\n')),
    ('FIELD_COLON', post(b'0\r\nnocolon\r\n\r\n')),
]
# A rule that another one meets first, or a slow way to the same limit: other results that are as right.
ALSO = {
    'CHUNK_LINE': ('CHUNK_EXT_LONG',),
    'SPACES': ('VERSION', 'TARGET_EMPTY', 'TARGET_FORM'),
    'TARGET_EMPTY': ('METHOD', 'SPACES'),
    'METHOD': ('SPACES', 'BARE_CR', 'VALUE_BYTE'),
    'BARE_CR': ('CHUNK_SIZE', 'VERSION'),
    'BARE_LF': ('CHUNK_END',),
}
# Found so late in a body that the echo is under way: then the connection just breaks off.
BREAKS_OFF = ('CHUNK_EXT_LONG', 'TRAILER_LONG')


def rules():
    with open(DEF, encoding='ascii') as source:
        found = re.findall(r'^WEFT_PARSE_ERROR\((\w+), (\d+), (\w+),', source.read(), re.M)
    return {name: (int(status), counter.lower() + '_total') for name, status, counter in found}


class Table(weft.Case):
    rules = rules()

    def refused(self, data, split=None):
        """Send data; the status of its refusal, None when it was a close in mid-answer."""
        with self.server.conn() as conn:
            try:
                if split is not None:
                    conn.send(data[:split])
                    time.sleep(0.003)
                    data = data[split:]
                conn.send(data)
            except (BrokenPipeError, ConnectionResetError):
                pass  # refused before the end was sent
            try:
                answer = conn.answer('POST')
            except (weft.Short, ConnectionResetError):
                return None
            self.assertTrue(answer.closes, answer)
            self.assertEqual(answer.get('Content-Length'), str(len(answer.body)))
            self.assertTrue(conn.ended(), 'still open')
            return answer.status

    def test_every_rule_has_a_row(self):
        self.assertEqual(sorted(self.rules), sorted({rule for rule, _ in ROWS}))

    def test_status_counter_close(self):
        """And a connection beside it goes on, with a stream under way on another one."""
        good = self.conn()
        stream = self.conn(timeout=60)
        stream.send(weft.request('/stream?n=30000&pause=100'))
        before = self.server.metrics()
        for rule, data in ROWS:
            with self.subTest(rule, data=data[:80]):
                status = self.refused(data)
                self.assertTrue(status or rule in BREAKS_OFF, 'no answer')
                now = self.server.metrics()
                counted = [name for name in self.rules if now[self.rules[name][1]] !=
                           before[self.rules[name][1]]]
                before = now
                self.assertEqual(len(counted), 1, counted)
                self.assertIn(counted[0], (rule, *ALSO.get(rule, ())))
                self.assertIn(status, (None, self.rules[counted[0]][0]))
                self.assertEqual(good.ask('/').body, b'Hello, World!')
        self.assertEqual(stream.answer().body.count(b'\n'), 30000)

    def test_however_the_bytes_arrive(self):
        for rule, data in ROWS:
            if len(data) > 1000:
                continue
            for split in (1, len(data) // 2, len(data) - 1):
                with self.subTest(rule, data=data[:80], split=split):
                    want = {self.rules[name][0] for name in (rule, *ALSO.get(rule, ()))}
                    self.assertIn(self.refused(data, split), want)

    def test_behind_a_good_one(self):
        """Pipelined: the good request is answered, the bad one refused, the third never seen."""
        for rule, data in ROWS:
            if rule == 'BLANK_LINES' or len(data) > 1000:
                continue
            with self.subTest(rule, data=data[:80]), self.server.conn() as conn:
                conn.send(weft.HELLO + data + weft.HELLO)
                self.assertEqual(conn.answer().body, b'Hello, World!')
                self.assertGreaterEqual(conn.answer('POST').status, 400)
                self.assertTrue(conn.ended())


class Beyond(weft.Case):
    """What is not one of the parser's rules."""

    def test_the_answer_survives_what_follows(self):
        """A client that goes on sending still finds the refusal: no reset overtakes it."""
        for _ in range(10):
            conn = self.conn()
            try:
                conn.send(G + b'A : b\r\n\r\n' + b'junk' * 50000)
                time.sleep(0.01)
                conn.send(b'more' * 50000)
            except OSError:
                pass
            self.assertEqual(conn.answer().status, 400)

    def test_a_body_over_the_limit(self):
        before = self.server.metrics()
        conn = self.conn()
        conn.send(weft.request('/nothing', 'POST', [('Content-Length', 17 << 20)]))
        answer = conn.answer('POST')
        self.assertIn(answer.status, (404, 413))
        self.assertTrue(answer.closes)
        self.assertTrue(conn.ended())
        self.assertEqual(self.server.metrics()['responses_5xx_total'], before['responses_5xx_total'])

    def test_chunk_sizes_that_overflow(self):
        for size in (b'ffffffffffffffff', b'8000000000000000', b'7fffffffffffffff', b'fffffffffffffff'):
            with self.subTest(size):
                conn = self.conn()
                conn.send(post(size + b'\r\nhello'))
                conn.half_close()
                try:
                    self.assertGreaterEqual(conn.answer('POST').status, 400)
                except (weft.Short, weft.Closed):
                    pass
                self.assertTrue(conn.ended())

    def test_request_smuggling(self):
        """Where two readers could disagree about the framing, nothing behind it is served."""
        before = self.server.metrics()
        inner = b'GET /user/666 HTTP/1.1\r\nHost: x\r\n\r\n'
        fields = (
            b'Content-Length: 6\r\nTransfer-Encoding: chunked\r\n', b'Transfer-Encoding : chunked\r\n',
            b'Transfer-Encoding:\x0bchunked\r\n', b'Transfer-Encoding: x\r\n chunked\r\n',
            b'X: y\nTransfer-Encoding: chunked\r\n', b'X: y\rTransfer-Encoding: chunked\r\n',
            b'Content-Length: 0\r\nContent-Length: 50\r\n', b'Content-Length: 0 \x0050\r\n',
            b' Transfer-Encoding: chunked\r\n', b'Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n',
            b'Content_Length: 5\r\nContent-Length : 5\r\n', b'\x00Transfer-Encoding: chunked\r\n',
        )
        for field in fields:
            with self.subTest(field), self.server.conn() as conn:
                conn.send(b'POST /echo HTTP/1.1\r\n' + HOST + field + b'\r\n0\r\n\r\n' + inner)
                self.assertIn(conn.answer('POST').status, (400, 501))
                self.assertTrue(conn.ended())
        after = self.server.metrics()
        self.assertEqual(after['responses_2xx_total'], before['responses_2xx_total'])

    def test_upgrades_that_are_not_served(self):
        conn = self.conn()
        answer = conn.ask('/', headers=[('Connection', 'Upgrade'), ('Upgrade', 'h2c'),
                                        ('HTTP2-Settings', 'AAMAAABkAARAAAAAAAIAAAAA')])
        self.assertEqual((answer.status, answer.body), (200, b'Hello, World!'))

    def test_odd_but_good(self):
        for field in (b'A:b\r\n', b'A: \r\n', b'A:\r\n', b'A:\t b\t \r\n', b'A: \xe4\xff\r\n', b'A: ,;="\r\n',
                      b"!#$%&'*+-.^_`|~9z: b\r\n", b'A: ' + b'b' * 7900 + b'\r\n'):
            with self.subTest(field[:40]), self.server.conn() as conn:
                conn.send(get(field))
                self.assertEqual(conn.answer().status, 200)

    def test_nothing_at_all(self):
        """Connections that say nothing, or one byte, and go."""
        for data in (b'', b'G', b'\r', b'\r\n', b'\0', b'\xff' * 10):
            for _ in range(20):
                conn = self.conn()
                if data:
                    conn.send(data)
                conn.close()
        self.assertTrue(self.server.all_closed())
        self.assertEqual(self.get('/').status, 200)


if __name__ == '__main__':
    unittest.main()
