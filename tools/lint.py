#!/usr/bin/env python3
"""All static checks; called by ./dev lint, which builds the release build first.

    ./dev lint [check...]
Exit 1 when a check fails. `functions` only reports.
"""
import ast
import collections
import concurrent.futures
import os
import re
import subprocess
import sys
import time

import tree

# Calls that have no place here, and what to use.
BANNED = {
    'strcpy': 'memcpy with a length', 'strcat': 'memcpy with a length', 'sprintf': 'snprintf',
    'vsprintf': 'vsnprintf', 'gets': 'read', 'strtok': 'weft_str', 'atoi': 'weft_str_to_u64',
    'atol': 'weft_str_to_u64', 'alloca': 'the arena', 'system': 'nothing', 'popen': 'nothing',
}


def run(command, **options):
    """(exit code, output) of a command in the root."""
    done = subprocess.run(command, cwd=tree.ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False, **options)
    return done.returncode, done.stdout


def tool(name, *args):
    return lambda: run([sys.executable, os.path.join('tools', name), *args])


def check_format():
    """clang-format has nothing to change"""
    code, output = run(['clang-format', '--dry-run', '-Werror', *tree.files(('.c', '.h'))])
    places = collections.Counter(re.findall(r'^(\S+?):\d+:\d+: error', output, flags=re.M))
    listed = ['clang-format -i %s  # %d places' % row for row in sorted(places.items())]
    return code, '\n'.join(listed) or output


def check_calls():
    """none of the banned C library calls"""
    call = re.compile(r'(?<![\w.>])(' + '|'.join(BANNED) + r')\s*\(')
    findings = []
    for path in tree.files(('.c', '.h'), 'src'):
        text = tree.blank(tree.read(path), strings=True)
        for found in call.finditer(text):
            findings.append('%s:%d: %s(): use %s' % (path, tree.line_of(text, found.start()),
                                                    found.group(1), BANNED[found.group(1)]))
    return 1 if findings else 0, '\n'.join(findings)


def check_unused():
    """what a header in src declares is called outside its own module, be it by a test"""
    words = {path: collections.Counter(re.findall(r'\w+', tree.blank(tree.read(path), strings=True)))
             for path in tree.files(('.c', '.h', '.def'))}
    users = collections.Counter(name for counts in words.values() for name in counts)
    findings = []
    for path in tree.files(('.h',), 'src'):
        own = words.get(path[:-2] + '.c', {})
        for name in re.findall(r'^\w[^;(={}#]*\b(weft_\w+)\(', tree.blank(tree.read(path)), re.M):
            if words[path][name] == 1 and users[name] == 1 + (name in own):
                findings.append('%s: %s() is called by nobody else: static, or gone' % (path, name))
    return 1 if findings else 0, '\n'.join(findings)


def unused_imports(module):
    """[(line, name)] of what a Python module imports and does not name again."""
    nodes = list(ast.walk(module))
    named = {node.id for node in nodes if isinstance(node, ast.Name)}
    found = [(node.lineno, (name.asname or name.name).split('.')[0]) for node in nodes
             if isinstance(node, (ast.Import, ast.ImportFrom)) for name in node.names]
    return [(line, name) for line, name in found if name not in named]


def check_scripts():
    """shell and Python parse, and Python imports what it uses"""
    code, output = 0, ''
    shell = ['dev', '.ci/run', *tree.files(('.sh',))]
    for path in shell:
        first = tree.read(path).split('\n', 1)[0]
        failed, text = run(['bash' if 'bash' in first else 'sh', '-n', path])
        code, output = code | failed, output + text
    for path in tree.files(('.py',)):
        try:
            module = ast.parse(tree.read(path))
            compile(module, path, 'exec')
            for line, name in unused_imports(module):
                code, output = 1, output + '%s:%d: %s is not used\n' % (path, line, name)
        except SyntaxError as error:
            code, output = 1, output + '%s:%s: %s\n' % (path, error.lineno, error.msg)
    return code, output


def check_tidy():
    """clang-tidy, with the checks of .clang-tidy"""
    sources = tree.files(('.c',), 'src')
    # gcc's options are not clang's; and a third of the analyzer's usual states a function, which takes
    # one minute instead of two and a half
    extra = ['-Wno-ignored-optimization-argument', '-Xclang', '-analyzer-config', '-Xclang', 'max-nodes=75000']

    def one(path):
        return run(['clang-tidy', '-quiet', '-p', 'build', '--warnings-as-errors=*',
                    *('--extra-arg=' + arg for arg in extra), path])
    code, output = 0, ''
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for failed, text in pool.map(one, sources):
            if failed:
                code, output = 1, output + text
    return code, re.sub(r'^\d+ warnings? (generated|treated).*\n', '', output, flags=re.M)


CHECKS = {
    'format': check_format,
    'includes': tool('includes.py'),
    'limits': tool('limits.py'),
    'calls': check_calls,
    'unused': check_unused,
    'scripts': check_scripts,
    'symbols': tool('symbols.py'),
    'stack': tool('stack_usage.py'),
    'functions': tool('functions.py'),
    'tidy': check_tidy,
}


def main():
    names = sys.argv[1:] or list(CHECKS)
    for name in names:
        if name not in CHECKS:
            print('no such check: %s (%s)' % (name, ' '.join(CHECKS)))
            return 2
    failed = []
    for name in names:
        started = time.monotonic()
        code, output = CHECKS[name]()
        if code:
            failed.append(name)
        print('== %-9s %s  %.1f s' % (name, 'FAIL' if code else 'ok', time.monotonic() - started))
        if output.strip():
            print('    ' + output.strip().replace('\n', '\n    '), flush=True)
    print('lint: %d checks, %d failed%s' % (len(names), len(failed),
                                            ': ' + ' '.join(failed) if failed else ''))
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
