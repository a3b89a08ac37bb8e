"""Waiting for a leader in flight, in virtual time: nothing is held, nothing is polled, and no end goes unnoticed."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
import redis.asyncio

from ordering import CausalOrdering, EventAlreadySeen, EventArrivedEarly, EventBeingProcessed, Policy
from ordering.waiting import INSTANT, answer_in_time
from simulation.kernel.ambient import Ambient
from simulation.kernel.environment import SECOND
from simulation.kernel.epoch import EPOCH
from simulation.kernel.event_loop import SimulatedLoop
from simulation.kernel.process import Process
from simulation.kernel.random_streams import Streams
from simulation.scenario.distributions import Constant
from simulation.world.network import Network
from tests.ordering.conftest import Recorder, event, number

pytestmark = pytest.mark.usefixtures("without_leftovers")

LATENCY = SECOND // 1_000
AT_ONCE = 6 * LATENCY
"""The end of the leader travels to Redis, the news of it back, the question again and its answer; and a little."""
A_FEW_TRIPS = 20 * LATENCY
"""To connect twice, to ask and to listen."""
POLICY = Policy(lease=timedelta(seconds=16))
TIMEOUT_S = 8 * SECOND


class Stage:
    """Processes of one scope in virtual time, and what the follower's has asked Redis."""

    def __init__(self, store: Any) -> None:
        store.begin(EPOCH)
        self.loop = SimulatedLoop()
        self.network = Network(self.loop, store, Constant(LATENCY), Streams(1))
        self.ambient = Ambient(self.loop, EPOCH, Streams(1))
        self._tokens = itertools.count(1)
        self.asked: list[str] = []

    def engine(self) -> CausalOrdering:
        made = CausalOrdering(
            "test", redis=redis.asyncio.Redis(host="redis", protocol=2), policy=POLICY,
            token=lambda: f"t{next(self._tokens)}",
        )  # fmt: skip
        call = made._call

        async def noted(name: str, *args: Any, **options: Any) -> Any:
            self.asked.append(name)
            return await call(name, *args, **options)

        made._call = noted  # type: ignore[method-assign]
        return made

    def play(self, story: Any) -> Any:
        return self.loop.run_until_complete(story)

    async def lead(self, engine: CausalOrdering, seconds: float, *, ends: str = "well") -> int:
        """Handle event 1 for so long; return when its handling had ended."""
        try:
            async with engine.preceding_event_confirmed(Recorder(engine), event(1)):
                await asyncio.sleep(seconds)
                if ends == "badly":
                    raise RuntimeError
        except RuntimeError:
            pass
        return self.loop.now

    async def wait(self, engine: CausalOrdering) -> str:
        """Wait for the leader of event 2; return what came of it."""
        try:
            await engine.wait_for_leader(event(2, 1))
        except EventArrivedEarly:
            return "early"
        return "ready"


@pytest.fixture(params=["laboratory", "embedded"])
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    made = Stage(request.getfixturevalue(request.param).store)
    with made.ambient:
        yield made
        made.loop.close()
        made.network.close()


async def beside(stage: Stage, leading: Any) -> tuple[str, int, int]:
    """Wait beside a leader's handling; return what came of it, when that was, and when the handling had ended."""
    one = asyncio.ensure_future(leading)
    await asyncio.sleep(1)
    outcome = await stage.wait(stage.engine())
    then = stage.loop.now
    return outcome, then, await one


def test_goes_on_when_leader_is_done(stage: Stage) -> None:
    """A waiting consumer goes on as soon as the leader is done."""
    outcome, then, ended = stage.play(beside(stage, stage.lead(stage.engine(), 5)))
    assert outcome == "ready"
    assert abs(then - ended) <= AT_ONCE
    assert stage.asked.count("wait") == 4, "once, once more when listening, when a renewal is due, and at the end"


def test_parked_when_leader_fails(stage: Stage) -> None:
    """A waiting event is parked as soon as the leader fails."""
    outcome, then, ended = stage.play(beside(stage, stage.lead(stage.engine(), 5, ends="badly")))
    assert outcome == "early"
    assert abs(then - ended) <= AT_ONCE
    assert [number(one) for one in stage.play(stage.engine().get_followers(event(1)))] == [2]


