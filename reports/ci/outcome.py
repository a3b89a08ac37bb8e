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
    """Duration in seconds of real time."""
    invariant: str = ""
    """The first invariant that was violated."""
    seeds: int = 1
    """Number of seeds that were run."""
    story: tuple[str, ...] = ()
    """The steps that led there, one line each."""
    rests: str = ""
    """The invariants that the verdict rests on, and those that could not be judged, with the reasons."""
    covered: tuple[str, ...] = ()
    """The coverage of the runs, a sentence a line; empty if there was one run."""
    outside: str = ""
    """Things reached outside of the runs, as the scenario allows; empty if none."""
    silent: tuple[str, ...] = ()
    """The faults of the scenario that struck in no run."""

    @property
    def name(self) -> str:
        """The scenario and its seeds: `late-leader [seed 4]`, `late-leader [300 seeds]`."""
        return f"{self.scenario} [seed {self.seed}]" if self.seeds == 1 else f"{self.scenario} [{self.seeds:,} seeds]"
