"""What a process holds when nothing goes on, what a peak leaves behind, and what small requests and
waiting ones take."""
# seconds: 90
import os
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'e2e'))
import weft  # noqa: E402

IDLE_BYTES_MAX = 7400 * 1000
RETURN_S = 1.0  # memory.return_ms
GRACE_S = 2.0   # for a machine that does other things as well


def owner(server, name):
    """An owner's figures, over all workers but the admin's."""
    rows = [row for row in server.memory()['owners']
            if row['owner'] == name and row['worker'] != 'admin']
    return {key: sum(row[key] for row in rows) for key in ('used', 'peak', 'committed', 'allocs')}


class Return(weft.Case):
    flags = ('--memory-limit', '2G', '--requests-max', '512')

    def burst(self, count, mb):
        threads = [threading.Thread(target=lambda: self.get('/burst?mb=%d&hold=200' % mb))
                   for _ in range(count)]
        for thread in threads:
            thread.start()
        time.sleep(0.15)
        peak = self.server.rss()
        for thread in threads:
            thread.join()
        return peak

    def test_a_peak_leaves_nothing(self):
        """shows MC-16, MC-21, GB-05: literal RSS, with no request in between."""
        self.assertLessEqual(self.server.rss(), IDLE_BYTES_MAX)
        self.burst(40, 2)
        time.sleep(RETURN_S + GRACE_S)
        baseline = self.server.rss()
        for _ in range(2):
            peak = max(self.burst(60, 4), self.server.status('VmHWM'))
            self.assertGreater(peak, baseline + (40 << 20))  # else this shows nothing
            self.assertTrue(weft.wait_until(lambda: self.server.rss() <= baseline * 1.1,
                                            RETURN_S + GRACE_S))
        self.assertLessEqual(baseline, IDLE_BYTES_MAX)

    def test_a_static_answer_takes_nothing(self):
        """shows MC-39, HC-18: an empty body is a constant; neither arena nor stack is taken for it."""
        before = owner(self.server, 'arenas')
        with self.server.conn() as conn:
            for _ in range(500):
                self.assertEqual(conn.ask('/health').status, 200)
        self.assertTrue(self.server.all_closed())  # a request counts when its answer has left
        after = owner(self.server, 'arenas')
        self.assertEqual(after['allocs'], before['allocs'])
        top = self.server.admin('/memory/top?by=route&n=100').body.decode()
        rows = [line for line in top.splitlines() if '"GET /health"' in line]
        self.assertEqual(len(rows), 1, top)
        self.assertIn('"requests":500,', rows[0])
        self.assertIn('"alloc_bytes":0,', rows[0])

    def test_who_waits_holds_a_page_of_stack(self):
        """shows MC-44: no stack without waiting, and of a waiting one the pages that it reached."""
        page, count = 4096, 50
        with self.server.conn() as conn:
            for _ in range(100):
                conn.ask('/')
            self.assertEqual(owner(self.server, 'stacks')['used'], 0)
        before = owner(self.server, 'stacks')
        conns = [self.server.conn() for _ in range(count)]
        for conn in conns:
            conn.send(b'GET /burst?mb=1&hold=4000 HTTP/1.1\r\nHost: x\r\n\r\n')
        self.assertTrue(weft.wait_until(
            lambda: self.server.metrics()['tasks_waiting'] == count))
        held = owner(self.server, 'stacks')
        self.assertGreaterEqual(held['committed'] - before['committed'], 0)
        self.assertLessEqual(held['committed'], before['committed'] + (count + 2) * 2 * page)
        for conn in conns:
            self.assertEqual(conn.answer().status, 200)
            conn.close()


if __name__ == '__main__':
    unittest.main()
