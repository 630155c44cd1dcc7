"""Bytes that come behind a request which is not reading: they wait in few buffers, not in all of them."""
import os
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import weft  # noqa: E402


class Dribble(weft.Case):
    flags = ('--workers', '1', '--buffers-count', '8', '--buffers-spare', '8')

    def test_the_others_are_heard(self):
        """Handlers that sleep, each with single bytes behind its request: others are answered at
        once, and the worker does not spin."""
        sleepers = [self.server.conn() for _ in range(8)]
        for conn in sleepers:
            conn.send(b'GET /stream?n=2000&pause=4000 HTTP/1.1\r\nHost: x\r\n\r\n')
        time.sleep(0.2)
        for byte in (b'G', b'E', b'T', b' '):
            for conn in sleepers:
                try:
                    conn.send(byte)
                except OSError:
                    pass  # closed: the last buffers are not for bytes that nobody reads
            time.sleep(0.05)
        cpu, start = self.server.cpu_seconds(), time.monotonic()
        for _ in range(5):
            with self.server.conn(timeout=2.0) as conn:
                self.assertEqual(conn.ask('/').status, 200)
            time.sleep(0.1)
        busy = (self.server.cpu_seconds() - cpu) / (time.monotonic() - start)
        self.assertLess(busy, 0.5)
        for conn in sleepers:
            conn.close()
        self.assertTrue(self.server.all_closed(10))


if __name__ == '__main__':
    unittest.main()
