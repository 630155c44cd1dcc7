"""Bytes of files on their way: in each of the ways, to slow clients, from disks that take their time,
and of files that get shorter meanwhile."""
# seconds: 90
# shows SF-02, SF-03, SF-06, SF-07, ZC-01, ZC-02
import glob
import hashlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

import slow_fs
import weft

KB, MB = 1 << 10, 1 << 20
WAYS = ('auto', 'read', 'mmap', 'sendfile', 'splice')
BODY_READS = re.compile(r'\b(read|pread64|preadv|preadv2|readv)\((\d+)<[^>]*/(big|small)>.*= (\d+)$')


class Sending(weft.Case):
    way = 'auto'

    @classmethod
    def setUpClass(cls):
        cls.root = tempfile.mkdtemp(prefix='weft-send.')
        cls.addClassCleanup(shutil.rmtree, cls.root)
        cls.server = weft.Server('--root', cls.root, '--workers', '1', '--files-send', cls.way)

    def write(self, name, data):
        with open(os.path.join(self.root, name), 'wb') as out:
            out.write(data)
        return data

    def cool(self, name):
        """What the kernel has of the file goes to the disk, and out of memory."""
        with open(os.path.join(self.root, name), 'rb') as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


class Ways:
    def test_bytes_to_a_slow_client(self):
        data = self.write('slow', os.urandom(3 * MB + 1))
        conns = [self.conn(receive_bytes=4 * KB) for _ in range(4)]
        for conn in conns:
            conn.send(weft.request('/file/slow'))
        time.sleep(0.05)  # what their sockets take
        for conn in conns:
            self.assertTrue(conn.answer().body == data)

    def test_a_file_that_gets_shorter(self):
        """The connection ends where the file does; the length that was promised is not made up."""
        for size in (0, 2 * MB, 2 * MB + 100):
            with self.subTest(size):
                data = self.write('cut', os.urandom(8 * MB))
                before = self.server.metrics()
                conn = self.conn(receive_bytes=16 * KB)
                conn.send(weft.request('/file/cut'))
                conn.until(b'\r\n\r\n')
                os.truncate(os.path.join(self.root, 'cut'), size)
                while conn.more():
                    pass
                got = bytes(conn.buffer)
                self.assertLess(len(got), 8 * MB)
                self.assertTrue(data.startswith(got[:size]))
                self.counted('files_cut_total', before, 1)
                self.assertEqual(self.get('/').status, 200)

class Auto(Ways, Sending):
    def test_many_clients_of_a_large_file(self):
        """In memory of a few KB each."""
        digest = hashlib.sha256()
        block = os.urandom(1 * MB)
        with open(os.path.join(self.root, 'shared'), 'wb') as out:
            for _ in range(2):
                out.write(block)
                digest.update(block)
        self.get('/')
        self.server.reset_peak()
        before = self.server.rss()
        conns = [self.conn(receive_bytes=32 * KB, timeout=20) for _ in range(weft.volume(40))]
        for conn in conns:
            conn.send(weft.request('/file/shared'))
        for conn in conns:
            got = hashlib.sha256()
            conn.sink = got.update
            conn.answer()
            self.assertEqual(got.hexdigest(), digest.hexdigest())
        if not weft.SANITIZED:
            self.assertLess(self.server.status('VmHWM') - before, 4 * MB)

    def test_a_sparse_file_of_4_gb(self):
        with open(os.path.join(self.root, 'sparse'), 'wb') as out:
            out.truncate(4 << 30)
            out.seek((4 << 30) - 5)
            out.write(b'tail!')
        self.server.reset_peak()
        before = self.server.rss()
        conns = [self.conn(timeout=20) for _ in range(20)]
        for conn in conns:
            conn.send(weft.request('/file/sparse'))
            self.assertIn(b'Content-Length: 4294967296', conn.until(b'\r\n\r\n', 1 * MB))
        for conn in conns:
            conn.close()
        if not weft.SANITIZED:
            self.assertLess(self.server.status('VmHWM') - before, 1 * MB)

    def test_what_is_not_in_memory_is_fetched(self):
        data = self.write('cold', os.urandom(4 * MB))
        self.cool('cold')
        before = self.server.metrics()
        conns = [self.conn() for _ in range(5)]
        for conn in conns:
            conn.send(weft.request('/file/cold'))
        for conn in conns:
            self.assertTrue(conn.answer().body == data)
        fetched = self.server.metrics()['files_cold_total'] - before['files_cold_total']
        if slow_fs.can_cool(self.root):
            self.assertGreaterEqual(fetched, 1)
        self.assertLessEqual(fetched, 5 * 8 + 8)


class Read(Ways, Sending):
    way = 'read'


class Mmap(Ways, Sending):
    way = 'mmap'


