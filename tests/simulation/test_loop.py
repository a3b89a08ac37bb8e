"""The loop: asyncio's own tools work on it, and each trap that it avoids has a test."""

import asyncio
import contextlib
import gc
import weakref
from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from simulation.kernel.environment import SECOND, VirtualTime
from simulation.kernel.event_loop import Deadlock, SimulatedLoop
from simulation.kernel.process import Process, current_process


def test_task_groups_and_queues_work() -> None:
    loop = SimulatedLoop()

    async def story() -> list[int]:
        queue: asyncio.Queue[int] = asyncio.Queue()
        taken: list[int] = []

        async def producer(base: int) -> None:
            for i in range(3):
                await asyncio.sleep(0.1)
                await queue.put(base + i)

        async def consumer() -> None:
            while len(taken) < 6:
                taken.append(await queue.get())

        async with asyncio.TaskGroup() as group:
            group.create_task(consumer())
            group.create_task(producer(0))
            group.create_task(producer(10))
        return taken

    assert loop.run_until_complete(story()) == [0, 10, 1, 11, 2, 12]
    assert loop.now == 300_000


def test_anyio_works() -> None:
    loop = SimulatedLoop()

    async def story() -> float:
        with anyio.move_on_after(2.5):
            await anyio.sleep(100)
        return loop.time()

    assert loop.run_until_complete(story()) == 2.5


def test_exception_with_odd_constructor() -> None:
    """An exception with an odd constructor arrives as it was raised."""

    # SimPy re-creates exceptions as type(e)(*e.args), which fails for those whose __init__ wants something else.
    class Odd(Exception):
        def __init__(self, code: int, *, reason: str) -> None:
            super().__init__(f"{code} because of {reason}")
            self.code = code

    loop = SimulatedLoop()

    async def fail() -> None:
        await asyncio.sleep(1)
        raise Odd(7, reason="the test")

    with pytest.raises(Odd, match="7 because of the test") as caught:
        loop.run_until_complete(fail())
    assert caught.value.code == 7


def test_exception_in_callback() -> None:
    """An exception in a callback is kept and does not stop the world."""
    loop = SimulatedLoop()
    loop.call_soon(lambda: 1 / 0)
    loop.run_until_complete(asyncio.sleep(1))
    assert [type(failure["exception"]) for failure in loop.failures] == [ZeroDivisionError]


