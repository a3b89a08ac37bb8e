"""Scenarios: what a world is made of, as a TOML file says it and as the rest of the program may rely on it.

A scenario is data. It is read from a file that may be wrong in any way; after `load` nothing in it is optional in
spirit, stringly typed or mutable. Durations are integers of microseconds, distributions are objects to draw from.
Every error names the file, the table, the key, what was given and what is accepted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import Field, ValidationError, field_validator, model_validator

from simulation.history.entries import Terms
from simulation.invariants import COVERAGE, INVARIANTS, RENAMED_WORDS
from simulation.kernel.durations import format_duration
from simulation.scenario.allow import AllowTable
from simulation.scenario.budgets import Budget, budgets_of, own_budgets, verdicts_of
from simulation.scenario.consistency import contradictions, misplaced
from simulation.scenario.consumers import Consumers
from simulation.scenario.errors import BadScenario, known_names
from simulation.scenario.faults import Fault, describe
from simulation.scenario.messages import first, sentences
from simulation.scenario.renamed import renamed, renamed_path
from simulation.scenario.topology import TopologyTable
from simulation.scenario.types import (
    EVENTS_COST,
    MAX_EVENTS,
    Count,
    Delay,
    Duration,
    Expectation,
    Name,
    Probability,
    Seed,
    Table,
    Tasks,
)
from simulation.scenario.workloads import Workload, size_of

_TERMS = Terms()
"""The defaults, as a history without a header has them."""


class Broker(Table):
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
    redeliver_backoff: float = Field(
        1.0, ge=1, le=10, description="by what factor that time grows with each delivery of an event"
    )
    redeliver_at_most: Duration = Field(3_600_000_000, gt=0, description="the longest time between two deliveries")
    max_failures: Count = Field(4, description="the failure at which an event is dead-lettered")
    reports_dead_letters: bool = Field(
        False, description="whether a consumer calls `give_up` of its engine before an event is dead-lettered"
    )

    def redelivery_delay(self, attempt: int) -> int:
        """Return how long after a delivery the event is offered again, in microseconds; attempts count from 1."""
        grown = self.redeliver_after * self.redeliver_backoff ** min(attempt - 1, 30)
        return max(self.redeliver_after, min(int(grown), self.redeliver_at_most))

    @property
    def redelivery_time(self) -> int:
        """How long after its first delivery an event that always fails is given up, in microseconds."""
        return sum(self.redelivery_delay(attempt) for attempt in range(1, min(self.max_failures, 100_000) + 1))


class Producer(Table):
    """Where the producer puts events for consumers that read a queue by themselves (`--engine module:function`)."""

    to: Literal["stream", "list"] = Field(description="a stream (XADD) or a list (RPUSH)")
    key: str = Field(min_length=1, description="its key in Redis")
    field: str = Field("event", min_length=1, description="the field of a stream's entries that holds the event")


class ClientTable(Table):
    """The Redis client that engines are given. Without these keys it is redis-py's, with its defaults."""

    max_connections: Tasks | None = Field(None, description="the most connections of one client's pool")
    pool: Literal["raise", "wait"] = Field(
        "raise", description="what a request does when all connections are in use: raise at once, or wait for one"
    )
    timeout: Duration | None = Field(
        None, gt=0, description="how long the client waits for a reply before it gives the connection up"
    )
    retry_on: tuple[Literal["READONLY"], ...] = Field(
        (), description="errors after which the client connects again and repeats the request (`retry_on_error`)"
    )


class NetworkTable(Table):
    """The network between the consumers and Redis."""

    latency: Delay = Field(
        {"uniform": ["100us", "900us"]}, validate_default=True, description="one way, for each packet"
    )


