"""A cache that several servers share: a real redis-server, killed and started again under load; and
ones that are slow, talk nonsense, or want a password."""
# phases: e2e asan tsan
# shows FD-13, OB-05
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import unittest

import weft

MISSING = 'redis-server is not there: apt-get install redis-server'


class Redis:
    """A redis-server of our own: loopback, nothing on disk."""

    def __init__(self, *flags):
        self.binary = shutil.which(os.environ.get('WEFT_REDIS', 'redis-server'))  # or valkey-server
        if not self.binary:
            raise unittest.SkipTest(MISSING)
        self.flags = flags
        self.port = weft.free_port()
        self.scratch = tempfile.TemporaryDirectory(prefix='weft-redis.')
        self.socket_path = os.path.join(self.scratch.name, 's')
        self.process = None
        self.start()

    @property
    def address(self):
        return '127.0.0.1:%d' % self.port

    def start(self):
        command = [self.binary, '--port', str(self.port), '--bind', '127.0.0.1', '--save', '',
                   '--appendonly', 'no', '--dir', self.scratch.name, '--unixsocket', self.socket_path,
                   *self.flags]
        with open(os.path.join(self.scratch.name, 'log'), 'ab') as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        if not weft.wait_until(self.answers, 10):
            raise AssertionError('redis-server does not start')

    def answers(self):
        try:
            return self.ask('PING')[:1] in (b'+', b'-')
        except OSError:
            return False

    def ask(self, *words):
        """The first bytes of the answer to one command."""
        with socket.create_connection(('127.0.0.1', self.port), 2) as conn:
            command = b'*%d\r\n' % len(words)
            for word in words:
                command += b'$%d\r\n%s\r\n' % (len(word.encode()), word.encode())
            conn.sendall(command)
            return conn.recv(65536)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def close(self):
        self.kill()
        self.scratch.cleanup()


class Impostor:
    """Something that listens where a Redis is expected. `answer` is what it says to whatever comes;
    None: nothing, it only holds the connection."""

    def __init__(self, answer):
        self.answer = answer
        self.listener = socket.create_server(('127.0.0.1', 0))
        self.address = '127.0.0.1:%d' % self.listener.getsockname()[1]
        self.connections = []
        self.ended = 0  # connections that the other side has closed
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                conn, _ = self.listener.accept()
            except OSError:
                return
            self.connections.append(conn)
            threading.Thread(target=self.serve, args=(conn,), daemon=True).start()

    def serve(self, conn):
        try:
            while conn.recv(65536):
                if self.answer is not None:
                    conn.sendall(self.answer)
        except OSError:
            pass
        self.ended += 1

    def close(self):
        for sock in [self.listener, *self.connections]:
            try:
                sock.shutdown(socket.SHUT_RDWR)  # closing alone wakes nobody who waits in it
            except OSError:
                pass
            sock.close()


def started(case, address, *flags, **kwargs):
    server = weft.Server('--cache-redis', address, *flags, **kwargs)
    case.addCleanup(server.kill)
    return server


def hit(answer):
    return answer.get('X-Cache')


