"""The judge: a pure function of a history, which knows nothing of engines and cannot be argued with.

Read first `verdict.py` (the shape of a judgement), then `chronicle.py` (a history, arranged by event), then any invariant:
each is a file of its own that says in its docstring when it holds and what excuses a breach.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from simulation.history import History
from simulation.invariants import (
    causal_order,
    clean_store,
    handled_once,
    lost_followers,
    mutual_exclusion,
    no_stuck_worker,
    nothing_lost,
    payload_intact,
    prompt_release,
    sibling_order,
)
from simulation.invariants.chronicle import Chronicle, chronicle
from simulation.invariants.coverage import COVERAGE, coverage
from simulation.invariants.verdict import Finding, Invariant, Judgement, Verdict, Violation

INVARIANTS: Mapping[str, Invariant] = {
    module.INVARIANT.name: module.INVARIANT
    for module in (
        causal_order,
        mutual_exclusion,
        handled_once,
        nothing_lost,
        prompt_release,
        lost_followers,
        sibling_order,
        clean_store,
        no_stuck_worker,
        payload_intact,
    )
}
"""Every invariant by its name."""


def judge(history: History, names: Sequence[str] = ()) -> Judgement:
    """Judge a history.

    Args:
        history: what happened.
        names: the invariants to judge; none named means those of the header, and if it names none, all.

    A violation is `violated`, however incomplete the history. Without one, the verdict is `holds` only if the history is
    whole, something was handled, and everything that the header's `exercise` lists has happened.
    """
    told = chronicle(history)
    chosen = [INVARIANTS[name] for name in names or history.header.invariants or INVARIANTS]
    violations: list[Violation] = []
    verdicts: dict[str, Finding] = {}
    for invariant in chosen:
        found = list(invariant.check(told))
        violations += found
        verdicts[invariant.name] = _finding(invariant.subjects(told), len(found))
    happened = coverage(told)
    missing = tuple(word for word in history.header.exercise if not happened[word])
    reasons = _reasons(history, told, happened)
    violations.sort(key=lambda violation: (violation.at, violation.invariant, violation.events))
    verdict: Verdict = "violated" if violations else "unknown" if missing or reasons else "holds"
    return Judgement(verdict, tuple(violations), happened, missing, reasons, verdicts)


def _finding(examined: int, violations: int) -> Finding:
    verdict: Verdict = "violated" if violations else "holds" if examined else "unknown"
    return Finding(verdict, examined, violations)


def _reasons(history: History, told: Chronicle, happened: Mapping[str, int]) -> tuple[str, ...]:
    reasons = []
    if history.truncated:
        reasons.append(f"the history is cut off: {history.truncated}")
    if told.phases and told.phases[-1].name == "horizon":
        reasons.append(f"the run reached its horizon before it was quiet; in flight: {told.phases[-1].in_flight}")
    if not happened["handled"]:
        reasons.append("nothing was handled")
    return tuple(reasons)


__all__ = ["COVERAGE", "INVARIANTS", "Finding", "Invariant", "Judgement", "Verdict", "Violation", "judge"]
