"""Mutants: engines that differ from ours by one planted fault each, to judge the judge by.

A judge that has never convicted proves nothing. Each mutant here names the scenario in which it must be convicted, the
invariant that must do it, and the most seeds that it may take. `causim mutants` runs them all. Read `mutant.py` first,
then `planting.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache
from typing import TYPE_CHECKING

from simulation.engines.mutants import equivalent, scripted, wrapped
from simulation.engines.mutants.mutant import Edit, Mutant, StaleMutant

if TYPE_CHECKING:
    from simulation.engines.native import NativeEngine

MUTANTS: Mapping[str, Mutant] = {
    mutant.name: mutant for mutant in (*scripted.MUTANTS, *wrapped.MUTANTS, *equivalent.MUTANTS)
}
"""Every mutant by its name."""


class UnknownMutant(Exception):
    """There is no such mutant. The message says how to find those that there are."""


def find(name: str) -> Mutant:
    """Return a mutant by its name. Raises UnknownMutant."""
    if name not in MUTANTS:
        near = get_close_matches(name, MUTANTS, 1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise UnknownMutant(f"no mutant is called {name!r}; {hint}`causim list mutants` names them")
    return MUTANTS[name]


@cache
def engine(name: str) -> type[NativeEngine]:
    """Return the engine of a mutant. Raises UnknownMutant, StaleMutant."""
    # the engine is imported when a mutant of it runs
    from simulation.engines.mutants.planting import plant

    return plant(find(name))


__all__ = ["MUTANTS", "Edit", "Mutant", "StaleMutant", "UnknownMutant", "engine", "find"]
