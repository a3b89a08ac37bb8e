"""What a terminal, a pipe and a disk do to the command line: widths, closed pipes, full disks, early interrupts."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from simulation import Laboratory, load
from simulation.cli import main
from tests.simulation.terminals import shown_in_a_terminal

SCENARIO = "scenarios/late-leader.toml"
COMMAND = [sys.executable, "-m", "simulation"]
ROOT = Path(__file__).parents[2]
EMBEDDED = ["--store", "embedded"]  # a server of its own would have the limit of the test, too


def in_a_terminal(arguments: list[str], columns: int) -> str:
    """Run causim in a terminal of so many columns, and return what it shows."""
    return shown_in_a_terminal([*COMMAND, *arguments], columns)


def test_no_word_is_broken_in_a_narrow_terminal(tmp_path: Path) -> None:
    shown = in_a_terminal(["run", SCENARIO, "--out", str(tmp_path)], 60)
    wide = in_a_terminal(["run", SCENARIO, "--out", str(tmp_path / "wide")], 500)
    printed = shown[shown.rindex("late-leader · 4 events") :]  # after the bar
    lines = [line for line in printed.splitlines() if not line.startswith(("  results", "  replay", "  shrink"))]
    assert max(map(len, lines)) <= 60
    whole = {word for line in wide.splitlines() for word in line.split()}
    assert {word for line in lines for word in line.split()} <= whole


@pytest.mark.parametrize(
    "command",
    [
        ["list", "scenarios"],
        ["list", "invariants"],
        ["list", "faults"],
        ["crashes", "leader-follower"],
        ["sweep", "leader-follower", "--vary", "consumers.count=1,2", "--seeds", "1", "--jobs", "1", *EMBEDDED],
        ["run", SCENARIO, "--engine", "null", "--no-results"],
        ["check", "HISTORY"],
    ],
    ids=" ".join,
)
def test_a_line_goes_on_below_its_text(command: list[str], tmp_path: Path, laboratory: Laboratory) -> None:
    if command[0] == "check":
        laboratory.run(load(SCENARIO), engine="null").history.write(tmp_path / "history.jsonl")
        command = ["check", str(tmp_path / "history.jsonl")]
    shown = in_a_terminal([*command, *(["--out", str(tmp_path)] if command[0] in ("crashes", "sweep") else [])], 60)
    lines = [
        line
        for line in shown.splitlines()
        if "━" not in line and not re.match("  (replay|picture|table)|causim: |/", line) and str(tmp_path) not in line
    ]
    assert max(map(len, lines)) <= 60
    if command[0] == "list":
        name = max(len(line.split("  ")[0]) for line in lines if not line.startswith(" "))
        beside = any("  " in line.strip() for line in lines)
        # Names that leave no room for a second column have their text below, a little indented.
        assert {len(line) - len(line.lstrip()) for line in lines} == {0, name + 2 if beside else 4}


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["run", "no-such-scenario"], "`causim list scenarios` shows what there is"),
        (
            ["run", SCENARIO, "--seeds", "many", "--no-results"],
            "causim run: error: argument --seeds: must be a whole number",
        ),
        (["run", SCENARIO, "--engine", "nothing-of-the-kind"], "engine 'nothing-of-the-kind' is not known"),
        (["import", "ROWS"], "nothing was written; --skip-bad goes on without these rows"),
    ],
    ids=["scenario", "option", "engine", "import"],
)
def test_a_mistake_is_said_between_words(command: list[str], said: str, tmp_path: Path) -> None:
    rows = tmp_path / "rows.csv"
    rows.write_text("id,follows,occurred\na,,some time in the early morning of the first of May, or a little later\n")
    command = [str(rows) if word == "ROWS" else word for word in command]
    shown = in_a_terminal(command, 60)
    assert said in " ".join(shown.split())
    long = [line for line in shown.splitlines() if len(line) > 60 and str(tmp_path) not in line]
    assert long == []


def test_a_bar_is_not_cut(tmp_path: Path) -> None:
    shown = in_a_terminal(["run", SCENARIO, "--engine", "null", "--seeds", "3", "--no-results"], 60)
    bars = [line for line in shown.splitlines() if "━" in line]
    assert any("3/3" in line for line in bars)
    assert not any("…" in line for line in bars)


def test_lines_to_copy_stay_whole(tmp_path: Path) -> None:
    folder = tmp_path / ("long-" * 20)
    shown = in_a_terminal(["run", SCENARIO, "--engine", "null", "--out", str(folder)], 60)
    assert any(line.startswith("  results") and str(folder) in line for line in shown.splitlines())
    assert any(line.startswith("  replay    causim run") and line.endswith("--seed 1") for line in shown.splitlines())


@pytest.mark.parametrize("options", [["list", "faults"], ["run", SCENARIO], ["run", SCENARIO, "--json"]])
def test_a_closed_pipe_is_no_verdict(options: list[str], tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    out = ["--out", str(tmp_path)] if options[0] == "run" else []
    done = subprocess.run([*COMMAND, *options, *out], stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    assert done.returncode == 141
    assert done.stderr == b""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full device here")
@pytest.mark.parametrize("options", [["run", SCENARIO, "--no-results"], ["--version"], ["list", "faults"]])
def test_a_full_output_is_said_in_a_sentence(options: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([*COMMAND, *options], stdout=full, stderr=subprocess.PIPE, check=False)
    assert done.returncode == 4
    assert (
        done.stderr.decode()
        == f"causim: error: standard output, or a temporary file: {os.strerror(errno.ENOSPC).lower()}\n"
    )


FULL_DISK = """
import ast, resource, signal, sys
from simulation.cli import main

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a write beyond the limit is an error then, as on a full disk
resource.setrlimit(resource.RLIMIT_FSIZE, (20, 20))
for arguments in ast.literal_eval(sys.argv[1]):
    assert main(arguments) == 4
