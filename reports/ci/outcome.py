"""The outcome of a scenario, as one plain record for build servers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Outcome:
    """The verdict on one scenario with one engine, on one seed or on many."""

    scenario: str
    engine: str
    seed: int
    """The seed that the verdict is about: of many, the first that was violated, else the first."""
    verdict: str
    """`holds`, `violated` or `unknown`."""
    because: str = ""
    """Why it is not `holds`, in a sentence."""
    replay: str = ""
    """The command that runs it again."""
    seconds: float = 0.0
    """How long it took, by the clock on the wall."""
    invariant: str = ""
    """The first invariant that was violated."""
    seeds: int = 1
    """How many seeds were run."""
    story: tuple[str, ...] = ()
    """The steps that led there, one line each."""
    rests: str = ""
    """Which invariants the verdict rests on, and which could not be judged and why."""
    covered: str = ""
    """What the runs covered, in a sentence; empty if there was one run."""

    outside: str = ""
    """What was reached outside of the runs, as the scenario allows; empty if nothing."""

    @property
    def name(self) -> str:
        """The scenario and what was run of it: `late-leader [seed 4]`, `late-leader [300 seeds]`."""
        return f"{self.scenario} [seed {self.seed}]" if self.seeds == 1 else f"{self.scenario} [{self.seeds:,} seeds]"
