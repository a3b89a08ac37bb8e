"""What goes wrong with consumers: they die, leave, freeze, lose the time or the way, and their handlers misbehave."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Literal, Self

from pydantic import Field, model_validator

from simulation.scenario.faults.timing import Duration, EventChance, Offset, TimedFault

EVERYBODY, SOMEBODY = "all", "any"


class ConsumerFault(TimedFault):
    """Something that happens to a consumer: at a moment, or to whoever comes to a command or a handler step."""

    consumer: str = Field(SOMEBODY, description='whom: a name ("c1"), "all", or "any" for one that is drawn')


class Crash(ConsumerFault):
    """A consumer dies at once: no `finally` runs, its connections are cut. It restarts after `for` (0: at the end)."""

    kind: Literal["crash"] = "crash"
    duration: Duration = Field(1_000_000, alias="for", description="how long until it restarts; 0s: only at the end")


class Stop(ConsumerFault):
    """A consumer is shut down in good order, as by a deploy: its tasks are cancelled. It restarts after `for`."""

    kind: Literal["stop"] = "stop"
    duration: Duration = Field(1_000_000, alias="for", description="how long until it restarts; 0s: only at the end")


class Upgrade(ConsumerFault):
    """A consumer is shut down in good order and comes back with another engine: one step of a rolling upgrade."""

    kind: Literal["upgrade"] = "upgrade"
    engine: str = Field(description="the engine that it comes back with, named as on the command line")
    duration: Duration = Field(1_000_000, alias="for", description="how long until it is back")


class Join(ConsumerFault):
    """A consumer is not there from the start: it joins at this moment."""

    kind: Literal["join"] = "join"

    @model_validator(mode="after")
    def _names_who(self) -> Self:
        if self.consumer in (EVERYBODY, SOMEBODY):
            raise ValueError(f"'consumer' must name who joins late, such as \"c2\"; {self.consumer!r} is nobody's name")
        if self.at is None or self.times > 1:
            raise ValueError("a consumer joins once, at a moment: give 'at', and neither 'every' nor 'times'")
        return self


class Leave(ConsumerFault):
    """A consumer leaves in good order and never comes back, not even when the world heals."""

    kind: Literal["leave"] = "leave"

    @model_validator(mode="after")
    def _leaves_others(self) -> Self:
        if self.consumer == EVERYBODY:
            raise ValueError("if 'all' leave for ever, nothing is handled any more; use the fault 'stop'")
        return self


class Pause(ConsumerFault):
    """A consumer freezes while the world goes on: a long garbage collection, a blocked loop, a suspended machine."""

    kind: Literal["pause"] = "pause"
    duration: Duration = Field(alias="for", gt=0, description="how long it is frozen")


class WrongClock(ConsumerFault):
    """A consumer's clock jumps by `offset` and runs too fast or too slow by `drift`, until it is set right."""

    kind: Literal["clock"] = "clock"
    offset: Offset = Field(0, description='how far it jumps: "15m" ahead, "-15m" behind')
    drift: float = Field(0.0, gt=-1, description="how wrong it runs: 0.01 gains a hundredth, -0.01 loses one")
    duration: Duration = Field(0, alias="for", description="how long until it is set right; 0s: only at the end")

    @model_validator(mode="after")
    def _is_wrong(self) -> Self:
        if not (self.offset or self.drift):
            raise ValueError("a wrong clock needs an 'offset' or a 'drift'")
        return self


class Partition(ConsumerFault):
    """Consumers cannot reach Redis: what they send is lost, and their connections break."""

    kind: Literal["partition"] = "partition"
    duration: Duration = Field(alias="for", gt=0, description="how long they are cut off")


class HandlerFault(EventChance):
    """Something that happens in a handler. Each call of a handler counts, also for the same event again."""

    consumer: str = Field("*", description="whose handlers: a pattern of names")
    call: int | None = Field(None, ge=1, description="strike only the handler's nth call for the same event")

    def strikes_call(self, consumer: str, call: int, now: int) -> bool:
        """Return whether the fault may strike this call of a consumer's handler."""
        return self.is_on(now) and fnmatchcase(consumer, self.consumer) and self.call in (None, call)


class HandlerSlow(HandlerFault):
    """A handler takes longer."""

    kind: Literal["handler-slow"] = "handler-slow"
    by: Duration = Field(gt=0, description="how much longer")


class HandlerRaises(HandlerFault):
    """A handler raises an exception once it has done its work."""

    kind: Literal["handler-raises"] = "handler-raises"


class HandlerCancelled(HandlerFault):
    """A handler is cancelled in the middle of its work, as by a timeout that its consumer has put around it."""

    kind: Literal["handler-cancelled"] = "handler-cancelled"
