"""Settings: where they come from, what is said about mistakes, and that they do what they say."""
# seconds: 60
# shows HC-04, HC-05, HC-06, HC-10
import os
import re
import signal
import socket
import struct
import tempfile
import time
import unittest

import weft

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), '../..')


class Files(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix='weft-settings.')
        self.addCleanup(self.folder.cleanup)

    def file(self, text, name='weft.yaml'):
        path = os.path.join(self.folder.name, name)
        with open(path, 'w', encoding='utf-8') as out:
            out.write(text)
        return path


class Check(Files):
    def check(self, text, *flags, env=None):
        path = self.file(text)
        code, out, err = weft.run('check', '-c', path, *flags, env=env)
        return code, out, err.replace(path, 'FILE')

    def test_good(self):
        code, out, err = self.check('port: 8080\nhttp:\n  buffer_bytes: 16K\ntimeouts.header_ms: 5s\n')
        self.assertEqual((code, err), (0, ''))
        self.assertIn('good', out)

    def test_mistakes_name_file_line_key_and_range(self):
        for text, line, key, words in (
                ('port: 70000\n', 1, 'port', '1 to 65535'),
                ('\n\nhttp:\n  buffer_bytes: 12\n', 4, 'http.buffer_bytes', '1K to 65000'),
                ('engine: kqueue\n', 1, 'engine', 'uring'),
                ('tcp:\n  nodelay: perhaps\n', 2, 'tcp.nodelay', 'off'),
                ('host: localhost\ncolour: red\n', 2, 'colour', 'no such setting'),
                ('timeouts.header_ms: 5parsec\n', 1, 'timeouts.header_ms', ''),
                ('workers: -1\n', 1, 'workers', '1 to 256'),
                ('http_buffer_size: 100M\n', 1, 'http', '65000'),
                ('host: no.such.address\n', 1, 'host', '')):
            with self.subTest(text):
                code, _, err = self.check(text)
                self.assertEqual(code, 2)
                self.assertRegex(err, r'FILE:%d: %s' % (line, re.escape(key)))
                self.assertIn(words, err)

    def test_every_mistake_is_listed(self):
        _, _, err = self.check('port: 0x\nworkers: 9999\nengine: x\n')
        self.assertEqual(len(re.findall(r'FILE:\d', err)), 3, err)

    def test_what_is_no_settings_file(self):
        for text in ('port: [1, 2]\n', '{{{\n', '- a\n- b\n', 'port: 1\nport: 2\n', '\tport: 1\n', '\x00\n'):
            with self.subTest(text):
                code, _, err = self.check(text)
                self.assertEqual(code, 2)
                self.assertIn('FILE', err)
        code, _, err = weft.run('check', '-c', os.path.join(self.folder.name, 'missing.yaml'))
        self.assertEqual(code, 2)
        self.assertIn('missing.yaml', err)

    def test_a_start_with_a_mistake(self):
        path = self.file('port: 70000\n')
        for command in ('demo', 'serve', 'plan'):
            code, _, err = weft.run(command, '-c', path)
            self.assertEqual(code, 2)
            self.assertIn('70000', err)

    def test_a_mistake_in_the_environment(self):
        code, _, err = weft.run('check', env={'WEFT_PORT': 'http'})
        self.assertEqual(code, 2)
        self.assertIn('WEFT_PORT', err)


