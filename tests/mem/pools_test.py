"""10,000 requests at once: header slots, blocks, receive buffers and objects come from their pools."""
# seconds: 120
import json
import os
import subprocess
import sys
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, '..', 'e2e'))
import weft  # noqa: E402

MIX = os.path.join(os.path.dirname(os.path.abspath(weft.BIN)), 'bench', 'mix')
CLIENTS, AT_ONCE, SECONDS = 10400, 10000, 40
HIT_MIN = 0.999


class Pools(unittest.TestCase):
    flags = ('--workers', '1', '--connections-max', '11000', '--requests-max', '11000', '--tasks-max',
             '11000', '--buffers-spare', '16000', '--memory-limit', '2G')

    def test_ten_thousand_requests(self):
        """shows MC-37: each holds its head's buffer, its stack, its arena; who misses is counted."""
        weft.raise_descriptors(CLIENTS + 100)
        with weft.Server(*self.flags) as server:
            mix = subprocess.Popen(
                [MIX, str(server.port), str(SECONDS), 'req:10250:50:/stream?n=1001&pause=15000:waiting',
                 'post:100:20:20000:bodies', 'req:50:10:/json:plain'],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            at_once = 0
            while mix.poll() is None and at_once < AT_ONCE:
                at_once = server.metrics()['tasks_waiting']
                time.sleep(0.3)
            time.sleep(1)
            served = json.loads(mix.communicate()[0])  # the end of its input ends it
            self.assertTrue(server.all_closed(40))  # who has half-closed gets his answer yet
            now = server.metrics()
            owners = [o for o in server.memory()['owners'] if o['worker'] != 'admin']
        self.assertGreaterEqual(at_once, AT_ONCE)
        self.assertGreater(served['bodies']['ok'], 100)
        self.assertEqual(sum(group['busy'] for group in served.values()), 0)
        for name in ('active', 'blocks', 'buffers', 'stacks'):
            takes, misses = (sum(o[key] for o in owners if o['owner'] == name)
                             for key in ('allocs', 'refused'))
            print('%s: %d taken, %d misses' % (name, takes, misses))
            self.assertGreater(takes, AT_ONCE)
            self.assertGreaterEqual(takes / (takes + misses), HIT_MIN, name)
        requests, slow = now['requests_total'], now['header_slow_path_total']
        print('headers: %d requests, %d misses' % (requests, slow))
        self.assertGreaterEqual(1 - slow / requests, HIT_MIN)


if __name__ == '__main__':
    unittest.main()
