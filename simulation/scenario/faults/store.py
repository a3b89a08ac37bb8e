"""What goes wrong with Redis itself. These need a Redis of the run's own: a user's server is left alone."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from simulation.scenario.faults.targets import Active, Redis, Undo
from simulation.scenario.faults.timing import Duration, Offset, Probability, TimedFault


class StoreFault(TimedFault):
    """Something that happens to Redis at a moment."""

    on_every_store: ClassVar[bool] = False
    """Whether any store can have it: it needs nothing of the store itself."""

    def strike(self, active: Active, redis: Redis) -> Undo | None:
        """Do it to Redis, note it, and return how it is undone; None if nothing is left to undo."""
        raise NotImplementedError


class Restart(StoreFault):
    """Redis goes down and comes back after `for`: connections and scripts are gone, the data is kept or lost."""

    kind: Literal["restart"] = "restart"
    example: ClassVar[str] = """\
name = "fault-restart"
description = "Redis is down for two seconds and comes back with its data."

[workload]
events = [
  { name = "a" },
  { name = "b", follows = "a", at = "100ms" },
]

[consumers]
count = 2

[[faults]]
kind = "restart"
at = "50ms"
keep = true
for = "2s"

[expect]
native = "holds"
"""
    keep: bool = Field(True, description="whether its data is still there; false: it comes back empty")
    duration: Duration = Field(1_000_000, alias="for", description="how long it is down")

    @property
    def loses_data(self) -> bool:
        """Whether it can destroy data in Redis."""
        return not self.keep

    @classmethod
    def recipe(cls, tools: Any) -> Any:
        """Return a strategy for its keys."""
        return tools.merged(tools.timed, tools.some(keep=tools.just(False)))

    def strike(self, active: Active, redis: Redis) -> Undo | None:
        """Do it to Redis."""
        active.note()
        redis.go_down()
        redis.forget_scripts()
        if not self.keep:
            redis.store.wipe()
            redis.write("store-lost", fault="restart")
        return redis.come_back


class Flush(StoreFault):
    """FLUSHALL is run on the server: all data is gone, connections and scripts are not."""

    kind: Literal["flush"] = "flush"
    example: ClassVar[str] = """\
name = "fault-flush"
description = "All data is lost: what was known of handled events, too."

[workload]
events = [
  { name = "a" },
  { name = "b", follows = "a", at = "100ms" },
]

[consumers]
count = 2

[judge]
allowed_loss = ["flush"]

[[faults]]
kind = "flush"
at = "1s"

[expect]
native = "holds"
"""

    @property
    def loses_data(self) -> bool:
        """Whether it can destroy data in Redis."""
        return True

    @classmethod
    def recipe(cls, tools: Any) -> Any:
        """Return a strategy for its keys."""
        return tools.timed

    def strike(self, active: Active, redis: Redis) -> Undo | None:
        """Do it to Redis."""
        active.note()
        redis.store.wipe()
        redis.write("store-lost", fault="flush")
        return None


class Failover(StoreFault):
    """Redis dies and a replica takes its place: what was written within `lag` before is gone, acknowledged or not.

    The replica has applied the primary's replication stream up to that moment. Connections break, the replica knows no
    scripts, and no server answers until it is promoted, after `for`. Needs the store `server`. With sentinels, the
    replica has an address of its own, which they name from then on; the old primary is there again then, as a replica.
    """

    kind: Literal["failover"] = "failover"
    topologies: ClassVar[tuple[str, ...]] = ("single", "sentinel")
    example: ClassVar[str] = """\
name = "fault-failover"
description = "A replica that is half a second behind takes over."

[workload]
events = [
  { name = "a" },
  { name = "b", follows = "a", at = "100ms" },
]

[consumers]
count = 2

[judge]
allowed_loss = ["failover"]

[[faults]]
kind = "failover"
at = "1s"
lag = "500ms"