def test_parked_when_time_is_over(stage: Stage) -> None:
    """A waiting event is parked when its time is over."""
    outcome, then, ended = stage.play(beside(stage, stage.lead(stage.engine(), 12)))
    assert outcome == "early"
    assert 0 <= then - (SECOND + TIMEOUT_S) <= A_FEW_TRIPS
    assert then < ended
    assert stage.asked.count("wait") <= 5, "it looks again when the holder should have shown a sign of life"


def test_parked_when_holder_is_dead(stage: Stage) -> None:
    """A waiting event is parked as soon as the lease of its leader's holder ends."""
    dying = Process("dying")
    stage.loop.spawn(stage.lead(stage.engine(), 60), dying, "dying")

    async def story() -> tuple[str, int]:
        await asyncio.sleep(6)  # it has renewed its lease, at 4 s
        stage.loop.kill(dying)
        stage.network.sever("dying")
        await asyncio.sleep(1)
        begun = stage.loop.now
        return await stage.wait(stage.engine()), stage.loop.now - begun

    outcome, waited = stage.play(story())
    assert outcome == "early"
    overdue = (4 + 4) * SECOND + SECOND // 2 - 7 * SECOND  # the next renewal, and a thirty-second of a lease
    assert abs(waited - overdue) <= A_FEW_TRIPS


def test_a_wait_holds_nothing_of_the_follower(stage: Stage) -> None:
    async def story() -> list[bool]:
        one = asyncio.ensure_future(stage.lead(stage.engine(), 5))
        await asyncio.sleep(1)
        two = asyncio.ensure_future(stage.wait(stage.engine()))
        await asyncio.sleep(1)
        other = stage.engine()
        held = [await other.event_has_started_processing(event(2)), bool(await other.get_followers(event(1)))]
        await asyncio.gather(one, two)
        return held

    assert stage.play(story()) == [False, False]


