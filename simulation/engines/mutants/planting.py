"""Makes the engine of a mutant. Nothing of the engine itself is touched.

A mutant finds its scripts in a table of its own, so that it and the engine can run in one process, even on one store.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from ordering.scripts import Script, assemble, script, source
from simulation.engines import resolve
from simulation.engines.mutants import orderings
from simulation.engines.mutants.mutant import SHARED, Mutant
from simulation.engines.native import NativeEngine


def plant(mutant: Mutant) -> type[NativeEngine]:
    """Return the engine of a mutant. Raises StaleMutant."""
    host = resolve(mutant.host)
    assert issubclass(host, NativeEngine), f"{mutant.host} is not made of an ordering that can be exchanged"
    original = getattr(orderings, mutant.ordering) if mutant.ordering else host.ordering
    ordering = type("MutantOrdering", (original,), {"scripts": staticmethod(_finder(mutant))})
    return type("MutantEngine", (host,), {"ordering": ordering, "__doc__": mutant.planted})


def _finder(mutant: Mutant) -> Callable[[str], Script]:
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
