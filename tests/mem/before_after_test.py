# examples/before-after: the naive way beside Weft's, as a user runs it.
# seconds: 90
import os
import re
import subprocess
import unittest

import weft

PROGRAM = os.path.join(os.path.dirname(weft.BIN), 'before-after')


class BeforeAfter(unittest.TestCase):
    def test_ten_times_less(self):
        """shows MC-29: the same answers (the program compares them) at a tenth of the memory
        shows MC-30: each technique by itself saves, and is printed beside what others saw"""
        clean = {key: value for key, value in os.environ.items() if not key.startswith('WEFT_')}
        done = subprocess.run([PROGRAM], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
                              timeout=80, env=dict(clean, WEFT_ENGINE=weft.ENGINE))
        self.assertEqual((done.returncode, done.stderr), (0, ''), done.stdout)
        self.assertIn('the same by both', done.stdout)
        self.assertGreaterEqual(float(re.search(r'ratio +([\d.]+)', done.stdout).group(1)), 10)
        for name, least in (('fast JSON', 20), ('pages of 50', 20), ('no middleware', -100)):
            found = re.search(name + r' +[\d.]+ MB +(-?\d+) % less  \(elsewhere: about \d+ %\)', done.stdout)
            self.assertIsNotNone(found, done.stdout)
            self.assertGreaterEqual(int(found.group(1)), least, done.stdout)

    def test_usage(self):
        done = subprocess.run([PROGRAM, 'x'], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
                              timeout=50)
        self.assertEqual(done.returncode, 2)
        self.assertIn('usage: before-after', done.stderr)


if __name__ == '__main__':
    unittest.main()