def test_no_end_is_missed_whenever_it_comes(stage: Stage) -> None:
    """The leader ends at every moment of the time that it takes to begin with waiting."""

    async def story(moment: int) -> tuple[str, int]:
        leader, follower = stage.engine(), stage.engine()
        await leader.redis.flushall()
        one = asyncio.ensure_future(stage.lead(leader, 1))
        await asyncio.sleep((SECOND - moment) / SECOND)
        outcome = await stage.wait(follower)
        return outcome, stage.loop.now - await one

    for moment in range(-2 * LATENCY, 14 * LATENCY, LATENCY // 2):
        outcome, late = stage.play(story(moment))
        assert outcome == "ready"
        assert late <= A_FEW_TRIPS


def test_holder_lets_go_before_it_waits(stage: Stage) -> None:
    """As the original calls its steps: the lease first, and the wait within it."""

    async def story() -> tuple[list[int], bool]:
        holder, other = stage.engine(), Recorder(stage.engine())
        with pytest.raises(EventArrivedEarly):
            async with holder.event_is_processing(event(2, 1)):
                await holder.wait_for_leader(event(2, 1))
        held = await holder.event_has_started_processing(event(2))
        await other(event(1))
        return other.handled, held

    assert stage.play(story()) == ([1, 2], False)


def test_holder_goes_on_when_leader_is_done(stage: Stage) -> None:
    """A consumer that holds the event goes on with it when the leader is done."""

    async def story() -> bool:
        engine = stage.engine()
        one = asyncio.ensure_future(stage.lead(stage.engine(), 3))
        await asyncio.sleep(1)
        async with engine.event_is_processing(event(2, 1)):
            await engine.wait_for_leader(event(2, 1))
        await one
        return await engine.event_has_been_seen(event(2))

    assert stage.play(story())


def test_a_sibling_that_came_before_goes_first(stage: Stage) -> None:
    async def story() -> tuple[str, list[int]]:
        engine = stage.engine()
        await engine.record_follower(event(2, 1))
        await engine.record_event_as_seen(event(1))
        with pytest.raises(EventArrivedEarly):
            await engine.wait_for_leader(event(3, 1))
        handler = Recorder(stage.engine())
        for one in await handler.engine.get_lost_followers():
            await handler(one)
        return "parked", handler.handled

    assert stage.play(story()) == ("parked", [2, 3])


def test_handled_or_claimed_is_refused(stage: Stage) -> None:
    """A handled event is refused; a claimed one belongs to its claimer."""

    async def story() -> None:
        engine, other = stage.engine(), stage.engine()
        await engine.record_event_as_seen(event(2))
        with pytest.raises(EventAlreadySeen):
            await engine.wait_for_leader(event(2, 1))
        await engine.record_follower(event(4, 3))
        await asyncio.sleep(16 * 60)
        [mine] = await engine.get_lost_followers()
        with pytest.raises(EventArrivedEarly):
            await other.wait_for_leader(event(4, 3))
        await engine.wait_for_leader(mine)
        async with engine.event_is_processing(mine):
            with pytest.raises(EventBeingProcessed):
                await Recorder(other)(event(4, 3))

    stage.play(story())


async def test_moment_too_short_for_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A moment too short for the clock is not waited for."""
    start, end = 0.003969, 1.003969
    assert end < start + 1.0  # by less than any clock can tell: it would stay before the deadline for ever
    times = itertools.chain([start], itertools.repeat(end))
    monkeypatch.setattr("ordering.waiting.asyncio.get_running_loop", lambda: SimpleNamespace(time=lambda: next(times)))
    asked: list[bool] = []

    async def heard(seconds: float) -> None:
        assert seconds >= INSTANT

    @asynccontextmanager
    async def listening(client: Any, channel: str, timeout_s: float) -> AsyncIterator[Any]:
        yield heard

    async def ask(patient: bool) -> list[str]:
        asked.append(patient)
        assert len(asked) < 9
        return ["waiting", "3305"] if patient else ["parked"]

    monkeypatch.setattr("ordering.waiting._listening", listening)
    answer = await answer_in_time(redis.asyncio.Redis(), "channel", ask, 1.0)
    assert (answer, asked) == (["parked"], [True, False])


async def test_who_waits_takes_a_quarter_of_the_pool(socket: str) -> None:
    """Requests find a connection, however many events wait for their leaders: the others are parked at once."""
    patient = Policy(lease=timedelta(hours=1), lookback=timedelta(hours=1), retention=timedelta(hours=1))
    async with (
        redis.asyncio.Redis(unix_socket_path=socket) as theirs,
        redis.asyncio.Redis(unix_socket_path=socket, max_connections=8) as ours,
    ):
        await theirs.flushall()
        leading = CausalOrdering("quarter", redis=theirs, policy=patient)
        waiting = CausalOrdering("quarter", redis=ours, policy=patient)
        async with leading.event_is_processing(event(1)):
            tasks = [asyncio.create_task(waiting.wait_for_leader(event(n, 1))) for n in range(2, 7)]
            async with asyncio.timeout(20):
                while sum(task.done() for task in tasks) < 3:  # noqa: ASYNC110  # each is Redis's to answer
                    await asyncio.sleep(0.01)
            assert [task.done() for task in tasks].count(False) == 2
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        assert sum(isinstance(answer, EventArrivedEarly) for answer in answers) >= 3


async def test_a_mark_ends_the_wait(socket: str) -> None:
    """Who waits for a leader hears at once that it was recorded as handled, by whichever consumer."""
    patient = Policy(lease=timedelta(hours=1), lookback=timedelta(hours=1), retention=timedelta(hours=1))
    async with (
        redis.asyncio.Redis(unix_socket_path=socket) as theirs,
        redis.asyncio.Redis(unix_socket_path=socket) as ours,
    ):
        await theirs.flushall()
        leading = CausalOrdering("mark", redis=theirs, policy=patient)
        await leading.record_event_as_processing(event(1))
        waits = asyncio.create_task(CausalOrdering("mark", redis=ours, policy=patient).wait_for_leader(event(2, 1)))
        channel = leading._key(f"ended:{event(1).id}")
        async with asyncio.timeout(20):
            while not dict(await theirs.pubsub_numsub(channel))[channel.encode()]:  # noqa: ASYNC110  # it is Redis's
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.2)  # it asks once more; if it does so only later, this test shows less
            await leading.record_event_as_seen(event(1))
            await waits
