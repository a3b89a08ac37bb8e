"""Lines that are longer than a terminal is wide go on below their text, broken between words."""

from __future__ import annotations

import re
import textwrap

_HEADING = re.compile(r"( *\S+ {2,}| {2,}\S+ +)(?=\S)")
_MAX_INDENT = 26
"""A heading that is longer than this leaves too little beside it on a terminal of 60 columns."""


def max_indent(width: int) -> int:
    """Return the longest heading that leaves enough beside it on a terminal of so many columns."""
    return max(_MAX_INDENT, width * 2 // 5)


def indent_of(line: str, width: int) -> int:
    """Return the column at which a line's text begins, after its heading: there a line that is too long goes on."""
    heading = _HEADING.match(line)
    indent = heading.end() if heading else len(line) - len(line.lstrip(" "))
    return indent if indent <= max_indent(width) else 4


def broken(line: str, width: int, indent: int | None = None) -> list[str]:
    """Return a line as one or more that fit into so many columns, broken between words; 0 columns leave it whole.

    The others begin at the column `indent`; by default where the first has its text.
    """
    hanging = " " * (indent_of(line, width) if indent is None else indent)
    if not len(line) > width > len(hanging):
        return [line]
    return textwrap.wrap(line, width, subsequent_indent=hanging, break_long_words=False, break_on_hyphens=False)
