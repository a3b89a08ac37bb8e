"""Events as they should not be: any moment, any id, any payload. None of them stops a sweep, a batch or a drain."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise
from typing import Any
from uuid import UUID

import pytest
from pydantic import BaseModel

from ordering import EventArrivedEarly, Policy, ReceivedEvent
from ordering.terms import microseconds, occurred_at, order_of
from tests.ordering.conftest import START, Fleet, Recorder, event, wait_out

FIRST, LAST = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


class Odd(BaseModel):
    """An event whose id is any text."""

    id: str
    follows: str | None = None
    occurred: datetime = START
    received: datetime = START
    payload: Any = None


class Names:
    """A handler that writes down the ids of what it handled."""

    def __init__(self, engine: Any) -> None:
        self.engine = engine
        self.handled: list[str] = []

    async def __call__(self, one: Any, depth: int = 0) -> None:
        async with self.engine.preceding_event_confirmed(self, one, depth):
            self.handled.append(str(one.id))


def at(moment: datetime, number: int, follows: int = 1) -> ReceivedEvent:
    return ReceivedEvent(id=UUID(int=number), follows=UUID(int=follows), occurred=moment, received=START)


# -- when ---------------------------------------------------------------------------------------------------------

MOMENTS = [
    *(FIRST + n * MICROSECOND for n in range(3)),
    datetime(1684, 7, 28, tzinfo=UTC),
    *(datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=-14))) + n * MICROSECOND for n in range(2)),
    datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
    datetime(1970, 1, 1, tzinfo=UTC),
    *(datetime(2255, 6, 5, 23, 47, 34, 740990 + n, tzinfo=UTC) for n in range(5)),
    *(datetime(3000, 1, 1, tzinfo=UTC) + n * MICROSECOND for n in range(2)),
    *(LAST - n * MICROSECOND for n in (2, 1, 0)),
]


def test_scores_to_the_microsecond() -> None:
    """Scores are in the order of the moments to the microsecond."""
    ordered = sorted(MOMENTS)
    scores = [float(occurred_at(at(moment, 2))) for moment in ordered]
    assert all(before < after for before, after in pairwise(scores))
    assert all(float(repr(score)) == score and math.isfinite(score) for score in scores)


def test_the_scores_of_our_time_are_microseconds() -> None:
    assert occurred_at(at(START, 2)) == str(microseconds(START))


async def test_siblings_of_all_times(fleet: Fleet) -> None:
    """Siblings of all times are released in their order."""
    handler = Recorder(fleet.engine())
    siblings = [at(moment, number) for number, moment in enumerate(MOMENTS, 2)]
    for one in reversed(siblings):
        with pytest.raises(EventArrivedEarly):
            await handler(one)
    await handler(event(1))
    assert handler.handled == [1, *(int(one.id.int) for one in sorted(siblings, key=order_of))]


async def test_a_moment_without_a_zone_is_utcs(fleet: Fleet) -> None:
    naive, aware = at(START.replace(tzinfo=None), 3), at(START + MICROSECOND, 2)
    handler = Recorder(fleet.engine(Policy(lookback=timedelta(milliseconds=1))))
    for one in (aware, naive, event(9, 8)):
        with pytest.raises(EventArrivedEarly):
            await handler(one)
    await wait_out(handler.engine)
    found = await handler.engine.get_lost_followers()
    assert [int(one.id.int) for one in found] == [3, 2, 9]
    assert await handler.engine.handle_batch(handler, found) == ["handled"] * 3


# -- who ----------------------------------------------------------------------------------------------------------

IDS = [
    "a|b",
    " ",
    "{x}",
    "}{",
    "größe 漢字",
    "queue:1",
    "*",
    "a\nb",
    '"',
    "\\",
    "x" * 10_000,
    "0",
    "-1",
    "nil",
    "+",
    "!",
]


@pytest.mark.parametrize("identity", IDS, ids=[repr(one[:12]) for one in IDS])
async def test_an_id_is_any_text_in_every_method(identity: str, fleet: Fleet) -> None:
    engine = fleet.engine(event_type=Odd)
    handler = Names(engine)
    leader, follower = Odd(id=identity), Odd(id=identity + "'", follows=identity)
    with pytest.raises(EventArrivedEarly):
        await handler(follower)
    assert await engine.get_followers(leader) == [follower]
    assert await engine.followers_by_id([follower.id]) == [follower]
    assert not await engine.event_has_been_seen(identity)
    assert await engine.record_event_as_processing(leader)
    assert await engine.event_has_started_processing(leader)
    assert await engine.complete_event_and_get_followers(leader) == [follower]
    await handler(follower)
    assert await engine.event_has_been_seen(follower.id)
    await engine.record_follower(Odd(id="last", follows=identity + "?"))
    await engine.forget_follower("last")
    assert await engine.give_up(Odd(id=identity + "?"))
    assert (await engine.dead_letters())[0].id == identity + "?"
    assert await engine.retry(identity + "?")
    assert [one.id for one in await engine.get_lost_followers()] == [identity + "?"]
    assert await engine.handle_batch(handler, [Odd(id=identity + "?")]) == ["handled"]


async def test_half_a_surrogate_pair_is_an_id(fleet: Fleet) -> None:
    handler = Names(fleet.engine(event_type=Odd))
    one, other = Odd(id="a").model_copy(update={"id": "\ud800"}), Odd(id="b").model_copy(update={"id": "\udfff"})
    await handler(one)
    assert await handler.engine.event_has_been_seen(one)
    assert await handler.engine.handle_batch(handler, [one, other]) == ["seen", "handled"]


async def test_an_empty_id_is_refused_with_a_reason(fleet: Fleet) -> None:
    handler = Names(fleet.engine(event_type=Odd))
    with pytest.raises(ValueError, match="must not be empty"):
        await handler(Odd(id=""))
    with pytest.raises(ValueError, match="must not be empty"):
        await handler(Odd(id="a", follows=""))
    with pytest.raises(ValueError, match="must not be empty"):
        await handler.engine.event_has_been_seen("")


async def test_impossible_event_in_a_batch(fleet: Fleet) -> None:
    """An impossible event fails alone in its batch."""
    handler = Names(fleet.engine(event_type=Odd))
    batch = [Odd(id="a"), Odd(id=""), Odd(id="b", follows="a"), Odd(id="c", follows="a", payload="\ud800")]
    assert await handler.engine.handle_batch(handler, batch) == ["handled", "failed", "handled", "failed"]


class Broken:
    """Raises whichever field it is asked for."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)


