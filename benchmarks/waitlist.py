"""What a long waitlist costs: Redis memory of a parked event and of a seen marker, and the server's time for a verb.

    python benchmarks/waitlist.py [--parked 10000 100000]

It writes `waitlist.json`, whose table is in the engine's guide.

So many followers wait, each for a leader of its own that has not come. Beside them a few hundred more are parked, and
their leaders are handled, which releases them; then sweeps find nothing, and at last, when the lookback is over for all
of them, each finds a batch. The server's own processor time is given: if it does not grow with the waitlist, no verb
looks at all of it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import redis.asyncio

from ordering import CausalOrdering, EventArrivedEarly, Policy, ReceivedEvent
from simulation.stores.bundled import running_server

RESULTS = Path(__file__).with_suffix(".json")
COLUMNS = [
    *("parked", "bytes for each", "bytes for a handled event", "park one, µs", "handle a leader and its follower, µs"),
    *("a sweep that finds nothing, µs", "a sweep that finds a hundred, µs an event"),
]
"""Memory is the server's, and so is the processor time of what is done beside so many parked events."""

PROBES = 300
OVERDUE_SWEEPS = 30
BATCH = 100
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

    async def fill(self, events: Sequence[ReceivedEvent]) -> None:
        """Deliver many events, a batch at a time."""

        async def handled(one: ReceivedEvent, depth: int = 0) -> None:
            return

        for start in range(0, len(events), BATCH):
            await self.ordering.handle_batch(handled, events[start : start + BATCH])

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


async def measure(address: str, parked: int) -> dict[str, int]:
    """Return a row of the table, by the names of its columns."""
    client = redis.asyncio.Redis(unix_socket_path=address, decode_responses=True, protocol=2)
    await client.flushall()
    probe = Probe(client)
    before = await probe.memory()
    for numbers in portions(parked):
        await probe.fill([event(3 * n + 1, follows=3 * n + 2) for n in numbers])
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
    spent = await probe.spent()
    found = await _overdue_sweeps(client)
    costs.append((await probe.spent() - spent) / found * 1e6)
    before = await probe.memory()
    for numbers in portions(parked):
        await probe.fill([event(2 * far + n) for n in numbers])
    marker = (await probe.memory() - before) / parked
    await client.aclose()
    return dict(zip(COLUMNS, [round(each) for each in (parked, waiting, marker, *costs)], strict=True))


async def version(address: str) -> str:
    """Return the name and the version of the server."""
    async with redis.asyncio.Redis(unix_socket_path=address, decode_responses=True, protocol=2) as client:
        server = await client.info("server")
    return f"{server.get('server_name', 'redis')} {server.get('valkey_version', server['redis_version'])}"


def table(rows: Sequence[Mapping[str, int]]) -> str:
    """Return the rows as a table in Markdown."""
    lines = [COLUMNS, ["---:"] * len(COLUMNS), *([f"{row[name]:,}" for name in COLUMNS] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def portions(count: int) -> Iterator[range]:
    """Yield the numbers below a count, some at a time."""
    for start in range(0, count, 10_000):
        yield range(start, min(start + 10_000, count))


async def _overdue_sweeps(client: Any) -> int:
    """Sweep as if all events were overdue, and return how many events the sweep has found."""
    await asyncio.sleep(0.01)
    impatient = CausalOrdering("waitlist", redis=client, policy=Policy(lookback=timedelta(milliseconds=1)))
    return sum([len(await impatient.get_lost_followers()) for _ in range(OVERDUE_SWEEPS)])


async def _sweeps(probe: Probe) -> None:
    for _ in range(PROBES):
        await probe.ordering.get_lost_followers()


def main() -> None:
    """Start a server, measure, stop it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parked", type=int, nargs="+", default=[10_000, 100_000])
    given = parser.parse_args()
    with running_server() as address:
        server = asyncio.run(version(address))
        rows = [asyncio.run(measure(address, parked)) for parked in given.parked]
    measured = {"date": f"{datetime.now(UTC):%Y-%m-%d}", "server": server, "rows": rows}
    RESULTS.write_text(json.dumps(measured, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(table(rows))


if __name__ == "__main__":
    main()
