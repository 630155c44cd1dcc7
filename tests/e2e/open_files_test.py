"""Files that stay open: what is served is what is there now, and what stays open is bounded."""
# seconds: 60
# shows SF-02, SF-06
import errno
import mmap
import os
import shutil
import tempfile
import unittest

import weft

KB, MB = 1 << 10, 1 << 20
HOT, COLD = 10 * KB, 200 * KB  # copied when asked for again; never


class Rooted(weft.Case):
    flags = ()

    @classmethod
    def setUpClass(cls):
        cls.root = tempfile.mkdtemp(prefix='weft-open.')
        cls.addClassCleanup(shutil.rmtree, cls.root)
        cls.server = weft.Server('--root', cls.root, '--workers', '1', *cls.flags)

    def path(self, name):
        return os.path.join(self.root, name)

    def write(self, name, data):
        with open(self.path(name), 'wb') as out:
            out.write(data)

    def expect(self, conn, name, data, times=4):
        for _ in range(times):
            answer = conn.ask('/file/' + name)
            self.assertEqual(answer.status, 200)
            self.assertTrue(answer.body == data, name)

    def gone(self, conn, name):
        self.assertEqual(conn.ask('/file/' + name).status, 404)

    def held(self, kind='used'):
        return sum(value for name, labels, value in self.server.samples()
                   if name == 'weft_memory_%s_bytes' % kind and labels['owner'] == 'open files')


class OpenFiles(Rooted):
    flags = ('--files-valid-ms', '200')

    def test_every_change_is_seen_by_the_next_request(self):
        before = self.server.metrics()['files_changed_total']
        conn = self.conn()
        for size in (HOT, COLD):
            with self.subTest(size):
                first, second, third = (os.urandom(size) for _ in range(3))
                self.write('a', first)
                self.expect(conn, 'a', first)
                with open(self.path('a'), 'r+b') as out:  # in place, the same length
                    out.write(second)
                self.expect(conn, 'a', second)
                self.write('a.new', third)
                os.rename(self.path('a.new'), self.path('a'))
                self.expect(conn, 'a', third)
                os.truncate(self.path('a'), 1000)
                self.expect(conn, 'a', third[:1000])
                with open(self.path('a'), 'ab') as out:
                    out.write(first)
                self.expect(conn, 'a', third[:1000] + first)
                os.rename(self.path('a'), self.path('b'))
                self.gone(conn, 'a')
                self.expect(conn, 'b', third[:1000] + first)
                os.remove(self.path('b'))
                self.gone(conn, 'b')
        self.assertGreater(self.server.metrics()['files_changed_total'], before)

    def test_changes_that_nobody_tells_are_seen_soon(self):
        conn = self.conn()
        os.mkdir(self.path('v1'))
        os.mkdir(self.path('v2'))
        self.write('v1/x', b'1' * HOT)
        self.write('v2/x', b'2' * HOT)
        os.symlink('v1', self.path('now'))
        self.expect(conn, 'now/x', b'1' * HOT)
        os.symlink('v2', self.path('next'))
        os.rename(self.path('next'), self.path('now'))
        self.assertTrue(weft.wait_until(lambda: conn.ask('/file/now/x').body == b'2' * HOT))
        with open(self.path('v2/x'), 'r+b') as out, mmap.mmap(out.fileno(), 0) as memory:
            memory[:4] = b'mmap'
            memory.flush()
        self.assertTrue(weft.wait_until(lambda: conn.ask('/file/now/x').body[:5] == b'mmap2'))
        os.rename(self.path('v2'), self.path('v3'))
        self.assertTrue(weft.wait_until(lambda: conn.ask('/file/now/x').status == 404))

    def test_two_names_of_one_file(self):
        conn = self.conn()
        self.write('one', b'1' * HOT)
        os.link(self.path('one'), self.path('two'))
        self.expect(conn, 'one', b'1' * HOT)
        self.expect(conn, 'two', b'1' * HOT)
        with open(self.path('two'), 'r+b') as out:
            out.write(b'2' * HOT)
        self.expect(conn, 'one', b'2' * HOT)
        self.expect(conn, 'two', b'2' * HOT)

    def test_a_file_in_use_stays_what_it_was(self):
        """The name goes, and the bytes still come: those of the file that was asked for."""
        data = os.urandom(8 * MB)
        self.write('large', data)
        slow = self.conn(receive_bytes=16 * KB)
        slow.send(weft.request('/file/large'))
        while b'\r\n\r\n' not in slow.buffer:
            slow.more()
        self.write('large.new', b'new')
        os.rename(self.path('large.new'), self.path('large'))
        self.expect(self.conn(), 'large', b'new', 1)
        self.assertTrue(slow.answer().body == data)

    def test_a_long_path_is_opened_each_time(self):
        conn = self.conn()
        name = '/'.join(['d' * 100] * 2)
        os.mkdir(self.path('d' * 100))
        self.write(name, b'long')
        before = self.server.metrics()
        self.expect(conn, name, b'long')
        self.assertEqual(self.server.metrics()['files_hits_total'], before['files_hits_total'])

    def test_it_is_found_open(self):
        conn = self.conn()
        self.write('found', b'f' * HOT)
        before = self.server.metrics()
        self.expect(conn, 'found', b'f' * HOT, 20)
        self.counted('files_hits_total', before, 19)
        self.counted('files_misses_total', before, 1)

    def test_all_is_closed_when_nobody_asks(self):
        conn = self.conn()
        for i in range(20):
            self.write('idle%d' % i, b'i' * HOT)

        def asked():
            """All are held, unless the machine was so slow that the first are closed again."""
            for i in range(20):
                self.expect(conn, 'idle%d' % i, b'i' * HOT, 3)
            return self.held() > 20 * HOT
        self.assertTrue(weft.wait_until(asked))
        self.assertTrue(weft.wait_until(lambda: self.held() == 0))
        self.assertLess(self.held('committed'), 256 * KB)  # the table itself


