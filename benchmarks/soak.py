"""A soak in real time: a stream of events on a real redis-server, read in batches by several processes, for a while.

    python benchmarks/soak.py [--seconds 60] [--rate 1000] [--consumers 2] [--jitter 0.05]

Chains of five arrive in bursts; each event reaches the stream up to `--jitter` seconds late, so that followers overtake
their leaders. Every consumer is a process with an ordering of its own. Printed at the end: what was offered and done,
the latency from publication to effect, how far behind the consumers were, and whether order was kept and each event
took effect once, judged from what the consumers wrote down.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import random
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import redis
import redis.asyncio

from ordering import CausalOrdering, ReceivedEvent
from simulation.stores.bundled import running_server

STREAM, GROUP, EFFECTS = "events", "soak", "effects"
CHAIN, BATCH = 5, 200
TICK = 0.01


def chains(rate: float, seconds: float, jitter: float) -> Iterator[tuple[float, ReceivedEvent]]:
    """Yield events with the moments at which they reach the stream, in seconds from the start."""
    chance = random.Random(1)
    moment = 0.0
    while moment < seconds:
        leader: UUID | None = None
        for _ in range(CHAIN):
            now = datetime.now(UTC)
            event = ReceivedEvent(id=uuid4(), follows=leader, occurred=now, received=now)
            leader = event.id
            yield moment + chance.uniform(0, jitter), event
            moment += chance.expovariate(rate * 0.5) if chance.random() < 0.5 else 0.0  # half of them at once: bursts


def produce(address: str, rate: float, seconds: float, jitter: float) -> int:
    """Publish in real time, and return how many events that were. The moment of publication goes with each."""
    client = redis.Redis(unix_socket_path=address)
    due = sorted(chains(rate, seconds, jitter), key=lambda pair: pair[0])
    started, sent = time.time(), 0
    while sent < len(due):
        pipeline = client.pipeline(transaction=False)
        while sent < len(due) and due[sent][0] <= time.time() - started:
            pipeline.xadd(STREAM, {"event": due[sent][1].model_dump_json(), "at": time.time()})
            sent += 1
        pipeline.execute()
        time.sleep(TICK)
    return sent


def consume(address: str, name: str) -> None:
    """Be one consumer, until the process is ended."""
    asyncio.run(_consume(address, name))


async def _consume(address: str, name: str) -> None:
    client = redis.asyncio.Redis(unix_socket_path=address)
    ordering = CausalOrdering("soak", redis=client)
    done: list[tuple[str, float]] = []

    async def effect(event: Any, depth: int = 0) -> None:
        done.append((str(event.id), time.time()))

    async def write_down() -> None:
        if done:
            await client.rpush(EFFECTS, *(f"{identity} {at}" for identity, at in done))
            done.clear()

    swept = time.time()
    while True:
        answer = await client.xreadgroup(GROUP, name, {STREAM: ">"}, count=BATCH, block=50)
        entries = answer[0][1] if answer else []
        if entries:
            events = [ReceivedEvent.model_validate_json(fields[b"event"]) for _, fields in entries]
            outcomes = await ordering.handle_batch(effect, events)
            kept = [i for (i, _), outcome in zip(entries, outcomes, strict=True) if outcome not in ("held", "failed")]
            await client.xack(STREAM, GROUP, *kept)
        if time.time() - swept > 1:
            swept = time.time()
            await ordering.handle_batch(effect, await ordering.get_lost_followers())
        await write_down()


def quantiles(values: Sequence[float], *shares: float) -> list[float]:
    """Return these quantiles of some values."""
    ranked = sorted(values)
    return [ranked[min(len(ranked) - 1, int(share * len(ranked)))] for share in shares]


def judge(client: redis.Redis, sent: int) -> None:
    """Print the outcomes of the events."""
    published = {}
    leaders = {}
    for _, fields in client.xrange(STREAM):
        event = ReceivedEvent.model_validate_json(fields[b"event"])
        published[str(event.id)] = float(fields[b"at"])
        leaders[str(event.id)] = str(event.follows) if event.follows else ""
    effects = [line.decode().split() for line in client.lrange(EFFECTS, 0, -1)]
    first: dict[str, float] = {}
    for identity, at in effects:
        first.setdefault(identity, float(at))
    early = sum(1 for i in first if leaders[i] and not first.get(leaders[i], float("inf")) <= first[i])
    again = sum(count - 1 for count in Counter(identity for identity, _ in effects).values())
    half, ninety, most, almost_all = quantiles([first[i] - published[i] for i in first], 0.5, 0.9, 0.99, 0.999)
    span = max(first.values()) - min(published.values())
    print(f"| events offered | {sent:,} |\n| events handled | {len(first):,} |\n| handled more than once | {again} |")
    print(f"| handled before their leader | {early} |\n| events a second | {len(first) / span:,.0f} |")
    print(f"| latency p50 · p90 · p99 · p99.9 | {half:.3f} · {ninety:.3f} · {most:.3f} · {almost_all:.3f} s |")
    print(f"| keys left that are not marks | {sum(1 for key in client.scan_iter('{soak}:*') if lasting(key))} |")


def lasting(key: bytes) -> bool:
    """Whether a key holds something about an event that is not done."""
    return key.split(b":", 1)[1].partition(b":")[0] not in (b"seen", b"handled", b"fence", b"handed")


def soak(address: str, given: argparse.Namespace) -> None:
    """Produce, consume, wait until all is handled, and judge."""
    client = redis.Redis(unix_socket_path=address)
    client.xgroup_create(STREAM, GROUP, id="0", mkstream=True)
    consumers = [
        multiprocessing.Process(target=consume, args=(address, f"c{i}"), daemon=True) for i in range(given.consumers)
    ]
    for process in consumers:
        process.start()
    sent = produce(address, given.rate, given.seconds, given.jitter)
    ended = time.time()
    while client.llen(EFFECTS) < sent and time.time() - ended < given.wait:
        time.sleep(0.02)
    print("| what | figure |\n|---|---:|")
    print(f"| how long the consumers went on after the last event | {time.time() - ended:.2f} s |")
    for process in consumers:
        process.terminate()
        process.join()
    judge(client, sent)


def main() -> None:
    """Start a server, soak, stop it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--rate", type=float, default=1_000.0, help="events a second that are offered")
    parser.add_argument("--consumers", type=int, default=2)
    parser.add_argument("--jitter", type=float, default=0.05, help="how late an event may be, in seconds")
    parser.add_argument("--wait", type=float, default=60.0, help="how long to wait for the last events, in seconds")
    given = parser.parse_args()
    with running_server() as address:
        soak(address, given)


if __name__ == "__main__":
    main()
