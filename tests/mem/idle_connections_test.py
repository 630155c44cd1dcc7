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
        self.assertTrue(weft.wait_until(self.table_is_back, 3.0), self.table())

    def table(self):
        """The account of the public worker's connection table."""
        return next(owner for owner in self.server.memory()['owners']
                    if owner['owner'] == 'connections' and str(owner['worker']) == '0')

    def table_is_back(self):
        """Pages of the table that no connection is on any more have been given back."""
        return self.table()['committed'] <= 2 * 4096  # a page in use, and the pages' books

    def test_peak_is_below_the_plan(self):
        """shows GB-01: what was printed before the start holds while it runs."""
        for path in ('/', '/json', '/memory-test', '/stream?n=20000&pause=0', '/file/hello.txt'):
            self.assertEqual(self.get(path).status, 200)
        ledger = self.server.memory()
        self.assertLess(ledger['process']['peak_rss'], ledger['plan'])
        self.assertLessEqual(ledger['plan'], ledger['limit'])
        for owner in ledger['owners']:
            self.assertLessEqual(owner['peak'], owner['reserved'], owner['owner'])


class DirectDescriptors(IdleConnections):
    """The same without a descriptor per connection: what a million on one machine have."""

    @classmethod
    def setUpClass(cls):
        if weft.ENGINE != 'uring':
            raise unittest.SkipTest('epoll has none')
        cls.flags = ('--workers', '1', '--descriptors', 'direct')
        super().setUpClass()

    def test_the_process_has_few(self):
        """shows HC-14: none of the descriptors of the process is a connection's."""
        before = self.server.descriptors()
        conns = []
        self.fill(conns, FEW)
        self.assertLess(self.server.descriptors(), before + 10)
        for conn in conns:
            conn.close()
        self.assertTrue(self.server.all_closed())


if __name__ == '__main__':
    unittest.main()