class Splice(Ways, Sending):
    way = 'splice'


class SlowDisk(weft.Case):
    """A file system whose reads take as long as we like. It cannot say what is in memory."""
    @classmethod
    def setUpClass(cls):
        cls.disk = slow_fs.SlowFs(12, 2 * MB)  # or skips
        cls.addClassCleanup(cls.disk.close)
        cls.server = weft.Server('--root', cls.disk.path, '--workers', '1')

    def test_the_worker_goes_on(self):
        """Twelve files, none of whose bytes come, two threads to read them: others are answered."""
        conns = [self.conn(timeout=20) for _ in range(12)]
        for i, conn in enumerate(conns):  # their names are known from now on
            self.assertEqual(conn.ask('/file/f%d' % i, 'HEAD').status, 200)
        before = self.server.metrics()
        self.disk.hold()
        try:
            for i, conn in enumerate(conns):
                conn.send(weft.request('/file/f%d' % i))
            self.counted('files_cold_total', before, 8)
            self.counted('files_cold_queued_total', before, 4)
            quick = self.conn(timeout=5)
            for _ in range(20):
                self.assertEqual(quick.ask('/').body, b'Hello, World!')
            conns.pop().reset()  # one does not wait for it
        finally:
            self.disk.release()
        for i, conn in enumerate(conns):
            self.assertTrue(conn.answer().body == self.disk.content(i))
        self.assertTrue(weft.wait_until(lambda: self.server.open_connections() <= len(conns) + 1))

    def test_a_small_one_is_copied(self):
        conn = self.conn()
        for _ in range(4):
            self.assertEqual(conn.ask('/file/small').body, b's' * 1000)


class Traced(weft.Case):
    """Which system calls see the bytes of a file."""
    def calls(self, way, name, times=4):
        strace = shutil.which('strace')
        if strace is None:
            raise unittest.SkipTest('strace is not installed: apt-get install strace')
        with tempfile.TemporaryDirectory(prefix='weft-send.') as root:
            for file, size in (('small', 20 * KB), ('big', 2 * MB)):
                with open(os.path.join(root, file), 'wb') as out:
                    out.write(os.urandom(size))
            with weft.Server('--root', root, '--workers', '1', '--files-send', way) as server:
                with server.conn() as conn:
                    conn.ask('/')
                    tracer = subprocess.Popen(
                        [strace, '-ff', '-y', '-qq', '-e', 'signal=none', '-o', os.path.join(root, 'log'),
                         '-p', str(server.pid)],  # a file for each thread: in one, calls are cut in two
                        stderr=subprocess.PIPE)
                    try:
                        self.assertTrue(weft.wait_until(lambda: self.traced(server.pid)), 'not attached')
                        for _ in range(times):
                            self.assertEqual(conn.ask('/file/' + name).status, 200)
                    finally:
                        tracer.send_signal(signal.SIGINT)
                        tracer.communicate()
                found = []
                for log in glob.glob(os.path.join(root, 'log.*')):
                    with open(log, encoding='ascii', errors='replace') as lines:
                        found += [line.rstrip('\n') for line in lines]
                return found

    @staticmethod
    def traced(pid):
        found = []
        for task in os.listdir('/proc/%d/task' % pid):
            with open('/proc/%d/task/%s/status' % (pid, task), encoding='ascii') as lines:
                found += [line.split()[1] for line in lines if line.startswith('TracerPid')]
        return found and '0' not in found

    def test_large_ones_are_never_read(self):
        """But for single bytes that say whether they are in memory."""
        lines = self.calls('auto', 'big')
        self.assertTrue(any('sendfile(' in line for line in lines))
        read = [int(m.group(4)) for m in map(BODY_READS.search, lines) if m]
        self.assertTrue(all(count <= 1 for count in read), read)

    def test_small_ones_are_read_once(self):
        lines = self.calls('auto', 'small', 10)
        read = [int(m.group(4)) for m in map(BODY_READS.search, lines) if m and int(m.group(4)) > 1]
        self.assertEqual(read, [20 * KB])
        self.assertLessEqual(sum('sendfile(' in line for line in lines), 1)
        if weft.ENGINE == 'epoll':  # io_uring's sends are no system calls of their own
            sends = [line for line in lines if re.search(r'\b(sendmsg|sendto)\(', line)]
            self.assertLessEqual(len(sends), 10 + 1)  # one each; the first has its file behind it

    def test_the_other_ways(self):
        for way, call in (('splice', 'splice('), ('read', 'pread64('), ('mmap', 'mmap(')):
            with self.subTest(way):
                lines = self.calls(way, 'big', 1)
                self.assertTrue(any(call in line and '/big>' in line for line in lines))
                self.assertFalse(any('sendfile(' in line for line in lines))


if __name__ == '__main__':
    unittest.main()
