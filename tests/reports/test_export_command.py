import json
from dataclasses import asdict
from pathlib import Path

import pytest
from exported_histories import led
from toy_history import toy_run

from reports.exports import FORMATS
from simulation.cli import main
from simulation.cli.arguments.export import _NAMES
from simulation.history.entries import Header
from simulation.history.history import History

SCENARIOS = Path(__file__).parents[2] / "scenarios"


@pytest.fixture
def folder(tmp_path):
    """A folder of results as a run leaves it, with a violation in the verdict."""
    run = toy_run(40, 3, forget=0.3, seed=3)
    assert run.judgement.violations
    result = tmp_path / "toy" / "20260101T000000-3"
    result.mkdir(parents=True)
    run.history.write(result / "history.jsonl")
    verdict = {"digest": run.history.digest, "violations": [asdict(v) for v in run.judgement.violations]}
    (result / "verdict.json").write_text(json.dumps(verdict))
    return result


def expected(folder, name, with_violations=True):
    history = History.read(folder / "history.jsonl")
    violations = toy_run(40, 3, forget=0.3, seed=3).judgement.violations if with_violations else ()
    return "".join(FORMATS[name].write(history, violations))


def test_the_command_offers_every_format():
    assert tuple(FORMATS) == _NAMES


@pytest.mark.parametrize("name", _NAMES)
def test_output_file_or_stdout(folder, name, capfdbinary):
    """A result goes to a file or to standard output."""
    out = folder / "export"
    assert main(["export", str(folder), "--format", name, "--out", str(out)]) == 0
    assert main(["export", str(folder), "--format", name]) == 0
    said, complained = capfdbinary.readouterr()
    assert out.read_bytes() == said == expected(folder, name).encode()
    assert complained == b""


def test_input_history_folder_or_link(folder, capfdbinary):
    """A result may be the history its folder or its link."""
    scenario_folder = folder.parent
    (scenario_folder / "latest").symlink_to(folder.name)
    for result in (folder / "history.jsonl", folder, scenario_folder, scenario_folder / "latest"):
        assert main(["export", str(result), "--format", "perfetto"]) == 0
        assert capfdbinary.readouterr().out == expected(folder, "perfetto").encode()


def test_input_link_file(folder, capfdbinary):
    """A file stands for the link where links cannot be made."""
    latest = folder.parent / "latest"
    latest.write_text(folder.name + "\n")
    for result in (latest, folder.parent):
        assert main(["export", str(result), "--format", "csv"]) == 0
        assert capfdbinary.readouterr().out == expected(folder, "csv").encode()
    latest.write_text("gone\n")
    assert main(["export", str(latest), "--format", "csv"]) == 4
    assert b"'gone'" in capfdbinary.readouterr().err


def test_truncated_history(tmp_path, capfdbinary):
    """A history that is cut off is exported as far as it goes."""
    file = tmp_path / "h.jsonl"
    led().write(file)
    file.write_bytes(file.read_bytes()[:-20])
    assert main(["export", str(file), "--format", "shiviz"]) == 0
    said, complained = capfdbinary.readouterr()
    assert said.count(b"\n") == 2 + len(led()) - 1
    assert b"line 12 is cut off" in complained


def test_verdict_of_another_history(folder, capfdbinary):
    """The verdict of another history is left out."""
    verdict = json.loads((folder / "verdict.json").read_text())
    (folder / "verdict.json").write_text(json.dumps({**verdict, "digest": "0" * 64}))
    assert main(["export", str(folder), "--format", "perfetto"]) == 0
    said, complained = capfdbinary.readouterr()
    assert said == expected(folder, "perfetto", with_violations=False).encode()
    assert b"about another history" in complained


@pytest.mark.parametrize("text", ["{", "[]", "{}", "\xff"])
def test_a_broken_verdict_is_named(folder, text, capsys):
    (folder / "verdict.json").write_bytes(text.encode("latin-1"))
    assert main(["export", str(folder), "--format", "perfetto"]) == 4
    assert "verdict.json: not a verdict" in capsys.readouterr().err


def test_a_violation_without_its_fields_is_named(folder, capsys):
    verdict = json.loads((folder / "verdict.json").read_text())
    (folder / "verdict.json").write_text(json.dumps({**verdict, "violations": [{"at": 1}]}))
    assert main(["export", str(folder), "--format", "otlp-json"]) == 4
    assert "KeyError: 'invariant'" in capsys.readouterr().err


def test_a_result_that_is_not_there_is_bad_usage(tmp_path, capsys):
    assert main(["export", str(tmp_path / "no"), "--format", "csv"]) == 4
    assert "no such file or folder" in capsys.readouterr().err


def test_folder_without_history(folder, capsys):
    """A folder without a history says what could be meant."""
    assert main(["export", str(folder.parent.parent), "--format", "csv"]) == 4
    assert "name one of toy" in capsys.readouterr().err


def test_malformed_history(tmp_path, capsys):
    """A history that is not one is named with its line."""
    file = tmp_path / "h.jsonl"
    file.write_text('{"at": 0, "kind": "nonsense"}\n')
    assert main(["export", str(file), "--format", "csv"]) == 4
    assert f"{file}:1" in capsys.readouterr().err


def test_bad_epoch(tmp_path, capsys):
    """A bad epoch is named and nothing is written."""
    file, out = tmp_path / "h.jsonl", tmp_path / "out.json"
    History(Header(epoch="yesterday"), led().entries).write(file)
    assert main(["export", str(file), "--format", "otlp-json", "--out", str(out)]) == 4
    said = capsys.readouterr().err
    assert str(file) in said
    assert "'epoch'" in said
    assert [path.name for path in tmp_path.iterdir()] == ["h.jsonl"]


def test_output_over_the_history(folder, capsys):
    """An export does not replace the history that it is of."""
    history = folder / "history.jsonl"
    before = history.read_bytes()
    assert main(["export", str(folder), "--format", "csv", "--out", str(history)]) == 4
    assert "the history itself" in capsys.readouterr().err
    assert history.read_bytes() == before


@pytest.mark.parametrize("out", ["", "no/such/folder/file"])
def test_unwritable_output(folder, out, capsys):
    """An out that cannot be written is bad usage."""
    assert main(["export", str(folder), "--format", "csv", "--out", str(folder / out)]) == 4
    assert "--out" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["--format", "svg"]])
def test_a_format_must_be_named_and_known(folder, arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["export", str(folder), *arguments])
    assert ended.value.code == 4
    assert "--format" in capsys.readouterr().err


def test_run_of_the_command_line(tmp_path, capfdbinary):
    """A run of the command line can be exported."""
    scenario = str(SCENARIOS / "late-leader.toml")
    assert main(["run", scenario, "--store", "embedded", "--out", str(tmp_path)]) == 0
    capfdbinary.readouterr()
    for name in FORMATS:
        assert main(["export", str(tmp_path / "late-leader"), "--format", name]) == 0
        assert b"c1.4" in capfdbinary.readouterr().out
