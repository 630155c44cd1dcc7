"""Forms: urlencoded, multipart, uploads that are kept and uploads that break off; signed cookies; and
for each status that says no, its counter."""
# seconds: 180
import json
import os
import shutil
import signal
import subprocess
import tempfile
import unittest

import chromium
import weft

MB = 1 << 20
BOUNDARY = b'----weft-7MA4YWxk'
TYPE = ('Content-Type', 'multipart/form-data; boundary=' + BOUNDARY.decode())
FORM = ('Content-Type', 'application/x-www-form-urlencoded')


def part(name, data, filename=None, content_type=None):
    head = b'--%s\r\nContent-Disposition: form-data; name="%s"' % (BOUNDARY, name)
    if filename is not None:
        head += b'; filename="%s"' % filename
    if content_type:
        head += b'\r\nContent-Type: ' + content_type
    return head + b'\r\n\r\n' + data + b'\r\n'


def multipart(*parts):
    return b''.join(parts) + b'--%s--\r\n' % BOUNDARY


class Folder(weft.Case):
    """A server with a folder for uploads."""
    more = ()

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix='weft-uploads-')
        cls.addClassCleanup(shutil.rmtree, cls.folder, True)
        cls.flags = ('--workers', '1', '--offload-threads', '1', '--upload-root', cls.folder, *cls.more)
        super().setUpClass()

    def saved(self, name):
        with open(os.path.join(self.folder, name), 'rb') as source:
            return source.read()

    def upload(self, *parts, **kwargs):
        return self.get('/upload', method='POST', headers=[TYPE], body=multipart(*parts), **kwargs)


