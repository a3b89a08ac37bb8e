"""Checks that a scenario file does not by itself import code, read files outside of its folder, or reach real things.

Code is imported only for an engine that was named on the command line, or with `--trust`. A release of Prefect's engine
is fetched to be run; any engine of Prefect on the command line names it. The same holds for the engines of single
consumers, for the one that a fault upgrades them to, and for traces that lie elsewhere. Real sockets, subprocesses and
signals are allowed only with `--trust`: an engine that was named on the command line need not be one that may use them.
All of this holds also for the worlds of a swarm.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from simulation.cli import BadUsage
from simulation.cli.errors import naming
from simulation.cli.text import visible
from simulation.engines import UnknownEngine, resolve
from simulation.scenario.model import Scenario
from simulation.scenario.swarm import worlds

_RELEASE = "prefect@"


def check_trust(scenario: Scenario, file: Path, named: Sequence[str], *, trusted: bool = False) -> None:
    """Refuse a scenario that would import code or read files elsewhere.

    `named` are the engines that the command line names. Raises BadUsage that names the option that allows it.
    """
    if trusted:
        return
    with naming(file):
        for world in worlds(scenario):
            _check_world(world, file, named)


def _check_world(scenario: Scenario, file: Path, named: Sequence[str]) -> None:
    for key, engine in _engines(scenario, overridden=bool(named)):
        if imports_code(engine) and not _is_named(engine, named):
            raise BadUsage(
                f"{visible(str(file))}: key {key!r} would import code, {visible(repr(engine))}; if you know the file,"
                " name the engine yourself with --engine, or give --trust"
            )
        if engine not in named:
            _check_known(key, engine, file)
    if scenario.workload.kind == "trace":
        folder = Path(scenario.folder).resolve()
        trace = (folder / scenario.workload.file).resolve()
        if not trace.is_relative_to(folder):
            raise BadUsage(
                f"{visible(str(file))}: table [workload], key 'file' leads out of the scenario's folder, to"
                f" {visible(str(trace))}; copy the trace beside the scenario, or give --trust"
            )

    if not scenario.allow.allowance.is_empty:
        raise BadUsage(
            f"{visible(str(file))}: table [allow] lets the code under test reach what is real; if you know the file,"
            " give --trust"
        )


def _check_known(key: str, engine: str, file: Path) -> None:
    """Refuse an engine of the project that does not exist. The releases of Prefect are fetched only to run them."""
    if imports_code(engine):
        return
    try:
        resolve(engine)
    except UnknownEngine as error:
        raise BadUsage(f"{visible(str(file))}: key {key!r}: {error}") from None


def imports_code(engine: str) -> bool:
    """Return whether an engine's name is that of code which is imported, or fetched, to run it."""
    return engine.startswith(_RELEASE) or (":" in engine and not engine.startswith("mutant:"))


def _is_named(engine: str, named: Sequence[str]) -> bool:
    release = engine.startswith(_RELEASE)
    return engine in named or (release and any(f"{name}@".startswith(_RELEASE) for name in named))


def _engines(scenario: Scenario, *, overridden: bool) -> Iterator[tuple[str, str]]:
    if not overridden:
        yield "engine", scenario.engine
    for consumer, chosen in scenario.consumers.engines.items():
        names = [chosen] if isinstance(chosen, str) else chosen.values()
        yield from ((f"consumers.engines.{consumer}", name) for name in names)
    for number, fault in enumerate(scenario.faults, start=1):
        if (engine := getattr(fault, "engine", None)) is not None:  # such as that of an upgrade
            yield f"faults[{number}].engine", engine
