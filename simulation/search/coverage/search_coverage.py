"""The coverage of the runs of one search, and whether more of them would try anything new."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from simulation.search.coverage.behaviour import MAX_ENTRIES, BehaviourReader
from simulation.search.coverage.event_model import TRANSITIONS, EventModel
from simulation.search.coverage.unseen import SIDE, Unseen, unseen, upper_bound
from simulation.world.run import Run

LAST = 100
"""Number of last runs of which the new ones are counted."""

SATURATED = 0.01
"""The unseen mass below which a search is saturated, by the upper end of its interval."""


@dataclass(frozen=True, slots=True)
class RunCoverage:
    """The coverage of one run."""

    behaviour: int | None = None
    """The fingerprint of the run; None if the run is too long to be compared."""
    transitions: Mapping[str, int] = field(default_factory=dict)
    faults_by_state: Mapping[str, int] = field(default_factory=dict)
    """Faults by the state of the events that they concerned."""


def coverage_of(run: Run) -> RunCoverage:
    """Return the coverage of a run; empty for a run with more than MAX_ENTRIES entries."""
    if len(run.history) > MAX_ENTRIES:
        return RunCoverage()
    model = EventModel()
    reader = BehaviourReader(model)
    for entry in run.history:
        reader.add(entry)
        model.add(entry)
    behaviour = reader.fingerprint(run.requests) if run.requests.complete else None
    return RunCoverage(behaviour, dict(model.transitions), dict(model.faults_by_state))


@dataclass(slots=True)
class SearchCoverage:
    """The coverage of all runs of a search. It grows by 16 bytes a run, and by each distinct behaviour."""

    seeds: array[int] = field(default_factory=lambda: array("q"))
    behaviours: array[int] = field(default_factory=lambda: array("Q"))
    """The behaviour of each run that could be compared, in the order of arrival; its seed is in `seeds`."""
    times: Counter[int] = field(default_factory=Counter)
    """Number of runs that showed each behaviour."""
    transitions: Counter[str] = field(default_factory=Counter)
    faults_by_state: Counter[str] = field(default_factory=Counter)
    _new: array[int] = field(default_factory=lambda: array("b"))
    _look: int = LAST
    """Number of runs at which to estimate the unseen mass for `saturated` again."""
    _looks: int = 0
    """Number of looks so far that could have ended the search."""
    _high: float = 1.0

    def add(self, seed: int, covered: RunCoverage) -> bool:
        """Count one more run; return whether it showed a new behaviour."""
        self.transitions.update(covered.transitions)
        self.faults_by_state.update(covered.faults_by_state)
        if covered.behaviour is None:
            return False
        fresh = covered.behaviour not in self.times
        self.times[covered.behaviour] += 1
        self.seeds.append(seed)
        self.behaviours.append(covered.behaviour)
        self._new.append(fresh)
        return fresh

    @property
    def distinct(self) -> int:
        """Number of distinct behaviours."""
        return len(self.times)

    @property
    def new_lately(self) -> int:
        """Number of the last hundred runs that showed a behaviour that none before had shown."""
        return sum(self._new[-LAST:])

    @property
    def hit(self) -> int:
        """Number of the listed transitions that were hit."""
        return len(TRANSITIONS & self.transitions.keys())

    @property
    def never(self) -> list[str]:
        """The transitions that no run hit."""
        return sorted(TRANSITIONS - self.transitions.keys())

    def unseen(self) -> Unseen | None:
        """Estimate the unseen mass. Meaningful only for runs that were drawn independently.

        The runs are put in the order of their seeds, so the estimate does not depend on which worker was faster.
        """
        order = sorted(range(len(self.seeds)), key=self.seeds.__getitem__)
        return unseen([self.behaviours[place] for place in order])

    def saturated(self, share: float = SATURATED) -> bool:
        """Whether the next run shows a new behaviour with a probability below `share`, with 97.5 % confidence.

        A search that ends at the first look that pleases errs as often as any of its looks does. So it looks only
        when there are a quarter more runs than the last time, and the looks share the probability of an error: the
        k-th has 1/k(k+1) of it. One that could not end the search, whatever the runs have shown, takes none.
        """
        runs = len(self.behaviours)
        if runs >= self._look:
            self._look = runs * 5 // 4 + 1
            error = SIDE / ((self._looks + 1) * (self._looks + 2))
            if upper_bound(0, runs - runs // 2, error) < share:
                self._looks += 1
                estimate = unseen(self.behaviours, error)
                self._high = 1.0 if estimate is None else estimate.high
        return self._high < share

    def record(self, *, independent: bool) -> dict[str, Any]:
        """Return the coverage as JSON values; the estimate is null unless the runs were drawn independently."""
        estimate = self.unseen() if independent else None
        return {
            "runs": len(self.behaviours),
            "behaviours": self.distinct,
            "new_in_last_hundred": self.new_lately,
            "unseen": None
            if estimate is None
            else {"estimate": estimate.estimate, "low": estimate.low, "high": estimate.high},
            "transitions": dict(sorted(self.transitions.items())),
            "never_hit": self.never,
            "faults_by_state": dict(sorted(self.faults_by_state.items())),
        }
