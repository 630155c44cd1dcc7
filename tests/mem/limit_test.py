"""64 MB and a flood: bench/limit64.py, smaller. In a control group of that size where one can be made."""
# seconds: 90
# alone
import os
import sys
import types
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, '..', 'e2e'), os.path.join(HERE, '..', '..', 'bench')]
import cgroups  # noqa: E402
import weft  # noqa: E402

os.environ['BENCH_BIN'] = os.path.join(os.path.dirname(os.path.abspath(weft.BIN)), 'bench')
import limit64  # noqa: E402

ARGS = types.SimpleNamespace(weft=os.path.abspath(weft.BIN), flood_s=6, flood_clients=4000)


class Limit(unittest.TestCase):
    def test_flood(self):
        """shows MC-28, GB-02: connections, slow heads, bodies, bursts beyond what fits: what does not fit
        gets a 503, what fits is served, nothing dies, and then all is as it was."""
        weft.raise_descriptors(ARGS.flood_clients + 100)
        group = None
        try:
            group = cgroups.Group(limit64.LIMIT)
        except cgroups.Unavailable as why:
            print('by memory.limit_bytes alone, no group: %s' % why)
        try:
            found = limit64.one(ARGS, weft.ENGINE, group)
        finally:
            if group:
                group.remove()
        limit64.show(found)
        self.assertIsNone(found['trouble'])
        self.assertGreater(found['rss_samples'], 100)
        self.assertLessEqual(found['rss_peak'], limit64.LIMIT)
        self.assertFalse(found['killed'])
        self.assertGreaterEqual(found['held_share'], limit64.SERVED_MIN)
        self.assertGreaterEqual(found['burst_max'], 1)
        self.assertGreater(found['flood']['bursts']['ok'], 0)
        self.assertGreater(found['flood']['bursts']['busy'], 0)
        self.assertGreater(found['flood']['idle']['busy'], 0)
        self.assertGreater(found['good']['ok'], 100)
        self.assertLessEqual(found['good']['p99_us'], 1000000)
        self.assertLessEqual(found['after_s'], 3)


if __name__ == '__main__':
    unittest.main()
