#!/usr/bin/env python3
"""libweft.so exports exactly what include/weft declares.

    tools/symbols.py [build/libweft.so]
Prints what is exported without being declared and what is declared without being exported.
"""
import os
import re
import subprocess
import sys

import tree


def declared():
    """{name: "file:line"} of the functions and objects in the public headers."""
    names = {}
    for path in tree.files(('.h',), 'include/weft'):
        text = tree.blank(tree.read(path), strings=True)
        text = re.sub(r'\\\n', '  ', text)  # only the line numbers after a macro suffer
        text = re.sub(r'^[ \t]*#ifdef __cplusplus\n.*?^[ \t]*#endif', '', text, flags=re.M | re.S)
        text = re.sub(r'^[ \t]*#.*$', '', text, flags=re.M)
        text = re.sub(r'^extern "C" \{', '', text, flags=re.M)
        while re.search(r'\{[^{}]*\}', text):  # bodies of structs, enums and inline functions
            text = re.sub(r'\{[^{}]*\}(\s*\n)?', lambda m: '@' + '\n' * m.group(0).count('\n'), text)
        # an inline function ends with its body, everything else with its semicolon
        text = re.sub(r'\bstatic\b[^;@]*(@|;)', ' ', text)
        for statement in text.split(';'):
            if re.match(r'\s*(typedef|_Static_assert|struct \w+\s*@?\s*$|enum)\b', statement):
                continue
            head = re.sub(r'__attribute__\s*\(\([^)]*(\([^)]*\)[^)]*)*\)\)', '', statement)
            found = (re.search(r'\b(weft_\w+)\s*\(', head) or
                     re.search(r'\bextern\b.*\b(weft_\w+)\s*(\[[^\]]*\])?\s*$', head, re.S))
            if found and not found.group(1).isupper():
                names[found.group(1)] = path
    return names


def exported(library):
    out = subprocess.run(['nm', '-D', '--defined-only', library], capture_output=True, text=True,
                         check=True).stdout
    rows = [line.split() for line in out.splitlines()]
    return {row[2].split('@')[0] for row in rows if len(row) == 3 and row[1] != 'A'}


def main():
    library = sys.argv[1] if len(sys.argv) > 1 else os.path.join(tree.ROOT, 'build/libweft.so')
    public, visible = declared(), exported(library)
    findings = ['%s is exported but not declared in include/weft' % name
                for name in sorted(visible - set(public))]
    findings += ['%s: %s is declared but not exported' % (public[name], name)
                 for name in sorted(set(public) - visible)]
    print('\n'.join(findings) if findings else '%d public symbols: good' % len(visible))
    return 1 if findings else 0


if __name__ == '__main__':
    sys.exit(main())
