"""The broker: at-least-once delivery to a group of consumers that share the work.

1. An event that is published becomes visible after a delay, is offered to one consumer, and stays pending until it is
   acknowledged.
2. A delivery that is pending for too long, because its consumer died, failed or is slow, is offered again.
3. An event whose handling failed too often is dead-lettered.

The broker draws all about one event from that event's own stream, so that no draw depends on other events.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

from simulation.history.history import History
from simulation.kernel.event_loop import SimulatedLoop
from simulation.kernel.process import Process
from simulation.kernel.random_streams import Streams
from simulation.scenario.model import Broker as Settings
from simulation.scenario.workload import Publication
from simulation.world.scheduling import BRIEF, Steps


class Watcher(Protocol):
    """Receives progress notifications from the broker."""

    def progress(self) -> None:
        """Take note that something came to rest."""
        ...

    def given_up(self, name: str) -> None:
        """Take note that a copy of an event will not be delivered."""
        ...

    def fingerprint(self, publication: Publication) -> str:
        """Return a short digest of the event's content."""
        ...


class DeliveryHook(Protocol):
    """Injects the faults of the queue."""

    @property
    def stalls(self) -> bool:
        """Whether nothing is handed out now."""
        ...

    def visible(self, publication: Publication, copies: list[int], lost: bool) -> tuple[list[int], bool]:
        """Decide when the copies of an event become visible, in microseconds from now, and whether it is lost."""
        ...

    def holds(self, message: Message) -> bool:
        """Return whether an event that becomes visible is kept back."""
        ...

    def overtaken(self) -> list[Message]:
        """Return those that were kept back for long enough."""
        ...

    def delivered(self, message: Message) -> None:
        """Take note that an event was delivered."""
        ...

    def acknowledged(self, event: str) -> None:
        """Take note that a consumer is done with a delivery."""
        ...

    def rejected(self, message: Message) -> bool:
        """Return whether a rejected event is offered again at once."""
        ...


