"""Text on its way to a terminal: that of strangers, and lines that are longer than it is wide."""

from __future__ import annotations

import re
import shutil
import sys
import textwrap

_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029\u202a-\u202e\u2066-\u2069]")
"""What moves a cursor, sets a colour, turns the direction of writing, or is no character."""


def visible(text: str) -> str:
    """Return a text in which control characters are shown, such as \\x1b, and not sent."""
    return _CONTROL.sub(lambda found: ascii(found[0])[1:-1], text)


_HEADING = re.compile(r"( *\S+ {2,}| {2,}\S+ +)(?=\S)")
_MAX_INDENT = 26
"""A heading that is longer than this leaves too little beside it on a terminal of 60 columns."""


def indent_of(line: str) -> int:
    """Return the column at which a line's text begins, after its heading: there a line that is too long goes on."""
    heading = _HEADING.match(line)
    indent = heading.end() if heading else len(line) - len(line.lstrip(" "))
    return indent if indent <= _MAX_INDENT else 4


def write_lines(text: str) -> None:
    """Print lines. On a terminal they are broken between words; in a file or pipe they stay whole."""
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 0
    for line in visible(text).splitlines():
        hanging = " " * indent_of(line)
        broken = (
            textwrap.wrap(line, width, subsequent_indent=hanging, break_long_words=False, break_on_hyphens=False)
            if len(line) > width > len(hanging)
            else []
        )
        sys.stdout.writelines(f"{each}\n" for each in broken or [line])
