"""Content codings: what curl, a browser and Python's zlib make of them; what is coded and what is not, what
heads say, and that coders are bounded in number and memory."""
# seconds: 180
import gzip
import json
import os
import re
import select
import shutil
import subprocess
import tempfile
import threading
import unittest
import zlib

import chromium
import weft

KB, MB = 1 << 10, 1 << 20
ALL = ('--compress-codings', 'zstd, br, gzip')
CODERS = 3
SLEEPS = '/stream?n=1000000000&pause=100000'  # a thousand lines, and then nothing for long
FIRST = ''.join('Chunk %d\n' % i for i in range(1000)).encode()
WORDS = [b'warp', b'weft', b'shuttle', b'heddle', b'selvage', b'reed', b'loom', b'twill']


def words(count):
    """Text that shrinks, and is not all the same."""
    out, seed = [], 7
    for _ in range(count):
        seed = (seed * 1103515245 + 12345) & 0x7fffffff
        out.append(WORDS[seed >> 28] + b' %d' % (seed >> 12 & 255))
    return b'\n'.join(out)


class Compressed(weft.Case):
    flags = (*ALL, '--workers', '1', '--compress-coders', str(CODERS))

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix='weft-compress.')
        cls.addClassCleanup(folder.cleanup)
        cls.root = folder.name
        cls.files = {'small.txt': words(1000), 'large.json': words(60000), 'huge.txt': words(150000),
                     'noise.png': os.urandom(40 * KB), 'tiny.html': b'<p>tiny</p>'}
        for name, data in cls.files.items():
            with open(os.path.join(cls.root, name), 'wb') as out:
                out.write(data)
        cls.server = weft.Server('--root', cls.root, *cls.flags)

    def coded(self, target, coding='gzip', **kwargs):
        return self.get(target, headers=[('Accept-Encoding', coding)], **kwargs)

    @unittest.skipUnless(shutil.which('curl'), 'curl is not there: apt-get install curl')
    def test_curl_decodes_what_it_gets(self):
        have = subprocess.run(['curl', '-V'], capture_output=True, check=True).stdout.decode()
        stream = ''.join('Chunk %d\n' % i for i in range(30000)).encode()
        for coding in ('gzip', 'br', 'zstd'):
            if {'gzip': 'libz', 'br': 'brotli', 'zstd': 'zstd'}[coding] not in have:
                continue
            for path, want in (('/file/small.txt', self.files['small.txt']),
                               ('/file/large.json', self.files['large.json']),
                               ('/stream?n=30000&pause=0', stream), ('/users', None)):
                with self.subTest(path, coding=coding):
                    done = subprocess.run(
                        ['curl', '-sSi', '--http1.1', '--max-time', str(20 * weft.SLOWER), '-H',
                         'Accept-Encoding: ' + coding, '--compressed', 'http://127.0.0.1:%d%s' % (self.server.port, path)],
                        capture_output=True, check=True)
                    head, body = done.stdout.split(b'\r\n\r\n', 1)
                    self.assertIn(b'\r\nContent-Encoding: ' + coding.encode(), head)
                    self.assertIn(b'\r\nVary: Accept-Encoding', head)
                    if want is None:
                        self.assertEqual(json.loads(body)['total'], 100000)
                    else:
                        self.assertTrue(body == want, '%d bytes' % len(body))

    @chromium.needed
    @unittest.skipIf(weft.PHASE != 'e2e', 'a browser says nothing new here')
    def test_a_browser_shows_it(self):
        page_url = 'http://127.0.0.1:%d/file/small.txt' % self.server.port
        text = self.files['small.txt'].decode()
        with tempfile.TemporaryDirectory(prefix='weft-compress.') as folder, \
                chromium.Chromium(folder) as browser:
            page = browser.open(page_url)
            page.wait('document.readyState == "complete" && location.pathname.endsWith("small.txt")')
            self.assertEqual(page.value('document.body.textContent'), text)
            sizes = page.value('(e => [e.encodedBodySize, e.decodedBodySize])'
                               '(performance.getEntriesByType("navigation")[0])')
            self.assertEqual(sizes[1], len(text))
            self.assertLess(sizes[0] * 2, sizes[1])
            stream = page.value('fetch("/stream?n=5000&pause=1").then(a => a.text().then('
                                't => [a.headers.get("content-encoding"), t.length, t.slice(-11)]))')
            self.assertIn(stream[0], ('gzip', 'br', 'zstd'))
            self.assertEqual(stream[2], 'Chunk 4999\n')
            # unchanged, by its weak tag
            again = page.value('fetch("", {cache: "no-cache"}).then(a => a.text()).then(t => t.length)')
            self.assertEqual(again, len(text))

    def test_the_length_of_what_is_small_is_told(self):
        for _ in range(4):
            self.get('/file/small.txt')  # asked for often: it is in memory then
        answer = self.coded('/file/small.txt')
        self.assertEqual(answer.framing, 'length')
        self.assertEqual(gzip.decompress(answer.body), self.files['small.txt'])
        answer = self.coded('/file/large.json')
        self.assertEqual(answer.framing, 'chunked')
        self.assertEqual(gzip.decompress(answer.body), self.files['large.json'])
        answer = self.coded('/file/large.json', version='1.0')
        self.assertEqual(answer.framing, 'close')
        self.assertEqual(gzip.decompress(answer.body), self.files['large.json'])

    def test_a_stream_is_readable_so_far(self):
        before = self.server.metrics()
        conn = self.conn()
        conn.send(weft.request(SLEEPS, headers=[('Accept-Encoding', 'gzip')]))
        text, parts = b'', b''
        while len(text) < len(FIRST):
            self.assertTrue(select.select([conn.sock], [], [], 10)[0], 'only %d bytes' % len(text))
            parts += conn.sock.recv(65536)
            text = zlib.decompressobj(31).decompress(self.unchunk(parts))
        self.assertEqual(text, FIRST)
        conn.reset()
        self.assertTrue(weft.wait_until(lambda: self.of_coders('used') == 0, 2))  # released within 1 s
        self.counted('requests_canceled_total', before)

    @staticmethod
    def unchunk(data):
        body = data.partition(b'\r\n\r\n')[2]
        out = b''
        while body:
            line, _, rest = body.partition(b'\r\n')
            out += rest[:int(line, 16)]
            body = rest[int(line, 16) + 2:]
        return out

    def of_coders(self, name):
        return sum(value for key, labels, value in self.server.samples()
                   if key == 'weft_memory_%s_bytes' % name and labels.get('owner') == 'compress')

    def test_what_stays_as_it_is(self):
        for path, name in (('/file/noise.png', 'noise.png'), ('/file/tiny.html', 'tiny.html'),
                           ('/file/huge.txt', 'huge.txt')):
            with self.subTest(path):
                answer = self.coded(path, 'gzip, br, zstd')
                self.assertIsNone(answer.get('Content-Encoding'))
                self.assertEqual(answer.body, self.files[name])
        for coding in ('', 'identity', 'gzip;q=0', 'compress', 'gzip;q=2', '*'):
            with self.subTest(coding):
                answer = self.coded('/file/small.txt', coding)
                self.assertIsNone(answer.get('Content-Encoding'))
                self.assertEqual(answer.get('Vary'), 'Accept-Encoding')
                self.assertEqual(answer.body, self.files['small.txt'])

    def test_validators_and_ranges(self):
        plain, coded = self.get('/file/small.txt'), self.coded('/file/small.txt')
        tag = plain.get('ETag')
        self.assertTrue(tag.startswith('"'))
        self.assertEqual(coded.get('ETag'), 'W/' + tag)
        self.assertEqual((plain.get('Accept-Ranges'), coded.get('Accept-Ranges')), ('bytes', 'none'))
        for ours in (tag, 'W/' + tag):
            answer = self.get('/file/small.txt', headers=[('Accept-Encoding', 'gzip'), ('If-None-Match', ours)])
            self.assertEqual((answer.status, answer.get('ETag'), answer.get('Vary')), (304, ours, 'Accept-Encoding'))
        answer = self.get('/file/small.txt', headers=[('Accept-Encoding', 'gzip'), ('Range', 'bytes=5-9')])
        self.assertEqual(answer.get('Vary'), 'Accept-Encoding')
        self.assertEqual((answer.status, answer.get('Content-Encoding')), (206, None))
        self.assertEqual(answer.body, self.files['small.txt'][5:10])
        answer = self.get('/file/small.txt', headers=[('Accept-Encoding', 'gzip'), ('Range', 'bytes=5-9'),
                                                      ('If-Range', 'W/' + tag)])
        self.assertEqual((answer.status, answer.get('Content-Encoding')), (200, 'gzip'))
        head = self.coded('/file/small.txt', method='HEAD')
        self.assertEqual((head.get('Content-Encoding'), head.get('ETag')), ('gzip', 'W/' + tag))

    def test_nothing_acceptable(self):
        before = self.server.metrics()
        for path in ('/', '/file/noise.png', '/stream?n=1'):
            answer = self.coded(path, 'deflate, identity;q=0')
            self.assertEqual((answer.status, answer.get('Vary')), (406, 'Accept-Encoding'))
        answer = self.coded('/stream?n=1', 'gzip, identity;q=0')
        self.assertEqual(gzip.decompress(answer.body), b'Chunk 0\n')
        self.counted('responses_406_total', before, 3)

    def test_all_coders_in_use(self):
        holders = [self.conn() for _ in range(CODERS)]
        for conn in holders:
            conn.send(weft.request(SLEEPS, headers=[('Accept-Encoding', 'br')]))
            conn.more()
        before = self.server.metrics()
        answer = self.coded('/file/large.json')
        self.assertIsNone(answer.get('Content-Encoding'))
        self.assertEqual(answer.get('Vary'), 'Accept-Encoding')
        self.assertEqual(answer.body, self.files['large.json'])
        self.counted('compress_no_coder_total', before)
        answer = self.coded('/file/small.txt', 'gzip, identity;q=0')
        self.assertEqual((answer.status, answer.get('Retry-After')), (503, '1'))
        for conn in holders:
            conn.reset()
        self.assertTrue(weft.wait_until(
            lambda: self.coded('/file/small.txt').get('Content-Encoding') == 'gzip', 2))

    # What coders take is what the plan says, however many ask; and goes back when they are done.
    def test_memory_has_its_bound(self):
        term = [t['bytes'] for t in self.server.memory()['terms'] if t['term'] == 'compress'][0]
        start = self.server.reset_peak()

        def client(coding):
            for _ in range(4):
                self.coded('/file/large.json', coding)

        clients = [threading.Thread(target=client, args=(('br', 'zstd', 'gzip')[i % 3],)) for i in range(24)]
        for one in clients:
            one.start()
        for one in clients:
            one.join()
        grown = self.server.status('VmHWM') - start
        if not weft.SANITIZED:
            self.assertLess(grown, term + 2 * MB)
        self.assertTrue(weft.wait_until(lambda: self.of_coders('committed') == 0, 3))

    # What the page cache has not is read by the offload pool.
    def test_a_cold_file(self):
        path = os.path.join(self.root, 'large.json')
        with open(path, 'rb') as source:
            os.fsync(source.fileno())
            os.posix_fadvise(source.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        self.assertEqual(gzip.decompress(self.coded('/file/large.json').body), self.files['large.json'])


class Mistakes(unittest.TestCase):
    def test_a_coding_that_there_is_not(self):
        code, _, errors = weft.run('check', '--compress-codings', 'gzip, lzma')
        self.assertEqual(code, 2)
        self.assertIn('--compress-codings', errors)
        self.assertIn("is not a list of zstd, br and gzip", errors)

    def test_off_unless_asked_for(self):
        _, out, _ = weft.run('plan')
        self.assertIsNone(re.search('^compress ', out, re.M))


if __name__ == '__main__':
    unittest.main()
