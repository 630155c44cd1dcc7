"""Two minutes of everything at once: what is resident neither climbs nor stays; ./dev soak for longer."""
# seconds: 240
import os
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, '..', 'e2e'), os.path.join(HERE, '..', '..', 'bench')]
import weft  # noqa: E402

os.environ['BENCH_BIN'] = os.path.join(os.path.dirname(os.path.abspath(weft.BIN)), 'bench')
import soak  # noqa: E402

SECONDS = 105  # and a warm-up


class Soak(unittest.TestCase):
    def test_level(self):
        """shows MC-03, MC-10: the slope is 0 within noise; as many frees as allocs for every owner of
        request-scoped memory; back when it is quiet."""
        found = soak.soak(os.path.abspath(weft.BIN), weft.ENGINE, SECONDS)
        soak.show(found)
        before, after = found['quiet']
        # A machine that gets less busy meanwhile lets more of the mix be under way at once, which looks
        # like a climb: then it counts whether anything is left of it.
        self.assertTrue(found['level'] or after - before <= soak.QUIET_MAX, found['slope_bytes_s'])
        self.assertTrue(found['quiet_level'], found['quiet'])
        self.assertEqual(found['kept'], dict.fromkeys(soak.SCOPED, 0))
        for name in ('active', 'blocks', 'buffers', 'stacks', 'arenas', 'heap', 'connections'):
            self.assertGreater(found['owners'][name][1], 20, name)  # else it shows nothing
        for label, group in found['served'].items():
            self.assertGreater(group['ok'] + group['other'] + group['cut'], 2, label)
        self.assertLessEqual(found['peak'], found['plan'])


if __name__ == '__main__':
    unittest.main()
