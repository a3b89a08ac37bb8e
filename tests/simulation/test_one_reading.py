"""The judge, the report page, the tables, the exports, the summary and the coverage words read a history alike."""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from reports.exports import FORMATS
from reports.page.page import page
from reports.tables.tables import deliveries_table, events_table, handlings_table
from simulation.history.entries import Entry, Header
from simulation.history.history import History
from simulation.history.indexer import index_of
from simulation.history.slices import slices
from simulation.invariants import judge
from simulation.scenario.load import loads
from simulation.search.summary import summarise
from simulation.world.run import Counts, Run
from simulation.world.run_files import Reported


def one(event: str, number: int, **ended: str) -> list[Entry]:
    start = number * 10_000
    return [
        Entry(start, "delivered", event, "w"),
        Entry(start + 200, "started", event, "w", {"handling": number}),
        Entry(start + 8_000, "ended", event, "w", {"handling": number, **ended}),
        Entry(start + 8_100, "acknowledged", event, "w"),
    ]


SCENARIO = loads('name = "one-reading"\n[workload]\nevents = [{ name = "a" }]\n')
PUBLISHED = Entry(0, "published", "a")
NO_OUTCOME = [PUBLISHED, Entry(0, "published", "b", details={"follows": "a"}), *one("a", 1), *one("b", 2)]
NO_DELIVERY_NUMBER = [PUBLISHED, Entry(0, "delivered", "a", "w"), *one("a", 1, outcome="ok")]
STOPPED = [PUBLISHED, *one("a", 1)[:2], Entry(19_000, "stopped", "", "w"), Entry(19_100, "joined", "", "w")]


@dataclass(frozen=True)
class Expected:
    """What every reader of a history says of it."""

    handled: int
    lost: tuple[str, ...]
    outcomes: tuple[str, ...]
    closings: tuple[str, ...]
    verdict: str


