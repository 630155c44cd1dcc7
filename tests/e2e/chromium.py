"""A real browser: Chromium without a screen, driven over a pipe by its DevTools protocol (no web
socket, no library). In Debian: chromium, which packages.txt lists under [test].

    with Chromium(folder) as browser:
        page = browser.open('http://127.0.0.1:1234/')
        page.wait('document.title == "x"')

One at a time on a machine: it has eight processes, and of several on two cores each waits half a minute for
its turn.
"""
import fcntl
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
import unittest

import weft

PATH = shutil.which('chromium') or shutil.which('chromium-browser')
needed = unittest.skipUnless(PATH, 'chromium is not there: apt-get install chromium')


class Navigated(AssertionError):
    """The page that was asked has gone: another one is coming."""


class Page:
    def __init__(self, browser, session):
        self.browser, self.session = browser, session

    def call(self, method, **params):
        return self.browser.call(method, self.session, **params)

    def value(self, expression):
        """What a JavaScript expression is; a promise is waited for."""
        found = self.call('Runtime.evaluate', expression=expression, awaitPromise=True, returnByValue=True)
        if 'exceptionDetails' in found:
            raise AssertionError(found['exceptionDetails'])
        return found['result'].get('value')

    def wait(self, expression, seconds=40):
        """Until it is true, on this page or the one that is coming."""
        def true():
            try:
                return self.value(expression)
            except Navigated:
                return False
        if not weft.wait_until(true, seconds * weft.SLOWER, 0.05):
            raise AssertionError('%s: never; the page is %s' % (
                expression, self.value('document.documentElement.outerHTML')[:2000]))


class Chromium:
    def __init__(self, folder):
        self.folder = folder
        self.events, self.number, self.rest = [], 0, b''

    def __enter__(self):
        self.turn = open(os.path.join(tempfile.gettempdir(), 'weft-chromium.%d' % os.getuid()), 'wb')
        fcntl.flock(self.turn, fcntl.LOCK_EX)  # until it is closed, or this process ends
        ours, theirs = os.pipe(), os.pipe()  # commands to it, what it says
        profile = os.path.join(self.folder, 'profile')
        command = [PATH, '--headless', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage',
                   '--no-first-run', '--disable-background-networking', '--disable-component-update',
                   '--disable-sync', '--disable-extensions', '--no-proxy-server',
                   '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1',
                   '--remote-debugging-pipe', '--user-data-dir=' + profile]

        def pipes():  # it reads from 3 and writes to 4
            reading, writing = os.dup(ours[0]), os.dup(theirs[1])
            os.dup2(reading, 3)
            os.dup2(writing, 4)
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL, close_fds=False, preexec_fn=pipes)
        os.close(ours[0])
        os.close(theirs[1])
        self.to, self.come = ours[1], theirs[0]
        return self

    def __exit__(self, *_):
        try:
            self.send('Browser.close', None, {})
            self.process.wait(10 * weft.SLOWER)
        except (OSError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait()
        os.close(self.to)
        os.close(self.come)
        self.turn.close()

    def send(self, method, session, params):
        self.number += 1
        message = {'id': self.number, 'method': method, 'params': params}
        if session:
            message['sessionId'] = session
        os.write(self.to, json.dumps(message).encode() + b'\0')
        return self.number

    def message(self, seconds):
        """The next message, of whatever kind; None: none came in time."""
        end = time.monotonic() + seconds
        while b'\0' not in self.rest:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.come], [], [], left)[0]:
                return None
            more = os.read(self.come, 65536)
            if not more:
                raise AssertionError('chromium has gone: exit %s' % self.process.poll())
            self.rest += more
        text, _, self.rest = self.rest.partition(b'\0')
        return json.loads(text)

    def call(self, method, session=None, **params):
        number = self.send(method, session, params)
        while True:
            found = self.message(60 * weft.SLOWER)
            if found is None:
                raise AssertionError('chromium does not answer %s' % method)
            if found.get('id') != number:
                self.events.append(found)
            elif 'error' in found:
                why = found['error'].get('message', '')
                gone = 'target navigated' in why or 'execution context' in why.lower()
                raise (Navigated if gone else AssertionError)('%s: %s' % (method, found['error']))
            else:
                return found['result']

    def event(self, method, wanted=lambda params: True, seconds=20):
        """The next event of that kind whose parameters are wanted."""
        end = time.monotonic() + seconds * weft.SLOWER
        while True:
            for i, found in enumerate(self.events):
                if found.get('method') == method and wanted(found['params']):
                    del self.events[i]
                    return found['params']
            more = self.message(max(0, end - time.monotonic()))
            if more is None:
                raise AssertionError('%s: never; there were %s' % (method, self.events[-20:]))
            self.events.append(more)

    def open(self, url):
        target = self.call('Target.createTarget', url=url)['targetId']
        return Page(self, self.call('Target.attachToTarget', targetId=target, flatten=True)['sessionId'])
