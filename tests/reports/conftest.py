from pathlib import Path

import pytest
from exported_histories import HISTORIES

from simulation import load

SCENARIOS = Path(__file__).parents[2] / "scenarios"
TRACED = {"late-leader": True, "crashing-consumers": False}


@pytest.fixture(scope="session")
def real_runs(embedded):
    """A run of a quiet scenario with its Redis commands, and one of a scenario full of faults."""
    return {
        name: embedded.run(load(SCENARIOS / f"{name}.toml"), 1, "native", trace=trace) for name, trace in TRACED.items()
    }


@pytest.fixture(params=[*HISTORIES, *TRACED])
def anything(request):
    """Each history that an export must cope with: hand-written, hostile, cut, and real."""
    if request.param in HISTORIES:
        return HISTORIES[request.param]()
    return request.getfixturevalue("real_runs")[request.param].history
