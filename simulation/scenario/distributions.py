"""Distributions of durations, as a scenario file writes them. They hold parameters; the caller owns the stream.

delay = "5ms"                                              always the same
delay = { uniform = ["1ms", "9ms"] }
delay = { exponential = "5ms" }                            its mean
delay = { lognormal = { median = "5ms", sigma = 0.8 } }    sigma of the natural logarithm
delay = { empirical = ["1ms", "2ms", "40ms"] }             each as likely as the others
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from simulation.kernel.durations import format_duration, parse_duration
from simulation.kernel.random_streams import Stream

ACCEPTED = (
    'a duration such as "5ms", or one of { uniform = ["1ms", "9ms"] }, { exponential = "5ms" }, '
    '{ lognormal = { median = "5ms", sigma = 0.8 } }, { empirical = ["1ms", "2ms"] }'
)


@runtime_checkable
class Distribution(Protocol):
    """Something to draw durations from."""

    def draw(self, stream: Stream) -> int:
        """Return a duration in microseconds."""
        ...

    def written(self) -> Any:
        """Return the distribution as a scenario file writes it."""
        ...


@dataclass(frozen=True, slots=True)
class Constant:
    """Always the same duration. It draws nothing from its stream."""

    value: int

    def draw(self, stream: Stream) -> int:
        """Return the duration."""
        return self.value

    def written(self) -> Any:
        """Return it as text."""
        return format_duration(self.value)


@dataclass(frozen=True, slots=True)
class Uniform:
    """Every duration from `low` to `high` is equally likely."""

    low: int
    high: int

    def draw(self, stream: Stream) -> int:
        """Return a duration in [low, high]."""
        return self.low + stream.below(self.high - self.low + 1)

    def written(self) -> Any:
        """Return it as a table."""
        return {"uniform": [format_duration(self.low), format_duration(self.high)]}


@dataclass(frozen=True, slots=True)
class Exponential:
    """Short mostly, long now and then: the waiting time of a memoryless process."""

    mean: int

    def draw(self, stream: Stream) -> int:
        """Return a duration of at least 0."""
        return round(stream.exponential(self.mean))

    def written(self) -> Any:
        """Return it as a table."""
        return {"exponential": format_duration(self.mean)}


@dataclass(frozen=True, slots=True)
class Lognormal:
    """The usual shape of network and handler times: a hump and a long tail."""

    median: int
    sigma: float

    def draw(self, stream: Stream) -> int:
        """Return a duration of at least 0."""
        return round(stream.lognormal(self.median, self.sigma))

    def written(self) -> Any:
        """Return it as a table."""
        return {"lognormal": {"median": format_duration(self.median), "sigma": self.sigma}}


@dataclass(frozen=True, slots=True)
class Empirical:
    """One of the durations that were measured."""

    values: tuple[int, ...]

    def draw(self, stream: Stream) -> int:
        """Return one of the values."""
        return stream.choose(self.values)

    def written(self) -> Any:
        """Return it as a table."""
        return {"empirical": [format_duration(value) for value in self.values]}


def parse_distribution(given: object) -> Distribution:
    """Build a distribution from its value in a scenario file. Raises ValueError that names the accepted forms."""
    match given:
        case str() | int():
            return Constant(parse_duration(given))
        case {"constant": value, **rest} if not rest:
            return Constant(parse_duration(value))
        case {"uniform": [low, high], **rest} if not rest:
            bounds = parse_duration(low), parse_duration(high)
            if bounds[0] > bounds[1]:
                raise ValueError(
                    f"uniform must go from the smaller to the larger duration, not from {low:.60} to {high:.60}"
                )
            return Uniform(*bounds)
        case {"exponential": mean, **rest} if not rest:
            return Exponential(parse_duration(mean))
        case {"lognormal": {"median": median, "sigma": int() | float() as sigma, **more}, **rest} if not (rest or more):
            if not 0 <= sigma <= 10:
                raise ValueError(f"the sigma of a lognormal must be from 0 to 10, not {sigma}")
            return Lognormal(parse_duration(median), float(sigma))
        case {"empirical": [_, *_] as values, **rest} if not rest:
            return Empirical(tuple(parse_duration(value) for value in values))
        case _:
            raise ValueError(f"{repr(given)[:60]} is not {ACCEPTED}")
