"""Crash points: which there are, that each strikes exactly there, what survives, and what the command says of it."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from collections import Counter
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from reports.figures.fault_point_figure import crashes_figure
from simulation import Laboratory, Scenario, load, loads
from simulation.cli import main
from simulation.search.sweep.fault_points import (
    KINDS,
    FaultPointSweep,
    Trial,
    find_points,
    inject_at,
    inject_everywhere,
)

SMALL = Path("scenarios/leader-follower.toml")
HERE = "tests.simulation.engines"
FAULTY = """
name = "faulty"
workload.events = [{ name = "a" }, { name = "b", follows = "a", at = "1ms" }, { name = "c", at = "20s" }]
judge.heal_after = "100ms"
[[faults]]
kind = "request-lost"
match = "EVALSHA begin *"
nth = 2
"""


def sweep_of(
    laboratory: Laboratory, kind: str, scenario: Scenario | None = None, engine: str = "native"
) -> FaultPointSweep:
    return find_points(laboratory, scenario or load(SMALL), 1, engine, kind)


def outcomes(trials: list[Trial]) -> Counter[str]:
    return Counter(trial.outcome for trial in trials)


def test_points_before_and_after(laboratory: Laboratory) -> None:
    """Every packet and every handler step is a point before and after."""
    run = laboratory.run(load(SMALL), 1, trace=True)
    points = sweep_of(laboratory, "crash").points
    sent = [point for point in points if point.pattern]
    assert len(sent) == 2 * run.counts.round_trips
    assert Counter(point.when for point in sent) == {"before": run.counts.round_trips, "after": run.counts.round_trips}
    steps = Counter((point.what, point.when, *point.events) for point in points if not point.pattern)
    assert steps == {(what, when, e): 1 for what in ("start", "end") for when in ("before", "after") for e in "ab"}
    assert [point.number for point in points] == list(range(1, len(points) + 1))
    assert [point.at for point in points] == sorted(point.at for point in points)


@pytest.mark.parametrize("kind", ["reply-lost", "request-lost"])
def test_a_packet_is_lost_once_each_way(kind: str, laboratory: Laboratory) -> None:
    packets = laboratory.run(load(SMALL), 1).counts.round_trips
    assert len(sweep_of(laboratory, kind).points) == packets


@pytest.mark.parametrize("kind", KINDS)
def test_fault_strikes_at_its_point(kind: str, laboratory: Laboratory) -> None:
    """Each fault strikes at its moment and nothing differs before."""
    scenario = load("scenarios/late-leader.toml")
    first = laboratory.run(scenario, 1).history.entries
    for point in sweep_of(laboratory, kind, scenario).points[::5]:
        entries = laboratory.run(sweep_of(laboratory, kind, scenario).variant(point)).history.entries
        [place] = [i for i, entry in enumerate(entries) if entry.kind == "fault"]
        assert entries[:place] == first[:place], point
        assert (entries[place].consumer, entries[place].details["fault"]) == (point.consumer, kind)
        if point.when == "before" or not point.pattern or kind in ("reply-lost", "request-lost"):
            assert entries[place].at == point.at
        else:
            assert entries[place].at > point.at  # Redis executes it when it has arrived


@pytest.mark.parametrize("kind", ["crash", "pause", "reply-lost", "request-lost"])
def test_native_survives_leader_and_follower(kind: str, laboratory: Laboratory) -> None:
    """The native engine survives every point of a leader and its follower."""
    sweep = sweep_of(laboratory, kind)
    trials = list(inject_everywhere(sweep, laboratory))
    least = {"reply-lost": 5, "request-lost": 5}.get(kind, 9)  # a request or its reply, or before and after each
    assert len(trials) == len(sweep.points) > least
    assert outcomes(trials) == {"survived": len(sweep.points)}, [t for t in trials if t.outcome != "survived"]


def test_native_survives_reversed_chain(laboratory: Laboratory) -> None:
    """The native engine survives a crash anywhere in a reversed chain."""
    scenario = load("scenarios/reversed-chain.toml").with_values({"workload.length": 5})
    sweep = sweep_of(laboratory, "crash", scenario)
    assert outcomes(list(inject_everywhere(sweep, laboratory))) == {"survived": len(sweep.points)}


@pytest.mark.prefect
@pytest.mark.skipif(find_spec("prefect_redis") is None, reason="needs the prefect extra")
def test_prefect_strands_followers(laboratory: Laboratory) -> None:
    """A crash after the completion script strands Prefect's followers."""
    scenario = load("scenarios/late-leader.toml")
    sweep = sweep_of(laboratory, "crash", scenario, "prefect")
    assert sweep.verdict == "holds"
    # The leader's completion claims its followers and deletes them: a consumer that dies just then takes them along.
    [point] = [p for p in sweep.points if p.label == "EVAL c1.3" and p.when == "after"]
    trial = inject_at(sweep, point, laboratory)
    assert trial.outcome == "violated"
    assert {"prompt-release"} <= {violation.invariant for violation in trial.violations}
    [before] = [p for p in sweep.points if p.label == "EVAL c1.3" and p.when == "before"]
    assert inject_at(sweep, before, laboratory).outcome == "survived"