def test_exception_in_world_callback() -> None:
    """An exception in a callback of the world itself ends the run."""
    loop = SimulatedLoop()
    loop.in_world(1, lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        loop.run_until_complete(asyncio.sleep(1))


def test_deadlock() -> None:
    """What nothing will ever finish is a deadlock."""
    loop = SimulatedLoop()

    async def forever() -> None:
        await loop.create_future()

    with pytest.raises(Deadlock, match="nothing is left to happen"):
        loop.run_until_complete(forever())
    loop.close()


def test_cancelled_timers_do_not_pile_up() -> None:
    loop = SimulatedLoop()

    async def story() -> None:
        for _ in range(5_000):
            async with asyncio.timeout(1_000):
                await asyncio.sleep(0.001)

    loop.run_until_complete(story())
    assert len(loop.env._queue) < 1_000


def test_time_is_rounded_to_whole_microseconds() -> None:
    loop = SimulatedLoop()
    moments = []
    for delay in (0.1 + 0.2, 1e-7, 0.000_001_4):
        loop.call_later(delay, lambda: moments.append(loop.now))
    loop.run_while(lambda: True)
    assert sorted(moments) == [1, 1, 300_000]  # a delay takes one at least: what is left until a deadline passes


def test_callbacks_of_one_moment() -> None:
    """Callbacks of one moment run in the order in which they were scheduled."""
    loop, seen = SimulatedLoop(), []
    for i in range(50):
        loop.call_later(1.0, seen.append, i)
    loop.run_while(lambda: True)
    assert seen == list(range(50))


def test_task_belongs_to_its_process() -> None:
    """A task belongs to the process it was spawned in and so do its children."""
    loop, owners = SimulatedLoop(), []

    async def child() -> None:
        owners.append(current_process.get())

    async def parent() -> None:
        await asyncio.gather(child(), asyncio.create_task(child()))

    process = Process("c1")
    loop.spawn(parent(), process)
    loop.run_while(lambda: True)
    assert owners == [process, process]


def test_dead_tasks_are_silent() -> None:
    """The dead say nothing when they are collected."""
    loop, process, said = SimulatedLoop(), Process("c1"), []

    @contextlib.asynccontextmanager
    async def lock():
        try:
            yield
        finally:
            await asyncio.sleep(0)
            said.append("unlocked")

    async def victim() -> None:
        async with lock():
            await asyncio.sleep(10)

    loop.spawn(victim(), process)
    loop.in_world(SECOND, loop.kill, process)
    loop.run_while(lambda: True)
    loop.close()
    gc.collect()
    assert said == []


def test_paused_process_is_killed() -> None:
    """A paused process can be killed and its held callbacks never run."""
    loop, process, seen = SimulatedLoop(), Process("c1"), []

    async def victim() -> None:
        await asyncio.sleep(1)
        seen.append("woke")

    loop.spawn(victim(), process)
    loop.in_world(500_000, loop.pause, process)
    loop.in_world(2_000_000, loop.kill, process)
    loop.run_while(lambda: True)
    assert seen == []
    loop.close()


def test_executors_run_inline() -> None:
    loop = SimulatedLoop()

    async def story() -> int:
        return await loop.run_in_executor(None, lambda: 42)

    assert loop.run_until_complete(story()) == 42


def test_peek_ignores_cancelled_timers() -> None:
    environment = VirtualTime()
    loop = SimulatedLoop(environment)
    loop.call_later(1.0, print).cancel()
    loop.call_later(2.0, print)
    assert environment.peek() == 2 * SECOND


def test_connection_without_network() -> None:
    """A connection without a network is refused."""
    loop = SimulatedLoop()
    with pytest.raises(OSError, match="no network"):
        loop.run_until_complete(asyncio.open_connection("redis", 6379))


def test_task_group_cancels_in_order() -> None:
    """A task group cancels its members in the same order wherever they lie in memory."""

    async def member(number: int, cancelled: list[int]) -> None:
        try:
            await asyncio.sleep(1_000)
        except asyncio.CancelledError:
            cancelled.append(number)
            raise

    async def group(cancelled: list[int]) -> None:
        async with asyncio.TaskGroup() as members:
            for number in range(20):
                members.create_task(member(number, cancelled))
            await asyncio.sleep(1)
            raise LookupError

    orders = []
    ballast: list[object] = []
    for turn in range(5):
        ballast += [bytearray(100 + 37 * turn + i) for i in range(1_000)]  # so that the tasks lie elsewhere
        cancelled: list[int] = []
        with contextlib.suppress(ExceptionGroup):
            SimulatedLoop().run_until_complete(group(cancelled))
        orders.append(cancelled)
    assert len(orders[0]) == 20
    assert orders == orders[:1] * 5


def test_sets_of_tasks_are_ordered() -> None:
    """A set of tasks or futures is walked in the order of their numbers."""
    loop = SimulatedLoop()
    futures = [loop.create_future() for _ in range(6)]
    assert list(set(futures)) == futures
    assert [hash(future) for future in futures] == list(range(6))
    assert futures[0] != futures[1]


def test_generators_that_are_done_are_not_kept() -> None:
    async def once() -> AsyncIterator[int]:
        yield 1

    async def many() -> None:
        for _ in range(5_000):
            async for _ in once():
                pass

    loop = SimulatedLoop()
    begun: list[weakref.ref[Any]] = []
    keep = loop._keep
    loop._keep = lambda one: (begun.append(weakref.ref(one)), keep(one))[1]  # type: ignore[method-assign]
    loop.run_until_complete(many())
    assert len(begun) == 5_000
    assert sum(one() is not None for one in begun) < 1_000


def test_abandoned_generator() -> None:
    """A generator that is given up does not end when it is collected."""
    ended: list[str] = []

    async def cut_off() -> AsyncIterator[int]:
        try:
            yield 1
            yield 2
        finally:
            ended.append("by chance")

    async def give_up() -> None:
        generator = cut_off()
        await anext(generator)

    loop = SimulatedLoop()
    loop.run_until_complete(give_up())
    gc.collect()
    assert ended == []
    loop.close()


@pytest.mark.parametrize("start", [100_746, 1, 333_333, 8_999_999, 123_456_789])
def test_timer_never_early(start: int) -> None:
    """A timer never fires before its deadline by the loop's own clock."""
    loop = SimulatedLoop()

    async def story() -> list[float]:
        early: list[float] = []
        await asyncio.sleep(start / SECOND)
        deadlines = [loop.time() + tenth / 10 for tenth in range(1, 200)]
        for when in deadlines:
            loop.call_at(when, lambda when=when: early.append(when) if loop.time() < when else None)
        await asyncio.sleep(21)
        return early

    assert loop.run_until_complete(story()) == []


def test_deadline_of_a_rounding_error() -> None:
    """A deadline that is a rounding error above a microsecond ends."""
    loop = SimulatedLoop()

    async def story() -> bool:
        await asyncio.sleep(0.100746)
        with anyio.move_on_after(8) as scope:
            await asyncio.sleep(60)
        return scope.cancelled_caught

    assert loop.run_until_complete(story())


def test_a_forgotten_task_is_kept() -> None:
    loop, ended = SimulatedLoop(), list[int]()

    async def wait() -> None:
        try:
            await loop.create_future()
        finally:
            ended.append(loop.now)

    async def story() -> None:
        loop.create_task(wait())
        await asyncio.sleep(1)
        gc.collect()
        await asyncio.sleep(1)

    loop.run_until_complete(story())
    assert not ended
    assert not loop._pending - {task for task in loop._tasks if not task.done()}


@pytest.mark.parametrize("threshold", [1, 100_000])
def test_circles_are_collected_at_the_same_moment(threshold: int) -> None:
    loop, collected = SimulatedLoop(), list[int]()

    class Circle:
        def __init__(self) -> None:
            self.itself = self

        def __del__(self) -> None:
            collected.append(loop.turns)

    async def story() -> None:
        for turn in range(12_000):
            if turn % 2_000 == 0:
                Circle()
            await asyncio.sleep(0)

    before = gc.get_threshold()
    gc.set_threshold(threshold)
    try:
        loop.run_until_complete(story())
    finally:
        gc.set_threshold(*before)
    assert collected[:5] == [10_000] * 5
    assert gc.isenabled()
