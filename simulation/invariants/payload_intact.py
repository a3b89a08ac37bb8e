"""payload-intact: a handler is given the event that was published, byte for byte.

The history holds no payloads, only fingerprints of what was published and of what each handler was given. An event
without a published fingerprint is not judged.
"""

from __future__ import annotations

from collections.abc import Iterator

from simulation.history.index import HistoryIndex
from simulation.history.records import NEVER, EventStory, Handling
from simulation.invariants.time_format import moment
from simulation.invariants.verdict import Invariant, Violation

NAME = "payload-intact"


def subjects(index: HistoryIndex) -> int:
    """Count the handlings whose event can be compared with what was published."""
    return index.trivial.events + sum(1 for _ in _comparable(index))


def check(index: HistoryIndex) -> Iterator[Violation]:
    """Yield a violation for each handling whose event differs from every publication of it."""
    for event, handling in _comparable(index):
        if handling.fingerprint not in event.fingerprints:
            yield _violation(event, handling)


def _comparable(index: HistoryIndex) -> Iterator[tuple[EventStory, Handling]]:
    for event in index.nontrivial:
        if event.fingerprints:
            for handling in event.handlings:
                if handling.fingerprint:
                    yield event, handling


def _violation(event: EventStory, handling: Handling) -> Violation:
    given = f"because at {moment(handling.start_at)} the handler of {handling.consumer} was given an event {event.name}"
    because = f"{given} with fingerprint {handling.fingerprint}, but {event.fingerprints[0]} was published"
    witness = tuple(number for number in (event.published, handling.start) if number != NEVER)
    return Violation(NAME, handling.start_at, (event.name,), (handling.consumer,), because, witness)


INVARIANT = Invariant(
    name=NAME,
    summary="the event handed to the handler equals the event published",
    excuses="none; unknown where its publication is not in the history",
    subjects=subjects,
    check=check,
    exercised_by=("parked", "released"),
    reading=(
        "The first fingerprint is of what the handler was given, the second of what was published. What was parked "
        "goes through Redis and is parsed again: a field that is lost there changes the fingerprint."
    ),
    needs=frozenset({"publications"}),
    holds_for_trivial=True,
    order_is_known=True,
    examples={
        "accepted": """\
{"at":0,"kind":"published","event":"a","fingerprint":"5f3a"}
{"at":1000000,"kind":"delivered","event":"a","consumer":"c1"}
{"at":1000000,"kind":"started","event":"a","consumer":"c1","fingerprint":"5f3a","handling":1}
{"at":2000000,"kind":"ended","event":"a","consumer":"c1","handling":1,"outcome":"ok"}
""",
        "rejected": """\
{"at":0,"kind":"published","event":"a","fingerprint":"5f3a"}
{"at":1000000,"kind":"delivered","event":"a","consumer":"c1"}
{"at":1000000,"kind":"started","event":"a","consumer":"c1","fingerprint":"77d0","handling":1}
{"at":2000000,"kind":"ended","event":"a","consumer":"c1","handling":1,"outcome":"ok"}
""",
    },
)
