"""A call of an engine that never returns is found, also if all work is done and the run has gone quiet."""

from __future__ import annotations

from typing import Any

import pytest

from simulation import Laboratory, Run, loads
from simulation.history.entries import Entry, Header
from simulation.history.history import History
from simulation.invariants import judge
from simulation.search.explore.exhaustive import Exhaustive, Reduction
from simulation.search.explore.strategies import Runner, Strategy
from simulation.search.replay import replay_of

HERE = "tests.simulation.hanging"
TEXT = """
name = "calls"
[workload]
kind = "chains"
count = 4
length = 1
interval = "2s"
[consumers]
count = 2
concurrency = 2
[judge]
invariants = ["no-stuck-worker", "handled-once"]
horizon = "2h"
[[faults]]
kind = "stop"
at = "7s"
consumer = "c1"
for = "1s"
"""


def run(laboratory: Laboratory, engine: str, text: str = TEXT, seed: int = 1) -> Run:
    return laboratory.run(loads(text), seed, f"{HERE}:{engine}")


def unfinished(result: Run) -> list[tuple[str, str]]:
    return [(entry.consumer, entry.details["call"]) for entry in result.history.of("unfinished")]


def test_calls_that_return_are_none(laboratory: Laboratory) -> None:
    result = run(laboratory, "Sound")
    assert result.verdict == "holds"
    assert not unfinished(result)


@pytest.mark.parametrize("engine", ["Starting", "Sweeping", "Closing", "Handling"])
def test_a_call_that_hangs_is_found(laboratory: Laboratory, engine: str) -> None:
    text = TEXT if engine == "Closing" else TEXT.partition("[[faults]]")[0]
    result = run(laboratory, engine, text)
    assert {violation.invariant for violation in result.violations} == {"no-stuck-worker"}
    calls = set(unfinished(result))
    assert calls == {("c1", {"Starting": "start", "Sweeping": "sweep", "Closing": "close"}.get(engine, "handle"))}
    assert run(laboratory, engine, text).digest == result.digest


def test_two_locks_in_either_order_are_found(laboratory: Laboratory) -> None:
    text = TEXT.partition("[[faults]]")[0].replace('"2s"', '"10ms"')
    found = [run(laboratory, "Locking", text, seed) for seed in (1, 2, 3)]
    assert any(("c1", "handle") in unfinished(result) for result in found)
    assert {result.verdict for result in found if unfinished(result)} == {"violated"}


@pytest.mark.parametrize("strategy", ["random-walk", "pct", "pos", "surw"])
def test_chosen_order(laboratory: Laboratory, strategy: Any) -> None:
    """A call that never returns is found, and one that returns is not, if a scheduler chooses the order."""
    scenario = loads(TEXT.partition("[[faults]]")[0])
    for engine, calls in (("Sound", set()), ("Handling", {("c1", "handle")}), ("Sweeping", {("c1", "sweep")})):
        runner = Runner(laboratory, scenario, f"{HERE}:{engine}", Strategy(strategy))
        one, other = runner.run(1), runner.run(1)
        assert set(unfinished(one)) == calls
        assert one.verdict == ("violated" if calls else "holds")
        assert one.digest == other.digest


@pytest.mark.parametrize("reduction", [Reduction.NONE, Reduction.RACES])
def test_every_order(laboratory: Laboratory, reduction: Reduction) -> None:
    """Of all orders, some let two handlers wait for each other: a search finds these, and each replays."""
    text = TEXT.partition("[[faults]]")[0].replace("count = 4", "count = 2").replace('"2s"', '"1ms"')
    scenario = loads(text.replace("count = 2\nconcurrency", "count = 1\nconcurrency"))
    search = Exhaustive(laboratory, scenario, 1, f"{HERE}:Crossing", reduction=reduction)
    found = {bool(unfinished(run)): run for run in search.runs(200)}
    assert {stuck: run.verdict for stuck, run in found.items()} == {False: "holds", True: "violated"}
    assert search.progress.complete
    assert replay_of(found[True]).perform(laboratory).digest == found[True].digest


def test_no_delivery_was_ever_answered(laboratory: Laboratory) -> None:
    result = run(laboratory, "HandlingLate", TEXT.partition("[[faults]]")[0])
    assert not list(result.history.of("acknowledged"))
    assert "no-stuck-worker" in {violation.invariant for violation in result.violations}


@pytest.mark.parametrize(
    ("since", "entries", "verdict"),
    [
        (0, [], "violated"),
        (200_000_001, [], "holds"),
        (0, [Entry(10_000_000, "paused", "", "c1"), Entry(700_000_000, "resumed", "", "c1")], "holds"),
        ("0", [], "holds"),
        (900_000_000, [], "holds"),
    ],
)
def test_a_call_is_judged_by_the_bound(since: object, entries: list[Entry], verdict: str) -> None:
    begin = [Entry(0, "joined", "", "c1"), Entry(0, "published", "a"), Entry(0, "delivered", "a", "c1")]
    ended = Entry(2, "ended", "a", "c1", {"outcome": "ok"})
    begin += [Entry(1, "started", "a", "c1"), ended, Entry(3, "acknowledged", "a", "c1")]
    last = Entry(800_000_000, "unfinished", "", "c1", {"call": "sweep", "since": since})
    history = History(Header(invariants=("no-stuck-worker",)), [*begin, *entries, last])
    assert judge(history).verdict == verdict


def test_second_stop_waits_for_the_first(laboratory: Laboratory) -> None:
    """A consumer that gets SIGTERM while it shuts down goes on with that, and its calls return."""
    twice = TEXT.replace('at = "7s"', 'at = "7s"\nevery = "3s"\ntimes = 2')
    result = run(laboratory, "SlowToClose", twice)
    lives = [entry for entry in result.history if entry.consumer == "c1" and entry.kind in ("joined", "stopped")]
    assert [(entry.kind, entry.at) for entry in lives[1:3]] == [("stopped", 12_000_000), ("joined", 12_000_000)]
    assert not unfinished(result)
    assert result.verdict == "holds"
