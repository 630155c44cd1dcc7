"""The malloc below libraries and handlers: the system's, or jemalloc by profile. Real jemalloc, Debian's
libjemalloc2. shows MC-17, MC-18, MC-19, MC-20, MC-22, MC-23, MC-25"""
# phases: e2e
# seconds: 90
import json
import os
import re
import subprocess
import tempfile
import time
import unittest

import weft

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), '../..')
BUILD = os.path.dirname(os.path.abspath(weft.BIN))
GUEST = os.path.join(BUILD, 'tests', 'test_guest')
COUNTER = os.path.join(BUILD, 'bench', 'heapcount.so')
SONAME = 'libjemalloc.so.2'
MB = 1 << 20


def setUpModule():
    if jemalloc_says('') is None:
        raise unittest.SkipTest('no %s here (Debian: libjemalloc2)' % SONAME)


def jemalloc_says(conf):
    """What jemalloc itself says of a string, with abort_conf; None: it is not there."""
    env = {'LD_PRELOAD': SONAME, 'MALLOC_CONF': 'abort_conf:true' + (',' + conf if conf else '')}
    done = subprocess.run(['/bin/true'], env=env, capture_output=True, timeout=10, check=False)
    text = done.stderr.decode(errors='replace')
    return None if 'cannot be preloaded' in text else text


def maps(server):
    with open('/proc/%d/maps' % server.pid, encoding='ascii') as source:
        return source.read()


def decay(server, query=''):
    """(status, was, is): each a pair of dirty and muzzy ms."""
    answer = ask_admin(server, '/memory/decay' + query)
    if answer.status != 200:
        return answer.status, None, None
    said = json.loads(answer.body)
    return 200, *[(said[key]['dirty_ms'], said[key]['muzzy_ms']) for key in ('was', 'is')]


def ask_admin(server, target):
    return server.admin(target, method='POST', headers=[('Content-Length', '0')])


def resident(server):
    """RSS minus LazyFree, bytes."""
    with open('/proc/%d/smaps_rollup' % server.pid, encoding='ascii') as lines:
        kb = {line.split(':')[0]: int(line.split()[1]) for line in lines if line.endswith('kB\n')}
    return (kb['Rss'] - kb['LazyFree']) * 1024


def burst(server, count=4, mb=16):
    """So much at once, from malloc; returns when all of it has been freed."""
    conns = [server.conn() for _ in range(count)]
    for conn in conns:
        conn.send(weft.request('/burst?mb=%d&hold=60000&via=malloc' % mb))
    if not weft.wait_until(lambda: server.memory()['heap']['allocated'] >= count * mb * MB, 15):
        raise AssertionError(server.memory()['heap'])
    for conn in conns:
        conn.reset()
    if not server.all_closed():
        raise AssertionError('the requests do not end')


