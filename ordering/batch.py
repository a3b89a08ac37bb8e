"""Many events at a time: decided in one round trip, completed in another, under the same rules as one by one.

A consumer that reads its messages in batches hands each batch over whole. Events of a batch that follow each other are
granted together and handled in causal order here, without being parked in between: level by level, with one short round
trip between two of them. The cost: an event is recorded as handled when its batch is, so a crash in between
repeats up to a batch of effects, not one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from functools import partial
from itertools import chain
from typing import Any

from ordering.describing import describe
from ordering.drain import Drain
from ordering.handled_alone import Named, asked_of, handle_alone, named, outcome_of
from ordering.leases import Grant, LeaseRenewer, current_grant, is_own_failure
from ordering.renewing import MAX_SLICE
from ordering.requests import REFUSED, Handler, Outcome, Requests
from ordering.scripts import words
from ordering.shielding import REFUSALS, bounded, brought_to_its_end
from ordering.terms import Asked, digest_of, listed

MAX_BATCH_EVENTS = 10_000
"""Events that are decided about and held together; what is beyond them is begun when they are done."""


async def handle_batch(ordering: Requests[Any], handler: Handler[Any], events: Sequence[Any]) -> list[Outcome]:
    """Handle many events and the followers that they release; return the outcome of each, in the order given.

    Args:
        ordering: the engine.
        handler: called with each event that may be handled now, and with the followers that those release, one after
            the other. It need not enter the engine again.
        events: the batch; an event may be in it twice.

    An exception of the handler concerns its event, and those of the batch that follow it, alone.
    """
    outcomes: list[Outcome] = []
    for start in range(0, len(events), MAX_BATCH_EVENTS):
        outcomes += await _handle_part(ordering, handler, events[start : start + MAX_BATCH_EVENTS])
    return outcomes


async def _handle_part(ordering: Requests[Any], handler: Handler[Any], events: Sequence[Any]) -> list[Outcome]:
    outcomes: dict[int, Outcome] = {}
    drains: list[tuple[str, str]] = []
    large = set[int]()
    work = _Work(ordering, handler, outcomes)
    try:
        grants = await _begin(ordering, events, outcomes, drains, large)
        work.queues += chain.from_iterable(ordering._came_along(grant.event) for _, grant in grants)
        await work.run(grants)
    except BaseException as error:
        await ordering._release_queues(drains + work.queues, error)
        raise
    queues = reversed(drains + work.queues)  # a drain begins with the last
    await Drain(ordering, handler, 0, queues).run(None)
    for i, event in enumerate(events):
        if i not in outcomes:
            outcomes[i] = await handle_alone(ordering, handler, event, large=i in large)
    return [outcomes[i] for i in range(len(events))]


def _choose(
    ordering: Requests[Any], events: Sequence[Any], outcomes: dict[int, Outcome], large: set[int]
) -> list[tuple[int, Asked]]:
    """Return the places and questions of the events to ask about, leaders first.

    The others are noted in `outcomes`, or in `large` if they are too large to be asked about together.
    """
    names = named(ordering, events)
    outcomes.update((i, "failed") for i, one in enumerate(names) if one is None)
    chosen: list[tuple[int, Asked]] = []
    for i, name in _leaders_first(names):
        ordering._forget_claim_group(events[i])
        if ordering._works_on(name.identity):
            ordering._notify("refused", name.identity)
            outcomes[i] = "held"
        elif (one := asked_of(ordering, events[i], name[:2])) is None:
            outcomes[i] = "failed"
        elif one.is_large:
            large.add(i)
            _keep_claim(ordering, one)
        else:
            chosen.append((i, one))
    return chosen


def _keep_claim(ordering: Requests[Any], one: Asked) -> None:
    """Have an event asked about once more under the claim that it was given under, if it was."""
    if one.given:
        ordering._state.claims[one.identity] = one.claim


async def _begin(
    ordering: Requests[Any],
    events: Sequence[Any],
    outcomes: dict[int, Outcome],
    drains: list[tuple[str, str]],
    large: set[int],
) -> list[tuple[int, Grant]]:
    """Ask for the leases of a batch; return the grants, each with its place in the batch, leaders first.

    Outcomes other than a grant are noted in `outcomes`, and the queues that the caller is to go through in `drains`.
    An event without an outcome is to be handled alone; those among them that are large are noted in `large`.
    """
    chosen = _choose(ordering, events, outcomes, large)
    if not chosen:
        return []
    sent = ordering._now()
    slices = [listed(part) for part in _subtrees_together([one for _, one in chosen])]
    ask = partial(_call_sliced, ordering, "begin_many", slices)

    async def give_back(replies: Any) -> None:
        answers = zip(chosen, replies, strict=True)
        granted = [ordering._answered(events[i], one, words(reply), sent)[1] for (i, one), reply in answers]
        await _give_back(ordering, [grant for grant in granted if grant is not None])

    replies = await brought_to_its_end(ask, ordering._lease_s, give_back)
    grants: list[tuple[int, Grant]] = []
    exhausted = list[int]()
    for (i, one), reply in zip(chosen, replies, strict=True):
        answer, grant = ordering._answered(events[i], one, words(reply), sent)
        if grant is not None:
            grants.append((i, grant))
            continue
        word, *rest = answer.split()
        if word == "alone":
            _keep_claim(ordering, one)
            continue
        if word == "exhausted":
            exhausted.append(i)
            continue
        outcomes[i] = outcome_of(word)
        if word == "drain":
            drains.append((one.leader, rest[0]))
    try:
        for i in exhausted:
            outcomes[i] = "dead" if await ordering._give_up_exhausted(events[i]) else "held"
    except BaseException as error:
        async with bounded(error, ordering._lease_s):
            await _give_back(ordering, [grant for _, grant in grants])
        raise
    return grants


async def _call_sliced(
    ordering: Requests[Any], name: str, slices: Sequence[Iterable[str]], *, once: bool = False
) -> list[Any]:
    """Run a script that answers for many events, once for each slice of them, all in one round trip."""
    if len(slices) == 1:
        return list(await ordering._call(name, ordering._rules, *slices[0], once=once))
    calls = (ordering._call(name, ordering._rules, *part, once=once) for part in slices)
    answers: list[Any] = []
    with ordering._state.asks_for_leases():  # until the answers to all are read
        replies = await asyncio.gather(*calls, return_exceptions=True)
    for reply in replies:
        if isinstance(reply, BaseException):
            raise reply
        answers += reply
    return answers


async def _give_back(ordering: Requests[Any], grants: Sequence[Grant]) -> set[str]:
    """Give back the leases that no handler holds, all at once: one by one it may take longer than they last.

    Return the leaders whose queues are to rest: Redis has refused that for one of their followers, and others that come
    would overtake it.
    """
    queues = [queue for grant in grants for queue in ordering._came_along(grant.event)]
    for grant in grants:
        ordering._state.leave(grant)
    answers = await asyncio.gather(*(ordering._fail(grant, counts=False) for grant in grants))
    rest = {grant.leader for grant, answer in zip(grants, answers, strict=True) if answer == "refused"}
    await ordering._release(*_without(rest, queues))
    return rest


def _without(rest: set[str], queues: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    return [queue for queue in queues if queue[0] not in rest]


class _Work:
    """The grants of a batch, handled level by level: first events that follow nothing in it, then their followers.

    Before each level it looks whether others wait for its leaders by now: those have come while the leader was being
    handled, elsewhere, and may be the elder ones. If so, the handled events are recorded, as if the batch ended there.

    All leases are renewed together. No handler begins whose lease is lost, or may have lapsed by this process's clock.
    """

    def __init__(self, ordering: Requests[Any], handler: Handler[Any], outcomes: dict[int, Outcome]) -> None:
        self._ordering = ordering
        self._handler = handler
        self._outcomes = outcomes
        self._held: dict[str, Grant] = {}
        self._done: list[tuple[int, Grant]] = []
        """Grants of handled events that are not recorded yet, each with its place in the batch."""
        self._failed: set[str] = set()
        self._doubtful: set[str] = set()
        """Leaders that others wait for, and those that are not done after all."""
        self.queues: list[tuple[str, str]] = []
        """The queues that others wait in, claimed for this batch: those of its leaders, and those that came along with
        its events. They are kept as the leases are: others begin with no younger sibling of an event of the batch.
        """

    async def run(self, grants: Sequence[tuple[int, Grant]]) -> None:
        """Handle and record everything."""
        active = self._ordering._state.active
        for _, grant in grants:
            self._held[grant.identity] = grant
            active[grant.identity] = grant
        renewer = self._ordering._renewer(self._held.values(), self.queues)
        try:
            for level in _levels(grants):
                if self._done and await self._others_wait(level):
                    await self._record()
                for i, grant in level:
                    await self._handle(i, grant, renewer)
            await self._record()
        except BaseException as error:
            # What was done is recorded; what was not, is given back.
            async with bounded(error, self._ordering._lease_s):
                await self._record()
                rest = await _give_back(self._ordering, [*self._held.values()])
                self.queues[:] = _without(rest, self.queues)
            raise
        finally:
            renewer.stop()
            for grant in self._held.values():
                self._ordering._state.leave(grant)

    async def _others_wait(self, level: Sequence[tuple[int, Grant]]) -> bool:
        leaders = dict.fromkeys(grant.leader for _, grant in level)
        try:
            return any(await self._ordering._look("queue", *leaders, once=True))
        except REFUSALS:  # recording asks more insistently
            return True

    async def _handle(self, i: int, grant: Grant, renewer: LeaseRenewer) -> None:
        leader = grant.leader
        outcome: Outcome = "failed"
        ordering = self._ordering
        if not (ordering._lasts(grant) or await ordering._may_begin(grant, renewer)):
            outcome = "lost"
            self._doubtful.add(grant.identity)
        elif leader in self._failed:  # it was granted on the strength of its leader
            await ordering._fail(grant, counts=False)
        elif leader in self._doubtful and (refused := await self._ask_again(grant)):
            outcome = refused
            self._doubtful.add(grant.identity)
        elif await _one(ordering, self._handler, grant):
            self._done.append((i, grant))
            return
        if outcome == "failed":
            self._failed.add(grant.identity)
        self._outcomes[i] = outcome
        self._let_go(grant)

    def _let_go(self, grant: Grant) -> None:
        del self._held[grant.identity]
        self._ordering._state.leave(grant)

    async def _ask_again(self, grant: Grant) -> Outcome | None:
        """Ask whether an event may go on; if not, it is parked, or was seen meanwhile."""
        ordering = self._ordering
        asked = ordering._asked(grant.event, grant.token)
        asked = asked._replace(claim=dict(self.queues).get(asked.leader, ""))
        reply = words(await ordering._call("wait", ordering._rules, *asked, 0, 1))
        if reply[0] == "ready":
            return None
        ordering._notify("refused" if reply[0] in REFUSED else "parked", grant.identity)
        return outcome_of(reply[0])

    async def _record(self) -> None:
        """Complete the handled events, and take the queues that others wait in."""
        pairs, self._done = self._done, []
        if not pairs:
            return
        ordering = self._ordering
        grants = [grant for _, grant in pairs]
        fields = [(grant.identity, grant.token, digest_of(grant.identity)) for grant in grants]
        slices = [tuple(chain.from_iterable(fields[i : i + MAX_SLICE])) for i in range(0, len(fields), MAX_SLICE)]
        complete = partial(_call_sliced, ordering, "complete_many", slices, once=True)

        async def ask() -> list[Any]:
            try:
                return await complete()
            except REFUSALS as refusal:
                return list(await ordering._record(grants, complete, refusal))

        replies = await brought_to_its_end(ask, ordering._lease_s)
        for (i, grant), (_, token, _), reply in zip(pairs, fields, replies, strict=True):
            word, waiting = words(reply)
            if word == "lost" and await ordering._state.was_granted_again(grant, token, ordering._lease_s):
                word, waiting = words(await ordering._complete(grant))
            self._outcomes[i] = "lost" if word == "lost" else "handled"
            if word == "lost":
                ordering._notify("lease_lost", grant.identity)
            if word == "lost" or waiting == "1":
                self._doubtful.add(grant.identity)
            if waiting == "1":
                self.queues.append((grant.identity, grant.token))
            self._let_go(grant)


async def _one(ordering: Requests[Any], handler: Handler[Any], grant: Grant) -> bool:
    grant.handed = grant.begun = True
    before = current_grant.set(grant)
    try:
        try:
            await handler(grant.event, depth=1)
        finally:
            grant.handed = False
    except SystemExit as error:
        await ordering._fail(grant, counts=True, error=error)
        raise
    except BaseException as error:
        if not is_own_failure(error):
            raise
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
        grant = one[1]
        depth = depths[grant.identity] = depths.get(grant.leader, -1) + 1
        if depth == len(levels):
            levels.append([])
        levels[depth].append(one)
    return levels


def _subtrees_together(asked: Sequence[Asked]) -> list[list[Asked]]:
    """Divide a batch into slices, leaders first, that keep what hangs on one event together as far as it fits."""
    names = {one.identity for one in asked}
    subtrees: list[list[Asked]] = []
    for one in asked:
        if not subtrees or one.leader not in names or len(subtrees[-1]) == MAX_SLICE:
            subtrees.append([])
        subtrees[-1].append(one)
    slices: list[list[Asked]] = [[]]
    for subtree in subtrees:
        if len(slices[-1]) + len(subtree) > MAX_SLICE:
            slices.append([])
        slices[-1] += subtree
    return [part for part in slices if part]


def _leaders_first(names: Sequence[Named | None]) -> list[tuple[int, Named]]:
    """Return a batch's places and their events, in an order: leaders before followers, siblings as they occurred."""
    places: dict[str, list[tuple[int, Named]]] = {}
    for i, one in enumerate(names):
        if one is not None:
            places.setdefault(one.identity, []).append((i, one))
    below: dict[str, list[str]] = {}
    for identity, [(_, first), *_] in places.items():
        below.setdefault(first.leader if first.leader in places else "", []).append(identity)
    for siblings in below.values():
        siblings.sort(key=lambda identity: places[identity][0][1].order, reverse=True)
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
