"""What goes wrong with consumers: they die, leave, freeze, lose the time or the way."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from simulation.scenario.faults.targets import Undo, Victim
from simulation.scenario.faults.timing import Duration, Offset, TimedFault

ALL_CONSUMERS, ANY_CONSUMER = "all", "any"


class ConsumerFault(TimedFault):
    """A fault of a consumer: at a moment, or when a consumer comes to a command or a handler step."""

    consumer: str = Field(
        ANY_CONSUMER, description='which consumer: a name ("c1"), "all", or "any" for one that is drawn'
    )
    needs_life: ClassVar[bool] = True
    """Whether it strikes only those that are alive."""

    def strike(self, victim: Victim) -> Undo | None:
        """Do it to a consumer, and return how it is undone; None if nothing is left to undo."""
        raise NotImplementedError


class Crash(ConsumerFault):
    """A consumer dies at once: no `finally` runs, its connections are cut. It restarts after `for` (0: at the end)."""

    kind: Literal["crash"] = "crash"
    example: ClassVar[str] = """\
name = "fault-crash"
description = "The consumer that handles a dies in the middle; the other finds a again."

[workload]
events = [
  { name = "a" },
  { name = "b", follows = "a", at = "100ms" },
]

[consumers]
count = 2
handler_time = "400ms"

[[faults]]
kind = "crash"
consumer = "any"
step = "end"
when = "before"
for = "10s"

[expect]
native = "holds"
"""
    duration: Duration = Field(1_000_000, alias="for", description="how long until it restarts; 0s: only at the end")

    @classmethod
    def recipe(cls, tools: Any) -> Any:
        """Return a strategy for its keys."""
        return tools.consumer

    def strike(self, victim: Victim) -> Undo | None:
        """Do it to a consumer."""
        victim.crash()
        return victim.start


class Stop(ConsumerFault):
    """A consumer is shut down in good order, as by a deploy: its tasks are cancelled. It restarts after `for`."""

    kind: Literal["stop"] = "stop"
    example: ClassVar[str] = """\
name = "fault-stop"
description = "Every consumer is restarted in good order while a is being handled."

[workload]
events = [{ name = "a" }]

[consumers]
count = 2
handler_time = "400ms"

[[faults]]
kind = "stop"
at = "200ms"
consumer = "all"
for = "2s"

[expect]
native = "holds"
"""
    duration: Duration = Field(1_000_000, alias="for", description="how long until it restarts; 0s: only at the end")

    @classmethod
    def recipe(cls, tools: Any) -> Any:
        """Return a strategy for its keys."""
        return tools.consumer

    def strike(self, victim: Victim) -> Undo | None:
        """Do it to a consumer."""
        victim.stop()
        return victim.start


class Upgrade(ConsumerFault):
    """A consumer is shut down in good order and comes back with another engine: one step of a rolling upgrade."""

    kind: Literal["upgrade"] = "upgrade"
    example: ClassVar[str] = """\
name = "fault-upgrade"
description = "One consumer of two is replaced by an equal one, as in a rolling upgrade."

[workload]
events = [
  { name = "a" },
  { name = "b", follows = "a", at = "100ms" },
]

[consumers]
count = 2

[[faults]]
kind = "upgrade"
at = "50ms"
consumer = "c1"
engine = "native"
for = "1s"

[expect]
native = "holds"
"""
    engine: str = Field(description="the engine that it comes back with, named as on the command line")
    duration: Duration = Field(1_000_000, alias="for", description="how long until it is back")

    @classmethod
    def recipe(cls, tools: Any) -> Any:
        """Return a strategy for its keys."""
        return tools.having(tools.consumer, engine=tools.just("native"))

    def strike(self, victim: Victim) -> Undo | None:
        """Do it to a consumer."""
        victim.stop()
        return lambda: victim.return_with(self.engine)


class Join(ConsumerFault):
    """A consumer is not there from the start: it joins at this moment."""

    kind: Literal["join"] = "join"
    example: ClassVar[str] = """\
name = "fault-join"
description = "A second consumer joins late."

[workload]
events = [
  { name = "a" },
  { name = "b", follows = "a", at = "100ms" },
]

[consumers]
count = 2

[[faults]]
kind = "join"
at = "2s"
consumer = "c2"

[expect]
native = "holds"
"""

    @model_validator(mode="after")
    def _names_who(self) -> Self:
        if self.consumer in (ALL_CONSUMERS, ANY_CONSUMER):
            raise ValueError(
                f"'consumer' must name the consumer that joins late, such as \"c2\", not {self.consumer!r}"
            )
        if self.at is None or self.times > 1:
            raise ValueError("a consumer joins once, at a moment: give 'at', and neither 'every' nor 'times'")
        return self

    needs_life: ClassVar[bool] = False

    @classmethod
    def recipe(cls, tools: Any) -> Any:
        """Return a strategy for its keys."""
        return tools.keys(at=tools.moment, consumer=tools.just("c2"))

    def strike(self, victim: Victim) -> Undo | None:
        """Do it to a consumer."""
        victim.start()
        return None


class Leave(ConsumerFault):
    """A consumer leaves in good order and never comes back, not even when the world heals."""

    kind: Literal["leave"] = "leave"
    example: ClassVar[str] = """\
