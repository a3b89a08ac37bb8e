"""The judge, the tables, the exports and the summary read a history in the same way, also one that tells little."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from reports.tables.tables import deliveries_table, events_table, handlings_table
from simulation.history.entries import Entry, Header
from simulation.history.history import History
from simulation.history.indexer import index_of
from simulation.history.slices import slices
from simulation.invariants import judge
from simulation.scenario.load import loads
from simulation.search.summary import summarise
from simulation.world.run import Counts, Run


def one(event: str, number: int, **ended: str) -> list[Entry]:
    start = number * 10_000
    return [
        Entry(start, "delivered", event, "w"),
        Entry(start + 200, "started", event, "w", {"handling": number}),
        Entry(start + 8_000, "ended", event, "w", {"handling": number, **ended}),
        Entry(start + 8_100, "acknowledged", event, "w"),
    ]


SCENARIO = loads('name = "told"\n[workload]\nevents = [{ name = "a" }]\n')
PUBLISHED = Entry(0, "published", "a")
NO_OUTCOME = [PUBLISHED, Entry(0, "published", "b", details={"follows": "a"}), *one("a", 1), *one("b", 2)]
NO_DELIVERY_NUMBER = [PUBLISHED, Entry(0, "delivered", "a", "w"), *one("a", 1, outcome="ok")]
STOPPED = [PUBLISHED, *one("a", 1)[:2], Entry(19_000, "stopped", "", "w"), Entry(19_100, "joined", "", "w")]


@dataclass(frozen=True)
class Told:
    """What the readers of a history say of it."""

    handled: int
    lost: tuple[str, ...]
    outcomes: tuple[str, ...]
    closings: tuple[str, ...]
    verdict: str


CASES: dict[str, tuple[list[Entry], Told]] = {
    "no-outcome": (NO_OUTCOME, Told(0, (), ("unknown", "unknown"), ("acknowledged", "acknowledged"), "unknown")),
    "no-delivery-number": (NO_DELIVERY_NUMBER, Told(1, (), ("ok",), ("open", "acknowledged"), "holds")),
    "stopped": (STOPPED, Told(0, ("a",), ("unknown",), ("stopped",), "unknown")),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("long", [False, True], ids=["in memory", "in a file"])
def test_all_readers_agree(case: str, long: bool, tmp_path: Path) -> None:
    entries, told = CASES[case]
    history = History(Header(), entries)
    if long:
        history.spill_to_file(tmp_path)
    run = Run(SCENARIO, history, Counts(0, 0, 0, 0), ())
    judgement, summary = run.judgement, summarise(run)
    events, handlings, deliveries = events_table(history), handlings_table(history), deliveries_table(history)
    assert judgement.coverage["handled"] == (events["effects"] > 0).sum() == handlings["effect"].sum() == told.handled
    assert tuple(events["event"][events["lost"]]) == told.lost
    assert tuple(handlings["outcome"]) == told.outcomes
    assert tuple(deliveries["outcome"]) == told.closings
    assert (sum(summary.latencies.values()), summary.unfinished) == (told.handled, len(events) - told.handled)
    assert judgement.verdict == summary.verdict == ("holds" if told.handled else told.verdict)


@pytest.mark.parametrize("most", [1, 2, 100])
@pytest.mark.parametrize("case", CASES)
def test_slices_of_a_long_history_say_what_the_whole_says(case: str, most: int, tmp_path: Path) -> None:
    history = History(Header(), CASES[case][0])
    whole = {event.name: (len(event.deliveries), len(event.effects), event.is_lost) for event in index_of(history)}
    history.spill_to_file(tmp_path)
    parts = [event for _, events in slices(history, most) for event in events]
    assert {event.name: (len(event.deliveries), len(event.effects), event.is_lost) for event in parts} == whole


def test_the_judge_says_why_it_does_not_know() -> None:
    judgement = judge(History(Header(), NO_OUTCOME))
    assert judgement.verdict == "unknown"
    assert json.dumps(judgement.reasons)
