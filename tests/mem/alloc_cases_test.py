"""What bench/alloc measures, without a clock: each case answers in full, none fails, and what a pool, an
arena and a builder do for one operation more is neither a heap call nor a lock."""
# phases: e2e
# engines: epoll
import json
import os
import struct
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'e2e'))
import weft  # noqa: E402

BENCH = os.path.join(os.path.dirname(os.path.abspath(weft.BIN)), 'bench')
KINDS = 6  # bench/heapcount.c: malloc, calloc, realloc, free, aligned; mutexes locked
BATCH = 64
FEW, MANY = 300, 600  # both beyond what qsort() of their samples sorts without malloc
OURS = ('pool-pairs', 'pool-sets', 'objects-own', 'arena-bump', 'arena-mixed', 'pool-live', 'pool-buffer')


class AllocCases(unittest.TestCase):
    def run_case(self, case, batches, *words):
        """(what it printed, heap calls, locks)"""
        with tempfile.NamedTemporaryFile() as counts:
            counts.write(bytes(8 * KINDS))
            counts.flush()
            env = dict(os.environ, HEAPCOUNT_FILE=counts.name, LD_PRELOAD=os.path.join(BENCH, 'heapcount.so'))
            done = subprocess.run([os.path.join(BENCH, 'alloc'), case, str(batches), *words], env=env,
                                  capture_output=True, check=True, timeout=60)
            with open(counts.name, 'rb') as again:
                *heap, locks = struct.unpack('%dQ' % KINDS, again.read())
        return json.loads(done.stdout), sum(heap), locks

    def more(self, case, *words):
        """Heap calls and locks that come of MANY - FEW batches more."""
        few, many = self.run_case(case, FEW, *words), self.run_case(case, MANY, *words)
        for printed, _, _ in few, many:
            self.assertEqual(printed['failures'], 0, case)
        return many[1] - few[1], many[2] - few[2]

    def test_each_says_all(self):
        """shows MC-04: mean, P99, the largest, and how many failed: none."""
        for case in OURS:
            printed, _, _ = self.run_case(case, FEW)
            for name in ('mean_ns', 'p99_ns', 'max_ns'):
                self.assertGreater(printed[name], 0, case)
            self.assertEqual(printed['failures'], 0, case)

    def test_no_heap_call_and_no_lock(self):
        """shows MC-38: 10,000 objects come and go of a pool (pool-live) without malloc; malloc's own case does
        call it, and the pool that workers share does lock: so that both would be seen."""
        for case in OURS:
            self.assertEqual(self.more(case), (0, 0), case)
        self.assertGreaterEqual(self.more('malloc-pairs')[0], 2 * BATCH * (MANY - FEW))
        self.assertGreaterEqual(self.more('objects-shared')[1], BATCH * (MANY - FEW))

    def test_two_threads_share_no_lock(self):
        """shows MC-27: what makes two threads twice as fast as one; how fast is bench/alloc.py's."""
        for case in ('pool-pairs', 'pool-sets'):
            self.assertEqual(self.more(case, 'two'), (0, 0), case)


if __name__ == '__main__':
    unittest.main()
