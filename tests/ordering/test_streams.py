"""A stream: one round trip an event, with the promises of one event at a time."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest

from ordering import CausalOrdering, PartitionedOrdering, Policy
from tests.ordering.conftest import Fleet, Recorder, event, number


class Outcomes:
    """Writes down what a stream reports."""

    def __init__(self) -> None:
        self.reported: list[tuple[int, str]] = []

    async def __call__(self, one: Any, outcome: str) -> None:
        self.reported.append((number(one), outcome))


async def pushed(events: Iterable[Any]) -> AsyncIterator[Any]:
    for one in events:
        await asyncio.sleep(0)
        yield one


def count_calls(engine: CausalOrdering) -> list[str]:
    calls: list[str] = []
    ask = engine._ask

    async def counted(name: str, *args: Any, **options: Any) -> Any:
        calls.append(name)
        return await ask(name, *args, **options)

    engine._ask = counted  # type: ignore[method-assign]
    return calls


def independent(count: int) -> list[Any]:
    return [event(n) for n in range(1, count + 1)]


def chains(count: int, *, backwards: bool = False) -> list[Any]:
    made = []
    for first in range(1, count + 1, 5):
        links = [event(n, n - 1 if n > first else 0) for n in range(first, first + 5)]
        made += reversed(links) if backwards else links
    return made


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize("reentrant", [False, True])
async def test_order_of_the_stream(fleet: Fleet, asynchronous: bool, reentrant: bool) -> None:
    """Events are handled in the order of the stream."""
    handler, outcomes = Recorder(fleet.engine(), reentrant=reentrant), Outcomes()
    events = chains(20)
    await handler.engine.handle_stream(handler, pushed(events) if asynchronous else events, outcomes)
    assert handler.handled == [number(one) for one in events]
    assert outcomes.reported == [(number(one), "handled") for one in events]


async def test_an_event_takes_one_round_trip(fleet: Fleet) -> None:
    handler = Recorder(fleet.engine())
    await handler.engine.handle_stream(handler, [event(1000)], Outcomes())
    calls = count_calls(handler.engine)
    await handler.engine.handle_stream(handler, independent(50), Outcomes())
    assert len(calls) == 51
    calls.clear()
    await handler.engine.handle_stream(handler, [event(n, n - 1) for n in range(51, 101)], Outcomes())
    assert len(calls) == 51
    calls.clear()
    reverse = [event(n, n - 1 if n % 5 else 0) for first in range(200, 300, 5) for n in range(first + 4, first - 1, -1)]
    await handler.engine.handle_stream(handler, reverse, Outcomes())
    assert len(calls) <= 110
    assert len(handler.handled) == 201


async def test_events_that_are_not_granted_share_round_trips(fleet: Fleet) -> None:
    """Of a stream of duplicates, each script is asked about twice as many as the one before."""
    handler, outcomes = Recorder(fleet.engine()), Outcomes()
    events = independent(100)
    await handler.engine.handle_stream(handler, events, Outcomes())
    calls = count_calls(handler.engine)
    await handler.engine.handle_stream(handler, events, outcomes)
    assert {outcome for _, outcome in outcomes.reported} == {"seen"}
    assert len(calls) <= 12


async def test_reversed_stream(fleet: Fleet) -> None:
    """A reversed stream is handled in causal order."""
    handler, outcomes = Recorder(fleet.engine(), reentrant=False), Outcomes()
    await handler.engine.handle_stream(handler, chains(50, backwards=True), outcomes)
    assert handler.handled == list(range(1, 51))
    assert dict(outcomes.reported) == {n: "handled" if n % 5 == 1 else "parked" for n in range(1, 51)}


async def test_every_kind_of_outcome_is_reported(fleet: Fleet) -> None:
    handler, other = Recorder(fleet.engine()), fleet.engine()
    handler.failing = {3: 1}
    await other.record_event_as_processing(event(4))
    outcomes = Outcomes()
    events = [event(1), event(1), event(2, 99), event(3), event(4), event(5)]
    await handler.engine.handle_stream(handler, events, outcomes)
    assert outcomes.reported == [
        (1, "handled"), (1, "seen"), (2, "parked"), (3, "failed"), (4, "held"), (5, "handled"),
    ]  # fmt: skip
    assert handler.handled == [1, 5]


async def test_waiting_siblings_go_first(fleet: Fleet) -> None:
    """Elder siblings that wait go before the next of the stream."""
    handler, outcomes = Recorder(fleet.engine()), Outcomes()
    for n in (2, 3):
        await handler.engine.handle_stream(handler, [event(n, 1)], outcomes)
    await handler.engine.handle_stream(handler, [event(1), event(4, 1)], outcomes)
    assert handler.handled == [1, 2, 3, 4]


async def test_own_lapsed_lease_is_held(fleet: Fleet) -> None:
    """What this process works on is held though its lease has lapsed."""
    engine, outcomes = fleet.engine(), Outcomes()
    async with engine.preceding_event_confirmed(Recorder(engine), event(1)):
        await engine.redis.flushall()
        await engine.handle_stream(Recorder(engine), [event(1), event(2)], outcomes)
    assert outcomes.reported == [(1, "held"), (2, "handled")]


async def test_stopped_stream_gives_back(fleet: Fleet) -> None:
    """A stopped stream gives the next event back."""
    engine, other, reported = fleet.engine(), fleet.engine(), asyncio.Event()

    async def stuck(one: Any, outcome: str) -> None:
        reported.set()
        await asyncio.Event().wait()

    handler = Recorder(engine)
    stream = asyncio.create_task(engine.handle_stream(handler, [event(1), event(2)], stuck))
    await reported.wait()  # the second one is leased by now
    assert await other.event_has_started_processing(event(2))
    stream.cancel()
    with suppress(asyncio.CancelledError):
        await stream
    assert handler.handled == [1]
    assert await other.record_event_as_processing(event(2))


async def test_leased_ahead_is_renewed(fleet: Fleet) -> None:
    """An event that is leased ahead is kept alive while the last one is reported."""
    policy = Policy(lease=timedelta(seconds=2))
    engine, other, renewed = fleet.engine(policy), fleet.engine(policy), asyncio.Event()
    call, renewals = engine._call, []

    async def noted(name: str, *args: Any, **options: Any) -> Any:
        reply = await call(name, *args, **options)
        if name == "renew":
            renewals.append(args)
            if len(renewals) == 4:  # more than a lease
                renewed.set()
        return reply

    async def slow(one: Any, outcome: str) -> None:
        if number(one) == 1:
            await renewed.wait()
            assert not await other.record_event_as_processing(event(2))

    engine._call = noted  # type: ignore[method-assign]
    handler = Recorder(engine)
    await engine.handle_stream(handler, [event(1), event(2)], slow)
    assert handler.handled == [1, 2]


async def test_lease_lost_during_report(fleet: Fleet) -> None:
    """No handler begins whose lease was lost while the last one was reported."""
    engine, other, outcomes = fleet.engine(), fleet.engine(), Outcomes()

    async def steal(one: Any, outcome: str) -> None:
        await outcomes(one, outcome)
        if number(one) == 1:
            await engine.redis.delete(engine._key(f"processing:{event(2).id}"))
            await other.record_event_as_processing(event(2))
            current.proven_until = 0.0

    begin, current = engine._answered, None

    def answered(*args: Any) -> Any:
        nonlocal current
        answer = begin(*args)
        current = answer[1]
        return answer

    engine._answered = answered  # type: ignore[method-assign]
    handler = Recorder(engine)
    await engine.handle_stream(handler, [event(1), event(2), event(3)], steal)
    assert handler.handled == [1, 3]
    assert outcomes.reported == [(1, "handled"), (2, "lost"), (3, "handled")]


async def test_no_more_is_read_ahead_than_was_asked_for(fleet: Fleet) -> None:
    handler, read, most = Recorder(fleet.engine()), [], 0

    async def source() -> AsyncIterator[Any]:
        for one in independent(30):
            read.append(one)
            yield one

    async def report(one: Any, outcome: str) -> None:
        nonlocal most
        await asyncio.sleep(0)
        most = max(most, len(read) - len(handler.handled))

    await handler.engine.handle_stream(handler, source(), report, read_ahead=4)
    assert 4 <= most <= 6
    with pytest.raises(ValueError, match="read_ahead must be at least 1, not 0"):
        await handler.engine.handle_stream(handler, [], report, read_ahead=0)


async def test_error_of_the_source_comes_last(fleet: Fleet) -> None:
    """An error of the source comes after the events before it."""

    async def source() -> AsyncIterator[Any]:
        yield event(1)
        yield event(2)
        raise LookupError("the queue is gone")

    handler, outcomes = Recorder(fleet.engine()), Outcomes()
    with pytest.raises(LookupError, match="the queue is gone"):
        await handler.engine.handle_stream(handler, source(), outcomes)
    assert outcomes.reported == [(1, "handled"), (2, "handled")]


def fence_of(answer: bytes) -> Any:
    """Return the fence of what was granted, None of what was parked, with or without a leader in flight."""
    word, *rest = answer.split()
    return rest[0] if word == b"granted" else None


async def test_repeated_request(fleet: Fleet) -> None:
    """The same request twice gives the same answer."""
    engine, call = fleet.engine(), None
    call = engine._call

    async def twice(name: str, *args: Any, **options: Any) -> Any:
        first = await call(name, *args, **options)
        if name == "complete_and_begin":
            again = await call(name, *args, **options)
            assert [fence_of(answer) for answer in again[1:]] == [fence_of(answer) for answer in first[1:]]
        return first

    engine._call = twice  # type: ignore[method-assign]
    handler = Recorder(engine)
    await handler.engine.handle_stream(
        handler, [*independent(5), *reversed([event(n, n - 1) for n in range(6, 12)])], Outcomes()
    )
    assert sorted(handler.handled) == list(range(1, 12))


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_read_before_the_break_is_done(fleet: Fleet, asynchronous: bool) -> None:
    """What was read before a stream breaks is done."""

    def breaking() -> Iterable[Any]:
        yield from independent(3)
        raise LookupError("the source is gone")

    handler, outcomes = Recorder(fleet.engine()), Outcomes()
    events = breaking()
    with pytest.raises(LookupError):
        await handler.engine.handle_stream(handler, pushed(events) if asynchronous else events, outcomes, read_ahead=1)
    assert outcomes.reported == [(n, "handled") for n in (1, 2, 3)]
    assert await handler.engine.handle_batch(handler, independent(3)) == ["seen"] * 3


@pytest.mark.parametrize("read_ahead", [1, 2])
@pytest.mark.parametrize("error", [asyncio.CancelledError, type("Stop", (BaseException,), {})])
async def test_source_that_stops_the_process(fleet: Fleet, error: type[BaseException], read_ahead: int) -> None:
    """What was handled is recorded if a plain iterator raises what stops a process; what was only read is not begun."""

    def breaking() -> Iterable[Any]:
        yield from independent(4)
        raise error

    handler, outcomes = Recorder(fleet.engine()), Outcomes()
    with pytest.raises(error):
        await handler.engine.handle_stream(handler, breaking(), outcomes, read_ahead=read_ahead)
    assert outcomes.reported == [(n, "handled") for n in handler.handled]
    assert handler.handled
    done = len(handler.handled)
    assert await handler.engine.handle_batch(handler, independent(4)) == ["seen"] * done + ["handled"] * (4 - done)


async def test_cancelled_inside(fleet: Fleet) -> None:
    """A stream that is cancelled inside has not ended."""

    async def cancelled() -> AsyncIterator[Any]:
        yield event(1)
        inner = asyncio.ensure_future(asyncio.sleep(0))
        inner.cancel()
        await inner

    handler, outcomes = Recorder(fleet.engine()), Outcomes()
    with pytest.raises(asyncio.CancelledError):
        await handler.engine.handle_stream(handler, cancelled(), outcomes)
    assert outcomes.reported == [(1, "handled")]


async def test_unwritable_event(fleet: Fleet) -> None:
    """An event that cannot be written down fails alone in its stream."""
    handler, outcomes = Recorder(fleet.engine()), Outcomes()
    await handler.engine.handle_stream(handler, [event(1), event(2, 1, payload={"text": "\ud800"}), event(3)], outcomes)
    assert outcomes.reported == [(1, "handled"), (2, "failed"), (3, "handled")]
    assert handler.handled == [1, 3]


async def test_held_events(fleet: Fleet) -> None:
    """A stream of held events lets their holder go on."""
    engine, begun, done, offered = fleet.engine(), asyncio.Event(), False, 0

    async def work(one: Any, depth: int = 0) -> None:
        nonlocal done
        begun.set()
        await asyncio.sleep(0.05)
        done = True

    def again_and_again() -> Iterable[Any]:
        nonlocal offered
        while not done and offered < 1_000_000:
            offered += 1
            yield event(1)

    holder = asyncio.create_task(engine.handle_batch(work, [event(1)]))
    await begun.wait()
    await engine.handle_stream(work, again_and_again(), Outcomes())
    assert done, "the holder had its turn meanwhile"
    assert await holder == ["handled"]


@pytest.mark.parametrize("yields", [False, True])
@pytest.mark.parametrize("partitioned", [False, True])
async def test_source_that_ignores_cancellation(fleet: Fleet, yields: bool, partitioned: bool) -> None:
    """A source that swallows its cancellation keeps no stream from ending."""
    policy, released = Policy(lease=timedelta(milliseconds=200)), asyncio.Event()

    async def deaf() -> AsyncIterator[Any]:
        yield event(1)
        while not released.is_set():
            with suppress(asyncio.CancelledError):
                await released.wait()
            if yields:
                yield event(2)

    async def broken(one: Any, outcome: str) -> None:
        raise LookupError(outcome)

    engine: Any = fleet.engine(policy)
    if partitioned:
        engine = PartitionedOrdering("test", partitions=2, by=lambda one: "", redis=engine.redis, policy=policy)
    handler = Recorder(engine, reentrant=False)
    with pytest.raises(LookupError, match="handled"):
        await engine.handle_stream(handler, deaf(), broken)
    released.set()
    assert handler.handled == [1]


@pytest.mark.parametrize("read_ahead", [1, 64], ids=["paused", "reading"])
@pytest.mark.parametrize("partitioned", [False, True])
async def test_a_source_is_at_its_end_when_the_stream_is(fleet: Fleet, partitioned: bool, read_ahead: int) -> None:
    """If `report` raises, the source's own cleaning up is done before that is raised."""
    closed: list[int] = []

    async def source() -> AsyncIterator[Any]:
        try:
            for n in itertools.count(1):
                yield event(n)
                await asyncio.sleep(0.001)
        finally:
            await asyncio.sleep(0.01)
            closed.append(1)

    async def report(one: Any, outcome: str) -> None:
        raise ConnectionError("the queue is gone")

    engine: Any = fleet.engine()
    if partitioned:
        engine = PartitionedOrdering("parts", partitions=2, by=lambda one: str(one.id), redis=engine.redis)
    with pytest.raises(ConnectionError, match="the queue is gone"):
        await engine.handle_stream(Recorder(fleet.engine(), reentrant=False), source(), report, read_ahead=read_ahead)
    assert closed == [1]
