#!/usr/bin/env python3
"""Lengths of functions and files: a report, not a limit.

    tools/functions.py [LINES]    lists functions longer than LINES (70) and files longer than 800
A flat state machine may stay long; anything else on the list wants a look.
"""
import sys

import tree


def functions(path):
    """(name, first line, lines) of each function of a file in our brace style: both in column 0."""
    lines = tree.blank(tree.read(path), strings=True).split('\n')
    for index, line in enumerate(lines):
        if line != '{':
            continue
        first = index
        while first > 0 and lines[first - 1].strip() and not lines[first - 1].startswith(('#', '}')):
            first -= 1
        head = ' '.join(lines[first:index])
        end = next((at for at in range(index, len(lines)) if lines[at].startswith('}')), index)
        if '(' in head:
            yield head.split('(')[0].split()[-1].lstrip('*'), first + 1, end - first + 1


def main():
    limit = int(sys.argv[1]) if len(sys.argv) > 1 else 70
    found = [(size, path, line, name) for path in tree.files(('.c', '.h'), 'src')
             for name, line, size in functions(path)]
    sizes = sorted(size for size, *_ in found)
    for size, path, line, name in sorted(found, reverse=True):
        if size > limit:
            print('%s:%d: %s: %d lines' % (path, line, name, size))
    for path in tree.files(('.c', '.h')):
        lines = tree.read(path).count('\n')
        if lines > 800:
            print('%s: %d lines' % (path, lines))
    if sizes:
        print('%d functions in src: median %d lines, 95%% within %d, longest %d' % (
            len(sizes), sizes[len(sizes) // 2], sizes[min(len(sizes) - 1, len(sizes) * 95 // 100)],
            sizes[-1]))
    return 0


if __name__ == '__main__':
    sys.exit(main())
