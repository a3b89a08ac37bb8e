"""What a history leaves out, and which invariants therefore cannot be judged in full.

A history that another program wrote may leave out deliveries, or how handlings ended, or the phases of the run; it may
begin in the middle. An invariant that needs what is left out is `unknown`, with the reason, unless it finds a violation
in the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from simulation.history.index import HistoryIndex
from simulation.history.records import NEVER
from simulation.invariants.verdict import Invariant, Need


def missing_facts(index: HistoryIndex, invariants: Iterable[Invariant]) -> Mapping[str, str]:
    """Return, for each invariant that cannot be judged in full, what the history leaves out."""
    missing = list(_missing(index))
    why = {one.name: [reason for need, reason in missing if need in one.needs] for one in invariants}
    return {name: "; ".join(reasons) for name, reasons in why.items() if reasons}


def _missing(index: HistoryIndex) -> Iterator[tuple[Need, str]]:
    """Yield each need that a history does not meet, with the fact that it leaves out."""
    handled = index.trivial.events or any(event.handlings for event in index.nontrivial)
    partly = sum(1 for event in index.nontrivial if event.incomplete)
    if partly:
        yield "outcomes", f"the history does not say how a handling of {_events(partly)} began or ended"
    if handled and not index.counts["delivered"]:
        yield "deliveries", "the history has no deliveries"
        early = any(_was_early(index, event.name) for event in index.nontrivial)
        if early:
            yield "leaders", "the history has no deliveries, so it does not say whether a leader had come"
    if index.window:
        count = sum(1 for event in index.nontrivial if event.leader and _is_unknown(index, event.leader))
        if count:
            because = "the history begins in the middle, or parts of it are missing"
            yield "leaders", f"{because}: the history does not have the leaders of {_events(count)}"
    if index.truncated:
        yield "end", "the history is cut off"
    elif index.phases and not index.quiet:
        yield "end", "the run did not go quiet"
    elif handled and not index.censuses:
        yield "census", "the history has no census"
    unpublished = sum(1 for event in index.nontrivial if event.handlings and not event.fingerprints)
    if unpublished:
        yield "publications", f"the history does not have the publication of {_events(unpublished)}"


def _was_early(index: HistoryIndex, name: str) -> bool:
    event = index.events[name]
    leader = index.leader_of(event)
    if leader is None or not event.effects:
        return False
    return not leader.effects or event.effects[0].start < leader.effects[0].end


def _is_unknown(index: HistoryIndex, name: str) -> bool:
    leader = index.events[name]
    return leader.published == leader.first_known == leader.dead == NEVER


def _events(count: int) -> str:
    return "1 event" if count == 1 else f"{count} events"
