"""Sweeps: axes as people write them, every combination once, right intervals, and going on where it stopped."""

import os
import re
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from statistics import mean, stdev

import pytest

from simulation import loads
from simulation.cli import main
from simulation.search.confidence import student, wilson
from simulation.search.summary import Tally
from simulation.search.sweep.answer import answers
from simulation.search.sweep.grid import BadAxis, Ledger, cells, parse_axis, row

SCENARIO = 'name = "x"\n[workload]\nkind = "chains"\nlength = 2\n'


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("broker.drop=0:0.2:0.05", (0, 0.05, 0.1, 0.15, 0.2)),
        ("consumers.count=1,2,5,20", (1, 2, 5, 20)),
        ("consumers.count=1:4:1", (1, 2, 3, 4)),
        ("policy.lookback=1m,15m", ("1m", "15m")),
        ("policy.lease=10s:30s:10s", ("10s", "20s", "30s")),
        ("workload.order=in-order,reversed", ("in-order", "reversed")),
    ],
)
def test_an_axis_is_read(text: str, values: tuple[object, ...]) -> None:
    assert parse_axis(text).values == values


@pytest.mark.parametrize("text", ["broker.drop", "broker.drop=", "=1", "a=1:0:1", "a=0:1:0", "a=0:1:x", "a=0:1:1e-9"])
def test_an_axis_that_is_not_one_is_refused(text: str) -> None:
    with pytest.raises(BadAxis):
        parse_axis(text)


def test_combinations() -> None:
    """Every combination is a scenario of its own."""
    grid = cells(loads(SCENARIO), [parse_axis("broker.drop=0,0.5"), parse_axis("consumers.count=1,2,3")])
    assert [(c.scenario.broker.drop, c.scenario.consumers.count) for c in grid] == [
        (0.0, 1), (0.0, 2), (0.0, 3), (0.5, 1), (0.5, 2), (0.5, 3),
    ]  # fmt: skip


def test_the_interval_of_a_rate_is_wilsons() -> None:
    assert [round(bound, 4) for bound in wilson(10, 100)] == [0.0552, 0.1744]
    assert wilson(0, 0) == (0.0, 1.0)


def test_the_interval_of_a_mean_is_students() -> None:
    assert [round(student(freedom), 2) for freedom in (9, 29, 1000)] == [2.26, 2.05, 1.96]
    heights = (3, 5, 4, 8, 5)
    (cell,) = cells(loads(SCENARIO), [])
    tally = Tally(runs=5, waiting=sum(heights), waiting_squared=sum(height**2 for height in heights))
    values = row(cell, tally, ())
    assert values["waitlist"] == mean(heights) == 5
    assert values["waitlist_high"] - 5 == pytest.approx(student(4) * stdev(heights) / 5**0.5)
    assert row(cell, Tally(runs=1, waiting=3, waiting_squared=9), ())["waitlist_low"] is None


def test_rate_with_interval() -> None:
    """What happens to an event twice leaves a rate an interval."""
    (cell,) = cells(loads(SCENARIO), [])
    values = row(cell, Tally(runs=1, followers=10, coverage=Counter(parked=12)), ())
    assert (values["parked_rate"], values["parked_high"]) == (1.2, pytest.approx(1.0))


def test_a_cell_says_why_it_proves_nothing(tmp_path: Path, capsys) -> None:
    (tmp_path / "x.toml").write_text(SCENARIO + '[judge]\nexercise = ["crashed", "handled"]\n')
    arguments = ["sweep", str(tmp_path / "x.toml"), "--vary", "consumers.count=1", "--seeds", "1", "--jobs", "1"]
    assert main([*arguments, "--out", str(tmp_path)]) == 5
    assert "unknown ('crashed' did not happen)" in capsys.readouterr().out


def test_a_ledger_survives_a_line_that_was_cut(tmp_path: Path) -> None:
    path = tmp_path / "cells.jsonl"
    Ledger(path).put("a", {"runs": 3})
    with path.open("a") as file:
        file.write('{"key": "b", "ro')
    again = Ledger(path)
    assert again.get("a") == {"runs": 3}
    assert again.get("b") is None
    again.put("b", {"runs": 4})
    again.put("c", {"runs": 5})
    assert [Ledger(path).get(key) for key in "abc"] == [{"runs": 3}, {"runs": 4}, {"runs": 5}]


def test_sweep_resumes(tmp_path: Path, capsys) -> None:
    """A sweep leaves a table and pictures and goes on where it stopped."""
    (tmp_path / "x.toml").write_text(SCENARIO + '[broker]\ndelay = "2ms"\n')
    arguments = [
        "sweep", str(tmp_path / "x.toml"), "--vary", "broker.drop=0,0.4", "--seeds", "5", "--jobs", "1",
        "--out", str(tmp_path),
    ]  # fmt: skip
    main([*arguments, "--engine", "null"])
    first = capsys.readouterr().out
    assert "1/2  broker.drop=0" in first
    assert "from an earlier sweep" not in first
    import pandas as pd

    table = pd.read_parquet(tmp_path / "x" / "sweep" / "sweep.parquet")
    assert list(table["broker.drop"]) == [0.0, 0.4]
    assert list(table["runs"]) == [5, 5]
    assert (table["lost_rate"] <= table["lost_high"]).all()
    assert (tmp_path / "x" / "sweep" / "latency-p50.png").stat().st_size > 10_000
    main([*arguments, "--engine", "null"])
    assert capsys.readouterr().out.count("from an earlier sweep") == 2


