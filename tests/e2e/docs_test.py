"""What README.md, ARCHITECTURE.md and docs/ show is compiled, run and asked: an example that has gone
stale is a failing test. A comment before a block of code says what it is:

    <!-- program: NAME -->    a whole program: compiles without a warning, and starts
    <!-- asks: NAME -->       a console block: each `$ curl ...` is asked of that program (`demo`: weft
                              itself; port 60001 is its admin listener), what follows is the answer
    <!-- in main -->          lines of a program that sets up `app`: compile
    <!-- in handler -->       lines of a handler of `rq`: compile
    <!-- refused: WORDS -->   a whole program that -Werror refuses, with those words in the message

A block of C without one is a failure. In an answer "..." stands for any headers that are not shown.
"""
# phases: e2e
# seconds: 120
import collections
import glob
import os
import re
import shlex
import subprocess
import tempfile
import unittest

import weft

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LIBRARY = os.path.dirname(os.path.abspath(weft.BIN))
CFLAGS = ['-std=gnu17', '-O2', '-Wall', '-Wextra', '-Wshadow', '-Werror', '-I' + os.path.join(ROOT, 'include')]
BLOCK = re.compile(r'(?:<!-- (?P<mark>[^>]*?) -->\n)?^```(?P<language>\w*)\n(?P<text>.*?)^```$', re.M | re.S)
URL = re.compile(r'(?:http://)?localhost:(6000[01])(/\S*)?\Z')
MAIN = '''#include <weft/weft.h>
extern weft_rc h(weft_req *rq);
extern void after(weft_req *rq);
void set_up(weft_app *app);
void set_up(weft_app *app)
{
%s}
'''
HANDLER = '''#include <poll.h>
#include <weft/weft.h>
weft_rc handler(weft_req *rq);
weft_rc handler(weft_req *rq)
{
%s    return WEFT_OK;
}
'''

Block = collections.namedtuple('Block', 'place kind name language text')


def documents():
    return [os.path.join(ROOT, 'README.md'), os.path.join(ROOT, 'ARCHITECTURE.md'),
            *sorted(glob.glob(os.path.join(ROOT, 'docs', '*.md')))]


def blocks():
    for path in documents():
        with open(path, encoding='utf-8') as source:
            text = source.read()
        for found in BLOCK.finditer(text):
            kind, _, name = (found.group('mark') or '').partition(': ')
            line = text.count('\n', 0, found.start('language')) + 1
            yield Block('%s:%d' % (os.path.relpath(path, ROOT), line), kind, name,
                        found.group('language'), found.group('text'))


def compile_c(text, folder, name, *options):
    """(exit code, what the compiler said)"""
    source = os.path.join(folder, name + '.c')
    with open(source, 'w', encoding='utf-8') as out:
        out.write(text)
    done = subprocess.run(['cc', *CFLAGS, source, *options], stdin=subprocess.DEVNULL, timeout=60,
                          capture_output=True, env=dict(os.environ, LC_ALL='C'), check=False)
    return done.returncode, done.stderr.decode('utf-8', 'replace')


def link_options(binary):
    return ['-o', binary, '-L' + LIBRARY, '-lweft', '-Wl,-rpath,' + LIBRARY, '-pthread']


def questions(text):
    """[(command, answer shown)] of a console block."""
    found = []
    for line in text.splitlines():
        if line.startswith('$ '):
            found.append((line[2:], []))
        else:
            found[-1][1].append(line)
    return [(command, '\n'.join(answer).strip('\n')) for command, answer in found]


def plain(found):
    """$'a\\n' of a shell without its escapes."""
    return shlex.quote(found.group(1).encode().decode('unicode_escape'))


class Curl:
    """As much of curl's command line as the documents use."""

    def __init__(self, command):
        words = shlex.split(re.sub(r"\$'([^']*)'", plain, command))
        assert words.pop(0) == 'curl', command
        self.method, self.headers, self.body, self.head_wanted, self.url = None, [], None, False, None
        while words:
            word = words.pop(0)
            if word == '-i':
                self.head_wanted = True
            elif word == '-X':
                self.method = words.pop(0)
            elif word == '-H':
                self.headers.append(tuple(words.pop(0).split(': ', 1)))
            elif word == '--json':
                self.body = words.pop(0).encode()
                self.headers += [('Content-Type', 'application/json'), ('Accept', 'application/json')]
            elif word in ('-d', '--data-binary'):
                self.body = words.pop(0).encode()
            elif word in ('-s', '-N', '--path-as-is'):
                pass
            elif word.startswith('-') or self.url:
                raise AssertionError('this test does not know %r in: %s' % (word, command))
            else:
                self.url = word
        self.method = self.method or ('GET' if self.body is None else 'POST')

    def ask(self, server):
        port, target = URL.match(self.url).groups()
        with weft.Conn(server.port if port == '60000' else server.admin_port) as conn:
            return conn.ask(target or '/', self.method, self.headers, self.body)