def test_fault_that_does_not_strike(laboratory: Laboratory) -> None:
    """A fault that does not strike is no survivor."""
    sweep = sweep_of(laboratory, "crash")
    point = sweep.points[-1]
    elsewhere = type(point)(point.number, point.at, point.consumer, "GET", 99, "before", "GET *")
    assert inject_at(sweep, elsewhere, laboratory).outcome == "missed"


def test_scenario_with_faults(laboratory: Laboratory) -> None:
    """A scenario with faults keeps them and is struck only until it heals."""
    sweep = sweep_of(laboratory, "crash", loads(FAULTY), "native")
    assert sweep.too_late > 0
    assert {"a", "b"} <= {event for point in sweep.points for event in point.events}
    trials = list(inject_everywhere(sweep, laboratory))
    assert outcomes(trials)["missed"] == 0
    for point in sweep.points:
        assert [fault.name for fault in sweep.variant(point).faults] == ["crash", "request-lost"]


def test_read_that_waits_at_the_end(laboratory: Laboratory) -> None:
    """A read that waits when the run ends has a point before it, and none behind it."""
    text = """
        name = "waiting"
        workload = { kind = "chains", count = 2, length = 1 }
        producer = { to = "list", key = "orders" }
        consumers.count = 1
        judge.preset = "queue"
    """
    sweep = sweep_of(laboratory, "crash", loads(text), "tests.simulation.programs:list_reader")
    reads = [(point.nth, point.when) for point in sweep.points if point.pattern.startswith("BLPOP")]
    assert reads == [(1, "before"), (1, "after"), (2, "before"), (2, "after"), (3, "before")]
    found = outcomes(list(inject_everywhere(sweep, laboratory)))
    assert not found["missed"]
    assert found["violated"]  # what was popped and not handled is lost


def test_default_pause(laboratory: Laboratory) -> None:
    """A pause is longer than a lease unless said otherwise."""
    scenario = load(SMALL)
    assert find_points(laboratory, scenario, 1, "native", "pause").duration > scenario.policy.lease
    assert find_points(laboratory, scenario, 1, "native", "pause", duration=1_000).duration == 1_000


def test_waits_before_inspection(laboratory: Laboratory) -> None:
    """A crash between an effect and its completion leaves a lease, which the sweep finds when it is over."""
    sweep = sweep_of(laboratory, "crash")
    [point] = [p for p in sweep.points if (p.what, p.when, p.events) == ("end", "after", ("b",))]
    run = laboratory.run(sweep.variant(point))
    assert run.verdict == "holds"
    assert run.counts.virtual > run.scenario.policy.lease


# -- the command -------------------------------------------------------------------------------------------------


def crashes(out: Path, *arguments: str) -> int:
    return main(["crashes", *arguments, "--out", str(out)])


def test_command_counts_and_draws(tmp_path: Path, capsys: Any) -> None:
    """The command says how many survived and draws it."""
    assert crashes(tmp_path, str(SMALL), "--fault", "reply-lost") == 0
    said = capsys.readouterr().out
    assert re.search(r"^  (\d+) of \1 survived$", said, re.M)
    [folder] = (tmp_path / "leader-follower" / "crashes").iterdir()
    assert (folder / "crashes.png").stat().st_size > 10_000
    assert set(pd.read_parquet(folder / "crashes.parquet")["outcome"]) == {"survived"}
    assert not list(folder.glob("*.toml"))


