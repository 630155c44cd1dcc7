"""A client that others wrote: curl, with the features of HTTP/1.1 that it has."""
# seconds: 60
# shows HC-01, SF-04, SF-05
import hashlib
import os
import shutil
import subprocess
import tempfile
import unittest

import weft


@unittest.skipUnless(shutil.which('curl'), 'curl is not there')
class Curl(weft.Case):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix='weft-curl.')
        cls.addClassCleanup(folder.cleanup)
        cls.root = folder.name
        cls.server = weft.Server('--root', cls.root)

    def curl(self, *args, stdin=None, code=0):
        base = 'http://127.0.0.1:%d' % self.server.port
        command = ['curl', '-sS', '--http1.1', '--max-time', str(20 * weft.SLOWER)]
        command += [base + arg if arg.startswith('/') else arg for arg in args]
        done = subprocess.run(command, input=stdin, capture_output=True, check=False, cwd=self.root,
                              timeout=30 * weft.SLOWER)
        self.assertEqual(done.returncode, code, done.stderr)
        return done.stdout

    def test_hello(self):
        head, body = self.curl('-i', '/').split(b'\r\n\r\n', 1)
        self.assertTrue(head.startswith(b'HTTP/1.1 200 OK\r\n'))
        self.assertIn(b'\r\nContent-Type: text/plain\r\n', head)
        self.assertEqual(body, b'Hello, World!')

    def test_head(self):
        self.assertIn(b'Content-Length: 13', self.curl('-I', '/'))

    def test_one_connection_for_many(self):
        out = self.curl('-w', '%{num_connects}\n', '/efficient', '/efficient', '/health')
        self.assertEqual(out, b'Hello from memory-efficient handler!1\n'
                              b'Hello from memory-efficient handler!0\n0\n')

    def test_http_1_0(self):
        self.assertEqual(self.curl('--http1.0', '/'), b'Hello, World!')
        self.assertEqual(self.curl('--http1.0', '/stream?n=3000&pause=1').count(b'\n'), 3000)

    def test_stream(self):
        out = self.curl('-N', '/stream?n=20000&pause=1')
        self.assertEqual(out, ''.join('Chunk %d\n' % i for i in range(20000)).encode())

    def test_upload(self):
        data = os.urandom(5 << 20)
        with open(os.path.join(self.root, 'up.bin'), 'wb') as out:
            out.write(data)
        self.assertTrue(self.curl('--data-binary', '@up.bin', '/echo') == data)
        self.assertTrue(self.curl('-X', 'POST', '-T', '-', '/echo', stdin=data) == data)  # chunked
        self.assertTrue(self.curl('-H', 'Expect: 100-continue', '--data-binary', '@up.bin', '/echo') == data)

    def test_expect_costs_no_second(self):
        """curl waits a second for a 100 that does not come; here longer, so that nothing else takes as long."""
        out = self.curl('-H', 'Expect: 100-continue', '--expect100-timeout', '15', '-d', 'hello', '-o', 'out',
                        '-w', '%{time_total}', '/echo')
        self.assertLess(float(out), 14)

    def test_file(self):
        data = os.urandom(3 << 20)
        with open(os.path.join(self.root, 'file.bin'), 'wb') as out:
            out.write(data)
        self.assertEqual(hashlib.md5(self.curl('/file/file.bin')).digest(), hashlib.md5(data).digest())
        head = self.curl('-I', '/file/file.bin')
        self.assertIn(b'Content-Type: application/octet-stream\r\n', head)
        self.assertIn(b'Content-Length: %d\r\n' % len(data), head)

    def test_missing(self):
        out = self.curl('-w', '|%{http_code}|%{http_version}', '/file/missing.bin')
        self.assertEqual(out, b'File not found|404|1.1')

    def test_as_it_is_spelled(self):
        out = self.curl('--path-as-is', '-o', 'out', '-w', '%{http_code}', '/file/../../../../etc/passwd')
        self.assertIn(out, (b'400', b'403', b'404'))

    def test_parallel(self):
        out = self.curl('-Z', '--parallel-max', '20', '-o', 'out.#1', '-w', '%{http_code}\n', '/user/[1-60]')
        self.assertEqual(out.split(), [b'200'] * 60)
        for i in range(1, 61):
            with open(os.path.join(self.root, 'out.%d' % i), 'rb') as got:
                self.assertEqual(got.read(), b'{"id":%d}' % i)

    def test_through_a_proxy_setting(self):
        """Asked as a proxy would be: absolute-form."""
        out = self.curl('-x', 'http://127.0.0.1:%d' % self.server.port, 'http://some.example/user/9')
        self.assertEqual(out, b'{"id":9}')


if __name__ == '__main__':
    unittest.main()
