"""A first look at a world that is to be explored: one run, first in, first out, that collects the inputs of a search.

A Redis on which engines have been running for a while knows their scripts. A world that begins with them explores the
engine's own races, and not, for each of its scripts, which consumer sends it first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from simulation.kernel.dependence import CHANGED, EVERYTHING, Touched
from simulation.scenario.model import Scenario
from simulation.search.explore.samplers import words
from simulation.search.explore.schedulers import Listed
from simulation.world.laboratory import Laboratory
from simulation.world.scheduling import Exploration


@dataclass(frozen=True, slots=True)
class Probe:
    """The result of a first look."""

    scripts: tuple[bytes, ...]
    """The scripts that the engine sends."""
    steps: int
    """Number of steps of the run."""
    actors: int
    """Number of consumers and events that took them."""
    taken: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """Number of steps of each actor, by the words of `samplers.words`."""
    seed: int = 0
    """The seed of the run that was looked at."""


def probe(laboratory: Laboratory, scenario: Scenario, seed: int, engine: str) -> Probe:
    """Run a scenario with its steps taken in the order in which they arose, and return the result."""
    found: dict[bytes, None] = {}

    def look(commands: Sequence[Sequence[bytes]], reply: bytes) -> Touched:
        for command in commands:
            match [bytes(word).upper() for word in command[:2]]:
                case [b"EVAL", _]:
                    found[bytes(command[1])] = None
                case [b"SCRIPT", b"LOAD"]:
                    found[bytes(command[2])] = None
        return {EVERYTHING: CHANGED}

    run = laboratory.run(scenario, seed, engine, exploration=Exploration(Listed(), footprint=look))
    assert run.steps is not None
    taken = [step for step in run.steps.taken if step.kind != "time"]
    counts = Counter((step.who, word) for step in taken for word in words(step) if word)
    return Probe(tuple(found), len(taken), len({step.who for step in taken}), counts, seed)
