#!/usr/bin/env python3
"""The whole test suite, phase by phase; called by ./dev test.

    unit     unit tests, release build
    checked  unit tests, -Dchecked=true
    asan     unit and end-to-end tests, address and undefined-behaviour sanitizers
    tsan     the unit and end-to-end tests where threads meet, thread sanitizer
    e2e      end-to-end tests, and memory against the sums of `weft plan` (tests/mem), release
             build, both engines
    rehearsal
             memory that runs out: each allocation fails in turn, asan build, both engines; half of
             the start's points per engine, or all of them, and longer runs of failures, with
             REHEARSAL=all

A phase builds what it runs. What failed is named once more at the end. The last line is alone and
plain: "N passed, N failed", with ", N skipped" when some were. Exit 1 when something failed or no test ran.
"""
import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PHASES = ('unit', 'checked', 'asan', 'tsan', 'e2e', 'rehearsal')
# the others: their own name
BUILDS = {'unit': 'release', 'e2e': 'release', 'rehearsal': 'asan'}
# Where the files of a phase are; and how many at a time: most of them wait most of the time, the two
# of the soak all of it.
FOLDERS = {'asan': ['tests/e2e'], 'tsan': ['tests/e2e'], 'e2e': ['tests/e2e', 'tests/mem'],
           'rehearsal': ['tests/mem']}
WIDTHS = {'asan': 3, 'tsan': 3, 'e2e': 5}
DEFAULTS = {
    'ASAN_OPTIONS': 'abort_on_error=1',
    'UBSAN_OPTIONS': 'halt_on_error=1:print_stacktrace=1',
    'TSAN_OPTIONS': 'halt_on_error=1',
}
# A cmocka group ends with "[  PASSED  ] 7 test(s)." and, where it applies, the same for the others.
CMOCKA = re.compile(r'\[\s*(PASSED|FAILED|SKIPPED)\s*\] (\d+) test\(s\)')


class Totals(dict):
    def __init__(self):
        super().__init__(passed=0, failed=0, skipped=0)
        self.failures = []  # a line each

    def add(self, other):
        for key in self:
            self[key] += other[key]
        self.failures += other.failures

    def text(self):
        skipped = ', %(skipped)d skipped' % self if self['skipped'] else ''
        return '%(passed)d passed, %(failed)d failed' % self + skipped


def folder_of(build):
    return 'build' if build == 'release' else 'build-' + build


def fixed_addresses():
    """A prefix that switches address randomisation off: the sanitizers of gcc 12 and clang 14 cannot
    place their shadow memory under a kernel that uses more than 28 random bits."""
    prefix = ['setarch', os.uname().machine, '-R']
    try:
        ok = subprocess.run(prefix + ['true'], stdin=subprocess.DEVNULL, capture_output=True,
                            check=False).returncode == 0
    except OSError:
        ok = False
    return prefix if ok else []


def tsan_refused(prefix):
    """Why a program under the thread sanitizer does not start here; None when it does."""
    with tempfile.TemporaryDirectory(prefix='weft-tsan.') as scratch:
        source, binary = os.path.join(scratch, 'a.c'), os.path.join(scratch, 'a')
        with open(source, 'w', encoding='utf-8') as out:
            out.write('int main(void) { return 0; }\n')
        for command in (['cc', '-fsanitize=thread', source, '-o', binary], prefix + [binary]):
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
            if done.returncode != 0:
                return done.stderr.decode('utf-8', 'replace').strip().split('\n')[0] or 'it crashes'
    return None


def count_cmocka(entry):
    """Totals of one line of meson's test log."""
    totals = Totals()
    for word, count in CMOCKA.findall(entry.get('stdout', '') + entry.get('stderr', '')):
        totals[word.lower()] += int(count)
    if entry['result'] in ('SKIP', 'EXPECTEDFAIL'):
        totals['skipped'] += 1
    elif entry['result'] != 'OK':
        totals['failed'] = max(totals['failed'], 1)  # a crash or a sanitizer report at exit
    elif sum(totals.values()) == 0:
        totals['passed'] = 1  # not a cmocka program: it is one test
    if totals['failed']:
        totals.failures.append('%s: %s' % (entry['name'], entry['result'].lower()))
    return totals


