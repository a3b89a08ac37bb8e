"""A scenario in real time: the same engine and the same moments, on plain asyncio and a redis-server with a real clock.

There is no SimPy here, no simulated network and no wrong clock: a queue, a task for each consumer, and `loop.time()`.
What happened is written down as the simulator writes it, so that the same judge can read it.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

import redis.asyncio

from simulation import History, Scenario
from simulation.engines import Engine, EngineContext, decoder, resolve
from simulation.history.entries import Header, Terms
from simulation.scenario.distributions import Constant
from simulation.scenario.workload import Plan, Publication, publications
from simulation.world.fingerprints import fingerprint

_delivered: ContextVar[str] = ContextVar("_delivered", default="")
"""The event whose delivery this task works on; empty in a sweep."""


def constant(delay: Any) -> float:
    """Return a delay in seconds. In real time nothing is drawn."""
    assert isinstance(delay, Constant), f"{delay} is not a constant"
    return delay.value / 1_000_000


class RealWorld:
    """One run of a scenario in real time."""

    def __init__(self, scenario: Scenario, engine: str, connect: Callable[..., redis.asyncio.Redis]) -> None:
        self.scenario = scenario
        self.kind: type[Engine] = resolve(engine)
        self.decode = decoder(self.kind)
        self.connect = connect
        policy = scenario.policy
        sweeps, stuck = scenario.consumers.sweep_interval, scenario.judge.progress_bound
        terms = Terms(policy.lookback, policy.retention, policy.lease, scenario.release_bound, sweeps, stuck)
        self.history = History(Header(scenario.name, engine=engine, store="server", terms=terms))
        self.queue: asyncio.Queue[tuple[Publication, int]] = asyncio.Queue()
        self.unhandled: set[str] = set()
        self.unsettled = 0
        self.in_hand = 0
        """Deliveries that a consumer has, or that wait for one."""
        self.at_rest, self.begun, self.quiet = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.at_rest.set()
        self.names: dict[str, str] = {}
        self.leaders: dict[str, str] = {}
        self.numbers = itertools.count(1)
        self.loop = asyncio.get_running_loop()
        self.began = self.loop.time()

    async def run(self) -> History:
        """Run until every event was handled and every delivery is settled."""
        self.write("phase", phase="safety")
        assert self.scenario.workload.kind == "events"
        listed = self.scenario.workload.events
        plans = [Plan(**{key: value for key, value in event if key != "again"}) for event in listed]
        feeding = asyncio.create_task(self.feed(publications(plans, 1, datetime.now(UTC))))
        tasks = [asyncio.create_task(work) for name in self.consumers() for work in self.lives(name)]
        await feeding
        await self.quiet.wait()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.write("census", keys=await self.census())
        self.write("phase", phase="quiet", in_flight=[])
        return self.history

    async def feed(self, coming: Iterable[Publication]) -> None:
        """Publish and deliver: not before its moment, and not before all that was delivered has come to rest."""
        twice = constant(self.scenario.broker.duplicate_delay) if self.scenario.broker.duplicate else None
        coming = list(coming)
        for publication in coming:
            self.unhandled.add(publication.name)
            self.names[str(publication.id)] = publication.name
            self.leaders[publication.name] = publication.follows
        self.unsettled = len(coming) * (1 if twice is None else 2)
        for publication in sorted(coming, key=lambda one: one.at):
            await self.until(publication.at / 1_000_000)
            await self.at_rest.wait()
            self.publish(publication)
            await asyncio.sleep(constant(self.scenario.broker.delay))
            self.deliver(publication)
            if twice is not None:
                await self.begun.wait()
                await asyncio.sleep(twice)
                self.deliver(publication)

    async def until(self, seconds: float) -> None:
        await asyncio.sleep(self.began + seconds - self.loop.time())

    def deliver(self, publication: Publication, attempt: int = 1) -> None:
        self.in_hand += 1
        self.at_rest.clear()
        self.queue.put_nowait((publication, attempt))

    def consumers(self) -> list[str]:
        return [f"c{number}" for number in range(1, self.scenario.consumers.count + 1)]

    def write(self, kind: str, event: str = "", consumer: str = "", **details: Any) -> None:
        at = round((self.loop.time() - self.began) * 1_000_000)
        self.history.append(at, kind, event, consumer, **details)

    def publish(self, publication: Publication) -> None:
        said = {"follows": publication.follows, "occurred": publication.occurred, "id": str(publication.id)}
        event = self.decode(publication.body)
        self.write("published", publication.name, fingerprint=fingerprint(event), **said)

    async def census(self) -> dict[str, dict[str, Any]]:
        client = self.connect()
        lasting = [key async for key in client.scan_iter("*") if await client.pttl(key) == -1]
        await client.aclose()
        return {key.decode(): {"type": "any", "ttl": None} for key in lasting}

    # -- consumers

    def lives(self, name: str) -> list[Any]:
        clients: list[redis.asyncio.Redis] = []

        def connect(**options: Any) -> redis.asyncio.Redis:
            clients.append(self.connect(**options))
            return clients[-1]

        async def effect(event: Any, fence: int | None = None) -> None:
            await self.effect(name, event, fence)

        context = EngineContext(
            consumer=name,
            scope="fidelity",
            connect=connect,
            effect=effect,
            policy=self.scenario.policy,
            handler=self.scenario.consumers.handler,
            token=lambda: f"{name}/{next(self.numbers)}",
        )
        self.write("joined", consumer=name)
        engine: Any = self.kind(context)
        return [self.work(name, engine, clients), self.sweep(name, engine)]

    async def work(self, name: str, engine: Any, clients: list[redis.asyncio.Redis]) -> None:
        try:
            while True:
                publication, attempt = await self.queue.get()
                _delivered.set(publication.name)
                await self.handle(name, engine, publication, attempt)
                self.in_hand -= 1
                if not self.in_hand:
                    self.at_rest.set()
        finally:
            for client in clients:
                await client.aclose()

    async def handle(self, name: str, engine: Any, publication: Publication, attempt: int) -> None:
        delivery = next(self.numbers)
        self.write("delivered", publication.name, name, attempt=attempt, delivery=delivery)
        outcome = await engine.handle(self.decode(publication.body)) or "handled"
        match outcome:
            case "parked":
                self.write("parked", publication.name, name, delivery=delivery)
            case "seen" | "busy":
                because = "seen" if outcome == "seen" else "held"
                self.write("refused", publication.name, name, because=because, delivery=delivery)
        if outcome == "busy":
            idle = self.scenario.broker.redeliver_after / 1_000_000
            self.loop.call_later(idle, self.deliver, publication, attempt + 1)
            return
        self.write("acknowledged", publication.name, name, delivery=delivery)
        self.unsettled -= 1
        self.look_around()

    async def sweep(self, name: str, engine: Any) -> None:
        while True:
            await asyncio.sleep(self.scenario.consumers.sweep_interval / 1_000_000)
            found = await engine.sweep()
            if found:
                self.write("swept", consumer=name, found=found)

    async def effect(self, consumer: str, event: Any, fence: int | None) -> None:
        name = self.names[str(event.id)]
        handling = next(self.numbers)
        token = {} if fence is None else {"fence": fence}
        said = {"via": self.via(name), "fingerprint": fingerprint(event), **token}
        self.write("started", name, consumer, handling=handling, **said)
        self.begun.set()
        await asyncio.sleep(constant(self.scenario.consumers.handler_time))
        self.write("ended", name, consumer, handling=handling, outcome="ok")
        self.unhandled.discard(name)
        self.look_around()

    def via(self, name: str) -> str:
        if _delivered.get():
            return "delivered" if _delivered.get() == name else "released"
        leader = self.leaders[name]
        return "released" if leader in self.leaders and leader not in self.unhandled else "rescued"

    def look_around(self) -> None:
        if not (self.unhandled or self.unsettled):
            self.loop.call_later(0.1, self.quiet.set)  # what the last effect is recorded with must not be cut off
