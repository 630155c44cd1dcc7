"""Nothing per request, nothing per connection: heap calls of the whole process, all libraries included."""
import os
import struct
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'e2e'))
import weft  # noqa: E402

COUNTER = os.path.join(os.path.dirname(os.path.abspath(weft.BIN)), 'bench', 'heapcount.so')
ROUTES = ('/', '/json', '/user/7', '/efficient', '/health', '/nothing', '/cache/hot',
          '/cache/large?pad=9000')
FILES = (('/static/a.txt', ()), ('/file/a.txt', ()), ('/static/large.bin', ()), ('/static/nothing', ()), ('/static', ()),
         ('/static/', ()), ('/static/a.txt', (('If-None-Match', '*'),)), ('/static/a.txt', (('Range', 'bytes=0-4'),)),
         ('/static/a.txt', (('Accept-Encoding', 'gzip'),)),
         ('/static/large.bin', (('Range', 'bytes=0-99,5000-99999'),)))
KINDS = 5  # malloc, calloc, realloc, free, aligned


class HeapCalls(unittest.TestCase):
    def requests(self, server, connections, asked):
        for number in range(connections):
            with server.conn() as conn:
                self.assertEqual(conn.ask('/cache/%d-%d' % (connections, number)).get('X-Cache'), 'MISS')
                for route, headers, *body in asked:
                    answer = conn.ask(route, 'POST' if body else 'GET', headers, *body)
                    self.assertIn(answer.status, (200, 204, 206, 301, 304, 400, 401, 404, 409), route)

    def test_requests_and_connections_make_none(self):
        """shows RT-09, HC-19, MC-12: after a warm-up no heap call, for no request and no accept."""
        self.check_none([(route, ()) for route in ROUTES], 500)

    def test_files_make_none(self):
        """Neither does a static mount: files, ranges, compressed ones, a listing."""
        with tempfile.TemporaryDirectory() as root:
            for name, size in (('a.txt', 100), ('a.txt.gz', 50), ('large.bin', 200000)):
                with open(os.path.join(root, name), 'wb') as out:
                    out.write(bytes(size))
            self.check_none(FILES, 60, '--root', root)

    def test_coders_make_none(self):
        """Nor do zlib, brotli and zstd: what they allocate lies in their coder."""
        with tempfile.TemporaryDirectory() as root:
            with open(os.path.join(root, 'text.txt'), 'wb') as out:
                out.write(b'warp and weft\n' * 8000)
            asked = [(route, (('Accept-Encoding', coding + ', identity;q=0'),)) for coding in ('gzip', 'br', 'zstd')
                     for route in ('/static/text.txt', '/stream?n=3000&pause=0', '/users?size=50')]
            self.check_none(asked, 20, '--root', root, '--compress-codings', 'zstd, br, gzip')

    def test_forms_make_none(self):
        """Nor do forms, uploads, CSV and signed cookies: of libcrypto it is the bare hash."""
        with tempfile.TemporaryDirectory() as root:
            keys = os.path.join(root, 'keys')
            with open(keys, 'w', encoding='ascii') as out:
                out.write('k' * 64 + '\n')
            form = (('Content-Type', 'application/x-www-form-urlencoded'),)
            parts = (('Content-Type', 'multipart/form-data; boundary=b'),)
            head = b'--b\r\nContent-Disposition: form-data; name=f'
            body = head + b'\r\n\r\nx\r\n' + head + b'; filename=kept\r\n\r\n' + b'y' * 50000 + b'\r\n--b--'
            asked = [('/login', form, b'user=alice'), ('/whoami', (('Cookie', 'user=alice.0.' + 'A' * 43),)),
                     ('/form', form, b'a=%20b&c=d'), ('/form', form, b'a=%z'), ('/upload', parts, body),
                     ('/csv/stats', (('Content-Type', 'text/csv'),), b'a,"b ""c"""\n' * 1000), ('/csv/keys', ())]
            self.check_none(asked, 40, '--root', root, '--upload-root', root, '--cookies-key-path', keys)

    def check_none(self, asked, connections, *flags):
        if not os.path.exists(COUNTER):
            self.skipTest('%s is not built' % COUNTER)
        with tempfile.NamedTemporaryFile() as counts:
            counts.write(bytes(8 * KINDS))
            counts.flush()
            env = {'LD_PRELOAD': COUNTER, 'HEAPCOUNT_FILE': counts.name}
            with weft.Server('--workers', '2', *flags, env=env) as server:
                self.requests(server, 50, asked)
                before = self.read(counts.name)
                self.assertGreater(sum(before), 0)  # the start makes some: the counter counts
                self.requests(server, connections, asked)
                self.assertEqual(self.read(counts.name), before)

    @staticmethod
    def read(path):
        with open(path, 'rb') as file:
            return struct.unpack('%dQ' % KINDS, file.read(8 * KINDS))


if __name__ == '__main__':
    unittest.main()
