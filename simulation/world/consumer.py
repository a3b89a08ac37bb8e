"""A virtual consumer: workers that take deliveries, a sweeper, and the handler whose work is the effect.

A consumer outlives its incarnations. Each start makes a new process, a new engine and new connections; a crash ends
the process without a word. What a consumer writes into the history it writes only while its process is alive, since
a dead one has no say.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache
from hashlib import blake2b
from inspect import signature
from typing import Any, Protocol

import redis.asyncio
from redis.asyncio import ConnectionPool

from simulation.engines import Engine, EngineContext, decoder
from simulation.history.history import History
from simulation.kernel.event_loop import SECOND, SimulatedLoop
from simulation.kernel.process import Process
from simulation.kernel.random_streams import Streams
from simulation.scenario.model import Scenario
from simulation.world.broker import Broker, Delivery
from simulation.world.network import Network
from simulation.world.sweep_cost import begin_sweep


@dataclass(frozen=True, slots=True)
class _Cause:
    """Why a handler runs: an event was delivered, or a sweep goes on."""

    delivered: str = ""
    """The event that was delivered; empty in a sweep."""
    handled: set[str] = field(default_factory=set)
    """The events that took effect in the sweep: their followers are released by them, the others are rescued."""


_cause: ContextVar[_Cause] = ContextVar("_cause")


HANDLER_CANCELLED = "the handler was cancelled"
"""What a cancellation of a handler, and not of its consumer, says."""


class HandlerFailed(Exception):
    """The handler of an event raised, as the scenario asked."""


class WriteRefused(Exception):
    """The place that the handler writes to has seen a later holder of the event: this one comes too late."""


class Meddler(Protocol):
    """Whoever lets things go wrong in handlers."""

    async def step(self, step: str, when: str, consumer: str, event: str) -> None:
        """Take note that an event's handler comes to a step: before or after its start or its end."""
        ...

    async def work(self, consumer: str, event: str, call: int) -> None:
        """Let the handler's work go wrong."""
        ...


class Unreadable(Exception):
    """The message of an event could not be parsed."""


class World(Protocol):
    """What a consumer needs of the world around it."""

    loop: SimulatedLoop
    network: Network
    broker: Broker
    history: History
    streams: Streams
    scenario: Scenario
    scope: str
    engine: type[Engine]
    decode: Callable[[bytes], Any]
    meddler: Meddler | None
    """What every handler tells its steps to, if any fault is about them."""
    fences: dict[str, int]
    """The greatest fencing token that was shown for each event."""

    def name_of(self, identity: str) -> str:
        """Return the name of the event with this id."""
        ...

    def was_handled(self, name: str) -> bool:
        """Return whether the event has had an effect."""
        ...

    def leader_of(self, name: str) -> str:
        """Return the name of the event that this one follows, empty if none."""
        ...

    def handling_started(self, name: str) -> int:
        """Take note that a handler runs, and return how many have run for the event, with this one."""
        ...

    def handling_ended(self, name: str, ok: bool) -> None:
        """Take note that a handler ended."""
        ...

    def entrusted(self, name: str) -> None:
        """Take note that an engine is given an event, until it says that it is done with it."""
        ...

    def done_with(self, name: str) -> None:
        """Take note that the engine says it will not handle an event: it has, or it has given it up."""
        ...

    def work(self, consumer: str, name: str, duration: int) -> Awaitable[None]:
        """Return once a handler has worked on an event for this long, in microseconds."""
        ...

    def collapsed(self, error: BaseException) -> None:
        """End the run: an engine broke down."""
        ...


@dataclass(slots=True)
class _Open:
    """A handling that has begun and not ended."""

    number: int
    event: str


