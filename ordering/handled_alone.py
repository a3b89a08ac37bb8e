"""Events that a batch handles one by one: others must not suffer from them.

1. An event that was begun before, and whose consumer has not come back. If the process of a batch is killed, it is not
   known which handler did it. So an event that was granted before and never given back is granted alone next time: it
   is begun and completed by itself, and the others do not count.
2. An event with a large payload. A server that refuses a request of its size refuses it, and no others.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, NamedTuple

from ordering.describing import describe
from ordering.drain import Drain
from ordering.leases import is_own_failure
from ordering.requests import Handler, Outcome, Requests
from ordering.shielding import REFUSALS
from ordering.terms import Asked, as_bytes, leader_of, microseconds, names_of


class Named(NamedTuple):
    """The properties of an event that decide its order within its batch."""

    identity: str
    leader: str
    """Empty if it follows nothing."""
    order: tuple[int, bytes]
    """Its place among its siblings."""


def named(ordering: Requests[Any], events: Sequence[Any]) -> list[Named | None]:
    """Name the events of a batch; None for one that has no place among others: it must not stop the rest."""
    found: list[Named | None] = []
    for event in events:
        try:
            identity, leader = names_of(event)
            found.append(Named(identity, leader, (microseconds(event.occurred), as_bytes(identity))))
        except Exception as error:
            ordering._log(logging.ERROR, event, "cannot be handled: %s", describe(error))
            found.append(None)
    return found


def asked_of(ordering: Requests[Any], event: Any, names: tuple[str, str] | None = None) -> Asked | None:
    """Return what the scripts are asked about an event of a batch, None if it cannot be written down."""
    try:
        return ordering._asked(event, ordering._token(), names=names)
    except Exception as error:
        ordering._log(logging.ERROR, event, "cannot be handled: %s", describe(error))
        return None


def refused(ordering: Requests[Any], event: Any, refusal: Exception) -> Outcome:
    """Return the outcome of a large event that could not be begun: Redis may have refused its size."""
    message = "could not be begun (%s), perhaps because of its size; it is to be offered again"
    ordering._log(logging.ERROR, event, message, describe(refusal))
    return "failed"


def outcome_of(word: str) -> Outcome:
    """Return the outcome of an event that was not granted, by the word with which the script says so."""
    return word if word in ("seen", "dead", "held") else "parked"  # type: ignore[return-value]


async def handle_alone(ordering: Requests[Any], handler: Handler[Any], event: Any, *, large: bool = False) -> Outcome:
    """Handle one event of a batch alone, and the events that it releases; return its outcome."""
    try:
        answer, grant = await ordering._begin(event)
    except REFUSALS as refusal:
        if not large:
            raise
        return refused(ordering, event, refusal)
    queues = ordering._came_along(event)
    if grant is None:
        word, *rest = answer.split()
        if word == "drain":
            await Drain(ordering, handler, 0, [(leader_of(event), rest[0])]).run(None)
        return outcome_of(word)
    grant.handed = True  # the handler may enter the engine for it, or not, as in a batch
    try:
        async with ordering._working(grant, queues):
            await handler(event, depth=1)
    except BaseException as error:
        await ordering._release_queues(queues, error)
        if not is_own_failure(error):
            raise
        message = "failed in its handler (%s); it is to be offered again"
        ordering._log(logging.ERROR, event, message, describe(error))
        return "failed"
    try:
        await Drain(ordering, handler, 0, queues).run(grant)
    except ordering.errors.lost:
        return "lost"
    return "handled"
