"""The shape of a judgement: plain data, frozen, three-valued."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from simulation.history.index import HistoryIndex

Verdict = Literal["holds", "violated", "unknown"]
"""`unknown` is never a pass: it says that the history proves nothing either way."""

Need = Literal["outcomes", "deliveries", "leaders", "publications", "census", "end"]
"""What an invariant must find in a history: how handlings began and ended, the deliveries, the fate of leaders,
what was published, what the store held at the end, and the end of the run."""

Case = Literal["accepted", "excused", "rejected"]
"""What an example history shows; `excused` is an accepted one that the excuses are about."""


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
    """The finding of one invariant.

    `unknown` if the history held nothing that it could examine, or leaves out a fact that it needs; `why` says
    which, and is empty otherwise.
    """

    verdict: Verdict
    examined: int
    violations: int
    why: str = ""


@dataclass(frozen=True, slots=True)
class Judgement:
    """The judgement on a history.

    `coverage` counts exercised things by the words of COVERAGE; `missing` are the words that the header asks for and
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
        """The other invariants, each with the reason for which it cannot be judged."""
        return {name: finding.why for name, finding in self.verdicts.items() if finding.verdict == "unknown"}

    @property
    def rests(self) -> str:
        """The number of judged invariants, and the others with the reasons, in a sentence."""
        return rests_on(self.judged, self.unjudged)


def rests_on(judged: Collection[str], unjudged: Mapping[str, str]) -> str:
    """Say which invariants a verdict rests on, and which could not be judged and why."""
    reasons: dict[str, list[str]] = {}
    for name, why in unjudged.items():
        reasons.setdefault(why, []).append(name)
    reasons_text = "; ".join(f"{', '.join(names)}: {why}" for why, names in reasons.items())
    total = len(judged) + len(unjudged)
    return f"{len(judged)} of {total} invariants" + (f" (not {reasons_text})" if reasons_text else "")


@dataclass(frozen=True, slots=True)
class Invariant:
    """A rule that every history must keep, and all that the judge, the searches and the reference need of it."""

    name: str
    summary: str
    """The condition under which it holds, as prose."""
    excuses: str
    """The excuses for a breach, as prose."""
    subjects: Callable[[HistoryIndex], int]
    """Counts the subjects of the rule in an index; 0 makes the finding `unknown`."""
    check: Callable[[HistoryIndex], Iterator[Violation]]
    """Yields each breach of the rule."""
    exercised_by: tuple[str, ...]
    """The coverage words without which a run proves little about it."""
    reading: str
    """An explanation of the sentence of its violation."""
    examples: Mapping[Case, str]
    """Small histories, as JSON lines: at least one that is accepted and one that is rejected."""
    needs: frozenset[Need] = field(default_factory=frozenset)
    """The facts that a history must have, or else the finding is `unknown`."""
    holds_for_trivial: bool = False
    """Whether it holds for every trivial life (see `prefilter/trivial.py`) and counts those by `HistoryIndex.plain`.

    If not, the judge examines every event, which takes longer.
    """
    order_is_known: bool = False
    """Whether `commutativity.py` names all entries whose order the rule depends on.

    If not, a search of every order exchanges no entries.
    """
