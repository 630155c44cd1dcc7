"""What routes needed is learned, kept over a restart, and made into contracts."""
# seconds: 90
# shows MC-15, GB-04
import json
import os
import re
import tempfile
import unittest

import weft

BUSY = 300  # requests per route: more than a prediction needs, whichever worker they fall to


class Learned(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix='weft-learned.')
        self.addCleanup(self.folder.cleanup)
        self.path = os.path.join(self.folder.name, 'history')

    def start(self):
        return weft.Server('--workers', '2', '--memory-history-path', self.path)

    def train(self):
        with self.start() as server:
            for target in ('/', '/memory-test', '/user/7'):
                with server.conn() as conn:
                    for _ in range(BUSY):
                        self.assertEqual(conn.ask(target).status, 200)
            with server.conn() as conn:
                self.assertEqual(conn.ask('/no/such').status, 404)
            return self.when_seen(server, dict.fromkeys(('/', '/memory-test', '/user/{id:u64}'), BUSY))

    def when_seen(self, server, counts):
        """{route: row}, once the last answers have left, which is when a request counts."""
        def rows():
            return {row['route']: row for row in self.learned(server)}

        def seen():
            found = rows()
            return all(found.get(route, {}).get('seen') == count for route, count in counts.items())
        self.assertTrue(weft.wait_until(seen), rows())
        return rows()

    def learned(self, server):
        answer = server.admin('/memory/learned')
        self.assertEqual(answer.status, 200)
        return json.loads(answer.body)

    def read(self):
        with open(self.path, encoding='ascii') as lines:
            return lines.read()

    def put(self, text):
        with open(self.path, 'w', encoding='ascii') as out:
            out.write(text)

    def plan(self, *flags):
        return weft.run('plan', '--learned', '--memory-history-path', self.path, *flags)

    def test_the_next_request_begins_with_what_was_learned(self):
        """A megabyte in small objects: many chunks that grow, then one or two."""
        with weft.Server('--workers', '1', '--memory-receipt', 'on') as server, server.conn() as conn:
            slots = []
            for _ in range(BUSY // 2):
                answer = conn.ask('/burst?mb=1&hold=0')
                self.assertEqual(answer.status, 200)
                slots.append(int(re.search(r'slots=(\d+)', answer.get('Server-Timing')).group(1)))
            self.assertGreater(slots[0], slots[-1] + 5, slots)
            [row] = [row for row in self.learned(server) if row['route'] == '/burst']
            self.assertGreaterEqual(row['first_chunk'], 1 << 20)

    def test_it_is_there_after_a_restart(self):
        before = self.train()
        self.assertEqual(before['/']['strategy'], 'stack')
        self.assertEqual(before['/']['p999'], 0)
        large = before['/memory-test']
        self.assertEqual(large['seen'], BUSY)
        # its text alone is 218,889 bytes, and it is copied on the way
        self.assertGreater(large['p99'], 218889)
        self.assertLessEqual(large['p99'], large['peak'])
        self.assertGreater(large['first_chunk'], 4096)
        self.assertNotIn('(none)', before)
        self.assertEqual(os.listdir(self.folder.name), ['history'])  # nothing half-written beside it

        with self.start() as server:
            self.assertIn('3 routes known', server.output())
            after = {row['route']: row for row in self.learned(server)}
            self.assertEqual(after, before)  # before any request
            with server.conn() as conn:
                self.assertEqual(conn.ask('/memory-test').status, 200)
            self.when_seen(server, {'/memory-test': BUSY + 1})
        self.assertRegex(self.read(), r'(?m)^GET %d \d+ \d+:%d /memory-test$' % (BUSY + 1, BUSY + 1))

    def test_contracts(self):
        self.train()
        code, out, err = self.plan()
        self.assertEqual((code, err), (0, ''))
        rows = {line.split()[1]: line.split() for line in out.splitlines() if line.startswith('GET ')}
        cap, seen, p99, proposed = (int(rows['/memory-test'][i]) for i in (2, 3, 5, 8))
        self.assertEqual(seen, BUSY)
        self.assertGreaterEqual(proposed, p99 * 5 // 4)
        self.assertLess(proposed, cap)  # the demo gives it 2 MiB
        self.assertEqual(proposed % 4096, 0)
        self.assertEqual(rows['/'][8], '4096')
        self.assertIn('arenas now', out)
        self.assertIn('as proposed', out)
        self.assertIn('3 of', out)
        self.assertIn('*: from fewer than 1000', out)
        self.assertRegex(out, r'(?m)^total ')  # the plan stands before it

    def test_what_plan_says_without_a_history(self):
        code, _, err = weft.run('plan', '--learned')
        self.assertEqual(code, 2)
        self.assertIn('memory.history_path', err)
        code, _, err = self.plan()
        self.assertEqual(code, 2)
        self.assertIn(self.path, err)
        code, _, err = weft.run('check', '--learned')  # it is plan's alone
        self.assertEqual(code, 2)

    def test_a_file_that_is_none(self):
        """A message with file and line, a start all the same, and nothing overwritten."""
        good = 'weft-history 1\nGET 5 64 64:5 /\n'
        for text, line in (('', 1), ('weft-history 2\n', 1), (good + 'GET 5 64 /\n', 3),
                           (good + 'GET x 64 64:5 /json\n', 3), (good + 'GET 5 64 63:5 /json\n', 3),
                           (good + 'GET 5 64 64:5 /json', 3), ('port: 1\n', 1)):
            with self.subTest(text):
                self.put(text)
                with self.start() as server:
                    self.assertIn('%s:%d: ' % (self.path, line), server.output())
                    self.assertEqual(self.learned(server), [])
                    self.assertEqual(server.ask('/').status, 200)
                self.assertEqual(self.read(), text)
                code, _, err = self.plan()
                self.assertEqual(code, 2)
                self.assertIn('%s:%d: ' % (self.path, line), err)

    def test_routes_that_are_gone_and_unknown_sizes(self):
        self.put('weft-history 1\nGET 900 64 64:900 /gone\nGET 900 4096 4096:900 /\n')
        with self.start() as server:
            self.assertIn('1 routes known', server.output())
            self.assertEqual([row['route'] for row in self.learned(server)], ['/'])
        self.assertNotIn('gone', self.read())

    def test_a_folder_that_is_not_there(self):
        self.path = os.path.join(self.folder.name, 'no', 'history')
        with self.start() as server:
            self.assertEqual(server.ask('/').status, 200)
            server.signal(15)
            weft.wait_until(lambda: server.process.poll() is not None)
            self.assertRegex(server.output(), r'cannot write .*%s' % re.escape(self.path))


if __name__ == '__main__':
    unittest.main()
