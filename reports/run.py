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
        """The history of the run."""

    @property
    def judgement(self) -> Judgement:
        """The judgement of the run."""

    @property
    def scenario_text(self) -> str:
        """The scenario as it was run, as text."""

    @property
    def replay(self) -> str:
        """The command that runs it again."""

    @property
    def searched(self) -> Sequence[str]:
        """The coverage of the search that has kept this run, line by line; empty if there was no search."""

    @property
    def silent_faults(self) -> Sequence[str]:
        """The faults of the scenario that never struck."""

    @property
    def commands(self) -> int | None:
        """Number of commands that consumers sent, without idle sweeps; `None` if it was not counted."""


class LikelihoodPlace(NamedTuple):
    """A place of a run, and the likelihood of its violation from there on."""

    at: int
    """Microseconds since the start of the run."""
    share: float
    """The share of continuations that violated the invariant."""
    low: float
    high: float
    """The interval around the share, at 95 %."""
    before: str
    """The next step of the run, in words."""


@dataclass(frozen=True, slots=True)
class Likelihood:
    """The likelihood of a run's violation along the way, in the order of the run."""

    invariant: str
    places: Sequence[LikelihoodPlace]
    certain: int | None = None
    """Index of the place from which on the violation was all but certain; None if it never was."""
