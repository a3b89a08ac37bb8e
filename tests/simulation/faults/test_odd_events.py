"""Faults of the queue and of events: what reaches the consumers and the engine."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import pytest

from simulation import Laboratory
from tests.simulation.faults.engines import Given, GivesUpSlowly, Messages
from tests.simulation.faults.test_faults_happen import ALONE, ONE, STEADY, TWO, ends, entries_of, fault, run

MESSAGES = "tests.simulation.faults.engines:Messages"
FOLLOWER_FIRST = '[workload]\nevents = [{ name = "b", follows = "a" }, { name = "a", at = "3s" }]\n'


def messages(laboratory: Laboratory, text: str) -> list[dict[str, Any]]:
    Messages.seen = []
    run(laboratory, text, MESSAGES)
    return Messages.seen


@pytest.mark.parametrize(
    ("how", "written"),
    [
        ("naive", "2023-11-14T22:13:20.000000"),
        ("first", "0001-01-01T00:00:00.000000Z"),
        ("last", "9999-12-31T23:59:59.999999Z"),
    ],
)
def test_an_odd_time_is_in_the_message(laboratory: Laboratory, how: str, written: str) -> None:
    [record] = messages(laboratory, ONE + ALONE + STEADY + fault("odd-occurred", as_=how))
    assert record["occurred"] == written


def test_a_payload_holds_what_is_no_number(laboratory: Laboratory) -> None:
    [record] = messages(laboratory, ONE + ALONE + STEADY + fault("not-a-number"))
    payload = record["payload"]
    assert math.isnan(payload["nan"])
    assert (payload["most"], payload["least"]) == (math.inf, -math.inf)


def test_a_duplicate_names_another_leader(laboratory: Laboratory) -> None:
    records = messages(laboratory, TWO + ALONE + STEADY + fault("duplicate-follows-another", event="b"))
    assert [record["id"] for record in records[1:]] == [records[1]["id"]] * 2
    assert records[1]["follows"] == records[0]["id"] != records[2]["follows"]


def test_unreadable_event_is_rejected(laboratory: Laboratory) -> None:
    """A consumer that cannot read an event rejects it, and others handle it."""
    text = ONE + "[consumers]\ncount = 2\n" + STEADY + fault("unreadable-for-some", consumer="c1")
    result = run(laboratory, text)
    assert {(e.consumer, e.details["because"]) for e in result.history.of("rejected")} == {("c1", "Unreadable")}
    assert {e.consumer for e in result.history.of("started")} == {"c2"}
    assert result.verdict == "holds"


def test_unreadable_for_the_engine(laboratory: Laboratory) -> None:
    """An engine cannot read what its consumer cannot."""
    text = FOLLOWER_FIRST + "[consumers]\ncount = 1\n" + STEADY
    late = {"from": "1s", "until": "20s"}
    result = run(laboratory, text + fault("unreadable-for-some", event="b", **late))
    [started] = [e.at for e in result.history.of("started") if e.event == "b"]
    assert started >= 20_000_000
    assert entries_of(result, "parked")
    assert result.verdict == "holds"


def test_event_that_is_too_large(laboratory: Laboratory) -> None:
    """Redis executes nothing of a packet with an event that is too large, and everything else."""
    text = FOLLOWER_FIRST + ALONE + STEADY + fault("too-large", event="b")
    result = run(laboratory, text, trace=True)
    sizes = [len(word) for e in result.history.of("command") for words in e.details["commands"] for word in words]
    assert max(sizes) < 1_000_000
    refused = [e for e in result.history.of("fault") if e.consumer]
    assert {(e.event, e.consumer) for e in refused} == {("b", "c1")}
    assert ends(result) == {("a", "ok"): 1}
    assert [e.event for e in result.history.of("dead-lettered")] == ["b"]
    assert result.judgement.coverage["too-large"] == 1 + len(refused)


def test_server_takes_what_was_too_large(laboratory: Laboratory) -> None:
    """When the world heals, the server takes an event of any size."""
    text = FOLLOWER_FIRST + ALONE + STEADY + fault("too-large", event="b") + '[judge]\nheal_after = "0s"\n'
    result = run(laboratory, text)
    assert ends(result) == {("a", "ok"): 1, ("b", "ok"): 1}
    assert result.verdict == "holds"


@pytest.mark.parametrize("hit", [True, False])
def test_engine_is_given_no_event(laboratory: Laboratory, hit: bool) -> None:
    """An engine is given a dict instead of an event."""
    Given.types = []
    text = ONE + ALONE + STEADY + fault("not-an-event", event="a" if hit else "z")
    result = run(laboratory, text, f"{Given.__module__}:Given")
    assert set(Given.types) == {"dict" if hit else "SimpleNamespace"}
    assert bool(entries_of(result, "rejected")) is hit


def test_redelivery_backoff(laboratory: Laboratory) -> None:
    """The queue waits longer before each delivery."""
    settings = 'redeliver_after = "1s"\nredeliver_backoff = 2.0\nredeliver_at_most = "3s"\nmax_failures = 6\n'
    text = ONE + ALONE + STEADY.replace("[broker]\n", "[broker]\n" + settings) + fault("handler-raises")
    moments = [at for _, at in entries_of(run(laboratory, text), "delivered")]
    gaps = [round((b - a) / 1e6) for a, b in pairwise(moments)]
    assert gaps == [1, 2, 3, 3, 3]


@pytest.mark.parametrize("reports", [True, False])
def test_queue_reports_a_dead_letter(laboratory: Laboratory, reports: bool) -> None:
    """The queue reports a dead letter to the engine."""
    settings = f'reports_dead_letters = {str(reports).lower()}\nredeliver_after = "1s"\n'
    text = TWO + ALONE + STEADY.replace("[broker]\n", "[broker]\n" + settings) + fault("handler-raises", event="a")
    result = run(laboratory, text)
    [dead] = result.history.of("dead-lettered")
    assert (dead.details.get("told", False), dead.details["by"]) == (reports, "broker")
    [started] = [e.at for e in result.history.of("started") if e.event == "b"]
    assert (started - dead.at < 10_000_000) == reports
    assert result.verdict == "holds"


def test_reported_dead_letter_is_recorded(laboratory: Laboratory) -> None:
    """A dead letter that the engine knows of is one, although another consumer has acknowledged the event meanwhile."""
    GivesUpSlowly.deliveries = 0
    settings = '[broker]\nreports_dead_letters = true\nredeliver_after = "1s"\nmax_failures = 1\n'
    later = TWO.replace('"100ms"', '"8s"')  # the run lasts for as long as the report
    text = later + "[consumers]\ncount = 2\n" + STEADY.replace("[broker]\n", settings)
    result = run(laboratory, text, f"{GivesUpSlowly.__module__}:GivesUpSlowly")
    [dead] = result.history.of("dead-lettered")
    acknowledged = next(iter(result.history.of("acknowledged")))
    assert dead.details["told"]
    assert (acknowledged.event, dead.event) == ("a", "a")
    assert acknowledged.at < dead.at


def test_only_what_was_delivered_is_trimmed(laboratory: Laboratory) -> None:
    text = TWO.replace('"100ms"', '"2s"') + ALONE + STEADY.replace('"1ms"\n[', '"4s"\n[')
    loss = '[judge]\nallowed_loss = ["trim"]\n' + fault("handler-raises", event="a", call=1)
    trim = fault("trim", at="5s", delivered=True)
    assert ends(run(laboratory, text + loss + trim)) == {("a", "failed"): 1, ("b", "ok"): 1}
