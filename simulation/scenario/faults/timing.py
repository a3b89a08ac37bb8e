"""When a fault strikes: at moments, at the k-th command or handler step, or by chance. What all families share."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, model_validator

from simulation.kernel.durations import format_duration, parse_duration
from simulation.scenario.json_forms import DURATION, OFFSET
from simulation.scenario.types import costs


def _parse_offset(given: object) -> int:
    if isinstance(given, str) and given.strip().startswith("-"):
        return -parse_duration(given.strip()[1:])
    return parse_duration(given)


def _format_offset(microseconds: int) -> str:
    return f"-{format_duration(-microseconds)}" if microseconds < 0 else format_duration(microseconds)


Duration = Annotated[int, BeforeValidator(parse_duration), PlainSerializer(format_duration), DURATION]
"""Microseconds, written as "250ms"."""

Offset = Annotated[
    int,
    BeforeValidator(lambda given: given if type(given) is int else _parse_offset(given)),
    PlainSerializer(_format_offset),
    OFFSET,
]
"""Microseconds in either direction, written as "250ms" or "-250ms"."""

Probability = Annotated[float, Field(ge=0, le=1)]

MAX_TIMES = 100_000
Times = Annotated[
    int, Field(ge=1, le=MAX_TIMES), costs("each takes a millisecond, and two entries of the history or more")
]
"""How often a fault may strike."""


class AnyFault(BaseModel):
    """What every fault is: data that cannot change."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, defer_build=True)

    @property
    def name(self) -> str:
        """The kind of the fault, as files write it."""
        return str(type(self).model_fields["kind"].default)

    example: ClassVar[str] = ""
    """A scenario with the fault, as TOML: the reference shows it and a test runs it."""

    topologies: ClassVar[tuple[str, ...]] = ("single", "sentinel", "cluster")
    """The kinds of topology in which it can strike."""

    @property
    def loses_data(self) -> bool:
        """Whether it can destroy data in Redis or the queue: scenarios that are drawn allow what it takes with it."""
        return False

    @classmethod
    def recipe(cls, tools: Any) -> Any:
        """Return a Hypothesis strategy for the keys of the fault, made with the tools of `simulation.strategies`."""
        raise NotImplementedError(f"{cls.__name__} has no recipe: scenarios that are drawn cannot have it")

    @property
    def span(self) -> int:
        """How long after it has struck the fault may still be at work, in microseconds."""
        return int(getattr(self, "duration", 0))


class TimedFault(AnyFault):
    """Something that happens at a moment: `at`, then `every`; or at the `nth` command or handler step of the run."""

    at: Duration | None = Field(None, description="when it strikes first")
    every: Duration | None = Field(None, gt=0, description="strike again after each such period")
    times: Times = Field(1, description="how often it strikes in all, if `every` is given")
    command: str = Field("", description='strike at a command like this instead: "EVALSHA *", "SET *:processing:*"')
    step: Literal["", "start", "end"] = Field("", description="strike when a handler starts or ends instead")
    nth: int = Field(1, ge=1, description="which of those commands or handler steps it is")
    when: Literal["before", "after"] = Field("after", description="just before that command or step, or just after it")
    duration: Duration = Field(0, alias="for", description="how long until it heals")

    @model_validator(mode="after")
    def _has_one_moment(self) -> Self:
        given = [key for key in ("at", "command", "step") if getattr(self, key) not in (None, "")]
        if len(given) != 1:
            said = f"both '{given[0]}' and '{given[1]}'" if given else "none of them"
            raise ValueError(f"give one of 'at', 'command' and 'step' to say when it strikes; {said} is given")
        if self.times > 1 and self.every is None:
            raise ValueError(f"'times' is {self.times}, but 'every' does not say how far apart; give 'every' too")
        if self.every is not None and self.at is None:
            raise ValueError("'every' counts from 'at'; give 'at' too")
        return self

    @property
    def moments(self) -> list[int]:
        """When it strikes, if that is known beforehand."""
        return [] if self.at is None else [self.at + i * (self.every or 0) for i in range(self.times)]


class Chance(AnyFault):
    """Something that happens to many things: those that match, the `nth` of them or each with a probability."""

    probability: Probability = Field(1.0, description="probability for each that matches")
    nth: int | None = Field(None, ge=1, description="strike only the nth that matches")
    begin: Duration = Field(0, alias="from", description="strike only from this moment on")
    until: Duration | None = Field(None, description="strike only before this moment")

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        if self.nth is not None and self.probability != 1.0:
            raise ValueError("'nth' names one, 'probability' draws among many: give one of the two")
        if self.until is not None and self.until <= self.begin:
            raise ValueError("it must begin ('from') before it ends ('until')")
        if self.probability == 0:
            raise ValueError("with a 'probability' of 0 it never strikes; leave the fault out")
        return self

    def is_on(self, now: int) -> bool:
        """Return whether the fault may strike at `now` microseconds."""
        return self.begin <= now and (self.until is None or now < self.until)


class EventChance(Chance):
    """Something that happens to events."""

    event: str = Field("*", description="which events: a pattern of names")
    only: Literal["all", "leaders", "followers"] = Field(
        "all", description="which of those: all, those that others follow, or those that follow another"
    )

    def concerns(self, name: str, *, follows: bool, leads: bool) -> bool:
        """Return whether the fault may strike this event."""
        wanted = {"all": True, "leaders": leads, "followers": follows}[self.only]
        return wanted and fnmatchcase(name, self.event)


def describe(fault: AnyFault) -> dict[str, Any]:
    """Return the fault as a file writes it, without what is left at its default."""
    return {"kind": fault.name, **fault.model_dump(mode="json", by_alias=True, exclude_defaults=True)}
