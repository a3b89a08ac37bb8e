"""Swarms: what is drawn depends on the seed alone, agrees with itself, is printed, and replays as an ordinary file."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from simulation import Laboratory, Scenario, load, loads
from simulation.cli import main
from simulation.scenario.errors import BadScenario
from simulation.scenario.swarm import check, draw

SHIPPED = Path("scenarios/swarm.toml")
SMALL = """
name = "small"
[workload]
kind = "chains"
[swarm.choose]
"workload" = [{ kind = "chains", length = 2 }, { kind = "fan-out", followers = 3 }]
"workload.order" = ["in-order", "reversed"]
"consumers.count" = [1, 2, 3]
[[swarm.faults]]
kind = "crash"
chance = 0.5
at = ["10ms", "20ms"]
"""


def small(more: str = "") -> Scenario:
    return loads(SMALL + more)


def test_seed_draws_one_world() -> None:
    """A seed always draws the same world and seeds draw different ones."""
    swarm = load(SHIPPED)
    worlds = [draw(swarm, seed).scenario for seed in range(100)]
    assert worlds == [draw(swarm, seed).scenario for seed in range(100)]
    assert len({json.dumps(world.written(), sort_keys=True) for world in worlds}) == 100
    assert draw(swarm, 3).options == draw(load(SHIPPED), 3).options


def test_drawing_does_not_change_the_swarm() -> None:
    swarm = small()
    before = swarm.model_copy(deep=True)
    for seed in range(20):
        draw(swarm, seed)
    assert swarm == before


def test_every_option_is_drawn() -> None:
    """Every option and every fault is drawn by some seed."""
    swarm = load(SHIPPED)
    assert swarm.swarm is not None
    worlds = [draw(swarm, seed) for seed in range(300)]
    drawn = {path: {json.dumps(world.options[path]) for world in worlds} for path in swarm.swarm.choose}
    for path, options in swarm.swarm.choose.items():
        if path not in ("policy.lookback", "policy.retention"):  # those are raised at times
            assert drawn[path] == {json.dumps(option) for option in options}
    kinds = Counter(fault["kind"] for world in worlds for fault in world.options["faults"])
    assert set(kinds) == {fault["kind"] for fault in swarm.swarm.faults}
    assert {len(world.options["faults"]) for world in worlds} >= {0, 1, 2, 3}


def test_new_option_changes_nothing_else() -> None:
    """A new option leaves the worlds as they were in everything else."""
    before = [draw(small(), seed).options for seed in range(30)]
    more = '[[swarm.faults]]\nkind = "stop"\nchance = 0.5\nat = ["1s", "2s"]\n'
    text = SMALL.replace("[swarm.choose]", '[swarm.choose]\n"broker.delay" = ["1ms", "2ms"]') + more
    after = [draw(loads(text), seed).options for seed in range(30)]
    assert any(fault["kind"] == "stop" for options in after for fault in options["faults"])
    for old, new in zip(before, after, strict=True):
        assert {path: new[path] for path in old if path != "faults"} == {p: old[p] for p in old if p != "faults"}
        assert [fault for fault in new["faults"] if fault["kind"] == "crash"] == old["faults"]


def test_policy_inequalities() -> None:
    """A policy keeps its inequalities whatever was drawn."""
    swarm = small().with_values(
        {"swarm.choose": {"policy.lookback": ["1s", "1h"], "policy.retention": ["10s", "2h"], "policy.lease": ["1s"]}}
    )
    worlds = [draw(swarm, seed) for seed in range(30)]
    policies = [world.scenario.policy for world in worlds]
    assert all(p.retention >= p.lookback >= 20_000_000 and p.in_flight_wait <= p.lease for p in policies)
    raised = [world for world in worlds if world.scenario.policy.retention == 3_600_000_000]
    assert raised  # 1h, which was never to choose from: raised from 10s, and what is printed is what is run
    assert {world.options["policy.retention"] for world in raised} == {"1h"}


@pytest.mark.parametrize(("kind", "more"), [("restart", 'keep = false\nat = "1s"'), ("flush", 'at = "1s"')])
def test_destructive_fault_allows_its_loss(kind: str, more: str) -> None:
    """A fault that destroys data comes with its allowed loss."""
    swarm = small(f'[[swarm.faults]]\nkind = "{kind}"\nchance = 0.5\n{more}\n')
    for seed in range(20):
        world = draw(swarm, seed).scenario
        destroys = kind in {fault.name for fault in world.faults}
        assert world.judge.allowed_loss == ((kind,) if destroys else ())


def test_harmless_restart_allows_none() -> None:
    """A restart that keeps its data allows no loss."""
    swarm = small('[[swarm.faults]]\nkind = "restart"\nchance = 1\nkeep = true\nat = "1s"\n')
    assert draw(swarm, 1).scenario.judge.allowed_loss == ()


def test_rings_do_not_lose_their_store() -> None:
    more = '[[swarm.faults]]\nkind = "flush"\nchance = 1\nat = "1s"\n'
    text = SMALL.replace('{ kind = "fan-out", followers = 3 }', '{ kind = "cycles", length = 2 }') + more
    worlds = [draw(loads(text), seed).scenario for seed in range(20)]
    lossy = {(world.workload.kind, "flush" in {fault.name for fault in world.faults}) for world in worlds}
    assert lossy == {("cycles", False), ("chains", True)}


def test_no_swarm() -> None:
    """A scenario that is no swarm is its own world."""
    scenario = load("scenarios/late-leader.toml")
    assert draw(scenario, 7).scenario is scenario


def test_run_and_replay(tmp_path: Path, laboratory: Laboratory, capsys: Any) -> None:
    """The worlds are run and the concrete one is kept and replays."""
    (tmp_path / "small.toml").write_text(SMALL)
    out = tmp_path / "results"
    arguments = ["run", str(tmp_path / "small.toml"), "--engine", "null", "--seeds", "8", "--out", str(out)]
    assert main(arguments) == 1
    said = capsys.readouterr().out
    latest = out / "small" / "latest"
    verdict = json.loads((latest / "verdict.json").read_text())
    world = draw(small(), verdict["seed"])
    assert verdict["drawn"] == dict(world.options)
    assert f"drawn     consumers.count = {world.options['consumers.count']}" in said
    kept = load(latest / "scenario.toml")
    assert kept.swarm is None
    assert laboratory.run(kept).digest == verdict["digest"]


def test_a_single_seed_prints_what_it_drew(tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "small.toml").write_text(SMALL)
    main(["run", str(tmp_path / "small.toml"), "--seed", "4", "--no-results"])
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("  drawn ")]
    options = draw(small(), 4).options
    assert len(lines) == len(options) - 1 + len(options["faults"])


@pytest.mark.parametrize(
    ("more", "complaint"),
    [
        ('"broker.delay" = []', "nothing to choose from"),
        ('"broker.dorp" = [0.1]', "there is no such key; did you mean 'drop'?"),
        ('"consumers.count" = [2, 0]', "table [swarm.choose], consumers.count = 0: table [consumers], key 'count'"),
        ('"policy.lookback" = ["soon"]', "table [policy]"),
        ("[[swarm.faults]]\nkind = 'crash'\nchance = 2", "must be above 0 and at most 1, not 2"),
        ("[[swarm.faults]]\nkind = 'crash'", "table [swarm.faults[1]]"),
        ("[[swarm.faults]]\nkind = 'crash'\nat = ['1s', 'soon']", "table [swarm.faults[1]]"),
        ("[[swarm.faults]]\nkind = 'crash'\nat = []", "'at' of fault 1 has nothing to choose from"),
    ],
)
def test_impossible_option(more: str, complaint: str) -> None:
    """An option that cannot be had is found before any run."""
    text = f'name = "x"\n[workload]\nkind = "chains"\n[swarm.choose]\n{more}\n'
    with pytest.raises(BadScenario, match=complaint.replace("[", r"\[").replace("?", r"\?").replace("]", r"\]")):
        check(loads(text))


def test_the_shipped_swarm_can_be_had_whole() -> None:
    check(load(SHIPPED))
