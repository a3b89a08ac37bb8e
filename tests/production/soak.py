"""A soak: consumer processes, real servers and all faults of production, in rounds; each round is judged.

    python -m tests.production.soak [--rounds 9] [--seconds 60] [--out results/soak]

A round is one topology (one server; a master and a replica behind one address; a cluster) with one way to call the
engine (one by one, batches, a stream). Its faults come every second or so: kill -9, SIGSTOP for longer than a lease,
SIGTERM, CLIENT KILL, a failover, a migration of the scope's slot. Some events fail once, a few kill their process.

When the faults are over, every event must have an effect or a dead letter. Effects keep causal order; only a leader of
which the engine had not heard for the lookback may come after its follower. An event has two
only if the process of the first one was killed, frozen, or not run by the machine, or if the engine's server took none
of its writes for half a lease, so that it had no time to record it; or if its handler was cancelled before it had the
reply of the sink. A consumer that is asked to stop ends within a lease and some slack. Each round appends a line to
`rounds.jsonl`, and one that is there is not run again.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import redis
import redis.asyncio

from ordering import CausalOrdering, ReceivedEvent
from tests.production.servers import Cluster, Proxy, Server, proxy, servers, until
from tests.production.soak_consumer import DEAD, EFFECTS, GROUP, MESSAGES, MET, POLICY, STALLED, UNCERTAIN

CONSUMERS, CHAIN, RATE = 4, 4, 40
SLACK_S = 5
"""How much longer than a lease a stopping consumer may take: the machine of a soak is busy."""
KILLED = (-signal.SIGKILL, 255)
"""How a process has ended that an event has killed. asyncio says 255 if it was sent a signal after that: sending reads
the status that asyncio waits for."""
QUIET_S = 150
"""How long nothing may happen while something is left, when the faults are over: four attempts, each after a lease and
a redelivery."""


class Fleet:
    """Consumer processes, and what has happened to each."""

    def __init__(self, *arguments: str) -> None:
        self._arguments = arguments
        self._number = 0
        self.running: dict[str, asyncio.subprocess.Process] = {}
        self.excused: set[str] = set()
        """Those that were killed or frozen."""
        self.slowest_stop = 0.0
        self.failures: list[str] = []

    async def start(self) -> None:
        """Start one more."""
        self._number += 1
        name = f"c{self._number}"
        command = [sys.executable, "-m", "tests.production.soak_consumer", name, *self._arguments]
        self.running[name] = await asyncio.create_subprocess_exec(*command)

    async def tend(self) -> None:
        """Replace those that have died of an event."""
        for name, process in [*self.running.items()]:
            if process.returncode is not None:
                del self.running[name]
                self.excused.add(name)
                if process.returncode not in KILLED:
                    self.failures.append(f"{name} has ended with {process.returncode}")
                await self.start()

    async def kill(self, name: str) -> None:
        """End a process at once, and start another one."""
        self.excused.add(name)
        process = self.running.pop(name)
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        await self.start()

    async def freeze(self, name: str) -> None:
        """Freeze a process for longer than a lease."""
        self.excused.add(name)
        process = self.running[name]
        with suppress(ProcessLookupError):  # an event has killed it
            process.send_signal(signal.SIGSTOP)
            await asyncio.sleep(1.5 * POLICY.lease.total_seconds())
            process.send_signal(signal.SIGCONT)

    async def stop(self, name: str) -> None:
        """End a process in good order, and measure how long that takes."""
        process = self.running.pop(name)
        began = time.monotonic()
        with suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), POLICY.lease.total_seconds() + SLACK_S)
        except TimeoutError:
            with suppress(ProcessLookupError):  # it has ended, and this process was not run by the machine either
                process.kill()
                self.failures.append(f"{name} has not ended {POLICY.lease.total_seconds() + SLACK_S} s after SIGTERM")
            await process.wait()
        self.slowest_stop = max(self.slowest_stop, time.monotonic() - began)
        if process.returncode in KILLED:
            self.excused.add(name)
        elif process.returncode not in (0, -signal.SIGTERM):  # the latter: before it had a handler for it
            self.failures.append(f"{name} has ended with {process.returncode}")


class Topology:
    """The servers of the engine."""

    def __init__(self, port: int, running: list[Server], cluster: Cluster | None = None, address: Proxy | None = None):
        self.port = port
        self.servers = running
        self._cluster = cluster
        self._address = address
        self.faults = ["kill", "freeze", "stop", "client-kill", *(["migrate"] if cluster else [])]
        self.faults += ["fail-over"] if address else []

    async def client_kill(self) -> None:
        """Close every connection of clients."""
        for one in self.servers:
            await asyncio.to_thread(one.ask, "CLIENT", "KILL", "TYPE", "normal")

    async def migrate(self) -> None:
        """Move the scope's slot to another master."""
        assert self._cluster is not None
        slot = self._cluster.slot_of(f"{{{GROUP}}}:waitlist")
        pair = await asyncio.to_thread(self._cluster.begin_migration, slot)
        await asyncio.sleep(random.uniform(0.1, 1))
        await asyncio.to_thread(self._cluster.end_migration, slot, *pair)

    async def fail_over(self) -> None:
        """Make the replica the master in good order, so that no write is lost; the old one stays and is read-only."""
        assert self._address is not None
        old, new = self.servers
        await asyncio.to_thread(old.ask, "CLIENT", "PAUSE", 5_000, "WRITE")
        offset = await asyncio.to_thread(_offset, old)
        await asyncio.to_thread(until, lambda: _offset(new) >= offset)
        await asyncio.to_thread(new.ask, "REPLICAOF", "NO", "ONE")
        await asyncio.to_thread(old.ask, "REPLICAOF", "127.0.0.1", new.port)
        await asyncio.to_thread(old.ask, "CLIENT", "UNPAUSE")
        self._address.target = new
        self.servers.reverse()


