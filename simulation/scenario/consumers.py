"""The table [consumers] of a scenario."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Self

from pydantic import Field, model_validator

from simulation.history.entries import Terms
from simulation.scenario.types import (
    MAX_TASKS,
    TASKS_COST,
    ConsumerCount,
    Delay,
    Duration,
    Probability,
    Table,
    Tasks,
)


class Consumers(Table):
    """The consumers of the group."""

    count: ConsumerCount = Field(2, description="how many")
    concurrency: Tasks = Field(1, description="deliveries that one consumer works on at a time")
    handler: Literal["reentrant", "plain"] = Field(
        "reentrant", description="whether the handler enters the engine again for an event that the engine hands it"
    )
    handler_time: Delay = Field("5ms", validate_default=True, description="how long a handler runs")
    handler_failure: Probability = Field(0.0, description="probability that a handler raises")
    sweep_interval: Duration = Field(
        Terms().sweep_interval, gt=0, description="time between two sweeps for overdue followers"
    )
    start: Delay = Field("0s", validate_default=True, description="when each consumer starts")
    restart: Literal["always", "on-failure", "never"] = Field(
        "always", description="whether a program that has ended by itself is started again"
    )
    restart_delay: Duration = Field(
        1_000_000, gt=0, description="how long after that; doubled each time until it has handled something"
    )
    engines: Mapping[str, str | Mapping[str, str]] = Field(
        {},
        description="consumers that run another engine than the one under test: the engine, by consumer;"
        ' or by the engine under test: { c2 = { prefect = "prefect@0.2.8" } }, and any other has c2 to itself',
    )

    @model_validator(mode="after")
    def _tasks_are_not_too_many(self) -> Self:
        if (tasks := self.count * self.concurrency) > MAX_TASKS:
            raise ValueError(
                f"'count' times 'concurrency' are {tasks:,} tasks; at most {MAX_TASKS:,} can be, since {TASKS_COST}"
            )
        return self

    def engine_of(self, consumer: str, tested: str) -> str:
        """Return the engine that a consumer runs while some engine is under test."""
        chosen = self.engines.get(consumer, tested)
        return chosen if isinstance(chosen, str) else chosen.get(tested, tested)