CASES: dict[str, tuple[list[Entry], Expected]] = {
    "no-outcome": (NO_OUTCOME, Expected(0, (), ("unknown", "unknown"), ("acknowledged", "acknowledged"), "unknown")),
    "no-delivery-number": (NO_DELIVERY_NUMBER, Expected(1, (), ("ok",), ("open", "acknowledged"), "holds")),
    "stopped": (STOPPED, Expected(0, ("a",), ("unknown",), ("stopped",), "unknown")),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("long", [False, True], ids=["in memory", "in a file"])
def test_all_readers_agree(case: str, long: bool, tmp_path: Path) -> None:
    entries, expected = CASES[case]
    history = History(Header(), entries)
    if long:
        history.spill_to_file(tmp_path)
    run = Run(SCENARIO, history, Counts(0, 0, 0, 0), ())
    judgement, summary = run.judgement, summarise(run)
    events, handlings, deliveries = events_table(history), handlings_table(history), deliveries_table(history)
    handled = (events["effects"] > 0).sum(), handlings["effect"].sum(), judgement.coverage["handled"]
    assert set(handled) == {expected.handled}
    assert tuple(events["event"][events["lost"]]) == expected.lost
    assert tuple(handlings["outcome"]) == expected.outcomes
    assert tuple(deliveries["outcome"]) == expected.closings
    assert (sum(summary.latencies.values()), summary.unfinished) == (expected.handled, len(events) - expected.handled)
    assert judgement.verdict == summary.verdict == ("holds" if expected.handled else expected.verdict)


@pytest.mark.parametrize("most", [1, 2, 100])
@pytest.mark.parametrize("case", CASES)
def test_slices_of_a_long_history(case: str, most: int, tmp_path: Path) -> None:
    """Slices of a long history say what the whole says."""
    history = History(Header(), CASES[case][0])
    whole = {event.name: (len(event.deliveries), len(event.effects), event.is_lost) for event in index_of(history)}
    history.spill_to_file(tmp_path)
    parts = [event for _, events in slices(history, most) for event in events]
    assert {event.name: (len(event.deliveries), len(event.effects), event.is_lost) for event in parts} == whole


def test_the_judge_says_why_it_does_not_know() -> None:
    judgement = judge(History(Header(), NO_OUTCOME))
    assert judgement.verdict == "unknown"
    assert json.dumps(judgement.reasons)


@dataclass(frozen=True)
class Shown:
    """What the page or an export shows of a history."""

    outcomes: Counter[str]
    closings: Counter[str]
    effects: int
    states: Counter[str]
    """The states of consumers that begin and end."""


PAGE_CLOSINGS = {"acknowledged", "rejected"}
"""The answers that the page draws; the end of a consumer is drawn on its lane."""


def shown_by_page(run: Run) -> Shown:
    """Return what the page's diagram shows: its data is JSON in the page."""
    text = page(Reported(run, run.history, "", ""))
    data = json.loads(re.search(r'<script type="application/json"[^>]*>(.*?)</script>', text, re.DOTALL)[1])  # type: ignore[index]
    diagram = data["diagram"]
    kinds = [diagram["kinds"][mark[0]] for mark in diagram["marks"]]
    outcomes = Counter(kind.removeprefix("handling ") for kind in kinds if kind.startswith("handling "))
    never_handled = int(re.search(r"<dt>never handled</dt><dd>([0-9,]+)", text)[1])  # type: ignore[index]
    published = sum(kind == "published" for kind in kinds)
    closings = Counter(kind for kind in kinds if kind in PAGE_CLOSINGS)
    return Shown(outcomes, closings, published - never_handled, Counter(kind for kind in kinds if kind == "down"))


def exported(run: Run, name: str) -> str:
    return "".join(FORMATS[name].write(run.history, run.judgement.violations))


def shown_by_perfetto(run: Run) -> Shown:
    slices = [record for record in json.loads(exported(run, "perfetto"))["traceEvents"] if record["ph"] == "X"]
    handlings = [record["args"] for record in slices if record["cat"] == "handling"]
    deliveries = [record["args"] for record in slices if record["cat"] == "delivery"]
    return Shown(
        Counter(one["outcome"] for one in handlings),
        Counter(one["outcome"] for one in deliveries),
        sum(one["effect"] for one in handlings),
        Counter(),
    )


def spans_of(value: Any) -> Iterator[dict[str, Any]]:
    """Yield the attributes of every span of an OTLP file."""
    match value:
        case {"traceId": _, "attributes": attributes, "name": _}:
            yield {one["key"]: next(iter(one["value"].values())) for one in attributes}
        case dict():
            for inner in value.values():
                yield from spans_of(inner)
        case list():
            for inner in value:
                yield from spans_of(inner)


def shown_by_otlp(run: Run) -> Shown:
    spans = list(spans_of(json.loads(exported(run, "otlp-json"))))
    handlings = [span for span in spans if "causim.effect" in span]
    deliveries = [span for span in spans if "causim.attempt" in span]
    return Shown(
        Counter(span["causim.outcome"] for span in handlings),
        Counter(span["causim.outcome"] for span in deliveries),
        sum(span["causim.effect"] for span in handlings),
        Counter(),
    )


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("long", [False, True], ids=["in memory", "in a file"])
def test_page_and_exports_agree(case: str, long: bool, tmp_path: Path) -> None:
    entries, expected = CASES[case]
    history = History(Header(), entries)
    if long:
        history.spill_to_file(tmp_path)
    run = Run(SCENARIO, history, Counts(0, 0, 0, 0), ())
    outcomes, closings = Counter(expected.outcomes), Counter(expected.closings)
    for shown in (shown_by_perfetto(run), shown_by_otlp(run)):
        assert (shown.outcomes, shown.closings, shown.effects) == (outcomes, closings, expected.handled)
    shown = shown_by_page(run)
    assert (shown.outcomes, shown.effects) == (outcomes, expected.handled)
    assert shown.closings == Counter(closing for closing in expected.closings if closing in PAGE_CLOSINGS)
    down = [span for consumer in index_of(history).consumers.values() for span in consumer.down]
    assert shown.states.total() == len(down)
    rows = list(csv.DictReader(io.StringIO(exported(run, "csv"))))
    assert [(row["kind"], row["event"]) for row in rows] == [(entry.kind, entry.event) for entry in entries]
    lines = exported(run, "shiviz").splitlines()[2:]
    assert len(lines) == len(entries)
    assert sum("its outcome is not recorded" in line for line in lines) == outcomes["unknown"] - len(down)
