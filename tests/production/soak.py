"""A soak: consumer processes, real servers and all faults of production, in rounds; each round is judged.

    python -m tests.production.soak [--rounds 9] [--seconds 60] [--out results/soak] [--mutant NAME]

A round is one topology (one server; a master and a replica behind one address; a cluster) with one way to call the
engine (one by one, batches, a stream). Its faults come every second or so: kill -9, SIGSTOP for longer than a lease,
SIGTERM, CLIENT KILL, a failover, a migration of the scope's slot. Some events fail once, a few kill their process.

When the faults are over, every event must have an effect or a dead letter; `soak_judge.py` says what else. A consumer
that is asked to stop ends within a lease and some slack. Waits are counted without the time in which the machine did
not run the processes that are waited for (`machine.py`): a busy machine convicts no engine. Each round appends a line
to `rounds.jsonl`, and one that is there is not run again. With a mutant, the consumers have an engine that is guilty.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import redis
import redis.asyncio

from ordering import CausalOrdering, ReceivedEvent
from tests.production.machine import GivenTime, waited_s
from tests.production.servers import Cluster, Proxy, Server, proxy, servers, until
from tests.production.soak_consumer import DEAD, EFFECTS, GROUP, MESSAGES, POLICY, STALLED, UNCERTAIN
from tests.production.soak_judge import Effect, Gap, Published, Round, judge, read_notes

CONSUMERS, CHAIN, RATE = 4, 4, 40
LEASE_S = POLICY.lease.total_seconds()
SLACK_S = 5
"""How much longer than a lease a stopping consumer may take: it ends its connections, and its interpreter."""
KILLED = (-signal.SIGKILL, 255)
"""How a process has ended that an event has killed. asyncio says 255 if it was sent a signal after that: sending reads
the status that asyncio waits for."""
QUIET_S = 150
"""How long nothing may happen while something is left, when the faults are over: four attempts, each after a lease and
a redelivery. Time in which one of the processes did not run does not count."""


class Fleet:
    """Consumer processes, and what has happened to each."""

    def __init__(self, *arguments: str, beside: Sequence[int] = ()) -> None:
        self._arguments = arguments
        self._beside = beside
        self._number = 0
        self._tended = time.time()
        self.running: dict[str, asyncio.subprocess.Process] = {}
        self.gaps: dict[str, list[Gap]] = {}
        """When each process was frozen, or from when on it was dead, in milliseconds."""
        self.slowest_stop = 0.0
        self.failures: list[str] = []

    async def start(self) -> None:
        """Start one more."""
        self._number += 1
        name = f"c{self._number}"
        command = [sys.executable, "-m", "tests.production.soak_consumer", name, *self._arguments]
        self.running[name] = await asyncio.create_subprocess_exec(*command)

    @property
    def pids(self) -> list[int]:
        """The processes that have work, and the servers that they wait for."""
        return [*(process.pid for process in self.running.values()), *self._beside]

    def _dead(self, name: str, since: float) -> None:
        """Note that a process has died since a time, and may have been silent for some leases before."""
        self.gaps.setdefault(name, []).append(Gap(1000 * (since - 2 * LEASE_S)))

    async def tend(self) -> None:
        """Replace those that have died of an event."""
        tended, self._tended = self._tended, time.time()
        for name, process in [*self.running.items()]:
            if process.returncode is not None:
                del self.running[name]
                self._dead(name, tended)
                if process.returncode not in KILLED:
                    self.failures.append(f"{name} has ended with {process.returncode}")
                await self.start()

    async def kill(self, name: str) -> None:
        """End a process at once, and start another one."""
        self._dead(name, time.time())
        process = self.running.pop(name)
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        await self.start()

    async def freeze(self, name: str) -> None:
        """Freeze a process for longer than a lease."""
        process, since = self.running[name], time.time()
        with suppress(ProcessLookupError):  # an event has killed it
            process.send_signal(signal.SIGSTOP)
            await asyncio.sleep(1.5 * LEASE_S)
            process.send_signal(signal.SIGCONT)
        self.gaps.setdefault(name, []).append(Gap(1000 * since, 1000 * time.time()))

    async def stop(self, name: str) -> None:
        """End a process in good order, and measure how long that takes."""
        process, began, tended = self.running.pop(name), time.monotonic(), self._tended
        with suppress(ProcessLookupError):
            process.terminate()
        if not await self._ends(process):
            self.failures.append(f"{name} has not ended {LEASE_S + SLACK_S} s after SIGTERM")
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        self.slowest_stop = max(self.slowest_stop, time.monotonic() - began)
        if process.returncode in KILLED:
            self._dead(name, tended)
        elif process.returncode not in (0, -signal.SIGTERM):  # the latter: before it had a handler for it
            self.failures.append(f"{name} has ended with {process.returncode}")

    async def _ends(self, process: asyncio.subprocess.Process) -> bool:
        """Return whether a process ends in time: a lease and some slack, and as long as it and others did not run."""
        end, pids = asyncio.ensure_future(process.wait()), ("self", process.pid, *self._beside)
        began, waited = time.monotonic(), sum(map(waited_s, pids))
        while not (await asyncio.wait([end], timeout=0.2))[0]:
            if time.monotonic() - began > LEASE_S + SLACK_S + max(0.0, sum(map(waited_s, pids)) - waited):
                return end.done()
        return True


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
    names, count, quiet = {str(one.id) for one in events}, 0, GivenTime(lambda: fleet.pids)
    while quiet.passed_s() < QUIET_S:
        await fleet.tend()
        known = {entry["id"] for stream in (EFFECTS, DEAD) for entry in await read(queue, stream)}
        if names <= known:
            return
        if len(known) > count:  # a busy machine takes its time
            quiet.start()
            count = len(known)
        await asyncio.sleep(1)


async def read(queue: Any, stream: str) -> list[dict[str, str]]:
    """Return the entries of one of the queue's lists, each with its time in milliseconds."""
    rows = await queue.xrange(stream)
    return [
        {key.decode(): value.decode() for key, value in fields.items()} | {"at": place.decode().partition("-")[0]}
        for place, fields in rows
    ]