NO_EVENTS = [None, "text", object(), Broken(), Odd.model_construct(id=None), Odd.model_construct(id="a", follows="")]


@pytest.mark.parametrize("thing", NO_EVENTS, ids=["none", "text", "object", "broken", "no-id", "empty-leader"])
@pytest.mark.parametrize("way", ["batch", "stream"])
async def test_what_is_no_event_fails_alone(way: str, thing: Any, fleet: Fleet) -> None:
    """Also twice, and while other events wait together for their turn, which one completion has claimed."""
    handler, outcomes = Recorder(fleet.engine()), list[str]()
    for follower in (event(3, 2), event(4, 2)):
        with pytest.raises(EventArrivedEarly):
            await handler(follower)
    await handler.engine.complete_event_and_get_followers(event(2))
    events = [event(1), thing, event(5), thing, event(6)]

    async def report(_: Any, outcome: str) -> None:
        outcomes.append(outcome)

    if way == "batch":
        outcomes += await handler.engine.handle_batch(handler, events)
    else:
        await handler.engine.handle_stream(handler, events, report)
    assert outcomes == ["handled", "failed", "handled", "failed", "handled"]
    assert handler.handled == [1, 5, 6]
    assert not handler.engine._state.active
    assert (await handler.engine.stats()).in_hand == 0


async def test_ids_of_different_types_are_the_same_text(fleet: Fleet) -> None:
    engine = fleet.engine()
    await Recorder(engine)(event(1))
    assert await engine.event_has_been_seen(str(UUID(int=1)))
    assert await engine.event_has_been_seen(UUID(int=1))


# -- what ---------------------------------------------------------------------------------------------------------


async def test_numbers_beyond_json(fleet: Fleet) -> None:
    """Numbers that JSON does not know come back."""
    payload = {"nan": math.nan, "deep": [{"more": math.inf}, -math.inf], "list": [], "dict": {}, "big": 2**70}
    parked = event(2, 1, payload=payload)
    engine = fleet.engine()
    await engine.record_follower(parked)
    [back] = await engine.get_followers(event(1))
    assert math.isnan(back.payload["nan"])
    assert {**back.payload, "nan": 0} == {**payload, "nan": 0}
    assert not isinstance(back.payload["deep"][0]["more"], str)


async def test_large_payload_bounds_the_sweep(fleet: Fleet) -> None:
    """A large payload leaves room for the next sweep."""
    engine = fleet.engine(Policy(lookback=timedelta(milliseconds=1)))
    handler = Recorder(engine)
    for n in range(2, 8):
        with pytest.raises(EventArrivedEarly):
            await handler(event(n, n + 100, payload={"text": "x" * 6_000_000}))
    await wait_out(engine)
    found: list[int] = []
    while lost := await engine.get_lost_followers():
        assert len(lost) <= 3, "sixteen megabytes, and what goes beyond them"
        found += [int(one.id.int) for one in lost]
        assert await engine.handle_batch(handler, lost) == ["handled"] * len(lost)
    assert sorted(found) == list(range(2, 8))
