"""The commands that a lean store knows: those of the engines under test and of the harness, and their near relatives.

Each is a function of the data and of the words of the request. An option that is not known is refused by
`UnknownToLean`, and never left out of account. A family of commands, a file, which enters them into the registry.
"""

from __future__ import annotations

from simulation.stores.lean import blocking, collections, keys, sorted_sets, strings
from simulation.stores.lean.registry import (
    COMMANDS,
    Command,
    Words,
    command_of,
    execute,
    named,
    wrong_number,
)

FAMILIES = (keys, strings, collections, sorted_sets, blocking)
"""The modules whose commands are known once this one is imported."""

__all__ = ["COMMANDS", "FAMILIES", "Command", "Words", "command_of", "execute", "named", "wrong_number"]
