#!/usr/bin/env python3
"""Runs end-to-end tests: each *_test.py as a process of its own, once per engine.

    tests/e2e/run.py                        all of tests/e2e, both engines, build/weft
    tests/e2e/run.py --engine epoll hello   hello_test.py on epoll only
    tests/e2e/run.py --dir tests/mem

A test file is plain unittest. It finds the binary in WEFT_BIN, the engine in WEFT_ENGINE and the
phase in WEFT_PHASE. Comment lines in it, at the left margin, say where it runs:

    # phases: e2e asan tsan   the phases that it belongs to (without: e2e and asan)
    # engines: uring          the engines that it runs on (without: each)
    # seconds: 90             its timeout (without: 60; four times as much under a sanitizer)
    # alone                   never beside another one: it measures time
    # quiet                   beside other quiet ones only: it waits, and looks at the clock
"""
import argparse
import concurrent.futures
import ctypes
import glob
import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
SANITIZED = ('asan', 'tsan', 'rehearsal')
SYS_IO_URING_SETUP = 425


class Result(unittest.TextTestResult):
    """Counts tests, not sub-tests: a test with one failed sub-test is one failure."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.passed = 0

    def addSuccess(self, test):
        super().addSuccess(test)
        self.passed += 1

    def addExpectedFailure(self, test, err):
        super().addExpectedFailure(test, err)
        self.passed += 1

    def broken(self):
        """What failed, and the last line of why."""
        found = {}
        for test, why in self.failures + self.errors + [(test, 'it passed') for test in self.unexpectedSuccesses]:
            found.setdefault(getattr(test, 'test_case', test).id(), why.strip().split('\n')[-1])
        return found

    def totals(self):
        return {'passed': self.passed, 'failed': len(self.broken()), 'skipped': len(self.skipped)}


def run_one(path, result_path):
    """In the child: run one file, write its totals."""
    sys.path[:0] = [os.path.dirname(path), HERE]
    spec = importlib.util.spec_from_file_location(os.path.basename(path)[:-3], path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    tests = unittest.defaultTestLoader.loadTestsFromModule(module)
    result = unittest.TextTestRunner(resultclass=Result, verbosity=2).run(tests)
    with open(result_path, 'w', encoding='utf-8') as out:
        json.dump((result.totals(), result.broken()), out)
    return 0 if result.wasSuccessful() else 1


class File:
    """A test file and what its comment lines say."""

    def __init__(self, path, phase):
        with open(path, encoding='utf-8') as source:
            text = source.read()
        self.path = path
        self.name = os.path.basename(path)[:-len('_test.py')]
        self.phases = self.words(text, 'phases') or ['e2e', 'asan']
        self.engines = self.words(text, 'engines')
        self.seconds = int((self.words(text, 'seconds') or ['60'])[0])
        if phase in SANITIZED:
            self.seconds *= 4
        # how many of its kind run at a time; 0: as many as are asked for
        self.width = (1 if re.search(r'^# alone\b', text, re.M) else
                      2 if re.search(r'^# quiet\b', text, re.M) else 0)

    @staticmethod
    def words(text, key):
        found = re.search(r'^# ' + key + r':(.*)$', text, re.M)
        return found.group(1).split() if found else []


def uring_refused():
    """Why io_uring cannot be used here; None when it can."""
    libc = ctypes.CDLL(None, use_errno=True)
    params = ctypes.create_string_buffer(256)
    fd = libc.syscall(SYS_IO_URING_SETUP, 2, params)
    if fd < 0:
        return os.strerror(ctypes.get_errno())
    os.close(fd)
    return None


def run_child(job, args):
    """One file on one engine. Returns (totals, what failed and why, seconds, output)."""
    file, engine = job
    env = dict(os.environ, WEFT_BIN=os.path.abspath(args.bin), WEFT_ENGINE=engine,
               WEFT_PHASE=args.phase, PYTHONDONTWRITEBYTECODE='1')
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix='weft-e2e.') as scratch:
        result_path = os.path.join(scratch, 'result')
        with open(os.path.join(scratch, 'output'), 'w+b') as output:
            child = subprocess.Popen(
                [sys.executable, os.path.join(HERE, 'run.py'), '--one', file.path, result_path],
                env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=ROOT,
                start_new_session=True)
            note = ''
            try:
                child.wait(timeout=file.seconds)
                if child.returncode < 0:
                    note = '\nkilled by signal %d' % -child.returncode
            except subprocess.TimeoutExpired:
                note = '\nno end after %d s' % file.seconds
            try:  # our own session: the servers that a broken test left behind
                os.killpg(child.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            child.wait()
            output.seek(0)
            text = output.read().decode('utf-8', 'replace') + note
        try:
            with open(result_path, encoding='utf-8') as source:
                totals, broken = json.load(source)
        except (OSError, ValueError):
            totals, broken = {'passed': 0, 'failed': 1, 'skipped': 0}, {}
    if sum(totals.values()) == 0:
        totals['failed'] = 1
        text += '\nno test in this file'
    if (note or child.returncode) and totals['failed'] == 0:
        totals['failed'] = 1
    if totals['failed'] and not broken:
        broken[file.name + '_test'] = text.strip().split('\n')[-1]
    return totals, broken, time.monotonic() - started, text


def run_jobs(jobs, width, args, total, failures):
    with concurrent.futures.ThreadPoolExecutor(max(width, 1)) as pool:
        waiting = {pool.submit(run_child, job, args): job for job in jobs}
        for done in concurrent.futures.as_completed(waiting):
            file, engine = waiting[done]
            totals, broken, seconds, text = done.result()
            failures += ['%s [%s]: %s' % (name, engine, why) for name, why in broken.items()]
            for key, value in totals.items():
                total[key] += value
            word = 'FAIL' if totals['failed'] else 'ok  '
            print('%s %s [%s] %d passed, %d failed, %d skipped, %.1f s' % (
                word, file.name, engine, totals['passed'], totals['failed'], totals['skipped'],
                seconds), flush=True)
            if totals['failed']:
                print('    ' + text.strip().replace('\n', '\n    '), flush=True)


def collect(args, total):
    """The jobs of this run, (file, engine) each; what the machine cannot do counts as skipped."""
    engines = args.engine or ['uring', 'epoll']
    refused = uring_refused() if 'uring' in engines else None
    if refused:
        print('note: io_uring is refused here (%s): its runs are skipped' % refused)
    jobs = []
    paths = [path for folder in args.dir
             for path in sorted(glob.glob(os.path.join(ROOT, folder, '*_test.py')))]
    for path in paths:
        file = File(path, args.phase)
        if args.names and file.name not in args.names:
            continue
        if not args.names and args.phase not in file.phases:
            continue
        for engine in file.engines or engines:
            if engine not in engines:
                continue
            if engine == 'uring' and refused:
                total['skipped'] += 1
                continue
            jobs.append((file, engine))
    return jobs


def main():
    if len(sys.argv) == 4 and sys.argv[1] == '--one':
        return run_one(sys.argv[2], sys.argv[3])
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--bin', default=os.environ.get('WEFT_BIN', os.path.join(ROOT, 'build/weft')))
    parser.add_argument('--dir', action='append', help='tests/e2e; may be given more than once')
    parser.add_argument('--engine', action='append', choices=['uring', 'epoll'])
    parser.add_argument('--phase', default='e2e')
    parser.add_argument('--json', help='write the totals here')
    parser.add_argument('-j', type=int, default=2, help='files at a time')
    parser.add_argument('names', nargs='*', help='hello for hello_test.py')
    args = parser.parse_args()
    args.dir = args.dir or ['tests/e2e']

    total, failures = {'passed': 0, 'failed': 0, 'skipped': 0}, []
    # The longest first, so that none is alone at the end.
    jobs = sorted(collect(args, total), key=lambda job: -job[0].seconds)
    known = {file.name for file, _ in jobs}
    for name in args.names:
        if name not in known and total['skipped'] == 0:
            failures.append('%s: no such test in %s' % (name, ' or '.join(args.dir)))
            total['failed'] += 1
    if jobs and not os.access(args.bin, os.X_OK):
        failures.append('%s is not there: %d test files not run' % (args.bin, len(jobs)))
        total['failed'] += len(jobs)
        jobs = []
    for width in (0, 2, 1):
        run_jobs([job for job in jobs if job[0].width == width], width or args.j, args, total, failures)
    if args.json:
        with open(args.json, 'w', encoding='utf-8') as out:
            json.dump((total, failures), out)
    else:
        for line in failures:
            print('FAIL ' + line)
        print('%(passed)d passed, %(failed)d failed, %(skipped)d skipped' % total)
    return 1 if total['failed'] else 0


if __name__ == '__main__':
    sys.exit(main())
