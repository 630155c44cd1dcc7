"""What every end-to-end test needs: a server on the engine that the run asks for, and a client that
believes nothing.

    class Hello(weft.Case):
        flags = ('--workers', '1')
        def test_it(self):
            answer = self.get('/')

The server is a process of its own (WEFT_BIN demo), on free ports, stopped by SIGTERM at the end, which
has to give exit code 0. Before each test /metrics must say that it runs on WEFT_ENGINE. Answers are
read by a parser that accepts nothing but well-formed HTTP/1.1, so that a test cannot overlook a
malformed one. Every wait has an end.
"""
import ctypes
import json
import os
import random
import re
import resource
import select
import signal
import socket
import struct
import subprocess
import tempfile
import time
import unittest

BIN = os.environ.get('WEFT_BIN', 'build/weft')
ENGINE = os.environ.get('WEFT_ENGINE', 'epoll')
EXTRA = os.environ.get('WEFT_E2E_FLAGS', '').split()  # to see everything once with other settings
PHASE = os.environ.get('WEFT_PHASE', 'e2e')
SANITIZED = PHASE in ('asan', 'tsan', 'rehearsal')
SLOWER = 4 if SANITIZED else 1  # how much longer things may take
HELLO = b'GET / HTTP/1.1\r\nHost: x\r\n\r\n'