class Sources(Files):
    def server_header(self, *flags, env=None):
        with weft.Server(*flags, env=env) as server:
            self.assertEqual(server.engine_now(), weft.ENGINE)
            return server.ask('/').get('Server')

    def test_flag_over_environment_over_file_over_default(self):
        path = self.file('server:\n  header: from-file\n')
        env = {'WEFT_SERVER_HEADER': 'from-env'}
        self.assertEqual(self.server_header(), 'weft')
        self.assertEqual(self.server_header('-c', path), 'from-file')
        self.assertEqual(self.server_header('-c', path, env=env), 'from-env')
        self.assertEqual(self.server_header('-c', path, '--server-header', 'from-flag', env=env),
                         'from-flag')
        self.assertEqual(self.server_header('--server-header=from-flag', '-c', path, env=env), 'from-flag')
        self.assertIsNone(self.server_header('--server-header='))

    def test_settings_says_where_each_comes_from(self):
        path = self.file('workers: 3\n')
        code, out, _ = weft.run('settings', '-c', path, '--port', '1234', env={'WEFT_ENGINE': 'epoll'})
        self.assertEqual(code, 0)
        self.assertRegex(out, r'port: 1234.*--port')
        self.assertRegex(out, r'workers: 3.*weft\.yaml:1')
        self.assertRegex(out, r'engine: epoll.*WEFT_ENGINE')
        again = self.file(out, 'again.yaml')
        self.assertEqual(weft.run('check', '-c', again)[0], 0)

    def test_aliases(self):
        for flag in ('--http-buffer-size', '--http-buffer-bytes'):
            with weft.Server(flag, '16K') as server:
                units = {owner['unit'] for owner in server.memory()['owners']
                         if owner['owner'] == 'buffers' and owner['worker'] != 'admin'}
                self.assertEqual(units, {16384})
        for name in ('http_buffer_size', 'ws_buffer_size', 'nodelay', 'linger', 'backlog', 'memory_limit'):
            with self.subTest(name):
                value = {'nodelay': 'off', 'linger': '2s', 'backlog': '64', 'memory_limit': '1G'}
                code, _, err = weft.run('check', '-c', self.file('%s: %s\n' % (name, value.get(name, '8K'))))
                self.assertEqual((code, err), (0, ''))


class CommandLine(unittest.TestCase):
    def test_help(self):
        code, out, err = weft.run('--help')
        self.assertEqual((code, err), (0, ''))
        for word in ('serve', 'demo', 'plan', 'check', '--port', '--engine', '--workers', '--memory-limit',
                     '--root', '--host', '--admin-host', '--admin-port', '--connections-max', '-c'):
            self.assertIn(word, out)
        for command in ('serve', 'demo', 'plan', 'check'):
            self.assertEqual(weft.run(command, '--help')[0], 0)

    def test_version(self):
        code, out, _ = weft.run('--version')
        self.assertEqual(code, 0)
        self.assertRegex(out, r'\Aweft \d+\.\d+\.\d+\n\Z')

    def test_unknown_words(self):
        code, _, err = weft.run('demo', '--prot', '1')
        self.assertEqual(code, 2)
        self.assertIn('--port', err)
        code, _, err = weft.run('dmeo')
        self.assertEqual(code, 2)
        self.assertIn('dmeo', err)
        for flags in (('--port',), ('--port', 'x'), ('--nodelay=maybe',), ('extra',)):
            self.assertEqual(weft.run('check', *flags)[0], 2, flags)

    def test_the_docs_are_those_of_this_binary(self):
        code, out, _ = weft.run('docs')
        self.assertEqual(code, 0)
        with open(os.path.join(ROOT, 'docs/settings.md'), encoding='utf-8') as source:
            self.assertEqual(out, source.read())