class Docs(unittest.TestCase):
    maxDiff = 4000

    @classmethod
    def setUpClass(cls):
        cls.blocks = list(blocks())
        scratch = tempfile.TemporaryDirectory(prefix='weft-docs.')
        cls.addClassCleanup(scratch.cleanup)
        cls.folder = scratch.name

    def of_kind(self, kind):
        return [block for block in self.blocks if block.kind == kind]

    def test_every_example_is_tested(self):
        kinds = ('program', 'in main', 'in handler', 'refused')
        unmarked = [block.place for block in self.blocks if block.language == 'c' and block.kind not in kinds]
        self.assertEqual(unmarked, [])
        programs = [block.name for block in self.of_kind('program')]
        self.assertEqual(len(programs), len(set(programs)), 'a name is used twice')
        self.assertGreaterEqual(len(programs), 5)
        asked = {block.name for block in self.of_kind('asks')}
        self.assertEqual(asked, {*programs, 'demo'}, 'programs, and what is asked of them')

    def test_fragments_compile(self):
        for block in self.of_kind('in main') + self.of_kind('in handler'):
            with self.subTest(block.place):
                frame = MAIN if block.kind == 'in main' else HANDLER
                code, said = compile_c(frame % block.text, self.folder, 'fragment', '-fsyntax-only')
                self.assertEqual(code, 0, said)

    def test_every_code_is_in_the_table(self):
        with open(os.path.join(ROOT, 'include/weft/errors.def'), encoding='utf-8') as source:
            rows = re.findall(r'^WEFT_ERROR\((\w+), (-\d+), (\d+), "([^"]*)"\)', source.read(), re.M)
        with open(os.path.join(ROOT, 'docs/getting-started.md'), encoding='utf-8') as source:
            shown = re.findall(r'^\| `(WEFT_\w+)` \| (-\d+) \| (\d+) \| (.*) \|$', source.read(), re.M)
        self.assertEqual(shown, rows)

    # shows HC-15, MC-45: a result that is dropped does not compile
    def test_refused(self):
        self.assertNotEqual(self.of_kind('refused'), [])
        for block in self.of_kind('refused'):
            with self.subTest(block.place):
                code, said = compile_c(block.text, self.folder, 'refused', '-c', '-o', os.devnull)
                self.assertNotEqual(code, 0, 'it compiles')
                self.assertIn(block.name, said)

    # shows HC-02: host, port, route and run in a program of at most 20 lines (getting-started.md)
    def test_programs(self):
        for block in self.of_kind('program'):
            with self.subTest(block.place + ' ' + block.name):
                binary = os.path.join(self.folder, block.name)
                code, said = compile_c(block.text, self.folder, block.name, *link_options(binary))
                self.assertEqual(code, 0, said)
                self.check_answers(binary, block.name, 'serve')

    def test_demo(self):
        self.check_answers(weft.BIN, 'demo', 'demo')

    def test_installed(self):
        """README: meson install, then nothing but pkg-config: every header is there, and the library starts."""
        root = os.path.join(self.folder, 'installed')
        self.command('meson', 'install', '-C', LIBRARY, '--destdir', root, '--no-rebuild', '--quiet')
        package, = glob.glob(os.path.join(root, '**', 'weft.pc'), recursive=True)
        env = {'PKG_CONFIG_PATH': os.path.dirname(package), 'PKG_CONFIG_SYSROOT_DIR': root}
        flags = self.command('pkg-config', '--cflags', '--libs', 'weft', **env).split()
        source, = (block.text for block in self.of_kind('program') if block.name == 'hello')
        path, binary = os.path.join(self.folder, 'outside.c'), os.path.join(self.folder, 'outside')
        with open(path, 'w', encoding='utf-8') as out:
            out.write(source)
        self.command('cc', '-Wall', '-Werror', path, *flags, '-o', binary)
        libraries = os.path.dirname(os.path.dirname(package))
        self.assertRegex(self.command(binary, '--version', LD_LIBRARY_PATH=libraries), r'^weft \d')

    def command(self, *words, **env):
        done = subprocess.run(words, stdin=subprocess.DEVNULL, timeout=60, capture_output=True, text=True,
                              env=dict(os.environ, **env), check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def check_answers(self, binary, name, command):
        # The environment for programs that do not look at their arguments.
        env = {'WEFT_PORT': '0', 'WEFT_ADMIN_PORT': '0', 'WEFT_ENGINE': weft.ENGINE}
        with weft.Server(env=env, binary=binary, command=command, preexec=lambda: os.chdir(ROOT)) as server:
            self.assertEqual(server.engine_now(), weft.ENGINE)
            for block in self.of_kind('asks'):
                if block.name == name:
                    self.check_block(server, block)

    def check_block(self, server, block):
        for command, shown in questions(block.text):
            with self.subTest(block.place + ' ' + command):
                curl = Curl(command)
                answer = curl.ask(server)
                if curl.head_wanted:
                    head, _, shown = shown.partition('\n\n')
                    self.check_head(head.splitlines(), answer)
                self.assertEqual(answer.body.decode().rstrip('\n'), shown)

    def check_head(self, lines, answer):
        self.assertEqual(lines[0], 'HTTP/1.1 %d %s' % (answer.status, answer.reason))
        sent = ['%s: %s' % field for field in answer.headers]
        shown = [line for line in lines[1:] if line != '...']
        self.assertEqual(shown, [line for line in sent if line in shown])
        if '...' not in lines:
            self.assertEqual(len(shown), len(sent), sent)


if __name__ == '__main__':
    unittest.main()
