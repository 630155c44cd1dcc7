"""/file: what is below the root, whole and with the right headers, and nothing else by any spelling."""
# seconds: 60
# shows RT-01, SF-02, SF-04, SF-05
import hashlib
import os
import shutil
import socket
import tempfile
import unittest

import weft

MB = 1 << 20
SECRET = b'the secret that must not leave'

# Below /file/, and whole targets. All of them name ../secret.txt, or something else outside.
SPELLINGS = (
    '../secret.txt', '../../secret.txt', '../../../../../../../../etc/passwd', 'sub/../../secret.txt',
    './../secret.txt', '././../secret.txt', 'sub/./../../secret.txt', '..//secret.txt',
    '//../secret.txt', '/../secret.txt', '%2e%2e/secret.txt', '%2E%2E/secret.txt', '.%2e/secret.txt',
    '%2e./secret.txt', '..%2fsecret.txt', '..%2Fsecret.txt', '%2e%2e%2fsecret.txt',
    '%2f%2e%2e%2fsecret.txt', '%2e%2e%2f%2e%2e%2fetc%2fpasswd', 'sub%2f..%2f..%2fsecret.txt',
    '..%5csecret.txt', '..\\secret.txt', '%2e%2e%5csecret.txt', '%252e%252e%252fsecret.txt',
    '%252e%252e/secret.txt', '..%252fsecret.txt', '%c0%ae%c0%ae/secret.txt', '%c0%ae%c0%ae%c0%afsecret.txt',
    '%e0%80%ae%e0%80%ae/secret.txt', '%uff0e%uff0e/secret.txt', '..;/secret.txt', '..%00/secret.txt',
    '../secret.txt%00.html', 'ok.txt/../../secret.txt', 'ok.txt%00', '..%2f', '..', '../', '%2e%2e',
    '../root2/secret.txt', '..%2froot2/secret.txt', '/etc/passwd', '//etc/passwd', '%2fetc%2fpasswd',
    '%2Fetc/passwd', 'file:///etc/passwd', '~root/.profile', '..%3f/secret.txt', '../secret.txt?x',
    '.../secret.txt', '....//secret.txt', '..../secret.txt', 'sub/....//secret.txt', '%2e%2e%2e/secret.txt',
    'outside/secret.txt', 'outside.txt', 'outside-absolute.txt', 'outside-chain.txt', 'proc-link',
    'loop', 'loop/x', '\u2025/secret.txt', 'sub/outside-up/secret.txt',
)
WHOLE = (
    '/file/../../secret.txt', '/file/%2e%2e/%2e%2e/secret.txt', '/../secret.txt', '/x/../file/../secret.txt',
    '/file%2f..%2fsecret.txt', '/file/..', '/file/.', '/file/', '/file//', '/./file/../../secret.txt',
    'http://x/file/../secret.txt', 'http://x/file/%2e%2e/secret.txt', '/%66ile/%2e%2e/secret.txt',
)
TYPES = {
    'a.html': 'text/html', 'a.css': 'text/css', 'a.js': 'text/javascript', 'a.json': 'application/json',
    'a.txt': 'text/plain', 'a.png': 'image/png', 'a.jpg': 'image/jpeg', 'a.svg': 'image/svg+xml',
    'a.bin': 'application/octet-stream', 'a.unknown': 'application/octet-stream',
    'noending': 'application/octet-stream', '.hidden': 'application/octet-stream',
}