class Listening(unittest.TestCase):
    def test_a_port_that_is_taken(self):
        with socket.socket() as taken:
            taken.bind(('127.0.0.1', 0))
            taken.listen()
            port = taken.getsockname()[1]
            code, _, err = weft.run('demo', '--port', str(port), '--admin-port', '0')
            self.assertEqual(code, 1)
            self.assertRegex(err, r'port %d: .*\(settings host and port;' % port)
            code, _, err = weft.run('demo', '--port', '0', '--admin-port', str(port))
            self.assertEqual(code, 1)
            self.assertRegex(err, r'port %d: .*\(settings admin.host and admin.port;' % port)

    def test_free_ports_differ(self):
        with weft.Server() as one, weft.Server() as other:
            self.assertEqual(len({one.port, one.admin_port, other.port, other.admin_port}), 4)
            self.assertEqual(one.ask('/').status, 200)
            self.assertEqual(other.ask('/').status, 200)

    def test_host(self):
        with weft.Server('--host', '0.0.0.0') as server:
            with weft.Conn(server.port, host='127.0.0.9') as conn:
                self.assertEqual(conn.ask('/').status, 200)
        with weft.Server('--host', '127.0.0.2') as server:
            with weft.Conn(server.port, host='127.0.0.2') as conn:
                self.assertEqual(conn.ask('/').status, 200)
            with self.assertRaises(OSError):
                weft.Conn(server.port, host='127.0.0.3')  # at .1 another test's server may have that port

    def test_ipv6(self):
        try:
            with socket.socket(socket.AF_INET6) as probe:
                probe.bind(('::1', 0))
        except OSError as error:
            self.skipTest(str(error))
        with weft.Server('--host', '::1') as server:
            with socket.create_connection(('::1', server.port), timeout=5) as sock:
                sock.sendall(weft.HELLO)
                self.assertTrue(sock.recv(1000).startswith(b'HTTP/1.1 200'))

    def test_workers_share_the_port(self):
        with weft.Server('--workers', '2') as server:
            self.assertEqual(server.workers, 2)
            for _ in range(60):
                server.ask('/')
            served = [value for name, labels, value in server.samples()
                      if name == 'weft_requests_total' and labels['worker'] != 'admin']
            self.assertEqual(sum(served), 60)
            self.assertEqual(len([value for value in served if value > 0]), 2, served)

    def test_engines(self):
        """auto takes io_uring where it is allowed, else says why not."""
        server = weft.Server(engine='auto')
        self.addCleanup(server.kill)
        self.assertEqual(server.engine_now(), server.engine)
        if server.engine == 'epoll':
            self.assertRegex(server.output(), r'epoll instead of io_uring: .+')
        server.stop()


class Sockets(unittest.TestCase):
    """The options as the server's own sockets have them."""

    def option(self, server, level, name, size=4):
        with server.conn() as conn:
            conn.ask('/')
            found = weft.socket_of(server.pid, server.port)
            self.assertEqual(len(found), 1)
            with found[0] as copy:
                return copy.getsockopt(level, name, size)

    def test_nodelay(self):
        for flags, value in (((), 1), (('--nodelay',), 1), (('--nodelay=off',), 0)):
            with weft.Server(*flags) as server:
                got = self.option(server, socket.IPPROTO_TCP, socket.TCP_NODELAY)
                self.assertEqual(bool(struct.unpack('i', got)[0]), bool(value), flags)

    def test_linger(self):
        for flags, value in (((), (0, 0)), (('--linger', '3s'), (1, 3)), (('--linger', 'off'), (0, 0))):
            with weft.Server(*flags) as server:
                got = struct.unpack('ii', self.option(server, socket.SOL_SOCKET, socket.SO_LINGER, 8))
                self.assertEqual(got[0], value[0], flags)
                if value[0]:
                    self.assertEqual(got[1], value[1])

    def test_close_does_not_lose_what_was_sent(self):
        """Without linger: an answer larger than the client has read yet, then a close; all of it
        arrives, though the client is in no hurry and had sent more than was read."""
        with weft.Server() as server, server.conn(receive_bytes=8192) as conn:
            conn.send(weft.request('/memory-test', headers=[('Connection', 'close')]) + b'x' * 5000)
            time.sleep(0.3)
            self.assertEqual(len(conn.answer().body), 218889)
            self.assertTrue(conn.ended())

    def test_backlog(self):
        """What the kernel keeps for a server that stands still: so many, and one; the rest waits outside."""
        with weft.Server('--backlog', '5', '--workers', '1') as server:
            server.stand_still()
            conns = []
            try:
                for _ in range(20):
                    sock = socket.socket()
                    conns.append(sock)
                    sock.settimeout(0.5)
                    try:
                        sock.connect(('127.0.0.1', server.port))
                    except TimeoutError:
                        break
            finally:
                server.signal(signal.SIGCONT)
            self.assertIn(len(conns), (6, 7, 8))
            for sock in conns:
                sock.close()


if __name__ == '__main__':
    unittest.main()
