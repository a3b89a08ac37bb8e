"""Batches: the same rules, in far fewer round trips."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from ordering import EventArrivedEarly, Policy
from tests.ordering.conftest import Fleet, Recorder, event, number


async def test_batch_in_any_order(fleet: Fleet) -> None:
    """A batch in any order is handled in causal order."""
    handler = Recorder(fleet.engine())
    outcomes = await handler.engine.handle_batch(handler, [event(n, n // 2) for n in range(31, 0, -1)])
    assert outcomes == ["handled"] * 31
    position = {n: i for i, n in enumerate(handler.handled)}
    assert sorted(position) == list(range(1, 32))
    assert all(position[n] > position[n // 2] for n in range(2, 32))


async def test_batch_round_trips(fleet: Fleet) -> None:
    """A batch takes a round trip to decide one to record and one between levels."""
    handler = Recorder(fleet.engine())
    await handler.engine.handle_batch(handler, [event(1), event(2, 1)])
    calls: list[str] = []
    ask = handler.engine._ask

    async def counted(name: str, *args: Any, **options: Any) -> Any:
        calls.append(name)
        return await ask(name, *args, **options)

    handler.engine._ask = counted
    await handler.engine.handle_batch(handler, [event(n) for n in range(100, 200)])
    assert calls == ["EVALSHA"] * 2
    calls.clear()
    chains = [event(n, n - 1 if n % 5 else None) for n in range(200, 300)]
    await handler.engine.handle_batch(handler, chains)
    assert calls == ["EVALSHA"] * (1 + 4 + 1)


async def test_seen_held_or_early(fleet: Fleet) -> None:
    handler, other = Recorder(fleet.engine()), fleet.engine()
    await handler(event(1))
    await other.record_event_as_processing(event(2))
    outcomes = await handler.engine.handle_batch(handler, [event(1), event(2), event(4, 3), event(5, 1)])
    assert outcomes == ["seen", "held", "parked", "handled"]
    assert handler.handled == [1, 5]


async def test_a_batch_releases_what_waits_for_it(fleet: Fleet) -> None:
    one, two = Recorder(fleet.engine()), Recorder(fleet.engine())
    for early in (event(3, 2), event(2, 1), event(12, 11)):
        with pytest.raises(EventArrivedEarly):
            await one(early)
    assert await two.engine.handle_batch(two, [event(11), event(1)]) == ["handled", "handled"]
    assert set(two.handled) == {1, 2, 3, 11, 12}
    assert two.handled.index(2) < two.handled.index(3)


class Interrupted(Recorder):
    """A handler during whose first event another consumer is given one."""

    def __init__(self, engine: Any, other: Recorder, meanwhile: Any) -> None:
        super().__init__(engine)
        self.other, self.meanwhile = other, meanwhile

    async def _work(self, one: Any, depth: int) -> None:
        if self.meanwhile is not None:
            meanwhile, self.meanwhile = self.meanwhile, None
            with pytest.raises(EventArrivedEarly):
                await self.other(meanwhile)
        await super()._work(one, depth)


async def test_sibling_comes_during_leader(
    fleet: Fleet,
) -> None:
    """A sibling in a batch does not overtake one that comes while their leader is handled."""
    other = Recorder(fleet.engine())
    handler = Interrupted(fleet.engine(), other, event(2, 1))
    batch = [event(1), event(3, 1), event(4, 3)]
    assert await handler.engine.handle_batch(handler, batch) == ["handled", "parked", "parked"]
    assert handler.handled == [1, 2, 3, 4]
    assert other.handled == []


async def test_sibling_comes_during_batch(fleet: Fleet) -> None:
    """A sibling in a batch goes before a younger one that comes meanwhile."""
    other = Recorder(fleet.engine())
    handler = Interrupted(fleet.engine(), other, event(3, 1))
    assert await handler.engine.handle_batch(handler, [event(1), event(2, 1)]) == ["handled", "handled"]
    assert handler.handled == [1, 2, 3]


async def test_sibling_that_waits_goes_first(fleet: Fleet) -> None:
    """A sibling in a batch does not overtake one that waits."""
    one, two = Recorder(fleet.engine()), Recorder(fleet.engine())
    with pytest.raises(EventArrivedEarly):
        await one(event(2, 1))
    outcomes = await two.engine.handle_batch(two, [event(1), event(3, 1)])
    assert outcomes == ["handled", "parked"]
    assert two.handled == [1, 2, 3]


async def test_failure_concerns_its_followers_alone(fleet: Fleet) -> None:
    """A failure concerns its event and what follows it alone."""
    handler = Recorder(fleet.engine(Policy(retry_delay=timedelta(milliseconds=1))))
    handler.failing = {2: 1}
    batch = [event(1), event(2, 1), event(3, 2), event(4, 1)]
    assert await handler.engine.handle_batch(handler, batch) == ["handled", "failed", "failed", "handled"]
    assert handler.handled == [1, 4]
    assert await handler.engine.handle_batch(handler, batch) == ["seen", "handled", "handled", "seen"]
    assert handler.handled == [1, 4, 2, 3]


async def test_event_twice_in_a_batch(fleet: Fleet) -> None:
    """An event that is in a batch twice is handled once."""
    handler = Recorder(fleet.engine())
    outcomes = await handler.engine.handle_batch(handler, [event(1), event(1), event(2, 1)])
    assert sorted(outcomes) == ["handled", "handled", "held"]
    assert handler.handled == [1, 2]


async def test_cancelled_batch(fleet: Fleet) -> None:
    """A cancelled batch records what was done and gives the rest back."""
    import asyncio

    handler, other = Recorder(fleet.engine()), Recorder(fleet.engine())
    reached = asyncio.Event()

    async def stuck(one: Any, depth: int = 0) -> None:
        if number(one) == 2:
            reached.set()
            await asyncio.sleep(60)

    task = asyncio.create_task(handler.engine.handle_batch(stuck, [event(1), event(2, 1), event(3, 2)]))
    await reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await other.engine.handle_batch(other, [event(1), event(2, 1), event(3, 2)]) == [
        "seen",
        "handled",
        "handled",
    ]


async def test_a_circle_in_a_batch_is_parked(fleet: Fleet) -> None:
    handler = Recorder(fleet.engine())
    assert await handler.engine.handle_batch(handler, [event(1, 2), event(2, 1)]) == ["parked", "parked"]


async def test_batch_larger_than_a_request(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch too large for one request takes several."""
    monkeypatch.setattr("ordering.batch.MAX_BATCH_EVENTS", 4)
    handler = Recorder(fleet.engine())
    outcomes = await handler.engine.handle_batch(handler, [event(n, n - 1) for n in range(11, 1, -1)])
    assert outcomes == ["parked"] * 10
    assert await handler.engine.handle_batch(handler, [event(n) for n in (20, 21, 22, 23, 1)]) == ["handled"] * 5
    assert handler.handled == [20, 21, 22, 23, *range(1, 12)]


async def test_a_batch_of_nothing_asks_nothing(fleet: Fleet) -> None:
    handler = Recorder(fleet.engine())
    assert await handler.engine.handle_batch(handler, []) == []


async def test_cycle_within_a_batch(fleet: Fleet) -> None:
    """What hangs on a cycle within a batch is answered for."""
    handler = Recorder(fleet.engine())
    outcomes = await handler.engine.handle_batch(handler, [event(1, 2), event(2, 1), event(3, 2), event(4)])
    assert outcomes == ["parked", "parked", "parked", "handled"]
