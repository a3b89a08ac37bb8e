"""A scenario can allow what is outside of its run, by name; results say so, and a file needs trust for it."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from simulation import Laboratory, Run, loads
from simulation.cli import main
from simulation.kernel.escapes import Escaped
from simulation.scenario.errors import BadScenario
from tests.simulation import reaching

HERE = "tests.simulation.reaching"
TEXT = """
name = "orders"
[workload]
kind = "chains"
count = 3
length = 1
interval = "50ms"
[producer]
to = "list"
key = "orders"
[judge]
preset = "queue"
require_coverage = ["handled"]
horizon = "1h"
"""
SWARM = '[swarm.choose]\n"{path}" = {options}\n'


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Something real that answers a byte with another."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        number = server.getsockname()[1]
        monkeypatch.setattr(reaching, "PORT", number)
        threading.Thread(target=_answer, args=(server,), daemon=True).start()
        yield number
        server.shutdown(socket.SHUT_RDWR)


def _answer(server: socket.socket) -> None:
    while True:
        try:
            client, _ = server.accept()
        except OSError:
            return
        with client:
            client.sendall(b"y" if client.recv(1) == b"x" else b"?")


def run_with(laboratory: Laboratory, allowed: str, engine: str) -> Run:
    return laboratory.run(loads(f"{TEXT}[allow]\n{allowed}\n"), 1, f"{HERE}:{engine}")


@pytest.mark.parametrize(
    ("engine", "allowed", "reached"),
    [
        ("talking", 'connect = ["localhost:{port}"]', "a real socket was connected to ('127.0.0.1', {port})"),
        ("starting", "subprocesses = true", "the subprocess 'echo' was started"),
        ("signalling", "signals = true", "signal 0 was sent to a real process"),
    ],
)
def test_allowed_happens_and_is_recorded(
    laboratory: Laboratory, port: int, engine: str, allowed: str, reached: str
) -> None:
    run = run_with(laboratory, allowed.format(port=port), engine)
    assert run.verdict == "holds"
    assert any(f"{reached.format(port=port)} (tests/simulation/reaching.py:" in what for what in run.outside)
    assert {entry.details["what"] for entry in run.history.of("outside")} == {
        what.rpartition(" (tests")[0] for what in run.outside
    }
    assert f"may be another the next time: {reached.format(port=port)}".replace("'", "&#39;") in run.report()


@pytest.mark.parametrize(
    ("engine", "allowed", "refused"),
    [
        ("talking", 'connect = ["localhost:1"]\nsubprocesses = true', "a real socket was connected to"),
        ("talking", 'connect = ["example.invalid:{port}"]', "the address of 'localhost' was looked up"),
        ("starting", "signals = true", "the subprocess 'echo' was started"),
        ("signalling", "subprocesses = true", "signal 0 was sent to a real process"),
        ("connecting", 'connect = ["localhost:{port}"]', "asyncio connected to localhost.*only a blocking client can"),
    ],
)
def test_what_is_not_named_is_refused(
    laboratory: Laboratory, port: int, engine: str, allowed: str, refused: str
) -> None:
    with pytest.raises(Escaped, match=refused):
        run_with(laboratory, allowed.format(port=port), engine)


@pytest.mark.parametrize("address", ["localhost", "localhost:0", ":1", "localhost:99999", "run/x.sock", "a:x"])
def test_an_address_must_be_one(address: str) -> None:
    with pytest.raises(BadScenario, match="is no address"):
        loads(f'{TEXT}[allow]\nconnect = ["{address}"]\n')


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("[allow]\nsubprocesses = true\n", "table [allow] lets the code under test reach what is real"),
        (SWARM.format(path="allow.signals", options="[false, true]"), "table [allow] lets"),
        (SWARM.format(path="allow", options="[{ connect = ['a:1'] }]"), "table [allow] lets"),
        (SWARM.format(path="consumers.engines", options="[{ c1 = 'os:path' }]"), "would import code, 'os:path'"),
        (SWARM.format(path="consumers", options="[{ engines = { c1 = 'os:path' } }]"), "would import code"),
    ],
)
def test_a_file_needs_trust(tmp_path: Path, capsys: pytest.CaptureFixture[str], table: str, message: str) -> None:
    file = tmp_path / "orders.toml"
    file.write_text(TEXT + table)
    for command in ("run", "crashes"):
        assert main([command, str(file), "--engine", f"{HERE}:starting"]) == 4
        assert message in capsys.readouterr().err


def test_command_line_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, xml = tmp_path / "orders.toml", tmp_path / "junit.xml"
    file.write_text(TEXT + "[allow]\nsubprocesses = true\n")
    words = ["run", str(file), "--engine", f"{HERE}:starting", "--trust", "--out", str(tmp_path)]
    assert main([*words, "--junit", str(xml), "--summary", str(tmp_path / "summary.md")]) == 0
    assert "outside   the subprocess 'echo' was started" in " ".join(capsys.readouterr().out.split("\n"))
    assert "the subprocess 'echo' was started" in xml.read_text()
    assert "reached outside of its run" in (tmp_path / "summary.md").read_text()
    assert main([*words, "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert "the subprocess 'echo' was started" in record["outside"][0]
    assert (
        "the subprocess 'echo' was started"
        in json.loads((Path(record["results"]) / "verdict.json").read_text())["outside"][0]
    )


@pytest.mark.nightly
def test_determinism_check_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "orders.toml"
    file.write_text(TEXT + "[allow]\nsubprocesses = true\n")
    assert main(["run", str(file), "--engine", f"{HERE}:starting", "--trust", "--check-determinism"]) == 0
    said = capsys.readouterr().out
    assert "the same histories in two processes" in said
    assert "outside of the simulation, so the histories may differ another time: the subprocess" in said
