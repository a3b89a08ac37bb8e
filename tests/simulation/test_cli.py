"""The command line: exit codes, what is printed, what is left behind, and every kind of mistake."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pandas as pd
import pytest

from simulation import History, load
from simulation.cli import main

HOLDS = 'name = "fine"\n[workload]\nkind = "chains"\n'
RACE = """
name = "race"
[workload]
kind = "chains"
order = "reversed"
interval = "1ms"
[judge]
require_coverage = ["parked"]
"""


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "fine.toml").write_text(HOLDS)
    (tmp_path / "race.toml").write_text(RACE)
    (tmp_path / "bad.toml").write_text(HOLDS + "lenght = 3\n")
    return tmp_path


def run(files: Path, *arguments: str) -> int:
    return main(["run", *arguments, "--out", str(files / "results")])


def test_holds_exits_0(files: Path, capsys: Any) -> None:
    """A scenario that holds exits with 0 and leaves everything."""
    assert run(files, str(files / "race.toml"), "--seed", "5") == 0
    said = capsys.readouterr().out
    assert "race · 5 events · 2 consumers · engine native · " in said
    assert "in virtual time · seed 5" in said
    assert "holds" in said
    latest = files / "results" / "race" / "latest"
    assert latest.is_symlink()
    assert {path.name for path in latest.iterdir()} >= {
        "scenario.toml", "history.jsonl", "verdict.json", "events.parquet", "latency.png", "followers.png",
    }  # fmt: skip
    verdict = json.loads((latest / "verdict.json").read_text())
    assert (verdict["verdict"], verdict["seed"], verdict["engine"]) == ("holds", 5, "native")
    assert History.read(latest / "history.jsonl").digest == verdict["digest"]
    assert len(pd.read_parquet(latest / "events.parquet")) == 5
    assert load(latest / "scenario.toml").seed == 5


def test_violated_exits_1(files: Path, capsys: Any) -> None:
    """A scenario that is violated exits with 1 and says how to replay it."""
    assert run(files, str(files / "race.toml"), "--engine", "null", "--seeds", "3") == 1
    said = capsys.readouterr().out
    assert "violated  causal-order  in 3 of 3 seeds (100.0%), first at seed 1" in said
    assert "because   the effect of event c1." in said
    assert f"replay    causim run {files / 'race.toml'} --engine null --seed 1" in said


def test_nothing_exercised_exits_5(files: Path, capsys: Any) -> None:
    """A run that exercised nothing of what it is about exits with 5."""
    (files / "dull.toml").write_text(RACE.replace("reversed", "in-order").replace('"1ms"', '"5s"'))
    assert run(files, str(files / "dull.toml")) == 5
    assert "nothing was proved about 'parked': it did not happen" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["run", "bad.toml"], "there is no such key; did you mean 'length'?"),
        (["run", "nowhere.toml"], "no such file or folder"),
        (["run", "empty"], "no scenario files"),
        (["run", "fine.toml", "--engine", "nativ"], "did you mean 'native'"),
        (["run", "fine.toml", "--store", "postgres"], "known are server, embedded"),
        (["run", "fine.toml", "--redis-server", "/bin/false", "--store", "server"], "does not start under libfaketime"),
        (["check", "nowhere.jsonl"], "nowhere.jsonl"),
        (["check", "bad.jsonl"], "bad.jsonl:2: 'kind' is 'exploded'"),
        (["check", "bad.jsonl", "--invariant", "tidy"], "known are causal-order"),
        (["sweep", "fine.toml", "--vary", "broker.drop=oops:1:2"], "broker.drop"),
        (["sweep", "fine.toml", "--vary", "broker.dorp=1"], "there is no such key"),
    ],
)
def test_a_mistake_exits_with_4_and_a_sentence(
    arguments: list[str], complaint: str, files: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(files)
    (files / "empty").mkdir()
    (files / "bad.jsonl").write_text('{"at": 0, "kind": "phase"}\n{"at": 1, "kind": "exploded"}\n')
    assert main(arguments) == 4
    said = capsys.readouterr().err
    assert complaint in said
    assert "Traceback" not in said


@pytest.mark.parametrize("arguments", [["fly"], ["run"], ["run", "x", "--seeds", "0"], ["list", "planets"]])
def test_bad_usage_exits_with_4(arguments: list[str], capsys: Any) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 4
    assert "usage: causim" in capsys.readouterr().err


def test_broken_engine_exits_internal_error(files: Path, capsys: Any) -> None:
    """An engine that breaks down is an internal error and says how to report it."""
    assert run(files, str(files / "fine.toml"), "--engine", "tests.simulation.engines:Broken") == 3
    assert "this is a bug in causim or in the engine under test" in capsys.readouterr().err


def test_check_histories(files: Path, capsys: Any) -> None:
    """A history of our own and of others can be checked."""
    run(files, str(files / "race.toml"))
    assert main(["check", str(files / "results" / "race" / "latest" / "history.jsonl")]) == 0
    foreign = [
        {"at": 0, "kind": "published", "event": "order"},
        {"at": 1, "kind": "published", "event": "payment", "follows": "order"},
        {"at": 2, "kind": "delivered", "event": "payment", "consumer": "w"},
        {"at": 3, "kind": "started", "event": "payment", "consumer": "w", "handling": 1},
        {"at": 4, "kind": "ended", "event": "payment", "consumer": "w", "handling": 1, "outcome": "ok"},
        {"at": 5, "kind": "delivered", "event": "order", "consumer": "w"},
        {"at": 6, "kind": "started", "event": "order", "consumer": "w", "handling": 2},
        {"at": 7, "kind": "ended", "event": "order", "consumer": "w", "handling": 2, "outcome": "ok"},
    ]
    path = files / "foreign.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in foreign))
    capsys.readouterr()
    assert main(["check", str(path)]) == 1
    assert "causal-order" in capsys.readouterr().out


def test_check_truncated_history(files: Path, capsys: Any) -> None:
    """A history that is cut off is judged up to the cut and is unknown."""
    run(files, str(files / "race.toml"))
    whole = (files / "results" / "race" / "latest" / "history.jsonl").read_text()
    (files / "cut.jsonl").write_text(whole[: len(whole) * 2 // 3])
    assert main(["check", str(files / "cut.jsonl")]) == 4
    output = capsys.readouterr().out
    assert "unknown" in output
    assert "cut off" in output


def test_json_is_one_line_for_each_scenario(files: Path, capsys: Any) -> None:
    run(files, str(files / "fine.toml"), str(files / "race.toml"), "--json", "--engine", "null")
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["scenario"], line["verdict"]) for line in lines] == [("fine", "holds"), ("race", "violated")]
    assert lines[1]["violations"][0]["invariant"] == "causal-order"


def test_build_server(files: Path) -> None:
    junit, summary = files / "causim.xml", files / "summary.md"
    options = ["--junit", str(junit), "--summary", str(summary), "--no-results"]
    assert run(files, str(files / "fine.toml"), str(files / "race.toml"), "--engine", "null", *options) == 1
    suite = ElementTree.parse(junit).getroot()
    assert [case.get("name") for case in suite.iter("testcase")] == ["fine [seed 1]", "race [seed 1]"]
    [failure] = suite.iter("failure")
    assert "the effect of event c1." in (failure.text or "") + (failure.get("message") or "")
    page = summary.read_text()
    assert "causal-order" in page
    assert "causim run" in page


def test_quiet_prints_the_verdicts_alone(files: Path, capsys: Any) -> None:
    run(files, str(files / "fine.toml"), "--quiet", "--no-results")
    assert capsys.readouterr().out == "holds     fine\n"
    assert not (files / "results").exists()


def test_many_jobs_say_the_same_as_one(files: Path, capsys: Any) -> None:
    said = []
    for jobs in ("1", "2"):
        run(
            files,
            str(files / "race.toml"),
            "--engine",
            "null",
            "--seeds",
            "6",
            "--jobs",
            jobs,
            "--stop-after",
            "2",
            "--json",
            "--no-results",
        )
        said.append(json.loads(capsys.readouterr().out))
    assert said[0] == said[1]


def test_max_violations(files: Path, capsys: Any) -> None:
    """It stops after as many violated runs as asked."""
    run(files, str(files / "race.toml"), "--engine", "null", "--seeds", "50", "--stop-after", "2", "--json")
    assert json.loads(capsys.readouterr().out)["seeds"] == 2


@pytest.mark.parametrize(
    ("options", "said"), [(["--stop-after", "1"], " · 1 of 50 seeds from 1\n"), ([], " · 50 seeds from 1\n")]
)
def test_headline_counts_seeds(options: list[str], said: str, files: Path, capsys: Any) -> None:
    run(files, str(files / "race.toml"), "--engine", "null", "--seeds", "50", "--no-results", *options)
    assert said in capsys.readouterr().out


@pytest.mark.parametrize("what", ["scenarios", "engines", "invariants", "faults", "coverage"])
def test_everything_can_be_listed(what: str, capsys: Any) -> None:
    assert main(["list", what]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) >= 4
    assert all("  " in line for line in lines)


def test_payload_is_escaped(files: Path, capsys: Any) -> None:
    """A payload cannot dress up what is printed."""
    (files / "markup.toml").write_text('name = "[bold]x[/bold]"\n[workload]\nevents = [{ name = "[red]a[/red]" }]\n')
    assert main(["run", str(files / "markup.toml"), "--no-results"]) == 4
    assert "key 'name'" in capsys.readouterr().err


def test_ctrl_c_keeps_and_sums_up_what_was_done(files: Path) -> None:
    command = [sys.executable, "-m", "simulation", "run", str(files / "race.toml"), "--seeds", "3000"]
    process = subprocess.Popen(
        [*command, "--out", str(files / "results")], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert "300 of 3,000 seeds" in process.stdout.readline()  # it is at work by now, however slow the machine
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 2, err
    assert "interrupted after" in out
    assert "Traceback" not in err
    assert (files / "results" / "race" / "latest" / "verdict.json").exists()


def test_help_needs_nothing_heavy() -> None:
    script = "import sys; from simulation.cli import parser; parser(); print([m for m in HEAVY if m in sys.modules])"
    heavy = ["pandas", "matplotlib", "simpy", "redis", "pydantic", "rich"]
    code = f"HEAVY = {heavy}\n{script}"
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ}
    ).stdout
    assert out.strip() == "[]"


def test_version(capsys: Any) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out.startswith("causim 0.")


def test_compare_sets_engines_side_by_side(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    scenario = "scenarios/reversed-chain.toml"
    table = tmp_path / "table.csv"
    engines = ["--engine", "native", "--engine", "null", "--engine", "absent"]
    code = main(["compare", scenario, *engines, "--seeds", "2", "--jobs", "1", "--csv", str(table), "--json"])
    native, null, absent = map(json.loads, capsys.readouterr().out.splitlines())
    assert code == 5
    assert (native["verdict"], native["causal-order"], null["causal-order"]) == ("holds", 0.0, 1.0)
    assert native["round_trips_per_event"] > null["round_trips_per_event"] == 0
    assert "absent" in absent["failure"]
    assert [row.split(",")[0] for row in table.read_text().splitlines()] == ["engine", "native", "null", "absent"]


def test_compare_needs_two_engines(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "scenarios/in-order.toml", "--engine", "native", "--engine", "native"]) == 4
    assert "at least twice" in capsys.readouterr().err


def test_what_engines_log_is_shown_on_demand(files: Path) -> None:
    command = [sys.executable, "-m", "simulation"]
    asked = ["run", "scenarios/ladder/n09-first-follower-raises.toml", "--no-results"]
    silent = subprocess.run([*command, *asked], capture_output=True, text=True, check=False)
    logged = subprocess.run([*command, "--logs", *asked], capture_output=True, text=True, check=False)
    assert re.search(r"^\d\.\d{6} s  c\d  [A-Z]+ ordering.*failed in its handler", logged.stderr, re.MULTILINE)
    assert silent.stderr == ""
    assert silent.stdout == logged.stdout


def test_a_build_server_gets_the_story(files: Path) -> None:
    junit, summary = files / "causim.xml", files / "summary.md"
    options = ["--engine", "null", "--seeds", "3", "--junit", str(junit), "--summary", str(summary)]
    assert run(files, str(files / "race.toml"), *options) == 1
    failure = ElementTree.parse(junit).find(".//failure")
    assert failure is not None
    lines = (failure.text or "").splitlines()
    steps = [line for line in lines if re.match(r" *\d+ +\d", line)]
    assert len(steps) > 3
    assert all(step in summary.read_text() for step in steps)
    assert lines[-1].startswith("replay: causim run")
