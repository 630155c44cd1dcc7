"""/cache/{key}: made once, found afterwards; bounded in entries and bytes; one makes it while others wait;
there after a restart."""
# phases: e2e asan tsan
# seconds: 90
# shows CA-01, CA-02, CA-03, CA-04, CA-06, DM-09, MC-14
import json
import os
import shutil
import signal
import tempfile
import threading
import unittest

import weft


def owner(server, name='answers'):
    return [found for found in server.memory()['owners'] if found['owner'] == name]


def figures(server):
    return json.loads(server.ask('/cache').body)


class Demo(weft.Case):
    flags = ('--workers', '2')

    def test_1_nothing_is_there_before_the_first_use(self):  # shows CA-06
        [row] = owner(self.server)
        self.assertEqual((row['committed'], row['resident'], row['used']), (0, 0, 0))
        self.assertGreater(row['reserved'], 256 << 10)
        self.assertEqual(figures(self.server)['bytes'], 0)

    def test_2_miss_then_hit(self):  # shows CA-01, DM-09
        for wanted in ('MISS', 'HIT', 'HIT'):
            answer = self.server.ask('/cache/some%20key%22')
            self.assertEqual((answer.status, answer.get('Content-Type')), (200, 'application/json'))
            self.assertEqual(answer.body, b'{"key":"some key\\"","computed":true}')
            self.assertEqual(answer.get('X-Cache'), wanted)
        head = self.server.ask('/cache/some%20key%22', method='HEAD')
        self.assertEqual((head.get('X-Cache'), head.get('Content-Length')), ('HIT', '36'))
        [row] = owner(self.server)
        self.assertGreater(row['committed'], 0)
        self.assertEqual(row['used'], figures(self.server)['bytes'])

    def test_3_keys_have_a_limit(self):
        self.assertEqual(self.get('/cache/' + 'k' * 1024).status, 200)
        self.assertEqual(self.get('/cache/' + 'k' * 1025).status, 414)

    def all_ask(self, conns, target):
        """At once: the server stands still while they do, so that who is first is not done before the last
        has asked."""
        self.server.stand_still()
        for conn in conns:
            conn.send(weft.request(target))
        self.server.signal(signal.SIGCONT)

    def test_4_one_makes_it_and_the_others_wait(self):
        """On both workers: connections are dealt out between them."""
        before = figures(self.server)
        conns = [self.conn() for _ in range(12)]
        self.all_ask(conns, '/cache/slow?ms=1000')
        waits = weft.wait_until(lambda: figures(self.server)['joined'] - before['joined'] == 11)
        self.assertTrue(waits, figures(self.server))
        answers = [conn.answer() for conn in conns]
        self.assertEqual(sorted(a.get('X-Cache') for a in answers), ['HIT'] * 11 + ['MISS'])
        self.assertEqual({a.body for a in answers}, {b'{"key":"slow","computed":true}'})
        self.assertEqual(figures(self.server)['misses'] - before['misses'], 1)

    def test_5_who_waits_may_go(self):
        before = figures(self.server)['joined']
        conns = [self.conn() for _ in range(6)]
        self.all_ask(conns, '/cache/left?ms=1000')
        self.assertTrue(weft.wait_until(lambda: figures(self.server)['joined'] - before == 5))
        for conn in conns[:5]:
            conn.reset()
        self.assertEqual(conns[5].answer().status, 200)
        self.assertEqual(self.get('/cache/left').status, 200)

    def test_6_what_is_found_is_not_copied(self):  # shows ZC-03
        """As counted, and served whole, many at once too: a body larger than what is copied behind its head."""
        def copied():
            return sum(value for name, labels, value in self.server.samples()
                       if name == 'weft_route_copied_bytes_total' and labels['route'] == 'GET /cache/{key}')
        self.assertTrue(self.server.at_rest())
        before = copied()
        made = self.get('/cache/large?pad=16000')
        self.assertTrue(weft.wait_until(lambda: copied() == before + len(made.body)))  # into the cache
        with self.conn() as conn:
            for _ in range(50):
                found = conn.ask('/cache/large')
                self.assertEqual((found.get('X-Cache'), found.body), ('HIT', made.body))
            conn.send(b''.join(weft.request('/cache/large') for _ in range(16)))
            self.assertEqual([conn.answer().body for _ in range(16)], [made.body] * 16)
        self.assertEqual(copied(), before + len(made.body))

    def test_7_thousand_and_no_more(self):  # shows CA-02
        before = figures(self.server)
        keys = ['key-%d' % i for i in range(1500)]
        with self.conn() as conn:
            for start in range(0, len(keys), 50):
                some = keys[start:start + 50]
                conn.send(b''.join(weft.request('/cache/' + key) for key in some))
                for _ in some:
                    self.assertEqual(conn.answer().get('X-Cache'), 'MISS')
            after = figures(self.server)
            self.assertEqual(after['entries'], 1000)
            self.assertEqual(after['evicted'], 0)
            self.assertEqual(after['refused'] - before['refused'], 500 + before['entries'])
            for key in keys[:5]:  # the first are there still, the last never were
                self.assertEqual(conn.ask('/cache/' + key).get('X-Cache'), 'HIT')
            for key in keys[-5:] * 2:
                answer = conn.ask('/cache/' + key)
                self.assertEqual(answer.get('X-Cache'), 'MISS')
                self.assertEqual(answer.body, b'{"key":"%s","computed":true}' % key.encode())
        [row] = owner(self.server)
        self.assertLessEqual(row['peak'], 256 << 10)