class Consumer:
    """One member of the consumer group."""

    def __init__(self, world: World, name: str) -> None:
        self.name = name
        self.process = Process(name)
        self.process.alive = False
        self._world = world
        self.kind, self._decode = world.engine, world.decode
        self._engine: Any = None
        self._stopping = self._again = False
        self._clients: list[redis.asyncio.Redis] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._graveyard: list[object] = []
        self._open: dict[int, _Open] = {}
        self._handlings = 0
        self._lives = 0

    @property
    def holding(self) -> list[str]:
        """The events that are being handled now."""
        return sorted(opened.event for opened in self._open.values())

    # -- lives -----------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Bring the consumer to life, as a new process."""
        if self.process.alive:
            self._again = self._stopping
            return
        world = self._world
        self._stopping = self._again = False
        self._lives += 1
        self.process = Process(self.name)
        world.history.append(world.loop.now, "joined", consumer=self.name)
        task = world.loop.spawn(self._live(), self.process, name=self.name)
        task.add_done_callback(self._ended)
        self._tasks = [task]

    def equip(self, engine: type[Engine]) -> None:
        """Give the consumer another engine, from its next start on."""
        self.kind, self._decode = engine, decoder(engine)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._world.collapsed(error.exceptions[0] if isinstance(error, BaseExceptionGroup) else error)

    def crash(self) -> None:
        """End the process at once. Nothing of it runs again; what it has sent may still arrive."""
        if not self.process.alive:
            return
        world = self._world
        world.loop.kill(self.process)
        world.network.sever(self.name)
        world.history.append(world.loop.now, "crashed", consumer=self.name, holding=self.holding)
        opened, self._open = self._open, {}
        for handling in opened.values():
            world.handling_ended(handling.event, False)
        # The dead must stay referenced: collecting a task would run its `finally` blocks.
        self._graveyard += [self._engine, *self._tasks, *self._clients]
        self._clients, self._tasks = [], []

    def stop(self) -> None:
        """Shut the consumer down in good order: cancel its tasks and close its connections."""
        if not self.process.alive:
            return
        self._stopping = True
        tasks, clients, self._tasks, self._clients = self._tasks, self._clients, [], []
        self._world.loop.spawn(self._shut_down(tasks, clients, self.process), self.process)

    async def _shut_down(
        self, tasks: list[asyncio.Task[None]], clients: list[redis.asyncio.Redis], process: Process
    ) -> None:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        close = getattr(self._engine, "close", None)
        if close is not None:
            await close()
        for client in clients:
            await client.aclose()
        self._world.history.append(self._world.loop.now, "stopped", consumer=self.name)
        self._world.loop.kill(process)
        if self._again:
            self._world.loop.in_world(0, self.start)

    def pause(self) -> None:
        """Freeze the process."""
        if self.process.alive and not self.process.paused:
            self._world.loop.pause(self.process)
            self._world.history.append(self._world.loop.now, "paused", consumer=self.name)

    def resume(self) -> None:
        """Let a frozen process go on."""
        if self.process.alive and self.process.paused:
            self._world.history.append(self._world.loop.now, "resumed", consumer=self.name)
            self._world.loop.resume(self.process)
            self._world.broker.wake()

    # -- work ------------------------------------------------------------------------------------------------

    async def _live(self) -> None:
        world = self._world
        settings = world.scenario.consumers
        tokens = world.streams[f"tokens/{self.name}/{self._lives}"]
        context = EngineContext(
            consumer=self.name,
            scope=world.scope,
            connect=self._connect,
            effect=self._effect,
            policy=world.scenario.policy,
            handler=settings.handler,
            token=lambda: tokens.bytes(8).hex(),
            given_up=self._give_up,
        )
        self._engine = self.kind(context)
        async with asyncio.TaskGroup() as group:
            for _ in range(settings.concurrency):
                group.create_task(self._work())
            group.create_task(self._sweep())

    def _give_up(self, event: Any) -> None:
        world = self._world
        name = world.name_of(str(event.id))
        world.history.append(world.loop.now, "dead-lettered", name, self.name, by="engine")
        world.done_with(name)

    def _connect(self, **options: Any) -> redis.asyncio.Redis:
        client = _client(**options) if options else redis.asyncio.Redis.from_pool(ConnectionPool(**_settings()))
        self._clients.append(client)
        return client

    async def _work(self) -> None:
        world = self._world
        while not self._stopping:  # a client may have swallowed the cancellation
            delivery = await world.broker.take(self.name, self.process)
            _cause.set(_Cause(delivery.name))
            await self._handle(delivery)

    async def _handle(self, delivery: Delivery) -> None:
        world = self._world
        history, broker = world.history, world.broker
        try:
            event = self._read(delivery)
            world.entrusted(delivery.name)
            outcome = await self._engine.handle(event) or "handled"
        except Exception as error:
            broker.reject(delivery, self.name, type(error).__name__)
            return
        except asyncio.CancelledError as error:
            self._uncancel(error)
            broker.reject(delivery, self.name, "CancelledError")
            return
        match outcome:
            case "parked":
                history.append(world.loop.now, "parked", delivery.name, self.name, delivery=delivery.number)
            case "seen" | "busy":
                because = "seen" if outcome == "seen" else "held"
                details = {"because": because, "delivery": delivery.number}
                history.append(world.loop.now, "refused", delivery.name, self.name, **details)
        if outcome == "seen":
            world.done_with(delivery.name)
        if outcome != "busy":
            broker.acknowledge(delivery, self.name)

    def _read(self, delivery: Delivery) -> Any:
        try:
            return self._decode(delivery.body)
        except ValueError as error:
            raise Unreadable(delivery.name) from error

    @staticmethod
    def _uncancel(error: asyncio.CancelledError) -> None:
        """Go on after a cancellation that was meant for a handler; raise any other again."""
        task = asyncio.current_task()
        if task is None or error.args != (HANDLER_CANCELLED,) or task.uncancel():
            raise error

    async def _sweep(self) -> None:
        world = self._world
        interval = world.scenario.consumers.sweep_interval / SECOND
        while not self._stopping:  # a client may have swallowed the cancellation
            await asyncio.sleep(interval)
            _cause.set(_Cause())
            cost = begin_sweep()
            try:
                found = await self._engine.sweep()
            except Exception as error:
                world.history.append(world.loop.now, "swept", consumer=self.name, because=type(error).__name__)
                continue
            except asyncio.CancelledError as error:
                self._uncancel(error)
                world.history.append(world.loop.now, "swept", consumer=self.name, because="CancelledError")
                continue
            if found:
                world.history.append(world.loop.now, "swept", consumer=self.name, found=found)
            else:
                world.network.idle.add(cost)

    # -- the handler -----------------------------------------------------------------------------------------

    async def _effect(self, event: Any, fence: int | None = None) -> None:
        world = self._world
        name = world.name_of(str(event.id))
        if world.meddler is not None:
            await world.meddler.step("start", "before", self.name, name)
        self._handlings += 1
        opened = _Open(self._handlings, name)
        handling = f"{self.name}/{opened.number}"
        self._open[opened.number] = opened
        details: dict[str, Any] = {"handling": handling, "via": self._via(name), "fingerprint": fingerprint(event)}
        if fence is not None:
            details["fence"] = fence
        world.history.append(world.loop.now, "started", name, self.name, **details)
        call = world.handling_started(name)
        luck = world.streams.fresh(f"handler/{name}/{call}")
        outcome, written = "failed", {}
        if fence is not None:
            world.fences[name] = max(fence, world.fences.get(name, fence))  # a handler shows its token when it begins
        try:
            if world.meddler is not None:
                await world.meddler.step("start", "after", self.name, name)
            await world.work(self.name, name, world.scenario.consumers.handler_time.draw(luck))
            if world.meddler is not None:
                await world.meddler.work(self.name, name, call)
                await world.meddler.step("end", "before", self.name, name)
            if luck.random() < world.scenario.consumers.handler_failure:
                raise HandlerFailed(name)
            if fence is not None:
                written = {"write": "refused" if fence < world.fences[name] else "accepted"}
                if written["write"] == "refused":
                    raise WriteRefused(name)
            outcome = "ok"
        finally:
            # A crashed consumer never gets here: what is left of its tasks is ended after the history is closed.
            if self._open.pop(opened.number, None) is not None:
                details = {"handling": handling, "outcome": outcome, **written}
                world.history.append(world.loop.now, "ended", name, self.name, **details)
                world.handling_ended(name, outcome == "ok")
                if outcome == "ok" and (cause := _cause.get(None)):
                    cause.handled.add(name)
        if world.meddler is not None:
            await world.meddler.step("end", "after", self.name, name)

    def _via(self, name: str) -> str:
        """Return how an event came to its handler. Only an event whose leader took effect is released by it."""
        cause, leader = _cause.get(None) or _Cause(name), self._world.leader_of(name)
        if cause.delivered:
            released = cause.delivered != name and self._world.was_handled(leader)
            return "released" if released else "delivered"
        return "released" if leader in cause.handled else "rescued"


# RESP2, and no word about the driver, by its name of today or that of older clients: a connection takes no greeting.
_NEW = "driver_info" in signature(redis.asyncio.Redis).parameters
_UNGREETED = {"protocol": 2, **({"driver_info": None} if _NEW else {"lib_name": None, "lib_version": None})}


def _client(**options: Any) -> redis.asyncio.Redis:
    """Return a client with an engine's own options, which may ask for a greeting."""
    return redis.asyncio.Redis(host="redis", port=6379, **{**_UNGREETED, **options})


@cache
def _settings() -> Mapping[str, Any]:
    """Return what a client without options works out for its connections, which takes it longer than all else."""
    return _client().connection_pool.connection_kwargs


def fingerprint(event: Any) -> str:
    """Return a short digest of everything that an event says."""
    dump = getattr(event, "model_dump_json", None)
    return digest(dump().encode() if dump else repr(event).encode())


def digest(data: bytes) -> str:
    """Return a short digest of bytes."""
    return blake2b(data, digest_size=8).hexdigest()