def run_unit(phase, folder, prefix):
    log = os.path.join(folder, 'meson-logs', 'testlog.json')
    if os.path.exists(log):
        os.remove(log)
    slower = '6' if phase in ('asan', 'tsan') else '2'
    which = ['--suite', 'threads'] if phase == 'tsan' else ['--no-rebuild', '--suite', 'unit']
    command = prefix + ['meson', 'test', '-C', folder, *which, '--print-errorlogs',
                        '--timeout-multiplier', slower]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, check=False)
    totals = Totals()
    if os.path.exists(log):
        with open(log, encoding='utf-8') as lines:
            for line in lines:
                totals.add(count_cmocka(json.loads(line)))
    if done.returncode != 0 and totals['failed'] == 0:
        totals['failed'] = 1
    return totals


def run_e2e(phase, folder, prefix):
    totals = Totals()
    with tempfile.TemporaryDirectory(prefix='weft-suite.') as scratch:
        out = os.path.join(scratch, 'totals')
        command = prefix + [sys.executable, 'tests/e2e/run.py', '--phase', phase,
                            '--bin', os.path.join(folder, 'weft'), '--json', out,
                            '-j', str(WIDTHS.get(phase, 2))]
        for tests in FOLDERS[phase]:
            command += ['--dir', tests]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, check=False)
        try:
            with open(out, encoding='utf-8') as source:
                counts, totals.failures = json.load(source)
                totals.update(counts)
        except (OSError, ValueError):
            pass
    if done.returncode != 0 and totals['failed'] == 0:
        totals['failed'] = 1
    return totals


def run_phase(phase):
    build = BUILDS.get(phase, phase)
    folder = folder_of(build)
    prefix = fixed_addresses() if build in ('asan', 'tsan') else []
    totals = Totals()
    if phase == 'tsan':
        why = tsan_refused(prefix)
        if why:
            print('tsan: skipped, the thread sanitizer does not run here: ' + why)
            totals['skipped'] = 1
            return totals
    # what a phase does not run need not be built; meson builds the tests that it runs
    targets = ['weft'] if phase == 'tsan' else []
    if subprocess.run(['./dev', 'build', build, *targets], stdin=subprocess.DEVNULL, check=False).returncode:
        print('FAIL the %s build' % build)
        totals['failed'] = 1
        return totals
    if phase in ('unit', 'checked', 'asan', 'tsan'):
        totals.add(run_unit(phase, folder, prefix))
    if phase in FOLDERS:
        totals.add(run_e2e(phase, folder, prefix))
    return totals


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('phases', nargs='*', metavar='phase', help=' '.join(PHASES))
    args = parser.parse_args()
    for phase in args.phases:
        if phase not in PHASES:
            parser.error('no such phase: ' + phase)
    os.chdir(ROOT)
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
    os.environ['PYTHONDONTWRITEBYTECODE'] = '1'
    sys.stdout.reconfigure(line_buffering=True)

    total, lines = Totals(), []
    for phase in args.phases or PHASES:
        print('== %s' % phase)
        started = time.monotonic()
        totals = run_phase(phase)
        lines.append('%-8s %6.1f s  %s' % (phase, time.monotonic() - started, totals.text()))
        print('== ' + lines[-1])
        totals.failures = ['FAIL %s: %s' % (phase, line) for line in totals.failures]
        total.add(totals)
    print('\n' + '\n'.join(total.failures + lines))
    if total['passed'] + total['failed'] == 0:
        print('no test ran')
    print(total.text())
    return 1 if total['failed'] or total['passed'] == 0 else 0


if __name__ == '__main__':
    sys.exit(main())
