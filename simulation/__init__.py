"""The harness: it drives virtual consumers against a real engine on a real Redis in virtual time, and judges.

The public facade: `load` a scenario, or make one of your own log with `import_log`; `run` it and look at the `Run`;
`hunt` for a seed that violates something and `shrink` what you found; `sweep` over a grid of its values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from simulation.history import History
    from simulation.importing import import_log
    from simulation.invariants import judge
    from simulation.scenario import Scenario, load, loads
    from simulation.search.studies import Hunt, Shrunk, Sweep, hunt, shrink, sweep
    from simulation.world import Laboratory, Run, run

_HOMES = {
    "History": "simulation.history",
    "Hunt": "simulation.search.studies",
    "Laboratory": "simulation.world",
    "Run": "simulation.world",
    "Scenario": "simulation.scenario",
    "Shrunk": "simulation.search.studies",
    "Sweep": "simulation.search.studies",
    "hunt": "simulation.search.studies",
    "import_log": "simulation.importing",
    "judge": "simulation.invariants",
    "load": "simulation.scenario",
    "loads": "simulation.scenario",
    "run": "simulation.world",
    "shrink": "simulation.search.studies",
    "sweep": "simulation.search.studies",
}

__all__ = [
    "History",
    "Hunt",
    "Laboratory",
    "Run",
    "Scenario",
    "Shrunk",
    "Sweep",
    "hunt",
    "import_log",
    "judge",
    "load",
    "loads",
    "run",
    "shrink",
    "sweep",
]


def __getattr__(name: str) -> Any:
    # Late imports: `causim --help` must not wait for pydantic, redis and simpy.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)
