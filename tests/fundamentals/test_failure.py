"""Failure: a crash is not a cancellation, and a pause is not a crash."""

import asyncio

from simulation.kernel.environment import SECOND
from simulation.kernel.event_loop import SimulatedLoop
from simulation.kernel.process import Process


def test_a_crashed_process_runs_no_finally() -> None:
    loop, process, last_words = SimulatedLoop(), Process("c1"), []

    async def victim() -> None:
        try:
            await asyncio.sleep(10)
        finally:
            last_words.append("released my lock, politely")

    task = loop.spawn(victim(), process)
    loop.in_world(1 * SECOND, loop.kill, process)
    loop.run_while(lambda: True)

    assert last_words == []
    assert not task.done()
    loop.close()


def test_paused_process() -> None:
    """A paused process stands still while the world goes on."""
    loop, process, ticks = SimulatedLoop(), Process("c1"), []

    async def ticker() -> None:
        for _ in range(4):
            await asyncio.sleep(1)
            ticks.append(loop.now // SECOND)

    loop.spawn(ticker(), process)
    loop.in_world(2_500_000, loop.pause, process)
    loop.in_world(60 * SECOND, loop.resume, process)
    loop.run_while(lambda: True)

    assert ticks == [1, 2, 60, 61]
