#!/usr/bin/env python3
"""Which test or bench shows which row of the requirements.

    tools/rows.py [MAP.md]
A test says so in a comment: "shows RT-06", "shows HC-01 to HC-05, MW-02". With the table as argument,
the rows that nothing shows yet are listed too, and ids that the table does not have are an error.
"""
import re
import sys

import tree

ID = r'[A-Z]{2,3}-\d{2,3}'
SHOWS = re.compile(r'\bshows:?\s+(' + ID + r'(?:(?:\s*,\s*(?:and\s+)?|\s+and\s+|\s+to\s+|\s*/\s*|\s+)' +
                   ID + r')*)')


def ids(text):
    """Every id in "HC-01 to HC-03, MW-02", ranges filled in."""
    for first, last in re.findall('(' + ID + r')(?:\s+to\s+(' + ID + '))?', text):
        head, low = first.rsplit('-', 1)
        high = last.rsplit('-', 1)[1] if last else low
        for number in range(int(low), int(high) + 1):
            yield '%s-%0*d' % (head, len(low), number)


def shown():
    """{id: [file, ...]}"""
    rows = {}
    for folder in ('tests', 'bench', 'fuzz'):
        for path in tree.files(('.c', '.h', '.py', '.sh', '.build'), folder):
            text = re.sub(r'\n\s*(\*|#|//)?\s*', ' ', tree.read(path))  # lists that wrap
            for found in SHOWS.finditer(text):
                for row in ids(found.group(1)):
                    if path not in rows.setdefault(row, []):
                        rows[row].append(path)
    return rows


def main():
    rows = shown()
    for row in sorted(rows):
        print('%s  %s' % (row, ' '.join(rows[row])))
    if len(sys.argv) < 2:
        return 0
    with open(sys.argv[1], encoding='utf-8') as source:
        table = re.findall(r'^\|\s*(' + ID + r')\s*\|', source.read(), re.M)
    unknown = sorted(set(rows) - set(table))
    missing = [row for row in table if row not in rows]
    print('\n%d of %d rows are shown; open: %s' % (len(table) - len(missing), len(table),
                                                  ' '.join(missing)))
    if unknown:
        print('not in the table: ' + ' '.join(unknown))
    return 1 if unknown else 0


if __name__ == '__main__':
    sys.exit(main())
