"""Each sentence of an invariant's rules has a history that it accepts and one that it rejects, alike but for a detail.

The sentences are those of the modules' docstrings, so a new one fails until a file in `clauses/` tells its histories,
and one that has gone fails, too. A file lists the sentences that only explain. The excuses are those of the invariants,
with semicolons between them. Both judges are asked.
"""

from __future__ import annotations

import inspect
import re
import tomllib
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from simulation.history.history import History
from simulation.invariants import INVARIANTS, judge
from tests.simulation.invariants.short_histories import AT_MOST, history_of
from tests.simulation.second_judge.rules import second_judge

FILES = sorted((Path(__file__).parent / "clauses").glob("*.toml"))
NEEDED = 9
"""How many entries a clause may have that says by `longer` why eight do not tell it."""
BESIDE = {"recorded_effects", "idle_time"}
"""Modules with rules that several invariants share."""
ITEM = re.compile(r"\n(?=\n|- |\d\. | +\d\. )")
SENTENCE = re.compile(r"(?<=[.:])\)? (?=[A-Z(`])")


def clauses(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = tomllib.loads(path.read_text(encoding="utf-8"))["clause"]
    return found


def sentences(module: str) -> list[str]:
    """Return the sentences of a module's docstring after its title; an item of a list begins a new one."""
    rules = inspect.getdoc(import_module(f"simulation.invariants.{module}")) or ""
    items = (" ".join(item.split()) for item in ITEM.split(rules.partition("\n")[2]))
    return [one for item in items for one in SENTENCE.split(re.sub(r"^(- |\d\. )", "", item)) if one]


CASES = [
    pytest.param(path, number, case, id=f"{path.stem}-{number}-{case}")
    for path in FILES
    for number in range(len(clauses(path)))
    for case in ("accepted", "rejected")
]


def history_in(path: Path, number: int, case: str) -> History:
    clause = clauses(path)[number]
    story = clause["story"].format(*clause[case])
    at_most = NEEDED if clause.get("longer") else AT_MOST
    return history_of(f"{clause.get('known', '')}\n{story}", at_most=at_most, **clause.get("header", {}))


@pytest.mark.parametrize(("path", "number", "case"), CASES)
def test_clause(path: Path, number: int, case: str) -> None:
    """The judges find what the clause says, and nothing else decides: only a detail differs."""
    name = tomllib.loads(path.read_text(encoding="utf-8")).get("invariant", "")
    invariant = INVARIANTS[name] if name else import_module(f"simulation.invariants.{path.stem}").INVARIANT
    history = history_in(path, number, case)
    violations = judge(history, [invariant.name]).violations
    assert bool(violations) is (case == "rejected"), clauses(path)[number]
    assert (invariant.name in second_judge(history)) is (case == "rejected")


def test_longer_clauses() -> None:
    """A clause that says why it needs more than eight entries has more, and what it belongs to is shown by eight."""
    longer = [(path, number) for path in FILES for number, one in enumerate(clauses(path)) if one.get("longer")]
    assert all(len(history_in(*one, case)) > AT_MOST for one in longer for case in ("accepted", "rejected")), longer
    assert not any(clauses(path)[number]["says"] or clauses(path)[number]["excuses"] for path, number in longer)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_sentence(path: Path) -> None:
    """Each sentence has its histories or explains others; each beginning that a file names is that of one sentence."""
    content = tomllib.loads(path.read_text(encoding="utf-8"))
    named = [*content.get("explains", []), *(says for clause in content["clause"] for says in clause["says"])]
    rules = sentences(path.stem)
    assert [sum(one.startswith(beginning) for one in rules) for beginning in named] == [1] * len(named), named
    assert [one for one in rules if not any(one.startswith(beginning) for beginning in named)] == []


@pytest.mark.parametrize("name", INVARIANTS)
def test_every_excuse(name: str) -> None:
    """Each excuse of an invariant has its histories, too: they may stand beside those of a sentence."""
    named: list[str] = []
    for path in FILES:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        module = import_module(f"simulation.invariants.{path.stem}")
        if name == (content.get("invariant") or module.INVARIANT.name):
            named += [begin for clause in content["clause"] for begin in clause.get("excuses", [])]
    excuses = INVARIANTS[name].excuses.split("; ")
    assert [sum(one.startswith(begin) for one in excuses) for begin in named] == [1] * len(named), named
    assert [one for one in excuses if not any(one.startswith(begin) for begin in named)] == []


def test_every_invariant_has_its_file() -> None:
    """No invariant is without clauses."""
    modules = {invariant.check.__module__.rpartition(".")[2] for invariant in INVARIANTS.values()}
    assert {path.stem for path in FILES} == modules | BESIDE
