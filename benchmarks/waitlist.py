"""What a long waitlist costs: Redis memory of a parked event and of a seen marker, and the server's time for a verb.

    python benchmarks/waitlist.py [--parked 1000 10000 100000]

So many followers wait, each for a leader of its own that has not come. Beside them a few hundred more are parked, and
their leaders are handled, which releases them; then a sweep finds nothing. The server's own processor time is given:
if it does not grow with the waitlist, no verb looks at all of it.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import redis.asyncio

from ordering import CausalOrdering, EventArrivedEarly, ReceivedEvent
from simulation.servers import running_server

PROBES = 300
AT_ONCE = 50


def event(number: int, follows: int | None = None) -> ReceivedEvent:
    """Return an event with a number for its id."""
    now = datetime.now(UTC)
    return ReceivedEvent(
        id=UUID(int=number), follows=None if follows is None else UUID(int=follows), occurred=now, received=now,
        event="e", payload={}, resource={"prefect.resource.id": "x"}, related=[],
    )  # fmt: skip


class Probe:
    """One ordering, and the server below it."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.ordering = CausalOrdering("waitlist", redis=client)
        self.handled = 0

    async def handle(self, one: ReceivedEvent, depth: int = 0) -> None:
        """Handle an event, unless its leader has not come."""
        async with self.ordering.preceding_event_confirmed(self.handle, one, depth):
            self.handled += 1

    async def deliver(self, events: Sequence[ReceivedEvent]) -> None:
        """Deliver events, some at a time."""

        async def one_of(share: Sequence[ReceivedEvent]) -> None:
            for one in share:
                with suppress(EventArrivedEarly):
                    await self.handle(one)

        await asyncio.gather(*(one_of(events[start::AT_ONCE]) for start in range(AT_ONCE)))

    async def memory(self) -> int:
        """Return how many bytes the server uses."""
        return int((await self.client.info("memory"))["used_memory"])

    async def spent(self) -> float:
        """Return how many seconds the server has computed."""
        cpu = await self.client.info("cpu")
        return float(cpu["used_cpu_user"]) + float(cpu["used_cpu_sys"])


async def measure(address: str, parked: int) -> str:
    """Return a row of the table."""
    client = redis.asyncio.Redis(unix_socket_path=address, decode_responses=True, protocol=2)
    await client.flushall()
    probe = Probe(client)
    before = await probe.memory()
    for start in range(0, parked, 10_000):
        numbers = range(start, min(start + 10_000, parked))
        await probe.deliver([event(3 * n + 1, follows=3 * n + 2) for n in numbers])
    waiting = (await probe.memory() - before) / parked
    far = 10**12
    followers = [event(far + 3 * n + 1, follows=far + 3 * n + 2) for n in range(PROBES)]
    leaders = [event(far + 3 * n + 2) for n in range(PROBES)]
    costs = []
    for verb in (probe.deliver(followers), probe.deliver(leaders), _sweeps(probe)):
        spent = await probe.spent()
        await verb
        costs.append((await probe.spent() - spent) / PROBES * 1e6)
    assert probe.handled == 2 * PROBES
    before = await probe.memory()
    await probe.deliver([event(2 * far + n) for n in range(parked)])
    marker = (await probe.memory() - before) / parked
    await client.aclose()
    told = " | ".join(f"{cost:.0f}" for cost in costs)
    return f"| {parked:,} | {waiting:,.0f} | {marker:,.0f} | {told} |"


async def _sweeps(probe: Probe) -> None:
    for _ in range(PROBES):
        await probe.ordering.get_lost_followers()


def main() -> None:
    """Start a server, measure, stop it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parked", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    given = parser.parse_args()
    print(
        "| parked | bytes a parked event | bytes a seen marker | park, µs | handle a leader and its follower, µs |",
        end="",
    )
    print(" sweep, µs |\n|---:|---:|---:|---:|---:|---:|")
    with running_server() as address:
        for parked in given.parked:
            print(asyncio.run(measure(address, parked)), flush=True)


if __name__ == "__main__":
    main()
