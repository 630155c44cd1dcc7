"""A record store and kill -9: what was acknowledged is there, what was not is there whole or not at all."""
# engines: epoll
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'e2e'))
import weft  # noqa: E402

WRITER = os.path.join(os.path.dirname(os.path.abspath(weft.BIN)), 'tests', 'test_pmem_writer')
KILLS = 200


class Life:
    """One run of the writer, killed some time after it has opened the file."""

    def __init__(self, path, seed, seconds):
        self.found = {}      # key: number, as it found the file
        self.torn = []
        self.changes = []    # (key, number or None), acknowledged
        self.under_way = None
        # not buffered here: a line that was written before the kill is read after it
        process = subprocess.Popen([WRITER, path, str(seed)], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        killer = None
        for line in process.stdout:
            if not line.endswith(b'\n'):
                break  # cut by the kill
            words = line.decode().split()
            if words == ['open']:
                killer = threading.Timer(seconds, process.kill)
                killer.start()
            self.take(words)
        complaint = process.stderr.read().decode()
        process.stdout.close()
        process.stderr.close()
        process.wait()
        if killer is None or process.returncode != -9:
            raise AssertionError('exit %d: %s' % (process.returncode, complaint))

    def take(self, words):
        if words[0] == 'has':
            self.found[words[1]] = words[2]
        elif words[0] == 'torn':
            self.torn.append(words[1])
        elif words[0] in ('put', 'del'):
            self.under_way = (words[1], words[2] if words[0] == 'put' else None)
        elif words[0] in ('ok', 'full'):
            if words[0] == 'ok':
                self.changes.append(self.under_way)
            self.under_way = None

    def state_after(self):
        state = dict(self.found)
        for change in self.changes:
            apply(state, change)
        return state


def apply(state, change):
    key, number = change
    if number is None:
        state.pop(key, None)
    else:
        state[key] = number


class Kill(unittest.TestCase):
    def test_kill_9_at_random_points(self):
        """shows MC-14: 200 kills, each followed by opening the file and looking at every record."""
        self.assertTrue(os.path.exists(WRITER), WRITER)
        dice = random.Random(14)
        changes, begun = 0, time.monotonic()
        with tempfile.TemporaryDirectory(prefix='weft-pmem.') as folder:
            path = os.path.join(folder, 'store')
            expected, under_way = {}, None
            for kill in range(KILLS + 1):
                life = Life(path, dice.randrange(2 ** 32), dice.uniform(0.0005, 0.04))
                self.assertEqual(life.torn, [], kill)
                if life.found != expected and under_way:
                    apply(expected, under_way)
                self.assertEqual(life.found, expected, kill)
                expected, under_way = life.state_after(), life.under_way
                changes += len(life.changes)
            self.assertEqual(os.listdir(folder), ['store'])
        self.assertGreater(changes, KILLS)  # else nothing was at stake
        print('%d kills, %d changes acknowledged, %.1f s' % (KILLS, changes,
                                                            time.monotonic() - begun))


if __name__ == '__main__':
    unittest.main()
