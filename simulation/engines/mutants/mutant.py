"""What a mutant is, and how its fault is planted: in a copy of a script's text, or in a subclass of the engine.

Nothing of the engine itself is touched. A mutant finds its scripts in a table of its own, so that it and the engine can
run in one process, even on one store.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the table of the mutants can be read without the engine that they are planted in
    from ordering.scripts import Script
    from simulation.engines.native import NativeEngine

SHARED = "shared"
"""What stands in front of every script: an edit of it is in all of them."""


class StaleMutant(Exception):
    """The engine has changed, and a mutant's fault cannot be planted any more. The message names the edit to renew."""


@dataclass(frozen=True, slots=True)
class Edit:
    """A change of one script's text: `old` must be there exactly `times`, or the mutant is stale."""

    script: str
    old: str
    new: str
    times: int = 1

    def apply(self, text: str, mutant: str) -> str:
        """Return the changed text. Raises StaleMutant."""
        found = text.count(self.old)
        if found != self.times:
            raise StaleMutant(
                f"mutant {mutant!r} is stale: it changes a text that ordering/lua/{self.script}.lua should have "
                f"{self.times} times, and it has it {found} times: {self.old!r}; renew it in simulation/engines/mutants"
            )
        return text.replace(self.old, self.new)


@dataclass(frozen=True, slots=True)
class Mutant:
    """An engine with one planted fault.

    - `planted`: one sentence that says what is wrong with it.
    - `scenario`: the file of the scenario that convicts it, below `scenarios/` or beside this file.
    - `convicted_by`: the invariants of which one must convict it; empty if the mutant is equivalent.
    - `seeds`: within how many seeds that must happen.
    - `edits`: what is changed in which scripts.
    - `ordering`: the class of `orderings.py` in which it is planted, if it is no matter of scripts.
    - `host`: the engine that it differs from: the native one, or one that calls it in another way.
    - `equivalent`: why no history can tell it from its host, if that is so.
    """

    name: str
    planted: str
    scenario: str
    convicted_by: tuple[str, ...] = ()
    seeds: int = 1
    edits: tuple[Edit, ...] = ()
    ordering: str = ""
    host: str = "native"
    equivalent: str = ""


def plant(mutant: Mutant) -> type[NativeEngine]:
    """Return the engine of a mutant. Raises StaleMutant."""
    # the engine is imported when a mutant of it runs
    from simulation.engines import resolve
    from simulation.engines.mutants import orderings
    from simulation.engines.native import NativeEngine

    host = resolve(mutant.host)
    assert issubclass(host, NativeEngine), f"{mutant.host} is not made of an ordering that can be exchanged"
    original = getattr(orderings, mutant.ordering) if mutant.ordering else host.ordering
    ordering = type("MutantOrdering", (original,), {"scripts": staticmethod(_finder(mutant))})
    return type("MutantEngine", (host,), {"ordering": ordering, "__doc__": mutant.planted})


def _finder(mutant: Mutant) -> Callable[[str], Script]:
    # the engine is imported when a mutant of it runs
    from ordering.scripts import assemble, script, source

    if not mutant.edits:
        return script
    sources = {SHARED: source(SHARED)}
    for edit in mutant.edits:
        text = sources.get(edit.script) or source(edit.script)
        sources[edit.script] = edit.apply(text, mutant.name)

    def changed(name: str) -> str:
        return sources.get(name) or source(name)

    @cache
    def find(name: str) -> Script:
        return assemble(name, sources[SHARED], changed(name), changed)

    return find
