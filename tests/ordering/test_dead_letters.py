"""Dead letters: written with their reason, reported at least once, kept until they are retried or discarded."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel

from ordering import DeadLetter, EventArrivedEarly, EventGivenUp, LeaseLost, PartitionedOrdering, Policy
from ordering.scripts import words
from ordering.terms import rules_of
from tests.ordering.conftest import Fleet, Recorder, event, expire, number, sweep

ONCE = Policy(max_attempts=1)


async def fail_at_last(handler: Recorder, *below: Any) -> None:
    """Have event 2, which follows event 1, be given up."""
    for one in (event(2, 1, secret="hidden"), *below):
        with pytest.raises(EventArrivedEarly):
            await handler(one)
    handler.failing = {2: 1}
    await handler(event(1))


async def test_a_dead_letter_says_why_and_what(fleet: Fleet) -> None:
    handler = Recorder(fleet.engine(ONCE))
    await fail_at_last(handler)
    letter = await handler.engine.dead_letter(event(2))
    assert letter is not None
    assert (letter.id, letter.follows) == (str(event(2).id), str(event(1).id))
    assert (letter.reason, letter.attempts, letter.error) == ("failed", 1, "RuntimeError: event 2 is hard")
    assert handler.engine._parse(letter.payload) == event(2, 1, secret="hidden")
    assert await handler.engine.dead_letters() == [letter]
    assert await handler.engine.dead_letters(limit=0) == []
    assert letter.as_dict(payload=False).keys() == {"id", "follows", "reason", "error", "attempts", "at"}


async def test_a_dead_letter_is_kept_for_its_own_time(fleet: Fleet) -> None:
    handler = Recorder(fleet.engine(ONCE))
    await fail_at_last(handler)
    client = handler.engine.redis
    for key in ("dead-letters", f"dead:{event(2).id}"):
        left = timedelta(milliseconds=await client.pttl(handler.engine._key(key)))
        assert timedelta(days=6, hours=23) < left <= timedelta(days=7)


async def test_expired_dead_letter_is_not_listed(fleet: Fleet) -> None:
    """A dead letter whose time is over is neither listed nor counted."""
    engine = fleet.engine(ONCE)
    handler = Recorder(engine)
    await fail_at_last(handler)
    await engine.redis.delete(engine._key(f"dead:{event(2).id}"))
    await engine.redis.zadd(engine._key("dead-letters"), {str(event(2).id): 1})
    assert await engine.dead_letters() == []
    assert (await engine.stats()).dead == 0
    await engine.get_lost_followers()
    assert not await engine.redis.exists(engine._key("dead-letters"))


async def test_its_writer_reports_it_once(fleet: Fleet) -> None:
    reported: list[DeadLetter] = []
    handler = Recorder(fleet.engine(ONCE, on_dead_letter=reported.append))
    await fail_at_last(handler)
    await expire(handler.engine)
    await sweep(Recorder(fleet.engine(ONCE, on_dead_letter=reported.append)))
    assert [letter.id for letter in reported] == [str(event(2).id)]


async def test_sweep_reports_the_unreported(fleet: Fleet) -> None:
    reported: list[DeadLetter] = []
    handler = Recorder(fleet.engine(ONCE))

    async def silent(_: str) -> None:
        """Die before a word of it is said."""

    handler.engine._report_dead_letter = silent  # type: ignore[method-assign]
    await fail_at_last(handler)
    other = fleet.engine(ONCE, on_dead_letter=reported.append)
    await other.get_lost_followers()
    assert reported == [], "its writer has the length of a lease to do so"
    await expire(other)
    await other.get_lost_followers()
    await expire(other)
    await other.get_lost_followers()
    assert [letter.id for letter in reported] == [str(event(2).id)]


async def test_failing_callback_is_called_again(fleet: Fleet, caplog: pytest.LogCaptureFixture) -> None:
    calls: list[str] = []

    async def deaf(letter: DeadLetter) -> None:
        calls.append(letter.id)
        if len(calls) == 1:
            raise ConnectionError("the pager is broken")

    handler = Recorder(fleet.engine(ONCE, on_dead_letter=deaf))
    await fail_at_last(handler, event(3, 1))
    assert handler.handled == [1, 3], "that concerns no other event"
    assert "the pager is broken" in caplog.text
    for _ in range(2):
        await expire(handler.engine)
        await sweep(handler)
    assert calls == [str(event(2).id)] * 2


async def test_endless_callback_holds_no_sweep(fleet: Fleet, caplog: pytest.LogCaptureFixture) -> None:
    """A callback that never returns is stopped after a lease, and its sweep returns what it has found."""
    calls: list[str] = []

    async def endless(letter: DeadLetter) -> None:
        calls.append(letter.id)
        if len(calls) == 1:
            await asyncio.get_running_loop().create_future()

    writer = fleet.engine(ONCE)
    for n in (1, 2):
        assert await writer._give_up(event(n), "exhausted", report=False)
        await writer.redis.zadd(writer._key("untold"), {str(event(n).id): 0})
    assert await writer.give_up(event(3))
    assert await writer.retry(event(3))
    sweeper = fleet.engine(Policy(lease=timedelta(milliseconds=100)), on_dead_letter=endless)
    assert [number(one) for one in await sweeper.get_lost_followers()] == [3]
    assert len(calls) == 1, "the other letter is left to a later sweep"
    assert "it was not done after a lease" in caplog.text
    await expire(sweeper)
    await sweeper.get_lost_followers()
    assert set(calls[1:]) == {str(event(n).id) for n in (1, 2)}
    assert await sweeper.redis.zcard(sweeper._key("untold")) == 0


async def test_cancelled_part_of_a_callback(fleet: Fleet) -> None:
    """A callback that awaits something cancelled has failed; the task that sweeps was not cancelled."""
    calls: list[str] = []

    async def broken(letter: DeadLetter) -> None:
        calls.append(letter.id)
        gone = asyncio.get_running_loop().create_future()
        gone.cancel()
        await gone

    handler = Recorder(fleet.engine(ONCE, on_dead_letter=broken))
    await fail_at_last(handler, event(3, 1))
    assert handler.handled == [1, 3]
    await expire(handler.engine)
    await handler.engine.get_lost_followers()
    assert calls == [str(event(2).id)] * 2


async def test_dead_event_is_refused(fleet: Fleet) -> None:
    """A dead event is refused and its followers go on."""
    handler = Recorder(fleet.engine(ONCE))
    await fail_at_last(handler, event(3, 2))
    with pytest.raises(EventGivenUp):
        await handler(event(2, 1))
    await sweep(handler)
    await handler(event(4, 2))
    assert handler.handled == [1, 3, 4]


async def test_a_dead_event_can_be_tried_again(fleet: Fleet) -> None:
    handler = Recorder(fleet.engine(ONCE))
    await fail_at_last(handler)
    assert await handler.engine.retry(event(2).id)
    assert not await handler.engine.retry(event(2).id)
    assert await handler.engine.dead_letters() == []
    assert await sweep(handler) == [2]
    assert handler.handled == [1, 2]
    assert await handler.engine.redis.exists(handler.engine._key("waitlist"), handler.engine._key("claims")) == 0


def repeat_requests(client: Any) -> None:
    """Have a client make each request again, as after a lost reply."""
    send = client.execute_command

    async def twice(*words: Any, **options: Any) -> Any:
        await send(*words, **options)
        return await send(*words, **options)

    client.execute_command = twice


@pytest.mark.parametrize("verb", ["retry", "discard"])
async def test_repeated_request_has_the_same_answer(fleet: Fleet, verb: str) -> None:
    """A retry or a discard whose reply was lost says that it was done."""
    engine = fleet.engine()
    assert await engine.give_up(event(1))
    repeat_requests(engine.redis)
    assert await getattr(engine, verb)(event(1))
    assert not await getattr(engine, verb)(event(1)), "another request is answered by itself"


async def test_dead_event_without_leader_is_retried(fleet: Fleet) -> None:
    """A dead event that follows nothing can be tried again."""
    handler = Recorder(fleet.engine(ONCE))
    assert await handler.engine.give_up(event(5))
    assert await handler.engine.retry(event(5))
    handler.failing = {5: 1}
    assert await sweep(handler) == [5]
    assert [letter.reason for letter in await handler.engine.dead_letters()] == ["failed"]
    assert await handler.engine.retry(event(5))
    assert await sweep(handler) == [5]
    assert handler.handled == [5]
    left = {key.decode() for key in await handler.engine.redis.keys("*")}
    assert not {key for key in left if await handler.engine.redis.ttl(key) < 0}, left


async def test_a_dead_event_can_be_discarded(fleet: Fleet) -> None:
    handler = Recorder(fleet.engine(ONCE))
    await fail_at_last(handler)
    assert await handler.engine.discard(event(2).id)
    assert not await handler.engine.discard(event(2).id)
    assert await handler.engine.dead_letters() == []
    await handler(event(3, 2))
    assert handler.handled == [1, 3], "a follower that comes now does not wait"
    assert await handler.engine.event_has_been_seen(event(2))


async def test_a_discarded_event_is_remembered(fleet: Fleet) -> None:
    """A follower that comes after the retention of a discarded leader does not wait either."""
    handler = Recorder(fleet.engine(ONCE))
    await fail_at_last(handler)
    assert await handler.engine.discard(event(2).id)
    await handler.engine.redis.delete(handler.engine._key(f"seen:{event(2).id}"))  # as after the retention
    await handler(event(3, 2))
    assert handler.handled == [1, 3]


async def test_leader_given_up_by_the_queue(fleet: Fleet) -> None:
    """The queue gives a leader up and its followers go on at once."""
    handler = Recorder(fleet.engine())
    for one in (event(2, 1), event(3, 1)):
        with pytest.raises(EventArrivedEarly):
            await handler(one)
    handler.failing = {1: 1}
    with pytest.raises(RuntimeError):
        await handler(event(1))
    assert await sweep(handler) == []
    assert await handler.engine.give_up(event(1, note="dead in the queue"), "the queue's fourth failure")
    assert await handler.engine.give_up(event(1)), "it is said twice: the reply was lost"
    await sweep(handler)
    assert handler.handled == [2, 3]
    [letter] = await handler.engine.dead_letters()
    assert (letter.reason, b"dead in the queue" in letter.payload) == ("the queue's fourth failure", True)


async def test_handled_or_held_is_not_given_up(fleet: Fleet) -> None:
    """What was handled or is held cannot be given up."""
    handler = Recorder(fleet.engine())
    await handler(event(1))
    assert not await handler.engine.give_up(event(1))
    await handler.engine.record_event_as_processing(event(2))
    assert not await fleet.engine().give_up(event(2))
    assert await handler.engine.dead_letters() == []


@pytest.mark.parametrize("step", ["complete", "record"])
async def test_handled_after_all(fleet: Fleet, step: str) -> None:
    """An event that is handled after all is no dead letter."""
    slow, other = fleet.engine(), fleet.engine()
    assert await slow.record_event_as_processing(event(1))
    await slow.redis.delete(slow._key(f"processing:{event(1).id}"))  # no sign of life for a whole lease
    assert await other.give_up(event(1))
    if step == "complete":
        await slow.complete_event_and_get_followers(event(1))
    else:
        await slow.record_event_as_seen(event(1))
    assert await other.dead_letters() == []
    assert not await other.retry(event(1))
    assert (await other.stats()).dead == 0
    assert await other.event_has_been_seen(event(1))


async def test_failure_reported_twice(fleet: Fleet) -> None:
    """A failure that is reported twice counts once."""
    handler = Recorder(fleet.engine(Policy(max_attempts=2)))
    with pytest.raises(EventArrivedEarly):
        await handler(event(2, 1))
    engine = handler.engine
    await engine.record_event_as_processing(event(1))
    [follower] = await engine.complete_event_and_get_followers(event(1))
    _, grant = await engine._begin(follower)
    assert grant is not None
    asked = (rules_of(engine.policy), grant.identity, grant.token, "failed", 0, "", "")
    assert [words(await engine._call("fail", *asked)) for _ in range(3)] == [["retry", "1"]] * 3


async def test_dead_letters_are_listed_in_pages(fleet: Fleet) -> None:
    engine = fleet.engine()
    for n in range(1, 6):
        await engine.give_up(event(n))
    pages: list[Sequence[DeadLetter]] = [await engine.dead_letters(limit=2, first=first) for first in (0, 2, 4)]
    assert sorted(letter.id for page in pages for letter in page) == [str(event(n).id) for n in range(1, 6)]


async def test_partitions(fleet: Fleet) -> None:
    """Partitions have their dead letters together."""
    ordering = PartitionedOrdering("parts", partitions=4, by=lambda one: str(one.id), redis=fleet.engine().redis)
    for n in range(1, 7):
        assert await ordering.give_up(event(n))
    assert (await ordering.stats()).dead == 6
    assert max([len(await part.dead_letters()) for part in ordering.partitions]) < 6
    assert {letter.id for letter in await ordering.dead_letters()} == {str(event(n).id) for n in range(1, 7)}
    assert await ordering.retry(str(event(1).id))
    assert await ordering.discard(str(event(2).id))
    assert not await ordering.discard(str(event(2).id))
    assert [number(one) for one in await ordering.get_lost_followers()] == [1]


async def test_letters_of_partitions_by_time(fleet: Fleet) -> None:
    """Pages of the letters of all partitions begin with the oldest, whatever its id."""
    ordering = PartitionedOrdering("parts", partitions=4, by=lambda one: str(one.id), redis=fleet.engine().redis)
    numbers = [5, 1, 4, 2, 6, 3]
    for n in numbers:
        assert await ordering.give_up(event(n))
        await asyncio.sleep(0.002)  # by Redis's clock, in milliseconds
    pages = [await ordering.dead_letters(limit=4, first=first) for first in (0, 4)]
    assert [letter.id for page in pages for letter in page] == [str(event(n).id) for n in numbers]


# -- what is said, and what is not ------------------------------------------------------------------------------


class Strict(BaseModel):
    amount: int


async def test_nothing_that_an_event_says_is_logged(fleet: Fleet, caplog: pytest.LogCaptureFixture) -> None:
    handler = Recorder(fleet.engine(ONCE))

    async def work(one: Any, depth: int = 0) -> None:
        if number(one) == 2:
            Strict.model_validate({"amount": one.model_extra["secret"]})

    with pytest.raises(EventArrivedEarly):
        await handler(event(2, 1, secret="hidden"))
    async with handler.engine.preceding_event_confirmed(work, event(1)):
        pass
    assert str(event(2).id) in caplog.text
    assert "hidden" not in caplog.text
    letter = await handler.engine.dead_letter(event(2))
    assert letter is not None
    assert letter.error == "ValidationError: int_parsing at amount"


@pytest.mark.parametrize("kind", [EventArrivedEarly, EventGivenUp, LeaseLost])
def test_exception_without_payload(kind: Any) -> None:
    """An exception names its event and says nothing of it."""
    error = kind(event(1, secret="hidden"))
    assert str(event(1).id) in str(error)
    assert str(event(1).id) in repr(error)
    assert "hidden" not in str(error) + repr(error)
    assert type(error)(*error.args).event is error.event


async def test_dead_letters_that_have_lapsed(fleet: Fleet) -> None:
    """A dead letter is not counted once its retention is over, also before a sweep has cleared up."""
    engine = fleet.engine()
    for one in (event(1), event(2)):
        await engine.give_up(one)
    await engine.redis.delete(engine._key(f"dead:{event(1).id}"))
    await engine.redis.zadd(engine._key("dead-letters"), {str(event(1).id): 0})
    assert (await engine.stats()).dead == 1
    assert [letter.id for letter in await engine.dead_letters()] == [str(event(2).id)]
