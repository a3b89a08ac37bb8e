"""A fault is one file, and so is an invariant: each is added to a copy of the packages, and nothing else is changed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
INVARIANT = '''"""acknowledged-late: a consumer acknowledges a delivery only when its handler is done.

If the consumer died in between, the queue would not offer the event again.
"""

from collections.abc import Iterator

from simulation.history.index import HistoryIndex
from simulation.history.records import NEVER, Delivery, EventStory, Handling
from simulation.invariants.verdict import Invariant, Violation

NAME = "acknowledged-late"


def subjects(index: HistoryIndex) -> int:
    """Count the handlings of deliveries that were acknowledged."""
    return sum(1 for event in index.nontrivial for _ in _pairs(event))


def check(index: HistoryIndex) -> Iterator[Violation]:
    """Yield a violation for each acknowledgement while a handler was running."""
    for event in index.nontrivial:
        for delivery, handling in _pairs(event):
            if handling.start < delivery.closed and not NEVER < handling.end < delivery.closed:
                because = f"because {event.name} was acknowledged while {handling.consumer} was handling it"
                witness = (handling.start, delivery.closed)
                yield Violation(NAME, delivery.closed_at, (event.name,), (handling.consumer,), because, witness)


def _pairs(event: EventStory) -> Iterator[tuple[Delivery, Handling]]:
    for delivery in event.deliveries:
        for handling in event.handlings:
            if delivery.closing == "acknowledged" and handling.consumer == delivery.consumer:
                yield delivery, handling


INVARIANT = Invariant(
    name=NAME,
    summary="no delivery is acknowledged while the event is being handled",
    excuses="none",
    subjects=subjects,
    check=check,
    exercised_by=("handled",),
    reading="The time is that of the acknowledgement.",
    examples={
        "accepted": """\\
{"at":0,"kind":"published","event":"a"}
{"at":1000,"kind":"delivered","event":"a","consumer":"c1"}
{"at":1000,"kind":"started","event":"a","consumer":"c1","handling":1}
{"at":2000,"kind":"ended","event":"a","consumer":"c1","handling":1,"outcome":"ok"}
{"at":3000,"kind":"acknowledged","event":"a","consumer":"c1"}
""",
        "rejected": """\\
{"at":0,"kind":"published","event":"a"}
{"at":1000,"kind":"delivered","event":"a","consumer":"c1"}
{"at":1000,"kind":"started","event":"a","consumer":"c1","handling":1}
{"at":1500,"kind":"acknowledged","event":"a","consumer":"c1"}
{"at":2000,"kind":"ended","event":"a","consumer":"c1","handling":1,"outcome":"ok"}
""",
    },
)
'''
FAULT = '''"""A handler that takes long and fails in the end."""

from typing import Any, ClassVar, Literal

from pydantic import Field

from simulation.scenario.faults.handlers import HandlerFault
from simulation.scenario.faults.targets import Handler
from simulation.scenario.faults.timing import Duration


class HandlerTimesOut(HandlerFault):
    """A handler waits for something that does not come, and raises in the end."""

    kind: Literal["handler-times-out"] = "handler-times-out"
    example: ClassVar[str] = """\\
name = "fault-handler-times-out"

[workload]
events = [{ name = "a" }, { name = "b", follows = "a", at = "100ms" }]

[consumers]
count = 2

[[faults]]
kind = "handler-times-out"
event = "a"
call = 1
after = "3s"

[expect]
native = "holds"
"""
    after: Duration = Field(gt=0, description="how long it waits")

    @classmethod
    def recipe(cls, tools: Any) -> Any:
        """Return a strategy for its keys."""
        return tools.having(tools.events, after=tools.span)

    async def strike(self, handler: Handler) -> None:
        """Do it to a running handler."""
        await handler.work_longer(self.after)
        handler.fail()
'''


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the packages, with the two files, and with reference pages made from it."""
    folder = tmp_path_factory.mktemp("clone")
    for package in ("causim", "ordering", "reports", "simulation", "docs/reference", "scenarios"):
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "simulation/invariants/acknowledged_late.py").write_text(INVARIANT, encoding="utf-8")
    (folder / "simulation/scenario/faults/handler_times_out.py").write_text(FAULT, encoding="utf-8")
    assert python(folder, "simulation.reference")[0] == 0
    return folder


def python(folder: Path, *words: str) -> tuple[int, str]:
    """Run a module below the folder; return its exit code and what it printed."""
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    done = subprocess.run(
        [sys.executable, "-m", *words], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(("what", "name"), [("invariants", "acknowledged-late"), ("faults", "handler-times-out")])
def test_one_file_is_listed_and_documented(clone: Path, what: str, name: str) -> None:
    code, printed = python(clone, "simulation", "list", what)
    assert code == 0
    assert name in [line.split()[0] for line in printed.splitlines()]
    assert name in (clone / f"docs/reference/{what}.md").read_text(encoding="utf-8")
    assert f'"{name}"' in (clone / "docs/reference/scenario.schema.json").read_text(encoding="utf-8")


def test_one_file_of_an_invariant_judges(clone: Path) -> None:
    for case, exit_code in ("accepted", 0), ("rejected", 1):
        file = f"docs/reference/invariants/acknowledged-late.{case}.jsonl"
        code, printed = python(clone, "simulation", "check", file, "--invariant", "acknowledged-late")
        assert code == exit_code, printed
    assert "because a was acknowledged while c1 was handling it" in printed


def test_one_file_runs_and_is_judged(clone: Path) -> None:
    """One file of a fault strikes and the invariant is judged."""
    code, printed = python(clone, "simulation", "run", "docs/reference/faults/handler-times-out.toml", "--out", "out")
    assert code == 0, printed
    history = next((clone / "out").rglob("history.jsonl")).read_text(encoding="utf-8")
    assert '"fault":"handler-times-out"' in history
    assert "14 invariants" in printed
