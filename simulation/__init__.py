"""The harness: it drives virtual consumers against a real engine on a real Redis in virtual time, and judges.

The public facade: `load` a scenario, or make one of your own log with `import_log`; `run` it and look at the `Run`;
`hunt` for a seed that violates something and `shrink` what you found; `sweep` over a grid of its values.
`docs/glossary.md` has the words of the project.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from simulation.api import Hunt, Shrunk, Sweep, hunt, shrink, sweep
    from simulation.history.history import History
    from simulation.invariants import judge
    from simulation.scenario.import_log import import_log
    from simulation.scenario.load import load, loads
    from simulation.scenario.model import Scenario
    from simulation.world.laboratory import Laboratory, run
    from simulation.world.run import Run

_HOMES = {
    "History": "simulation.history.history",
    "Hunt": "simulation.api",
    "Laboratory": "simulation.world.laboratory",
    "Run": "simulation.world.run",
    "Scenario": "simulation.scenario.model",
    "Shrunk": "simulation.api",
    "Sweep": "simulation.api",
    "hunt": "simulation.api",
    "import_log": "simulation.scenario.import_log",
    "judge": "simulation.invariants",
    "load": "simulation.scenario.load",
    "loads": "simulation.scenario.load",
    "run": "simulation.world.laboratory",
    "shrink": "simulation.api",
    "sweep": "simulation.api",
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

    from causim.own_packages import what_hides  # in every process that imports it

    if sentence := what_hides():
        raise ImportError(f"causim: {sentence}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
