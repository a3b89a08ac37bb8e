"""Ends the process at Ctrl-C before the command has begun anything.

It imports next to nothing, so that it is in force as early as it can be: before that, Python itself is starting.
"""

from __future__ import annotations

import os
import signal
import sys

TYPE_CHECKING = False  # as `typing` has it, whose import takes longer than all others here
if TYPE_CHECKING:
    from typing import NoReturn

INTERRUPTED = 2
"""The exit code of an interruption, as in `simulation.cli`."""


def leave_at_once(*_: object) -> NoReturn:
    """End the process; a KeyboardInterrupt would strike in the middle of an import, and not every library lets it pass.

    The handler of SIGINT until there is something to keep.
    """
    os.write(sys.stderr.fileno(), b"causim: interrupted\n")
    os._exit(INTERRUPTED)


def install() -> None:
    """Leave at once at Ctrl-C from now on, unless the surroundings of the process handle or ignore it."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, leave_at_once)
