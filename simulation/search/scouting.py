"""A first look at a world that is to be explored: one run, first in, first out, that learns which scripts engines use.

A Redis on which engines have been running for a while knows their scripts. A world that begins with them explores the
engine's own races, and not for each of its scripts anew who sends it first.
"""

from __future__ import annotations

from collections.abc import Sequence

from simulation.scenario import Scenario
from simulation.steps import EVERYTHING, Exploration, Touched
from simulation.world import Laboratory


def scout(laboratory: Laboratory, scenario: Scenario, seed: int, engine: str) -> tuple[bytes, ...]:
    """Return the scripts that an engine sends in a run whose steps are taken in the order in which they arose."""
    from simulation.search.oracles import Listed

    found: dict[bytes, None] = {}

    def look(commands: Sequence[Sequence[bytes]], reply: bytes) -> Touched:
        for words in commands:
            match [bytes(word).upper() for word in words[:2]]:
                case [b"EVAL", _]:
                    found[bytes(words[1])] = None
                case [b"SCRIPT", b"LOAD"]:
                    found[bytes(words[2])] = None
        return {EVERYTHING: True}

    laboratory.run(scenario, seed, engine, exploration=Exploration(Listed(), footprint=look))
    return tuple(found)