def volume(count, sanitized=None):
    """How many of something: fewer where a sanitizer makes each one dear."""
    if not SANITIZED:
        return count
    return max(1, count // 10) if sanitized is None else sanitized


def wait_until(true, seconds=5.0, step=0.01):
    """Polls until true() is; returns its last value."""
    end = time.monotonic() + seconds * SLOWER
    while True:
        value = true()
        if value or time.monotonic() > end:
            return value
        time.sleep(step)


def free_port():
    """For a program that wants to be told its port. Below those that the kernel deals out: nobody gets it
    by chance before that program does, nor while it is started again."""
    with open('/proc/sys/net/ipv4/ip_local_port_range', encoding='ascii') as source:
        ports = range(10000, int(source.read().split()[0]))
    while True:
        with socket.socket() as probe:
            try:
                probe.bind(('127.0.0.1', random.choice(ports) if ports else 0))
            except OSError:
                continue
            return probe.getsockname()[1]


def raise_descriptors(count):
    """Descriptors for this process; skips the test where they cannot be had."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < count:
        raise unittest.SkipTest('needs %d descriptors, has %d' % (count, hard))
    if soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))


# ---- answers ----

class Closed(Exception):
    """The connection ended, orderly, where an answer could have begun."""


class Malformed(AssertionError):
    """What came is no HTTP/1.1 answer."""


class Short(Malformed):
    """The connection ended inside an answer."""


class Answer:
    """A response, read whole. headers: [(name as sent, value)]."""

    def __init__(self):
        self.status = 0
        self.reason = ''
        self.headers = []
        self.trailers = []
        self.body = b''
        self.framing = 'none'  # none | length | chunked | close
        self.chunk_sizes = []
        self.interim = []      # statuses of the 1xx before it

    def get(self, name, default=None):
        """The value of a header that is there at most once."""
        found = self.all(name)
        if len(found) > 1:
            raise Malformed('%s is there %d times' % (name, len(found)))
        return found[0] if found else default

    def all(self, name):
        return [value for key, value in self.headers if key.lower() == name.lower()]

    @property
    def closes(self):
        return (self.get('Connection') or '').lower() == 'close'

    def __repr__(self):
        return '<%d %r %s body %d bytes %r>' % (self.status, self.headers, self.framing,
                                                len(self.body), self.body[:80])


STATUS_LINE = re.compile(rb'HTTP/1\.1 ([1-5]\d\d) ([\x20-\x7e]*)\Z')
FIELD = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+): ((?:[\x21-\x7e](?:[\x20-\x7e\t]*[\x21-\x7e])?)?)\Z")
DATE = re.compile(r'(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)'
                  r' \d{4} \d\d:\d\d:\d\d GMT\Z')
CHUNK_LINE = re.compile(rb'[0-9A-Fa-f]{1,16}\Z')


def parse_head(head):
    """(status, reason, headers) of a head without its empty line. Raises Malformed."""
    lines = head.split(b'\r\n')
    found = STATUS_LINE.match(lines[0])
    if not found:
        raise Malformed('status line %r' % lines[0])
    headers = []
    for line in lines[1:]:
        field = FIELD.match(line)
        if not field:
            raise Malformed('header line %r' % line)
        headers.append((field.group(1).decode(), field.group(2).decode()))
    return int(found.group(1)), found.group(2).decode(), headers


class Conn:
    """A client's connection: raw bytes out, answers in."""

    def __init__(self, port, host='127.0.0.1', timeout=10.0, receive_bytes=0, source=None, segment_bytes=0):
        """segment_bytes  as on a network: with loopback's 64 KiB the sender's socket takes 2.6 MB at once"""
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if segment_bytes:
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, segment_bytes)
        if receive_bytes:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.settimeout(timeout * SLOWER)
        if source:
            self.sock.bind((source, 0))
        self.sock.connect((host, port))
        self.buffer = bytearray()
        self.sink = None  # called with pieces of a body instead of keeping them
        self.eof = False
        self.framing = 'none'  # of the answer that is being read

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.sock.close()

    def reset(self):
        """Close with RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
        self.sock.close()

    def send(self, data):
        self.sock.sendall(data)

    def half_close(self):
        self.sock.shutdown(socket.SHUT_WR)

    def segments_in(self):
        """Segments with data that the kernel has received: tcpi_data_segs_in of struct tcp_info."""
        info = self.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
        return struct.unpack_from('I', info, 152)[0] if len(info) >= 156 else None

    # Pieces of input.

    def more(self):
        """One recv() into the buffer. False at the end; a reset is ConnectionResetError."""
        data = self.sock.recv(1 << 18)
        if not data:
            self.eof = True
            return False
        self.buffer += data
        return True

    def until(self, mark, limit=1 << 16):
        """Bytes up to mark, which is dropped. None: the end came first, with nothing before it."""
        start = 0
        while True:
            at = self.buffer.find(mark, start)
            if at >= 0:
                found = bytes(self.buffer[:at])
                del self.buffer[:at + len(mark)]
                return found
            if len(self.buffer) > limit:
                raise Malformed('no %r in %d bytes: %r' % (mark, limit, bytes(self.buffer[:200])))
            start = max(0, len(self.buffer) - len(mark) + 1)
            if not self.more():
                if self.buffer:
                    raise Short('ends in %r' % bytes(self.buffer[:200]))
                return None

    def pass_on(self, parts, count):
        """count bytes of the buffer to the body."""
        data = bytes(self.buffer[:count])
        del self.buffer[:count]
        if self.sink:
            self.sink(data)
        else:
            parts.append(data)

    def take(self, parts, count):
        while count > 0:
            if not self.buffer and not self.more():
                raise Short('%d bytes of a body are missing' % count)
            n = min(count, len(self.buffer))
            self.pass_on(parts, n)
            count -= n

    def take_chunked(self, answer, parts):
        while True:
            line = self.until(b'\r\n')
            if line is None or not CHUNK_LINE.match(line):
                raise Short('no chunk') if line is None else Malformed('chunk line %r' % line)
            size = int(line, 16)
            if size == 0:
                break
            answer.chunk_sizes.append(size)
            self.take(parts, size)
            if self.until(b'\r\n', 2) != b'':
                raise Malformed('a chunk is not followed by CRLF')
        while True:
            line = self.until(b'\r\n')
            if line is None:
                raise Short('no end of the trailers')
            if line == b'':
                return
            field = FIELD.match(line)
            if not field:
                raise Malformed('trailer line %r' % line)
            answer.trailers.append((field.group(1).decode(), field.group(2).decode()))

    def answer(self, method='GET'):
        """The next answer, checked. Raises Closed, Short, Malformed, TimeoutError."""
        answer = Answer()
        self.framing = 'none'
        while True:
            head = self.until(b'\r\n\r\n')
            if head is None:
                raise Short('only interim answers') if answer.interim else Closed()
            answer.status, answer.reason, answer.headers = parse_head(head)
            if answer.status >= 200:
                break
            answer.interim.append(answer.status)
            if answer.all('Content-Length') or answer.all('Transfer-Encoding'):
                raise Malformed('an interim answer with a body')
        self.body_of(answer, method)
        return answer

    def body_of(self, answer, method):
        length, coding = answer.get('Content-Length'), answer.get('Transfer-Encoding')
        if not DATE.match(answer.get('Date', 'Mon, 01 Jan 2024 00:00:00 GMT')):
            raise Malformed('Date %r' % answer.get('Date'))
        if length is not None and not re.match(r'\d{1,19}\Z', length):
            raise Malformed('Content-Length %r' % length)
        if length is not None and coding is not None:
            raise Malformed('both Content-Length and Transfer-Encoding')
        if coding is not None and coding != 'chunked':
            raise Malformed('Transfer-Encoding %r' % coding)
        if answer.status == 204 and (length is not None or coding is not None):
            raise Malformed('a 204 with a body (RFC 9110 8.6, RFC 9112 6.1)')
        parts = []
        if method == 'HEAD' or answer.status in (204, 304):
            pass
        elif length is not None:
            answer.framing = self.framing = 'length'
            self.take(parts, int(length))
        elif coding is not None:
            answer.framing = self.framing = 'chunked'
            self.take_chunked(answer, parts)
        else:
            answer.framing = self.framing = 'close'
            while self.buffer or self.more():
                self.pass_on(parts, len(self.buffer))
        answer.body = b''.join(parts)

    def ended(self, seconds=5.0):
        """Does the server close now, with nothing more to say? A reset counts as closed, unless data
        was due."""
        self.sock.settimeout(seconds * SLOWER)
        try:
            while not self.buffer and not self.eof:
                if not self.more():
                    return True
            return self.eof and not self.buffer
        except ConnectionResetError:
            return True
        except TimeoutError:
            return False

    def quiet(self, seconds=0.1):
        """Is nothing received, and the connection open, for so long?"""
        if self.buffer or self.eof:
            return False
        return not select.select([self.sock], [], [], seconds)[0]

    def ask(self, target='/', method='GET', headers=(), body=None, version='1.1', host='x'):
        """Send a request, read its answer."""
        self.send(request(target, method, headers, body, version, host))
        return self.answer(method)


def request(target='/', method='GET', headers=(), body=None, version='1.1', host='x'):
    lines = ['%s %s HTTP/%s' % (method, target, version)]
    if host is not None:
        lines.append('Host: ' + host)
    lines += ['%s: %s' % field for field in headers]
    if body is not None:
        lines.append('Content-Length: %d' % len(body))
    return '\r\n'.join(lines).encode('latin-1') + b'\r\n\r\n' + (body or b'')


def chunked(pieces, trailers=()):
    """A chunked body."""
    data = b''.join(b'%x\r\n%s\r\n' % (len(piece), piece) for piece in pieces if piece)
    return data + b'0\r\n' + b''.join(b'%s\r\n' % line for line in trailers) + b'\r\n'


# ---- the server ----

LISTENING = re.compile(r'^weft: listening on http://\S+?:(\d+) \(engine (\w+), (\d+) workers?\)', re.M)
ADMIN = re.compile(r'^weft: admin on http://\S+?:(\d+)', re.M)
TROUBLE = re.compile(r'Sanitizer|runtime error:|assertion|Assertion|Segmentation')
SAMPLE = re.compile(r'([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{((?:[^"}]|"(?:[^"\\]|\\.)*")*)\})? (\S+)\Z')


class Server:
    """A running weft. Flags come behind `demo --port 0 --admin-port 0 --engine E`.
    planned  at its end its peak must not have passed its plan; False for a program that takes memory
             that the plan cannot know of"""

    def __init__(self, *flags, env=None, preexec=None, ready=True, engine=ENGINE, command='demo',
                 binary=BIN, planned=True):
        self.planned = planned and not SANITIZED
        self.peak_before = 0  # of VmHWM, before it was reset
        self.scratch = tempfile.TemporaryDirectory(prefix='weft-server.')
        self.output_path = os.path.join(self.scratch.name, 'output')
        self.args = [binary, command, '--port', '0', '--admin-port', '0', '--engine', engine,
                     *EXTRA, *flags]
        clean = {key: value for key, value in os.environ.items() if not key.startswith('WEFT_')}
        clean.update(env or {})
        with open(self.output_path, 'wb') as output:
            self.process = subprocess.Popen(self.args, stdin=subprocess.DEVNULL, stdout=output,
                                            stderr=output, env=clean, preexec_fn=preexec)
        self.pid = self.process.pid
        self.port = self.admin_port = None
        self.engine = self.workers = None
        if ready:
            try:
                self.wait_ready()
            except BaseException:
                self.kill()
                raise

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            self.stop()
        else:
            self.kill()

    def output(self):
        with open(self.output_path, encoding='utf-8', errors='replace') as source:
            return source.read()

    def wait_ready(self, seconds=10):
        def ready():
            text = self.output()
            listening, admin = LISTENING.search(text), ADMIN.search(text)
            if listening and admin:
                self.port, self.admin_port = int(listening.group(1)), int(admin.group(1))
                self.engine, self.workers = listening.group(2), int(listening.group(3))
                return True
            return self.process.poll() is not None
        if not wait_until(ready, seconds, 0.005) or self.port is None:
            raise AssertionError('no start, exit %r: %s\n%s' % (self.process.poll(), self.args,
                                                               self.output()))
        if not wait_until(lambda: self.admin('/readyz').status == 200, seconds):
            raise AssertionError('not ready: ' + self.output())

    def kill(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
        self.process.wait()
        self.scratch.cleanup()

    def signal(self, number):
        self.process.send_signal(number)

    def stand_still(self):
        """SIGSTOP, and wait until every thread has."""
        self.signal(signal.SIGSTOP)

        def stopped():
            states = set()
            for tid in os.listdir('/proc/%d/task' % self.pid):
                with open('/proc/%d/task/%s/stat' % (self.pid, tid), encoding='ascii') as source:
                    states.add(source.read().rsplit(')', 1)[1].split()[0])
            return states == {'T'}
        if not wait_until(stopped):
            raise AssertionError('it does not stop')

    def wait_exit(self, seconds=15):
        try:
            return self.process.wait(seconds * SLOWER)
        except subprocess.TimeoutExpired:
            raise AssertionError('still running after %d s: %s' % (seconds, self.output())) from None

    def reset_peak(self):
        """What is resident now is the new VmHWM, and returned: what comes is measured from here, not from
        a peak that is over and handed back."""
        self.peak_before = max(self.peak_before, self.status('VmHWM'))
        with open('/proc/%d/clear_refs' % self.pid, 'w', encoding='ascii') as out:
            out.write('5')
        return self.status('VmHWM')

    def check_peak(self):
        """The slogan: what the plan printed before the start held while it ran. Where the admin listener
        does not answer, nothing is said."""
        try:
            plan, peak = self.memory()['plan'], max(self.status('VmHWM'), self.peak_before)
        except (OSError, KeyError, Closed):
            return
        if peak > plan:
            raise AssertionError('at its peak %d bytes were resident, the plan said %d' % (peak, plan))

    def stop(self, code=0, seconds=15):
        """SIGTERM; the exit code must be this one, and no sanitizer may have said anything."""
        try:
            if self.process.poll() is None and self.planned and self.admin_port:
                self.check_peak()
            if self.process.poll() is None:
                self.signal(signal.SIGTERM)
            found = self.wait_exit(seconds)
            text = self.output()
            if found != code or TROUBLE.search(text):
                raise AssertionError('exit %d, not %d: %s' % (found, code, text[-8000:]))
            return text
        finally:
            self.kill()

    # Asking it.

    def conn(self, **kwargs):
        return Conn(self.port, **kwargs)

    def ask(self, *args, **kwargs):
        with self.conn() as conn:
            return conn.ask(*args, **kwargs)

    def admin(self, target, **kwargs):
        with Conn(self.admin_port) as conn:
            return conn.ask(target, **kwargs)

    def samples(self):
        """Every line of /metrics: [(name, {label: value}, number)]."""
        answer = self.admin('/metrics')
        if answer.status != 200:
            raise AssertionError('/metrics: %r' % answer)
        found = []
        for line in answer.body.decode().splitlines():
            if line and not line.startswith('#'):
                name, labels, value = SAMPLE.match(line).groups()
                pairs = dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', labels or ''))
                found.append((name, pairs, float(value)))
        return found

    def metrics(self):
        """{name without weft_: sum over the workers}, what the admin listener does itself left out."""
        total = {}
        for name, labels, value in self.samples():
            if labels.get('worker') == 'admin':
                continue
            name = name[len('weft_'):] if name.startswith('weft_') else name
            total[name] = total.get(name, 0) + value
        return total

    def engine_now(self):
        engines = [labels.get('engine') for name, labels, value in self.samples()
                   if name == 'weft_engine_info' and value == 1]
        return engines[0] if len(set(engines)) == 1 else engines

    def memory(self):
        answer = self.admin('/memory')
        if answer.status != 200:
            raise AssertionError('/memory: %r' % answer)
        return json.loads(answer.body)

    def open_connections(self):
        now = self.metrics()
        return now['connections_accepted_total'] - now['connections_closed_total']

    def at_rest(self, seconds=5.0):
        """Is no request under way, within that time? What counts at a request's end, when its answer has
        left, has counted then."""
        return wait_until(lambda: self.metrics()['active'] == 0, seconds)

    def all_closed(self, seconds=5.0):
        """Do the connections all end within that time?"""
        return wait_until(lambda: self.open_connections() == 0, seconds, 0.02)

    # Looking at the process.

    def status(self, key):
        """A line of /proc/PID/status, in bytes where it is in kB."""
        with open('/proc/%d/status' % self.pid, encoding='ascii') as lines:
            for line in lines:
                if line.startswith(key + ':'):
                    words = line.split()
                    return int(words[1]) * 1024 if words[-1] == 'kB' else ' '.join(words[1:])
        raise KeyError(key)

    def rss(self):
        return self.status('VmRSS')

    def cpu_seconds(self):
        with open('/proc/%d/stat' % self.pid, encoding='ascii') as source:
            fields = source.read().rsplit(')', 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')

    def descriptors(self):
        return len(os.listdir('/proc/%d/fd' % self.pid))

    def open_files(self):
        """What its descriptors are: paths, 'anon_inode:inotify' and the like."""
        found, folder = [], '/proc/%d/fd/' % self.pid
        for fd in os.listdir(folder):
            try:
                found.append(os.readlink(folder + fd))
            except FileNotFoundError:  # closed meanwhile
                pass
        return found

    def threads(self):
        """{thread id: name}"""
        found = {}
        for tid in os.listdir('/proc/%d/task' % self.pid):
            with open('/proc/%d/task/%s/comm' % (self.pid, tid), encoding='ascii') as source:
                found[int(tid)] = source.read().strip()
        return found


def run(*args, env=None, seconds=10, preexec=None):
    """Run weft to its end: (exit code, standard output, standard error)."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith('WEFT_')}
    clean.update(env or {})
    done = subprocess.run([BIN, *args], stdin=subprocess.DEVNULL, capture_output=True, env=clean,
                          timeout=seconds * SLOWER, preexec_fn=preexec, check=False)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


