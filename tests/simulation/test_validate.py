"""`causim validate`: all errors of all files, and nothing is run."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulation.cli import main

FINE = 'name = "fine"\n[workload]\nkind = "chains"\n'


def test_shipped_scenarios_can_be_used(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", "scenarios", "late-leader"]) == 0
    files = len(list(Path("scenarios").rglob("*.toml")))
    assert capsys.readouterr().out == f"{files} files can be used\n"


def test_all_errors_of_all_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "fine.toml").write_text(FINE)
    (tmp_path / "two.toml").write_text(FINE + "lenght = 3\n[broker]\ndrop = 2\n")
    (tmp_path / "text.toml").write_text("name =")
    (tmp_path / "swarm.toml").write_text(FINE + '[swarm.choose]\n"broker.dorp" = [0.1]\n')
    (tmp_path / "replay.toml").write_text(FINE + "[replay]\nformat = 99\n")
    assert main(["validate", str(tmp_path), str(tmp_path / "nowhere.toml"), str(tmp_path / "two.toml")]) == 4
    output = capsys.readouterr().out
    assert [Path(line.partition(": ")[0]).name for line in output.splitlines()] == [
        *("nowhere.toml", "replay.toml", "swarm.toml", "text.toml", "two.toml", "two.toml")
    ]
    assert "there is no such key; did you mean 'length'?" in output
    assert "key 'drop': must be at most 1" in output


def test_nothing_is_imported_or_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "own.toml"
    file.write_text('engine = "no_such_module:Engine"\n' + FINE)
    assert main(["validate", str(file)]) == 0
    assert capsys.readouterr().out == "1 file can be used\n"


def test_without_a_file_there_is_the_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["validate"])
    assert caught.value.code == 4
    assert "usage: causim validate" in capsys.readouterr().err
