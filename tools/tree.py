"""What the checks in tools/ share: where the sources are, and C without comments."""
import os
import re

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LAYERS = ('base', 'mem', 'io', 'tls', 'http', 'serve', 'ops', 'app')
NOT_SOURCES = re.compile(r'^(build.*|\..*|__pycache__|node_modules)$')


def files(suffixes, below=''):
    """Paths of sources relative to the root, sorted. Not asked of git: a tarball is checked too."""
    found = []
    for folder, names, entries in os.walk(os.path.join(ROOT, below)):
        names[:] = [name for name in names if not NOT_SOURCES.match(name)]
        for entry in entries:
            if entry.endswith(suffixes):
                found.append(os.path.relpath(os.path.join(folder, entry), ROOT))
    return sorted(found)


def read(path):
    with open(os.path.join(ROOT, path), encoding='utf-8') as source:
        return source.read()


def blank(text, strings=False):
    """C with its comments (and, if asked, the insides of strings) blanked; line numbers stay."""
    def spaces(found):
        piece = found.group(0)
        if piece[0] in '"\'':
            return piece[0] + ' ' * (len(piece) - 2) + piece[0] if strings else piece
        return re.sub(r'[^\n]', ' ', piece)
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', spaces, text,
                  flags=re.S)


def line_of(text, offset):
    return text.count('\n', 0, offset) + 1
