"""Scenarios: what a world is made of, as a TOML file says it and as the rest of the program may rely on it.

A scenario is data. It is read from a file that may be wrong in any way; after `load` nothing in it is optional in
spirit, stringly typed or mutable. Durations are integers of microseconds, distributions are objects to draw from.
Every error names the file, the table, the key, what was given and what is accepted.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    InstanceOf,
    PlainSerializer,
    Tag,
    ValidationError,
    field_validator,
    model_validator,
)

from simulation.invariants import COVERAGE, INVARIANTS
from simulation.kernel.durations import format_duration, parse_duration
from simulation.scenario.consistency import contradictions
from simulation.scenario.distributions import Distribution, parse_distribution
from simulation.scenario.faults import FAULTS, Fault, describe

Duration = Annotated[int, BeforeValidator(parse_duration), PlainSerializer(format_duration)]
"""Microseconds, written as "250ms" or "15m"."""

Delay = Annotated[
    InstanceOf[Distribution],
    BeforeValidator(lambda given: given if hasattr(given, "draw") else parse_distribution(given)),
    PlainSerializer(lambda distribution: distribution.written()),
]
"""A distribution of durations."""

Probability = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
Name = Annotated[str, Field(pattern=r"^[^\s/]+$", max_length=120)]
Expectation = str | tuple[str, ...]


class BadScenario(Exception):
    """A scenario cannot be used. Each line of the message names the file, the table, the key and the fix."""


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=False, arbitrary_types_allowed=True, defer_build=True)


class PlannedEvent(_Table):
    """One event of a workload that lists its events."""

    name: Name = Field(description="what the event is called in histories and reports")
    follows: str = Field("", description="the name of the event that it follows")
    at: Duration = Field(0, description="when it is published")
    occurred: Duration | None = Field(None, description="when it happened; by default when it is published")
    published: bool = Field(True, description="whether it is published at all: a leader that never comes is not")
    readable: bool = Field(True, description="false: its message is damaged and cannot be parsed")


class EventsWorkload(_Table):
    """Events that are listed one by one."""

    kind: Literal["events"] = "events"
    events: tuple[PlannedEvent, ...] = Field(min_length=1, description="the events, as [[workload.events]] tables")

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        names = [event.name for event in self.events]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two events are called {', '.join(twice)}")
        return self


class _Shape(_Table):
    interval: Delay = Field("10ms", validate_default=True, description="time between one publication and the next")
    order: Literal["in-order", "reversed", "shuffled"] = Field(
        "in-order", description="the order in which the events of one family are published"
    )
    interleave: bool = Field(False, description="publish families side by side rather than one after the other")
    missing: Probability = Field(0.0, description="probability that an event that others follow is never published")


class ChainsWorkload(_Shape):
    """Chains: each event follows the one before it."""

    kind: Literal["chains"] = "chains"
    count: Count = Field(1, description="how many chains")
    length: Count = Field(5, description="events in each chain")


class FansWorkload(_Shape):
    """Fans: many events follow the same leader."""

    kind: Literal["fan-out"] = "fan-out"
    count: Count = Field(1, description="how many leaders")
    followers: Count = Field(10, description="followers of each leader")


class TreesWorkload(_Shape):
    """Trees: every event above the last level is followed by several others."""

    kind: Literal["trees"] = "trees"
    count: Count = Field(1, description="how many trees")
    depth: Count = Field(3, description="levels in each tree")
    branching: Count = Field(2, description="followers of each event above the last level")


class CyclesWorkload(_Shape):
    """Rings: the first event follows the last. A ring of one follows itself."""

    kind: Literal["cycles"] = "cycles"
    count: Count = Field(1, description="how many rings")
    length: Count = Field(3, description="events in each ring")


class TraceWorkload(_Table):
    """Events of a file, one JSON object a line, published when they occurred."""

    kind: Literal["trace"] = "trace"
    file: str = Field(description="path of the file, relative to the scenario's")
    speed: float = Field(1.0, gt=0, description="how many times as fast as they occurred")
    limit: Count | None = Field(None, description="use only this many events from the start of the file")


Workload = Annotated[
    EventsWorkload | ChainsWorkload | FansWorkload | TreesWorkload | CyclesWorkload | TraceWorkload,
    Field(discriminator="kind"),
]


WORKLOADS = tuple(str(kind.model_fields["kind"].default) for kind in get_args(get_args(Workload)[0]))
"""Every kind of workload."""


class Broker(_Table):
    """The queue: at-least-once, to a group of consumers that share the work."""

    delay: Delay = Field("1ms", validate_default=True, description="from publication to being offered to a consumer")
    drop: Probability = Field(0.0, description="probability that an event is lost for good")
    duplicate: Probability = Field(0.0, description="probability that an event is delivered twice")
    duplicate_delay: Delay = Field("50ms", validate_default=True, description="how much later the second one comes")
    reorder: Probability = Field(0.0, description="probability that an event is held back")
    reorder_delay: Delay = Field("100ms", validate_default=True, description="how long it is held back")
    redeliver_after: Duration = Field(
        5_000_000, description="an unacknowledged delivery is offered again when this long has passed"
    )
    max_failures: Count = Field(4, description="the failure at which an event is dead-lettered")


class Consumers(_Table):
    """The consumers of the group."""

    count: Count = Field(2, description="how many")
    concurrency: Count = Field(1, description="deliveries that one consumer works on at a time")
    handler: Literal["reentrant", "plain"] = Field(
        "reentrant", description="whether the handler enters the engine again for an event that the engine hands it"
    )
    handler_time: Delay = Field("5ms", validate_default=True, description="how long a handler runs")
    handler_failure: Probability = Field(0.0, description="probability that a handler raises")
    sweep_interval: Duration = Field(5_000_000, gt=0, description="time between two sweeps for overdue followers")
    start: Delay = Field("0s", validate_default=True, description="when each consumer starts")
    engines: Mapping[str, str | Mapping[str, str]] = Field(
        {},
        description="consumers that run another engine than the one under test: the engine, by consumer;"
        ' or by the engine under test: { c2 = { prefect = "prefect@0.2.8" } }, and any other has c2 to itself',
    )

    def engine_of(self, consumer: str, tested: str) -> str:
        """Return the engine that a consumer runs while some engine is under test."""
        chosen = self.engines.get(consumer, tested)
        return chosen if isinstance(chosen, str) else chosen.get(tested, tested)


class NetworkTable(_Table):
    """The network between the consumers and Redis."""

    latency: Delay = Field(
        {"uniform": ["100us", "900us"]}, validate_default=True, description="one way, for each packet"
    )


class PolicyTable(_Table):
    """What the engine is told about time. Engines with constants of their own are given these values."""

    lookback: Duration = Field(900_000_000, gt=0, description="how long a follower waits for a leader that never comes")
    retention: Duration = Field(1_800_000_000, gt=0, description="how long it is remembered that an event was handled")
    lease: Duration = Field(16_000_000, gt=0, description="how long an event is held before others may take it over")
    in_flight_wait: Duration = Field(8_000_000, gt=0, description="how long a follower waits for a leader in flight")
    depth: Count = Field(20, description="how deep handlers may call each other")

    @model_validator(mode="after")
    def _remembers_longer_than_followers_wait(self) -> Self:
        if self.retention < self.lookback:
            raise ValueError(
                f"'retention' ({format_duration(self.retention)}) must be at least 'lookback' "
                f"({format_duration(self.lookback)}): else a leader is forgotten while its followers wait for it"
            )
        return self


class Judge(_Table):
    """What is asked of the history."""

    invariants: tuple[str, ...] = Field((), description="the invariants to judge; none named means all that apply")
    exercise: tuple[str, ...] = Field((), description="what must have happened at least once for a run to count")
    release_bound: Duration | None = Field(
        None, description="how long a follower may idle once its leader was handled; by default from the policy"
    )
    stuck_bound: Duration = Field(600_000_000, description="how long a consumer may work without a sign of life")
    settle: Duration = Field(1_000_000, description="quiet time to wait for at the end, before the store is inspected")
    heal_after: Duration = Field(
        60_000_000, description="time from the last publication or fault to the healing of all faults"
    )
    horizon: Duration = Field(
        86_400_000_000, description="virtual time after which a run that is not quiet is given up"
    )
    allowed_loss: tuple[str, ...] = Field((), description="losses that the faults make unavoidable")

    @field_validator("invariants")
    @classmethod
    def _invariants_are_known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return _known("invariant", names, INVARIANTS)

    @field_validator("exercise")
    @classmethod
    def _words_are_known(cls, words: tuple[str, ...]) -> tuple[str, ...]:
        return _known("exercise word", words, COVERAGE)


class SwarmTable(_Table):
    """What a scenario draws of itself from the seed, so that each seed is another world."""

    choose: Mapping[str, tuple[Any, ...]] = Field(
        {}, description="values by their paths, such as `consumers.count`: one of each list is drawn"
    )
    faults: tuple[Mapping[str, Any], ...] = Field(
        (), description="faults, each with its `chance` to be there; one of each list in them is drawn"
    )

    @field_validator("choose")
    @classmethod
    def _there_is_a_choice(cls, choose: Mapping[str, tuple[Any, ...]]) -> Mapping[str, tuple[Any, ...]]:
        for path, options in choose.items():
            if not options:
                raise ValueError(f"{path!r} has nothing to choose from; give a list of at least one value")
        return choose

    @field_validator("faults")
    @classmethod
    def _have_a_chance(cls, faults: tuple[Mapping[str, Any], ...]) -> tuple[Mapping[str, Any], ...]:
        for number, fault in enumerate(faults, start=1):
            chance = fault.get("chance", 1)
            if isinstance(chance, bool) or not isinstance(chance, int | float) or not 0 < chance <= 1:
                raise ValueError(f"the 'chance' of fault {number} must be above 0 and at most 1, not {chance!r}")
            if empty := [key for key, value in fault.items() if value == []]:
                raise ValueError(f"{empty[0]!r} of fault {number} has nothing to choose from")
        return faults


class Scenario(_Table):
    """One world to run, and what to expect of it."""

    name: Name = Field(description="what the scenario is called; its results go into a folder of this name")
    description: str = Field("", description="one sentence: what it is about")
    engine: str = Field("native", description="the engine under test, unless the command line names another")
    seed: int = Field(1, ge=0, description="the seed, unless the command line gives another")
    workload: Workload
    broker: Broker = Field(default_factory=Broker)
    consumers: Consumers = Field(default_factory=Consumers)
    network: NetworkTable = Field(default_factory=NetworkTable)
    policy: PolicyTable = Field(default_factory=PolicyTable)
    judge: Judge = Field(default_factory=Judge)
    faults: tuple[Fault, ...] = Field((), description="what goes wrong, as [[faults]] tables")
    swarm: SwarmTable | None = Field(None, description="what is drawn from the seed: then each seed is another world")
    expect: Mapping[str, Expectation] = Field(
        {}, description='for each engine: "holds", or the invariants that it is known to violate'
    )
    folder: str = Field("", exclude=True, description="where the file lies; paths in it are relative to this")

    @model_validator(mode="after")
    def _expectations_are_known(self) -> Self:
        for engine, expected in self.expect.items():
            words = (expected,) if isinstance(expected, str) else expected
            try:
                _known("expectation", words, {"holds": "", "unknown": "", **INVARIANTS})
            except ValueError as error:
                raise ValueError(f"expect.{engine}: {error}") from None
        return self

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        consumers = self.consumers
        found = list(contradictions(self.faults, consumers.count, list(consumers.engines), self.judge.horizon))
        if found:
            raise ValueError("; ".join(found))
        return self

    @property
    def release_bound(self) -> int:
        """How long a released follower may idle: as given, or what one lease, wait, sweep and retry can add up to."""
        if self.judge.release_bound is not None:
            return self.judge.release_bound
        retries = self.broker.max_failures * self.broker.redeliver_after
        return self.policy.lease + self.policy.in_flight_wait + 2 * self.consumers.sweep_interval + retries

    def with_values(self, values: Mapping[str, Any]) -> Scenario:
        """Return the scenario with some values replaced, each named by its path: `broker.drop`, `consumers.count`.

        Raises BadScenario if a path or a value is not right.
        """
        record = self.written()
        for path, value in values.items():
            assign(record, path, value)
        return parse(record, source=f"{self.name} with {', '.join(values)}", folder=self.folder)

    def written(self) -> dict[str, Any]:
        """Return the scenario as the tables of a file, without what is left at its default."""
        record: dict[str, Any] = self.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        record["workload"] = {"kind": self.workload.kind, **record.get("workload", {})}
        if self.faults:
            record["faults"] = [describe(fault) for fault in self.faults]
        return record


def load(path: str | Path) -> Scenario:
    """Read a scenario from a file. Raises BadScenario that says what is wrong and where."""
    file = Path(path)
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise BadScenario(f"{file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise BadScenario(f"{file}: not UTF-8 text") from None
    return loads(text, source=str(file), folder=str(file.parent))


def loads(text: str, source: str = "scenario", folder: str = ".") -> Scenario:
    """Read a scenario from TOML text. Raises BadScenario that says what is wrong and where."""
    try:
        record = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadScenario(f"{source}: not TOML: {error}") from None
    return parse(record, source, folder)


def parse(record: Mapping[str, Any], source: str = "scenario", folder: str = ".") -> Scenario:
    """Build a scenario from tables. Raises BadScenario with one line for each thing that is wrong."""
    tables = dict(record)
    workload = tables.get("workload")
    if isinstance(workload, dict) and "kind" not in workload and "events" in workload:
        tables["workload"] = {"kind": "events", **workload}
    if "folder" in tables:
        raise BadScenario(f"{source}: 'folder' cannot be set from a file")
    try:
        return Scenario.model_validate({**tables, "folder": folder})
    except ValidationError as error:
        raise BadScenario("\n".join(f"{source}: {_sentence(e)}" for e in error.errors())) from None


def _known(what: str, given: tuple[str, ...], known: Mapping[str, Any]) -> tuple[str, ...]:
    for name in given:
        if name not in known:
            near = get_close_matches(name, known, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ValueError(f"{what} {name!r} is not known{hint} (known: {', '.join(known)})")
    return given


def assign(record: dict[str, Any], path: str, value: Any) -> None:
    """Set a value of a scenario's tables by its path. Raises BadScenario if there is no such place."""
    *tables, key = path.split(".")
    for name in tables:
        inner = record.setdefault(name, {})
        if not isinstance(inner, dict):
            raise BadScenario(f"{path}: {name!r} is not a table")
        record = inner
    record[key] = value