class Case(unittest.TestCase):
    """Tests against one server, started once for all of them."""
    flags = ()
    env = None
    maxDiff = 2000

    @classmethod
    def setUpClass(cls):
        cls.server = Server(*cls.flags, env=cls.env)

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()

    def setUp(self):
        self.assertIsNone(self.server.process.poll(), 'the server has gone')
        self.assertEqual(self.server.engine_now(), ENGINE)

    def conn(self, **kwargs):
        conn = self.server.conn(**kwargs)
        self.addCleanup(conn.close)
        return conn

    def get(self, target='/', **kwargs):
        return self.server.ask(target, **kwargs)

    def counted(self, name, before, more=1, seconds=3.0):
        """Has a counter grown by that much since `before` (metrics())? Counters of a worker are
        written before the answer leaves, yet give it a moment."""
        def grown():
            return self.server.metrics()[name] - before[name]
        wait_until(lambda: grown() >= more, seconds)
        self.assertEqual(grown(), more, name)


# ---- what Python's library lacks ----

libc = ctypes.CDLL(None, use_errno=True)


SYSCALLS = {'x86_64': {'inotify_add_watch': 254, 'openat2': 437},
            'aarch64': {'inotify_add_watch': 27, 'openat2': 437}}


def refuse(name, error):
    """For preexec=: from now on that system call fails with that errno (seccomp(2)). Skips the test where
    its number is not known."""
    number = SYSCALLS.get(os.uname().machine, {}).get(name)
    if number is None:
        raise unittest.SkipTest('the number of %s is not known here' % name)
    steps = ((0x20, 0, 0, 0), (0x15, 0, 1, number), (6, 0, 0, 0x50000 | error), (6, 0, 0, 0x7fff0000))
    program = ctypes.create_string_buffer(b''.join(struct.pack('HBBI', *step) for step in steps))
    told = ctypes.create_string_buffer(struct.pack('HxxxxxxQ', len(steps), ctypes.addressof(program)))

    def now():
        _ = program  # alive
        if libc.prctl(38, 1, 0, 0, 0) != 0 or libc.prctl(22, 2, told, 0, 0) != 0:  # NO_NEW_PRIVS, SECCOMP
            raise OSError(ctypes.get_errno(), 'seccomp')
    return now