class PolicyTable(Table):
    """The times that the engine is given. Engines with constants of their own are given these values."""

    lookback: Duration = Field(
        _TERMS.lookback, gt=0, description="how long a follower waits for a leader that never comes"
    )
    retention: Duration = Field(
        _TERMS.retention,
        gt=0,
        description="how long a duplicate of a handled event is refused; not shorter than the lookback",
    )
    lease: Duration = Field(_TERMS.lease, gt=0, description="how long an event is held before others may take it over")
    in_flight_wait: Duration = Field(
        _TERMS.lease // 2, gt=0, description="how long a follower waits for a leader in flight"
    )
    max_depth: Count = Field(20, description="how deep handlers may call each other")
    memory: Duration = Field(
        86_400_000_000,
        description="how long a digest of each handled event is kept for late followers; 0s: not",
    )
    retry_delay: Duration = Field(
        5_000_000, gt=0, description="how long a released event rests after a failed handling"
    )
    max_attempts: Count = Field(4, description="how often the engine tries an event that it keeps")
    redelivery: Duration | None = Field(
        None, gt=0, description="how long after an attempt the queue may offer an event again; by default the lookback"
    )
    dead_retention: Duration | None = Field(
        None, gt=0, description="how long the engine keeps a dead letter; by default the retention"
    )
    batch: Count = Field(100, description="how many events a sweep returns at most")
    age_by: Literal["known", "received"] = Field(
        "known", description="whether an event is old by how long the engine has known it, or by its own `received`"
    )

    @model_validator(mode="after")
    def _remembers_longer_than_followers_wait(self) -> Self:
        if self.retention < self.lookback:
            raise ValueError(
                f"'retention' ({format_duration(self.retention)}) must be at least 'lookback' "
                f"({format_duration(self.lookback)}): else a leader is forgotten while its followers wait for it"
            )
        return self


QUEUE_INVARIANTS = ("mutual-exclusion", "handled-once", "nothing-lost", "payload-intact", "no-stuck-worker")
"""What a task queue can promise: it knows nothing of events that follow others."""


class Judge(Table):
    """What is asked of the history."""

    preset: Literal["", "queue"] = Field(
        "",
        description='"queue": judge what a task queue promises, which is no order; `invariants` overrides it',
    )
    invariants: tuple[str, ...] = Field(
        (),
        description="the invariants to judge; none named means all that apply",
        json_schema_extra={"items": {"enum": [*INVARIANTS]}},
    )
    require_coverage: tuple[str, ...] = Field(
        (),
        description="what must have happened at least once for a run to count",
        json_schema_extra={"items": {"enum": [*COVERAGE, *RENAMED_WORDS]}},
    )
    release_bound: Duration | None = Field(
        None, description="how long a follower may idle once its leader was handled; by default from the policy"
    )
    progress_bound: Duration = Field(
        _TERMS.stuck_bound, description="how long a consumer may work without a sign of life"
    )
    settle_time: Duration = Field(
        1_000_000, description="quiet time to wait for at the end, before the store is inspected"
    )
    heal_after: Duration = Field(
        60_000_000, description="time from the last publication or fault to the healing of all faults"
    )
    horizon: Duration = Field(
        86_400_000_000, description="virtual time after which a run that is not quiet is given up"
    )
    allowed_loss: tuple[str, ...] = Field((), description="losses that the faults make unavoidable")
    loud: bool = Field(
        False, description="whether such losses must be reported: by a dead letter, a warning or an error"
    )

    @model_validator(mode="before")
    @classmethod
    def _preset_names_invariants(cls, table: Any) -> Any:
        if isinstance(table, Mapping) and table.get("preset") == "queue" and not table.get("invariants"):
            return {**table, "invariants": QUEUE_INVARIANTS}
        return table

    @field_validator("invariants")
    @classmethod
    def _invariants_are_known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return known_names("invariant", names, INVARIANTS)

    @field_validator("require_coverage")
    @classmethod
    def _words_are_known(cls, words: tuple[str, ...]) -> tuple[str, ...]:
        return known_names("coverage word", words, COVERAGE)


class SwarmTable(Table):
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


