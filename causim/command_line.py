"""The command `causim`: checks that the harness is installed, puts its packages first and runs `simulation.cli`."""

from __future__ import annotations

import sys
import warnings
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


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    # the harness may not have been installed when this module was imported
    from simulation.cli.text import visible

    sys.stderr.write(f"causim: warning: {visible(str(message))}\n")


def entry() -> NoReturn:
    """Run the command line as a program."""
    warnings.showwarning = _show_warning  # where causim has noticed it is of no use to users
    try:
        sys.exit(main())
    except KeyboardInterrupt:  # while the harness was being imported
        sys.stderr.write("causim: interrupted\n")
        sys.exit(INTERRUPTED)
