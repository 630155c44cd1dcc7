#!/usr/bin/env python3
"""No large stack frame on a request's path: handlers run on small pooled stacks.

    tools/stack_usage.py [--top N] [build]
Reads the .su files that -fstack-usage leaves beside the objects of the checked build. A function of
src/{base,mem,io,tls,http,serve} may use FRAME_BYTES_MAX of stack, and no variable amount. Others are
named in tools/stack_usage.txt with their limit and a reason.
"""
import argparse
import os
import re
import sys

import tree

FRAME_BYTES_MAX = 2048
REQUEST_PATH = ('base', 'mem', 'io', 'tls', 'http', 'serve')


def frames(build):
    """(bytes, kind, source, line, function) of each function that the build's objects hold."""
    for folder, _, names in os.walk(os.path.join(build, 'src')):
        for name in names:
            path = os.path.join(folder, name)
            if not name.endswith('.su') or not os.path.exists(path[:-3] + '.o'):
                continue  # the object's source has gone
            with open(path, encoding='utf-8') as rows:
                for row in rows:
                    place, size, kind = row.rstrip('\n').split('\t')
                    source, line, _, function = place.split(':', 3)
                    source = re.sub(r'^.*?\b(src|include)/', r'\1/', source)
                    if os.path.exists(os.path.join(tree.ROOT, source)):
                        # gcc splits functions: parse.part.0 is parse
                        yield int(size), kind, source, int(line), function.split('.')[0]


def exceptions():
    """{"src/x/y.c:function": bytes}"""
    allowed = {}
    for row in tree.read('tools/stack_usage.txt').splitlines():
        words = row.split('#')[0].split()
        if words:
            allowed[words[0]] = int(words[1])
    return allowed


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--top', type=int, default=5, help='print the N largest frames')
    parser.add_argument('build', nargs='?', default=os.path.join(tree.ROOT, 'build-checked'))
    args = parser.parse_args()

    allowed, used, findings = exceptions(), set(), []
    found = sorted({row for row in frames(args.build) if row[2].split('/')[1] in REQUEST_PATH},
                   reverse=True)
    for size, kind, source, line, function in found:
        key = '%s:%s' % (source, function)
        used.add(key)
        limit = allowed.get(key, FRAME_BYTES_MAX)
        if size > limit:
            findings.append('%s:%d: %s: a frame of %d bytes, allowed are %d' % (
                source, line, function, size, limit))
        elif kind == 'dynamic' and key not in allowed:
            findings.append('%s:%d: %s: a frame of variable size' % (source, line, function))
    findings += ['tools/stack_usage.txt: %s is gone' % key for key in sorted(set(allowed) - used)
                 if not os.path.exists(os.path.join(tree.ROOT, key.split(':')[0]))]
    for size, kind, source, line, function in found[:args.top]:
        print('%6d bytes  %s:%d %s%s' % (size, source, line, function,
                                        '' if kind == 'static' else ' (%s)' % kind))
    print('\n'.join(findings) if findings else
          '%d frames, none above %d bytes or its exception: good' % (len(found), FRAME_BYTES_MAX))
    if not found:
        print('no .su files below %s: build first' % args.build)
    return 1 if findings or not found else 0


if __name__ == '__main__':
    sys.exit(main())
