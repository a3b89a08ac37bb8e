"""Text on its way to a terminal: untrusted text, and lines that are longer than it is wide."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Sequence
from typing import TextIO

from causim.wrapping import broken, max_indent

_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029\u202a-\u202e\u2066-\u2069]")
"""Characters that move a cursor, set a colour or turn the direction of writing, and halves of characters."""


def visible(text: str) -> str:
    """Return a text in which control characters are shown, such as \\x1b, and not sent."""
    return _CONTROL.sub(lambda found: ascii(found[0])[1:-1], text)


_CONTINUES = " \\"
"""What ends a line of a command that goes on in the next one."""
_FOLDED = 6


def width_of(output: TextIO) -> int:
    """Return the number of columns of the terminal; 0 if the output goes to a file or pipe, where lines stay whole."""
    if not output.isatty():
        return 0
    try:  # standard error may be a terminal while standard output, which shutil asks, is a pipe
        return shutil.get_terminal_size(os.get_terminal_size(output.fileno())).columns
    except OSError:
        return shutil.get_terminal_size().columns


def write_table(rows: Sequence[tuple[str, str]]) -> None:
    """Print names and their meanings: in two columns, or the meaning below where the names leave no room beside."""
    width, names = width_of(sys.stdout), max((len(name) for name, _ in rows), default=0)
    below = width and names + 2 > max_indent(width)
    for name, text in rows:
        if below:
            sys.stdout.write(f"{visible(name)}\n")
            sys.stdout.writelines(f"{each}\n" for each in broken(f"    {visible(text)}", width, indent=4))
        else:
            write_lines(f"{name:<{names}}  {text}")


def write_lines(text: str, output: TextIO | None = None) -> None:
    """Print lines, by default to standard output. On a terminal they are broken between words, elsewhere not."""
    output = output or sys.stdout
    width = width_of(output)
    for line in visible(text).splitlines():
        output.writelines(f"{each}\n" for each in broken(line, width))


def write_note(text: str) -> None:
    """Print a sentence of causim's own to standard error, under its name."""
    write_lines(f"causim: {text}", sys.stderr)


def folded(command: str, width: int) -> list[str]:
    """Return a command as one line or more that fit into so many columns, and that a shell takes as one."""
    first, *others = broken(command, width - len(_CONTINUES), indent=_FOLDED) if len(command) > width else [command]
    lines = [first, *others]
    return [*(f"{line}{_CONTINUES}" for line in lines[:-1]), lines[-1]]
