"""memory.prefault: every page is there before the first request, and no fault comes later."""
# seconds: 60
import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'e2e'))
import weft  # noqa: E402

SETTINGS = ('--workers', '1', '--requests-max', '256', '--tasks-max', '64', '--memory-limit', '128M')
OWNERS = ('active', 'blocks', 'buffers', 'stacks', 'watches')


def faults(server):
    """Page faults that took memory, by proc(5)."""
    with open('/proc/%d/stat' % server.pid, encoding='ascii') as source:
        return int(source.read().rsplit(')', 1)[1].split()[7])


def owners(server):
    return {owner['owner']: owner for owner in server.memory()['owners'] if owner['worker'] == '0'}


class Prefault(unittest.TestCase):
    def load(self, server):
        conns = [server.conn() for _ in range(100)]
        for conn in conns:
            for path in ('/', '/json', '/user/7', '/file/hello.txt'):
                self.assertEqual(conn.ask(path).status, 200)
        for conn in conns:
            conn.close()

    def test_every_page_is_there_at_start(self):
        with weft.Server(*SETTINGS, '--memory-prefault', 'on') as server:
            before = owners(server)
            for name in OWNERS:
                self.assertEqual(before[name]['committed'], before[name]['reserved'], name)
            self.assertGreaterEqual(server.rss(), sum(before[name]['committed'] for name in OWNERS))
            self.load(server)
            first = faults(server)
            for _ in range(5):
                self.load(server)
            self.assertLessEqual(faults(server) - first, 20)  # libc's, none per connection or request
            for name in OWNERS:
                self.assertEqual(owners(server)[name]['committed'], before[name]['committed'], name)

    def test_without_it_next_to_nothing_is(self):
        with weft.Server(*SETTINGS) as server:
            for name, owner in owners(server).items():
                if name in ('active', 'blocks', 'stacks'):
                    self.assertLess(owner['committed'], owner['reserved'] / 2, name)


if __name__ == '__main__':
    unittest.main()
