"""The handler of a consumer, whose work is the effect.

It writes into the history only while its process is alive, since a dead one has no say.
"""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from simulation.world.ports import World


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a handler runs: an event was delivered, or a sweep goes on."""

    delivered: str = ""
    """The event that was delivered; empty in a sweep."""
    handled: set[str] = field(default_factory=set)
    """The events that took effect in the sweep: their followers are released by them, the others are rescued."""


cause: ContextVar[Cause] = ContextVar("cause")


@dataclass(frozen=True, slots=True)
class HandlerCancelled:
    """The message of a cancellation of a handler, and not of its consumer."""

    event: str
    """The event whose handler it was."""


class HandlerFailed(Exception):
    """The handler of an event raised, as the scenario asked."""


class WriteRefused(Exception):
    """The place that the handler writes to has seen a later holder of the event: this one comes too late."""


@dataclass(slots=True)
class _Handling:
    """A handling that has begun and not ended."""

    number: int
    event: str
    outcome: str = "failed"
    write: str = ""
    """Whether the target of the handler's writes has accepted its fencing token; empty if it has none."""


class Handler:
    """Handles events for one incarnation after another of a consumer."""

    def __init__(self, world: World, consumer: str) -> None:
        self._world = world
        self._consumer = consumer
        self._open: dict[int, _Handling] = {}
        self._handlings = 0

    @property
    def holding(self) -> list[str]:
        """The events that are being handled now, sorted."""
        return sorted(handling.event for handling in self._open.values())

    def crash(self) -> None:
        """Take note that the process is dead, and that no handler of it will ever end."""
        opened, self._open = self._open, {}
        for handling in opened.values():
            self._world.ledger.handling_ended(handling.event, False)

    async def __call__(self, event: Any, fence: int | None = None) -> None:
        """Handle an event. `fence` is its fencing token, from engines that have one.

        Raises:
            HandlerFailed: as the scenario asked.
            WriteRefused: a later holder of the event has shown its token.
        """
        world = self._world
        name, hook = world.ledger.name_of(str(event.id)), world.handler_hook
        if hook is not None:
            await hook.step("start", "before", self._consumer, name)
        handling = self._begin(event, name, fence)
        call = world.ledger.handling_started(name)
        if fence is not None:  # a handler shows its token when it begins
            world.ledger.fences[name] = max(fence, world.ledger.fences.get(name, fence))
        try:
            await self._work(handling, call, fence)
            handling.outcome = "ok"
        finally:
            self._end(handling)
        if hook is not None:
            await hook.step("end", "after", self._consumer, name)

    async def _work(self, handling: _Handling, call: int, fence: int | None) -> None:
        world, name, hook = self._world, handling.event, self._world.handler_hook
        stream = world.streams.fresh(f"handler/{name}/{call}")
        if hook is not None:
            await hook.step("start", "after", self._consumer, name)
        await world.work(self._consumer, name, world.scenario.consumers.handler_time.draw(stream))
        if hook is not None:
            await hook.work(self._consumer, name, call)
            await hook.step("end", "before", self._consumer, name)
        if stream.random() < world.scenario.consumers.handler_failure:
            raise HandlerFailed(name)
        if fence is not None:
            handling.write = "refused" if fence < world.ledger.fences[name] else "accepted"
            if handling.write == "refused":
                raise WriteRefused(name)

    def _begin(self, event: Any, name: str, fence: int | None) -> _Handling:
        self._handlings += 1
        handling = self._open[self._handlings] = _Handling(self._handlings, name)
        details: dict[str, Any] = {
            "handling": f"{self._consumer}/{handling.number}",
            "via": self._via(name),
            "fingerprint": self._world.fingerprints.given(event),
        }
        if fence is not None:
            details["fence"] = fence
        self._world.history.append(self._world.loop.now, "started", name, self._consumer, **details)
        return handling

    def _end(self, handling: _Handling) -> None:
        # A crashed consumer never gets here: what is left of its tasks is ended after the history is closed.
        if self._open.pop(handling.number, None) is None:
            return
        world, name = self._world, handling.event
        details = {"handling": f"{self._consumer}/{handling.number}", "outcome": handling.outcome}
        if handling.write:
            details["write"] = handling.write
        world.history.append(world.loop.now, "ended", name, self._consumer, **details)
        world.ledger.handling_ended(name, handling.outcome == "ok")
        if handling.outcome == "ok" and (because := cause.get(None)):
            because.handled.add(name)

    def _via(self, name: str) -> str:
        """Return how an event came to its handler. Only an event whose leader took effect is released by it."""
        ledger, because = self._world.ledger, cause.get(None) or Cause(name)
        leader = ledger.leader_of(name)
        if because.delivered:
            released = because.delivered != name and ledger.was_handled(leader)
            return "released" if released else "delivered"
        return "released" if leader in because.handled else "rescued"
