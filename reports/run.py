"""The attributes that the reports read of a run. Nothing here is computed.

The reports import no world and no engine: any object with these attributes can be reported on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

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