class Bytes(weft.Case):
    """The cap of bytes under a policy that makes room, from two threads."""
    flags = ('--workers', '2', '--cache-policy', 's3-fifo', '--cache-bytes-max', '64K')

    def test_the_cap_is_never_passed(self):  # shows CA-03, CA-04
        bad = []

        def load(seed):
            with self.conn() as conn:
                for i in range(300):
                    number = (i * 7 + seed) % 90
                    answer = conn.ask('/cache/k%d?pad=%d' % (number, 100 + number * 60))
                    wanted = b'{"key":"k%d","computed":true}' % number
                    if answer.status != 200 or not answer.body.startswith(wanted):
                        bad.append(answer)
                    hot = conn.ask('/cache/hot')
                    bad.extend([hot] if hot.status != 200 else [])

        threads = [threading.Thread(target=load, args=(seed,)) for seed in (0, 3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(bad, [])
        [row] = owner(self.server)
        self.assertLessEqual(row['peak'], 64 << 10)
        self.assertLessEqual(row['committed'], row['reserved'])
        found = figures(self.server)
        self.assertEqual(row['used'], found['bytes'])
        self.assertGreater(found['evicted'], 50)
        self.assertEqual(found['evicted'], self.server.metrics()['cache_evicted_total'])
        self.assertEqual(self.get('/cache/hot').get('X-Cache'), 'HIT')  # whatever passed by


TSAN = weft.PHASE == 'tsan'  # slow: only where threads meet


@unittest.skipIf(TSAN, 'no thread meets another')
class PerWorker(weft.Case):
    flags = ('--workers', '2', '--cache-shared', 'off', '--cache-entries-max', '11')

    def test_each_has_a_part(self):
        self.assertEqual([row['worker'] for row in owner(self.server)], ['0', '1'])
        for _ in range(30):
            self.get('/cache/one')
        found = figures(self.server)
        self.assertIn(found['misses'], (1, 2))
        for i in range(60):
            self.get('/cache/%d' % i)
        self.assertLessEqual(figures(self.server)['entries'], 11)


@unittest.skipIf(TSAN, 'no thread meets another')
class Restart(unittest.TestCase):
    """What the cache knew is there when the process was killed."""  # shows MC-14

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix='weft-cache-')
        self.addCleanup(shutil.rmtree, self.folder)
        self.flags = ('--workers', '2', '--cache-pmem-path', self.folder, '--cache-pmem-bytes', '1M')

    def test_hit_on_the_first_request(self):
        killed = weft.Server(*self.flags)
        self.addCleanup(killed.kill)
        for i in range(20):
            self.assertEqual(killed.ask('/cache/k%d?pad=3000' % i).get('X-Cache'), 'MISS')
        self.assertIn('cache files', [term['term'] for term in killed.memory()['terms']])
        killed.kill()
        with weft.Server(*self.flags) as server:
            first = server.ask('/cache/k7')
            self.assertEqual(first.get('X-Cache'), 'HIT')
            self.assertEqual((first.get('Content-Type'), len(first.body)), ('application/json', 3028))
            self.assertTrue(first.body.startswith(b'{"key":"k7","computed":true}'))
            self.assertEqual(figures(server)['entries'], 1)
            self.assertEqual(server.ask('/cache/never').get('X-Cache'), 'MISS')
            # more than the file takes: what was put first goes, nothing else happens
            for i in range(weft.volume(300)):
                self.assertEqual(server.ask('/cache/more%d?pad=6000' % i).get('X-Cache'), 'MISS')
            self.assertEqual(server.metrics()['cache_backend_errors_total'], 0)

    def test_a_file_of_something_else_is_named(self):
        with open(os.path.join(self.folder, 'answers.pmem'), 'wb') as file:
            file.write(b'somebody else\'s' * 100000)
        server = weft.Server(*self.flags, ready=False)
        self.addCleanup(server.kill)
        self.assertNotEqual(server.wait_exit(), 0)
        self.assertIn('answers.pmem: not a record store', server.output())


if __name__ == '__main__':
    unittest.main()
