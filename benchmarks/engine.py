"""The engine beside the original, on the same redis-server in the same run: events a second, round trips, commands.

    python benchmarks/engine.py [--events 5000] [--consumers 1] [--turns 3] [--json benchmarks/engine.json]

Real time, a real server on a socket, handlers that do nothing: the ordering alone is measured. Quote the ratios.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
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
    client_cpu: float
    """Microseconds of the client's processor, an event: others on the machine change it less than the rate."""
    server_cpu: float
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


def bare(client: Any) -> tuple[Consume, type[Any]]:
    """Return a consumer that runs a script which does nothing, once an event: what one round trip costs at least."""

    async def consume(events: list[Any]) -> None:
        digest = await client.script_load("return 1")
        for _ in events:
            await client.evalsha(digest, 1, "{bench}:waitlist")

    return consume, ReceivedEvent


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
    started, worked = time.perf_counter(), time.process_time()
    await asyncio.gather(*(consume(share) for (consume, _), share in zip(made, shares, strict=True)))
    elapsed, own = time.perf_counter() - started, time.process_time() - worked
    after = await control.info("everything")
    for client in clients:
        await client.aclose()
    await control.flushall()
    await control.aclose()
    reads = after["total_reads_processed"] - before["total_reads_processed"]
    served = sum(after[kind] - before[kind] for kind in ("used_cpu_user", "used_cpu_sys"))
    costs = (1e6 * own, 1e6 * served, reads, calls(after) - calls(before))
    return Measured(len(events) / elapsed, *(cost / len(events) for cost in costs))


def client_of(address: str) -> Any:
    """Return a client as its users make it."""
    return redis.asyncio.Redis(unix_socket_path=address, decode_responses=True)


def calls(info: dict[str, Any]) -> int:
    """Return how many commands a server has executed, those inside of scripts included."""
    kinds = {name: counts for name, counts in info.items() if name.startswith("cmdstat_") and "info" not in name}
    return sum(counts["calls"] for counts in kinds.values())


ENGINES: dict[str, tuple[Any, str]] = {
    "a bare EVALSHA": (bare, ""),
    "prefect_redis 0.3.0": (prefect, ""),
    "one by one": (native, "prefect_redis 0.3.0"),
    "a stream": (streamed, "prefect_redis 0.3.0"),
    "batches of 100": (batched, "prefect_redis 0.3.0"),
    "prefect_redis 0.3.0, fifty tasks": (prefect_crowded, ""),
    "one by one, fifty tasks": (crowded, "prefect_redis 0.3.0, fifty tasks"),
}
"""What is measured, each with what it is compared with, like with like."""
SHAPES = ("in-order", "reversed", "independent")
Results = dict[str, dict[str, dict[str, Any]]]
"""By workload and engine: rates and processor times of the turns, and round trips and commands an event of the last.

`cpu` is the client's processor and the server's, in microseconds an event; `server_cpu` is the server's alone."""


async def compare(address: str, count: int, consumers: int, turns: int) -> Results:
    """Measure each engine some times; the engines take turns."""
    results: Results = {}
    for shape in SHAPES:
        measured = results[shape] = {name: {"rates": [], "cpu": [], "server_cpu": []} for name in ENGINES}
        for _ in range(turns):
            for name, (make, _) in ENGINES.items():
                run = await measure(make, address, shape, count, consumers)
                measured[name]["rates"].append(round(run.rate))
                measured[name]["cpu"].append(round(run.client_cpu + run.server_cpu))
                measured[name]["server_cpu"].append(round(run.server_cpu))
                measured[name] |= {"round_trips": round(run.round_trips, 2), "commands": round(run.commands, 1)}
    return results


def ratios(measured: dict[str, dict[str, Any]], name: str) -> list[float]:
    """Return an engine's rates as ratios to those of the same turns of what it is compared with, the least first."""
    base = measured[ENGINES[name][1] or name]["rates"]
    return sorted(own / other for own, other in zip(measured[name]["rates"], base, strict=True))


def processor_times(one: dict[str, Any]) -> tuple[float, float]:
    """Return the microseconds of the client's processor and of the server's, an event, of the cheapest turn."""
    return min(((both - server, server) for both, server in zip(one["cpu"], one["server_cpu"], strict=True)), key=sum)


def table(results: Results) -> str:
    """Return what was measured, in full."""
    lines = [
        "| workload | engine | events a second | ratio | from – to | client CPU, µs an event "
        "| server CPU | round trips an event | server commands an event |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for shape, measured in results.items():
        for name, one in measured.items():
            found = ratios(measured, name)
            client, server = processor_times(one)
            lines.append(
                f"| {shape} | {name} | {median(one['rates']):,.0f} | {median(found):.1f} "
                f"| {found[0]:.1f} – {found[-1]:.1f} | {client:.0f} | {server:.0f} "
                f"| {one['round_trips']:.2f} | {one['commands']:.1f} |"
            )
    return "\n".join(lines)


def summary(results: Results) -> str:
    """Return the ratios alone, as the README shows them: rate, round trips, processor time."""
    lines = ["| | in order, chains of five | reversed | events that follow nothing |", "|---|---|---|---|"]
    for name, (_, beside) in ENGINES.items():
        if beside:
            cells = (_cell(results[shape], name, beside) for shape in SHAPES)
            lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(measured: dict[str, dict[str, Any]], name: str, beside: str) -> str:
    found = ratios(measured, name)
    trips, others = (f"{measured[one]['round_trips']:.2g}" for one in (name, beside))
    work = min(measured[name]["cpu"]) / min(measured[beside]["cpu"])
    return f"{median(found):.1f} × · {trips}, not {others} · {work:.2f}"


def main() -> None:
    """Start a server, compare, stop it; print the table, and keep what was measured if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=5_000)
    parser.add_argument("--consumers", type=int, default=1)
    parser.add_argument("--turns", type=int, default=3, help="how often each engine is measured")
    parser.add_argument("--json", type=Path, help="write what was measured to this file: the README's is engine.json")
    given = parser.parse_args()
    with running_server() as address:
        results = asyncio.run(compare(address, given.events, given.consumers, given.turns))
    python = sys.version.split()[0]
    print(f"{given.events:,} events, {given.consumers} consumer(s); handlers that do nothing; Python {python}\n")
    print(table(results))
    if given.json:
        how = {"events": given.events, "consumers": given.consumers, "python": python}
        given.json.write_text(json.dumps(how | {"results": results}, indent=1) + "\n", encoding="utf-8")
        print(f"\n{summary(results)}")


if __name__ == "__main__":
    main()
