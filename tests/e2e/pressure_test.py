"""Relief while memory is short, and the watch over memory.return_ms: what a load balancer, a health
check and an operator see. Somebody takes memory behind Weft's back (tests/programs/hoard.c)."""
# seconds: 120
import contextlib
import os
import time
import unittest

import cgroups
import weft

HOARD = os.path.join(os.path.dirname(weft.BIN), 'tests', 'test_hoard')
LIMIT_MB = 256 if weft.SANITIZED else 64


def start(*flags):
    return weft.Server('--workers', '1', '--memory-limit', '%dM' % LIMIT_MB, *flags, binary=HOARD,
                       command='serve', planned=False)


class Pressure(unittest.TestCase):
    def hoard_to(self, server, percent):
        """Until the process has that share of its limit resident."""
        self.hoard(server, 0)
        self.hoard(server, (LIMIT_MB << 20) * percent // 100 - server.rss())

    def hoard(self, server, size):
        self.assertEqual(server.ask('/hoard?kb=%d' % (size >> 10)).status, 200)

    @contextlib.contextmanager
    def request_under_way(self, server):
        """One that runs until the end of the block, however long that takes."""
        with server.conn() as conn:
            conn.send(weft.request('/nap?ms=60000'))
            self.assertTrue(weft.wait_until(lambda: server.metrics()['tasks_waiting'] > 0))
            yield
            conn.reset()

    def ready(self, server):
        return server.admin('/readyz').status == 200

    def test_shed_and_let_go(self):
        """shows GB-02, GB-15: while a request runs and memory is short, new ones get a 503 with
        Retry-After; health and admin routes are served; readiness goes; it is back within 1 s."""
        with start() as server:
            before = server.metrics()
            with self.request_under_way(server):
                self.hoard_to(server, 97)
                self.assertTrue(weft.wait_until(lambda: not self.ready(server), 2))
                refused = server.ask('/')
                self.assertEqual(refused.status, 503)
                self.assertEqual(refused.get('Retry-After'), '1')
                self.assertEqual(server.ask('/health').status, 200)
                self.assertEqual(server.admin('/healthz').status, 200)
                self.assertEqual(server.memory()['limit'], LIMIT_MB << 20)
                self.assertGreaterEqual(server.metrics()['shed_relief_total'] -
                                        before['shed_relief_total'], 1)
            # Nothing runs any more: refusing would free nothing, so it ends although the memory is
            # still gone.
            self.assertTrue(weft.wait_until(lambda: self.ready(server), 1))
            self.assertEqual(server.ask('/').status, 200)
            self.assertIn('memory is short', server.output())

    def test_back_to_normal(self):
        """shows GB-15: from the worst level to none within a second of memory coming back."""
        with start() as server:
            with self.request_under_way(server):
                self.hoard_to(server, 97)
                self.assertTrue(weft.wait_until(lambda: not self.ready(server), 2))
                self.hoard(server, 0)
                self.assertTrue(weft.wait_until(lambda: server.ask('/').status == 200, 1))
                self.assertTrue(weft.wait_until(lambda: self.ready(server), 1))

    def test_idle_connections_are_closed_oldest_first(self):
        """shows GB-02: the last step of relief."""
        with start() as server:
            old = server.conn()
            self.assertEqual(old.ask('/').status, 200)
            time.sleep(1.5)
            young = server.conn()
            self.assertEqual(young.ask('/').status, 200)
            before = server.metrics()
            with self.request_under_way(server):
                self.hoard_to(server, 100)  # at 98 it begins, when free pages have gone back already
                self.assertTrue(weft.wait_until(
                    lambda: server.metrics()['connections_relieved_total'] >
                    before['connections_relieved_total'], 2))
                old.sock.settimeout(2 * weft.SLOWER)
                self.assertEqual(old.sock.recv(1), b'')
            old.close()
            young.close()

    @unittest.skipIf(weft.SANITIZED, 'the limit must be small')
    def test_the_cgroups_limit_falls_while_it_runs(self):
        """shows GB-15: not ready, told, and arenas are promised less; as before when it is raised again"""
        try:
            group = cgroups.Group(128 << 20)
        except cgroups.Unavailable as why:
            self.skipTest(str(why))
        with group, weft.Server('--workers', '1', preexec=group.enter) as server:
            big = '/burst?mb=16&hold=0'
            self.assertEqual((self.ready(server), server.ask(big).status), (True, 200))
            group.limit(48 << 20)
            self.assertTrue(weft.wait_until(lambda: not self.ready(server)))
            self.assertTrue(weft.wait_until(lambda: server.ask(big).status == 503))
            self.assertEqual(server.ask('/').status, 200)
            self.assertIn("the cgroup's limit is 50331648 bytes now", server.output())
            self.assertEqual(server.metrics()['memory_limit_lowered_total'], 1)
            group.limit(128 << 20)
            self.assertTrue(weft.wait_until(lambda: self.ready(server)))
            self.assertTrue(weft.wait_until(lambda: server.ask(big).status == 200))

    def test_a_missed_return_is_told(self):
        """shows GB-05: memory that does not come back is an event and a count, and so is its end."""
        with start('--memory-return-ms', '300ms') as server:
            for _ in range(120):  # the warm-up that the baseline is taken after
                self.assertEqual(server.ask('/').status, 200)
            self.assertTrue(weft.wait_until(lambda: server.metrics()['settle_baseline_bytes'] > 0, 5))
            self.hoard(server, 8 << 20)
            self.assertTrue(weft.wait_until(lambda: server.metrics()['settle_missed_total'] == 1, 5))
            self.assertIn('memory.return_ms', server.output())
            time.sleep(0.5)
            self.assertEqual(server.metrics()['settle_missed_total'], 1)
            self.hoard(server, 0)
            checks = server.metrics()['settle_checks_total']
            self.assertTrue(weft.wait_until(
                lambda: server.metrics()['settle_checks_total'] > checks, 5))
            self.assertEqual(server.metrics()['settle_missed_total'], 1)


if __name__ == '__main__':
    unittest.main()
