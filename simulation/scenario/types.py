"""The types of the keys of a scenario."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, InstanceOf, PlainSerializer

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


MAX_EVENTS = 10_000_000
"""Events of one scenario: a run of so many takes an hour, and several gigabytes."""

Count = Annotated[int, Field(ge=1, le=MAX_EVENTS)]

Few = Annotated[int, Field(ge=1, le=100_000)]
"""Number of consumers, or of tasks in each: each takes some ten kilobytes, and a connection or a task."""


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


Name = Annotated[str, Field(pattern=r"^[^\s/]+$", max_length=120), AfterValidator(_plain_name)]


Expectation = Annotated[Any, BeforeValidator(_expectation), EXPECTATION]
"""A verdict, invariants, a budget, or a table of those."""


class Table(BaseModel):
    """A table of a scenario: it cannot be changed, and knows all of its keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False, arbitrary_types_allowed=True, defer_build=True)