class Starts(unittest.TestCase):
    PROFILES = {'system': None, 'throughput': (10000, 0), 'balanced': (500, 1000), 'aggressive': (0, 0)}

    def test_each_profile(self):
        for profile, times in self.PROFILES.items():
            with self.subTest(profile), weft.Server('--mem-profile=' + profile) as server:
                self.assertEqual(server.ask('/').status, 200)
                self.assertEqual(SONAME in maps(server), times is not None)
                status, was, now = decay(server)
                self.assertEqual(status, 200 if times else 409)
                self.assertEqual((was, now), (times, times))
                with open('/proc/%d/comm' % server.pid, encoding='ascii') as source:
                    self.assertEqual(source.read(), 'weft\n')
                with open('/proc/%d/cmdline' % server.pid, encoding='ascii') as source:
                    self.assertEqual(source.read().split('\0')[:-1], server.args)
                own = profile in ('balanced', 'aggressive')  # threads that purge: as many as it likes
                self.assertTrue(weft.wait_until(
                    lambda: ('jemalloc_bg_thd' in server.threads().values()) == own))

    def test_without_a_word_it_is_the_systems(self):
        with weft.Server() as server:
            self.assertNotIn('malloc', maps(server).replace('[heap]', ''))
            answer = ask_admin(server, '/memory/decay?dirty_ms=1')
            self.assertEqual(answer.status, 409)
            self.assertIn(b'jemalloc is not loaded', answer.body)

    def test_one_line_of_a_file_or_the_environment(self):
        with tempfile.NamedTemporaryFile('w', suffix='.yaml') as file:
            file.write('memory: {profile: balanced}\n')
            file.flush()
            for flags, env in ((('-c', file.name), None), ((), {'WEFT_MEMORY_PROFILE': 'balanced'}),
                               ((), {'WEFT_MEM_PROFILE': 'balanced'})):
                with self.subTest(env), weft.Server(*flags, env=env) as server:
                    self.assertEqual(decay(server)[2], (500, 1000))

    def test_the_raw_string(self):
        """Alone, behind a profile, and jemalloc's own variable behind both."""
        for flags, env, times in (
                (('--memory-malloc-conf=dirty_decay_ms:77',), None, (77, 0)),
                (('--mem-profile=balanced', '--memory-malloc-conf=dirty_decay_ms:77'), None, (77, 1000)),
                (('--mem-profile=balanced', '--memory-malloc-conf=dirty_decay_ms:77'),
                 {'MALLOC_CONF': 'dirty_decay_ms:78,narenas:2'}, (78, 1000))):
            with self.subTest(flags), weft.Server(*flags, env=env) as server:
                self.assertEqual(decay(server)[2], times)

    def test_what_the_user_preloads_stays(self):
        if not os.path.exists(COUNTER):
            self.skipTest('%s is not built' % COUNTER)
        with weft.Server('--mem-profile=balanced', env={'LD_PRELOAD': COUNTER}) as server:
            self.assertIn('heapcount.so', maps(server))
            self.assertIn(SONAME, maps(server))

    def test_a_program_that_only_uses_us_keeps_its_malloc(self):
        """weft_run() with a profile set: a warning, and how to have it."""
        if weft.BIN.endswith('.so') or not os.path.exists(GUEST):
            self.skipTest('%s is not built' % GUEST)
        with weft.Server(binary=GUEST) as server:
            self.assertNotIn(SONAME, maps(server))
            self.assertEqual(decay(server)[0], 409)
            self.assertRegex(server.output(), r'warning: .*balanced.*weft_run.*LD_PRELOAD=')
        with weft.Server(binary=GUEST, env={'LD_PRELOAD': SONAME}) as server:
            self.assertEqual(decay(server)[0], 200)
            self.assertNotIn('warning', server.output())


    def test_it_is_in_the_plan(self):
        for profile, has in (('system', False), ('balanced', True)):
            code, out, _ = weft.run('plan', '--mem-profile', profile)
            self.assertEqual((code, 'jemalloc' in out), (0, has))


class Refused(unittest.TestCase):
    """Shows MC-24: exit 2, and who, where, what to do."""

    def start(self, text, *flags, env=None, command='demo'):
        with tempfile.NamedTemporaryFile('w', suffix='.yaml') as file:
            file.write(text)
            file.flush()
            code, _, err = weft.run(command, '--port', '0', '--admin-port', '0', '-c', file.name, *flags,
                                    env=env)
            return code, err.replace(file.name, 'FILE')

    def test_a_wrong_key(self):
        text = 'memory:\n  profile: balanced\n  malloc_conf: "narenas:4,dirtydecay:1"\n'
        for command in ('demo', 'serve', 'plan', 'check'):
            code, err = self.start(text, command=command)
            self.assertEqual(code, 2)
            self.assertRegex(err, r'FILE:3: memory\.malloc_conf: dirtydecay:1: .*no key of jemalloc')
            self.assertNotIn('<jemalloc>', err)

    def test_a_wrong_value(self):
        code, err = self.start('memory.malloc_conf: "tcache:maybe"\n')
        self.assertEqual(code, 2)
        self.assertRegex(err, r'FILE:1: memory\.malloc_conf: tcache:maybe: .*neither true nor false')

    def test_a_wrong_key_in_the_variable(self):
        code, err = self.start('memory.profile: balanced\n', env={'MALLOC_CONF': 'dirtydecay:1'})
        self.assertEqual(code, 2)
        self.assertRegex(err, r'environment: MALLOC_CONF: dirtydecay:1')
        with weft.Server(env={'MALLOC_CONF': 'dirtydecay:1'}) as server:  # nobody reads it
            self.assertEqual(server.ask('/').status, 200)

    def test_abort_conf_false_only_warns(self):
        for flags in (('--memory-malloc-conf=dirtydecay:1,abort_conf:false',),
                      ('--mem-profile=balanced', '--memory-malloc-conf=abort_conf:false,dirtydecay:1')):
            with weft.Server(*flags) as server:
                self.assertIn(SONAME, maps(server))
                self.assertRegex(server.output(), r'(?m)^warning: .*dirtydecay:1: .*no key of jemalloc')

    def test_an_unknown_profile(self):
        code, err = self.start('port: 1\nmemory:\n  profile: fast\n')
        self.assertEqual(code, 2)
        self.assertRegex(err, r'FILE:3: memory\.profile: fast .*system, throughput, balanced or aggressive')

    def test_system_and_a_string_contradict(self):
        code, err = self.start('memory:\n  profile: system\n  malloc_conf: "tcache:false"\n')
        self.assertEqual(code, 2)
        self.assertRegex(err, r'FILE:2: memory\.profile: system has no use for memory\.malloc_conf')

    def test_jemalloc_is_not_there(self):
        """A library that cannot be read stands for one that is not there."""
        with tempfile.TemporaryDirectory() as folder:
            with open(os.path.join(folder, SONAME), 'w', encoding='ascii') as broken:
                broken.write('not a library, however long this text is made ' * 100)
            env = {'LD_LIBRARY_PATH': folder}
            for text, where in (('memory:\n  profile: balanced\n', r'FILE:2: memory\.profile: balanced'),
                                ('memory.malloc_conf: "tcache:false"\n', r'FILE:1: memory\.malloc_conf:')):
                code, err = self.start(text, env=env)
                self.assertEqual(code, 2)
                self.assertRegex(err, where + r'.*needs jemalloc.*' + re.escape(SONAME) +
                                 r'.*package libjemalloc2.*memory\.profile to system')
            self.assertEqual(self.start('memory.profile: balanced\n', env=env, command='check')[0], 0)

    def test_once_is_enough(self):
        """A process that was executed again and still has no jemalloc does not try for ever."""
        code, err = self.start('memory.profile: balanced\n', env={'_WEFT_PRELOADED': 'MALLOC_CONF'})
        self.assertEqual(code, 2)
        self.assertRegex(err, r'FILE:1: memory\.profile: balanced: .*had no effect')

    def test_our_list_of_keys_is_jemallocs(self):
        with open(os.path.join(ROOT, 'src/mem/malloc_conf.c'), encoding='ascii') as source:
            rows = re.findall(r'\{"(\w+)", ([A-Z]+), (?:NULL|"(\w+))', source.read())
        self.assertGreater(len(rows), 60)
        good = {'BOOL': 'false', 'NUMBER': '1', 'COUNT': '2', 'DECAY': '-1', 'DECIMAL': '0.5'}
        other = {'bin_shards': '1-160:16', 'slab_sizes': '1-4096:17', 'stats_interval': '-1'}
        for key, kind, word in rows:
            said = jemalloc_says('%s:%s' % (key, other.get(key) or good.get(kind) or word or 'x'))
            self.assertEqual(said, '', key)


