"""`--help` of every command: it has an example that the command line takes, and its options are in groups."""

from __future__ import annotations

import re
import shlex
from dataclasses import fields
from pathlib import Path

import pytest

from causim.counts import LAST_SEED
from simulation.cli import main, parser
from simulation.cli.given import OPTIONS

COMMANDS = sorted(set(re.findall(r"^    ([a-z]+)\b", parser().format_help(), re.MULTILINE)))


def help_of(command: str, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as caught:
        main([command, "--help"])
    assert caught.value.code == 0
    return capsys.readouterr().out.replace(" \\\n      ", " ")  # as the shell has it


def test_the_commands_are_found() -> None:
    assert {"run", "shrink", "list", "validate", "schema", "open", "diff"} <= set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_an_example_is_taken(command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")  # here a long example is folded
    found = re.search(r"^examples?:\n((?:  .*\n)+)", help_of(command, capsys), re.MULTILINE)
    assert found is not None
    examples = [shlex.split(example.partition(">")[0]) for example in found[1].splitlines()]
    assert command in {words[1] for words in examples}
    for program, *words in examples:
        assert program == "causim"
        parser().parse_args(words)


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_at_60_columns(command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """No line is wider than the terminal, which would break it anywhere, and no word is broken."""
    shown = {}
    for columns in (60, 300):
        monkeypatch.setenv("COLUMNS", str(columns))
        with pytest.raises(SystemExit):
            main([command, "--help"] if command else ["--help"])
        shown[columns] = capsys.readouterr().out
    assert [line for line in shown[60].splitlines() if len(line) > 60] == []
    unfolded = re.sub(r"(?<=-)\n +", "", shown[60]).replace(" \\\n", " ")  # a hyphen may end a line
    assert set(unfolded.split()) <= set(shown[300].split())


def test_the_options_of_a_run_are_in_groups(capsys: pytest.CaptureFixture[str]) -> None:
    text = help_of("run", capsys)
    headings = re.findall(r"^(\S.*):$", text, re.MULTILINE)
    assert headings == [
        *("positional arguments", "options", "which runs", "where the runs are made", "engine and Redis"),
        *("order of steps", "results", "examples"),
    ]
    ungrouped = text.partition("\noptions:")[2].partition("\n\n")[0]
    assert re.findall(r"--\w+", ungrouped) == ["--help"]


def test_the_readme_names_every_command() -> None:
    named = re.findall(r"^causim ([a-z]+) ", Path("README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(set(named)) == COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_an_example_needs_no_clone(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A scenario is called by the name of a shipped one: with pip there is no folder of scenarios."""
    examples = help_of(command, capsys).partition("\nexample")[2]
    assert "causim " in examples
    assert not re.search(r"(?<!orders/)\bscenarios/", examples)


def test_no_command_shows_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 4
    shown = capsys.readouterr().out
    assert all(f"\n    {command}" in shown for command in COMMANDS)


@pytest.mark.parametrize("command", ["run", "compare", "crashes", "sweep", "shrink", "why", "validate"])
def test_a_missing_scenario_is_a_sentence(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    more = {"compare": ["--engine", "native", "--engine", "null"], "sweep": ["--vary", "seed=1"]}.get(command, [])
    assert main([command, "scenario/late-leadr.toml", *more]) == 4
    said = "".join(capsys.readouterr())
    assert "scenario/late-leadr.toml: no such file or folder; " in said
    assert "causim run` has printed" in said if command in ("shrink", "why") else "shipped late-leader" in said


@pytest.mark.parametrize("command", COMMANDS)
def test_unknown_option_shows_usage(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    example = re.search(rf"^  causim ({command}\b.*)", help_of(command, capsys), re.MULTILINE)
    assert example is not None
    with pytest.raises(SystemExit) as caught:
        main([*shlex.split(example[1].partition(">")[0]), "--no-such-option"])
    assert caught.value.code == 4
    said = capsys.readouterr().err
    assert said.startswith(f"usage: causim {command} ")
    assert said.endswith(f"causim {command}: error: unrecognized arguments: --no-such-option\n")


@pytest.mark.parametrize("command", COMMANDS)
def test_options_are_fields(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each option of a command is a field of its value, and each field an option."""
    example = re.search(rf"^  causim ({command}\b.*)", help_of(command, capsys), re.MULTILINE)
    assert example is not None
    parsed = vars(parser().parse_args(shlex.split(example[1].partition(">")[0])))
    assert parsed.keys() - {"command", "execute", "logs", "version"} == {each.name for each in fields(OPTIONS[command])}


def test_every_command_has_its_value() -> None:
    assert set(COMMANDS) == OPTIONS.keys()


NUMBERS = [
    (command, option, *words)
    for command, options in {
        "run": ["seed", "seeds", "jobs", "depth", "early-timers", "max-faults", "max-runs", "stop-after"],
        "shrink": ["seed", "tries", "max-runs", "seconds"],
        "why": ["seed", "samples", "max-runs", "jobs"],
        "compare": ["seed", "seeds", "jobs"],
        "crashes": ["seed", "jobs"],
        "mutants": ["seeds"],
        "check": ["limit"],
        "sweep": ["seed", "seeds", "jobs"],
    }.items()
    for option in options
    for words in [("-1", "must be at least"), ("1.5", "must be a whole number"), ("six", "must be a whole number")]
]


@pytest.mark.parametrize(("command", "option", "value", "said"), NUMBERS)
def test_odd_numbers(command: str, option: str, value: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What is no number, or none that an option can have, is a sentence before anything is begun."""
    with pytest.raises(SystemExit) as caught:
        main([command, f"--{option}={value}"])
    assert caught.value.code == 4
    assert f"argument --{option}" in (error := capsys.readouterr().err)
    assert said in error


@pytest.mark.parametrize("seed", [LAST_SEED + 1, 10**30])
def test_odd_seeds(seed: int, capsys: pytest.CaptureFixture[str]) -> None:
    """A seed that no table can hold is refused; the greatest can be counted on from."""
    with pytest.raises(SystemExit):
        main(["run", "late-leader", "--seed", str(seed)])
    assert f"must be at most {LAST_SEED}" in capsys.readouterr().err
    assert main(["run", "late-leader", "--seed", str(LAST_SEED), "--seeds", "2", "--no-results", "--quiet"]) == 0
