"""The broker: at-least-once delivery to a group of consumers that share the work.

An event that is published becomes visible after a delay, is offered to one consumer, and stays pending until it is
acknowledged. A delivery that is pending for too long, be it because its consumer died, failed or is slow, is offered
again. An event whose handling failed too often is dead-lettered. What the broker does to one event is drawn from
that event's own stream, so that no event's luck depends on another's.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import partial
from typing import Protocol

from simulation.faults import Delay, DeliveryFault, Drop, Duplicate
from simulation.history import History
from simulation.loop import Process, SimulatedLoop
from simulation.scenario import Broker as Settings
from simulation.steps import BRIEF, Steps
from simulation.streams import Stream, Streams
from simulation.workload import Publication


class Watcher(Protocol):
    """Whoever must know how far the broker has come."""

    def progress(self) -> None:
        """Take note that something came to rest."""
        ...

    def given_up(self, name: str) -> None:
        """Take note that an event will not be handled, and that somebody said so."""
        ...

    def fault_struck(self, fault: DeliveryFault, event: str) -> None:
        """Take note that a fault struck an event."""
        ...


@dataclass(slots=True)
class Message:
    """One copy of an event in the queue."""

    publication: Publication
    attempts: int = 0
    failures: int = 0
    settled: bool = False
    """Whether it was acknowledged or dead-lettered."""
    timer: asyncio.TimerHandle | None = None


@dataclass(frozen=True, slots=True)
class Delivery:
    """One attempt to hand an event to a consumer."""

    number: int
    message: Message = field(repr=False)
    attempt: int

    @property
    def name(self) -> str:
        """The event's name."""
        return self.message.publication.name

    @property
    def body(self) -> bytes:
        """The message as it was published."""
        return self.message.publication.body


class Broker:
    """The queue of a world."""

    def __init__(
        self,
        *,
        loop: SimulatedLoop,
        settings: Settings,
        faults: Iterable[DeliveryFault],
        streams: Streams,
        history: History,
        watcher: Watcher,
        steps: Steps | None = None,
    ) -> None:
        self.pending = 0
        """Copies that are not settled, visible or not."""
        self._loop = loop
        self._in_world = loop.in_world
        self._settings = settings
        self._faults = [(fault, [0]) for fault in faults]
        self._streams = streams
        self._history = history
        self._watcher = watcher
        self._steps = steps
        self._ready: deque[Message] = deque()
        self._waiting: deque[tuple[asyncio.Future[Delivery], str, Process]] = deque()
        self._deliveries = 0

    # -- the producer's side ---------------------------------------------------------------------------------

    def publish(self, publication: Publication, fingerprint: str) -> None:
        """Take an event, and decide what becomes of it."""
        name, settings = publication.name, self._settings
        self._history.append(
            self._loop.now,
            "published",
            name,
            follows=publication.follows,
            occurred=publication.occurred,
            fingerprint=fingerprint,
            id=str(publication.id),
        )
        luck = self._streams.fresh(f"broker/{name}")
        lost = luck.random() < settings.drop
        twice = luck.random() < settings.duplicate
        held = luck.random() < settings.reorder
        delay = settings.delay.draw(luck)
        later = settings.duplicate_delay.draw(luck)
        if held:
            delay += settings.reorder_delay.draw(luck)
        copies = [delay, delay + later] if twice else [delay]
        copies, lost = self._strike(name, copies, lost)
        if lost:
            self._history.append(self._loop.now, "dropped", name)
            self._watcher.given_up(name)
            return
        for extra, moment in enumerate(copies):
            if extra:
                self._history.append(self._loop.now, "duplicated", name)
            self.pending += 1
            message = Message(publication)
            if self._steps is not None and moment < BRIEF:
                self._steps.add(f"{name}#", "delivery", name, f"{name} is delivered", run=partial(self._offer, message))
            else:
                self._in_world(moment, self._offer, message)

    def _strike(self, name: str, copies: list[int], lost: bool) -> tuple[list[int], bool]:
        for index, (fault, matched) in enumerate(self._faults):
            if not fnmatchcase(name, fault.event):
                continue
            matched[0] += 1
            luck = self._streams.fresh(f"fault/{index}/{name}")
            if not strikes(fault.nth, fault.probability, matched[0], luck):
                continue
            self._watcher.fault_struck(fault, name)
            match fault:
                case Drop():
                    lost = True
                case Delay(by=by):
                    copies = [moment + by for moment in copies]
                case Duplicate(after=after):
                    copies = [*copies, copies[0] + after]
        return copies, lost

    # -- the consumers' side ---------------------------------------------------------------------------------

    def take(self, consumer: str, process: Process) -> asyncio.Future[Delivery]:
        """Return a future of the next delivery for a consumer."""
        future: asyncio.Future[Delivery] = self._loop.create_future()
        if self._steps is not None:
            self._steps.touch("broker")
        self._waiting.append((future, consumer, process))
        self._hand_out()
        return future

    def acknowledge(self, delivery: Delivery, consumer: str) -> None:
        """The consumer is done with the delivery."""
        self._history.append(self._loop.now, "acknowledged", delivery.name, consumer, delivery=delivery.number)
        self._settle(delivery.message)

    def reject(self, delivery: Delivery, consumer: str, because: str) -> None:
        """The consumer failed: offer the event again once it was idle for long enough, or give it up."""
        self._history.append(
            self._loop.now, "rejected", delivery.name, consumer, delivery=delivery.number, because=because
        )
        message = delivery.message
        message.failures += 1
        if message.failures >= self._settings.max_failures and not message.settled:
            self._history.append(self._loop.now, "dead-lettered", delivery.name, by="broker")
            self._watcher.given_up(delivery.name)
            self._settle(message)

    def _settle(self, message: Message) -> None:
        if self._steps is not None:
            self._steps.touch("broker")
        if message.settled:
            return
        message.settled = True
        self.pending -= 1
        if message.timer is not None:
            message.timer.cancel()
        self._watcher.progress()

    def wake(self) -> None:
        """Look again for a consumer that can take what is ready: one resumed."""
        self._hand_out()

    def _offer(self, message: Message) -> None:
        if message.settled:
            return
        self._ready.append(message)
        self._hand_out()

    def _hand_out(self) -> None:
        skipped: list[tuple[asyncio.Future[Delivery], str, Process]] = []
        while self._ready and self._waiting:
            future, consumer, process = self._waiting.popleft()
            if not process.alive or future.done():
                continue
            if process.paused:
                skipped.append((future, consumer, process))
                continue
            message = self._ready.popleft()
            if message.settled:
                self._waiting.appendleft((future, consumer, process))
                continue
            future.set_result(self._deliver(message, consumer))
        self._waiting.extendleft(reversed(skipped))

    def _deliver(self, message: Message, consumer: str) -> Delivery:
        self._deliveries += 1
        message.attempts += 1
        if self._steps is not None:
            self._steps.touch("broker")
            self._steps.touch(f"consumer {consumer}")
        delivery = Delivery(self._deliveries, message, message.attempts)
        self._history.append(
            self._loop.now,
            "delivered",
            message.publication.name,
            consumer,
            attempt=delivery.attempt,
            delivery=delivery.number,
        )
        message.timer = self._in_world(self._settings.redeliver_after, self._offer, message)
        return delivery


def strikes(nth: int | None, probability: float, count: int, luck: Stream) -> bool:
    """Return whether a fault strikes the `count`-th thing that it matches."""
    if nth is not None and count != nth:
        return False
    return probability >= 1.0 or luck.random() < probability
