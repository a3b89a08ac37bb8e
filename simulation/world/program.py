"""A consumer that is a program of its own: `main` runs as one process, and ends as a process does.

1. `main` returns, or calls `sys.exit()`: the process has stopped. An exception that leaves `main`, or `sys.exit(1)`:
   it has crashed.
2. Either way it is started again after a delay, if the scenario's restart policy says so. The delay doubles each time
   until the program has handled something, up to five minutes.
3. A stop in good order is a SIGTERM: the handler that the program has set for it is called, and it may take as long as
   the grace period to return from `main`; after that it is killed. A program without a handler dies at once.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from ordering import ReceivedEvent
from simulation.engines import Engine, UnknownEngine, resolve
from simulation.engines.program import ProgramEngine, arguments
from simulation.kernel.environment import SECOND
from simulation.scenario.faults import Upgrade
from simulation.scenario.model import Scenario
from simulation.scenario.workload import UNREADABLE
from simulation.world.broker import Delivery
from simulation.world.consumer import Consumer
from simulation.world.ports import World

_GRACE = 30 * SECOND
"""Microseconds between SIGTERM and SIGKILL: the default grace period of Kubernetes."""
_LONGEST_DELAY = 300 * SECOND
_MAX_FAILURES_WAITED_FOR = 3
"""Once no fault strikes any more, a run does not wait for a process that has ended so often without handling anything.