def test_ctrl_c_during_start(tmp_path: Path) -> None:
    """Ctrl-C while workers start leaves a table and no traceback."""
    (tmp_path / "x.toml").write_text(SCENARIO)
    process = subprocess.Popen(
        [
            sys.executable, "-m", "simulation", "sweep", str(tmp_path / "x.toml"), "--vary", "consumers.count=1:50:1",
            "--engine", "null", "--seeds", "1", "--jobs", "2", "--store", "embedded", "--out", str(tmp_path),
        ],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline().startswith("1/50")
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the workers too
    _, said = process.communicate(timeout=120)
    assert process.returncode == 2, said
    assert "Traceback" not in said
    assert re.search(r"stopped; \d+ of 50 cells are done, the same command does the rest", said)
    assert (tmp_path / "x" / "sweep" / "sweep.parquet").exists()


def sentences(*violating: int, runs: int = 40) -> list[str]:
    """Return what a sweep over consumers.count=1,2,… answers in which so many runs of each cell were violated."""
    axis = parse_axis(f"consumers.count=1:{len(violating)}:1")
    grid = cells(loads(SCENARIO), [axis])
    rows = [row(cell, Tally(runs=runs, violating=count), ()) for cell, count in zip(grid, violating, strict=True)]
    return list(answers(rows, [axis.path]))


@pytest.mark.parametrize(
    ("events", "ends"), [(1, (False, False)), (100, (True, False)), (367, (True, False)), (1_000, (True, True))]
)
def test_few_events_give_no_end_of_an_interval(events: int, ends: tuple[bool, bool]) -> None:
    """Of 100 events, the slowest may be faster than the 99th percentile: 0.99 to the 368th is below 0.025."""
    tally = Tally(runs=4, events=events)
    tally.latencies.update(range(1_000, 1_000 + events))
    values = row(cells(loads(SCENARIO), [])[0], tally, ())
    assert (values["latency_p99_low_us"] is not None, values["latency_p99_high_us"] is not None) == ends
    assert (values["latency_p99_low_us"] or 0) <= values["latency_p99_us"]
    assert values["latency_p99_us"] <= (values["latency_p99_high_us"] or 1_000 + events)


@pytest.mark.parametrize(
    ("events", "said"), [(40, "too few events for 95 % intervals"), (4_000, "if events are independent of each other")]
)
def test_what_a_latency_answers(events: int, said: str) -> None:
    axis = parse_axis("consumers.count=1,2")
    rows = []
    for cell, slowest in zip(cells(loads(SCENARIO), [axis]), (50_000, 8_000_000), strict=True):
        tally = Tally(runs=4, events=events)
        tally.latencies.update({20_000: events * 9 // 10, slowest: events // 10})
        rows.append(row(cell, tally, ()))
    assert said in list(answers(rows, [axis.path]))[-1]


def test_difference_and_chance() -> None:
    assert sentences(0, 10, 20)[0] == (
        "violated runs: from 0.0% at consumers.count=1 to 50.0% at consumers.count=3; "
        "their 95 % intervals do not overlap"
    )
    assert "from 0.0% at consumers.count=1 to 2.5% at consumers.count=2; that may be chance" in sentences(0, 1)[0]
    assert "do not overlap" in sentences(0, 100, runs=4_000)[0]  # the same share of more runs
    assert sentences(0, 0)[0] == "violated runs: 0.0% in all 2 combinations; their 95 % intervals go up to 8.8%"
    assert sentences(3) == []


def test_a_sweep_ends_with_its_answer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x.toml").write_text(SCENARIO.replace("length = 2", 'order = "reversed"\ninterval = "1ms"'))
    vary = ["--vary", "consumers.handler_time=0s,5ms", "--seeds", "3", "--jobs", "1", "--engine", "null"]
    (tmp_path / "x" / "sweep").mkdir(parents=True)
    (tmp_path / "x" / "sweep" / "duplicate-rate.png").touch()  # of an earlier sweep
    main(["sweep", str(tmp_path / "x.toml"), *vary, "--out", str(tmp_path)])
    assert not (tmp_path / "x" / "sweep" / "duplicate-rate.png").exists()
    last = capsys.readouterr().out.splitlines()[-3:]
    assert [line.partition(":")[0] for line in last] == [
        "answer    violated runs", "answer    lost followers", "answer    latency p99",
    ]  # fmt: skip