def _offset(one: Server) -> int:
    lines = dict(line.split(":", 1) for line in one.ask("INFO", "replication").decode().splitlines() if ":" in line)
    return int(lines["master_repl_offset"])


@asynccontextmanager
async def topology(name: str) -> AsyncIterator[Topology]:
    """Run the servers of a topology."""
    async with AsyncExitStack() as stack:
        if name == "cluster":
            options = ("--cluster-enabled", "yes", "--cluster-node-timeout", "2000")
            running = stack.enter_context(servers(3, *options))
            yield Topology(running[0].port, running, await asyncio.to_thread(Cluster, running))
        elif name == "replica":
            running = stack.enter_context(servers(2))
            running[1].ask("REPLICAOF", "127.0.0.1", running[0].port)
            until(lambda: b"master_link_status:up" in running[1].ask("INFO", "replication"))
            address = await stack.enter_async_context(proxy(running[0]))
            yield Topology(address.port, running, address=address)
        else:
            running = stack.enter_context(servers(1))
            yield Topology(running[0].port, running)


def publications(chance: random.Random) -> list[ReceivedEvent]:
    """Return one chain in the order in which it is published: mostly backwards, or mixed."""
    made: list[ReceivedEvent] = []
    for _ in range(CHAIN):
        how = chance.choices(["works", "raises", "kills"], [97, 2.5, 0.5])[0]
        now, takes = datetime.now(UTC), chance.choice([0, 0, 0.005, 0.05])
        follows = made[-1].id if made else None
        payload = {"how": how, "takes": takes}
        made.append(ReceivedEvent(id=uuid4(), follows=follows, occurred=now, received=now, payload=payload))
    chance.shuffle(made)
    return made


async def publish(queue: Any, chance: random.Random, seconds: float) -> list[ReceivedEvent]:
    """Publish chains for so many seconds, each event once and some twice."""
    sent: list[ReceivedEvent] = []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for one in publications(chance):
            sent.append(one)
            for _ in range(chance.choices([1, 2], [9, 1])[0]):
                await queue.xadd(MESSAGES, {"event": one.model_dump_json()})
        await asyncio.sleep(CHAIN / RATE)
    return sent


async def strike(
    fleet: Fleet, place: Topology, chance: random.Random, counts: dict[str, int], over: asyncio.Event
) -> None:
    """Have one fault after the other, until that is over: none is left half done."""
    while not over.is_set():
        await asyncio.sleep(chance.uniform(0.3, 1.5))
        await fleet.tend()
        fault, name = chance.choice(place.faults), chance.choice([*fleet.running])
        counts[fault] = counts.get(fault, 0) + 1
        if fault == "stop":
            await fleet.stop(name)
            await fleet.start()
        elif fault in ("kill", "freeze"):
            await getattr(fleet, fault)(name)
        else:
            await getattr(place, fault.replace("-", "_"))()


async def settled(queue: Any, fleet: Fleet, events: list[ReceivedEvent]) -> None:
    """Wait until every event has an effect or a dead letter, or until none has got one for too long."""
    names, end, count = {str(one.id) for one in events}, time.monotonic() + QUIET_S, 0
    while time.monotonic() < end:
        await fleet.tend()
        known = {entry["id"] for stream in (EFFECTS, DEAD) for entry in await read(queue, stream)}
        if names <= known:
            return
        if len(known) > count:  # a busy machine takes its time
            end, count = time.monotonic() + QUIET_S, len(known)
        await asyncio.sleep(1)


async def read(queue: Any, stream: str) -> list[dict[str, str]]:
    """Return the entries of one of the queue's lists, each with its time in milliseconds."""
    rows = await queue.xrange(stream)
    return [
        {key.decode(): value.decode() for key, value in fields.items()} | {"at": place.decode().partition("-")[0]}
        for place, fields in rows
    ]


