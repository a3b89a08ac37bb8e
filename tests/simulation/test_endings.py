"""Code that does not end can neither keep the harness waiting nor reach out of its run."""

from __future__ import annotations

import gc
import signal
import subprocess
import sys
import warnings
from contextlib import suppress
from pathlib import Path

import pytest

from simulation import Laboratory, loads, run
from simulation.kernel import endings, watchdog
from simulation.kernel.escapes import Escaped
from simulation.stores.links import SocketLink
from simulation.stores.redis_server import ServerStore
from simulation.stores.resp import command

HERE = "tests.simulation.hostile"
ONE = 'name = "one"\n[workload]\nevents = [{ name = "a" }]\n[consumers]\ncount = 1\n[judge]\nhorizon = "2h"\n'
CRASH = '[[faults]]\nkind = "crash"\nat = "1ms"\nconsumer = "any"\nfor = "1s"\n'


@pytest.mark.parametrize(
    "engine",
    [
        *("Swallowing", "Awaiting", "Spinning", "Sleeping", "Connecting", "Waiting", "Collected", "Yielding"),
        *("Generating", "Blocking"),
    ],
)
def test_endless_code(laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch, engine: str) -> None:
    """Code that does not end does not hold up the end."""
    monkeypatch.setattr(endings, "CLOSE_SECONDS", 0.1)
    scenario = loads(ONE)
    before = laboratory.run(scenario, 1, "tests.simulation.escaping:Marking").digest
    result = laboratory.run(scenario, 1, f"{HERE}:{engine}")
    assert result.judgement.coverage["handled"] == 1
    assert result.verdict == ("unknown" if engine == "Blocking" else "holds")  # its process is blocked to the end
    assert laboratory.run(scenario, 1, "tests.simulation.escaping:Marking").digest == before


def test_callback_that_catches_everything(laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch) -> None:
    """A callback that catches everything is abandoned."""
    monkeypatch.setattr(watchdog, "SPIN_SECONDS", 0.2)
    with pytest.raises(Escaped, match=r"computed for 0\.2 seconds without an await \(.*hostile\.py:\d+ in leave\)"):
        laboratory.run(loads(ONE), 1, f"{HERE}:Endless")


@pytest.mark.parametrize("jobs", ["1", pytest.param("2", marks=pytest.mark.nightly)])
def test_ctrl_c_ends_code_that_never_returns(tmp_path: Path, jobs: str) -> None:
    file = tmp_path / "one.toml"
    file.write_text(ONE)
    command = [sys.executable, "-m", "simulation", "run", str(file), "--engine", f"{HERE}:Endless", "--no-results"]
    with subprocess.Popen(
        [*command, "--jobs", jobs, "--seeds", jobs], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "endless\n"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    # Code that never returns would otherwise be ended after 20 seconds, with another exit code.
    assert process.returncode == 2, err
    assert "interrupted" in out
    assert "Traceback" not in err


def test_a_connection_is_given_back_once(server: ServerStore) -> None:
    link = server.link()
    link.close()
    link.close()
    one, other = server.link(), server.link()
    assert one is not other
    one.close()
    other.close()


def test_interrupted_request(server: ServerStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reply to an interrupted request is dropped."""
    link = server.link()

    def interrupted(self: SocketLink, request: bytes) -> bytes:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(SocketLink, "_receive", interrupted)
        for ask in (lambda: link.run([[b"ECHO", b"late"]]), lambda: server.ask(command("ECHO", "late"))):
            with pytest.raises(KeyboardInterrupt):
                ask()
    link.close()
    assert server.ask(command("ECHO", "new")) == b"new"
    assert server.link().run([[b"ECHO", b"new"]]) == b"$3\r\nnew\r\n"


@pytest.mark.parametrize(
    ("scenario", "engine"),
    [
        (ONE, "native"),
        (ONE + CRASH, "native"),  # its connections are cut, and never closed
        (ONE, "tests.simulation.third_party.reliable_list:main"),
        (ONE, f"{HERE}:Connecting"),
        (ONE, "tests.simulation.programs:of_nothing"),  # its run ends with an error, whose traceback outlives it
    ],
    ids=["quiet", "crash", "program", "connecting", "refused"],
)
def test_a_run_leaves_no_warnings(scenario: str, engine: str) -> None:
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        with suppress(Escaped):
            run(loads(scenario), 1, engine)
        gc.collect()
    assert [str(one.message) for one in heard if issubclass(one.category, ResourceWarning)] == []
