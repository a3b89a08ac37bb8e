"""What two judges say of one history, and the smallest history of which they still say different things."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from simulation.history.history import History
from simulation.invariants import judge
from tests.simulation.second_judge.rules import RULES, second_judge


@dataclass(frozen=True, slots=True)
class Difference:
    """What the judges disagree about: each invariant that only one of them finds violated."""

    only_first: frozenset[str]
    only_second: frozenset[str]

    def __bool__(self) -> bool:
        return bool(self.only_first or self.only_second)

    def __str__(self) -> str:
        return f"only the first: {sorted(self.only_first)}, only the second: {sorted(self.only_second)}"


def difference(history: History) -> Difference:
    """Return what the judges disagree about."""
    first = {violation.invariant for violation in judge(history, list(RULES)).violations}
    second = set(second_judge(history))
    return Difference(frozenset(first - second), frozenset(second - first))


def reduced(history: History) -> History:
    """Return a history with as few entries as possible about which the judges differ in the same way."""
    wanted = difference(history)
    entries = list(history)
    step = max(1, len(entries) // 2)
    while True:
        for begin in range(0, len(entries), step):
            fewer = History(history.header, [*entries[:begin], *entries[begin + step :]])
            if _alike(difference(fewer), wanted):
                entries = list(fewer)
                break
        else:
            if step == 1:
                return History(history.header, entries)
            step //= 2


def _alike(one: Difference, other: Difference) -> bool:
    return bool(one.only_first & other.only_first or one.only_second & other.only_second)


def summary_of(histories: Iterable[History]) -> str:
    """Return histories as text, for a message."""
    return "\n\n".join("\n".join(entry.to_json().decode() for entry in history) for history in histories)