"""
WRITES = {
    ("init", "."): "scenarios/orders.toml",
    ("import", "log.csv"): "scenarios/data/log.jsonl",
    ("export", "history.jsonl", "--format", "csv", "--out", "out.csv"): "out.csv",
    ("run", "late-leader", "--no-results", "--junit", "out.xml", *EMBEDDED): "out.xml",
    ("run", "late-leader", "--no-results", "--summary", "out.md", *EMBEDDED): "out.md",
    ("sweep", "late-leader", "--vary", "consumers.count=1,2", "--seeds", "1", "--jobs", "1", *EMBEDDED): (
        "results/late-leader/sweep/cells.jsonl"
    ),
}
"""Commands, and the file that each cannot write."""


def test_a_full_disk_names_the_file(tmp_path: Path) -> None:
    """A limit of the size of files fails writes as a full disk does: after the file was opened."""
    (tmp_path / "log.csv").write_text("id,follows,occurred\n" + "".join(f"e{n},,{n}\n" for n in range(9)))
    (tmp_path / "history.jsonl").write_text('{"at": 1, "kind": "published", "event": "a"}\n')
    program = [sys.executable, "-c", FULL_DISK, repr([list(options) for options in WRITES])]
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(program, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    said = [line.removeprefix("causim: error: ") for line in done.stderr.splitlines()]
    assert said == [f"{file}: {os.strerror(errno.EFBIG).lower()}" for file in WRITES.values()]
    assert done.returncode == 0
    assert not list(tmp_path.rglob("*.part"))


def test_results_not_writable(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Results that cannot be kept leave the verdict."""
    (tmp_path / "late-leader").write_text("a file where the folder should be")
    assert main(["run", SCENARIO, "--engine", "null", "--out", str(tmp_path)]) == 1
    said = capsys.readouterr().out
    assert "causal-order" in said
    assert "the results could not be kept:" in said


def test_unkept_crash_points(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "leader-follower").write_text("a file where the folder should be")
    assert main(["crashes", "leader-follower", "--fault", "reply-lost", "--out", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert " survived\n" in said
    assert "the results could not be kept:" in said
    assert "crashes.parquet" not in said


def test_the_first_line_says_something(capsys: pytest.CaptureFixture[str]) -> None:
    main(["run", SCENARIO, "leader-follower", "--no-results"])
    said = capsys.readouterr().out
    assert said.startswith("late-leader ·")
    assert "\n\nleader-follower ·" in said


@pytest.mark.parametrize("module", ["simulation.cli.listing", "causim.command_line"])
def test_an_early_interrupt_is_a_sentence(module: str) -> None:
    """The command is interrupted while it imports a module, within a library that lets no exception pass."""
    program = (
        "import os, signal, sys\n"
        "class Early:\n"
        "    def find_spec(self, name, *_):\n"
        "        try:\n"
        f"            if name == {module!r}: os.kill(os.getpid(), signal.SIGINT)\n"
        "        except BaseException: pass\n"
        "sys.meta_path.insert(0, Early())\n"
        "sys.argv = ['causim', 'list', 'engines']\n"
        "from causim.__main__ import entry\n"
        "entry()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "causim: interrupted\n")


def test_warning_without_source_line(tmp_path: Path) -> None:
    """An old name is said without a line of ours."""
    (tmp_path / "old.toml").write_text('name = "old"\n[workload]\nkind = "chains"\n[judge]\nstuck_bound = "1m"\n')
    done = subprocess.run([*COMMAND, "validate", "old.toml"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("causim: warning: old.toml: table [judge], key 'stuck_bound' is called")


def test_one_long_run_says_how_far_it_is() -> None:
    progress: list[tuple[int, int]] = []
    with Laboratory() as laboratory:
        laboratory.watch = lambda settled, now: progress.append((settled, now))
        laboratory.run(load("scenarios/prefect-etl.toml"))
    assert len(progress) >= 2
    assert progress == sorted(progress)


def test_what_holds_is_not_shrunk(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["shrink", SCENARIO]) == 4
    said = capsys.readouterr().err
    assert "seed 1 is not violated on native, it is 'holds'" in said
    assert "<Run" not in said


def test_shrink_counts_all_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "small.toml"
    assert main(["shrink", SCENARIO, "--engine", "null", "--max-runs", "7", "--out", str(out)]) == 1
    assert "  stopped after 7 runs by --max-runs or --seconds" in capsys.readouterr().out