class Uploads(Folder):
    def test_fields_and_files(self):
        data = os.urandom(200000) + b'\r\n--' + BOUNDARY[:-1] + b'\r\n'
        answer = self.upload(part(b'note', 'gr\u00fc\u00df dich'.encode()),
                             part(b'file', data, b'C:\\dir\\two.bin', b'image/png'),
                             part(b'empty', b''), part(b'none', b'', b''))
        self.assertEqual(answer.status, 200)
        self.assertEqual(json.loads(answer.body), [
            {'name': 'note', 'value': 'gr\u00fc\u00df dich'},
            {'name': 'file', 'filename': 'two.bin', 'type': 'image/png', 'bytes': len(data)},
            {'name': 'empty', 'value': ''},
            {'name': 'none', 'filename': '', 'type': 'text/plain', 'bytes': 0}])
        self.assertEqual(self.saved('two.bin'), data)

    def test_byte_by_byte(self):
        body = multipart(part(b'a', b'\r\n-\r\n'), part(b'f', b'x' * 10, b'slow.txt'))
        with self.conn() as conn:
            conn.send(b'POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n%s: %s\r\n\r\n'
                      % (len(body), TYPE[0].encode(), TYPE[1].encode()))
            for i in range(len(body)):
                conn.send(body[i:i + 1])
            answer = conn.answer()
        self.assertEqual(json.loads(answer.body)[0], {'name': 'a', 'value': '\r\n-\r\n'})
        self.assertEqual(self.saved('slow.txt'), b'x' * 10)

    def test_many_files_take_one_descriptor(self):
        # What is kept is closed then, not when the form ends: a stranger's form may have 1,000 files.
        before = self.server.descriptors()
        body = b''.join(part(b'f', b'x', b'many%d' % i) for i in range(40))
        with self.conn() as conn:
            conn.send(b'POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n%s: %s\r\n\r\n'
                      % (TYPE[0].encode(), TYPE[1].encode()) + body + part(b'end', b''))
            self.assertTrue(weft.wait_until(lambda: 'many39' in os.listdir(self.folder), 20), 'they do not come')
            self.assertTrue(weft.wait_until(lambda: self.server.descriptors() <= before + 8), 'they stay open')

    def test_a_name_is_not_taken_twice(self):
        self.assertEqual(self.upload(part(b'f', b'first', b'once.txt')).status, 200)
        self.assertEqual(self.upload(part(b'f', b'second', b'once.txt')).status, 409)
        self.assertEqual(self.saved('once.txt'), b'first')

    def test_names_that_may_not_be(self):
        before = set(os.listdir(os.path.dirname(self.folder)))
        for name in (b'.hidden', b'../.x', b'a%0D%0Ab', b'a\x7fb', b'n' * 256):
            with self.subTest(name):
                self.assertEqual(self.upload(part(b'f', b'x', name)).status, 400)
        for name in (b'../up.txt', b'/etc/up2.txt', b'..\\..\\up3.txt'):
            with self.subTest(name):
                self.assertEqual(self.upload(part(b'f', b'x', name)).status, 200)
        self.assertLessEqual({'up.txt', 'up2.txt', 'up3.txt'}, set(os.listdir(self.folder)))
        self.assertFalse({'up.txt', 'up3.txt'} & (set(os.listdir(os.path.dirname(self.folder))) - before))

    @unittest.skipIf(weft.SANITIZED, 'a sanitizer keeps memory')
    def test_a_large_one_takes_no_memory(self):
        self.upload(part(b'f', b'x' * MB, b'warm.bin'))
        data = os.urandom(MB) * 12
        before = self.server.rss()
        with open('/proc/%d/clear_refs' % self.server.pid, 'w', encoding='ascii') as reset:
            reset.write('5')
        answer = self.upload(part(b'f', data, b'large.bin'))
        self.assertEqual(json.loads(answer.body)[0]['bytes'], len(data))
        self.assertLess(self.server.status('VmHWM') - before, MB // 2)
        self.assertTrue(self.saved('large.bin') == data, 'other bytes')

    def unnamed(self):
        """Descriptors of the server that are files of the folder without a name."""
        return len(self.unnamed_sizes())

    def unnamed_bytes(self):
        return sum(self.unnamed_sizes())

    def unnamed_sizes(self):
        found = []
        for fd in os.listdir('/proc/%d/fd' % self.server.pid):
            path = '/proc/%d/fd/%s' % (self.server.pid, fd)
            try:
                target = os.readlink(path)
                if target.startswith(self.folder) and target.endswith('(deleted)'):
                    found.append(os.stat(path).st_size)
            except FileNotFoundError:
                continue
        return found

    def begin(self, conn, filename):
        """An upload of which the end does not come; returns when some of it is in its file."""
        body = part(b'f', b'x' * 100000, filename)[:-2]
        conn.send(b'POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n%s: %s\r\n\r\n'
                  % (TYPE[0].encode(), TYPE[1].encode()) + body)
        self.assertTrue(weft.wait_until(lambda: self.unnamed() == 1), 'no file was begun')

    def test_a_broken_one_leaves_nothing(self):
        for end in ('reset', 'half_close'):
            with self.subTest(end):
                before, files = self.server.metrics(), os.listdir(self.folder)
                conn = self.conn()
                self.begin(conn, b'broken.txt')
                getattr(conn, end)()
                self.assertTrue(weft.wait_until(lambda: self.unnamed() == 0), 'the file stays')
                self.counted('uploads_dropped_total', before)
                self.assertEqual(os.listdir(self.folder), files)

    def test_a_broken_one_is_freed_by_a_thread(self):
        # The last close of a large file takes as long as its blocks: not the worker's time.
        before, conn = self.server.metrics(), self.conn()
        self.begin(conn, b'broken.txt')
        tids = [tid for tid, name in self.server.threads().items() if name == 'weft-offload']

        def settled():
            if self.unnamed_bytes() < 60000:
                return False
            for tid in tids:  # what it gathers is written; it waits for more
                with open('/proc/%d/task/%d/stat' % (self.server.pid, tid), encoding='ascii') as stat:
                    if stat.read().rpartition(')')[2].split()[0] != 'S':
                        return False
            return True
        self.assertTrue(weft.wait_until(settled), 'it is not written')
        with weft.Frozen(tids):
            conn.reset()
            self.counted('uploads_dropped_total', before)
            self.assertEqual(self.get('/').status, 200)
            self.assertEqual(self.unnamed(), 1)
        self.assertTrue(weft.wait_until(lambda: self.unnamed() == 0), 'the file stays')

    def test_nor_does_a_killed_server(self):
        folder = tempfile.mkdtemp(prefix='weft-uploads-')
        self.addCleanup(shutil.rmtree, folder, True)
        server = weft.Server('--workers', '1', '--upload-root', folder)
        try:
            kept, self.server, self.folder = (self.server, self.folder), server, folder
            self.begin(self.conn(), b'broken.txt')
        finally:
            self.server, self.folder = kept
            server.kill()
        self.assertEqual(os.listdir(folder), [])

    def test_what_is_malformed(self):
        rows = [
            (b'', 400), (b'nothing', 400),
            (part(b'a', b'x')[:-2], 400),
            (part(b'a', b'x') + b'--%sx' % BOUNDARY, 400),
            (part(b'a', b'x').replace(b'form-data', b'attachment') + b'--%s--' % BOUNDARY, 400),
            (multipart(part(b'a', b'x' * 5000)), 413),  # the demo's own limit for a field
            (multipart(part(b'a', b'x', b'n' * 3000)), 413),
        ]
        for body, status in rows:
            with self.subTest(body[:80]):
                answer = self.get('/upload', method='POST', headers=[TYPE], body=body)
                self.assertEqual(answer.status, status)
        for boundary in ('', '; boundary=', '; boundary="a', '; boundary=' + 'b' * 71):
            answer = self.get('/upload', method='POST', body=b'--a--',
                              headers=[('Content-Type', 'multipart/form-data' + boundary)])
            self.assertEqual(answer.status, 400, boundary)
        answer = self.get('/upload', method='POST', headers=[FORM], body=b'a=b')
        self.assertEqual(answer.status, 415)

    @unittest.skipUnless(shutil.which('curl'), 'needs curl: apt-get install curl')
    def test_as_curl_sends_it(self):
        source = os.path.join(self.folder, 'source')
        with open(source, 'wb') as out:
            out.write(os.urandom(300000))
        done = subprocess.run(
            ['curl', '-sS', '-F', 'note=a "quoted" one', '-F', 'file=@%s;filename=from "curl".bin' % source,
             'http://127.0.0.1:%d/upload' % self.server.port], capture_output=True, timeout=20, check=True)
        note, file = json.loads(done.stdout)
        self.assertEqual(note, {'name': 'note', 'value': 'a "quoted" one'})
        self.assertEqual((file['filename'], file['bytes']), ('from "curl".bin', 300000))
        self.assertEqual(self.saved('from "curl".bin'), self.saved('source'))


class Crowd(Folder):
    """More uploads at once than the offload pool's queue has places: they take turns."""
    more = ('--offload-threads', '1', '--offload-queue', '1')

    def test_all_are_kept(self):
        data = os.urandom(20000)
        conns = [self.conn() for _ in range(30)]
        self.server.stand_still()  # so that it finds all of them in one turn
        self.addCleanup(self.server.signal, signal.SIGCONT)
        for i, conn in enumerate(conns):
            conn.send(weft.request('/upload', 'POST', [TYPE], multipart(part(b'f', data, b'%d.bin' % i))))
        self.server.signal(signal.SIGCONT)
        for i, conn in enumerate(conns):
            self.assertEqual(conn.answer().status, 200)
            self.assertTrue(self.saved('%d.bin' % i) == data, 'other bytes')


class Nowhere(weft.Case):
    """Without a folder files pass by; one that cannot be had is a mistake of the start."""
    flags = ('--workers', '1')

    def test_files_pass_by(self):
        answer = self.get('/upload', method='POST', headers=[TYPE],
                          body=multipart(part(b'f', b'x' * 100000, b'x.bin')))
        self.assertEqual(json.loads(answer.body)[0]['bytes'], 100000)

    def test_a_folder_that_is_not_there(self):
        code, _, said = weft.run('demo', '--port', '0', '--admin-port', '0', '--upload-root', '/nonexistent')
        self.assertNotEqual(code, 0)
        self.assertIn('upload.root: cannot make files in /nonexistent', said)


class Cookies(unittest.TestCase):
    KEYS = ('0' * 32, 'older key of 32 bytes or even more')

    def keys(self, *lines):
        handle, path = tempfile.mkstemp(prefix='weft-keys-')
        self.addCleanup(os.unlink, path)
        with open(handle, 'w', encoding='ascii') as out:
            out.write('\n'.join(lines) + '\n')
        return path

    def serve(self, *lines):
        return weft.Server('--workers', '1', '--cookies-key-path', self.keys(*lines))

    def whoami(self, server, cookie):
        answer = server.ask('/whoami', headers=[('Cookie', 'a=b; ' + cookie)])
        return answer.body.decode() if answer.status == 200 else answer.status

    def test_signed(self):
        with self.serve(self.KEYS[1]) as server:
            answer = server.ask('/login', 'POST', [FORM], b'user=alice')
            self.assertEqual(answer.status, 204)
            cookie, *attributes = answer.get('Set-Cookie').split('; ')
            self.assertEqual(attributes, ['Path=/', 'Max-Age=3600', 'HttpOnly', 'SameSite=Lax'])
            self.assertEqual(self.whoami(server, cookie), 'alice')
            before = server.metrics()
            for other in (cookie[:-1], cookie.replace('alice', 'malice'), 'user=alice', 'user='):
                self.assertEqual(self.whoami(server, other), 401, other)
            self.assertEqual(server.metrics()['http_bad_cookie_total'] - before['http_bad_cookie_total'], 4)
            self.assertIn('Max-Age=0', server.ask('/logout', 'POST', body=b'').get('Set-Cookie'))
            self.assertEqual(server.ask('/login', 'POST', [FORM], b'user=a%3bb').status, 400)
        with self.serve(*self.KEYS) as server:  # the keys were rolled over, and the server restarted
            self.assertEqual(self.whoami(server, cookie), 'alice')
        with self.serve(self.KEYS[0]) as server:
            self.assertEqual(self.whoami(server, cookie), 401)

    def test_keys_that_are_none(self):
        for path, words in ((self.keys('short'), 'line 1: a key has 32 to 256 bytes'),
                            (self.keys(''), 'no key'), ('/nonexistent', 'No such file')):
            code, _, said = weft.run('demo', '--port', '0', '--admin-port', '0', '--cookies-key-path', path)
            self.assertNotEqual(code, 0)
            self.assertIn('cookies.key_path: %s: ' % path, said)
            self.assertIn(words, said)


@chromium.needed
@unittest.skipIf(weft.SANITIZED or weft.ENGINE != 'epoll', 'once is enough')
class Browser(Folder):
    """The forms and cookies that a real browser makes."""

    @classmethod
    def setUpClass(cls):
        handle, keys = tempfile.mkstemp(prefix='weft-keys-')
        cls.addClassCleanup(os.unlink, keys)
        with open(handle, 'w', encoding='ascii') as out:
            out.write('k' * 64)
        cls.more = ('--cookies-key-path', keys)
        super().setUpClass()

    def test_it_sends_a_file_and_keeps_a_cookie(self):
        folder = tempfile.TemporaryDirectory(prefix='weft-forms.')
        self.addCleanup(folder.cleanup)
        source, data = os.path.join(folder.name, 'gr\u00fc\u00df "dich".bin'), os.urandom(100000)
        with open(source, 'wb') as out:
            out.write(data)
        with chromium.Chromium(folder.name) as browser:
            page = browser.open('http://127.0.0.1:%d/upload' % self.server.port)
            page.wait('document.forms.length == 2')
            self.cookies(page)
            page.value('document.forms[1].note.value = "a\\nb & \u20ac", 1')
            node = page.call('Runtime.evaluate', expression='document.forms[1].file')['result']['objectId']
            page.call('DOM.setFileInputFiles', files=[source], objectId=node)
            page.value('document.forms[1].submit()')
            page.wait('document.body && document.body.innerText.startsWith("[")')
            note, file = json.loads(page.value('document.body.innerText'))
        self.assertEqual(note, {'name': 'note', 'value': 'ab & \u20ac'})  # an input has one line
        self.assertEqual((file['filename'], file['bytes']), ('gr\u00fc\u00df "dich".bin', len(data)))
        self.assertEqual(self.saved('gr\u00fc\u00df "dich".bin'), data)

    def cookies(self, page):
        ask = 'fetch("%s").then(answer => answer.text())'
        login = 'fetch("/login", {method: "POST", body: new URLSearchParams({user: "%s"})}).then(a => a.status)'
        self.assertEqual(page.value(ask % '/whoami'), 'nobody\n')
        self.assertEqual(page.value(login % 'alice'), 204)
        self.assertEqual(page.value(ask % '/whoami'), 'alice')
        self.assertEqual(page.value('document.cookie'), '')  # not for scripts
        self.assertEqual(page.value('fetch("/logout", {method: "POST"}).then(a => a.status)'), 204)
        self.assertEqual(page.value(ask % '/whoami'), 'nobody\n')


class Statuses(weft.Case):
    """Each status that says no is counted by itself."""

    @classmethod
    def setUpClass(cls):
        root = tempfile.mkdtemp(prefix='weft-root-')
        cls.addClassCleanup(shutil.rmtree, root, True)
        with open(os.path.join(root, 'a.txt'), 'wb') as out:
            out.write(b'text')
        cls.flags = ('--workers', '1', '--tasks-max', '1', '--root', root, '--compress-codings', 'gzip')
        super().setUpClass()

    def check(self, status, data):
        before = self.server.metrics()
        with self.conn() as conn:
            conn.send(data)
            self.assertEqual(conn.answer().status, status)
        self.counted('responses_%d_total' % status, before)

    def test_each(self):
        post = b'POST %s HTTP/1.1\r\nHost: x\r\n%s\r\n\r\n'
        form = b'Content-Type: application/x-www-form-urlencoded\r\n'
        rows = [
            (400, b'GET / HTTP/1.1\r\n\r\n'),
            (400, post % (b'/form', form + b'Content-Length: 4') + b'a=%z'),
            (401, b'GET /whoami HTTP/1.1\r\nHost: x\r\n\r\n'),
            (404, b'GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n'),
            (405, post % (b'/', b'Content-Length: 0')),
            (406, b'GET / HTTP/1.1\r\nHost: x\r\nAccept-Encoding: identity;q=0\r\n\r\n'),
            (411, post % (b'/form', form + b'Transfer-Encoding: chunked') + b'0\r\n\r\n'),
            (413, post % (b'/login', form + b'Content-Length: 5000')),
            (414, b'GET /' + b'a' * 8001 + b' HTTP/1.1\r\nHost: x\r\n\r\n'),
            (415, post % (b'/form', b'Content-Type: text/plain\r\nContent-Length: 1') + b'a'),
            (416, b'GET /file/a.txt HTTP/1.1\r\nHost: x\r\nRange: bytes=9-\r\n\r\n'),
            (417, b'GET / HTTP/1.1\r\nHost: x\r\nExpect: tea\r\n\r\n'),
            (431, b'GET / HTTP/1.1\r\nHost: x\r\n' + b'A: b\r\n' * 101 + b'\r\n'),
            (501, b'CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n'),
            (505, b'GET / HTTP/2.0\r\nHost: x\r\n\r\n'),
        ]
        for status, data in rows:
            with self.subTest(status):
                self.check(status, data)

    def test_408(self):
        with weft.Server('--workers', '1', '--timeouts-header-ms', '300') as server:
            before = server.metrics()
            server.stand_still()  # so that it finds the beginning of a request as soon as it has accepted
            with server.conn() as conn:
                conn.send(b'GET / HTTP/1.1\r\nHost:')
                server.signal(signal.SIGCONT)
                self.assertEqual(conn.answer().status, 408)
            self.assertEqual(server.metrics()['responses_408_total'] - before['responses_408_total'], 1)

    def test_503(self):
        with self.conn() as first:
            first.send(b'GET /burst?mb=1&hold=60000 HTTP/1.1\r\nHost: x\r\n\r\n')
            self.assertTrue(weft.wait_until(lambda: self.server.metrics()['task_waits_total'] > 0))
            self.check(503, b'GET /burst?mb=1&hold=1 HTTP/1.1\r\nHost: x\r\n\r\n')
            first.reset()


if __name__ == '__main__':
    unittest.main()
