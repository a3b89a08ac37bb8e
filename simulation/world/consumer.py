"""A virtual consumer: workers that take deliveries, a sweeper, and the handler whose work is the effect.

A consumer outlives its incarnations. Each start makes a new process, a new engine and new connections; a crash ends
the process without a word. A consumer writes into the history only while its process is alive, since a dead one
has no say.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

import redis.asyncio

from simulation.engines import Effect, Engine, EngineContext, Interrupted, decoder
from simulation.history.index import REFUSALS
from simulation.kernel.environment import SECOND
from simulation.kernel.process import Process
from simulation.world.broker import Delivery
from simulation.world.handler import Cause, Handler, HandlerCancelled, HandlerFailed, WriteRefused, cause
from simulation.world.open_calls import OpenCalls
from simulation.world.ports import World
from simulation.world.redis_client import connect
from simulation.world.sweep_cost import begin_sweep


class Unreadable(Exception):
    """The message of an event could not be parsed."""


class Consumer:
    """One member of the consumer group."""

    def __init__(self, world: World, name: str) -> None:
        self.name = name
        self.process = Process(name)
        self.process.alive = False
        self._world = world
        self.kind, self._decode = world.engine, world.fingerprints.decode
        self._engine: Any = None
        self._handler = Handler(world, name)
        self._stopping = self._again = False
        self._clients: list[redis.asyncio.Redis] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._crashed_refs: list[object] = []
        self._lives = 0
        self.open_calls = OpenCalls(name, lambda: world.loop.now)
        """The calls of the engine that have not returned."""

    @property
    def holding(self) -> list[str]:
        """The events that are being handled now."""
        return self._handler.holding

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

    def use_engine(self, engine: type[Engine]) -> None:
        """Give the consumer another engine, from its next start on."""
        self.kind, self._decode = engine, decoder(engine)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._world.collapsed(error.exceptions[0] if isinstance(error, BaseExceptionGroup) else error)

    def exited(self, error: BaseException | None) -> None:
        """The engine has ended its process, by `sys.exit()`: that is a crash, and the process is started again."""
        if self.process.alive:
            self.crash()
            self._world.restart(self, self._world.scenario.consumers.restart_delay)

    def crash(self) -> None:
        """End the process at once. Nothing of it runs again; packets that it has sent may still arrive."""
        if not self.process.alive:
            return
        world = self._world
        world.loop.kill(self.process)
        world.network.sever(self.name)
        world.history.append(world.loop.now, "crashed", consumer=self.name, holding=self.holding)
        self._let_go()

    def _let_go(self) -> None:
        self._handler.crash()
        self.open_calls.forget()
        # The dead must stay referenced: collecting a task would run its `finally` blocks.
        self._crashed_refs += [self._engine, *self._tasks, *self._clients]
        self._clients, self._tasks = [], []

    def stop(self) -> None:
        """Shut the consumer down in good order: cancel its tasks and close its connections.

        A process that is shutting down already goes on with that, and is not started again afterwards.
        """
        if not self.process.alive:
            return
        if self._stopping:
            self._again = False
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
            await self.open_calls.during(close(), "close")
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

    def _context(self, effect: Effect) -> EngineContext:
        world = self._world
        tokens = world.streams[f"tokens/{self.name}/{self._lives}"]
        return EngineContext(
            consumer=self.name,
            scope=world.scope,
            connect=self._connect,
            effect=effect,
            policy=world.scenario.policy,
            handler=world.scenario.consumers.handler,
            token=lambda: tokens.bytes(8).hex(),
            given_up=self._give_up,
            producer=world.scenario.producer,
            can_read=None if world.can_read is None else self._can_read,
        )

    async def _live(self) -> None:
        self._engine = self.kind(self._context(self._handler))
        start = getattr(self._engine, "start", None)
        if start is not None:
            await self.open_calls.during(start(), "start")
        async with asyncio.TaskGroup() as group:
            for _ in range(self._world.scenario.consumers.concurrency):
                group.create_task(self._work())
            group.create_task(self._sweep())

    def _give_up(self, event: Any) -> None:
        reason = getattr(event, "reason", "")
        because = {"because": reason} if reason in REFUSALS else {}
        self._dead_letter(self._world.ledger.name_of(str(event.id)), **because)

    def _dead_letter(self, name: str, **because: str) -> None:
        world = self._world
        world.history.append(world.loop.now, "dead-lettered", name, self.name, by="engine", **because)
        world.ledger.engine_finished(name)

    def _connect(self, **options: Any) -> redis.asyncio.Redis:
        client: redis.asyncio.Redis = connect(self._world.scenario, **options)
        self._clients.append(client)
        return client

    async def _work(self) -> None:
        world = self._world
        while not self._stopping:  # a client may have swallowed the cancellation
            delivery = await world.broker.take(self.name, self.process)
            cause.set(Cause(delivery.name))
            await self._handle(delivery)

    async def _handle(self, delivery: Delivery) -> None:
        world = self._world
        history, broker = world.history, world.broker
        try:
            event = self._read(delivery)
            world.ledger.handed_over(delivery.name)
            outcome = await self.open_calls.during(self._engine.handle(event), "handle", delivery.name) or "handled"
        except Exception as error:
            if not isinstance(error, HandlerFailed | WriteRefused | Interrupted):  # those are the scenario's own
                world.errors.add(error, self.name, "handle", delivery.name)
            counts = not isinstance(error, Interrupted)
            reported = counts and broker.may_be_reported(delivery) and await self._report_given_up(delivery)
            broker.reject(delivery, self.name, type(error).__name__, counts=counts, reported=reported)
            return
        except asyncio.CancelledError as error:
            # The delivered event may have been handled: a cancelled handler of a follower is no failure of its leader.
            counts = self._uncancel(error) == delivery.name
            broker.reject(delivery, self.name, "CancelledError", counts=counts)
            return
        match outcome:
            case "parked":
                history.append(world.loop.now, "parked", delivery.name, self.name, delivery=delivery.number)
                if world.ledger.was_handled(delivery.name) and any(history.of("store-lost")):
                    world.ledger.parked_again(delivery.name)
            case "seen" | "busy":
                because = "seen" if outcome == "seen" else "held"
                details = {"because": because, "delivery": delivery.number}
                history.append(world.loop.now, "refused", delivery.name, self.name, **details)
        if outcome == "seen":
            world.ledger.engine_finished(delivery.name)
        if outcome != "busy":
            broker.acknowledge(delivery, self.name)

    async def _report_given_up(self, delivery: Delivery) -> bool:
        """Tell the engine that the queue gives an event up; return whether it has taken note of that."""
        give_up = getattr(self._engine, "give_up", None)
        if give_up is None:
            return False
        try:
            return bool(await give_up(self._read(delivery)))
        except Exception as error:
            if not isinstance(error, Unreadable):
                self._world.errors.add(error, self.name, "give_up", delivery.name)
            return False

    def _read(self, delivery: Delivery) -> Any:
        try:
            event = self._decode(delivery.body)
        except ValueError as error:
            raise Unreadable(delivery.name) from error
        if not self._can_read(event):
            raise Unreadable(delivery.name)
        misreads = self._world.misreads
        return json.loads(delivery.body) if misreads is not None and misreads(self.name, delivery.name) else event

    def _can_read(self, event: Any) -> bool:
        can_read = self._world.can_read
        return can_read is None or can_read(self.name, self._world.ledger.name_of(str(event.id)))

    @staticmethod
    def _uncancel(error: asyncio.CancelledError) -> str:
        """Go on after a cancellation that was meant for a handler, and return its event; raise any other again."""
        task = asyncio.current_task()
        match error.args:
            case (HandlerCancelled(event=event),) if task is not None and not task.uncancel():
                return event
        raise error

    async def _sweep(self) -> None:
        world = self._world
        interval = world.scenario.consumers.sweep_interval / SECOND
        while not self._stopping:  # a client may have swallowed the cancellation
            await asyncio.sleep(interval)
            cause.set(Cause())
            cost = begin_sweep()
            try:
                found = await self.open_calls.during(self._engine.sweep(), "sweep")
            except Exception as error:
                world.errors.add(error, self.name, "sweep")
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
