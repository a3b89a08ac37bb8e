"""What a process cannot read stays as it is, is offered to others, and is a dead letter in the end."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from ordering import CausalOrdering, EventArrivedEarly, Policy, ReceivedEvent
from tests.ordering.conftest import Fleet, Recorder, event, expire, sweep, wait_out

POLICY = Policy(lookback=timedelta(milliseconds=1), retention=timedelta(minutes=1), max_attempts=3)


class Older(ReceivedEvent):
    """Events as an older version knows them, without payment in shells."""

    @classmethod
    def model_validate_json(cls, *args: Any, **options: Any) -> Any:
        """Read an event, if it is not one of tomorrow's."""
        one = super().model_validate_json(*args, **options)
        if one.payload.get("currency") == "shells":
            raise ValueError("unknown currency 'shells'")
        return one


TOMORROWS = event(2, 1, payload={"currency": "shells"})


def older(fleet: Fleet, **options: Any) -> Recorder:
    return Recorder(fleet.engine(POLICY, event_type=Older, **options))


async def park(handler: Recorder, *events: Any) -> None:
    for one in events:
        with pytest.raises(EventArrivedEarly):
            await handler(one)


async def payload(engine: CausalOrdering) -> bytes | None:
    found: bytes | None = await engine.redis.get(engine._key(f"event:{TOMORROWS.id}"))
    return found


async def end_rest(engine: CausalOrdering, since: timedelta = timedelta(0)) -> None:
    """Let the event's rest after a failure be over, since some time, of a lease of 16 seconds."""
    seconds, microseconds = await engine.redis.time()
    now = seconds * 1000 + microseconds // 1000
    await engine.redis.zadd(engine._key("claims"), {str(TOMORROWS.id): now - since.total_seconds() * 1000})


async def test_a_drain_leaves_it_as_it_is_and_goes_on(fleet: Fleet, caplog: pytest.LogCaptureFixture) -> None:
    handler = older(fleet)
    await park(handler, TOMORROWS, event(3, 1))
    before = await payload(handler.engine)
    await handler(event(1))
    assert handler.handled == [1, 3]
    assert before == await payload(handler.engine)
    assert "cannot be read" in caplog.text
    assert "at attempt 1 of 3" in caplog.text
    assert (await handler.engine.stats()).unreadable == 1


async def test_another_version_reads_it(fleet: Fleet) -> None:
    handler, newer = older(fleet), Recorder(fleet.engine(POLICY))
    await park(handler, TOMORROWS, event(4, 2))
    await handler(event(1))
    await expire(handler.engine)
    await sweep(newer)
    assert newer.handled == [2, 4]
    stats = await newer.engine.stats()
    assert (stats.parked, stats.unreadable, stats.dead) == (0, 0, 0)


async def test_left_to_others(fleet: Fleet) -> None:
    """A consumer that cannot read an event leaves it to others."""
    handler, other, newer = older(fleet), older(fleet), Recorder(fleet.engine(POLICY))
    await park(handler, TOMORROWS, event(9, 8))
    await handler(event(1))
    for one in (handler, other, handler, other):
        await end_rest(newer.engine)
        await sweep(one)
    said = await newer.engine.redis.get(newer.engine._key(f"tried:{TOMORROWS.id}"))
    assert said.partition(b"|")[0] == b"2", "once each"
    await end_rest(newer.engine)
    assert await sweep(newer) == [2]


async def test_tried_again_if_alone(fleet: Fleet) -> None:
    """If no other consumer takes it, it is tried again."""
    handler = older(fleet)
    await park(handler, TOMORROWS)
    await handler(event(1))
    for attempts, since in ((b"1", 7), (b"2", 9), (b"2", 7)):
        await end_rest(handler.engine, timedelta(seconds=since))
        await sweep(handler)
        said = await handler.engine.redis.get(handler.engine._key(f"tried:{TOMORROWS.id}"))
        assert said.partition(b"|")[0] == attempts