def _sentence(error: Any) -> str:
    """Say what pydantic found in the words of the file."""
    where = _where(error["loc"])
    given = error.get("input")
    match error["type"]:
        case "extra_forbidden":
            return f"{where}: there is no such key{_nearest(error['loc'])}"
        case "missing":
            return f"{where}: this key is required"
        case "union_tag_invalid" | "union_tag_not_found":
            accepted = error["ctx"].get("expected_tags") or _kinds(error["loc"])
            return f"{_where((*error['loc'], 'kind'))}: {_tag(error)}; accepted are {accepted}"
        case _:
            message = error["msg"].removeprefix("Value error, ")
            if not error["loc"] and message.startswith("table ["):
                return str(message)  # it says itself where it is
            shown = "" if isinstance(given, dict) or repr(given) in message else f" (given: {given!r})"
            return f"{where}: {message}{shown}"


def _tag(error: Any) -> str:
    tag = error["ctx"].get("tag")
    return f"{tag!r} is not a kind" if tag else "the kind is not given"


def _where(location: tuple[Any, ...]) -> str:
    parts: list[str] = []
    for step in _path(location):
        if isinstance(step, int) and parts:
            parts[-1] += f"[{step + 1}]"
        else:
            parts.append(str(step))
    if not parts:
        return "the scenario"
    if len(parts) == 1:
        return f"key '{parts[0]}'"
    return f"table [{'.'.join(parts[:-1])}], key '{parts[-1]}'"