async def known_of(queue: Any, events: list[ReceivedEvent], fleet: Fleet, notes: Path) -> Round:
    """Return all that is known of a round."""
    gaps = {name: [*found] for name, found in fleet.gaps.items()}
    for stall in await read(queue, STALLED):
        gaps.setdefault(stall["by"], []).append(Gap(1000 * float(stall["since"]), 1000 * float(stall["until"])))
    uncertain = [member.decode().split(" ") for member in await queue.smembers(UNCERTAIN)]
    return Round(
        [Published(str(one.id), str(one.follows or ""), one.payload["how"]) for one in events],
        [Effect(one["id"], one["by"], int(one["fence"]) / 1000) for one in await read(queue, EFFECTS)],
        {entry["id"] for entry in await read(queue, DEAD)},
        read_notes(notes),
        1000 * POLICY.lookback.total_seconds(),
        gaps,
        {(name, by) for name, by in uncertain},
    )


async def soak(number: int, seconds: float, mutant: str = "") -> dict[str, Any]:
    """Run one round, and return what to write down about it."""
    way, shape = ("one", "batch", "stream")[number % 3], ("single", "replica", "cluster")[number // 3 % 3]
    chance, counts = random.Random(number), dict[str, int]()
    with servers(1) as (keeper,), tempfile.TemporaryDirectory() as notes:
        queue = redis.asyncio.Redis(port=keeper.port)
        await queue.xgroup_create(MESSAGES, GROUP, mkstream=True)
        async with topology(shape) as place:
            kind = "cluster" if shape == "cluster" else "single"
            arguments = (way, kind, str(place.port), str(keeper.port), notes, *([mutant] if mutant else []))
            fleet = Fleet(*arguments, beside=[one.process.pid for one in (keeper, *place.servers)])
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
            known, left = await known_of(queue, events, fleet, Path(notes)), await numbers(shape, place)
        await queue.aclose()
    wrong = [*([repr(failure)] if failure else []), *fleet.failures, *judge(known)]
    if left["parked"] or left["in_hand"]:
        wrong.append(f"the engine still keeps {left}")
    doubled = len(known.effects) - len({effect.name for effect in known.effects})
    return {
        "round": number, "at": datetime.now(UTC).isoformat(timespec="seconds"), "way": way, "topology": shape,
        "seconds": seconds, "events": len(events), "effects": len(known.effects), "doubles": doubled,
        "uncertain": len(known.uncertain), "dead": len(known.dead), "faults": counts,
        "slowest_stop_s": round(fleet.slowest_stop, 2), "load": round(os.getloadavg()[0], 1), "wrong": wrong,
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
    parser.add_argument("--mutant", default="", help="give the consumers an engine with a planted fault")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    book = given.out / "rounds.jsonl"
    rows = [json.loads(line) for line in book.read_text().splitlines()] if book.exists() else []
    for number in range(given.rounds):
        if any(row["round"] == number for row in rows):
            continue
        rows.append(asyncio.run(soak(number, given.seconds, given.mutant)))
        with book.open("a") as file:
            file.write(json.dumps(rows[-1]) + "\n")
        sys.stdout.write(json.dumps(rows[-1]) + "\n")
    return int(any(row["wrong"] for row in rows))


if __name__ == "__main__":
    sys.exit(main())
