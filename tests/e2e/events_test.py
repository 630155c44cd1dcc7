"""Server-sent events: one event to all who listen, on all workers; who comes back gets what it missed;
who is slow, goes or never reads is nobody's trouble; a subscriber costs a few dozen bytes."""
# phases: e2e asan tsan
# seconds: 180
# shows SF-10, SF-11
import re
import resource
import tempfile
import threading
import time
import unittest

import chromium
import weft

HELD = weft.volume(1500, 100)
EVENT = re.compile(r'(?:id: (.*)\n)?(?:event: (.*)\n)?((?:data: .*\n)+)\n')


class Listener:
    """A client of /events: what has come so far, read when it is looked at."""

    def __init__(self, server, last=None, version='1.1', **kwargs):
        self.conn = server.conn(**kwargs)
        headers = [('Last-Event-ID', last)] if last is not None else []
        self.conn.send(weft.request('/events', headers=headers, version=version))
        self.chunked, self.text = version == '1.1', ''
        self.status, _, self.headers = weft.parse_head(self.conn.until(b'\r\n\r\n'))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.conn.close()

    def piece(self):
        """More text; False at the end of the body."""
        if not self.chunked:
            if not self.conn.buffer and not self.conn.more():
                return False
            self.text += self.conn.buffer.decode()
            self.conn.buffer.clear()
            return True
        line = self.conn.until(b'\r\n')
        if line is None:
            return False
        size, parts = int(line, 16), []
        self.conn.take(parts, size)
        if self.conn.until(b'\r\n', 2) != b'':
            raise weft.Malformed('a chunk is not followed by CRLF')
        self.text += b''.join(parts).decode()
        return size > 0

    def events(self, count):
        """So many events, as (id, event, data)."""
        while True:
            found = EVENT.findall(self.text)
            if len(found) >= count:
                return [(name, kind, '\n'.join(line[6:] for line in data.splitlines()))
                        for name, kind, data in found]
            if not self.piece():
                raise weft.Short('%d events of %d' % (len(found), count))


class Events(weft.Case):
    flags = ('--workers', '2')

    def listener(self, *args, **kwargs):
        listener = Listener(self.server, *args, **kwargs)
        self.addCleanup(listener.conn.close)
        return listener

    def publish(self, data, query=''):
        answer = self.get('/events' + query, method='POST', body=data.encode())
        self.assertEqual(answer.status, 202)
        return int(answer.body.split()[0])

    def listening(self, count):
        return weft.wait_until(lambda: self.server.metrics()['subscribers'] == count)

    def setUp(self):
        super().setUp()
        self.assertTrue(self.listening(0))

    def test_all_get_it(self):
        listeners = [self.listener(version=version) for version in ('1.1', '1.0') * 4]
        self.assertTrue(self.listening(8))
        self.assertEqual(self.publish('hello\nworld', '?event=greeting&id=a'), 8)
        self.publish('more')
        for listener in listeners:
            first, second = listener.events(2)
            self.assertEqual(first, ('a', 'greeting', 'hello\nworld'))
            self.assertRegex(second[0], r'\A\d{10,}\Z')
            self.assertEqual(second[1:], ('', 'more'))
            self.assertEqual(dict(listener.headers)['Content-Type'], 'text/event-stream')
            self.assertTrue(listener.text.startswith('retry: 1000\n\n'))

    def test_last_event_id(self):
        for n in range(3):
            self.publish('event %d' % n, '?id=n%d' % n)
        with self.listener(last='n0') as behind:
            self.assertEqual([event[2] for event in behind.events(2)], ['event 1', 'event 2'])
        with self.listener(last='n2') as newest:
            self.publish('event 3')
            self.assertEqual([event[2] for event in newest.events(1)], ['event 3'])
        with self.listener(last='of another time') as old:
            while 'event 3' not in old.text:
                old.piece()
            self.assertEqual([event[2] for event in old.events(4)][-2:], ['event 2', 'event 3'])

    def test_head(self):
        answer = self.get('/events', method='HEAD')
        self.assertEqual((answer.status, answer.get('Content-Type')), (200, 'text/event-stream'))
        self.assertEqual(self.server.metrics()['subscribers'], 0)

    def test_bad_events(self):
        for query in ('?event=a%0ab', '?id=a%0db', '?id=' + 65 * 'i'):
            self.assertEqual(self.get('/events' + query, method='POST', body=b'x').status, 400)
        self.assertEqual(self.get('/events', method='POST', body=b'x' * 2100).status, 413)

    def test_it_hears_who_goes_within_a_second(self):
        """shows SF-11: whoever closes or resets, is gone from the books."""
        closing, resetting = self.listener(), self.listener()
        half, staying = self.listener(), self.listener()
        self.assertTrue(self.listening(4))
        started = time.monotonic()
        closing.conn.close()
        resetting.conn.reset()
        half.conn.half_close()
        self.assertTrue(self.listening(1))
        self.assertLess(time.monotonic() - started, 1 + weft.SLOWER)
        self.assertEqual(self.publish('still'), 1)
        self.assertEqual(staying.events(1)[0][2], 'still')

    def test_what_it_says_is_not_listened_to(self):
        listener = self.listener()
        listener.conn.send(weft.HELLO * 1000)
        self.publish('x')
        self.assertEqual(listener.events(1)[0][2], 'x')

    def test_a_slow_one_is_nobodys_trouble(self):
        """shows SF-10: it takes nothing, others get all at once; then it is closed, and counted."""
        before = self.server.metrics()
        slow, quick = self.listener(receive_bytes=2048), self.listener()
        got, count, size, publisher = 0, 0, 1900, self.conn()
        while count < 20000:
            publisher.send(64 * weft.request('/events', 'POST', body=b'x' * size))
            for _ in range(64):
                self.assertEqual(publisher.answer('POST').status, 202)
            count += 64
            got = len(quick.events(64))
            self.assertEqual(got, 64)
            quick.text = ''
            sent = self.server.metrics()['events_sent_total'] - before['events_sent_total']
            if sent < 2 * count - 300:  # one is behind by more than the ring holds
                break
        else:
            self.fail('a socket took everything')
        events = 0
        try:
            while slow.piece():
                events += 1
        except (ConnectionResetError, weft.Short):
            pass
        self.assertLess(events, count)
        self.assertTrue(self.listening(1))
        self.assertEqual(self.server.metrics()['subscribers_slow_total'],
                         before['subscribers_slow_total'] + 1)

    def test_published_by_many_at_once(self):
        """From both workers, faster than the ring: every listener gets each event once, whole, those
        of one publisher in their order."""
        listeners = [self.listener() for _ in range(6)]
        each = weft.volume(150, 60)

        def publish(who):
            with self.server.conn() as conn:
                for n in range(each):
                    answer = conn.ask('/events', 'POST', body=b'%d %d' % (who, n))
                    self.assertEqual(answer.status, 202)
        threads = [threading.Thread(target=publish, args=(who,)) for who in range(4)]
        for thread in threads:
            thread.start()
        for listener in listeners:
            seen = [0] * 4
            for _, _, data in listener.events(4 * each):
                who, n = map(int, data.split())
                self.assertEqual(n, seen[who])
                seen[who] += 1
            self.assertEqual(seen, [each] * 4)
        for thread in threads:
            thread.join()


