"""Static mounts: validators, conditions, ranges, directories, listings, compressed siblings, types;
and that weft_file() answers by the same rules."""
# seconds: 90
# shows DM-05, SF-04, SF-05
import email.parser
import email.policy
import gzip
import html.parser
import os
import random
import shutil
import tempfile
import unittest
import urllib.parse

import demo_files_test
import weft

SMALL = bytes(range(256)) * 4  # kept in memory by the server
LARGE = os.urandom(300000)  # sent from its descriptor
YEAR_S = 365 * 86400
SETTINGS = '''
files:
  mime_types: %(base)s/mime.types
static:
  - url: /pub/
    directory: %(root)s
    listing: on
    precompressed: on
    cache_control: public, max-age=60
  - {url: /plain, directory: %(root)s, index: index.none  start.htm page.html}
  - {url: /dot/, directory: %(root)s, hidden: on, listing: on}
  - {url: /, directory: %(root)s}
'''
MISTAKES = {
    'static: 5\n': ':1: static: a value where a list of mounts',
    'static: {url: /x}\n': ':1: static: a mapping where a list of mounts',
    'static: [5]\n': ':1: static: a value where a list of mounts',
    'static:\n  - [5]\n': ':2: static: a list where a list of mounts',
    'static:\n  - {url: x, directory: /tmp}\n': ":2: static: a mount has a url, which begins with '/'",
    'static:\n  - {url: /x/}\n': ':2: static: a mount has a url',
    'static:\n  - {url: /x/, directory: /nowhere/at/all}\n': '/nowhere/at/all is not a directory',
    'static:\n  - url: /x/\n    directory: /tmp\n    indx: a\n': ':4: static: indx: no such key of a mount',
    'static:\n  - url: /x/\n    directory: /tmp\n    listing: 7\n': ':4: static: listing: 7 is not on or off',
    'static:\n  - url: /x/\n    directory: /tmp\n    index: [1]\n': ':4: static: a list where a list of mounts',
    'static:\n  - {url: /x/, directory: /tmp}\n  - {url: /x, directory: /tmp}\n': ':3: static: /x is mounted twice',
    'static:\n' + ''.join('  - {url: /x%d/, directory: /tmp}\n' % i for i in range(17)): 'more than 16 mounts',
    'static:\n' + ''.join('  - {url: /x%d/, directory: /tmp%s}\n' % (i, '/' * 1000) for i in range(5)):
        'or 4096 bytes of their texts',
}


