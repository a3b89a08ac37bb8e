"""What cannot be simulated ends the run with a sentence, and is never judged; what blocks, blocks its own process."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulation import Laboratory, Run, loads
from simulation.cli import main
from simulation.kernel import watchdog
from simulation.kernel.escapes import Escaped

HERE = "tests.simulation.escaping"
ONE = 'name = "one"\n[workload]\nevents = [{ name = "a" }]\n[consumers]\ncount = 1\n'
TWO = 'name = "two"\n[workload]\nevents = [{ name = "a" }, { name = "b", at = "1ms" }]\n[consumers]\ncount = 2\n'


def run(laboratory: Laboratory, engine: str, text: str = ONE) -> Run:
    return laboratory.run(loads(text), 1, f"{HERE}:{engine}")


@pytest.mark.parametrize(
    ("engine", "what"),
    [
        (
            "Synchronous",
            r"a real socket was connected to \('127\.0\.0\.1', 1\)|the address of 'localhost' was looked up",
        ),
        ("Quiet", r"the address of '127\.0\.0\.1' was looked up in the real network"),
        ("Child", r"the subprocess 'true' was started"),
        ("AsyncChild", "loop.subprocess_exec was called, but a child process would live in real time"),
        ("Threaded", "a thread was started"),
        ("Signalling", "signal 0 was sent to a real process"),
        ("Serving", "loop.create_server was called, but nothing in the simulated network"),
        ("SleepingThread", "time.sleep was called in a thread of an executor"),
    ],
)
def test_escape_names_the_line(laboratory: Laboratory, engine: str, what: str) -> None:
    """What leaves the world ends the run and names the line."""
    with pytest.raises(Escaped, match=rf"c1, at .*({what}).*\(tests/simulation/escaping\.py:\d+ in leave\)"):
        run(laboratory, engine)


def test_what_fakeredis_lacks(laboratory: Laboratory, embedded: Laboratory) -> None:
    """What fakeredis does not know is no error of Redis: it ends the run there, and is executed on a server."""
    what = r"WAIT 0 was sent to Redis, but fakeredis does not know it; choose --store server"
    with pytest.raises(Escaped, match=rf"{what}.*\(tests/simulation/escaping\.py:\d+ in leave\)"):
        run(embedded, "Unknowing")
    assert run(laboratory, "Unknowing").verdict == "holds"


def test_no_store_no_verdict(laboratory: Laboratory) -> None:
    """An engine that never speaks to the store gets no verdict."""
    with pytest.raises(Escaped, match="given 1 deliveries and sent no command to the simulated Redis"):
        run(laboratory, "Elsewhere")


def test_store_never_reachable(laboratory: Laboratory) -> None:
    """An engine that Redis was never reachable for gets one."""
    cut_off = ONE + '[judge]\nhorizon = "2m"\n[[faults]]\nkind = "partition"\nat = "0s"\nconsumer = "c1"\nfor = "1m"\n'
    assert run(laboratory, "Marking", cut_off).verdict in ("holds", "violated", "unknown")


def test_the_command_line_says_so_in_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "one.toml"
    file.write_text(ONE)
    assert main(["run", str(file), "--engine", f"{HERE}:Child", "--out", str(tmp_path)]) == 3
    said = capsys.readouterr().err
    assert "the subprocess 'true' was started (" in said
    assert "Traceback" not in said
    assert "bug in causim" not in said


def test_executors(laboratory: Laboratory) -> None:
    """Executors run their functions while the clock stands still."""
    assert run(laboratory, "Pooled").verdict == "holds"
    assert run(laboratory, "AnyioThread").verdict == "holds"


@pytest.mark.parametrize(
    ("engine", "limit", "what"), [("Spinning", "SPIN_SECONDS", "computed"), ("Locked", "STILL_SECONDS", "waited")]
)
def test_callback_that_never_returns(
    laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch, engine: str, limit: str, what: str
) -> None:
    """A callback that never returns is interrupted."""
    monkeypatch.setattr(watchdog, limit, 0.2)
    with pytest.raises(
        Escaped, match=rf"{what} for 0\.2 seconds without an await \(tests/.*escaping\.py:\d+ in leave\)"
    ):
        run(laboratory, engine)


def test_blocking_sleep(laboratory: Laboratory) -> None:
    """A blocking sleep holds its own process and no other."""
    result = run(laboratory, "Blocking", TWO)
    blocked = [(entry.consumer, entry.details["duration"]) for entry in result.history.of("blocked")]
    assert sorted(blocked) == [("c1", 3_000_000), ("c2", 3_000_000)]
    assert "escaping.py" in next(result.history.of("blocked")).details["where"]
    assert result.verdict == "holds"


def test_blocking_sleeps_overlap(laboratory: Laboratory) -> None:
    """Blocking sleeps of several processes overlap."""
    result = run(laboratory, "Overlapping", TWO)
    starts = {entry.consumer: entry.at for entry in result.history.of("started")}
    blocked = {entry.consumer: entry.at for entry in result.history.of("blocked")}
    assert {name: starts[name] - blocked[name] for name in starts} == {"c1": 1_000_000, "c2": 5_000_000}


def test_blocked_at_the_end(laboratory: Laboratory) -> None:
    """What still blocks when the run ends does not return."""
    result = run(laboratory, "Overlapping", TWO + '[judge]\nhorizon = "500ms"\n')
    assert not list(result.history.of("started"))
    assert run(laboratory, "Marking", TWO).verdict == "holds"


def test_crashed_while_blocked(laboratory: Laboratory) -> None:
    """A process that crashes while it is blocked does not return."""
    crash = '[[faults]]\nkind = "crash"\nat = "1s"\nconsumer = "c1"\nfor = "4s"\n'
    result = run(laboratory, "Blocking", ONE + crash)
    first = [entry.at for entry in result.history.of("crashed")]
    assert first == [1_000_000]
    assert [entry.consumer for entry in result.history.of("blocked")] == ["c1", "c1"]
    assert {entry.at > 5_000_000 for entry in result.history.of("started")} == {True}


def test_a_pause_outlasts_a_blocking_sleep(laboratory: Laboratory) -> None:
    pause = '[[faults]]\nkind = "pause"\nat = "1s"\nconsumer = "c1"\nfor = "9s"\n'
    result = run(laboratory, "Outlasted", ONE + pause)
    assert [entry.at for entry in result.history.of("started")] == [10_000_000]