async def test_what_it_could_not_read_does_not_add_up(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ordering.leases.MAX_UNREADABLE", 3)
    handler = older(fleet)
    await park(handler, *(event(n, 1, payload={"currency": "shells"}) for n in range(2, 9)))
    await handler(event(1))
    assert list(handler.engine._state.unreadable) == [str(event(n).id) for n in (6, 7, 8)]


async def test_what_another_goes_through_is_left_to_it(fleet: Fleet) -> None:
    handler, newer = older(fleet), Recorder(fleet.engine(POLICY))
    await park(handler, event(3, 7, occurred=0), TOMORROWS.model_copy(update={"follows": event(7).id}))
    await wait_out(handler.engine)
    first, second = await newer.engine.get_lost_followers()
    async with newer.engine.preceding_event_confirmed(newer, first):
        await sweep(handler)
    await newer(second)
    assert newer.handled == [2]
    assert (await newer.engine.stats()).unreadable == 0


async def test_siblings_do_not_wait(fleet: Fleet) -> None:
    """Its siblings do not wait for a consumer that can read it."""
    handler, newer = older(fleet), Recorder(fleet.engine(POLICY))
    await park(handler, TOMORROWS, event(3, 1))
    await wait_out(handler.engine)
    await sweep(handler)  # neither is its leader's any more: it is lost
    await fleet.engine().record_event_as_seen(event(1))
    await newer.engine.record_follower(TOMORROWS)
    await newer.engine.record_follower(event(4, 1))
    await newer.engine.record_event_as_seen(event(1))
    assert await sweep(handler) == [4]
    assert handler.handled == [3, 4]
    await sweep(newer)
    assert newer.handled == [2]


async def test_dead_letter_after_attempts(fleet: Fleet) -> None:
    """After its attempts it is a dead letter with what it said."""
    letters: list[Any] = []
    handler = older(fleet, on_dead_letter=letters.append)
    await park(handler, TOMORROWS, event(4, 2))
    before = await payload(handler.engine)
    await handler(event(1))
    for _ in range(4):
        await expire(handler.engine)
        await sweep(handler)
    [letter] = letters
    assert (letter.reason, letter.attempts) == ("unreadable", 3)
    assert letter.error == "ValueError: unknown currency 'shells'"
    assert letter.payload == before
    assert handler.handled == [1, 4]
    stats = await handler.engine.stats()
    assert (stats.parked, stats.unreadable, stats.dead) == (0, 0, 1)


async def test_followers_wait_for_the_lookback(fleet: Fleet) -> None:
    """Its followers wait for the lookback at most."""
    handler = Recorder(fleet.engine(Policy(max_attempts=1000, lookback=timedelta(milliseconds=1)), event_type=Older))
    await park(handler, TOMORROWS, event(4, 2), event(5, 4))
    await handler(event(1))
    await wait_out(handler.engine)
    await sweep(handler)
    assert handler.handled == [1, 4, 5], "though it is still offered to others"
    assert (await handler.engine.stats()).parked == 1


async def test_a_sweep_goes_past_what_it_cannot_read(fleet: Fleet) -> None:
    handler = older(fleet)
    await park(handler, TOMORROWS, event(3, 1), event(5, 9))
    await fleet.engine().record_event_as_seen(event(1))
    await wait_out(handler.engine)
    for _ in range(2):
        await sweep(handler)
    assert handler.handled == [5, 3]


@pytest.mark.parametrize("text", ["", "nonsense", "{}", "null", "[" * 100_000, "\\ud800"], ids=lambda text: text[:8])
async def test_payload_that_is_no_event(text: str, fleet: Fleet) -> None:
    handler = Recorder(fleet.engine(POLICY))
    await park(handler, TOMORROWS, event(3, 1), event(5, 9))
    await handler.engine.redis.set(handler.engine._key(f"event:{TOMORROWS.id}"), text)
    await handler(event(1))
    for _ in range(4):
        await expire(handler.engine)
        await wait_out(handler.engine)
        await sweep(handler)
    assert sorted(handler.handled) == [1, 3, 5]
    [letter] = await handler.engine.dead_letters()
    assert letter.payload == text.encode()
