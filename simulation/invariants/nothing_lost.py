"""nothing-lost: what was delivered is handled in the end, or given up with a dead letter.

It is judged when the world has healed and gone quiet: before that, an event may still be on its way. A history without
phases counts as complete: an event that a consumer acknowledged is lost if it was neither parked nor ever handled with
success. (What is still parked at its end may have to wait: prompt-release and lost-followers-surface say for how long.)
A history with phases that did not go quiet, or one that is cut off, is not judged.

An event that was never delivered was lost by the broker, and is not judged. One that was parked or handled was
delivered, even if the history does not say so. No crash, pause, retry or restart excuses a loss. Only a scenario that
destroys data on purpose does: it names the fault in `allowed_loss`, and excuses only what was in the store at that
moment: events that were delivered before it struck, and not parked again afterwards.

Where the scenario asks for it (`loud`), the loss excuses an event only if the loss was reported after that: a
consumer warned of it, in its log or by an error that names it. (After a dead letter an event is not lost.) A scenario
asks for it if the engine can know of the loss: by what the faults leave, it comes upon the event again.
"""

from __future__ import annotations

from collections.abc import Iterator

from simulation.history.index import HistoryIndex
from simulation.history.records import NEVER, EventStory, Loss
from simulation.invariants.time_format import moments
from simulation.invariants.verdict import Invariant, Violation

NAME = "nothing-lost"


def subjects(index: HistoryIndex) -> int:
    """Count the events that were delivered, if the world went quiet."""
    if not index.complete:
        return 0
    return index.trivial.events + sum(1 for event in index.nontrivial if event.first_known != NEVER)


def check(index: HistoryIndex) -> Iterator[Violation]:
    """Yield a violation for each delivered event that has neither an effect nor a dead letter at the end."""
    if not index.complete:
        return
    for event in index.nontrivial:
        if event.first_known == NEVER or event.effects or event.dead != NEVER or event.incomplete:
            continue
        if index.phases or _let_go(event):
            loss = index.allowed_loss_of(event, index.end)
            if loss is None:
                yield _violation(index, event)
            elif index.header.loud and max(index.warnings.get(event.name, ()), default=NEVER) < loss.index:
                yield _unreported(index, event, loss)


def _let_go(event: EventStory) -> bool:
    """Return whether an event was acknowledged although neither an engine nor a handler has it.

    An event that was refused as seen was handled before the history begins.
    """
    return (
        event.parked == NEVER
        and not event.seen
        and bool(event.deliveries)
        and event.deliveries[-1].closing == "acknowledged"
        and all(handling.via == "delivered" and handling.end != NEVER for handling in event.handlings)
    )


def _violation(index: HistoryIndex, event: EventStory) -> Violation:
    known, end = event.first_known, index.phases[-1].index if index.phases else index.end - 1
    delivered, ended = moments(index.times[known], index.times[end])
    consumer = (event.deliveries or event.handlings)[0].consumer if event.deliveries or event.handlings else ""
    last = event.handlings[-1] if event.handlings else None
    what = f"its last handling ended {last.outcome or 'never'}" if last else "no handler ever saw it"
    until = f"when the world had gone quiet at {ended}" if index.phases else f"when the history ended at {ended}"
    witness = {known, event.parked, last.start if last else NEVER, last.end if last else NEVER, end}
    return Violation(
        NAME,
        index.times[end],
        (event.name,),
        tuple(name for name in dict.fromkeys([consumer, *([last.consumer] if last else [])]) if name),
        f"because event {event.name} was delivered at {delivered}, {what}, and {until}"
        " it had neither an effect nor a dead letter",
        tuple(sorted(number for number in witness if number != NEVER)),
    )


def _unreported(index: HistoryIndex, event: EventStory, loss: Loss) -> Violation:
    delivered, lost = moments(index.times[event.first_known], loss.at)
    because = (
        f"because event {event.name} was delivered at {delivered}, the store lost what it held of it at {lost},"
        " and the loss was not reported"
    )
    return Violation(NAME, loss.at, (event.name,), (), because, (event.first_known, loss.index))


INVARIANT = Invariant(
    name=NAME,
    summary=(
        "when the world has healed and gone quiet, every event that was delivered has an effect or a dead letter; in a"
        " history without phases, every event that was acknowledged"
    ),
    excuses=(
        "never a crash, pause, retry or restart; a loss by a fault that the scenario names in allowed_loss, of "
        "what was in the store at that moment; with `loud`, only if the loss was reported"
    ),
    subjects=subjects,
    check=check,
    exercised_by=("crashed-while-holding", "handler-failed"),
    reading=(
        "The first time is the first delivery. Then comes the last trace of the event: no handler ever saw it, or how "
        "its last handling ended. The second time is when the world went quiet."
    ),
    needs=frozenset({"outcomes", "end"}),
    holds_for_trivial=True,
    order_is_known=True,
    examples={
        "accepted": """\
{"at":0,"kind":"published","event":"a"}
{"at":0,"kind":"published","event":"z"}
{"at":1000000,"kind":"delivered","event":"a","consumer":"c1"}
{"at":1000000,"kind":"started","event":"a","consumer":"c1","handling":1}
{"at":2000000,"kind":"ended","event":"a","consumer":"c1","handling":1,"outcome":"ok"}
{"at":3000000,"kind":"delivered","event":"z","consumer":"c1"}
{"at":9000000,"kind":"dead-lettered","event":"z","by":"broker"}
{"at":99000000,"kind":"phase","phase":"quiet"}
""",
        "rejected": """\
{"at":0,"kind":"published","event":"a"}
{"at":0,"kind":"published","event":"b","follows":"a"}
{"at":1000000,"kind":"delivered","event":"b","consumer":"c1"}
{"at":1000000,"kind":"parked","event":"b","consumer":"c1"}
{"at":2000000,"kind":"delivered","event":"a","consumer":"c2"}
{"at":2000000,"kind":"started","event":"a","consumer":"c2","handling":1}
{"at":3000000,"kind":"ended","event":"a","consumer":"c2","handling":1,"outcome":"ok"}
{"at":99000000,"kind":"phase","phase":"quiet"}
""",
    },
)
