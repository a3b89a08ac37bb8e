"""nothing-lost: what was delivered is handled in the end, or given up aloud.

Judged only when the world has healed and gone quiet: before that, an event may still be on its way. An event that was
never delivered is the broker's business. No crash, pause, retry or restart excuses a loss; only a scenario that
destroys data on purpose does, by naming the fault in `allowed_loss`, and only for events delivered before it struck.
"""

from __future__ import annotations

from collections.abc import Iterator

from simulation.history.index import Chronicle
from simulation.history.records import NEVER, EventStory
from simulation.invariants.time_format import moments
from simulation.invariants.verdict import Invariant, Violation

NAME = "nothing-lost"


def subjects(told: Chronicle) -> int:
    """Count the events that were delivered, if the world went quiet."""
    return told.plain.events + sum(1 for event in told.odd if event.deliveries) if told.quiet else 0


def check(told: Chronicle) -> Iterator[Violation]:
    """Yield a violation for each delivered event that has neither an effect nor a dead letter at the end."""
    if not told.quiet:
        return
    for event in told.odd:
        if event.deliveries and not event.effects and event.dead == NEVER and not _excused(told, event):
            yield _violation(told, event)


def _excused(told: Chronicle, event: EventStory) -> bool:
    return told.loss_allowed((event.name,), told.end)


def _violation(told: Chronicle, event: EventStory) -> Violation:
    first, quiet = event.deliveries[0], told.phases[-1]
    delivered, ended = moments(first.at, quiet.at)
    last = event.handlings[-1] if event.handlings else None
    what = f"its last handling ended {last.outcome or 'never'}" if last else "no handler ever saw it"
    witness = [first.index, event.parked, last.start if last else NEVER, last.end if last else NEVER, quiet.index]
    return Violation(
        NAME,
        quiet.at,
        (event.name,),
        tuple(dict.fromkeys([first.consumer, *([last.consumer] if last else [])])),
        f"because event {event.name} was delivered at {delivered}, {what}, and when the world had gone quiet at {ended}"
        " it had neither an effect nor a dead letter",
        tuple(sorted(index for index in witness if index != NEVER)),
    )


INVARIANT = Invariant(
    name=NAME,
    summary="when the world has healed and gone quiet, every event that was delivered has an effect or a dead letter",
    excuses=(
        "never a crash, pause, retry or restart; a scenario that destroys the store's data names the fault in"
        " allowed_loss, for events that were delivered before it"
    ),
    subjects=subjects,
    check=check,
)
