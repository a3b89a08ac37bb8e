"""Many events at a time: decided in one round trip, completed in another, under the same rules as one by one.

A consumer that reads its messages in batches hands each batch over whole. Events of a batch that follow each other are
granted together and handled in causal order here, without being parked in between. What that gives up: an event is
recorded as handled when its batch is, so a crash in between repeats up to a batch of effects, not one.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from functools import partial
from itertools import chain
from typing import Any, Literal

from ordering.causal import CausalOrdering
from ordering.drain import Drain, Handler
from ordering.leases import Grant, current_grant
from ordering.scripts import words
from ordering.shielding import brought_to_its_end
from ordering.terms import digest_of, id_of, leader_of, order_of, rules_of

Outcome = Literal["handled", "parked", "seen", "held", "failed", "lost"]
"""What became of an event. `handled`, `parked` and `seen` are to be acknowledged; others are to be offered again."""

MOST = 10_000
"""How many events one request decides about: a script that runs for longer would keep all others waiting."""


async def handle_batch(ordering: CausalOrdering, handler: Handler, events: Sequence[Any]) -> list[Outcome]:
    """Handle many events, and what they release; return what became of each, in the order given.

    Args:
        ordering: the engine.
        handler: called with each event that may be handled now, and with what those release, one after the other. It
            need not enter the engine again.
        events: the batch; an event may be in it twice.

    An exception of the handler concerns its event, and those of the batch that follow it, alone.
    """
    outcomes: list[Outcome] = []
    for start in range(0, len(events), MOST):
        outcomes += await _handle_part(ordering, handler, events[start : start + MOST])
    return outcomes


async def _handle_part(ordering: CausalOrdering, handler: Handler, events: Sequence[Any]) -> list[Outcome]:
    outcomes: dict[int, Outcome] = {}
    order = _leaders_first(events)
    for event in events:
        ordering._forget_cohort(event)
    asked = [ordering._asked(events[i], ordering._token()) for i in order]
    replies = await ordering._call("begin_many", *rules_of(ordering.policy), *chain.from_iterable(asked))
    grants: list[tuple[int, Grant]] = []
    drains: list[tuple[str, str]] = []
    for i, one, reply in zip(order, asked, replies, strict=True):
        answer, grant = ordering._answered(events[i], one, words(reply))
        if grant is not None:
            grants.append((i, grant))
            continue
        word, *rest = answer.split()
        outcomes[i] = word if word in ("seen", "held") else "parked"  # type: ignore[assignment]
        if word == "drain":
            drains.append((leader_of(events[i]), rest[0]))
    drains += await _handle(ordering, handler, grants, outcomes)
    for leader, token in drains:
        await Drain(ordering, handler, 0, [(leader, token)]).run(None)
    return [outcomes[i] for i in range(len(events))]


async def _handle(
    ordering: CausalOrdering, handler: Handler, grants: list[tuple[int, Grant]], outcomes: dict[int, Outcome]
) -> list[tuple[str, str]]:
    """Handle what was granted and complete it; return the queues that others wait in."""
    keeper = ordering._keeper([grant for _, grant in grants])
    done: list[tuple[int, Grant]] = []
    failed: set[str] = set()
    try:
        for i, grant in grants:
            if failed and leader_of(grant.event) in failed:  # it was granted on the strength of its leader
                await ordering._fail(grant, counts=False)
            elif await _one(ordering, handler, grant):
                done.append((i, grant))
                continue
            failed.add(grant.identity)
            outcomes[i] = "failed"
    except BaseException:
        # What was done is recorded; what was not, is given back.
        await _complete(ordering, done, outcomes)
        for _, grant in grants[len(done) + len(failed) :]:
            await ordering._fail(grant, counts=False)
        raise
    finally:
        keeper.stop()
    return await _complete(ordering, done, outcomes)


async def _one(ordering: CausalOrdering, handler: Handler, grant: Grant) -> bool:
    grant.handed = True
    before = current_grant.set(grant)
    try:
        await handler(grant.event, depth=1)
    except Exception as error:
        ordering._log(logging.ERROR, grant.event, "failed in its handler (%r); it is to be offered again", error)
        await ordering._fail(grant, counts=True)
        return False
    finally:
        current_grant.reset(before)
    return True


async def _complete(
    ordering: CausalOrdering, done: Iterable[tuple[int, Grant]], outcomes: dict[int, Outcome]
) -> list[tuple[str, str]]:
    pairs = list(done)
    if not pairs:
        return []
    grants = [grant for _, grant in pairs]
    fields = chain.from_iterable((grant.identity, grant.token, digest_of(grant.identity)) for grant in grants)
    complete = partial(ordering._call, "complete_many", *rules_of(ordering.policy), *fields)
    ask = partial(ordering._record, grants, complete)
    replies = await brought_to_its_end(ask)
    waiting = []
    for (i, grant), reply in zip(pairs, replies, strict=True):
        word, queue = words(reply)
        outcomes[i] = "lost" if word == "lost" else "handled"
        if queue == "1":
            waiting.append((grant.identity, grant.token))
        waiting += ordering._came_along(grant.event)
    return waiting


def _leaders_first(events: Sequence[Any]) -> list[int]:
    """Return a batch's places in an order in which leaders come before followers, and siblings as they occurred."""
    places: dict[str, list[int]] = {}
    for i, event in enumerate(events):
        places.setdefault(id_of(event), []).append(i)
    below: dict[str, list[str]] = {}
    for identity, (first, *_) in places.items():
        leader = leader_of(events[first])
        below.setdefault(leader if leader in places else "", []).append(identity)
    for siblings in below.values():
        siblings.sort(key=lambda identity: order_of(events[places[identity][0]]), reverse=True)
    order: list[str] = []
    stack = list(below.get("", []))
    while stack:
        identity = stack.pop()
        order.append(identity)
        stack += below.get(identity, [])
    if len(order) < len(places):  # the rest is cycles, and what hangs on them
        placed = set(order)
        order += [identity for identity in places if identity not in placed]
    return [place for identity in order for place in places[identity]]
