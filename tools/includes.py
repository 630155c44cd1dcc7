#!/usr/bin/env python3
"""Who includes whom, and what a header must say.

    - src/<layer> includes its own layer and those below: base < mem < io < tls < http < serve < ops
      < app; tests/unit/<layer> likewise. Includes are spelled from src: "<layer>/<file>",
      or "<layer>/<folder>/<file>".
    - include/weft includes only itself and the C library; examples/ only include/weft and themselves.
    - A .c includes its own header first.
    - A header has an include guard, says Lifetime, Threads and Memory, and compiles alone; a public
      one also as C++, and makes its functions visible.
Prints one line per finding; exit 1 when there is one.
"""
import concurrent.futures
import os
import re
import shutil
import subprocess
import sys

import tree

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.M)
PUBLIC_C_LIBRARY = re.compile(r'^(std\w+|inttypes|time|sys/(types|socket|uio|time))\.h$')


def includes(path):
    """(line, bracket, name) of each include, in order."""
    text = tree.blank(tree.read(path))
    return [(tree.line_of(text, found.start()), found.group(1), found.group(2))
            for found in INCLUDE.finditer(text)]


def layer_of(path):
    parts = path.split(os.sep)
    if parts[0] == 'src' and len(parts) > 2:
        return parts[1]
    if parts[:2] == ['tests', 'unit'] and len(parts) > 3:
        return parts[2]
    return None


def check_layers(path):
    layer = layer_of(path)
    if layer is None:
        return
    if layer not in tree.LAYERS:
        yield 1, 'src/%s is not a layer (%s)' % (layer, ' < '.join(tree.LAYERS))
        return
    for line, bracket, name in includes(path):
        target = name.split('/')[0] if '/' in name else None
        if bracket == '"' and target not in tree.LAYERS:
            beside = os.path.join(tree.ROOT, os.path.dirname(path), name)  # a test's own header
            shared = os.path.join(tree.ROOT, 'tests/unit', name)
            if path.startswith('src') or not (os.path.exists(beside) or os.path.exists(shared)):
                yield line, '"%s" is not spelled "<layer>/<file>"' % name
        elif bracket == '"' and tree.LAYERS.index(target) > tree.LAYERS.index(layer):
            yield line, 'upward: %s includes "%s"' % (layer, name)
        elif bracket == '<' and target in tree.LAYERS:
            yield line, '<%s> is ours: write "%s"' % (name, name)


def check_own_header_first(path):
    parts = path.split(os.sep)
    if parts[0] != 'src' or not path.endswith('.c'):
        return
    own = '/'.join(parts[1:])[:-2] + '.h'
    found = includes(path)
    if os.path.exists(os.path.join(tree.ROOT, 'src', own)) and (not found or found[0][2] != own):
        yield found[0][0] if found else 1, 'the first include is not its own header "%s"' % own


def check_outer(path):
    """include/weft and examples: the public API and nothing behind it."""
    parts = path.split(os.sep)
    public = parts[:2] == ['include', 'weft']
    if not public and parts[0] != 'examples':
        return
    for line, bracket, name in includes(path):
        if bracket == '"' and os.path.exists(os.path.join(tree.ROOT, os.path.dirname(path), name)):
            continue
        if bracket == '<' and name.startswith('weft/'):
            continue
        if bracket == '"' or (public and not PUBLIC_C_LIBRARY.match(name)):
            yield line, '%s may not include %s' % (parts[0], name)


def check_header(path):
    if not path.endswith('.h') or path.split(os.sep)[0] not in ('src', 'include'):
        return
    text = tree.read(path)
    head = text.split('*/')[0]
    for word in ('Lifetime:', 'Threads:', 'Memory:'):
        if word not in head:
            yield 1, 'the opening comment has no "%s" line' % word
    bare = tree.blank(text)
    if not re.match(r'\s*(#pragma once|#ifndef (\w+)\s+#define \2\b)', bare):
        yield 1, 'no include guard'
    declares = re.search(r'^(?!static|typedef|#)\w[^;{}#]*\bweft_\w+\([^;{}]*\)[^;{}]*;', bare, re.M)
    if path.startswith('include') and declares and 'GCC visibility push(default)' not in text:
        yield 1, 'public functions, but no #pragma GCC visibility push(default)'


def check_alone(path):
    """Does the header compile with nothing before it?"""
    flags = ['-D_GNU_SOURCE', '-I', 'include', '-fsyntax-only', '-Wall', '-Wextra']
    runs = [['cc', '-std=gnu17', '-I', 'src', '-x', 'c']]
    if path.startswith('include') and shutil.which('clang++'):
        runs.append(['clang++', '-std=c++17', '-x', 'c++'])
    for run in runs:
        source = '#include "%s"\n' % os.path.join(tree.ROOT, path)
        done = subprocess.run(run[:1] + flags + run[1:] + ['-'], input=source, text=True,
                              capture_output=True, check=False, cwd=tree.ROOT)
        if done.returncode:
            yield 1, 'does not compile alone (%s):\n%s' % (run[0], done.stderr.strip())


def main():
    findings = []
    sources = tree.files(('.c', '.h', '.def'))
    for path in sources:
        for check in (check_layers, check_own_header_first, check_outer, check_header):
            findings += ['%s:%d: %s' % (path, line, what) for line, what in check(path)]
    headers = [path for path in sources
               if path.endswith('.h') and path.split(os.sep)[0] in ('src', 'include')]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for path, found in zip(headers, pool.map(lambda path: list(check_alone(path)), headers)):
            findings += ['%s:%d: %s' % (path, line, what) for line, what in found]
    print('\n'.join(findings) if findings else
          '%d files, %d headers: good' % (len(sources), len(headers)))
    return 1 if findings else 0


if __name__ == '__main__':
    sys.exit(main())