class Shared(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.redis = Redis()
        cls.addClassCleanup(cls.redis.close)

    def test_what_one_server_made_another_has(self):
        one = started(self, self.redis.address)
        two = started(self, 'unix:' + self.redis.socket_path)
        made = one.ask('/cache/shared')
        self.assertEqual((made.status, hit(made)), (200, 'MISS'))
        self.assertEqual(hit(one.ask('/cache/shared')), 'HIT')
        found = two.ask('/cache/shared')
        self.assertEqual((found.status, hit(found)), (200, 'HIT'))
        self.assertEqual(found.body, made.body)
        self.assertEqual(found.get('Content-Type'), made.get('Content-Type'))
        self.assertIn(b'"computed":true', self.redis.ask('GET', 'weft:answers:shared'))
        before = one.metrics()['redis_commands_total']
        self.assertEqual(hit(one.ask('/cache/shared')), 'HIT')
        self.assertEqual(one.metrics()['redis_commands_total'], before)  # its own memory has it
        for server in (one, two):
            now = server.metrics()
            self.assertEqual(now['redis_fallbacks_total'], 0)
            self.assertEqual(now['bytes_waiting'], 0)
            server.stop()

    def test_its_heap_is_in_the_books(self):
        server = started(self, self.redis.address)
        self.assertEqual(self.row(server)['used'], 0)  # nothing before the first connection
        for i in range(50):
            self.assertEqual(server.ask('/cache/books%d' % i).status, 200)
        row = self.row(server)
        self.assertGreater(row['used'], 0)
        calls = self.allocs(server)
        self.assertGreater(calls, 0)
        for i in range(50, 150):
            server.ask('/cache/books%d' % i)
        self.assertLessEqual(self.allocs(server) - calls, 8)  # buffers have their size by now
        self.assertLessEqual(self.row(server)['peak'], row['reserved'])  # as the plan has it
        server.stop()

    def test_a_long_answer_leaves_no_long_buffer(self):
        one = started(self, self.redis.address)
        two = started(self, self.redis.address.replace('127.0.0.1', 'localhost'))  # a name
        made = one.ask('/cache/long?pad=15000')
        self.assertEqual(hit(made), 'MISS')
        self.redis.ask('APPEND', 'weft:answers:long', ' ' * 3000)  # more than a reader keeps
        found = two.ask('/cache/long')
        self.assertEqual((hit(found), found.body), ('HIT', made.body + b' ' * 3000))
        row = self.row(two)
        self.assertGreater(row['peak'], 18000)
        self.assertLess(row['used'], 8192)
        one.stop()
        two.stop()

    def row(self, server):
        rows = [sample for sample in server.samples() if sample[1].get('owner') == 'hiredis']
        found = {name[len('weft_memory_'):-len('_bytes')]: value for name, _, value in rows
                 if name.endswith('_bytes')}
        self.assertTrue(found, 'no row of the ledger')
        return found

    def allocs(self, server):
        return [value for name, labels, value in server.samples()
                if name == 'weft_memory_allocs_total' and labels['owner'] == 'hiredis'][0]

    def test_values_that_are_too_long_stay_at_home(self):
        server = started(self, self.redis.address, '--cache-redis-value-bytes-max', '256')
        target = '/cache/' + 'k' * 300
        self.assertEqual([hit(server.ask(target)) for _ in range(2)], ['MISS', 'HIT'])
        self.assertGreaterEqual(server.metrics()['redis_too_large_total'], 1)
        server.stop()


class Killed(unittest.TestCase):
    def test_killed_and_started_again_under_load(self):
        redis = Redis()
        self.addCleanup(redis.close)
        server = started(self, redis.address, '--workers', '2', '--cache-redis-retry-ms', '50ms',
                         '--cache-redis-connections', '2')
        stop, troubles, counts = threading.Event(), [], [0] * 4

        def load(client):
            try:
                with server.conn() as conn:
                    while not stop.is_set():
                        answer = conn.ask('/cache/%d-%d' % (client, counts[client]))
                        counts[client] += 1
                        if answer.status != 200:
                            troubles.append(answer)
            except Exception as trouble:  # what ends a client is told by the test
                troubles.append(trouble)
        clients = [threading.Thread(target=load, args=(i,)) for i in range(4)]
        for client in clients:
            client.start()

        def grows(name, more=20):
            before = server.metrics()[name]
            self.assertTrue(weft.wait_until(lambda: server.metrics()[name] >= before + more), name)
        try:
            grows('redis_commands_total')
            for _ in range(2):
                redis.kill()
                grows('redis_fallbacks_total')
                grows('redis_skipped_total')
                redis.start()
                grows('redis_commands_total')
        finally:
            stop.set()
            for client in clients:
                client.join()
        self.assertEqual(troubles, [])
        self.assertGreater(min(counts), 0)
        now = server.metrics()
        self.assertGreater(now['redis_failures_total'], 0)
        self.assertEqual(now['bytes_waiting'], 0)
        self.assertEqual(now['upstream_connections_used'], 0)
        text = server.stop()
        self.assertIn('does not answer', text)
        self.assertIn('answers again', text)

    def test_started_again_while_nobody_asks(self):
        redis = Redis()
        self.addCleanup(redis.close)
        server = started(self, redis.address, '--workers', '1')
        for key in ('before', 'after'):
            self.assertEqual(hit(server.ask('/cache/' + key)), 'MISS')
            self.assertIn(b'"computed":true', redis.ask('GET', 'weft:answers:' + key))
            redis.kill()
            redis.start()
        now = server.metrics()
        self.assertEqual((now['redis_connects_total'], now['redis_fallbacks_total']), (2, 0))
        server.stop()

    def test_not_there_at_all(self):
        server = started(self, '127.0.0.1:%d' % weft.free_port())
        answers = [server.ask('/cache/alone') for _ in range(2)]
        self.assertEqual([hit(answer) for answer in answers], ['MISS', 'HIT'])
        self.assertGreaterEqual(server.metrics()['redis_fallbacks_total'], 1)
        server.stop()


@unittest.skipIf(weft.PHASE != 'e2e', 'a sanitizer wants to be the first that is loaded')
class Named(unittest.TestCase):
    """A name's addresses, by a resolver of ours."""

    def by_name(self, address):
        library = os.path.join(os.path.dirname(os.path.abspath(weft.BIN)), 'tests', 'test_names.so')
        return started(self, address, '--workers', '1', env={'LD_PRELOAD': library})

    def test_the_second_address_is_as_good(self):
        redis = Redis()
        self.addCleanup(redis.close)
        server = self.by_name('two.test:%d' % redis.port)
        self.assertEqual(hit(server.ask('/cache/named')), 'MISS')
        self.assertIn(b'"computed":true', redis.ask('GET', 'weft:answers:named'))
        self.assertEqual(server.metrics()['redis_fallbacks_total'], 0)
        server.stop()

    def test_a_resolver_that_does_not_answer(self):
        server = self.by_name('slow.test')
        began = time.monotonic()
        self.assertEqual(server.ask('/cache/unnamed').status, 200)
        self.assertLess(time.monotonic() - began, 1.9)  # it is in there for 2 s
        self.assertEqual(server.metrics()['redis_timeouts_total'], 1)


class Odd(unittest.TestCase):
    def impostor(self, answer):
        found = Impostor(answer)
        self.addCleanup(found.close)
        return found

    def test_garbage_closes_the_connection(self):
        for answer in (b'HTTP/1.1 400 Bad Request\r\n\r\n', b'$3\r\nabcXX', b'*1\r\n+OK\r\n',
                       b'+OK\r\n+OK\r\n'):
            with self.subTest(answer):
                other = self.impostor(answer)
                server = started(self, other.address)
                self.assertEqual(server.ask('/cache/x').status, 200)
                self.assertGreaterEqual(server.metrics()['redis_garbage_total'], 1)
                self.assertTrue(weft.wait_until(lambda: other.ended > 0))
                server.stop()

    def test_without_end(self):
        other = self.impostor(b'$1000000000\r\n' + b'x' * 300000)
        server = started(self, other.address)
        self.assertEqual(server.ask('/cache/x').status, 200)
        self.assertGreaterEqual(server.metrics()['redis_too_large_total'], 1)
        self.assertTrue(weft.wait_until(lambda: other.ended > 0))
        server.stop()

    def test_errors_are_no_values(self):
        other = self.impostor(b'-LOADING Redis is loading the dataset in memory\r\n')
        server = started(self, other.address)
        self.assertEqual([hit(server.ask('/cache/x')) for _ in range(2)], ['MISS', 'HIT'])
        now = server.metrics()
        self.assertGreaterEqual(now['redis_errors_total'], 1)
        self.assertEqual(now['redis_fallbacks_total'], 2)  # asked, and told
        self.assertEqual(now['redis_connects_total'], 1)  # the connection is as good as before
        server.stop()

    def test_what_waits_is_a_figure(self):
        """OB-05, FD-13: a server that never answers holds so many requests; the rest go on without it at
        once, and all do when it breaks."""
        other = self.impostor(None)
        server = started(self, other.address, '--workers', '1', '--cache-redis-timeout-ms', '30s',
                         '--cache-redis-connections', '2', '--cache-redis-queue', '3',
                         '--cache-redis-retry-ms', '1m')
        conns = [server.conn() for _ in range(20)]
        for i, conn in enumerate(conns):
            self.addCleanup(conn.close)
            conn.send(weft.request('/cache/slow%d' % i))
        self.assertTrue(weft.wait_until(
            lambda: server.metrics()['redis_no_connection_total'] == 30))  # get and put
        now = server.metrics()
        self.assertEqual(now['upstream_requests_waiting'], 5)
        self.assertEqual((now['upstream_connections_used'], now['upstream_queued']), (2, 3))
        each = now['bytes_waiting'] / 5
        self.assertGreaterEqual(each, 4096)  # its stack, at least
        self.assertLessEqual(each, 65536)
        self.assertTrue(weft.wait_until(lambda: len(other.connections) == 2))
        other.close()
        self.assertEqual([conn.answer().status for conn in conns], [200] * 20)
        now = server.metrics()
        self.assertGreaterEqual(now['redis_failures_total'], 1)
        self.assertEqual((now['bytes_waiting'], now['upstream_requests_waiting']), (0, 0))
        self.assertEqual(server.ask('/cache/more').status, 200)  # it is left alone now
        self.assertGreaterEqual(server.metrics()['redis_skipped_total'], 1)
        server.stop()

    def test_too_late(self):
        other = self.impostor(None)
        server = started(self, other.address, '--cache-redis-timeout-ms', '50ms')
        self.assertEqual(server.ask('/cache/late').status, 200)
        self.assertGreaterEqual(server.metrics()['redis_timeouts_total'], 1)
        self.assertTrue(weft.wait_until(lambda: other.ended > 0))
        server.stop()

    def test_a_client_that_leaves_gives_its_turn_back(self):
        other = self.impostor(None)
        server = started(self, other.address, '--workers', '1', '--cache-redis-timeout-ms', '20s',
                         '--cache-redis-connections', '1')
        for i in range(3):
            conn = server.conn()
            conn.send(weft.request('/cache/gone%d' % i))
            self.assertTrue(weft.wait_until(
                lambda: server.metrics()['upstream_requests_waiting'] == 1))
            self.assertTrue(weft.wait_until(lambda: len(other.connections) == i + 1))
            conn.reset()
            self.assertTrue(weft.wait_until(lambda: server.metrics()['bytes_waiting'] == 0))
        self.assertEqual(server.metrics()['upstream_connections_used'], 0)
        server.stop()


class Door(unittest.TestCase):
    """Passwords, databases, and settings that cannot be."""

    def password(self, text):
        scratch = tempfile.NamedTemporaryFile('w', prefix='weft-password.', encoding='ascii')
        self.addCleanup(scratch.close)
        scratch.write(text)
        scratch.flush()
        return scratch.name

    def test_password_and_database(self):
        redis = Redis('--requirepass', 'sesame')
        self.addCleanup(redis.close)
        good = started(self, redis.address, '--cache-redis-database', '3',
                       '--cache-redis-password-path', self.password('sesame\n'))
        self.assertEqual(hit(good.ask('/cache/door')), 'MISS')
        self.assertEqual(good.metrics()['redis_fallbacks_total'], 0)
        again = started(self, redis.address, '--cache-redis-database', '3',
                        '--cache-redis-password-path', self.password('sesame\n'))
        self.assertEqual(hit(again.ask('/cache/door')), 'HIT')
        wrong = started(self, redis.address,
                        '--cache-redis-password-path', self.password('open\n'))
        self.assertEqual(wrong.ask('/cache/door').status, 200)
        self.assertGreaterEqual(wrong.metrics()['redis_fallbacks_total'], 1)
        self.assertIn('WRONGPASS', wrong.stop())
        good.stop()
        again.stop()

    def test_what_cannot_be(self):
        for flags, words in ((('--cache-redis', 'nowhere:0'), 'expected host:port'),
                             (('--cache-redis', '127.0.0.1', '--cache-redis-password-path', '/none'),
                              'expected a line')):
            code, _, text = weft.run('demo', '--port', '0', '--admin-port', '0', *flags)
            self.assertNotEqual(code, 0)
            self.assertIn(words, text)


if __name__ == '__main__':
    unittest.main()
