"""How often a byte of an answer's body was moved in user memory, counted by route; and blocks that
serve again and again."""
# shows ZC-03, ZC-07
import os
import tempfile
import unittest

import weft

KB = 1 << 10
FILE, ROOT, CACHE = 'GET /file/{file:^.*$}', 'GET /', 'GET /cache/{key}'


class Copies(weft.Case):
    flags = ()

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix='weft-copies.')
        cls.addClassCleanup(cls.folder.cleanup)
        for name, size in (('small', 1 * KB), ('hot', 60 * KB), ('large', 900 * KB)):
            with open(os.path.join(cls.folder.name, name), 'wb') as out:
                out.write(os.urandom(size))
        cls.server = weft.Server('--root', cls.folder.name, '--workers', '1', *cls.flags)

    def figures(self, route):
        """(bytes of bodies, bytes copied), of all requests so far: they count when their answer has left."""
        self.assertTrue(self.server.at_rest())
        found = {name: value for name, labels, value in self.server.samples()
                 if labels.get('route') == route}
        return (found.get('weft_route_answer_bytes_total', 0), found.get('weft_route_copied_bytes_total', 0))

    def copies(self, route, ask, count=20):
        """Per byte of what `count` answers bring."""
        before = self.figures(route)
        with self.conn() as conn:
            length = sum(len(conn.ask(ask).body) for _ in range(count))
        after = self.figures(route)
        self.assertEqual(after[0] - before[0], length)
        return (after[1] - before[1]) / length


class Auto(Copies):
    def test_files(self):
        self.assertEqual(self.copies(FILE, '/file/large'), 0)
        self.assertEqual(self.copies(FILE, '/file/hot'), 0)
        self.assertEqual(self.copies(FILE, '/file/small'), 0)

    def test_small_bodies_alone(self):
        """Static ones, and what is found in a cache: once on its way in, and no more."""
        self.assertEqual(self.copies(ROOT, '/'), 0)
        with self.conn() as conn:
            self.assertEqual(conn.ask('/cache/some').get('X-Cache'), 'MISS')
        self.assertEqual(self.copies(CACHE, '/cache/some'), 0)

    def test_small_bodies_that_leave_together(self):
        """Behind their heads, for one buffer to send: but for the last, and those that start a block."""
        before = self.figures(ROOT)
        with self.conn() as conn:
            conn.send(weft.request('/') * 16)
            length = sum(len(conn.answer().body) for _ in range(16))
        after = self.figures(ROOT)
        self.assertEqual(after[0] - before[0], length)
        self.assertGreaterEqual(after[1] - before[1], length * 3 / 4)

    def test_a_stream_copies_what_it_is_handed(self):
        self.assertEqual(self.copies('GET /efficient', '/efficient?name=you'), 1)
        self.assertEqual(self.copies('GET /stream', '/stream?n=100&pause=0'), 0)  # formatted where it leaves from

    def test_a_head_alone_brings_no_body(self):
        before = self.figures(FILE)
        with self.conn() as conn:
            conn.ask('/file/large', 'HEAD')
        self.assertEqual(self.figures(FILE), before)

    def test_blocks_serve_again(self):
        conns = [self.conn() for _ in range(20)]
        for _ in range(100):
            for conn in conns:
                conn.ask('/')
        figures = {name: value for name, labels, value in self.server.samples()
                   if labels.get('owner') == 'blocks' and labels.get('worker') == '0'}
        takes = figures['weft_memory_allocs_total']
        self.assertGreaterEqual(takes, 2000)
        fresh = figures['weft_memory_peak_bytes'] / (4 * KB)
        self.assertLessEqual(fresh / takes, 0.01)


class Never(Copies):
    flags = ('--http-inline-body-bytes', 'off')

    def test_all_stay_where_they_lie(self):
        self.assertEqual(self.copies(ROOT, '/'), 0)
        for name in ('small', 'hot', 'large'):
            with self.subTest(name):
                self.assertEqual(self.copies(FILE, '/file/' + name), 0)


class Read(Copies):
    flags = ('--files-send', 'read')

    def test_each_byte_once(self):
        self.assertEqual(self.copies(FILE, '/file/large'), 1)


if __name__ == '__main__':
    unittest.main()
