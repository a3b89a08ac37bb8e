"""The harness: it drives virtual consumers against a real engine on a real Redis in virtual time, and judges.

The public facade: `load` a scenario, `run` it, look at the `Run`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from simulation.history import History
    from simulation.invariants import judge
    from simulation.scenario import Scenario, load, loads
    from simulation.world import Laboratory, Run, run

_HOMES = {
    "History": "simulation.history",
    "Laboratory": "simulation.world",
    "Run": "simulation.world",
    "Scenario": "simulation.scenario",
    "judge": "simulation.invariants",
    "load": "simulation.scenario",
    "loads": "simulation.scenario",
    "run": "simulation.world",
}

__all__ = ["History", "Laboratory", "Run", "Scenario", "judge", "load", "loads", "run"]


def __getattr__(name: str) -> Any:
    # Late imports: `causim --help` must not wait for pydantic, redis and simpy.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)
