"""The command `causim`: checks that the harness is installed, puts its packages first and runs `simulation.cli`."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from typing import NoReturn

from causim import __version__, own_packages

INTERRUPTED, USAGE = 2, 4
"""The exit codes of an interruption and of bad usage, as in `simulation.cli`."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    own_packages.prefer()
    if sentence := own_packages.what_is_missing():
        if "--version" in (sys.argv[1:] if arguments is None else arguments):
            sys.stdout.write(f"causim {__version__}\nPython {sys.version.split()[0]}\n{sys.platform}\n")
        sys.stderr.write(f"causim: {sentence}\n")
        return USAGE
    # the harness may not be installed
    from simulation.cli import main as run

    return run(arguments)


def entry() -> NoReturn:
    """Run the command line as a program."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, leave_at_once)
    sys.exit(main())


def leave_at_once(*_: object) -> NoReturn:
    """End the process at Ctrl-C, before it has begun anything: a KeyboardInterrupt would strike in the middle of an
    import, and not every library lets it pass."""
    os.write(sys.stderr.fileno(), b"causim: interrupted\n")
    os._exit(INTERRUPTED)
