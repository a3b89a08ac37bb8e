"""Time: one heap, one clock, integers of microseconds, and no wall clock."""

import asyncio

from simulation.kernel.environment import SECOND
from simulation.kernel.event_loop import SimulatedLoop


def test_a_day_of_sleep_passes_at_once() -> None:
    loop = SimulatedLoop()

    async def sleeper() -> str:
        await asyncio.sleep(86_400)
        return "rested"

    assert loop.run_until_complete(sleeper()) == "rested"
    assert loop.now == 86_400 * SECOND


def test_generators_and_coroutines_share_a_clock() -> None:
    """Generators are physics and coroutines are software on the same clock."""
    loop, seen = SimulatedLoop(), []

    def physics():
        yield loop.env.timeout(1 * SECOND)
        seen.append(("physics", loop.now))

    async def software() -> None:
        await asyncio.sleep(0.5)
        seen.append(("software", loop.now))
        await asyncio.sleep(1.0)
        seen.append(("software", loop.now))

    loop.env.process(physics())
    loop.run_until_complete(software())

    assert seen == [("software", 500_000), ("physics", 1_000_000), ("software", 1_500_000)]


def test_cancelled_timer() -> None:
    """A cancelled timer does not drag the clock."""
    loop = SimulatedLoop()

    async def impatient() -> None:
        try:
            async with asyncio.timeout(5):
                await asyncio.sleep(500)
        except TimeoutError:
            return

    loop.run_until_complete(impatient())
    loop.run_while(lambda: True)  # whatever is left in the heap must not be worth waiting for

    assert loop.now == 5 * SECOND
