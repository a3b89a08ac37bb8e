import json
import re

import pytest
from exported_histories import HISTORIES, NASTY, led
from toy_history import toy

from reports.exports import shiviz
from reports.exports.causes import Place
from simulation.history.entries import Header
from simulation.history.history import History

BROKER = ("published", "duplicated", "dropped", "acknowledged", "rejected")
WORLD = ("fault", "healed", "phase", "census", "store-lost")


def log(history):
    """Read a log as ShiViz does, by the parser that is its first line."""
    text = "".join(shiviz.write(history))
    parser, empty, _ = text.split("\n", 2)
    assert empty == ""
    # JavaScript ends a line at these four, and names groups without the P.
    lines = re.split("[\n\r\u2028\u2029]", text)
    matches = [re.fullmatch(parser.replace("(?<", "(?P<").strip("^$"), line) for line in lines]
    assert matches[0] is None
    assert len([line for line in lines[2:] if line]) == len([m for m in matches if m])
    return [(m["host"], json.loads(m["clock"]), m["event"]) for m in matches if m]


def happened_before(one, other):
    """Whether one line happened before another, as vector clocks say it."""
    (host, clock, _), (_, later, _) = one, other
    return one is not other and later.get(host, 0) >= clock[host]


def place(entry):
    if entry.kind in BROKER or (entry.kind == "dead-lettered" and not entry.consumer):
        return "broker"
    if entry.kind == "command":
        return "Redis"
    return entry.consumer if entry.consumer and entry.kind not in WORLD else "world"


def oracle(history):
    """What happened before each entry, found the slow way: program order, messages, and what follows from them."""
    entries = history.entries
    pasts = []

    def latest(index, fits):
        return [n for n in range(index) if fits(entries[n])][-1:]

    for index, entry in enumerate(entries):
        direct = latest(index, lambda e, entry=entry: place(e) == place(entry))
        if entry.kind == "delivered":
            direct += latest(index, lambda e, entry=entry: place(e) == "broker" and e.event == entry.event)
        if entry.kind in ("acknowledged", "rejected"):
            who = (entry.consumer, entry.event)
            direct += latest(index, lambda e, who=who: (place(e), e.event) == who)
        if entry.kind == "started" and entry.details.get("via") in ("released", "rescued"):
            direct += latest(index, lambda e, entry=entry: e.kind == "parked" and e.event == entry.event)
        if entry.kind == "started" and entry.details.get("via") == "released":
            leader = next(e.details["follows"] for e in history.of("published") if e.event == entry.event)
            direct += latest(index, lambda e, leader=leader: e.event == leader and e.details.get("outcome") == "ok")
        pasts.append(set(direct).union(*(pasts[n] for n in direct)))
    return pasts


@pytest.mark.parametrize("history", [led(), *(toy(40, 3, seed=n, fail=0.2) for n in range(4))], ids=repr)
def test_clocks_match_the_history(history):
    """Clocks say exactly what the history proves."""
    lines = log(history)
    for index, (past, line) in enumerate(zip(oracle(history), lines, strict=True)):
        assert {n for n, other in enumerate(lines) if happened_before(other, line)} == past, history.entries[index]


def test_leader_before_follower():
    """A leader's effect happened before its follower and the rest is concurrent."""
    lines = log(led())
    a_published, b_published, b_delivered, b_parked, b_done, a_delivered, a_started, a_ended, b_started, *_ = lines
    assert happened_before(a_ended, b_started)
    assert happened_before(b_parked, b_started)
    assert happened_before(b_published, b_delivered)
    assert happened_before(b_parked, b_done)
    assert not happened_before(b_parked, a_ended)
    assert not happened_before(a_started, b_parked)
    assert not happened_before(b_delivered, a_delivered)
    assert a_published[:2] == ("broker", {"broker": 1})
    assert b_started[:2] == ("c2", {"broker": 2, "c1": 2, "c2": 4})


def test_rescued_follower():
    """A rescued follower knows of its parking but of no leader."""
    h = History(Header())
    h.append(0, "published", "a")
    h.append(0, "published", "b", follows="a")
    h.append(1, "started", "a", "c3", handling=1)
    h.append(2, "ended", "a", "c3", handling=1, outcome="ok")
    h.append(3, "parked", "b", "c1")
    h.append(9, "started", "b", "c2", handling=2, via="rescued")
    assert log(h)[-1][1] == {"c1": 1, "c2": 1}


def test_redelivery_after_rejection():
    """A redelivery knows of the rejection before it."""
    h = History(Header())
    h.append(0, "published", "a")
    h.append(1, "delivered", "a", "c1", attempt=1)
    h.append(2, "rejected", "a", "c1", because="no")
    h.append(3, "delivered", "a", "c2", attempt=2)
    assert log(h)[-1][:2] == ("c2", {"broker": 2, "c1": 1, "c2": 1})


def test_requests_and_replies():
    """Requests and replies order what a connection does."""
    h = History(Header())
    h.append(0, "command", consumer="c1", connection="x", commands=[["GET", "k"]])
    h.append(1, "command", consumer="c2", connection="y", commands=[["GET", "k"]])
    h.append(2, "reply", consumer="c1", connection="x", reply="+OK")
    h.append(3, "command", consumer="c1", connection="x", commands=[["GET", "k"]])
    h.append(4, "reply", consumer="c2", connection="y", reply="+OK")
    assert [line[1] for line in log(h)] == [
        {"Redis": 1},
        {"Redis": 2},
        {"Redis": 1, "c1": 1},
        {"Redis": 3, "c1": 1},
        {"Redis": 2, "c2": 1},
    ]


def test_host_clocks(anything):
    """Each host counts its own lines and hears only of lines that were."""
    counts = {}
    lines = log(anything)
    assert len(lines) == len(anything)
    for host, clock, event in lines:
        counts[host] = counts.get(host, 0) + 1
        assert clock[host] == counts[host]
        assert all(0 < count <= counts.get(name, 0) for name, count in clock.items())
        assert event.isprintable()


def test_host_names():
    """Hosts are distinct, whatever the names of consumers are."""
    names = [shiviz.host(place) for place in (*shiviz.HOSTS, *(Place("consumer", name) for name in NASTY))]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[!-~]+", name) for name in names)
    assert shiviz.host(Place("consumer", "c1")) == "c1"


def test_the_same_history_gives_the_same_bytes():
    assert "".join(shiviz.write(HISTORIES["hostile"]())) == "".join(shiviz.write(HISTORIES["hostile"]()))


def test_replies_answer_in_order():
    """A reply answers the oldest request of its connection."""
    h = History(Header())
    for at in (0, 1):
        h.append(at, "command", consumer="c1", connection="x", commands=[["GET", "k"]])
    h.append(2, "reply", consumer="c1", connection="x", reply="+1")
    h.append(3, "reply", consumer="c1", connection="x", reply="+2")
    assert [line[1] for line in log(h)][2:] == [{"Redis": 1, "c1": 1}, {"Redis": 2, "c1": 2}]
