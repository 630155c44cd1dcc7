"""A file system in this process (FUSE, /dev/fuse and mount(2), as root): its reads wait when told to.

Standard library only; the few requests that looking, opening and reading need.
"""
import ctypes
import os
import shutil
import struct
import tempfile
import threading
import unittest

LOOKUP, FORGET, GETATTR, OPEN, READ, STATFS, RELEASE, FLUSH, INIT, OPENDIR, RELEASEDIR, BATCH_FORGET = (
    1, 2, 3, 14, 15, 17, 18, 25, 26, 27, 29, 42)
ENOENT, ENOSYS, MNT_DETACH = 2, 38, 2
LONG = 3600  # seconds that the kernel may believe what it was told


def can_cool(path):
    """Do files below path go out of memory when told to? Those of tmpfs do not."""
    name = os.path.join(path, 'can_cool')
    with open(name, 'wb') as out:
        out.write(b'x' * 65536)
        out.flush()
        os.fsync(out.fileno())
        os.posix_fadvise(out.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    try:
        with open(name, 'rb') as file:
            os.preadv(file.fileno(), [bytearray(1)], 0, os.RWF_NOWAIT)
        return False
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.remove(name)


class SlowFs:
    """Files f0, f1, ... of so many bytes, and `small`."""
    def __init__(self, count, size):
        self.size, self.count = size, count
        self.names = {('f%d' % i).encode(): i + 2 for i in range(count)}
        self.names[b'small'] = count + 2
        self.open_gate = threading.Event()
        self.open_gate.set()
        try:
            self.fd = os.open('/dev/fuse', os.O_RDWR | os.O_CLOEXEC)
        except OSError as e:
            raise unittest.SkipTest('no /dev/fuse here: %s' % e)
        self.path = tempfile.mkdtemp(prefix='weft-fuse.')
        self.libc = ctypes.CDLL(None, use_errno=True)
        options = b'fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other' % self.fd
        if self.libc.mount(b'weft', self.path.encode(), b'fuse', 6, options) != 0:  # nosuid, nodev
            error = os.strerror(ctypes.get_errno())
            os.close(self.fd)
            os.rmdir(self.path)
            raise unittest.SkipTest('no FUSE file system can be mounted: %s' % error)
        self.threads = [threading.Thread(target=self.serve, daemon=True) for _ in range(16)]
        for thread in self.threads:
            thread.start()

    def content(self, index):
        return struct.pack('<Q', index * 7919 + 1) * (self.size // 8)

    def bytes_of(self, node):
        return b's' * 1000 if node == self.count + 2 else self.content(node - 2)

    def hold(self):
        self.open_gate.clear()

    def release(self):
        self.open_gate.set()

    def close(self):
        self.release()
        self.libc.umount2(self.path.encode(), MNT_DETACH)
        os.close(self.fd)
        shutil.rmtree(self.path, ignore_errors=True)

    def attributes(self, node):
        directory = node == 1
        size = 0 if directory else len(self.bytes_of(node))
        mode = 0o40755 if directory else 0o100644
        return struct.pack('<6Q10I', node, size, size // 512, 1, 1, 1, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)

    def reply(self, unique, error=0, data=b''):
        os.write(self.fd, struct.pack('<IiQ', 16 + len(data), -error, unique) + data)

    def serve(self):
        while True:
            try:
                request = os.read(self.fd, 1 << 20)
            except OSError:
                return  # unmounted
            if not request:
                return
            _, code, unique, node = struct.unpack_from('<IIQQ', request)
            try:
                self.answer(code, unique, node, request[40:])
            except OSError:
                pass  # who asked has gone

    def answer(self, code, unique, node, body):
        if code in (FORGET, BATCH_FORGET):
            return
        if code == INIT:
            self.reply(unique, 0, struct.pack('<4I2H4I', 7, 31, 131072, 0, 16, 12, 131072, 1, 0, 0) + bytes(24))
        elif code == LOOKUP and body.rstrip(b'\0') in self.names:
            found = self.names[body.rstrip(b'\0')]
            self.reply(unique, 0, struct.pack('<4Q2I', found, 0, LONG, LONG, 0, 0) + self.attributes(found))
        elif code == LOOKUP:
            self.reply(unique, ENOENT)
        elif code == GETATTR:
            self.reply(unique, 0, struct.pack('<Q2I', LONG, 0, 0) + self.attributes(node))
        elif code in (OPEN, OPENDIR):
            self.reply(unique, 0, struct.pack('<Q2I', 1, 0, 0))
        elif code == READ:
            self.open_gate.wait()
            _, offset, size = struct.unpack_from('<QQI', body)
            self.reply(unique, 0, self.bytes_of(node)[offset:offset + size])
        elif code in (RELEASE, RELEASEDIR, FLUSH):
            self.reply(unique)
        elif code == STATFS:
            self.reply(unique, 0, bytes(80))
        else:
            self.reply(unique, ENOSYS)
