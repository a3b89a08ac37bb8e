"""The fenced blocks of a Markdown page, and what makes those that are meant for a machine run.

- A block whose first line is a comment with a file name ("# consumer.py"), or that has one behind its language
  ("```csv states.csv"), is written into that file.
- Any other `python` block is executed; the blocks of a page share their names, as a reader would type them.
- In a `console` block each line that begins with "$ " is a command, and what follows is what it must print: every
  line, in this order, others may come between; "…" stands for anything.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulation.cli import main

_FENCE = re.compile(r"^```(\w+)(?: ([\w-]+\.\w+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"# ([\w-]+\.\w+)$")


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, the file that its first line names, and its text."""

    language: str
    name: str
    text: str

    @property
    def file(self) -> str:
        """The name of the file that it is to be written into, if any."""
        named = _FILE.match(self.text.splitlines()[0])
        return named[1] if named else self.name

    @property
    def commands(self) -> list[tuple[str, list[str]]]:
        """The commands of a console block, each with the lines that it must print."""
        found: list[tuple[str, list[str]]] = []
        for line in self.text.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            elif line.strip():
                found[-1][1].append(line)
        return found


def blocks(page: Path) -> list[Block]:
    """Return the blocks of a page."""
    return [Block(language, name, text) for language, name, text in _FENCE.findall(page.read_text(encoding="utf-8"))]


def follow(page: list[Block], said: Callable[[], str]) -> int:
    """Do what the blocks of a page say, in the current folder; return how many commands and examples there were."""
    names: dict[str, Any] = {}
    done = 0
    for block in page:
        if block.file:
            Path(block.file).write_text(block.text, encoding="utf-8")
        elif block.language == "python":
            exec(compile(block.text, "example", "exec"), names)
            done += 1
        elif block.language == "console":
            for command, expected in block.commands:
                check(command, expected, run(command, said))
                done += 1
    return done


def run(command: str, said: Callable[[], str]) -> str:
    """Run a command of a page and return what it printed. A page that asks for its exit code receives it."""
    command, _, asked = command.partition("; echo $?")
    program, *arguments = shlex.split(
        re.sub(r"\$(GITHUB_STEP_SUMMARY|REDIS_URL)", lambda name: os.environ.get(name[1], ""), command)
    )
    said()
    match program:
        case "causim":
            code, printed = main(arguments), said()
        case "python":
            done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False)
            code, printed = done.returncode, done.stdout + done.stderr
        case "cat":
            code, printed = 0, Path(*arguments).read_text(encoding="utf-8")
        case _:
            raise AssertionError(f"this command is not executed by any test: {command}")
    assert asked is not None
    return f"{printed}\n{code}\n"


def check(command: str, expected: list[str], printed: str) -> None:
    """Assert that what is expected was printed, line by line and in this order."""
    lines = iter([" ".join(line.split()) for line in printed.splitlines()])
    for wanted in expected:
        pattern = ".*".join(map(re.escape, " ".join(wanted.split()).split("…")))
        assert any(re.fullmatch(pattern, line) for line in lines), (
            f"{command}\nhas not printed: {wanted}\nbut: {printed}"
        )