def was_lost(follower: str, began_ms: float, leader: str, met: list[dict[str, str]]) -> bool:
    """Return whether the engine had not heard of a leader for the lookback when its follower was taken for lost."""
    lookback_ms = POLICY.lookback.total_seconds() * 1000
    rescued = [int(one["at"]) for one in met if one["id"] == follower and one["what"] == "rescued"]
    then = max((at for at in rescued if at <= began_ms), default=began_ms)
    return bool(rescued) and not any(one["id"] == leader and then - lookback_ms < int(one["at"]) < then for one in met)


def judge(
    events: list[ReceivedEvent],
    effects: list[dict[str, str]],
    dead: set[str],
    uncertain: set[str],
    met: list[dict[str, str]],
    fleet: Fleet,
) -> list[str]:
    """Return what was wrong."""
    wrong, places = [*fleet.failures], dict[str, list[int]]()
    for i, effect in enumerate(effects):
        places.setdefault(effect["id"], []).append(i)
    for one in events:
        name, mine = str(one.id), places.get(str(one.id), [])
        if not mine and name not in dead:
            wrong.append(f"{name} was lost")
        wrong += [
            f"{name} took effect twice, by {effects[i]} and {effects[mine[n + 1]]}"
            for n, i in enumerate(mine[:-1])
            if effects[i]["by"] not in fleet.excused and f"{name} {effects[i]['by']}" not in uncertain
        ]
        leader = str(one.follows)
        if mine and one.follows and leader not in dead and not (places.get(leader) and places[leader][0] < mine[0]):
            first = effects[places[leader][0]] if leader in places else {}
            if not was_lost(name, int(effects[mine[0]]["fence"]) / 1000, leader, met):
                wrong.append(f"{name} took effect before {leader}: {effects[mine[0]]}, {first}")
        if name in dead and one.payload["how"] != "kills":
            wrong.append(f"{name} is a dead letter, and its handler does not kill its process")
        if mine and one.payload["how"] == "kills":
            wrong.append(f"{name} took effect, though its handler kills its process")
    return wrong


async def soak(number: int, seconds: float) -> dict[str, Any]:
    """Run one round, and return what to write down about it."""
    way, shape = ("one", "batch", "stream")[number % 3], ("single", "replica", "cluster")[number // 3 % 3]
    chance, counts = random.Random(number), dict[str, int]()
    with servers(1) as (keeper,):
        queue = redis.asyncio.Redis(port=keeper.port)
        await queue.xgroup_create(MESSAGES, GROUP, mkstream=True)
        async with topology(shape) as place:
            fleet = Fleet(way, "cluster" if shape == "cluster" else "single", str(place.port), str(keeper.port))
            for _ in range(CONSUMERS):
                await fleet.start()
            over = asyncio.Event()
            faults = asyncio.create_task(strike(fleet, place, random.Random(number + 1), counts, over))
            events = await publish(queue, chance, seconds)
            over.set()
            [failure] = await asyncio.gather(faults, return_exceptions=True)
            await settled(queue, fleet, events)
            for name in [*fleet.running]:
                await fleet.stop(name)
            effects, dead = await read(queue, EFFECTS), {entry["id"] for entry in await read(queue, DEAD)}
            met = await read(queue, MET)
            uncertain = {member.decode() for member in await queue.smembers(UNCERTAIN)}
            fleet.excused |= {member.decode() for member in await queue.smembers(STALLED)}
            left = await numbers(shape, place)
        await queue.aclose()
    wrong = [repr(failure)] if failure else []
    wrong += judge(events, effects, dead, uncertain, met, fleet)
    if left["parked"] or left["in_hand"]:
        wrong.append(f"the engine still keeps {left}")
    doubled = len(effects) - len({effect["id"] for effect in effects})
    return {
        "round": number, "at": datetime.now(UTC).isoformat(timespec="seconds"), "way": way, "topology": shape,
        "seconds": seconds, "events": len(events), "effects": len(effects), "explained_doubles": doubled,
        "uncertain": len(uncertain),
        "dead": len(dead), "faults": counts, "slowest_stop_s": round(fleet.slowest_stop, 2), "wrong": wrong,
    }  # fmt: skip


async def numbers(shape: str, place: Topology) -> dict[str, Any]:
    """Return the engine's own numbers at the end."""
    kind: Any = redis.asyncio.RedisCluster if shape == "cluster" else redis.asyncio.Redis
    client = kind(host="127.0.0.1", port=place.port)
    found = (await CausalOrdering(GROUP, redis=client).stats()).as_dict()
    await client.aclose()
    return found


def main() -> int:
    """Run the rounds that are missing; return 1 if something was wrong in one of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--out", type=Path, default=Path("results/soak"))
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    book = given.out / "rounds.jsonl"
    rows = [json.loads(line) for line in book.read_text().splitlines()] if book.exists() else []
    for number in range(given.rounds):
        if any(row["round"] == number for row in rows):
            continue
        rows.append(asyncio.run(soak(number, given.seconds)))
        with book.open("a") as file:
            file.write(json.dumps(rows[-1]) + "\n")
        sys.stdout.write(json.dumps(rows[-1]) + "\n")
    return int(any(row["wrong"] for row in rows))


if __name__ == "__main__":
    sys.exit(main())