class Held(weft.Case):
    """Many at once: no stack, no buffer, no request."""
    flags = ('--workers', '1', '--subscribers-max', str(HELD))

    @classmethod
    def setUpClass(cls):
        weft.raise_descriptors(HELD + 100)
        super().setUpClass()

    def owned(self):
        return {owner['owner']: owner for owner in self.server.memory()['owners']
                if owner['worker'] != 'admin'}

    def test_each_is_a_few_dozen_bytes(self):
        self.get('/events', method='POST', body=b'x')
        before, rss = self.owned(), self.server.reset_peak()
        listeners = [Listener(self.server) for _ in range(HELD)]
        self.addCleanup(lambda: [listener.conn.close() for listener in listeners])
        self.assertTrue(weft.wait_until(lambda: self.server.metrics()['active'] == 0))
        now = self.owned()
        for owner in ('active', 'blocks', 'stacks', 'arenas'):
            self.assertEqual(now[owner]['used'], 0, owner)
        used = now['subscribers']['used'] + now['connections']['used'] - before['connections']['used']
        self.assertLessEqual(used / HELD, 128)
        if not weft.SANITIZED:
            # connections come one by one here: at no time was there more than theirs and a request's
            self.assertLess(self.server.status('VmHWM') - rss, HELD * 128 + (1 << 19))
        with self.server.conn() as one_more:
            self.assertEqual(one_more.ask('/events').status, 503)
        self.assertEqual(self.server.metrics()['subscribers_refused_total'], 1)
        self.assertEqual(self.get('/events', method='POST', body=b'to all').body,
                         b'%d subscribers\n' % HELD)
        for listener in listeners:
            self.assertEqual(listener.events(1)[0][2], 'to all')


class Drain(weft.Case):
    def test_the_end_is_told(self):
        listeners = [Listener(self.server, version=version) for version in ('1.1', '1.0')]
        self.server.stop()
        for listener in listeners:
            while listener.piece():
                pass
            self.assertEqual(listener.text, 'retry: 1000\n\n')
            listener.conn.close()
        type(self).server = weft.Server()


@unittest.skipUnless(weft.ENGINE == 'uring', 'direct descriptors are io_uring\'s')
class Direct(weft.Case):
    """The same on connections without descriptors."""

    def test_events(self):
        def few():
            resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
        with weft.Server('--connections-max', '300', preexec=few) as server:
            listeners = [Listener(server, version=version) for version in ('1.1', '1.0') * 100]
            server.ask('/events', 'POST', body=b'hello')
            for listener in listeners:
                self.assertEqual(listener.events(1)[0][2], 'hello')
            for listener in listeners:
                listener.conn.close()
            self.assertTrue(server.all_closed())


@chromium.needed
@unittest.skipIf(weft.SANITIZED, 'once is enough')
class Browser(weft.Case):
    def test_a_browser_listens_and_comes_back(self):
        folder = tempfile.TemporaryDirectory(prefix='weft-events.')
        self.addCleanup(folder.cleanup)
        with chromium.Chromium(folder.name) as browser:
            page = browser.open('http://127.0.0.1:%d/health' % self.server.port)
            page.wait('location.pathname == "/health"')
            page.value('window.got = [], window.source = new EventSource("/events"), '
                       'source.addEventListener("news", e => got.push(e.lastEventId + " " + e.data)), 1')
            page.wait('source.readyState == 1')
            self.get('/events?event=news&id=one', method='POST', body='gr\u00fc\u00dfe\nall'.encode())
            page.wait('got.length == 1')
            self.assertEqual(page.value('got[0]'), 'one gr\u00fc\u00dfe\nall')
            # Its connection breaks; it comes back with the last id, and gets what it missed.
            for copy in weft.socket_of(self.server.pid, self.server.port):
                copy.shutdown(2)
                copy.close()
            self.get('/events?event=news&id=two', method='POST', body=b'missed')
            page.wait('got.length == 2')
            self.assertEqual(page.value('got[1]'), 'two missed')


if __name__ == '__main__':
    unittest.main()