def test_command_shows_replay(tmp_path: Path, capsys: Any) -> None:
    """A point that did not survive is printed with a command that replays it."""
    # The control group keeps no order: it is violated with or without a crash, and the command says so.
    assert crashes(tmp_path, "scenarios/late-leader.toml", "--engine", "null") == 1
    said = capsys.readouterr().out
    assert "the run without the fault is violated already" in said
    assert re.search(r"violated  c\d, just (before|after) the handler of c1\.\d (start|end)s, at ", said)
    assert "because   the effect of event c1." in said
    replays = re.findall(r"replay    causim (run .+)", said)
    assert replays
    assert main([*shlex.split(replays[0]), "--out", str(tmp_path)]) == 1
    again = capsys.readouterr().out
    assert re.search(r"because   (.+)", said)[1] in again  # type: ignore[index]


def test_many_jobs_find_the_same_as_one(tmp_path: Path) -> None:
    for jobs in ("1", "2"):
        assert crashes(tmp_path / jobs, str(SMALL), "--fault", "request-lost", "--jobs", jobs) == 0
    frames = [pd.read_parquet(next((tmp_path / jobs).rglob("crashes.parquet"))) for jobs in ("1", "2")]
    assert frames[0].equals(frames[1])


def test_nothing_to_crash(tmp_path: Path, capsys: Any) -> None:
    """A run that has nothing to crash proves nothing."""
    (tmp_path / "x.toml").write_text('name = "x"\nworkload.events = [{ name = "a", published = false }]\n')
    assert crashes(tmp_path, str(tmp_path / "x.toml"), "--engine", f"{HERE}:MinimalEngine") == 5
    assert "0 of 0 survived" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--for", "3"], "--for: '3' is not a duration"),
        (["--for", "0s"], "must be longer than 0s"),
        (["--for", "1s", "--fault", "reply-lost"], "leave --for out"),
    ],
)
def test_bad_duration(options: list[str], complaint: str, tmp_path: Path, capsys: Any) -> None:
    """A duration that makes no sense exits with 4."""
    assert crashes(tmp_path, str(SMALL), *options) == 4
    assert complaint in capsys.readouterr().err


def test_ctrl_c_keeps_what_is_done(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "simulation", "crashes", "scenarios/reversed-chain.toml", "--out", str(tmp_path)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"}
    )
    assert process.stdout is not None
    while " of " not in (line := process.stdout.readline()) or "points\n" not in line.split(" of ")[-1]:
        assert line
    while "·" not in (line := process.stdout.readline()):
        assert line
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 2, err
    assert re.search(r"interrupted after \d+ of \d+ points", out)
    assert list(tmp_path.rglob("crashes.png"))
    assert "Traceback" not in err


# -- the picture -------------------------------------------------------------------------------------------------


def test_outcome_shapes() -> None:
    """Each outcome has a shape of its own and before is above after."""
    outcomes = ["survived", "violated", "unknown", "missed"]
    frame = pd.DataFrame(
        [
            {"point": n, "at_us": n * 1000, "consumer": f"c{n % 2 + 1}", "when": when, "outcome": o}
            for n, (o, when) in enumerate(((o, w) for o in outcomes for w in ("before", "after")), start=1)
        ]
    )  # fmt: skip
    [plot] = crashes_figure(frame, "x").axes
    drawn = {str(points.get_label()).split()[0]: points for points in plot.collections}
    assert set(drawn) == set(outcomes)
    assert len({points.get_paths()[0].vertices.tobytes() for points in drawn.values()}) == 4
    assert len({tuple(points.get_facecolor()[0]) for points in drawn.values()}) == 4
    for points in drawn.values():
        (_, before), (_, after) = points.get_offsets()
        assert before % 1 != after % 1
    assert [tick.get_text() for tick in plot.get_yticklabels()] == [
        "c1  just before", "c1  just after", "c2  just before", "c2  just after",
    ]  # fmt: skip
    assert {text.get_text() for text in plot.texts} == {str(n) for n in range(3, 9)}