class Decay(unittest.TestCase):
    def test_switched_while_it_runs(self):
        """Arenas that are and arenas to come; what is not named stays; mistakes change nothing."""
        with weft.Server('--mem-profile=balanced') as server:
            server.ask('/burst?mb=1&hold=0&via=malloc')
            self.assertEqual(decay(server, '?dirty_ms=123&muzzy_ms=45'), (200, (500, 1000), (123, 45)))
            self.assertEqual(decay(server, '?muzzy_ms=-1'), (200, (123, 45), (123, -1)))
            for query in ('?dirty_ms=-2', '?dirty_ms=soon', '?dirty_ms=1&muzzy_ms=99999999999999999999'):
                self.assertEqual(decay(server, query)[0], 400, query)
            self.assertEqual(decay(server), (200, (123, -1), (123, -1)))
            self.assertEqual(server.admin('/memory/decay').status, 405)

    def test_memory_falls_without_traffic(self):
        """shows MC-26: with no request after the last answer; and not at all when decay is off."""
        with weft.Server('--mem-profile=balanced', '--workers', '1') as server:
            def falls():
                return weft.wait_until(lambda: resident(server) < 16 * MB, 15)
            burst(server)
            self.assertTrue(falls())
            self.assertEqual(decay(server, '?dirty_ms=-1&muzzy_ms=-1')[0], 200)
            burst(server)
            time.sleep(2)
            self.assertGreater(resident(server), 56 * MB)
            self.assertEqual(decay(server, '?dirty_ms=500&muzzy_ms=1000')[0], 200)
            self.assertTrue(falls())

    def test_purge(self):
        for profile in ('system', 'balanced'):
            with self.subTest(profile), weft.Server('--mem-profile', profile, '--workers', '1') as server:
                if profile == 'balanced':
                    decay(server, '?dirty_ms=-1&muzzy_ms=-1')
                burst(server)
                time.sleep(0.5)
                before = resident(server)
                answer = ask_admin(server, '/memory/purge')
                self.assertEqual(answer.status, 200)
                said = json.loads(answer.body)
                self.assertEqual(said['allocator'], 'glibc' if profile == 'system' else 'jemalloc')
                self.assertLess(said['allocated'], 8 * MB)
                if profile == 'balanced':  # of glibc we ask no more than that it answers
                    self.assertGreater(before, 40 * MB)
                    self.assertLess(resident(server), 16 * MB)
                    self.assertGreater(said['resident_before'], said['resident_after'] + 40 * MB)


if __name__ == '__main__':
    unittest.main()
