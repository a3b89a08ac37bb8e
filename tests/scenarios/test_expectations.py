"""The shipped scenarios say what they expect of each engine; here it is checked, on a real redis-server."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from simulation import Laboratory, load
from simulation.engines import QUEUE, UnknownEngine, resolve
from simulation.search.summary import Tally, summarise

SCENARIOS = sorted(Path("scenarios").rglob("*.toml"))
LARGE = {"many-consumers", "prefect-etl", "production"}
"""Scenarios of hundreds or thousands of events: one seed proves as much as many small ones."""
ONLY_ON_THE_SERVER = {"many-consumers", "production"}
"""One is too large for fakeredis, the other has a failover, of which fakeredis knows nothing."""
SEEDS_TO_CONVICT = 300
NEEDING_PREFECT = ("prefect", "drop-in")


def cases() -> list[object]:
    found: list[object] = []
    for path in SCENARIOS:
        for engine, expected in load(path).expected.items():
            marks = [pytest.mark.prefect] if engine.startswith(NEEDING_PREFECT) else []
            found.append(pytest.param(path, engine, expected, id=f"{path.stem}-{engine}", marks=marks))
    return found


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
    """Load an engine of a fleet; skip the test if it is a release that nobody can fetch here."""
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
    if engine.startswith(NEEDING_PREFECT) and find_spec("prefect_redis") is None:
        pytest.skip("needs the prefect extra")
    if engine.startswith(QUEUE):
        load_queue(engine)
    scenario = load(path)
    wanted = {expected} if isinstance(expected, str) else set(expected)
    if "@" in engine:
        assert wanted <= convicted_of(path, engine)
        return
    for other in scenario.consumers.engines:
        load_engine(scenario.consumers.engine_of(other, engine))
    tally = Tally()
    most = 1 if scenario.name in LARGE else 20 if wanted == {"holds"} else SEEDS_TO_CONVICT
    if wanted == {"unknown"}:
        tally.add(summarise(laboratory.run(scenario, engine=engine)))
        assert tally.verdict(scenario.judge.require_coverage) == "unknown"
        return
    for seed in range(1, most + 1):
        tally.add(summarise(laboratory.run(scenario, seed, engine)))
        if wanted != {"holds"} and wanted <= set(tally.violations):
            break
    if wanted == {"holds"}:
        assert tally.verdict(scenario.judge.require_coverage) == "holds", (
            tally.violations,
            tally.reasons,
            tally.missing,
        )
    else:
        assert wanted <= set(tally.violations), f"not convicted within {most} seeds: {tally.violations}"


@pytest.mark.parametrize(
    "path",
    [p for p in SCENARIOS if p.parent.name == "scenarios" and p.stem not in ONLY_ON_THE_SERVER],
    ids=lambda p: p.stem,
)
def test_both_stores_give_the_same_history(path: Path, laboratory: Laboratory, embedded: Laboratory) -> None:
    scenario = load(path)
    assert laboratory.run(scenario).digest == embedded.run(scenario).digest
