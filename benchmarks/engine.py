"""The engine beside the original, on the same redis-server in the same run: events a second, round trips, commands.

    python benchmarks/engine.py [--events 5000] [--consumers 1] [--turns 3]

Real time, a real server on a socket, handlers that do nothing: the ordering alone is measured. Quote the ratios.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any
from uuid import uuid4

import redis.asyncio

from ordering import CausalOrdering, EventArrivedEarly, ReceivedEvent
from simulation.stores.bundled import running_server

os.environ.setdefault("PREFECT_LOGGING_LEVEL", "CRITICAL")
CHAIN = 5
BATCH = 100
TASKS = 50


@dataclass
class Measured:
    """What one engine did with one workload."""

    rate: float
    round_trips: float
    commands: float


def workload(shape: str, count: int, event_type: type[Any]) -> list[Any]:
    """Return events: chains of five in order or reversed, or events that follow nothing."""
    now = datetime.now(UTC)
    made: list[Any] = []
    for chain in range(count // CHAIN):
        leader, links = None, []
        for i in range(CHAIN):
            occurred = now + timedelta(microseconds=chain * CHAIN + i)
            one = event_type(
                id=uuid4(), follows=leader, occurred=occurred, received=occurred, event="e", payload={},
                resource={"prefect.resource.id": "x"}, related=[],
            )  # fmt: skip
            leader = one.id if shape != "independent" else None
            links.append(one)
        made += reversed(links) if shape == "reversed" else links
    return made


Consume = Callable[[list[Any]], Awaitable[None]]


def native(client: Any) -> tuple[Consume, type[Any]]:
    """Return a consumer of our engine, event by event."""
    ordering = CausalOrdering(f"bench-{uuid4()}", redis=client)

    async def handler(event: Any, depth: int = 0) -> None:
        async with ordering.preceding_event_confirmed(handler, event, depth):
            pass

    return one_by_one(handler, EventArrivedEarly), ReceivedEvent


def batched(client: Any) -> tuple[Consume, type[Any]]:
    """Return a consumer of our engine, a hundred events at a time."""
    ordering = CausalOrdering(f"bench-{uuid4()}", redis=client)

    async def handler(event: Any, depth: int = 0) -> None:
        return

    async def consume(events: list[Any]) -> None:
        for start in range(0, len(events), BATCH):
            await ordering.handle_batch(handler, events[start : start + BATCH])

    return consume, ReceivedEvent


def streamed(client: Any) -> tuple[Consume, type[Any]]:
    """Return a consumer of our engine that hands over a stream."""
    ordering = CausalOrdering(f"bench-{uuid4()}", redis=client)

    async def handler(event: Any, depth: int = 0) -> None:
        return

    async def report(event: Any, outcome: str) -> None:
        return

    async def consume(events: list[Any]) -> None:
        await ordering.handle_stream(handler, read(events), report)

    return consume, ReceivedEvent


async def read(events: list[Any]) -> AsyncIterator[Any]:
    """Yield events as a consumer reads them: what has come is there at once."""
    for event in events:
        yield event


def crowded(client: Any) -> tuple[Consume, type[Any]]:
    """Return a consumer of our engine with fifty tasks; each takes chains, event by event."""
    consume_chain, event_type = native(client)
    return many_tasks(consume_chain), event_type


def many_tasks(consume_chain: Consume) -> Consume:
    """Return a consumer whose tasks share the chains among them."""

    async def consume(events: list[Any]) -> None:
        chains = [events[i : i + CHAIN] for i in range(0, len(events), CHAIN)]
        shares = [[event for chain in chains[i::TASKS] for event in chain] for i in range(TASKS)]
        await asyncio.gather(*map(consume_chain, shares))

    return consume


def prefect_crowded(client: Any) -> tuple[Consume, type[Any]]:
    """Return a consumer of the installed prefect_redis with fifty tasks."""
    consume_chain, event_type = prefect(client)
    return many_tasks(consume_chain), event_type


def prefect(client: Any) -> tuple[Consume, type[Any]]:
    """Return a consumer of the installed prefect_redis."""
    import prefect_redis.ordering as original
    from prefect.server.events.schemas.events import ReceivedEvent as PrefectEvent

    original.get_async_redis_client = lambda: client
    ordering = original.CausalOrdering(scope=f"bench-{uuid4()}")

    async def handler(event: Any, depth: int = 0) -> None:
        async with ordering.preceding_event_confirmed(handler, event, depth):
            pass

    return one_by_one(handler, original.EventArrivedEarly), PrefectEvent


def one_by_one(handler: Any, early: type[Exception]) -> Consume:
    """Return a consumer that handles each event in turn."""

    async def consume(events: list[Any]) -> None:
        for event in events:
            try:
                await handler(event)
            except early:
                continue

    return consume


async def measure(make: Any, address: str, shape: str, count: int, consumers: int) -> Measured:
    """Run one workload through one engine; chains are dealt to the consumers whole."""
    clients = [client_of(address) for _ in range(consumers)]
    made = [make(client) for client in clients]
    events = workload(shape, count, made[0][1])
    chains = [events[i : i + CHAIN] for i in range(0, len(events), CHAIN)]
    shares = [[event for chain in chains[i::consumers] for event in chain] for i in range(consumers)]
    control = client_of(address)
    before = await control.info("everything")
    started = time.perf_counter()
    await asyncio.gather(*(consume(share) for (consume, _), share in zip(made, shares, strict=True)))
    elapsed = time.perf_counter() - started
    after = await control.info("everything")
    for client in clients:
        await client.aclose()
    await control.flushall()
    await control.aclose()
    reads = after["total_reads_processed"] - before["total_reads_processed"]
    return Measured(len(events) / elapsed, reads / len(events), (calls(after) - calls(before)) / len(events))


def client_of(address: str) -> Any:
    """Return a client as its users make it."""
    return redis.asyncio.Redis(unix_socket_path=address, decode_responses=True)


def calls(info: dict[str, Any]) -> int:
    """Return how many commands a server has executed, those inside of scripts included."""
    kinds = {name: told for name, told in info.items() if name.startswith("cmdstat_") and "info" not in name}
    return sum(told["calls"] for told in kinds.values())


async def compare(address: str, count: int, consumers: int, turns: int) -> None:
    """Print the table: of each engine the median of its turns, which the engines take one after the other."""
    engines = {
        "prefect 0.3.0": prefect,
        "ordering": native,
        "ordering, stream": streamed,
        "ordering, batches": batched,
        "prefect 0.3.0, 50 tasks": prefect_crowded,
        "ordering, 50 tasks": crowded,
    }
    print(f"{count:,} events, {consumers} consumer(s); handlers that do nothing; Python {sys.version.split()[0]}\n")
    print(
        "| workload | engine | events a second | ratio | from – to | round trips an event | server commands an event |"
    )
    print("|---|---|---:|---:|---:|---:|---:|")
    for shape in ("in-order", "reversed", "independent"):
        runs: dict[str, list[Measured]] = {name: [] for name in engines}
        for _ in range(turns):
            for name, make in engines.items():
                runs[name].append(await measure(make, address, shape, count, consumers))
        for name, measured in runs.items():
            base = [run.rate for run in runs["prefect 0.3.0"]]
            ratios = sorted(run.rate / rate for run, rate in zip(measured, base, strict=True))
            last = measured[-1]
            print(
                f"| {shape} | {name} | {median(run.rate for run in measured):,.0f} | {median(ratios):.1f} "
                f"| {ratios[0]:.1f} – {ratios[-1]:.1f} | {last.round_trips:.2f} | {last.commands:.1f} |",
                flush=True,
            )


def main() -> None:
    """Start a server, compare, stop it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=5_000)
    parser.add_argument("--consumers", type=int, default=1)
    parser.add_argument("--turns", type=int, default=3, help="how often each engine is measured")
    given = parser.parse_args()
    with running_server() as address:
        asyncio.run(compare(address, given.events, given.consumers, given.turns))


if __name__ == "__main__":
    main()
