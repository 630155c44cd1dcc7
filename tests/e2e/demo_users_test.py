"""JSON through the demo's /users: pages and fields, an array of 100,000 in constant memory, a body bound to a
struct with the path of what does not fit."""
# seconds: 60
import json
import unittest

import weft

KB = 1 << 10
USERS = 100000


def user(number):
    return {'id': number, 'name': 'User %d' % number, 'email': 'user%d@example.com' % number,
            'age': 18 + (number - 1) % 60}


class Lists(weft.Case):
    flags = ('--workers', '1')

    def page(self, query):
        answer = self.get('/users' + query)
        self.assertEqual((answer.status, answer.get('Content-Type')), (200, 'application/json'))
        return json.loads(answer.body)

    # shows SF-09
    def test_pages(self):
        for query, number, size, first in (('', 1, 20, 1), ('?page=2', 2, 20, 21), ('?size=3', 1, 3, 1),
                                           ('?page=2&size=50', 2, 50, 51), ('?size=1000&page=100', 100, 1000, 99001)):
            with self.subTest(query):
                self.assertEqual(self.page(query), {
                    'page': number, 'size': size, 'total': USERS,
                    'users': [user(first + i) for i in range(size)]})

    # shows SF-09
    def test_fields(self):
        found = self.page('?page=2&size=50&fields=name')
        self.assertEqual(found['users'], [{'name': 'User %d' % (51 + i)} for i in range(50)])
        found = self.page('?size=2&fields=age,id')  # in the order of the struct
        self.assertEqual(found['users'], [{'id': 1, 'age': 18}, {'id': 2, 'age': 19}])
        self.assertEqual(self.page('?size=1&fields=n%61me%2Cage')['users'], [{'name': 'User 1', 'age': 18}])

    def test_the_last_page_and_what_is_behind_it(self):
        self.assertEqual([one['id'] for one in self.page('?page=14286&size=7&fields=id')['users']],
                         [99996, 99997, 99998, 99999, 100000])
        for query in ('?page=5001', '?page=18446744073709551615&size=1'):
            self.assertEqual(self.page(query)['users'], [])

    def test_what_a_page_may_not_be(self):
        before = self.server.metrics()
        bad = (('page=0', 'page must be 1 to '), ('page=', 'page must'), ('page=x', 'page must'),
               ('page=-1', 'page must'), ('page=1.5', 'page must'), ('page=18446744073709551616', 'page must'),
               ('page=9223372036854775808&size=2', 'page must'), ('page', 'page must'), ('page=%', 'page must'),
               ('size=0', 'size must be 1 to 1000'), ('size=1001', 'size must'), ('size=x', 'size must'),
               ('fields=', 'fields: no field ""'), ('fields=name,', 'fields: no field ""'),
               ('fields=name,x', 'fields: no field "x"'), ('all&fields=%22', 'fields: no field """'))
        for query, text in bad:
            with self.subTest(query):
                answer = self.get('/users?' + query)
                self.assertEqual(answer.status, 400)
                self.assertTrue(answer.body.decode().startswith(text), answer.body)
        self.counted('json_bad_field_total', before, len(bad))

    # shows SF-08, DM-12
    def test_a_hundred_thousand(self):
        self.server.memory()
        answer = self.get('/users?all')
        self.assertEqual((answer.status, answer.get('Content-Type')), (200, 'application/json'))
        self.assertGreater(len(answer.body), 7e6)
        self.assertEqual(json.loads(answer.body), [user(1 + i) for i in range(USERS)])
        top = json.loads(self.server.admin('/memory/top').body)['top']
        peaks = next(row for row in top if row['route'] == 'GET /users')
        held = sum(peaks[what]['peak'] for what in ('arena', 'stack', 'body', 'heap'))
        self.assertGreater(held, 0)
        self.assertLessEqual(held, 64 * KB)

    def test_chosen_fields_of_all(self):
        found = json.loads(self.get('/users?all&fields=id').body)
        self.assertEqual(found, [{'id': 1 + i} for i in range(USERS)])

    # shows SF-08
    @unittest.skipIf(weft.SANITIZED, 'a sanitizer keeps memory')
    def test_a_slow_client_costs_no_memory(self):
        self.get('/users?all')  # once, so that all that is kept is there
        before = self.server.rss()
        with self.server.conn(receive_bytes=4096) as conn:
            conn.send(weft.request('/users?all'))
            conn.until(b'"User 10"')
            self.assertLess(self.server.rss() - before, 256 * KB)

    def test_a_client_that_leaves_ends_it(self):
        before = self.server.metrics()
        conn = self.conn(receive_bytes=4096)
        conn.send(weft.request('/users?all'))
        conn.until(b'"User 10"')
        conn.reset()
        self.counted('streams_broken_total', before)


