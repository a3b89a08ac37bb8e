"""Processes of a run signal each other, end, wait and draw numbers in the run; what is real ends it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from simulation import Laboratory, Run, loads
from simulation.kernel.escapes import Escaped

HERE = "tests.simulation.process_programs"
TEXT = """
name = "orders"
[workload]
kind = "chains"
count = 4
length = 1
interval = "50ms"
[producer]
to = "list"
key = "orders"
[consumers]
count = 2
handler_time = "20ms"
[judge]
preset = "queue"
require_coverage = ["handled"]
horizon = "2h"
[policy]
lookback = "30s"
retention = "60s"
"""
STOP = '[[faults]]\nkind = "stop"\nat = "3s"\nconsumer = "c1"\nfor = "1s"\n'


def run(laboratory: Laboratory, engine: str, text: str = TEXT) -> Run:
    return laboratory.run(loads(text), 1, f"{HERE}:{engine}")


def ends(result: Run, kind: str) -> int:
    return len(list(result.history.of(kind)))


@pytest.mark.parametrize(
    ("engine", "kind"),
    [
        ("signalling_itself", "stopped"),
        ("dying_of_a_signal", "crashed"),
        ("leaving_at_once", "crashed"),
        ("aborting", "crashed"),
    ],
)
def test_a_process_ends_itself(laboratory: Laboratory, engine: str, kind: str) -> None:
    result = run(laboratory, engine)
    assert result.verdict == "holds"
    assert ends(result, kind) == 4
    assert run(laboratory, engine).digest == result.digest


def test_a_signal_is_ignored(laboratory: Laboratory) -> None:
    result = run(laboratory, "ignoring", TEXT + STOP)
    [crashed] = result.history.of("crashed")
    assert crashed.at == 33_000_000


def test_waits_of_threads_block_the_process(laboratory: Laboratory) -> None:
    result = run(laboratory, "waiting")
    assert result.verdict == "holds"
    assert not result.errors
    assert ends(result, "blocked") >= 8


def test_clocks_that_globals_hold(laboratory: Laboratory) -> None:
    result = run(laboratory, "reading_clocks")
    assert result.verdict == "holds"
    assert not result.errors


def test_a_generator_of_a_module(laboratory: Laboratory) -> None:
    assert run(laboratory, "drawing").digest == run(laboratory, "drawing").digest


def test_threads_of_anyio_in_a_first_run() -> None:
    """They are first imported by the program: in a process of its own."""
    code = (
        f"from simulation import Laboratory, loads\nfrom {__name__} import TEXT\nwith Laboratory() as one:\n"
        f"    print(one.run(loads(TEXT), 1, '{HERE}:in_a_thread').verdict)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert said.stdout == "holds\n"


@pytest.mark.parametrize(
    ("engine", "what"),
    [
        ("waiting_for_ever", "code waited for another thread, and there is none in virtual time"),
        ("starting_a_process", "a process of multiprocessing was started"),
        ("starting_a_thread", "a thread was started, which runs outside of virtual time"),
        ("starting_a_loop", "a second event loop was run, which knows the real time alone"),
        ("setting_an_alarm", "a timer of the operating system was asked for, which knows the real time alone"),
        ("calling_the_web", "a TLS handshake was sent, which is not the protocol of Redis"),
    ],
)
def test_what_is_real_ends_the_run(laboratory: Laboratory, engine: str, what: str) -> None:
    with pytest.raises(Escaped, match=rf"{what} \(tests/simulation/process_programs\.py:\d+"):
        run(laboratory, engine)


@pytest.mark.parametrize("faults", ["", STOP])
def test_a_process_that_keeps_dying_gets_a_verdict(laboratory: Laboratory, faults: str) -> None:
    result = run(laboratory, "never_for_long", TEXT + faults)
    assert result.verdict == "violated"
    assert {violation.invariant for violation in result.violations} == {"nothing-lost"}
    assert result.errors[0].type == "LookupError"


@pytest.mark.parametrize("jobs", ["1", pytest.param("2", marks=pytest.mark.nightly)])
def test_prints_are_apart(tmp_path: Path, jobs: str) -> None:
    """What a program prints, also when it is imported, does not disturb the JSON on standard output."""
    file = tmp_path / "orders.toml"
    file.write_text(TEXT)
    words = [
        "run",
        str(file),
        "--engine",
        "tests.simulation.prints_when_imported:printing",
        "--json",
        "--no-results",
        "--seeds",
        jobs,
        "--jobs",
        jobs,
    ]
    done = subprocess.run(
        [sys.executable, "-m", "causim", *words], capture_output=True, text=True, timeout=120, check=True
    )
    assert json.loads(done.stdout)["verdict"] == "holds"
    assert "imported\n" in done.stderr
    assert "by Python\n" in done.stderr
    assert "by the file descriptor\n" in done.stderr


def test_a_process_can_exit_thousands_of_times(laboratory: Laboratory) -> None:
    """Each leaves code that waits for the end of the run: as much of it as there may be, the run goes on."""
    text = TEXT.replace('"20ms"', '"20ms"\nrestart_delay = "1s"')
    lives = laboratory.run(loads(text), 1, "tests.simulation.engines:Exiting")
    assert sum(1 for _ in lives.history.of("crashed")) > 5_000