def socket_of(pid, port):
    """Copies of the server's sockets at that local port, accepted ones: pidfd_getfd(2), which needs
    the right to trace. Skips the test where that is refused."""
    inodes = set()
    with open('/proc/%d/net/tcp' % pid, encoding='ascii') as lines:
        for line in list(lines)[1:]:
            fields = line.split()
            if int(fields[1].split(':')[1], 16) == port and fields[3] == '01':
                inodes.add('socket:[%s]' % fields[9])
    pidfd = libc.syscall(434, pid, 0)
    if pidfd < 0:
        raise unittest.SkipTest('pidfd_open: ' + os.strerror(ctypes.get_errno()))
    found = []
    try:
        for name in os.listdir('/proc/%d/fd' % pid):
            try:
                if os.readlink('/proc/%d/fd/%s' % (pid, name)) not in inodes:
                    continue
            except FileNotFoundError:
                continue
            fd = libc.syscall(438, pidfd, int(name), 0)
            if fd < 0:
                raise unittest.SkipTest('pidfd_getfd: ' + os.strerror(ctypes.get_errno()))
            found.append(socket.socket(fileno=fd))
    finally:
        os.close(pidfd)
    return found


class Frozen:
    """Stops single threads of a process, as a handler that never returns would: ptrace(2)."""

    def __init__(self, tids):
        self.tids = list(tids)
        self.held = []

    def __enter__(self):
        for tid in self.tids:
            if libc.ptrace(0x4206, tid, None, None) != 0:  # PTRACE_SEIZE
                error = os.strerror(ctypes.get_errno())
                self.__exit__()
                raise unittest.SkipTest('ptrace: ' + error)
            self.held.append(tid)
            libc.ptrace(0x4207, tid, None, None)  # PTRACE_INTERRUPT
            os.waitpid(tid, 0x40000000)  # __WALL: until it stands
        return self

    def __exit__(self, *_):
        for tid in self.held:
            libc.ptrace(17, tid, None, None)  # PTRACE_DETACH
        self.held = []
