"""The shipped scenarios say what they expect of each engine; here it is checked, on a real redis-server."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from simulation import Laboratory, Scenario, load
from simulation.engines import QUEUE, UnknownEngine, resolve
from simulation.search.summary import Tally, summarise

SCENARIOS = sorted(Path("scenarios").rglob("*.toml"))
LARGE = {"many-consumers", "prefect-etl", "production"}
"""Scenarios of hundreds or thousands of events: one seed proves as much as many small ones."""
ONLY_ON_THE_SERVER = {"many-consumers", "production", "sentinel-failover", "cluster", "swarm-topologies"}
"""One is too large for fakeredis; the others have a failover or a cluster, of which fakeredis knows nothing."""
SEEDS_TO_CONVICT = 300
SEEDS_TO_HOLD = 5
"""More are run, up to the nightly number, as long as a seed is missing that exercises what the scenario is about."""
SEEDS_OF_A_NIGHT = 60
NEEDING_PREFECT = ("prefect", "drop-in")


def cases() -> list[Any]:
    found: list[Any] = []
    for path in SCENARIOS:
        for engine, expected in load(path).expected.items():
            marks = [pytest.mark.prefect] if engine.startswith(NEEDING_PREFECT) else []
            found.append(pytest.param(path, engine, expected, id=f"{path.stem}-{engine}", marks=marks))
    return found


HOLDING = [case for case in cases() if case.values[2] == "holds" and "@" not in case.values[1]]


def convicted_of(path: Path, engine: str) -> set[str]:
    """Return what another release is convicted of: it is run in a process of its own."""
    command = [sys.executable, "-m", "simulation", "run", str(path), "--engine", engine, "--json", "--no-results"]
    out = subprocess.run(
        [*command, "--seeds", str(SEEDS_TO_CONVICT), "--stop-after", "1"], capture_output=True, text=True, check=False
    )
    if "cannot be fetched" in out.stderr:
        pytest.skip(out.stderr.strip())
    return {violation["invariant"] for violation in json.loads(out.stdout)["violations"]}


def load_engine(name: str) -> None:
    """Load an engine of a fleet; skip the test if it is a release that cannot be fetched here."""
    try:
        resolve(name)
    except UnknownEngine as error:
        if "cannot be fetched" not in str(error):
            raise
        pytest.skip(str(error))


def load_queue(name: str) -> None:
    """Load a task queue; skip the test if it is not installed."""
    try:
        resolve(name)
    except UnknownEngine as error:
        pytest.skip(str(error))


@pytest.mark.parametrize(("path", "engine", "expected"), cases())
def test_a_scenario_is_as_it_says(
    path: Path, engine: str, expected: str | tuple[str, ...], laboratory: Laboratory
) -> None:
    scenario = load(path)
    prepare(scenario, engine)
    wanted = {expected} if isinstance(expected, str) else set(expected)
    if "@" in engine:
        assert wanted <= convicted_of(path, engine)
    elif wanted == {"holds"}:
        holds_for(SEEDS_TO_HOLD, scenario, engine, laboratory)
    elif wanted == {"unknown"}:
        tally = Tally()
        tally.add(summarise(laboratory.run(scenario, engine=engine)))
        assert tally.verdict(scenario.judge.require_coverage) == "unknown"
    else:
        convicts(scenario.expected[engine], scenario, engine, laboratory)


@pytest.mark.nightly
@pytest.mark.parametrize(("path", "engine", "expected"), HOLDING)
def test_a_scenario_holds_for_many_seeds(path: Path, engine: str, expected: str, laboratory: Laboratory) -> None:
    scenario = load(path)
    prepare(scenario, engine)
    holds_for(SEEDS_OF_A_NIGHT, scenario, engine, laboratory)


def prepare(scenario: Scenario, engine: str) -> None:
    """Load what the engines of a run need; skip the test if it cannot be had here."""
    if engine.startswith(NEEDING_PREFECT) and find_spec("prefect_redis") is None:
        pytest.skip("needs the prefect extra")
    if engine.startswith(QUEUE):
        load_queue(engine)
    for other in scenario.consumers.engines:
        load_engine(scenario.consumers.engine_of(other, engine))


def holds_for(seeds: int, scenario: Scenario, engine: str, laboratory: Laboratory) -> None:
    tally, required = Tally(), scenario.judge.require_coverage
    for seed in range(1, 2 if scenario.name in LARGE else SEEDS_OF_A_NIGHT + 1):
        tally.add(summarise(laboratory.run(scenario, seed, engine)))
        if tally.violations or (seed >= seeds and tally.verdict(required) == "holds"):
            break
    assert tally.verdict(required) == "holds", (tally.violations, tally.reasons, tally.missing)


def convicts(wanted: tuple[str, ...], scenario: Scenario, engine: str, laboratory: Laboratory) -> None:
    """Run seeds until the first of the named invariants is violated; until then only named ones may be."""
    violated: set[str] = set()
    for seed in range(1, 2 if scenario.name in LARGE else SEEDS_TO_CONVICT + 1):
        violated |= {one.invariant for one in summarise(laboratory.run(scenario, seed, engine)).violations}
        assert violated <= set(wanted), f"seed {seed} violates what the file does not expect"
        if wanted[0] in violated:
            return
    raise AssertionError(f"not convicted within {SEEDS_TO_CONVICT} seeds: {violated}")


@pytest.mark.parametrize(
    "path",
    [p for p in SCENARIOS if p.parent.name == "scenarios" and p.stem not in ONLY_ON_THE_SERVER],
    ids=lambda p: p.stem,
)
def test_both_stores_give_the_same_history(path: Path, laboratory: Laboratory, embedded: Laboratory) -> None:
    scenario = load(path)
    assert laboratory.run(scenario).digest == embedded.run(scenario).digest