class Scenario(Table):
    """One world to run, and what to expect of it."""

    name: Name = Field(description="what the scenario is called; its results go into a folder of this name")
    description: str = Field("", description="one sentence: what it is about")
    engine: str = Field("native", description="the engine under test, unless the command line names another")
    seed: Seed = Field(1, description="the seed, unless the command line gives another")
    workload: Workload
    broker: Broker = Field(default_factory=Broker)
    producer: Producer | None = Field(None, description="where events are put for consumers that read a queue")
    consumers: Consumers = Field(default_factory=Consumers)
    network: NetworkTable = Field(default_factory=NetworkTable)
    topology: TopologyTable = Field(default_factory=TopologyTable)
    client: ClientTable = Field(default_factory=ClientTable)
    allow: AllowTable = Field(default_factory=AllowTable)
    policy: PolicyTable = Field(default_factory=PolicyTable)
    judge: Judge = Field(default_factory=Judge)
    faults: tuple[Fault, ...] = Field((), description="what goes wrong, as [[faults]] tables")
    swarm: SwarmTable | None = Field(None, description="what is drawn from the seed: then each seed is another world")
    expect: Mapping[str, Expectation] = Field(
        {},
        description='for each engine: "holds", or the invariants that it is known to violate, or a table of `verdict` '
        "and budgets of its own; for any engine: budgets of what runs cost",
    )
    folder: str = Field("", exclude=True, description="where the file lies; paths in it are relative to this")

    @model_validator(mode="after")
    def _expectations_are_known(self) -> Self:
        for engine, words in self.expected.items():
            try:
                known_names("expectation", words, {"holds": "", "unknown": "", **INVARIANTS})
                own_budgets(self.expect, engine)
            except ValueError as error:
                raise ValueError(f"expect.{engine}: {error}") from None
        try:
            self.budgets(self.engine)
        except ValueError as error:
            raise ValueError(f"expect: {error}") from None
        return self

    @model_validator(mode="after")
    def _workload_is_not_too_large(self) -> Self:
        if (events := size_of(self.workload)) > MAX_EVENTS:
            raise ValueError(
                f"workload: {events:,} events or more are too many; at most {MAX_EVENTS:,} are run, since {EVENTS_COST}"
            )
        return self

    @property
    def expected(self) -> Mapping[str, tuple[str, ...]]:
        """What the runs of each named engine are expected to come to: `holds`, `unknown` or invariants."""
        return verdicts_of(self.expect)

    def budgets(self, engine: str) -> tuple[Budget, ...]:
        """Return the limits on what an engine's runs may cost."""
        return budgets_of(self.expect, engine)

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        count, engines = self.consumers.count, self.consumers.engines
        found = list(contradictions(self.faults, count, engines, self.judge.horizon, self.workload))
        found += misplaced(self.faults, self.topology.kind, self.client.pool)
        if found:
            raise ValueError("; ".join(first(found)))
        return self

    @property
    def release_bound(self) -> int:
        """How long a released follower may idle: as given, or what one lease, wait, sweep and retry can add up to."""
        if self.judge.release_bound is not None:
            return self.judge.release_bound
        retries = self.broker.redelivery_time
        return self.policy.lease + self.policy.in_flight_wait + self._sweeps * self.consumers.sweep_interval + retries

    @property
    def _sweeps(self) -> int:
        """How many sweeps an event may need: two, and with a smaller batch than usual those that return others."""
        usual = PolicyTable.model_fields["batch"].default
        events = size_of(self.workload) or len(getattr(self.workload, "events", ()))
        return 2 + (events // self.policy.batch if self.policy.batch < usual else 0)

    @classmethod
    def of(cls, name: str, **tables: Any) -> Scenario:
        """Return a scenario of its tables, as a file has them: `Scenario.of("x", workload={"kind": "chains"})`.

        Raises BadScenario that says what is wrong and where.
        """
        return parse({"name": name, **tables}, "scenario", ".")

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


def parse(record: Mapping[str, Any], source: str = "scenario", folder: str = ".") -> Scenario:
    """Build a scenario from tables. Raises BadScenario with one line for each thing that is wrong."""
    tables = renamed(record, source)
    if isinstance(workload := tables.get("workload"), dict) and "kind" not in workload and "events" in workload:
        tables["workload"] = {"kind": "events", **workload}
    if "folder" in tables:
        raise BadScenario(f"{source}: 'folder' cannot be set from a file")
    try:
        return Scenario.model_validate({**tables, "folder": folder})
    except ValidationError as error:
        raise BadScenario("\n".join(f"{source}: {line}" for line in sentences(error, Scenario))) from None


def assign(record: dict[str, Any], path: str, value: Any) -> None:
    """Set a value of a scenario's tables by its path. Raises BadScenario if there is no such place."""
    *tables, key = renamed_path(path).split(".")
    for name in tables:
        inner = record.setdefault(name, {})
        if not isinstance(inner, dict):
            raise BadScenario(f"{path}: {name!r} is not a table")
        record = inner
    record[key] = value
