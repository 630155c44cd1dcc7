#!/usr/bin/env python3
"""ARCHITECTURE.md's table of limits names counters and tests that exist.

    - A row has five cells: what, limit, when it is reached, counter, test.
    - A counter is one of src/base/counters.def, or a metric of src/ops by its name or the end of it.
    - A test is a file of tests/, and what stands behind its colon is in that file.
Prints one line per finding; exit 1 when there is one.
"""
import os
import re
import sys

import tree

PAGE = 'ARCHITECTURE.md'
NAME = re.compile(r'\b[a-z0-9]+(?:_[a-z0-9]+)+\b')


def rows():
    """(line, cells) of each row below the head of the table."""
    page = tree.read(PAGE)
    start = page.index('\n## Limits\n') + 1
    table = page[start:page.index('\n## ', start)].split('\n')
    numbered = [(number, line) for number, line in enumerate(table, page.count('\n', 0, start) + 1)
                if line.startswith('|')]
    return [(number, [cell.strip() for cell in line.strip('|').split('|')]) for number, line in numbered[2:]]


def tests():
    """{name without its ending: text} of all tests."""
    found = {}
    for path in tree.files(('_test.c', '_test.py'), 'tests'):
        name = os.path.splitext(os.path.basename(path))[0]
        found[name if path.endswith('.c') else name[:-len('_test')]] = tree.read(path)
    return found


def unknown_metrics(cell, counters, metrics):
    """Metrics of the process are put together in src/ops: "refused_total" behind "weft_memory_"."""
    for name in NAME.findall(re.sub(r'"[^"]*"', '', cell)):
        bare = name.removeprefix('weft_')
        ends = ('"weft_' + bare, '"' + bare, '"' + bare.split('_', 1)[-1])
        if bare not in counters and not any(end in metrics for end in ends):
            yield 'no metric ' + name


def unknown_tests(cell, known):
    for part in cell.split(';'):
        name, _, places = (text.strip() for text in part.partition(':'))
        if name == '-':
            continue
        if name not in known:
            yield 'no test ' + name
            continue
        for place in filter(None, (text.strip() for text in places.split(','))):
            if place not in known[name]:
                yield 'nothing called %s in %s' % (place, name)


def main():
    counters = set(re.findall(r'^WEFT_COUNTER\(\w+, "(\w+)"', tree.read('src/base/counters.def'), re.M))
    metrics = ''.join(tree.read(path) for path in tree.files(('.c',), 'src/ops'))
    known, count, findings = tests(), 0, []
    for line, cells in rows():
        count += 1
        wrong = ['%d cells, not 5' % len(cells)] if len(cells) != 5 else [
            *unknown_metrics(cells[3], counters, metrics), *unknown_tests(cells[4], known)]
        findings += ['%s:%d: %s' % (PAGE, line, text) for text in wrong]
    print('\n'.join(findings) or '%d rows: good' % count)
    return 1 if findings else 0


if __name__ == '__main__':
    sys.exit(main())