def _path(location: tuple[Any, ...]) -> list[Any]:
    # pydantic puts the chosen member of a union behind the name of the field; a file has no such level.
    steps: list[Any] = []
    for position, step in enumerate(location):
        last = position == len(location) - 1  # then it is a key
        behind_union = position == 1 and location[0] == "workload" and not last
        behind_fault = position == 2 and location[0] == "faults" and not last
        if not (behind_union or behind_fault):
            steps.append(step)
    return steps


def _kinds(place: tuple[Any, ...]) -> str:
    """Return the kinds that a table may have of which none is given."""
    return ", ".join(map(repr, FAULTS if "faults" in place else WORKLOADS))


def _nearest(location: tuple[Any, ...]) -> str:
    """Name the key of the same table that was most likely meant, and all that there are."""
    names = list(_fields_at(location[:-1]))
    near = get_close_matches(str(location[-1]), names, 1)
    hint = f"; did you mean '{near[0]}'?" if near else ""
    return f"{hint} (known: {', '.join(names)})"


def _fields_at(location: tuple[Any, ...]) -> list[str]:
    workloads: dict[str, type[BaseModel]] = {
        kind.model_fields["kind"].default: kind
        for kind in (EventsWorkload, ChainsWorkload, FansWorkload, TreesWorkload, CyclesWorkload, TraceWorkload)
    }
    match location:
        case ():
            return [name for name in Scenario.model_fields if name != "folder"]
        case ("workload", str() as kind, "events", *_):
            return list(PlannedEvent.model_fields)
        case ("workload", str() as kind):
            return list(workloads[kind].model_fields)
        case ("faults", int(), str() as kind):
            return list(FAULTS[kind].model_fields)
        case (str() as table,) if table in Scenario.model_fields:
            kind_of_table = Scenario.model_fields[table].annotation
            return list(getattr(kind_of_table, "model_fields", {}))
        case _:
            return []


__all__ = ["BadScenario", "Discriminator", "Scenario", "SwarmTable", "Tag", "assign", "load", "loads", "parse"]
