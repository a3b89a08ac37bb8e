"""A shell completes commands, options, scenarios, engines, faults and files; shells are asked as their users would.

bash is always there; fish is asked where it is installed, and causim is asked as zsh asks it.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from shutil import which

import pytest

from causim import shipped
from simulation.cli import main
from simulation.cli.arguments.completion import SHELLS
from simulation.cli.completion import words
from simulation.engines import BUILT_IN
from simulation.engines.mutants import MUTANTS

NEEDS_ARGCOMPLETE = pytest.mark.skipif(find_spec("argcomplete") is None, reason="needs the extra completion")
ROOT = Path(__file__).parents[2]
PRESS_TAB = """
eval "$(causim completion bash)"
COMP_LINE="$1" COMP_POINT=${#1} COMP_TYPE=9
read -ra COMP_WORDS <<< "$1"
[[ $1 == *' ' ]] && COMP_WORDS+=('')
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
function=$(complete -p causim | sed 's/.*-F \\([^ ]*\\).*/\\1/')
"$function" causim "${COMP_WORDS[-1]}" ""
printf '%s\\n' "${COMPREPLY[@]}"
"""


def shell(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a shell in a folder, with `causim` of this clone on its PATH."""
    program = folder / "bin" / "causim"
    program.parent.mkdir(exist_ok=True)
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m causim "$@"\n')
    program.chmod(0o755)
    python_path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    environment = {**os.environ, "PATH": f"{program.parent}:{os.environ['PATH']}", "PYTHONPATH": python_path}
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done


def pressed(line: str, folder: Path) -> list[str]:
    """Return what bash offers when its user has typed a line and presses the tabulator."""
    return [word.strip() for word in shell(["bash", "-c", PRESS_TAB, "bash", line], folder).stdout.splitlines()]


@NEEDS_ARGCOMPLETE
@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("causim comp", {"compare", "completion"}),
        ("causim run --see", {"--seed", "--seeds"}),
        ("causim run late-l", {"late-leader"}),
        ("causim run late-leader --engine pre", {name for name in BUILT_IN if name.startswith("pre")}),
        ("causim run late-leader --strategy p", {"pct", "pos"}),
        ("causim run late-leader --max-faults 1 --fault-kinds crash,r", {"crash,reply-lost"}),
        ("causim crashes late-leader --fault re", {"reply-lost", "request-lost"}),
        ("causim list fa", {"faults"}),
        ("causim replay mi", {"mine.toml"}),
    ],
)
def test_bash_completes(line: str, offered: set[str], tmp_path: Path) -> None:
    (tmp_path / "mine.toml").touch()
    assert set(pressed(line, tmp_path)) == offered


AS_ZSH_ASKS = """
COMP_LINE="$1" COMP_POINT=${#1} _ARGCOMPLETE=1 _ARGCOMPLETE_SHELL=zsh _ARGCOMPLETE_IFS='
' causim 8>&1
"""


@NEEDS_ARGCOMPLETE
def test_zsh_shows_the_meaning_of_words(tmp_path: Path) -> None:
    done = shell(["bash", "-c", AS_ZSH_ASKS, "bash", "causim run late-leader --engine mutant:tried-"], tmp_path)
    tried = {name: mutant.planted for name, mutant in MUTANTS.items() if name.startswith("tried-")}
    assert set(done.stdout.split("\n")) == {f"mutant\\:{name}:{planted}" for name, planted in tried.items()}


@NEEDS_ARGCOMPLETE
@pytest.mark.skipif(which("fish") is None, reason="needs fish")
def test_fish_completes(tmp_path: Path) -> None:
    line = 'causim completion fish | source; complete -C "causim run late-leader --engine pre"'
    offered = [row.split("\t") for row in shell(["fish", "--no-config", "-c", line], tmp_path).stdout.splitlines()]
    assert {name for name, _ in offered} == {name for name in BUILT_IN if name.startswith("pre")}
    assert all(text for _, text in offered)


@NEEDS_ARGCOMPLETE
@pytest.mark.parametrize("name", SHELLS)
def test_every_shell(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", name]) == 0
    output = capsys.readouterr().out
    assert "causim" in output
    assert "_ARGCOMPLETE" in output


def test_without_argcomplete(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "argcomplete", None)
    monkeypatch.setitem(sys.modules, "argcomplete.shell_integration", None)
    assert main(["completion", "bash"]) == 4
    output = capsys.readouterr().err
    assert output == "causim: error: argcomplete is not installed: pip install 'causim[completion]'\n"


def test_words_of_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    engine = argparse.ArgumentParser().add_argument("--engine")
    offered = words("", engine)
    assert set(offered) >= {"native", "prefect", *(f"mutant:{name}" for name in MUTANTS)}
    assert not any("NAME" in word or "VERSION" in word for word in offered)
    seed = argparse.ArgumentParser().add_argument("--seed", type=int)
    assert words("", seed) == {}
    path = argparse.ArgumentParser().add_argument("path", type=shipped.path_of)
    assert set(words("", path)) == set(shipped.scenarios())


def test_hidden_files_and_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results" / "mine").mkdir(parents=True)
    (tmp_path / ".causim").touch()
    out = argparse.ArgumentParser().add_argument("--out", type=Path)
    assert list(words("", out)) == ["results/"]
    assert list(words("results/m", out)) == ["results/mine/"]
    assert list(words(".c", out)) == [".causim"]
    assert words("no/such/", out) == {}
