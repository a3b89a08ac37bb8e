"""Many events at a time: decided in one round trip, completed in another, under the same rules as one by one.

A consumer that reads its messages in batches hands each batch over whole. Events of a batch that follow each other are
granted together and handled in causal order here, without being parked in between: level by level, with one short round
trip between two of them. What that gives up: an event is recorded as handled when its batch is, so a crash in between
repeats up to a batch of effects, not one.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from functools import partial
from itertools import chain
from typing import Any, Literal

from redis.exceptions import RedisError

from ordering.causal import CausalOrdering
from ordering.describing import describe
from ordering.drain import Drain, Handler
from ordering.leases import Grant, current_grant
from ordering.scripts import words
from ordering.shielding import brought_to_its_end
from ordering.suspects import handle_alone
from ordering.terms import digest_of, id_of, leader_of, order_of, rules_of

Outcome = Literal["handled", "parked", "seen", "dead", "held", "failed", "lost"]
"""What became of an event. `handled`, `parked`, `seen`, `dead` are to be acknowledged, others to be offered again."""

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
    outcomes: dict[int, Outcome] = dict.fromkeys(_impossible(ordering, events), "failed")
    order = [i for i in _leaders_first(events, outcomes) if i not in outcomes]
    for i in order:
        ordering._forget_cohort(events[i])
    asked = [ordering._asked(events[i], ordering._token()) for i in order]
    replies = await ordering._call("begin_many", *rules_of(ordering.policy), *chain.from_iterable(asked))
    grants: list[tuple[int, Grant]] = []
    drains: list[tuple[str, str]] = []
    alone: list[int] = []
    for i, one, reply in zip(order, asked, replies, strict=True):
        answer, grant = ordering._answered(events[i], one, words(reply))
        if grant is not None:
            grants.append((i, grant))
            continue
        word, *rest = answer.split()
        outcomes[i] = word if word in ("seen", "dead", "held") else "parked"  # type: ignore[assignment]
        if word == "exhausted":
            await ordering._give_up_exhausted(events[i])
            outcomes[i] = "dead"
        if word == "alone":
            alone.append(i)
        if word == "drain":
            drains.append((leader_of(events[i]), rest[0]))
    work = _Work(ordering, handler, outcomes)
    await work.run(grants)
    for leader, token in drains + work.queues:
        await Drain(ordering, handler, 0, [(leader, token)]).run(None)
    for i in alone:
        outcomes[i] = await handle_alone(ordering, handler, events[i])
    return [outcomes[i] for i in range(len(events))]


def _impossible(ordering: CausalOrdering, events: Sequence[Any]) -> list[int]:
    """Return the places of events about which nothing can be asked: they must not stop the others of their batch."""
    found = []
    for i, event in enumerate(events):
        try:
            order_of(event)
            leader_of(event)
            event.model_dump_json().encode()
        except Exception as error:
            ordering._log(logging.ERROR, event, "cannot be handled: %s", describe(error))
            found.append(i)
    return found


class _Work:
    """What was granted of a batch, handled level by level: first those that follow nothing in it, then their followers.

    Before each level one looks whether others wait for its leaders by now: those have come while the leader was being
    handled, elsewhere, and may be the elder ones. If so, what was handled is recorded, as if the batch ended there.
    """

    def __init__(self, ordering: CausalOrdering, handler: Handler, outcomes: dict[int, Outcome]) -> None:
        self._ordering = ordering
        self._handler = handler
        self._outcomes = outcomes
        self._held: dict[str, Grant] = {}
        self._done: list[tuple[int, Grant]] = []
        """What was handled and not recorded."""
        self._failed: set[str] = set()
        self._doubtful: set[str] = set()
        """Leaders that others wait for, and those that are not done after all."""
        self.queues: list[tuple[str, str]] = []
        """The queues that others wait in, claimed for this batch."""

    async def run(self, grants: Sequence[tuple[int, Grant]]) -> None:
        """Handle and record everything."""
        self._held |= {grant.identity: grant for _, grant in grants}
        keeper = self._ordering._keeper(self._held.values(), self.queues)
        try:
            for level in _levels(grants):
                if self._done and await self._others_wait(level):
                    await self._record()
                for i, grant in level:
                    await self._handle(i, grant)
        except BaseException:
            # What was done is recorded; what was not, is given back.
            await self._record()
            for grant in self._held.values():
                await self._ordering._fail(grant, counts=False)
            raise
        finally:
            keeper.stop()
        await self._record()

    async def _others_wait(self, level: Sequence[tuple[int, Grant]]) -> bool:
        queues = dict.fromkeys(self._ordering._key(f"queue:{leader_of(grant.event)}") for _, grant in level)
        try:
            return bool(await self._ordering._ask("EXISTS", *queues))
        except RedisError:  # recording asks more insistently
            return True

    async def _handle(self, i: int, grant: Grant) -> None:
        leader = leader_of(grant.event)
        outcome: Outcome = "failed"
        if leader in self._failed:  # it was granted on the strength of its leader
            await self._ordering._fail(grant, counts=False)
        elif leader in self._doubtful and (refused := await self._ask_again(grant)):
            outcome = refused
            self._doubtful.add(grant.identity)
        elif await _one(self._ordering, self._handler, grant):
            self._done.append((i, grant))
            return
        if outcome == "failed":
            self._failed.add(grant.identity)
        self._outcomes[i] = outcome
        del self._held[grant.identity]

    async def _ask_again(self, grant: Grant) -> Outcome | None:
        """Ask whether an event may go on; if not, it is parked, or was seen meanwhile."""
        ordering = self._ordering
        asked = ordering._asked(grant.event, grant.token)
        asked = asked._replace(claim=dict(self.queues).get(asked.leader, ""))
        reply = words(await ordering._call("wait", *rules_of(ordering.policy), *asked, 0, 1))
        return None if reply[0] == "ready" else "seen" if reply[0] == "seen" else "parked"

    async def _record(self) -> None:
        """Complete what was handled, and take the queues that others wait in."""
        pairs, self._done = self._done, []
        if not pairs:
            return
        ordering = self._ordering
        grants = [grant for _, grant in pairs]
        fields = chain.from_iterable((grant.identity, grant.token, digest_of(grant.identity)) for grant in grants)
        complete = partial(ordering._call, "complete_many", *rules_of(ordering.policy), *fields)
        replies = await brought_to_its_end(partial(ordering._record, grants, complete))
        for (i, grant), reply in zip(pairs, replies, strict=True):
            word, waiting = words(reply)
            self._outcomes[i] = "lost" if word == "lost" else "handled"
            if word == "lost":
                ordering._notify("lease_lost", grant.identity)
            if word == "lost" or waiting == "1":
                self._doubtful.add(grant.identity)
            if waiting == "1":
                self.queues.append((grant.identity, grant.token))
            self.queues += ordering._came_along(grant.event)
            del self._held[grant.identity]


async def _one(ordering: CausalOrdering, handler: Handler, grant: Grant) -> bool:
    grant.handed = True
    before = current_grant.set(grant)
    try:
        await handler(grant.event, depth=1)
    except Exception as error:
        ordering._log(
            logging.ERROR, grant.event, "failed in its handler (%s); it is to be offered again", describe(error)
        )
        await ordering._fail(grant, counts=True, error=error)
        return False
    finally:
        current_grant.reset(before)
    return True


def _levels(grants: Sequence[tuple[int, Grant]]) -> list[list[tuple[int, Grant]]]:
    """Return what was granted by how many leaders each event has in it, leaders first."""
    depths: dict[str, int] = {}
    levels: list[list[tuple[int, Grant]]] = []
    for one in grants:
        event = one[1].event
        depth = depths[id_of(event)] = depths.get(leader_of(event), -1) + 1
        if depth == len(levels):
            levels.append([])
        levels[depth].append(one)
    return levels


def _leaders_first(events: Sequence[Any], without: Collection[int]) -> list[int]:
    """Return a batch's places, but for some, in an order: leaders before followers, siblings as they occurred."""
    places: dict[str, list[int]] = {}
    for i, event in enumerate(events):
        if i in without:
            continue
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
