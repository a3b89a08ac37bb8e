"""What is said of a run in numbers and words: how events came to their handlers, what sweeps cost, what never ended."""

from __future__ import annotations

import pytest

from simulation import Laboratory, loads
from simulation.cli.output import trips, unfinished
from simulation.history.entries import Entry
from simulation.scenario.model import Scenario
from simulation.search.summary import Tally, summarise
from simulation.world.run import Run

# The leader comes after the lookback; its follower's own follower is released by it then.
OVERDUE = """
name = "overdue"
workload.events = [
  { name = "a", at = "10m" },
  { name = "b", follows = "a", at = "0s" },
  { name = "c", follows = "b", at = "1ms" },
]
consumers.count = 2
policy.lookback = "1m"
"""

# The leader takes effect, and its holder dies when it begins with the follower.
ORPHAN = """
name = "orphan"
workload.events = [
  { name = "b", follows = "a", at = "0s" },
  { name = "a", at = "50ms" },
]
consumers.count = 2
faults = [{ kind = "crash", step = "start", nth = 2, when = "before", for = "30m" }]
"""


def run(text: str) -> Run:
    scenario: Scenario = loads(text)
    with Laboratory() as laboratory:
        return laboratory.run(scenario, 1)


def begun(run: Run) -> dict[str, str]:
    started: list[Entry] = list(run.history.of("started"))
    return {entry.event: str(entry.details["via"]) for entry in started}


def test_rescued_and_released() -> None:
    """A sweep rescues and what it handles releases."""
    assert begun(run(OVERDUE)) == {"a": "delivered", "b": "rescued", "c": "released"}


def test_rescued_long_after_leader() -> None:
    """What a sweep finds long after its leader is rescued."""
    result = run(ORPHAN)
    assert begun(result)["b"] == "rescued"
    assert result.judgement.coverage["released"] == 0


@pytest.mark.parametrize("engine", ["native", "native-batches"])
def test_no_leader_no_release(engine: str) -> None:
    """An event without a leader is released by none."""
    text = 'name = "alone"\nworkload = { kind = "chains", count = 12, length = 1, interval = "1ms" }\n'
    with Laboratory() as laboratory:
        result = laboratory.run(loads(text + "consumers = { count = 1, concurrency = 4 }\n"), 1, engine)
    assert set(begun(result).values()) == {"delivered"}


def test_idle_sweeps_are_counted_apart() -> None:
    result = run(OVERDUE)
    assert 0 < result.counts.idle_commands < result.counts.commands
    tally = Tally()
    tally.add(summarise(result))
    assert tally.busy_round_trips < 10 * tally.events < tally.idle_round_trips
    assert "of idle sweeps" in trips(tally)


def test_parked_again_counts_once() -> None:
    """An event that is parked again counts once."""
    text = OVERDUE.replace("policy.lookback", "broker.duplicate = 1.0\npolicy.lookback")
    result = run(text)
    parked = [entry.event for entry in result.history.of("parked")]
    assert len(parked) > len(set(parked)) == result.judgement.coverage["parked"]


def test_latencies_and_unfinished() -> None:
    """Latencies say how many events were never handled, and of those never delivered."""
    result = run(OVERDUE + 'faults = [{ kind = "drop", event = "a" }]\n')
    tally = Tally()
    tally.add(summarise(result))
    assert (tally.unfinished, tally.lost) == (1, 0)
    assert unfinished(tally) == " (1 of 3 events never handled: 1 never delivered)"
