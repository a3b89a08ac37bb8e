"""Where the command line writes: a terminal, whose lines wrap between words, or a file or pipe, whose lines stay whole.

A closed pipe ends the command silently with exit code 141, as it ends other Unix tools.
"""

from __future__ import annotations

import sys
from typing import NoReturn

from rich.console import Console


class Terminal(Console):
    """Standard output or standard error, with rich markup."""

    def __init__(self, *, stderr: bool = False) -> None:
        stream = sys.stderr if stderr else sys.stdout
        super().__init__(file=stream, highlight=False)
        self.soft_wrap = not self.is_terminal

    def copyable(self, text: str) -> None:
        """Print a line that is to be copied whole: the terminal breaks it where it must, without a new line."""
        self.print(text, soft_wrap=True)

    def on_broken_pipe(self) -> NoReturn:
        """Leave it to `simulation.cli.main` to end the command; rich would end it with the exit code of a violation.

        Raises BrokenPipeError.
        """
        raise BrokenPipeError
