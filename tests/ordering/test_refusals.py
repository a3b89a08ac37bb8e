"""Redis says no: to the completion of what was done, to giving back what failed, and for how long that is borne."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

import pytest
from redis.exceptions import (
    ClusterDownError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisClusterException,
    ResponseError,
)

from ordering import EventArrivedEarly, Policy, ReceivedEvent
from simulation import Laboratory, loads
from tests.ordering.conftest import Fleet, Recorder, event, number, wait_out

SHORT = Policy(lease=timedelta(seconds=2))


def refuse(engine: Any, verb: str, *errors: Exception) -> list[str]:
    """Have Redis refuse the first calls of a verb; return the list of the calls that are made."""
    call, left, calls = engine._call, list(errors), []

    async def refusing(name: str, *args: Any, **options: Any) -> Any:
        calls.append(name)
        if name == verb and left:
            raise left.pop(0)
        return await call(name, *args, **options)

    engine._call = refusing
    return calls


PASSING = [
    OutOfMemoryError("no"),
    ClusterDownError("no"),
    ResponseError("BUSY a script"),
    NoPermissionError("not now"),
    OSError("gone"),
    RedisClusterException("no node is reachable"),
    AttributeError("a connection is closing"),
    TypeError("a transport is closing"),
]


@pytest.mark.parametrize("error", PASSING, ids=repr)
async def test_refused_completion(fleet: Fleet, error: Exception) -> None:
    """A refused completion is asked for again and releases what waits."""
    handler = Recorder(fleet.engine(SHORT))
    with pytest.raises(EventArrivedEarly):
        await handler(event(2, 1))
    calls = refuse(handler.engine, "complete", error, error)
    await handler(event(1))
    assert handler.handled == [1, 2]
    assert calls.count("complete") == 4
    assert await handler.engine.event_has_been_seen(event(1))


async def test_refused_batch(fleet: Fleet) -> None:
    """A batch that is refused is asked for again."""
    handler = Recorder(fleet.engine(SHORT))
    refuse(handler.engine, "complete_many", OutOfMemoryError("no"))
    assert await handler.engine.handle_batch(handler, [event(1), event(2, 1)]) == ["handled", "handled"]


@pytest.mark.parametrize("error", PASSING, ids=repr)
async def test_refused_look_of_a_batch(fleet: Fleet, error: Exception) -> None:
    """A batch that cannot look for earlier siblings records what is done, and goes on."""
    handler = Recorder(fleet.engine(SHORT))
    calls = refuse(handler.engine, "look", error)
    assert await handler.engine.handle_batch(handler, [event(1), event(2, 1)]) == ["handled", "handled"]
    assert calls.count("look") == 1


async def test_the_lease_is_kept_meanwhile(fleet: Fleet) -> None:
    handler = Recorder(fleet.engine(SHORT))
    calls = refuse(handler.engine, "complete", *[ClusterDownError("no")] * 3)
    await handler(event(1))
    assert "renew" in calls


async def test_refused_for_a_whole_lease(fleet: Fleet, caplog: pytest.LogCaptureFixture) -> None:
    """A consumer that is refused for a whole lease gives up, and the error says what to do."""
    handler = Recorder(fleet.engine(SHORT))
    refuse(handler.engine, "complete", *[ClusterDownError("no")] * 99)
    with pytest.raises(ClusterDownError):
        await handler(event(1))
    [last] = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert last.event_id == str(event(1).id)
    assert "its effect is repeated" in last.message
    assert "See to it that Redis takes writes" in last.message
    assert "'test'" in last.message


async def test_an_error_that_stays_is_not_waited_out(fleet: Fleet) -> None:
    handler = Recorder(fleet.engine())
    calls = refuse(handler.engine, "complete", ResponseError("WRONGTYPE a key"))
    with pytest.raises(ResponseError, match="WRONGTYPE"):
        await handler(event(1))
    assert calls.count("complete") == 1


async def test_refused_failure_keeps_its_reason(fleet: Fleet, caplog: pytest.LogCaptureFixture) -> None:
    """A refusal to take a failed event back does not hide why it failed."""
    handler = Recorder(fleet.engine(SHORT))
    handler.failing = {1: 1}
    refuse(handler.engine, "fail", OutOfMemoryError("no"))
    with pytest.raises(RuntimeError, match="event 1 is hard"):
        await handler(event(1))
    assert "could not be given back" in caplog.text


FULL = """
name = "full"
[workload]
events = [{ name = "a", at = "0s" }]
[broker]
delay = "1ms"
[consumers]
count = 2
handler_time = "30s"
[[faults]]
kind = "out-of-memory"
at = "20s"
for = "15s"
"""


def test_refused_lease_out_of_memory(laboratory: Laboratory) -> None:
    """The handler ends in the middle of it, and only then."""
    run = laboratory.run(loads(FULL))
    assert run.verdict == "holds"
    assert len(list(run.history.of("started"))) == 1


class Unreadable(ReceivedEvent):
    """Events of which this process cannot read number 2."""

    @classmethod
    def model_validate_json(cls, *args: Any, **options: Any) -> Any:
        """Read an event, if it is another one."""
        one = super().model_validate_json(*args, **options)
        if number(one) == 2:
            raise ValueError("unknown")
        return one


async def test_refused_unreadable_event(fleet: Fleet, caplog: pytest.LogCaptureFixture) -> None:
    """A sweep that may not give back what it cannot read returns what else it has found."""
    engine = fleet.engine(SHORT, event_type=Unreadable)
    for follower in (event(2, 1), event(3, 1)):
        await engine.record_follower(follower)
    await wait_out(engine)
    refuse(engine, "fail", ReadOnlyError("no"))
    assert [number(one) for one in await engine.get_lost_followers()] == [3]
    assert "cannot be read" in caplog.text


async def test_refused_note_of_a_dead_letter(fleet: Fleet, caplog: pytest.LogCaptureFixture) -> None:
    """A sweep that may not note that a dead letter was reported returns what it has found."""
    engine = fleet.engine(SHORT)
    assert await engine.give_up(event(1))
    await engine.redis.zadd(engine._key("untold"), {str(event(1).id): 0})
    await engine.record_follower(event(3, 2))
    await wait_out(engine)

    async def refusing(*_: Any, **__: Any) -> Any:
        raise ReadOnlyError("no")

    engine._report_and_clear = refusing  # type: ignore[method-assign]
    assert [number(one) for one in await engine.get_lost_followers()] == [3]
    assert "a later sweep reports" in caplog.text
