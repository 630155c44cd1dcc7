"""CSV: a file in upper case, line by line and in constant memory; rows of what is sent."""
# seconds: 90
# shows DM-07: text/csv, the bytes of `tr a-z A-Z`, at most 64 KiB held by a request
import hashlib
import json
import os
import random
import shutil
import tempfile
import unittest

import weft

MB = 1 << 20
BLOCK = 4096
CSV = ('Content-Type', 'text/csv')


def lines(count, seed):
    """Rows of all kinds of bytes, some much longer than any buffer."""
    rng = random.Random(seed)
    for i in range(count):
        size = rng.choice((0, 1, 30, 200, 5000)) if i % 400 else 150000
        yield bytes(rng.choices(b'abcxyzABC,";\xc3\xa4\xff 0189', k=size)) + rng.choice((b'\n', b'\r\n'))


class Upper(weft.Case):
    @classmethod
    def setUpClass(cls):
        cls.root = tempfile.mkdtemp(prefix='weft-csv-')
        cls.addClassCleanup(shutil.rmtree, cls.root, True)
        some = b''.join(lines(801, 1))
        cls.write('some.csv', some)
        cls.write('large.csv', some * (weft.volume(8 * MB) // len(some) + 1))
        cls.write('empty.csv', b'')
        cls.write('no-end.csv', b'a,b\nc,d')
        os.mkfifo(os.path.join(cls.root, 'fifo.csv'))
        cls.flags = ('--workers', '1', '--root', cls.root)
        super().setUpClass()

    @classmethod
    def write(cls, name, data):
        with open(os.path.join(cls.root, name), 'wb') as out:
            out.write(data)

    def read(self, name):
        with open(os.path.join(self.root, name), 'rb') as source:
            return source.read()

    def test_the_bytes(self):
        for name in ('some.csv', 'empty.csv', 'no-end.csv'):
            answer = self.get('/csv/' + name)
            self.assertEqual((answer.status, answer.get('Content-Type')), (200, 'text/csv'))
            self.assertTrue(answer.body == self.read(name).upper(), name)
        self.assertEqual(self.get('/csv/some.csv', version='1.0').body, self.read('some.csv').upper())

    def test_what_is_not_there(self):
        for name in ('nothing.csv', '..%2f..%2fetc%2fpasswd', '.', 'fifo.csv', '%2e%2e', 'a%00b'):
            with self.subTest(name):
                self.assertIn(self.get('/csv/' + name).status, (400, 403, 404))
        self.assertEqual(self.get('/csv/').status, 404)

    def test_head(self):
        with self.conn() as conn:
            self.assertEqual(conn.ask('/csv/large.csv', 'HEAD').body, b'')
            self.assertEqual(conn.ask('/csv/no-end.csv').body, b'A,B\nC,D')

    def held(self):
        rows = json.loads(self.server.admin('/memory/top?by=route').body)['top']
        row = next(row for row in rows if row['route'] == 'GET /csv/{name}')
        lines_held = [owner['peak'] for owner in self.server.memory()['owners']
                      if owner['owner'] == 'csv_lines']
        return row['arena']['peak'] + row['stack']['peak'] + max(lines_held) + BLOCK

    @unittest.skipIf(weft.SANITIZED, 'a sanitizer keeps memory')
    def test_memory(self):
        server = weft.Server('--workers', '1', '--root', self.root)
        with server:
            server.ask('/')
            before = server.rss()
            digest = hashlib.sha256()
            with server.conn() as conn:
                conn.sink = digest.update
                conn.ask('/csv/large.csv')
            kept, self.server = self.server, server
            try:
                self.assertLessEqual(self.held(), 64 << 10)
            finally:
                self.server = kept
            self.assertLess(server.status('VmHWM') - before, MB)
        self.assertEqual(digest.digest(), hashlib.sha256(self.read('large.csv').upper()).digest())

    def test_more_at_once_than_there_are_large_buffers(self):
        wanted = hashlib.sha256(self.read('some.csv').upper()).digest()
        conns = [self.conn(receive_bytes=4096, segment_bytes=1400) for _ in range(20)]
        for conn in conns:
            conn.send(weft.request('/csv/some.csv'))
        self.assertTrue(weft.wait_until(lambda: self.server.memory()['owners'] and any(
            owner['owner'] == 'csv_lines' and owner['used'] == 8 * 49152
            for owner in self.server.memory()['owners'])))
        self.assertEqual(self.get('/').status, 200)  # others have their turn
        for conn in conns[::-1]:
            self.assertEqual(hashlib.sha256(conn.answer().body).digest(), wanted)

    def test_a_file_that_is_cut_meanwhile(self):
        self.write('cut.csv', b'line\n' * (6 * MB // 5))
        with self.conn(receive_bytes=4096) as conn:
            conn.send(weft.request('/csv/cut.csv'))
            self.assertTrue(conn.more())
            os.truncate(os.path.join(self.root, 'cut.csv'), 5000)
            with self.assertRaises((weft.Short, ConnectionResetError)):
                conn.answer()


class Rows(weft.Case):
    flags = ('--workers', '1')

    def stats(self, body, headers=(CSV,)):
        return self.get('/csv/stats', method='POST', headers=headers, body=body)

    def test_counted(self):
        answer = self.stats(b'a,b,c\r\n"x\r\ny","""q""",\r\n1\r\n')
        self.assertEqual(json.loads(answer.body), {'rows': 3, 'fields': 7, 'widest': 3, 'bytes': 11})

    def test_many(self):
        row = b'1,name,"quoted, with a comma",3.5\n'
        answer = self.stats(row * 40000)
        self.assertEqual(json.loads(answer.body)['rows'], 40000)

    def test_what_is_wrong_is_told_with_its_line(self):
        rows = [
            (b'a\nb"\n', 400, b'line 2: a quote in a field that is not quoted\n', 'csv_bad_total'),
            (b'a\n"b"c\n', 400, b'line 2: text behind a closing quote\n', 'csv_bad_total'),
            (b'a\n\n"b\n\n', 400, b'line 3: a quote that is not closed\n', 'csv_bad_total'),
            (b'a\rb\n', 400, b'line 1: a CR that no LF follows\n', 'csv_bad_total'),
            (b'a\n' * 9 + b'b' * 8193, 413, b'line 10: the row is too long\n', 'csv_limit_total'),
            (b'a\n' + b',' * 128, 413, b'line 2: the row has too many fields\n', 'csv_limit_total'),
        ]
        for body, status, text, counter in rows:
            with self.subTest(text):
                before = self.server.metrics()
                answer = self.stats(body)
                self.assertEqual((answer.status, answer.body), (status, text))
                self.counted(counter, before)
        self.assertEqual(self.stats(b'a', [('Content-Type', 'text/plain')]).status, 415)


if __name__ == '__main__':
    unittest.main()
