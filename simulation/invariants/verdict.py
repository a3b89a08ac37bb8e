"""The shape of a judgement: plain data, frozen, three-valued."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from simulation.history.index import HistoryIndex

Verdict = Literal["holds", "violated", "unknown"]
"""`unknown` is never a pass: it says that the history proves nothing either way."""


@dataclass(frozen=True, slots=True)
class Violation:
    """One proof that an invariant was broken.

    `at` is in microseconds; `because` is one plain sentence that begins with "because"; `witness` holds the indices of
    the few entries that prove it, in order.
    """

    invariant: str
    at: int
    events: tuple[str, ...]
    consumers: tuple[str, ...]
    because: str
    witness: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """What one invariant has to say.

    `unknown` if the history held nothing that it could examine, or does not tell what it would have to know; `why` says
    which, and is empty otherwise.
    """

    verdict: Verdict
    examined: int
    violations: int
    why: str = ""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the judge says of a history.

    `coverage` counts what was exercised, by the words of COVERAGE; `missing` are the words that the header asks for and
    that did not happen; `reasons` say why the history proves nothing for other causes; `verdicts` has one finding for
    each invariant that was judged.
    """

    verdict: Verdict
    violations: tuple[Violation, ...]
    coverage: Mapping[str, int]
    missing: tuple[str, ...]
    reasons: tuple[str, ...]
    verdicts: Mapping[str, Finding]

    @property
    def judged(self) -> tuple[str, ...]:
        """The invariants that the history says enough about to be judged in full."""
        return tuple(name for name, finding in self.verdicts.items() if finding.verdict != "unknown")

    @property
    def unjudged(self) -> Mapping[str, str]:
        """The other invariants, each with why it cannot be judged."""
        return {name: finding.why for name, finding in self.verdicts.items() if finding.verdict == "unknown"}

    @property
    def rests(self) -> str:
        """Which invariants the verdict rests on, and which could not be judged and why, in a sentence."""
        return rests_on(self.judged, self.unjudged)


def rests_on(judged: Collection[str], unjudged: Mapping[str, str]) -> str:
    """Say which invariants a verdict rests on, and which could not be judged and why."""
    reasons: dict[str, list[str]] = {}
    for name, why in unjudged.items():
        reasons.setdefault(why, []).append(name)
    told = "; ".join(f"{', '.join(names)}: {why}" for why, names in reasons.items())
    total = len(judged) + len(unjudged)
    return f"{len(judged)} of {total} invariants" + (f" (not {told})" if told else "")


@dataclass(frozen=True, slots=True)
class Invariant:
    """A rule that every history must keep.

    `summary` says when it holds and `excuses` when a breach is excused, as prose; `subjects` counts what the rule is
    about in an index, and `check` yields what broke it.
    """

    name: str
    summary: str
    excuses: str
    subjects: Callable[[HistoryIndex], int]
    check: Callable[[HistoryIndex], Iterator[Violation]]
