from __future__ import annotations

import json
from pathlib import Path

import pytest

from simulation.cli import main
from simulation.scenario.load import load, loads
from simulation.search.explore.strategies import Strategy
from simulation.search.failure_database import MAX_SEEDS, Failures
from simulation.world.laboratory import Laboratory

SCENARIOS = Path(__file__).parents[3] / "scenarios"
BLOCKING = 'name = "blocking"\nworkload.events = [{ name = "a" }]\n'
BLOCKS = """
import time
from simulation.engines.native import NativeEngine

class Engine(NativeEngine):
    async def handle(self, event):
        time.sleep(0.5)
        await super().handle(event)
"""
ONE = loads('name = "one"\nworkload.events = [{ name = "a" }]')


def test_two_processes(capsys: pytest.CaptureFixture[str]) -> None:
    """The engine writes the same histories in two processes."""
    arguments = ["run", str(SCENARIOS / "crashing-consumers.toml"), "--seeds", "3", "--check-determinism"]
    assert main(arguments) == 0
    assert "3 seeds: the same histories in two processes" in capsys.readouterr().out


def test_what_hangs_on_the_hash_seed_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    engine = "tests.simulation.search.unsteady:Unsteady"
    arguments = ["run", str(SCENARIOS / "leader-follower.toml"), "--engine", engine, "--check-determinism"]
    assert main(arguments) == 1
    output = capsys.readouterr().out
    assert "seed 1: the histories of two processes differ" in output
    assert "  entry " in output


def test_current_folder_has_no_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A history with a line of code in it is the same in every folder, whether the code is causim's or the user's."""
    (tmp_path / "blocks_here.py").write_text(BLOCKS, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    scenario = loads(f'{BLOCKING}[[faults]]\nkind = "handler-blocks"\nprobability = 1.0\nby = "1s"\n')
    found = []
    for folder in (tmp_path, SCENARIOS, Path(__file__).parents[3]):
        monkeypatch.chdir(folder)
        with Laboratory("embedded") as laboratory:
            runs = [laboratory.run(scenario, 1, engine) for engine in ("native", "blocks_here:Engine")]
        found.append([(run.digest, {one.details["where"] for one in run.history.of("blocked")}) for run in runs])
    assert found[0] == found[1] == found[2]
    assert any(where.startswith("blocks_here.py:") for _, places in found[0] for where in places)


def test_failed_seeds_first(tmp_path: Path) -> None:
    """Seeds that failed are first the next time."""
    failures = Failures(ONE, "native", Strategy(), tmp_path / "deep" / "failures.json")
    assert failures.first(range(1, 5)) == [1, 2, 3, 4]
    failures.remember([3, 4], [1, 2, 3, 4])
    assert failures.first(range(1, 5)) == [3, 4, 1, 2]
    assert failures.first(range(1, 4)) == [3, 1, 2]
    failures.remember([], [3])
    assert failures.first(range(1, 5)) == [4, 1, 2, 3]
    assert Failures(ONE, "null", Strategy(), tmp_path / "deep" / "failures.json").first(range(4, 6)) == [4, 5]


def test_memory_is_bounded(tmp_path: Path) -> None:
    """What is remembered is bounded, and a broken file is begun again."""
    file = tmp_path / "failures.json"
    file.write_text("{ not json")
    failures = Failures(ONE, "native", Strategy(), file)
    failures.remember(range(1_000), range(1_000))
    assert [len(seeds) for seeds in json.loads(file.read_text()).values()] == [MAX_SEEDS]
    failures.remember([], range(1_000))
    assert json.loads(file.read_text()) == {}


def test_a_search_remembers_what_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = ["run", str(SCENARIOS / "reversed-chain.toml"), "--engine", "null", "--seeds", "2", "--quiet"]
    assert main([*arguments, "--no-results"]) == 1
    assert not (tmp_path / ".causim").exists()
    assert main(arguments) == 1
    assert list(json.loads((tmp_path / ".causim" / "failures.json").read_text()).values()) == [[1, 2]]


def test_last_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Last failed runs the seeds that failed until they are mended."""
    monkeypatch.chdir(tmp_path)
    scenario, file = SCENARIOS / "reversed-chain.toml", tmp_path / ".causim" / "failures.json"
    arguments = ["run", str(scenario), "--engine", "null", "--seeds", "4", "--json", "--last-failed"]

    def seeds_run() -> int:
        main(arguments)
        found: int = json.loads(capsys.readouterr().out)["seeds"]
        return found

    assert seeds_run() == 4  # none has failed so far
    file.write_text(json.dumps({key: [3] for key in json.loads(file.read_text())}))
    assert seeds_run() == 1
    key = next(iter(json.loads(file.read_text())))
    mended = load(scenario)
    Failures(mended, "native", Strategy()).remember([2, 3], [2, 3])
    assert main(["run", str(scenario), "--last-failed"]) == 0
    assert "the 2 of its seeds that failed before" in capsys.readouterr().out
    assert list(json.loads(file.read_text())) == [key]  # the engine that holds has none any more


def test_last_failed_is_no_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What failed before is no sample of all seeds."""
    monkeypatch.chdir(tmp_path)
    assert main(["run", str(SCENARIOS / "reversed-chain.toml"), "--last-failed", "--until-saturated"]) == 4
