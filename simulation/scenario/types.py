"""The types of the keys of a scenario."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    InstanceOf,
    PlainSerializer,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)

from causim.counts import LAST_SEED
from simulation.kernel.durations import format_duration, parse_duration
from simulation.scenario.distributions import Distribution, parse_distribution
from simulation.scenario.json_forms import DISTRIBUTION, DURATION, EXPECTATION


def _expectation(given: object) -> object:
    if isinstance(given, list | tuple) and all(isinstance(word, str) for word in given):
        return tuple(given)
    if isinstance(given, str | dict):
        return given
    raise ValueError(f'{given!r} is no limit and no verdict; give a text such as "holds" or "<= 3", or a table')


Duration = Annotated[int, BeforeValidator(parse_duration), PlainSerializer(format_duration), DURATION]
"""Microseconds, written as "250ms" or "15m"."""


Delay = Annotated[
    InstanceOf[Distribution],
    BeforeValidator(lambda given: given if hasattr(given, "draw") else parse_distribution(given)),
    PlainSerializer(lambda distribution: distribution.written()),
    DISTRIBUTION,
]
"""A distribution of durations."""


Probability = Annotated[float, Field(ge=0, le=1)]


def costs(cost: str) -> WrapValidator:
    """Return what adds to the refusal of too large a number what larger ones would cost."""

    def check(given: Any, inner: ValidatorFunctionWrapHandler) -> Any:
        try:
            return inner(given)
        except ValidationError as error:
            refused = error.errors()[0]
            if refused["type"] != "less_than_equal":
                raise
            raise ValueError(f"must be at most {refused['ctx']['le']:,}; {cost}") from None

    return WrapValidator(check)


MAX_EVENTS = 10_000_000
EVENTS_COST = "each event takes about 1 KiB of memory, and so many take an hour"

Count = Annotated[int, Field(ge=1, le=MAX_EVENTS), costs(EVENTS_COST)]
"""Number of events, or of what is done with each."""

MAX_CONSUMERS = 10_000
ConsumerCount = Annotated[
    int, Field(ge=1, le=MAX_CONSUMERS), costs("each consumer takes about 30 KiB of memory, and its sweeps")
]
"""Number of consumers."""

MAX_TASKS = 100_000
TASKS_COST = "each task takes about 2 KiB of memory from the start"
Tasks = Annotated[int, Field(ge=1, le=MAX_TASKS), costs(TASKS_COST)]
"""Number of tasks of one consumer, or of the connections that they may have."""


Seed = Annotated[int, Field(ge=0, le=LAST_SEED)]


def _plain_name(name: str) -> str:
    """Refuse a name that is a place in a file system, reads like an option or an order to a CI, or cannot be printed.

    A CI takes a line that begins with `::` or `##` for its own.
    """
    if name in (".", "..") or name.startswith(("-", "::", "##")) or "\\" in name or not name.isprintable():
        raise ValueError(
            f"{name!a} cannot be a name: no '.', '..' or backslash, no leading '-', '::' or '##', and all printable"
        )
    return name


MAX_NAME = 120
Name = Annotated[str, Field(pattern=r"^[^\s/]+$", max_length=MAX_NAME), AfterValidator(_plain_name)]


Expectation = Annotated[Any, BeforeValidator(_expectation), EXPECTATION]
"""A verdict, invariants, a budget, or a table of those."""


class Table(BaseModel):
    """A table of a scenario: it cannot be changed, and knows all of its keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False, arbitrary_types_allowed=True, defer_build=True)
