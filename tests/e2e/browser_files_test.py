"""A browser shows a static mount (page, style, script, picture, listing), and resumes a download that
was cut off: Range and If-Range as a client of others' making sends them."""
# phases: e2e
# seconds: 180
# shows DM-05
import hashlib
import os
import shutil
import socket
import tempfile
import threading
import unittest

import chromium
import weft

MB = 1 << 20
PAGE = b'''<!doctype html><title>shown</title><link rel="stylesheet" href="style.css"><p id="p">text
<img id="i" src="dot.svg"><script type="module" src="script.mjs"></script>'''
FILES = {
    'index.html': PAGE,
    'style.css': b'#p { color: rgb(1, 2, 3) }',
    'script.mjs': b'document.body.dataset.ran = "yes"',
    'dot.svg': b'<svg xmlns="http://www.w3.org/2000/svg" width="7" height="7"></svg>',
    'sub/\xc3\xa4 <&>.txt'.encode('latin-1').decode(): b'odd name',
}


class Cutter:
    """Between browser and server: cuts the first connection that has carried so many bytes back,
    and notes what was asked."""

    def __init__(self, port, after):
        self.port, self.after, self.cut, self.heads = port, after, False, []
        self.listener = socket.create_server(('127.0.0.1', 0))
        threading.Thread(target=self.accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()

    def accept(self):
        while True:
            try:
                client = self.listener.accept()[0]
            except OSError:
                return
            server = socket.create_connection(('127.0.0.1', self.port))
            threading.Thread(target=self.requests, args=(client, server), daemon=True).start()
            threading.Thread(target=self.answers, args=(server, client), daemon=True).start()

    def requests(self, client, server):
        try:
            while data := client.recv(65536):
                self.heads.append(data.decode('latin-1'))
                server.sendall(data)
            server.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def answers(self, server, client):
        passed = 0
        try:
            while data := server.recv(65536):
                client.sendall(data)
                passed += len(data)
                if passed > self.after and not self.cut:
                    self.cut = True
                    break
        except OSError:
            pass
        for end in (client, server):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            end.close()


@chromium.needed
class Browser(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.base = tempfile.mkdtemp(prefix='weft-browser.')
        cls.addClassCleanup(shutil.rmtree, cls.base, ignore_errors=True)
        cls.root = os.path.join(cls.base, 'root')
        os.makedirs(os.path.join(cls.root, 'sub'))
        for name, data in FILES.items():
            with open(os.path.join(cls.root, name), 'wb') as out:
                out.write(data)
        cls.download = os.urandom(8 * MB)
        path = os.path.join(cls.root, 'large.bin')
        with open(path, 'wb') as out:
            out.write(cls.download)
        os.utime(path, (1e9, 1e9))
        cls.server = weft.Server('--root', cls.root)
        cls.addClassCleanup(cls.server.stop)
        cls.browser = chromium.Chromium(cls.base)
        cls.browser.__enter__()
        cls.addClassCleanup(cls.browser.__exit__)

    def url(self, path, port=None):
        return 'http://127.0.0.1:%d/static/%s' % (port or self.server.port, path)

    def test_shows_a_mount(self):
        page = self.browser.open(self.url(''))
        page.wait('document.body && document.body.dataset.ran == "yes"')
        self.assertEqual(page.value('document.title'), 'shown')
        self.assertEqual(page.value('getComputedStyle(document.getElementById("p")).color'), 'rgb(1, 2, 3)')
        page.wait('document.getElementById("i").naturalWidth == 7')

    def test_asks_whether_it_changed(self):
        page = self.browser.open(self.url(''))
        page.wait('document.body && document.body.dataset.ran == "yes"')
        before = self.server.metrics()
        found = page.value('fetch("style.css", {cache: "no-cache"}).then(r => r.text())')
        self.assertEqual(found.encode(), FILES['style.css'])
        self.assertEqual(self.server.metrics()['responses_3xx_total'] - before['responses_3xx_total'], 1)

    def test_walks_through_a_listing(self):
        page = self.browser.open(self.url('sub'))  # is sent on to sub/
        page.wait('document.querySelectorAll("a").length == 2')
        self.assertEqual(page.value('location.pathname'), '/static/sub/')
        page.value('document.querySelectorAll("a")[1].click()')
        page.wait('document.body && document.body.innerText.trim() == "odd name"')

    def test_resumes_a_download(self):
        folder = os.path.join(self.base, 'downloads')
        with Cutter(self.server.port, 3 * MB) as cutter:
            port = cutter.listener.getsockname()[1]
            self.browser.call('Browser.setDownloadBehavior', behavior='allow', downloadPath=folder,
                              eventsEnabled=True)
            self.browser.open(self.url('large.bin', port))
            self.browser.event('Browser.downloadProgress', lambda found: found['state'] == 'completed', 40)
            with open(os.path.join(folder, 'large.bin'), 'rb') as found:
                self.assertEqual(hashlib.sha256(found.read()).digest(), hashlib.sha256(self.download).digest())
            asked = [head for head in cutter.heads if head.startswith('GET /static/large.bin')]
        self.assertTrue(cutter.cut)
        self.assertEqual(len(asked), 2)
        etag = self.server.ask('/static/large.bin', 'HEAD').get('ETag')
        self.assertRegex(asked[1], r'(?i)\r\nrange: bytes=\d{6,}-\r\n')
        self.assertIn('\r\nif-range: %s\r\n' % etag, asked[1].replace('If-Range', 'if-range'))


if __name__ == '__main__':
    unittest.main()
