"""A control group of one's own with a memory limit, where the machine lets one be made: as root, below
the root of the hierarchy, v2 or v1. No group that was there before is touched.

    with cgroups.Group(64 << 20) as group:
        server = weft.Server(preexec=group.enter)
        group.charge(), group.peak(), group.killed()
"""
import itertools
import os
import time

NUMBERS = itertools.count()


class Unavailable(Exception):
    """No group can be made here; the text says why."""


def mounts():
    """[(type, where, options)] of the cgroup file systems."""
    found = []
    with open('/proc/self/mounts', encoding='ascii', errors='replace') as lines:
        for line in lines:
            _, where, kind, options = line.split()[:4]
            if kind in ('cgroup', 'cgroup2'):
                found.append((kind, where, options.split(',')))
    return found


def write(path, text):
    with open(path, 'w', encoding='ascii') as file:
        file.write(text)


def read(path):
    with open(path, encoding='ascii') as file:
        return file.read()


class Group:
    """A new group; its processes have to be gone before its end. v2 is taken where its memory
    controller can be had. v1 is told to charge sockets too, as v2 always does; what is queued in
    them has an account of its own there."""

    def __init__(self, limit):
        self.path, self.v2 = None, False
        whys = []
        for kind, where, options in sorted(mounts(), reverse=True):  # cgroup2 first
            if kind == 'cgroup' and 'memory' not in options:
                continue
            try:
                self.make(where, kind == 'cgroup2', limit)
                return
            except OSError as error:
                whys.append('%s: %s' % (where, error.strerror))
        raise Unavailable('; '.join(whys) or 'no memory controller is mounted')

    def make(self, where, v2, limit):
        if v2:
            if 'memory' not in read(os.path.join(where, 'cgroup.controllers')).split():
                raise OSError(0, 'no memory controller')
            write(os.path.join(where, 'cgroup.subtree_control'), '+memory')
        path = os.path.join(where, 'weft-test-%d-%d' % (os.getpid(), next(NUMBERS)))
        os.mkdir(path)
        try:
            write(os.path.join(path, 'memory.max' if v2 else 'memory.limit_in_bytes'), str(limit))
            if not v2:
                write(os.path.join(path, 'memory.kmem.tcp.limit_in_bytes'), str(limit))
        except OSError:
            os.rmdir(path)
            raise
        self.path, self.v2 = path, v2

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.remove()

    def enter(self):
        """For a child before exec."""
        write(os.path.join(self.path, 'cgroup.procs'), str(os.getpid()))

    def limit(self, limit):
        """Another limit, for the processes that are in it."""
        write(os.path.join(self.path, 'memory.max' if self.v2 else 'memory.limit_in_bytes'), str(limit))

    def number(self, v2, v1):
        return int(read(os.path.join(self.path, v2 if self.v2 else v1)))

    def charge(self):
        """Bytes charged now: of the process, of files read, and of the kernel on its behalf."""
        return self.number('memory.current', 'memory.usage_in_bytes')

    def peak(self):
        """The highest charge; on v1 without what is queued in sockets."""
        return self.number('memory.peak', 'memory.max_usage_in_bytes')

    def queued(self):
        """Bytes queued in sockets."""
        return self.stat()['sock'] if self.v2 else self.number('', 'memory.kmem.tcp.usage_in_bytes')

    def kernel(self):
        """Of it the kernel's own: sockets, descriptors, page tables."""
        if not self.v2:
            return self.number('', 'memory.kmem.usage_in_bytes')
        return self.stat()['kernel']

    def stat(self):
        lines = read(os.path.join(self.path, 'memory.stat')).splitlines()
        return {name: int(value) for name, value in (line.split() for line in lines)}

    def killed(self):
        """Processes that the kernel killed for want of memory."""
        name = 'memory.events' if self.v2 else 'memory.oom_control'
        for line in read(os.path.join(self.path, name)).splitlines():
            if line.startswith('oom_kill '):
                return int(line.split()[1])
        return 0

    def remove(self):
        for _ in range(100):  # what its last process held is given back a moment after its end
            try:
                os.rmdir(self.path)
                return
            except OSError:
                time.sleep(0.02)
