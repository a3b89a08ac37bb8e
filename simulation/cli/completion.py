"""`causim completion`: the words of the command line for a shell, by way of argcomplete.

1. `causim completion bash` prints a function of the shell, which calls `causim` with `_ARGCOMPLETE` set.
2. `causim` then makes its parser, and argcomplete prints the words that may come next.

argcomplete reads options and fixed choices from the parser. The names of scenarios, engines, faults,
invariants and mutants come from the lists of `causim list`. A shell waits for this at each key: nothing of a world is
imported.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterable
from pathlib import Path

from causim.shipped import path_of
from simulation.cli import HOLDS, BadUsage
from simulation.cli.given import CompletionOptions
from simulation.cli.listing import LISTS
from simulation.cli.strategy_options import FAULTS
from simulation.engines.mutants import MUTANTS

_LISTED = {
    "engine": ("engines", "mutants"),
    "invariant": ("invariants",),
    "names": ("mutants",),
    "path": ("scenarios",),
    "paths": ("scenarios",),
}
"""The lists with the words of an option, by the option's name in the parser."""
_PLACEHOLDER = re.compile(r"VERSION|NAME|module:Class")
"""Placeholders for a word of the user's own in the list of engines."""


def execute(given: CompletionOptions) -> int:
    """Print the function that the shell is to define. Raises BadUsage if argcomplete is not installed."""
    try:
        # an extra, which only completion needs
        from argcomplete.shell_integration import shellcode
    except ImportError:
        raise BadUsage("argcomplete is not installed: pip install 'causim[completion]'") from None
    sys.stdout.write(shellcode(["causim"], shell=given.shell) + "\n")
    return HOLDS


def complete(parser: argparse.ArgumentParser) -> None:
    """Print the words that may come next, and end the process, if argcomplete is installed and a shell asks."""
    try:
        # as above
        from argcomplete import autocomplete
    except ImportError:
        sys.exit(1)
    autocomplete(parser, default_completer=words)


def words(prefix: str, action: argparse.Action, **_: object) -> dict[str, str]:
    """Return the words that begin with a prefix and can be the value of an option or an argument, each with what it is.

    A word that contains a list, such as `crash,reply-lost`, is completed after its last comma. zsh and fish show what a
    word is beside it.
    """
    if action.dest == "fault_kinds":
        before, comma, last = prefix.rpartition(",")
        return {f"{before}{comma}{kind}": "" for kind in FAULTS if kind.startswith(last)}
    known = [row for what in _LISTED.get(action.dest, ()) for row in LISTS[what]([])]
    named = [(f"mutant:{name}" if action.dest == "engine" and name in MUTANTS else name, text) for name, text in known]
    found = {name: text for name, text in named if name.startswith(prefix) and not _PLACEHOLDER.search(name)}
    return found | dict.fromkeys(_files(prefix), "") if action.type in (Path, path_of) else found


def _files(prefix: str) -> Iterable[str]:
    """Yield the files and folders whose paths begin with a prefix, folders with a slash, hidden ones if asked for."""
    folder, slash, begin = prefix.rpartition("/")
    try:
        children = sorted(Path(f"{folder}{slash}").iterdir())
    except OSError:
        return
    for child in children:
        if child.name.startswith(begin) and (begin.startswith(".") or not child.name.startswith(".")):
            yield f"{folder}{slash}{child.name}{'/' if child.is_dir() else ''}"
