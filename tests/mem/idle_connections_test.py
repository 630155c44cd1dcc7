"""What an idle connection costs the process: bytes, not kilobytes, and none once it is gone."""
# seconds: 90
import os
import random
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'e2e'))
import weft  # noqa: E402

FEW, MANY = 500, 4500
SLOT_BYTES = 16   # struct weft_slot
SLACK_BYTES = 8   # pages are whole: one page over 4,000 connections is one byte each


def memory_of(server):
    """Resident bytes that count: Rss without LazyFree, and the page tables."""
    process = server.memory()['process']
    return process['rss'] - process['lazy_free'] + process['page_tables']


class IdleConnections(weft.Case):
    flags = ('--workers', '1')

    def fill(self, conns, count):
        while len(conns) < count:
            conn = self.server.conn()
            self.assertEqual(conn.ask('/').status, 200)
            conns.append(conn)

    def test_bytes_per_idle_connection(self):
        """shows MC-01, MC-08: the slope between two numbers of connections that each asked once."""
        weft.raise_descriptors(MANY + 100)
        conns = []
        self.fill(conns, FEW)
        before = memory_of(self.server)
        self.fill(conns, MANY)
        slope = (memory_of(self.server) - before) / (MANY - FEW)
        self.assertLessEqual(slope, SLOT_BYTES + SLACK_BYTES)
        self.assertGreaterEqual(slope, SLOT_BYTES - SLACK_BYTES)  # else this measures nothing
        for conn in random.Random(1).sample(conns, 200):
            self.assertEqual(conn.ask('/').body, b'Hello, World!')
        for conn in conns:
            conn.close()
        self.assertTrue(self.server.all_closed())

    def test_peak_is_below_the_plan(self):
        """shows GB-01: what was printed before the start holds while it runs."""
        for path in ('/', '/json', '/memory-test', '/stream?n=20000&pause=0', '/file/hello.txt'):
            self.assertEqual(self.get(path).status, 200)
        ledger = self.server.memory()
        self.assertLess(ledger['process']['peak_rss'], ledger['plan'])
        self.assertLessEqual(ledger['plan'], ledger['limit'])
        for owner in ledger['owners']:
            self.assertLessEqual(owner['peak'], owner['reserved'], owner['owner'])


if __name__ == '__main__':
    unittest.main()
