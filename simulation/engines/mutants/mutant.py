"""A mutant: one fault, planted in a copy of a script's text or in a subclass of the engine.

The table of the mutants can be read without importing the engine; `planting.py` makes the engine of one.
"""

from __future__ import annotations

from dataclasses import dataclass

SHARED = "shared"
"""The text in front of every script: an edit of it is in all of them."""


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
            file = f"{SHARED}/" if self.script == SHARED else f"{self.script}.lua"
            raise StaleMutant(
                f"mutant {mutant!r} is stale: it changes a text that ordering/lua/{file} should have "
                f"{self.times} times, and it has it {found} times: {self.old!r}; renew it in simulation/engines/mutants"
            )
        return text.replace(self.old, self.new)


@dataclass(frozen=True, slots=True)
class Mutant:
    """An engine with one planted fault.

    - `planted`: the fault, in one sentence.
    - `scenario`: the file of the scenario that convicts it, below `scenarios/` or beside this file.
    - `convicted_by`: the invariants of which one must convict it; empty if the mutant is equivalent.
    - `seeds`: the number of seeds within which that must happen.
    - `edits`: the changes of scripts.
    - `ordering`: the class of `orderings.py` in which it is planted, if it is no matter of scripts.
    - `host`: the engine that it differs from: the native one, or one that calls it in another way.
    - `raises`: an error of its code that is the planted fault, such as `TypeError`: any other says that it is broken.
    - `equivalent`: the argument that no history can distinguish it from its host, if that is so.
    """

    name: str
    planted: str
    scenario: str
    convicted_by: tuple[str, ...] = ()
    seeds: int = 1
    edits: tuple[Edit, ...] = ()
    ordering: str = ""
    host: str = "native"
    raises: str = ""
    equivalent: str = ""
