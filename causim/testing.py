"""For tests of a user's own engine: a decorator that runs a test on scenarios and seeds.

from causim.testing import scenarios
from mine import MyEngine

@scenarios("late-leader", "duplicates", "scenarios/ours.toml", seeds=5)
def test_my_engine(causim_verify, scenario, seed):
    causim_verify(scenario, seed, engine=MyEngine)
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest


def scenarios(*given: str | Path, seeds: int | Iterable[int] = 1) -> pytest.MarkDecorator:
    """Run a test once for each scenario and seed, which it gets as the arguments `scenario` and `seed`.

    Args:
        given: names of shipped scenarios, or paths of files.
        seeds: their number, from 1 on, or the seeds themselves.

    Raises:
        ValueError: no scenario is given.
    """
    if not given:
        raise ValueError("scenarios() needs a scenario: the name of a shipped one, or the path of a file")
    which = range(1, seeds + 1) if isinstance(seeds, int) else list(seeds)
    cases = [
        pytest.param(scenario, seed, id=f"{Path(scenario).stem}-{seed}", marks=pytest.mark.causim)
        for scenario in given
        for seed in which
    ]
    return pytest.mark.parametrize(("scenario", "seed"), cases)
