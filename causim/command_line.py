"""The command `causim`: checks that the harness is installed, puts its packages first and runs `simulation.cli`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NoReturn

from causim import __version__, early_interrupt, own_packages

USAGE = 4
"""The exit code of bad usage, as in `simulation.cli`."""


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
    early_interrupt.install()
    sys.exit(main())