@dataclass(slots=True, eq=False)
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
        streams: Streams,
        history: History,
        watcher: Watcher,
        steps: Steps | None = None,
        strict: bool = False,
    ) -> None:
        self.pending = 0
        """Copies that are not settled, visible or not."""
        self._loop = loop
        self._in_world = loop.in_world
        self._settings = settings
        self.hook: DeliveryHook | None = None
        self._streams = streams
        self._history = history
        self._watcher = watcher
        self._steps, self._strict = steps, strict
        self._ready: deque[Message] = deque()
        self._waiting: deque[tuple[asyncio.Future[Delivery], str, Process]] = deque()
        self._unsettled: dict[Message, None] = {}
        self._deliveries = 0

    # -- the producer's side ---------------------------------------------------------------------------------

    def publish(self, publication: Publication, fingerprint: str) -> None:
        """Publish an event; draw its drops, duplicates and delays."""
        name, settings = publication.name, self._settings
        self._note_published(publication, fingerprint)
        stream = self._streams.fresh(f"broker/{name}")
        lost = stream.random() < settings.drop
        twice = stream.random() < settings.duplicate
        held = stream.random() < settings.reorder
        delay = settings.delay.draw(stream)
        later = settings.duplicate_delay.draw(stream)
        if held:
            delay += settings.reorder_delay.draw(stream)
        copies = [delay, delay + later] if twice else [delay]
        if self.hook is not None:
            copies, lost = self.hook.visible(publication, copies, lost)
        if lost:
            self._history.append(self._loop.now, "dropped", name)
            self._watcher.given_up(name)
            return
        for extra, moment in enumerate(copies):
            if extra:
                self._history.append(self._loop.now, "duplicated", name)
            message = self._expected(publication)
            if self._steps is not None and moment < BRIEF:
                self._steps.add(f"{name}#", "delivery", name, f"{name} is delivered", run=partial(self._offer, message))
            else:
                self._in_world(moment, self._offer, message)

    def _note_published(self, publication: Publication, fingerprint: str) -> None:
        self._history.append(
            self._loop.now,
            "published",
            publication.name,
            follows=publication.follows,
            occurred=publication.occurred,
            fingerprint=fingerprint,
            id=str(publication.id),
        )

    def _expected(self, publication: Publication) -> Message:
        message = Message(publication)
        self._unsettled[message] = None
        self.pending += 1
        return message

    # -- what faults do ----------------------------------------------------------------------------------------

    def expect(self) -> None:
        """Count one more copy as pending, which comes by `duplicate` later."""
        self.pending += 1

    def expect_no_more(self) -> None:
        """Take back one `expect`: that copy does not come."""
        self.pending -= 1
        self._watcher.progress()

    def duplicate(self, publication: Publication, *, republished: bool = False) -> None:
        """Offer the expected copy of an event now; if `republished`, as a new publication with another payload."""
        self.pending -= 1
        if republished:
            self._note_published(publication, self._watcher.fingerprint(publication))
        self._history.append(self._loop.now, "duplicated", publication.name)
        self.offer(self._expected(publication))

    def later(self, delay: int, callback: Callable[..., object], *args: Any) -> None:
        """Call back in `delay` microseconds."""
        self._in_world(delay, callback, *args)

    def unsettled(self) -> list[Message]:
        """Return the copies that are not settled, oldest first."""
        return list(self._unsettled)

    def trim(self, message: Message) -> None:
        """Forget a copy in any state."""
        name = message.publication.name
        self._history.append(self._loop.now, "dropped", name, fault="trim")
        self._watcher.given_up(name)
        self._settle(message)

    def offer(self, message: Message) -> None:
        """Put an event at the end of the queue, if it is not settled."""
        self._offer(message)

    # -- the consumers' side ---------------------------------------------------------------------------------

    def take(self, consumer: str, process: Process) -> asyncio.Future[Delivery]:
        """Return a future of the next delivery for a consumer."""
        future: asyncio.Future[Delivery] = self._loop.create_future()
        self._touch("the end of the line")
        self._waiting.append((future, consumer, process))
        self._hand_out()
        return future

    def gone(self, consumer: str) -> None:
        """Take note that a consumer has died: it may have stood in line."""
        if any(name == consumer and not future.done() for future, name, _ in self._waiting):
            self._touch("the head of the line", "the end of the line")

    def _touch(self, *names: str) -> None:
        """Record which part of the queue the current step is about, if every order of steps is tried.

        While a consumer is waiting for an event, it makes no difference whether another one queues up before or after
        it is served. Faults count events: with them, no steps commute.
        """
        if self._steps is not None:
            for name in (*names, "broker") if self._strict else names:
                self._steps.touch(name)

    def acknowledge(self, delivery: Delivery, consumer: str) -> None:
        """The consumer is done with the delivery."""
        self._history.append(self._loop.now, "acknowledged", delivery.name, consumer, delivery=delivery.number)
        if self.hook is not None:
            self.hook.acknowledged(delivery.name)
        self._settle(delivery.message)

    def may_be_reported(self, delivery: Delivery) -> bool:
        """Return whether one more failure of an event is its last, to be reported to its engine."""
        message, settings = delivery.message, self._settings
        return settings.reports_dead_letters and not message.settled and message.failures + 1 >= settings.max_failures

    def reject(
        self, delivery: Delivery, consumer: str, because: str, *, counts: bool = True, reported: bool = False
    ) -> None:
        """The consumer failed: offer the event again once it was idle for long enough, or give it up.

        A rejection that does not count is none of the event's failures, whose number decides when it is given up.
        `reported`: it was reported to the engine that the event is given up.
        """
        self._history.append(
            self._loop.now, "rejected", delivery.name, consumer, delivery=delivery.number, because=because
        )
        message = delivery.message
        self._touch(f"copies of {delivery.name}")
        message.failures += counts
        last = counts and message.failures >= self._settings.max_failures
        if last and (reported or not message.settled):  # what was reported is given up for good
            details: dict[str, Any] = {"by": "broker", "told": True} if reported else {"by": "broker"}
            self._history.append(self._loop.now, "dead-lettered", delivery.name, **details)
            self._watcher.given_up(delivery.name)
            self._settle(message)
        elif self.hook is not None and not message.settled and self.hook.rejected(message):
            if message.timer is not None:
                message.timer.cancel()
            self._offer(message)

    def _settle(self, message: Message) -> None:
        self._touch(f"copies of {message.publication.name}")
        if message.settled:
            return
        message.settled = True
        del self._unsettled[message]
        self.pending -= 1
        if message.timer is not None:
            message.timer.cancel()
        self._watcher.progress()

    def wake(self) -> None:
        """Look again for a consumer that can take the ready deliveries: one resumed, or a fault is over."""
        self._let_go()
        self._hand_out()

    def _offer(self, message: Message) -> None:
        self._touch(f"copies of {message.publication.name}")
        if message.settled:
            return
        if self.hook is not None and self.hook.holds(message):
            self._let_go()
            return
        self._ready.append(message)
        self._let_go()
        self._hand_out()
        if self._ready:
            self._touch("the head of the line", "the end of the line")  # the next consumer is served at once

    def _let_go(self) -> None:
        if self.hook is not None:
            self._ready.extend(self.hook.overtaken())

    def _hand_out(self) -> None:
        if self.hook is not None and self.hook.stalls:
            return
        skipped: list[tuple[asyncio.Future[Delivery], str, Process]] = []
        while self._ready and self._waiting:
            future, consumer, process = self._waiting.popleft()
            if not process.alive or future.done():
                continue
            if process.paused or process.blocked:
                skipped.append((future, consumer, process))
                continue
            message = self._ready.popleft()
            self._touch("the head of the line", f"copies of {message.publication.name}")
            if message.settled:
                self._waiting.appendleft((future, consumer, process))
                continue
            future.set_result(self._deliver(message, consumer))
        self._waiting.extendleft(reversed(skipped))

    def _deliver(self, message: Message, consumer: str) -> Delivery:
        self._deliveries += 1
        message.attempts += 1
        self._touch(f"consumer {consumer}")
        delivery = Delivery(self._deliveries, message, message.attempts)
        self._history.append(
            self._loop.now,
            "delivered",
            message.publication.name,
            consumer,
            attempt=delivery.attempt,
            delivery=delivery.number,
        )
        if message.timer is not None:
            message.timer.cancel()  # a message that was offered twice has one idle time, that of its last delivery
        message.timer = self._in_world(self._settings.redelivery_delay(message.attempts), self._offer, message)
        if self.hook is not None:
            self.hook.delivered(message)
        return delivery