If it did, a process that ends again and again would keep the run from its end, and so from a verdict.
"""
_MAX_SHOWN = 200
"""Characters of a message in a sentence."""


class Producer(Consumer):
    """Puts each event that it is given into the queue of a program, also one whose message is damaged."""

    def _read(self, delivery: Delivery) -> bytes:
        return delivery.body


class ProgramConsumer(Consumer):
    """One process of a program that reads a queue."""

    def __init__(self, world: World, name: str) -> None:
        super().__init__(world, name)
        self._failures_in_a_row = 0
        """Number of ends in a row without a handled event."""
        self._handled = False
        self._failures_when_healed = 0

    async def _live(self) -> None:
        kind: Any = self.kind
        context = replace(self._context(effect=self._effect), given_up=self._given_up)
        self._engine = context
        await kind.main(**arguments(kind.main, context))

    async def _effect(self, event: Any, fence: int | None = None) -> None:
        parsed = self._event(event)
        self._handled = True
        await self._handler(parsed, fence)

    def _given_up(self, message: Any) -> None:
        """Take note that the program has put a message into a dead-letter queue of its own.

        Damaged messages are all alike, so it is the oldest of them that has not been given up.
        """
        damaged = self._world.ledger.damaged
        if damaged and _is_damaged(message):
            self._dead_letter(damaged.pop(0), because="unreadable")
        else:
            self._give_up(self._event(message))

    def _event(self, message: Any) -> Any:
        """Return the event of a message: as it was published, parsed as JSON, or parsed as an event.

        Ends the run if it is none: a verdict would be about how the program was connected.
        """
        if isinstance(message, Mapping):
            message = self._of_fields({_text(key): value for key, value in message.items()})
        if isinstance(message, str):
            message = message.encode()
        if isinstance(message, bytes | bytearray):
            return self._of_bytes(bytes(message))
        if not hasattr(message, "id"):
            self._world.loop.escape(f"effect was given {_shown(message)}, which is not a message of an event")
        return message

    def _of_bytes(self, message: bytes) -> Any:
        try:
            return self._decode(message)
        except ValueError:
            what = f"effect was given {_shown(message)}, which is not a message of an event"
            if self._world.scenario.faults:  # one of them may have made it so, and that is for the program to bear
                raise ValueError(what) from None
        self._world.loop.escape(what)

    def _of_fields(self, fields: Mapping[str, Any]) -> Any:
        """Return the event of a stream's entry or of a JSON object: the fields are it, or one of them holds it."""
        producer = self._world.scenario.producer
        chosen = fields.get(producer.field) if producer else None
        if chosen is not None:
            return chosen
        try:
            return ReceivedEvent.model_validate(fields)
        except ValidationError as error:
            found = [value for value in fields.values() if self._is_event(value)]
            if len(found) == 1:
                return found[0]
            why = f"none of whose fields holds an event ({error.error_count()} errors if they are taken for one)"
            what = f"effect was given {_shown(fields)}, {why}"
            if self._world.scenario.faults:  # one of them may have made it so, and that is for the program to bear
                raise ValueError(what) from None
            self._world.loop.escape(what)

    def _is_event(self, value: Any) -> bool:
        try:
            self._decode(value.encode() if isinstance(value, str) else bytes(value))
        except (ValueError, TypeError, AttributeError):
            return False
        return True

    def _ended(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        self.exited(error)

    def exited(self, error: BaseException | None) -> None:
        """The program has ended by itself: start it again, if that is the policy."""
        if not self.process.alive:
            return
        code = error.code if isinstance(error, SystemExit) else error
        failed = bool(code)
        if failed and isinstance(error, Exception):
            self._world.errors.add(error, self.name)
        if failed:
            self.crash()
        else:
            self._stopped()
        if self._again:
            self._world.loop.in_world(0, self.start)
        elif not self._stopping:
            self._restart(failed)

    def _restart(self, failed: bool) -> None:
        settings = self._world.scenario.consumers
        if settings.restart == "never" or (settings.restart == "on-failure" and not failed):
            return
        self._failures_in_a_row = 0 if self._handled else self._failures_in_a_row + 1
        self._handled = False
        delay = min(settings.restart_delay << min(self._failures_in_a_row, 20), _LONGEST_DELAY)
        self._failures_when_healed = (
            self._failures_when_healed + 1 if self._world.healed and self._failures_in_a_row else 0
        )
        self._world.restart(self, delay, wait=self._failures_when_healed <= _MAX_FAILURES_WAITED_FOR)

    def _stopped(self) -> None:
        """Take note that the process has ended in good order, with all of its connections and tasks."""
        world = self._world
        world.loop.kill(self.process)
        world.network.sever(self.name)
        self._let_go()
        world.history.append(world.loop.now, "stopped", consumer=self.name)

    def stop(self) -> None:
        """Send the process a SIGTERM."""
        if not self.process.alive:
            return
        self._stopping = True
        handler = self.process.signals.get(signal.SIGTERM)
        if handler is None:
            self.crash()
            return
        process, loop = self.process, self._world.loop
        loop.spawn(_call(handler), process)
        loop.in_world(_GRACE, self._kill, process)

    def _kill(self, process: object) -> None:
        if self.process is process:
            self.crash()


async def _call(handler: Any) -> None:
    handler()


def _is_damaged(message: Any) -> bool:
    """Return whether a message, or one of its fields, is what the fault `unreadable` makes of a message."""
    parts = message.values() if isinstance(message, Mapping) else [message]
    return UNREADABLE in [part.encode() if isinstance(part, str) else part for part in parts]


def _shown(message: object) -> str:
    """Return the beginning of a message, as Python writes it."""
    text = repr(message)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"


def _text(key: Any) -> str:
    return key.decode("utf-8", "backslashreplace") if isinstance(key, bytes) else str(key)


def is_program(kind: type[Engine], name: str, scenario: Scenario) -> bool:
    """Return whether an engine is a function: then a producer of the world puts the events where it reads them.

    Raises UnknownEngine if neither the scenario nor the program says where, or if the scenario has consumers of both
    kinds.
    """
    found = _is_function(kind)
    settings = scenario.consumers
    others = [settings.engine_of(consumer, name) for consumer in settings.engines]
    others += [fault.engine for fault in scenario.faults if isinstance(fault, Upgrade)]
    for other in others:
        if _is_function(resolve(other)) != found:
            raise UnknownEngine(
                f"engine {other!r} cannot be beside {name!r}: one of the two is a function, which reads a queue, and"
                " the other is a class, which is given events"
            )
    if found and kind.publish is None and scenario.producer is None:  # type: ignore[attr-defined]
        module = name.partition(":")[0]
        raise UnknownEngine(
            f"engine {name!r} reads a queue that the scenario does not name: add a table [producer] to it"
            f' (to = "stream" or "list", key = "…"), or an `async def publish(client, body)` to {module}'
        )
    return found


def _is_function(kind: type[Engine]) -> bool:
    return isinstance(kind, type) and issubclass(kind, ProgramEngine)