class Bodies(weft.Case):
    def post(self, body, kind='application/json', **kwargs):
        headers = [('Content-Type', kind)] if kind else []
        body = body if isinstance(body, bytes) else body.encode()
        return self.get('/users', method='POST', headers=headers, body=body, **kwargs)

    def created(self, body, wanted):
        answer = self.post(body)
        self.assertEqual((answer.status, answer.get('Content-Type')), (201, 'application/json'), answer.body)
        self.assertEqual(json.loads(answer.body), wanted)

    # shows DM-14, ZC-05
    def test_a_struct_is_filled(self):
        self.created('{"name":"Ada","age":36}', {'id': 100001, 'name': 'Ada', 'age': 36})
        self.created(' { "age" : 0 , "more" : [ { } ] , "email":"a@b", "name" : "\\u00e4\\"\\n\\ud83d\\ude00" } ',
                     {'id': 100001, 'name': 'ä"\n😀', 'age': 0, 'email': 'a@b'})
        self.created(json.dumps({'name': 'x' * 64, 'age': 150, 'email': None, 'pad': 'y' * 3000}),
                     {'id': 100001, 'name': 'x' * 64, 'age': 150})

    # shows DM-14
    def test_what_does_not_fit_is_named(self):
        before = self.server.metrics()
        bad = (('{"name":5,"age":1}', 'name', 'name must be a string'),
               ('{"name":"x","age":"1"}', 'age', 'age must be an integer'),
               ('{"name":"x","age":1.5}', 'age', 'age must be an integer'),
               ('{"name":"x","age":151}', 'age', 'age must be 0 to 150'),
               ('{"name":"","age":1}', 'name', 'name must be 1 to 64 bytes'),
               ('{"name":"x"}', 'age', 'age is missing'),
               ('{"name":"x","age":1,"age":2}', 'age', 'age is given twice'),
               ('[]', '', 'must be an object'))
        for body, field, detail in bad:
            with self.subTest(body):
                answer = self.post(body)
                self.assertEqual((answer.status, answer.get('Content-Type')), (400, 'application/problem+json'))
                problem = json.loads(answer.body)
                self.assertEqual((problem['field'], problem['detail']), (field, detail))
                self.assertEqual((problem['status'], problem['title']), (400, 'Bad Request'))
        self.counted('json_bad_field_total', before, len(bad))

    def test_what_is_no_json(self):
        before = self.server.metrics()
        bad = (('', 0, 'the text ends early'), ('{"name":"x"', 11, 'the text ends early'),
               ('{"name":"x",}', 12, 'a name in quotes is expected'), ('{"name":"x","age":1}}', 20, 'something behind'),
               (b'{"name":"\xff"}', 9, 'name invalid UTF-8'), ('{"name":"\\ud800"}', 15, 'name half of a surrogate'),
               (b'\xef\xbb\xbf{}', 0, 'must be an object'))
        for body, offset, detail in bad[:-1]:
            with self.subTest(body):
                answer = self.post(body)
                self.assertEqual(answer.status, 400)
                problem = json.loads(answer.body)
                self.assertTrue(problem['detail'].startswith(detail), problem)
                self.assertEqual(problem['offset'], offset)
        self.counted('json_bad_syntax_total', before, len(bad) - 1)
        self.assertEqual(self.post(bad[-1][0]).status, 400)

    def test_levels_have_a_limit(self):
        before = self.server.metrics()
        answer = self.post('{"name":"x","age":1,"more":%s}' % ('[' * 5000))
        self.assertEqual(answer.status, 413)
        self.assertEqual(json.loads(answer.body)['detail'], 'too many levels')
        self.counted('json_limit_total', before)

    def test_media_types(self):
        body = '{"name":"Ada","age":36}'
        for kind in ('application/json', 'Application/JSON; charset=utf-8', 'application/vnd.api+json', 'text/x+JSON'):
            with self.subTest(kind):
                self.assertEqual(self.post(body, kind).status, 201)
        before = self.server.metrics()
        others = (None, 'text/plain', 'application/x-www-form-urlencoded', 'json', '+json', 'application/jsonx')
        for kind in others:
            with self.subTest(kind):
                self.assertEqual(self.post(body, kind).status, 415)
        self.counted('http_bad_media_type_total', before, len(others))
        self.counted('responses_415_total', before, len(others))

    def test_bodies_in_pieces(self):
        """Cut anywhere, chunked, or longer than a receive buffer: then it is gathered in the arena."""
        text = json.dumps({'name': 'Ada \u00fc', 'age': 36, 'pad': 'y' * 100}).encode()
        wanted = {'id': 100001, 'name': 'Ada \u00fc', 'age': 36}
        head = (b'POST /users HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n'
                b'Content-Length: %d\r\n\r\n' % len(text))
        with self.server.conn() as conn:
            for cut in range(0, len(text), 13):
                conn.send(head + text[:cut])
                self.server.ask('/health')  # so that it has arrived
                conn.send(text[cut:])
                self.assertEqual(json.loads(conn.answer().body), wanted)
            conn.send(head.replace(b'Content-Length: %d' % len(text), b'Transfer-Encoding: chunked') +
                      weft.chunked([text[:9], text[9:50], text[50:]]))
            self.assertEqual(json.loads(conn.answer().body), wanted)
            conn.send((head + text) * 20)  # one behind the other: bodies are read where they lie
            for _ in range(20):
                self.assertEqual(json.loads(conn.answer().body), wanted)
        self.created(json.dumps({'pad': 'y' * 12000, 'name': 'x', 'age': 1}), {'id': 100001, 'name': 'x', 'age': 1})

    # shows SF-08
    def test_a_body_of_a_hundred_thousand(self):
        body = json.dumps([user(1 + i) for i in range(USERS)]).encode()
        answer = self.get('/users/census', method='POST', headers=[('Content-Type', 'application/json')], body=body)
        self.assertEqual(json.loads(answer.body), {'users': USERS, 'years': sum(18 + i % 60 for i in range(USERS))})
        top = json.loads(self.server.admin('/memory/top').body)['top']
        peaks = next(row for row in top if row['route'] == 'POST /users/census')
        self.assertLessEqual(sum(peaks[what]['peak'] for what in ('arena', 'stack', 'body', 'heap')), 64 * KB)
        body = body[:-1] + b',{"name":"x","age":"1"}]'
        answer = self.get('/users/census', method='POST', headers=[('Content-Type', 'application/json')], body=body)
        self.assertEqual(answer.status, 400)
        self.assertEqual(json.loads(answer.body)['field'], '[100000].age')

    def test_a_body_beyond_the_routes_memory(self):
        before = self.server.metrics()
        self.assertEqual(self.post('{"pad":"%s"}' % ('y' * 40000)).status, 413)
        self.counted('http_body_too_large_total', before)
        self.counted('responses_413_total', before)


if __name__ == '__main__':
    unittest.main()
