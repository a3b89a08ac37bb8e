"""The attributes that the reports read of a run. Nothing here is computed.

The reports import no world and no engine: any object with these attributes can be reported on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from simulation.history.history import History
from simulation.invariants import Judgement


class RunLike(Protocol):
    """One run of a scenario, as far as a report shows it."""

    @property
    def history(self) -> History:
        """What happened."""

    @property
    def judgement(self) -> Judgement:
        """What the judge makes of it."""

    @property
    def scenario_text(self) -> str:
        """The scenario as it was run, as text."""

    @property
    def replay(self) -> str:
        """The command that runs it again."""

    @property
    def searched(self) -> Sequence[str]:
        """What the search covered that this run is kept of, line by line; empty if there was no search."""

    @property
    def commands(self) -> int | None:
        """How many commands consumers sent, without idle sweeps; `None` if it was not counted."""


class LikelihoodPlace(NamedTuple):
    """A place of a run, and how likely its violation was from there on."""

    at: int
    """Microseconds since the start of the run."""
    share: float
    """The share of continuations that violated the invariant."""
    low: float
    high: float
    """The interval around the share, at 95 %."""
    before: str
    """What happened next in the run."""


@dataclass(frozen=True, slots=True)
class Likelihood:
    """How likely a run's violation was along the way, in the order of the run."""

    invariant: str
    places: Sequence[LikelihoodPlace]
    certain: int | None = None
    """From which of the places on the violation was all but certain; None if it never was."""