[expect]
native = "holds"
"""
    lag: Duration = Field(description="how far the replica is behind")
    duration: Duration = Field(1_000_000, alias="for", description="how long until the replica is promoted")

    @property
    def loses_data(self) -> bool:
        """Whether it can destroy data in Redis."""
        return True

    @classmethod
    def recipe(cls, tools: Any) -> Any:
        """Return a strategy for its keys."""
        return tools.having(tools.timed, lag=tools.span)

    def strike(self, active: Active, redis: Redis) -> Undo | None:
        """Do it to Redis."""
        lost = redis.store.promote(redis.now - self.lag)
        active.note(writes_lost=len(lost))
        replaced = redis.lose_primary()
        redis.forget_scripts()
        if lost:
            redis.write("store-lost", fault="failover", keys=sorted(set(lost)))
        return replaced


class Evict(StoreFault):
    """Redis is short of memory and evicts a class of keys, without a word."""

    kind: Literal["evict"] = "evict"
    example: ClassVar[str] = """\
name = "fault-evict"
description = "The marks of handled events are evicted, and a duplicate comes, which cannot be recognised."

[workload]
events = [{ name = "a" }]

[consumers]
count = 1

[[faults]]
kind = "evict"
at = "1s"
keys = "*:seen:*"

[[faults]]
kind = "duplicate"
after = "5s"

[expect]
native = "holds"
"""
    keys: str = Field(description='which keys: a pattern such as "*:seen:*"')
    share: Probability = Field(1.0, gt=0, description="probability for each of those keys")

    @property
    def loses_data(self) -> bool:
        """Whether it can destroy data in Redis."""
        return True

    @classmethod
    def recipe(cls, tools: Any) -> Any:
        """Return a strategy for its keys."""
        return tools.having(tools.timed, keys=tools.among("*", "*:seen:*", "*:processing:*"))

    def strike(self, active: Active, redis: Redis) -> Undo | None:
        """Do it to Redis."""
        chosen = list(self._chosen(active, redis))
        if chosen:
            redis.store.delete(chosen)
            active.note(keys=len(chosen))
            redis.write("store-lost", fault="evict", keys=chosen)
        return None

    def _chosen(self, active: Active, redis: Redis) -> Iterator[str]:
        for key in redis.store.all_keys():
            if fnmatchcase(key, self.keys) and active.stream(f"{redis.now}/{key}").random() < self.share:
                yield key


class OutOfMemory(StoreFault):
    """Redis has no memory left and evicts nothing: it really refuses to write, until memory is free again."""

    kind: Literal["out-of-memory"] = "out-of-memory"
    example: ClassVar[str] = """\
name = "fault-out-of-memory"
description = "Redis refuses to write for three seconds."

[workload]
events = [
  { name = "a" },
  { name = "b", follows = "a", at = "100ms" },
]

[consumers]
count = 2

[[faults]]
kind = "out-of-memory"
at = "0s"
for = "3s"

[expect]
native = "holds"
"""
    duration: Duration = Field(alias="for", gt=0, description="how long until memory is free again")

    @classmethod
    def recipe(cls, tools: Any) -> Any:
        """Return a strategy for its keys."""
        return tools.having(tools.timed, **tools.lasting)

    def strike(self, active: Active, redis: Redis) -> Undo | None:
        """Do it to Redis."""
        active.note()
        redis.store.limit_memory(True)
        return lambda: redis.store.limit_memory(False)


class ServerClock(StoreFault):
    """The clock of Redis jumps: what was to lapse lapses too early or too late."""

    kind: Literal["server-clock"] = "server-clock"
    example: ClassVar[str] = """\
name = "fault-server-clock"
description = "The clock of Redis jumps half a minute ahead, and every lease has lapsed."

[workload]
events = [
  { name = "a" },
  { name = "b", follows = "a", at = "100ms" },
]

[consumers]
count = 2
handler_time = "400ms"

[[faults]]
kind = "server-clock"
at = "200ms"
offset = "30s"
for = "10s"

[expect]
native = "holds"
"""
    offset: Offset = Field(description='how far it jumps: "30s" ahead, "-30s" behind')
    duration: Duration = Field(0, alias="for", description="how long until it is set right; 0s: only at the end")

    @model_validator(mode="after")
    def _jumps(self) -> Self:
        if not self.offset:
            raise ValueError("an 'offset' of 0 is no jump")
        return self

    @classmethod
    def recipe(cls, tools: Any) -> Any:
        """Return a strategy for its keys."""
        return tools.having(tools.timed, offset=tools.wrong)

    def strike(self, active: Active, redis: Redis) -> Undo | None:
        """Do it to Redis."""
        active.note(offset=self.offset)
        redis.shift_clock(self.offset)
        return lambda: redis.shift_clock(-self.offset)
