"""payload-intact: a handler is given the event that was published, to the byte.

The history holds no payloads, only fingerprints of what was published and of what each handler was given. Of an event
of whose publication it tells nothing, nothing can be said.
"""

from __future__ import annotations

from collections.abc import Iterator

from simulation.history.index import HistoryIndex
from simulation.history.records import NEVER, EventStory, Handling
from simulation.invariants.time_format import moment
from simulation.invariants.verdict import Invariant, Violation

NAME = "payload-intact"


def subjects(told: HistoryIndex) -> int:
    """Count the handlings whose event can be compared with what was published."""
    return told.plain.events + sum(1 for _ in _comparable(told))


def check(told: HistoryIndex) -> Iterator[Violation]:
    """Yield a violation for each handling whose event differs from every publication of it."""
    for event, handling in _comparable(told):
        if handling.fingerprint not in event.fingerprints:
            yield _violation(event, handling)


def _comparable(told: HistoryIndex) -> Iterator[tuple[EventStory, Handling]]:
    for event in told.odd:
        if event.fingerprints:
            for handling in event.handlings:
                if handling.fingerprint:
                    yield event, handling


def _violation(event: EventStory, handling: Handling) -> Violation:
    given = f"because at {moment(handling.start_at)} the handler of {handling.consumer} was given an event {event.name}"
    because = f"{given} with fingerprint {handling.fingerprint}, but {event.fingerprints[0]} was published"
    witness = tuple(index for index in (event.published, handling.start) if index != NEVER)
    return Violation(NAME, handling.start_at, (event.name,), (handling.consumer,), because, witness)


INVARIANT = Invariant(
    name=NAME,
    summary="the event handed to the handler equals the event published",
    excuses="none; unknown where nothing is told of its publication",
    subjects=subjects,
    check=check,
)