class Bounded(Rooted):
    """More files than may be open, and more copies than there is memory for."""
    flags = ('--files-open-max', '8', '--files-hot-bytes', '64K')

    def test_many_files(self):
        conn = self.conn()
        data = {'m%d' % i: os.urandom(HOT + i) for i in range(40)}
        for name in data:
            self.write(name, data[name])
        for name in data:
            self.expect(conn, name, data[name], 3)
        held = [path for path in self.server.open_files() if path.startswith(self.root + '/')]
        self.assertLessEqual(len(held), 8, held)
        for i in range(200):
            name = 'm%d' % (i * 7 % 40)
            self.expect(conn, name, data[name], 1)
        self.assertLessEqual(self.held('peak'), 64 * KB + 8 * KB)

    def test_all_in_use(self):
        """Each is being sent to somebody who does not read: others are opened for one request."""
        self.write('busy', b'')
        before, conns = self.server.metrics(), []
        for i in range(12):
            self.write('busy%d' % i, b'b' * (4 * MB))
            conns.append(self.conn(receive_bytes=16 * KB))
            conns[-1].send(weft.request('/file/busy%d' % i))
        self.counted('files_full_total', before, 4)
        for conn in conns:
            self.assertEqual(len(conn.answer().body), 4 * MB)


class Unwatched(unittest.TestCase):
    """The kernel watches no more files: each request looks for itself, and nothing is copied."""

    def test_a_change_is_seen_at_once(self):
        flags = ('--workers', '1', '--files-valid-ms', '1h')
        with tempfile.TemporaryDirectory(prefix='weft-open.') as root, \
                weft.Server('--root', root, *flags, preexec=weft.refuse('inotify_add_watch', errno.ENOSPC)) as server:
            before = server.metrics()
            for i in range(5):
                data = b'%d' % i * (HOT + i)
                with open(os.path.join(root, 'x'), 'wb') as out:
                    out.write(data)
                for _ in range(3):
                    self.assertTrue(server.ask('/file/x').body == data, i)
            self.assertGreaterEqual(server.metrics()['files_unwatched_total'] - before['files_unwatched_total'], 5)
            self.assertGreater(server.metrics()['files_hits_total'], before['files_hits_total'])


class Broken(unittest.TestCase):
    """A disk that cannot tell whether a file is there: it is not said to be missing."""

    def test_it_is_our_trouble(self):
        with tempfile.TemporaryDirectory(prefix='weft-open.') as root:
            settings = os.path.join(root, 'settings.yaml')
            with open(settings, 'w', encoding='ascii') as out:
                out.write('static:\n  - {url: /s/, directory: %s, listing: on}\n' % root)
            flags = ('-c', settings, '--root', root, '--workers', '1')
            with weft.Server(*flags, preexec=weft.refuse('openat2', errno.EIO)) as server:
                for target in ('/file/x', '/s/x', '/s/', '/csv/x'):
                    self.assertEqual(server.ask(target).status, 500, target)
                now = server.metrics()
                self.assertGreaterEqual(now['files_failed_total'], 4)  # a directory's index files too
                self.assertEqual((now['responses_500_total'], now['responses_404_total']), (4, 0))


class Siblings(weft.Case):
    def test_what_is_not_there_is_not_looked_for_each_time(self):
        with tempfile.TemporaryDirectory(prefix='weft-open.') as root:
            settings = os.path.join(root, 'settings.yaml')
            with open(settings, 'w', encoding='ascii') as out:
                out.write('static:\n  - {url: /s/, directory: %s, precompressed: on}\n' % root)
            with open(os.path.join(root, 'x.txt'), 'wb') as out:
                out.write(b'x' * HOT)
            flags = ('-c', settings, '--workers', '1', '--files-valid-ms', '300')
            with weft.Server(*flags) as server, server.conn() as conn:
                codings = [('Accept-Encoding', 'gzip, br, zstd')]
                for _ in range(20):
                    self.assertEqual(conn.ask('/s/x.txt', headers=codings).body, b'x' * HOT)
                self.assertLess(server.metrics()['files_misses_total'], 1 + 3 * 4)
                with open(os.path.join(root, 'x.txt.br'), 'wb') as out:
                    out.write(b'compressed')
                self.assertTrue(weft.wait_until(
                    lambda: conn.ask('/s/x.txt', headers=codings).get('Content-Encoding') == 'br'))


class Off(weft.Case):
    def test_nothing_stays_open(self):
        with tempfile.TemporaryDirectory(prefix='weft-open.') as root:
            with open(os.path.join(root, 'x'), 'wb') as out:
                out.write(b'x' * HOT)
            with weft.Server('--root', root, '--files-open-max', 'off') as server:
                with server.conn() as conn:
                    for _ in range(3):
                        self.assertEqual(conn.ask('/file/x').body, b'x' * HOT)
                self.assertEqual(server.metrics()['files_misses_total'], 0)


if __name__ == '__main__':
    unittest.main()
