"""The judge: a pure function of a history, which knows nothing of engines and cannot be argued with.

Read first `verdict.py` (the shape of a judgement), then `history/index.py` (a history, arranged by event), then any
invariant: each is a file of its own that says in its docstring when it holds and what excuses a breach, and ends with
its `INVARIANT`. A module that is added to this package is found by itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from pkgutil import iter_modules

from simulation.history.history import History
from simulation.history.index import HistoryIndex
from simulation.history.records import NEVER
from simulation.invariants.coverage import COVERAGE, RENAMED_WORDS, coverage
from simulation.invariants.missing_facts import missing_facts
from simulation.invariants.prefilter import index_to_judge
from simulation.invariants.verdict import Finding, Invariant, Judgement, Verdict, Violation
from simulation.kernel.gc_pause import paused_gc

_FIRST = (
    *("causal_order", "mutual_exclusion", "handled_once", "nothing_lost", "given_up", "prompt_release", "prompt_start"),
    *("recovery", "lost_followers", "sibling_order", "clean_store", "no_stuck_worker", "payload_intact"),
)
"""The modules that are listed first, in this order; others follow by their names."""

_SHOWN = 5


def _found() -> Iterator[Invariant]:
    """Yield the invariant of every module of this package that has one."""
    names = [module.name for module in iter_modules(__path__) if module.name not in _FIRST]
    for name in (*_FIRST, *sorted(names)):
        invariant = getattr(import_module(f"{__name__}.{name}"), "INVARIANT", None)
        if isinstance(invariant, Invariant):
            yield invariant


INVARIANTS: Mapping[str, Invariant] = {invariant.name: invariant for invariant in _found()}
"""Every invariant by its name."""


class UnknownInvariant(Exception):
    """You asked for an invariant that does not exist. The message lists those that do: look for a typing error."""


def judge(history: History, names: Sequence[str] = (), index: HistoryIndex | None = None) -> Judgement:
    """Judge a history.

    Args:
        history: what happened.
        names: the invariants to judge; none named means those of the header, and if it names none, all.
        index: that of the whole history, if there is one; it is made otherwise.

    Raises UnknownInvariant for a name that is none of INVARIANTS.

    A violation makes the verdict `violated`, however incomplete the history. Without one, the verdict is `holds` only
    if the history is whole and the run went quiet (a history without phases counts as whole), something was handled,
    and everything that the header's `exercise` lists has happened.
    """
    with paused_gc():  # a judgement makes millions of records, which are in no circle with each other
        return _judged(history, _chosen(names or history.header.invariants), index)


def _judged(history: History, invariants: Sequence[Invariant], index: HistoryIndex | None) -> Judgement:
    index = index_to_judge(history, index, every_event=not all(invariant.holds_for_trivial for invariant in invariants))
    gaps = missing_facts(index, invariants)
    violations: list[Violation] = []
    verdicts: dict[str, Finding] = {}
    for invariant in invariants:
        found = list(invariant.check(index))
        violations += found
        verdicts[invariant.name] = _finding(invariant.subjects(index), len(found), gaps.get(invariant.name, ""))
    happened = coverage(index)
    asked = (RENAMED_WORDS.get(word, word) for word in history.header.exercise)
    missing = tuple(word for word in asked if not happened.get(word))
    reasons = tuple(_reasons(history, index))
    violations.sort(key=lambda violation: (violation.at, violation.witness, violation.invariant))
    verdict: Verdict = "violated" if violations else "unknown" if missing or reasons else "holds"
    return Judgement(verdict, tuple(violations), happened, missing, reasons, verdicts)


def _chosen(names: Sequence[str]) -> list[Invariant]:
    unknown = [name for name in names if name not in INVARIANTS]
    if unknown:
        raise UnknownInvariant(f"no invariant is called {unknown[0]!r}; known are {', '.join(INVARIANTS)}")
    return [invariant for name, invariant in INVARIANTS.items() if not names or name in names]


def _finding(examined: int, violations: int, gap: str) -> Finding:
    if violations:
        return Finding("violated", examined, violations)
    if gap or not examined:
        return Finding("unknown", examined, 0, gap or "nothing to judge happened")
    return Finding("holds", examined, 0)


def _reasons(history: History, index: HistoryIndex) -> Iterator[str]:
    """Yield the reasons for which a history proves nothing, independent of the invariants' findings."""
    if history.truncated:
        yield f"the history is cut off: {history.truncated}"
    if index.phases and not index.quiet:
        last = index.phases[-1]
        where = "at its horizon" if last.name == "horizon" else f"in its phase {last.name!r}"
        yield f"the run ended {where}, before it was quiet; in flight: {last.in_flight or _in_flight(index)}"
    if not index.trivial.events and not any(event.effects for event in index.nontrivial):
        yield "nothing was handled"


def _in_flight(index: HistoryIndex) -> str:
    waiting = [
        event.name for event in index.nontrivial if event.deliveries and not event.effects and event.dead == NEVER
    ]
    more = f" and {len(waiting) - _SHOWN} more" if len(waiting) > _SHOWN else ""
    return ", ".join(waiting[:_SHOWN]) + more or "nothing that was delivered"


__all__ = [
    "COVERAGE",
    "INVARIANTS",
    "RENAMED_WORDS",
    "Finding",
    "Invariant",
    "Judgement",
    "UnknownInvariant",
    "Verdict",
    "Violation",
    "judge",
]
