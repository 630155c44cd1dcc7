# /json from 1,000 connections at once: the account of a request, and the process. ./dev bench crowd counts
# ten million of them.
# seconds: 60
import re
import unittest

import weft

CONNS = 1000
KB = 1 << 10
MB = 1 << 20


class Crowd(weft.Case):
    flags = ('--workers', '1', '--memory-receipt', 'on')

    def ask_all(self, conns):
        for conn in conns:
            conn.send(weft.request('/json'))
        return [conn.answer() for conn in conns]

    def test_a_thousand_at_once(self):
        """shows DM-08"""
        conns = [self.conn() for _ in range(CONNS)]
        for conn in conns:
            self.assertEqual(conn.ask('/json').status, 200)
        idle = self.server.reset_peak()
        for _ in range(10):
            for answer in self.ask_all(conns):
                self.assertEqual(answer.status, 200)
                asked = re.search(r'arena=(\d+)', answer.get('Server-Timing'))
                self.assertLessEqual(int(asked.group(1)), 1 * KB)
        grown = self.server.status('VmHWM') - idle
        self.assertLess(grown, 2100 * CONNS)
        self.assertLess(self.server.status('VmHWM'), 45 * MB)
        used = {row['owner']: row['used'] for row in self.server.memory()['owners'] if row['worker'] == '0'}
        self.assertLessEqual(used['arenas'] + used['stacks'], 128 * KB)  # one stack and one chunk are kept
        for conn in conns:
            conn.sock.close()


if __name__ == '__main__':
    unittest.main()