name = "fault-leave"
description = "One consumer of two leaves for ever while it may be at work."

[workload]
events = [
  { name = "a" },
  { name = "b", follows = "a", at = "100ms" },
]

[consumers]
count = 2
handler_time = "400ms"

[[faults]]
kind = "leave"
at = "200ms"
consumer = "c1"

[expect]
native = "holds"
"""

    @model_validator(mode="after")
    def _leaves_others(self) -> Self:
        if self.consumer == ALL_CONSUMERS:
            raise ValueError("if 'all' leave for ever, nothing is handled any more; use the fault 'stop'")
        return self

    @classmethod
    def recipe(cls, tools: Any) -> Any:
        """Return a strategy for its keys."""
        return tools.keys(at=tools.moment, consumer=tools.just("c1"))

    def strike(self, victim: Victim) -> Undo | None:
        """Do it to a consumer."""
        victim.leave()
        return None


class Pause(ConsumerFault):
    """A consumer freezes while the world goes on: a long garbage collection, a blocked loop, a suspended machine."""

    kind: Literal["pause"] = "pause"
    example: ClassVar[str] = """\
name = "fault-pause"
description = "The holder of a freezes for longer than its lease; its late write is refused."

[workload]
events = [{ name = "a" }]

[consumers]
count = 2

[[faults]]
kind = "pause"
step = "end"
when = "before"
for = "40s"

[expect]
native = "holds"
"""
    duration: Duration = Field(alias="for", gt=0, description="how long it is frozen")

    @classmethod
    def recipe(cls, tools: Any) -> Any:
        """Return a strategy for its keys."""
        return tools.having(tools.consumer, **tools.lasting)

    def strike(self, victim: Victim) -> Undo | None:
        """Do it to a consumer."""
        return victim.freeze()


class WrongClock(ConsumerFault):
    """A consumer's clock jumps by `offset` and runs too fast or too slow by `drift`, until it is set right."""

    kind: Literal["clock"] = "clock"
    example: ClassVar[str] = """\
name = "fault-clock"
description = "A consumer's clock is a quarter of an hour ahead and gains a hundredth."

[workload]
events = [
  { name = "a" },
  { name = "b", follows = "a", at = "100ms" },
]

[consumers]
count = 2

[[faults]]
kind = "clock"
at = "0s"
consumer = "c1"
offset = "15m"
drift = 0.01

[expect]
native = "holds"
"""
    offset: Offset = Field(0, description='how far it jumps: "15m" ahead, "-15m" behind')
    drift: float = Field(0.0, gt=-1, le=1_000, description="how wrong it runs: 0.01 gains a hundredth, -0.01 loses one")
    duration: Duration = Field(0, alias="for", description="how long until it is set right; 0s: only at the end")

    @model_validator(mode="after")
    def _is_wrong(self) -> Self:
        if not (self.offset or self.drift):
            raise ValueError("a wrong clock needs an 'offset' or a 'drift'")
        return self

    needs_life: ClassVar[bool] = False

    @classmethod
    def recipe(cls, tools: Any) -> Any:
        """Return a strategy for its keys."""
        return tools.having(tools.consumer, offset=tools.wrong)

    def strike(self, victim: Victim) -> Undo | None:
        """Do it to a consumer."""
        return victim.set_clock_wrong(self.offset, self.drift)


class Partition(ConsumerFault):
    """Consumers cannot reach Redis: what they send is lost, and their connections break."""

    kind: Literal["partition"] = "partition"
    example: ClassVar[str] = """\
name = "fault-partition"
description = "One consumer cannot reach Redis for three seconds."

[workload]
events = [
  { name = "a" },
  { name = "b", follows = "a", at = "100ms" },
]

[consumers]
count = 2

[[faults]]
kind = "partition"
at = "50ms"
consumer = "c1"
for = "3s"

[expect]
native = "holds"
"""
    duration: Duration = Field(alias="for", gt=0, description="how long they are cut off")

    needs_life: ClassVar[bool] = False

    @classmethod
    def recipe(cls, tools: Any) -> Any:
        """Return a strategy for its keys."""
        return tools.having(tools.consumer, **tools.lasting)

    def strike(self, victim: Victim) -> Undo | None:
        """Do it to a consumer."""
        return victim.cut_off()