class Rooted(weft.Case):
    @classmethod
    def setUpClass(cls):
        cls.base = tempfile.mkdtemp(prefix='weft-files.')
        cls.addClassCleanup(shutil.rmtree, cls.base)
        cls.root = os.path.join(cls.base, 'root')
        os.makedirs(os.path.join(cls.root, 'sub', 'deep'))
        os.makedirs(os.path.join(cls.base, 'root2'))
        cls.write('../secret.txt', SECRET)
        cls.write('../root2/secret.txt', SECRET)
        cls.write('ok.txt', b'fine')
        cls.write('sub/deep/a b+c%.txt', b'odd name')
        cls.write('sub/gr\u00fcn.txt', b'green')
        for name, target in (('outside', '..'), ('outside.txt', '../secret.txt'),
                             ('outside-absolute.txt', os.path.join(cls.base, 'secret.txt')),
                             ('outside-chain.txt', 'outside.txt'), ('proc-link', '/proc/self/environ'),
                             ('loop', 'loop'), ('sub/outside-up', '../..'), ('inside.txt', 'ok.txt')):
            os.symlink(target, os.path.join(cls.root, name))
        os.mkfifo(os.path.join(cls.root, 'fifo'))
        with socket.socket(socket.AF_UNIX) as unix:
            unix.bind(os.path.join(cls.root, 'unix'))
        cls.server = weft.Server('--root', cls.root)

    @classmethod
    def write(cls, name, data):
        with open(os.path.join(cls.root, name), 'wb') as out:
            out.write(data)

    def file(self, name, **kwargs):
        return self.get('/file/' + name, **kwargs)

    def test_sizes(self):
        for size in (0, 1, 4095, 4096, 4097, 65536, 1 * MB):
            with self.subTest(size):
                data = os.urandom(size)
                self.write('size.dat', data)
                answer = self.file('size.dat')
                self.assertEqual(answer.status, 200)
                self.assertEqual(answer.get('Content-Length'), str(size))
                self.assertEqual(answer.get('Content-Type'), 'application/octet-stream')
                self.assertTrue(answer.body == data)

    def test_large_in_constant_memory(self):
        block = os.urandom(1 * MB)
        count = weft.volume(100)
        sent = hashlib.sha256()
        with open(os.path.join(self.root, 'test_100mb.bin'), 'wb') as out:
            for _ in range(count):
                out.write(block)
                sent.update(block)
        self.get('/')
        before = self.server.reset_peak()
        got = hashlib.sha256()
        conn = self.conn(timeout=30)
        conn.sink = got.update
        answer = conn.ask('/file/test_100mb.bin')
        self.assertEqual(answer.get('Content-Length'), str(count * MB))
        self.assertEqual(got.hexdigest(), sent.hexdigest())
        conn.sink = None
        self.assertEqual(conn.ask('/').status, 200)
        if not weft.SANITIZED:
            self.assertLess(self.server.status('VmHWM') - before, 1 * MB)
        os.remove(os.path.join(self.root, 'test_100mb.bin'))

    def test_types(self):
        for name, kind in TYPES.items():
            with self.subTest(name):
                self.write(name, b'x')
                self.assertEqual(self.file(name).get('Content-Type').split(';')[0], kind)

    def test_head(self):
        self.write('head.bin', b'y' * 70000)
        conn = self.conn()
        answer = conn.ask('/file/head.bin', 'HEAD')
        self.assertEqual((answer.status, answer.get('Content-Length')), (200, '70000'))
        self.assertEqual(answer.get('Content-Type'), 'application/octet-stream')
        self.assertEqual(conn.ask('/').body, b'Hello, World!')

    def test_names_are_decoded_once(self):
        self.assertEqual(self.file('sub/deep/a%20b+c%25.txt').body, b'odd name')
        self.assertEqual(self.file('sub/gr%C3%BCn.txt').body, b'green')
        self.assertEqual(self.file('sub%2fdeep%2Fa%20b+c%25.txt').status, 200)
        self.assertEqual(self.file('%6f%6B.txt').body, b'fine')
        self.assertEqual(self.file('%256f%256B.txt').status, 404)

    def test_a_link_inside(self):
        self.assertIn(self.file('inside.txt').status, (200, 403, 404))

    def test_missing(self):
        conn = self.conn()
        for name in ('missing.bin', 'sub/missing', 'ok.txt/x', 'sub/deep/../missing', 'x' * 300,
                     'y/' * 500 + 'z'):
            with self.subTest(name[:20]):
                answer = conn.ask('/file/' + name)
                self.assertEqual((answer.status, answer.reason), (404, 'Not Found'))
                self.assertEqual(answer.body, b'File not found')
                self.assertEqual(answer.get('Content-Type'), 'text/plain')

    def test_only_files(self):
        for name in ('sub', 'sub/', 'sub/deep', '.', '', 'fifo', 'unix', 'sub/.', './'):
            with self.subTest(name):
                answer = self.file(name)
                self.assertIn(answer.status, (400, 403, 404))
                self.assertIsNone(answer.get('Location'))
        self.assertEqual(self.get('/').status, 200)  # the FIFO held nobody up

    def test_nothing_outside(self):
        targets = ['/file/' + spelling for spelling in SPELLINGS] + list(WHOLE)
        self.assertGreater(len(targets), 30)
        for target in targets:
            with self.subTest(target):
                raw = target.encode('utf-8').decode('latin-1')
                answer = self.get(raw)
                self.assertIn(answer.status, (400, 403, 404))
                self.assertIsNone(answer.get('Location'))
                self.assertNotIn(SECRET, answer.body)
                self.assertNotIn(b'root:', answer.body)

    def test_with_head_too(self):
        for name in ('../secret.txt', 'outside.txt', '%2e%2e%2fsecret.txt'):
            answer = self.file(name, method='HEAD')
            self.assertIn(answer.status, (400, 403, 404))
            self.assertNotEqual(answer.get('Content-Length'), str(len(SECRET)))

    def test_methods(self):
        answer = self.server.ask('/file/ok.txt', 'DELETE')
        self.assertEqual(answer.status, 405)
        self.assertTrue({'GET', 'HEAD'} <= set(answer.get('Allow').split(', ')))
        self.assertTrue(os.path.exists(os.path.join(self.root, 'ok.txt')))

    def test_pipelined_between_others(self):
        self.write('between.bin', b'z' * 100000)
        conn = self.conn()
        conn.send(weft.HELLO + weft.request('/file/between.bin') + weft.HELLO +
                  weft.request('/file/missing') + weft.request('/file/ok.txt') + weft.HELLO)
        self.assertEqual([len(conn.answer().body) for _ in range(6)], [13, 100000, 13, 14, 4, 13])

    def test_replaced_and_truncated(self):
        """A name is looked up each time; a file cut short while it is sent ends the connection."""
        self.write('changes.txt', b'one')
        self.assertEqual(self.file('changes.txt').body, b'one')
        os.remove(os.path.join(self.root, 'changes.txt'))
        self.write('changes.txt', b'other')
        self.assertEqual(self.file('changes.txt').body, b'other')
        self.write('cut.bin', b'c' * 20 * MB)
        conn = self.conn(receive_bytes=4096)
        conn.send(weft.request('/file/cut.bin'))
        conn.more()
        os.truncate(os.path.join(self.root, 'cut.bin'), 1 * MB)
        with self.assertRaises((weft.Short, ConnectionResetError)):
            conn.answer()
        self.assertEqual(self.get('/').status, 200)


class Bundled(weft.Case):
    def test_without_a_root(self):
        found = self.get('/file/index.html')
        self.assertEqual(found.status, 200)
        self.assertEqual(found.get('Content-Type').split(';')[0], 'text/html')
        self.assertEqual(found.get('Content-Length'), str(len(found.body)))
        missing = self.get('/file/missing.bin')
        self.assertEqual((missing.status, missing.body), (404, b'File not found'))

    def test_nothing_outside(self):
        for target in ['/file/' + spelling for spelling in SPELLINGS] + list(WHOLE):
            with self.subTest(target):
                answer = self.get(target.encode('utf-8').decode('latin-1'))
                self.assertIn(answer.status, (400, 403, 404))
                self.assertIsNone(answer.get('Location'))
                self.assertNotIn(b'root:', answer.body)


if __name__ == '__main__':
    unittest.main()
