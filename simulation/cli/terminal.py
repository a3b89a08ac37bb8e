"""Outputs of the command line: a terminal, whose lines wrap between words, or a file or pipe, whose lines stay whole.

A closed pipe ends the command silently with exit code 141, as it ends other Unix tools.
"""

from __future__ import annotations

import sys
from typing import Any, NoReturn

from rich.console import Console
from rich.text import Text

from causim.wrapping import indent_of


class Terminal(Console):
    """Standard output or standard error, with rich markup."""

    def __init__(self, *, stderr: bool = False) -> None:
        stream = sys.stderr if stderr else sys.stdout
        super().__init__(file=stream, highlight=False)
        self.soft_wrap = not self.is_terminal

    def print(self, *objects: Any, **options: Any) -> None:
        """Print as `Console` does; a line that is too long for the terminal goes on below its text."""
        if self.soft_wrap or options or len(objects) != 1 or not isinstance(objects[0], str) or "\n" in objects[0]:
            super().print(*objects, **options)
            return
        line = self.render_str(objects[0])
        indent = indent_of(line.plain, self.width)
        if line.cell_len <= self.width or indent >= self.width // 2:
            super().print(line)
            return
        first, *others = line[indent:].wrap(self, self.width - indent)
        super().print(line[:indent] + first)
        for other in others:
            super().print(Text(" " * indent) + other)

    def copyable(self, text: str) -> None:
        """Print a line that is to be copied whole: the terminal breaks it where it must, without a new line."""
        self.print(text, soft_wrap=True)

    def on_broken_pipe(self) -> NoReturn:
        """Leave it to `simulation.cli.main` to end the command; rich would end it with the exit code of a violation.

        Raises BrokenPipeError.
        """
        raise BrokenPipeError