class Links(html.parser.HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.found = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        if tag == 'a':
            self.found.append(dict(attrs)['href'])


def setUpModule():
    global BASE, ROOT
    BASE = tempfile.mkdtemp(prefix='weft-static.')
    unittest.addModuleCleanup(shutil.rmtree, BASE)
    ROOT = os.path.join(BASE, 'root')
    for folder in ('sub/deep', 'indexed', 'many', '.well-known', '.git', 'empty'):
        os.makedirs(os.path.join(ROOT, folder))
    write('../secret.txt', demo_files_test.SECRET)
    write('../mime.types', b'application/x-own own\ntext/x-page htm\n')
    write('small.bin', SMALL)
    write('large.bin', LARGE)
    write('empty.txt', b'')
    write('page.html', b'<p>page')
    write('start.htm', b'<p>start')
    write('a.own', b'own')
    write('indexed/index.html', b'<p>index')
    write('sub/odd <b>&"\'%?#:.txt', b'odd')
    write('.well-known/x', b'known')
    write('.git/config', b'git')
    write('.hidden', b'hidden')
    for i in range(1100):
        write('many/%04d' % i, b'')
    os.symlink('../..', os.path.join(ROOT, 'sub/out'))
    os.symlink('..', os.path.join(ROOT, 'outside'))
    os.mkfifo(os.path.join(ROOT, 'fifo'))
    with open(os.path.join(BASE, 'weft.yaml'), 'w', encoding='utf-8') as out:
        out.write(SETTINGS % {'base': BASE, 'root': ROOT})


def write(name, data, older_s=YEAR_S):
    path = os.path.join(ROOT, name)
    with open(path, 'wb') as out:
        out.write(data)
    now = os.stat(path).st_mtime
    os.utime(path, (now - older_s, now - older_s))


class Mounted(weft.Case):
    @classmethod
    def setUpClass(cls):
        cls.server = weft.Server('-c', os.path.join(BASE, 'weft.yaml'), '--root', ROOT)

    def ask(self, target, **headers):
        method = headers.pop('method', 'GET')
        fields = [(name.replace('_', '-'), value) for name, value in headers.items()]
        return self.server.ask(target, method, fields)

    def check(self, target, status, **headers):
        answer = self.ask(target, **headers)
        self.assertEqual(answer.status, status, (target, headers, answer))
        return answer


class Validators(Mounted):
    def test_headers(self):
        answer = self.check('/pub/small.bin', 200)
        self.assertRegex(answer.get('ETag'), r'\A"[^"]+"\Z')
        self.assertEqual(answer.get('Accept-Ranges'), 'bytes')
        self.assertEqual(answer.get('Cache-Control'), 'public, max-age=60')
        self.assertEqual(answer.get('Content-Type'), 'application/octet-stream')
        self.assertTrue(answer.body == SMALL)
        head = self.check('/pub/small.bin', 200, method='HEAD')
        self.assertEqual([field for field in head.headers if field[0] != 'Date'],
                         [field for field in answer.headers if field[0] != 'Date'])
        self.assertIsNone(self.check('/plain/small.bin', 200).get('Cache-Control'))
        self.assertEqual(self.check('/file/small.bin', 200).get('ETag'), answer.get('ETag'))

    def test_conditions(self):
        for name in ('/pub/small.bin', '/pub/large.bin', '/file/small.bin'):
            answer = self.check(name, 200)
            etag, modified = answer.get('ETag'), answer.get('Last-Modified')
            before, later = 'Mon, 01 Jan 2001 00:00:00 GMT', 'Fri, 01 Jan 2100 00:00:00 GMT'
            for status, headers in (
                    (304, {'If_None_Match': etag}), (304, {'If_None_Match': '"x", W/' + etag}),
                    (304, {'If_None_Match': '*'}), (200, {'If_None_Match': '"x"'}),
                    (304, {'If_Modified_Since': modified}), (304, {'If_Modified_Since': later}),
                    (200, {'If_Modified_Since': before}), (200, {'If_Modified_Since': 'nonsense'}),
                    (200, {'If_None_Match': '"x"', 'If_Modified_Since': modified}),
                    (200, {'If_Match': etag}), (200, {'If_Match': '*'}), (412, {'If_Match': '"x"'}),
                    (412, {'If_Match': 'W/' + etag}), (412, {'If_Unmodified_Since': before}),
                    (200, {'If_Unmodified_Since': modified}),
                    (412, {'If_Match': '"x"', 'If_None_Match': etag})):
                with self.subTest(name, **headers):
                    for method in ('GET', 'HEAD'):
                        found = self.check(name, status, method=method, **headers)
                    if status == 304:
                        self.assertEqual((found.get('ETag'), found.get('Last-Modified')), (etag, modified))
                        self.assertEqual(found.get('Cache-Control'), answer.get('Cache-Control'))
                        self.assertIsNone(found.get('Content-Type'))

    def test_a_list_on_several_lines(self):
        etag = self.check('/pub/small.bin', 200).get('ETag')
        fields = [('If-None-Match', '"x"'), ('If-None-Match', etag), ('If-None-Match', '"y"')]
        self.assertEqual(self.server.ask('/pub/small.bin', 'GET', fields).status, 304)

    def test_a_change_is_another_tag(self):
        write('changes.txt', b'one')
        first = self.check('/pub/changes.txt', 200)
        write('changes.txt', b'two!', older_s=100)
        self.assertTrue(weft.wait_until(lambda: self.ask('/pub/changes.txt').body == b'two!', 5))
        second = self.check('/pub/changes.txt', 200, If_None_Match=first.get('ETag'))
        self.assertNotEqual(second.get('ETag'), first.get('ETag'))
        self.check('/pub/changes.txt', 412, If_Match=first.get('ETag'))

    def test_last_modified_is_not_ahead(self):
        write('ahead.txt', b'x', older_s=-YEAR_S)
        answer = self.check('/pub/ahead.txt', 200)
        self.assertEqual(answer.get('Last-Modified'), answer.get('Date'))


class Ranges(Mounted):
    def test_single(self):
        for name, data in (('small', SMALL), ('large', LARGE)):
            size = len(data)
            for value, first, last in (('0-0', 0, 0), ('0-', 0, size - 1), ('-1', size - 1, size - 1),
                                       ('100-199', 100, 199), ('-500', size - 500, size - 1),
                                       ('5-%d' % (size * 2), 5, size - 1), ('-%d' % (size * 2), 0, size - 1)):
                for mount in ('/pub/', '/file/'):
                    with self.subTest(mount + name, value=value):
                        answer = self.check(mount + name + '.bin', 206, Range='bytes=' + value)
                        self.assertEqual(answer.get('Content-Range'), 'bytes %d-%d/%d' % (first, last, size))
                        self.assertTrue(answer.body == data[first:last + 1])

    def test_not_there(self):
        for value in ('%d-' % len(SMALL), '-0', '5000-6000', '5000-,6000-'):
            answer = self.check('/pub/small.bin', 416, Range='bytes=' + value)
            self.assertEqual(answer.get('Content-Range'), 'bytes */%d' % len(SMALL))
        self.check('/pub/empty.txt', 416, Range='bytes=0-')
        self.check('/pub/empty.txt', 200, Range='bytes=-1')

    def test_of_no_meaning(self):
        for value in ('bytes=9-5', 'bytes=x', 'lines=0-5', 'bytes', '', 'bytes=1-2,x'):
            self.assertTrue(self.check('/pub/small.bin', 200, Range=value).body == SMALL, value)
        self.check('/pub/small.bin', 200, method='HEAD', Range='bytes=0-5')

    def check_parts(self, answer, data, ranges):
        self.assertIsNone(answer.get('Content-Range'))
        self.assertIsNotNone(answer.get('Content-Length'))
        kind = 'Content-Type: %s\r\n\r\n' % answer.get('Content-Type')
        parsed = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(kind.encode() + answer.body)
        parts = list(parsed.iter_parts())
        self.assertEqual([part['Content-Range'] for part in parts],
                         ['bytes %d-%d/%d' % (first, last, len(data)) for first, last in ranges])
        boundary = parsed.get_boundary().encode()
        for part, (first, last) in zip(answer.body.split(b'--' + boundary)[1:], ranges):
            head, _, body = part.partition(b'\r\n\r\n')
            self.assertIn(b'\r\nContent-Type: application/octet-stream\r\n', head + b'\r\n')
            self.assertTrue(body == data[first:last + 1] + b'\r\n')

    def test_several(self):
        rng = random.Random(5)
        for name, data in (('small', SMALL), ('large', LARGE)):
            for count in (2, 3, 7, 16) if data is LARGE else (2, 3, 7):
                edges = sorted(rng.sample(range(0, len(data) // 64 + 1), 2 * count))
                ranges = [(first * 64, last * 64 - 1) for first, last in zip(edges[::2], edges[1::2])]
                rng.shuffle(ranges)
                value = 'bytes=' + ', '.join('%d-%d' % pair for pair in ranges)
                with self.subTest(name, count=count), self.conn() as conn:
                    answer = conn.ask('/pub/%s.bin' % name, 'GET', [('Range', value)])
                    self.assertEqual(answer.status, 206)
                    self.check_parts(answer, data, ranges)
                    self.assertEqual(conn.ask('/pub/small.bin').body, SMALL)  # the connection goes on

    def test_several_become_one(self):
        answer = self.check('/pub/small.bin', 206, Range='bytes=0-99,50-149')
        self.assertEqual(answer.get('Content-Range'), 'bytes 0-149/%d' % len(SMALL))
        self.check('/pub/small.bin', 206, Range='bytes=0-99,9000-')

    def test_abuse(self):
        before = self.server.metrics()
        values = ('0-,0-,0-', '0-99,50-149,120-300', ','.join('%d-%d' % (i * 9, i * 9) for i in range(5)),
                  ','.join('%d-%d' % (i * 1000, i * 1000 + 99) for i in range(17)),
                  ','.join(['0-'] * 500))
        for value in values:
            answer = self.check('/pub/large.bin', 416, Range='bytes=' + value)
            self.assertLess(len(answer.body), 100)
        self.counted('ranges_refused_total', before, len(values))
        self.counted('responses_416_total', before, len(values))

    def test_if_range(self):
        answer = self.check('/pub/small.bin', 200)
        etag, modified = answer.get('ETag'), answer.get('Last-Modified')
        for value, status in ((etag, 206), (modified, 206), ('"x"', 200), ('W/' + etag, 200),
                              ('Mon, 01 Jan 2001 00:00:00 GMT', 200), ('nonsense', 200)):
            self.check('/pub/small.bin', status, Range='bytes=0-5', If_Range=value)
        self.check('/pub/small.bin', 304, Range='bytes=0-5', If_None_Match=etag)
        self.check('/pub/small.bin', 412, Range='bytes=0-5', If_Match='"x"')

    def test_http_1_0(self):
        request = weft.request('/pub/large.bin', headers=[('Range', 'bytes=0-99,200-299'),
                                                          ('Connection', 'keep-alive')])
        conn = self.conn()
        conn.send(request.replace(b'HTTP/1.1', b'HTTP/1.0'))
        answer = conn.answer()
        self.assertEqual(answer.status, 206)
        self.check_parts(answer, LARGE, [(0, 99), (200, 299)])
        self.assertEqual(conn.ask('/').status, 200)

    def test_pipelined(self):
        conn = self.conn()
        asks = [('/pub/large.bin', 'bytes=5-299999'), ('/pub/small.bin', 'bytes=0-99,200-299'),
                ('/pub/small.bin', 'bytes=5-9'), ('/pub/large.bin', 'bytes=0-9999,20000-299999')]
        conn.send(b''.join(weft.request(name, headers=[('Range', value)]) for name, value in asks) + weft.HELLO)
        answers = [conn.answer() for _ in range(5)]
        self.assertEqual([answer.status for answer in answers], [206] * 4 + [200])
        self.assertTrue(answers[0].body == LARGE[5:])
        self.check_parts(answers[3], LARGE, [(0, 9999), (20000, 299999)])

    def test_a_client_that_leaves(self):
        before = self.server.descriptors()
        write('left.bin', LARGE * 20)
        for _ in range(5):
            conn = self.conn(receive_bytes=4096)
            conn.send(weft.request('/file/left.bin', headers=[('Range', 'bytes=0-2999999,3000001-')]))
            conn.more()
            conn.reset()
        self.assertTrue(self.server.all_closed())
        # each worker may keep the file, and begin to listen for changes of it (on epoll in two of its)
        most = before + 3 * self.server.workers
        self.assertTrue(weft.wait_until(lambda: self.server.descriptors() <= most, 5))


class Directories(Mounted):
    def test_a_slash_is_missing(self):
        for target, location in (('/pub', '/pub/'), ('/pub/sub', '/pub/sub/'), ('/pub/sub?a=b&c', '/pub/sub/?a=b&c'),
                                 ('/plain', '/plain/'), ('/sub/deep', '/sub/deep/'),
                                 ('/pub/%73ub', '/pub/sub/'), ('/pub//sub?x', '/pub/sub?x'),
                                 ('/pub//sub//', '/pub/sub/')):
            answer = self.check(target, 301)
            self.assertEqual(answer.get('Location'), location)

    def test_a_redirect_stays_here(self):
        for target in ('//sub', '///sub', '//sub/deep', '/%2fsub', '//sub?x'):
            location = self.check(target, 301).get('Location')
            self.assertRegex(location, r'\A/[a-z]')
        os.makedirs(os.path.join(ROOT, '\\host'), exist_ok=True)
        self.assertEqual(self.check('/%5chost', 301).get('Location'), '/%5Chost/')

    def test_a_file_has_one_path(self):
        # What guards /sub/x by its path sees every spelling that leads there.
        for target in ('//indexed/index.html', '/%2findexed/index.html', '/indexed/%2f/index.html'):
            self.assertEqual(self.check(target, 301).get('Location'), '/indexed/index.html')
        for target in ('/dot/./small.bin', '/dot/sub/../small.bin', '/dot/%2e/small.bin', '/dot/sub/..', '/dot/..'):
            self.check(target, 404)

    def test_index(self):
        for target in ('/pub/indexed/', '/indexed/', '/pub/indexed/index.html'):
            answer = self.check(target, 200)
            self.assertEqual((answer.body, answer.get('Content-Type')), (b'<p>index', 'text/html; charset=utf-8'))
            self.check(target, 304, If_None_Match=answer.get('ETag'))
        self.assertEqual(self.check('/plain/', 200).body, b'<p>start')
        self.assertEqual(self.check('/plain/', 206, Range='bytes=0-1').body, b'<p')
        self.check('/plain/indexed/', 404)
        self.check('/sub/', 404)

    def test_listing(self):
        answer = self.check('/pub/', 200)
        self.assertEqual(answer.get('Content-Type'), 'text/html; charset=utf-8')
        names = Links(answer.body.decode()).found
        self.assertEqual(names[0], '../')
        folders = [name for name in names[1:] if name.endswith('/')]
        files = [name for name in names[1:] if not name.endswith('/')]
        self.assertEqual(names[1:], sorted(folders) + sorted(files))
        self.assertTrue({'indexed/', 'many/', 'sub/', 'empty/'} <= set(folders))
        self.assertTrue({'small.bin', 'large.bin', 'page.html'} <= set(files))
        self.assertEqual([name for name in names[1:] if name.startswith('.') or name == 'fifo'], [])
        self.assertIn(b'<td>%d<td>' % len(LARGE), answer.body)
        self.assertEqual(Links(self.check('/pub/empty/', 200).body.decode()).found, ['../'])
        self.assertEqual(self.check('/pub/', 200, method='HEAD').body, b'')
        self.assertTrue({'.git/', '.hidden'} <= set(Links(self.check('/dot/', 200).body.decode()).found))

    def test_odd_names(self):
        body = self.check('/pub/sub/', 200).body.decode()
        odd, = [name for name in Links(body).found if name.startswith('odd')]
        self.assertEqual(urllib.parse.unquote(odd), 'odd <b>&"\'%?#:.txt')
        self.assertNotIn('<b>', body)
        self.assertEqual(self.check('/pub/sub/' + odd, 200).body, b'odd')

    def test_a_listing_has_an_end(self):
        body = self.check('/pub/many/', 200).body
        self.assertEqual(len(Links(body.decode()).found), 1 + 1000)
        self.assertIn(b'There is more', body)

    def test_no_listing(self):
        self.assertEqual(self.check('/pub/nowhere/', 404).body, b'File not found')
        self.check('/pub/small.bin/', 404)
        self.check('/pub/outside/', 403)
        self.check('/pub/sub/out/', 403)
        self.check('/pub/fifo', 404)

    def test_hidden(self):
        for name in ('.hidden', '.git/config', '.git/', '.git', 'sub/.x', '.well-known/.x'):
            self.check('/pub/' + name, 404)
        self.assertEqual(self.check('/pub/.well-known/x', 200).body, b'known')
        self.assertEqual(self.check('/dot/.hidden', 200).body, b'hidden')
        self.assertEqual(self.check('/dot/.git/config', 200).body, b'git')

    def test_nothing_outside(self):
        for mount in ('/pub/', '/dot/', '/'):
            for spelling in demo_files_test.SPELLINGS:
                with self.subTest(mount + spelling):
                    answer = self.ask((mount + spelling).encode('utf-8').decode('latin-1'))
                    self.assertIn(answer.status, (301, 400, 403, 404))
                    self.assertNotIn(demo_files_test.SECRET, answer.body)
                    self.assertNotIn(b'root:', answer.body)

    def test_methods(self):
        for target in ('/pub/small.bin', '/pub/', '/pub'):
            answer = self.check(target, 405, method='DELETE')
            self.assertEqual({'GET', 'HEAD', 'OPTIONS'}, set(answer.get('Allow').split(', ')))

    def test_closer_routes_win(self):
        self.assertEqual(self.check('/', 200).body, b'Hello, World!')
        self.assertEqual(self.check('/page.html', 200).body, b'<p>page')


class Siblings(Mounted):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        write('z.js', b'let plain;', older_s=2000)
        write('z.js.zst', b'zstd bytes', older_s=1000)
        write('z.js.br', b'brotli bytes', older_s=1000)
        write('z.js.gz', gzip.compress(b'let plain;'), older_s=1000)
        write('stale.css', b'new {}', older_s=1000)
        write('stale.css.gz', gzip.compress(b'old {}'), older_s=2000)
        write('z.png', b'png', older_s=2000)
        write('z.png.gz', b'png.gz', older_s=1000)

    def test_chosen(self):
        for accept, coding in (('gzip', 'gzip'), ('br', 'br'), ('zstd', 'zstd'), ('gzip, br, zstd', 'zstd'),
                               ('gzip;q=1, br;q=0.5', 'gzip'), ('zstd;q=0, br', 'br'), ('identity', None),
                               ('deflate', None), ('gzip;q=0', None), ('', None)):
            answer = self.check('/pub/z.js', 200, Accept_Encoding=accept)
            self.assertEqual(answer.get('Content-Encoding'), coding, accept)
            self.assertEqual(answer.get('Vary'), 'Accept-Encoding')
            self.assertEqual(answer.get('Content-Type'), 'text/javascript; charset=utf-8')
        self.assertIsNone(self.check('/pub/z.js', 200).get('Content-Encoding'))
        self.assertEqual(gzip.decompress(self.check('/pub/z.js', 200, Accept_Encoding='gzip').body), b'let plain;')

    def test_nothing_acceptable(self):
        answer = self.check('/pub/z.js', 406, Accept_Encoding='zstd;q=0, br;q=0, gzip;q=0, identity;q=0')
        self.assertEqual(answer.get('Vary'), 'Accept-Encoding')
        answer = self.check('/pub/z.js', 200, Accept_Encoding='gzip, *;q=0')
        self.assertEqual(answer.get('Content-Encoding'), 'gzip')

    def test_another_representation(self):
        answers = [self.check('/pub/z.js', 200, Accept_Encoding=accept) for accept in ('identity', 'gzip', 'br')]
        self.assertEqual(len({answer.get('ETag') for answer in answers}), 3)
        same = self.check('/pub/z.js', 304, Accept_Encoding='gzip', If_None_Match=answers[1].get('ETag'))
        self.assertEqual(same.get('Vary'), 'Accept-Encoding')
        self.check('/pub/z.js', 200, Accept_Encoding='br', If_None_Match=answers[1].get('ETag'))
        for name, data in (('twin.js', b'plain'), ('twin.js.gz', b'gzip.'), ('twin.js.br', b'br...')):
            write(name, data)
            os.utime(os.path.join(ROOT, name), (1e9, 1e9))  # of one size and time: still others
        twins = {self.check('/pub/twin.js', 200, Accept_Encoding=accept).get('ETag') for accept in ('', 'gzip', 'br')}
        self.assertEqual(len(twins), 3)
        part = self.check('/pub/z.js', 206, Accept_Encoding='br', Range='bytes=0-5')
        self.assertEqual((part.body, part.get('Content-Encoding')), (b'brotli', 'br'))

    def test_not_used(self):
        self.assertEqual(self.check('/pub/stale.css', 200, Accept_Encoding='gzip').body, b'new {}')
        answer = self.check('/pub/z.png', 200, Accept_Encoding='gzip')
        self.assertEqual((answer.body, answer.get('Vary')), (b'png', None))
        answer = self.check('/plain/z.js', 200, Accept_Encoding='br')
        self.assertEqual(answer.get('Content-Encoding'), None)
        self.check('/pub/missing.js', 404, Accept_Encoding='gzip')


class CodedOnTheWay(Mounted):
    """Where nothing compressed lies beside it: compress.codings. Its tag is weak then, for its bytes may
    differ from one time to the next; a range is one of the plain file."""

    @classmethod
    def setUpClass(cls):
        write('big.js', b'let x = 1;' * 1000)
        write('own.js', b'let y = 1;' * 1000, older_s=2000)
        write('own.js.gz', b'own gzip bytes', older_s=1000)
        cls.server = weft.Server('-c', os.path.join(BASE, 'weft.yaml'), '--compress-codings', 'gzip')

    def test_beside_comes_first(self):
        answer = self.check('/pub/own.js', 200, Accept_Encoding='gzip')
        self.assertEqual((answer.body, answer.all('Vary')), (b'own gzip bytes', ['Accept-Encoding']))

    def test_coded(self):
        plain = self.check('/pub/big.js', 200)
        etag = plain.get('ETag')
        for _ in range(3):  # from its descriptor, and from memory
            coded = self.check('/pub/big.js', 200, Accept_Encoding='gzip')
            self.assertEqual(gzip.decompress(coded.body), plain.body)
            self.assertEqual((coded.get('ETag'), coded.all('Vary')), ('W/' + etag, ['Accept-Encoding']))
        self.check('/pub/big.js', 304, Accept_Encoding='gzip', If_None_Match='W/' + etag)
        part = self.check('/pub/big.js', 206, Accept_Encoding='gzip', Range='bytes=0-9')
        self.assertEqual((part.body, part.get('Content-Encoding')), (b'let x = 1;', None))
        self.check('/pub/big.js', 200, Accept_Encoding='gzip', Range='bytes=0-9', If_Range='W/' + etag)
        parts = self.check('/pub/big.js', 206, Accept_Encoding='gzip', Range='bytes=0-9,5000-6999')
        self.assertIsNone(parts.get('Content-Encoding'))

    def test_a_listing_is_coded_too(self):
        listing = self.check('/pub/many/', 200, Accept_Encoding='gzip')
        self.assertIn(b'There is more', gzip.decompress(listing.body))


class Settings(unittest.TestCase):
    def test_types(self):
        with weft.Server('-c', os.path.join(BASE, 'weft.yaml'), '--files-charset', '') as server:
            for name, kind in (('a.own', 'application/x-own'), ('start.htm', 'text/x-page'),
                               ('page.html', 'text/html')):
                self.assertEqual(server.ask('/pub/' + name).get('Content-Type'), kind)

    def test_a_flag(self):
        with weft.Server('--static=/x=' + ROOT, '--static', '/pub/=' + os.path.join(ROOT, 'sub'),
                         '-c', os.path.join(BASE, 'weft.yaml')) as server:
            self.assertEqual(server.ask('/x/small.bin').status, 200)
            self.assertEqual(server.ask('/pub/small.bin').status, 404)  # the flag's, not the file's
            self.assertEqual(server.ask('/plain/small.bin').status, 200)

    def test_without_a_program(self):
        """`weft serve`: a directory at /, from the flag or as the root."""
        for flag in ('--static=/=' + ROOT, '--root=' + ROOT):
            with weft.Server(flag, command='serve') as server:
                self.assertEqual(server.ask('/small.bin').body, SMALL)
                self.assertEqual(server.ask('/sub/none').status, 404)
                self.assertNotIn('no directory to serve', server.output())
        with weft.Server(command='serve') as server:
            self.assertEqual(server.ask('/').status, 404)
            self.assertIn('static /: there is no directory to serve (--static, --root)', server.output())

    def test_in_force(self):
        with tempfile.NamedTemporaryFile('w', suffix='.yaml') as again:
            code, out, err = weft.run('settings', '-c', os.path.join(BASE, 'weft.yaml'))
            self.assertEqual((code, err), (0, ''))
            again.write(out)
            again.flush()
            self.assertEqual(weft.run('check', '-c', again.name)[0], 0)
            second = weft.run('settings', '-c', again.name)[1]
            self.assertEqual(second[second.index('static:'):], out[out.index('static:'):])

    def test_mistakes(self):
        for text, line in MISTAKES.items():
            with self.subTest(text), tempfile.NamedTemporaryFile('w', suffix='.yaml') as out:
                out.write(text)
                out.flush()
                code, _, err = weft.run('check', '-c', out.name)
                self.assertEqual(code, 2, err)
                self.assertIn(line, err)
        for flag in ('--static', '--static=/x/', '--static=x=/tmp', '--static=/x/=', '--static=/x/=/nowhere'):
            self.assertEqual(weft.run('check', flag)[0], 2, flag)
        code, _, err = weft.run('check', '--files-charset', 'utf-8; x')
        self.assertEqual(code, 2)
        self.assertIn('is not the name of a charset', err)
        for url in ('/{x}/', '/a*', '/:b', '/user/{id:u64}'):
            code, _, err = weft.run('plan', '--static=%s=/tmp' % url)
            self.assertEqual(code, 2, url)
            self.assertIn('a path without parameters is due', err)

    def test_the_plan_knows(self):
        self.assertIn('media types', weft.run('plan', '--static=/x/=/tmp')[1])
        self.assertNotIn('media types', weft.run('plan')[1])


if __name__ == '__main__':
    unittest.main()
