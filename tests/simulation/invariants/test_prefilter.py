"""The prefilter saves time and memory: a judge that reads all of a history, from memory, finds the same."""

import re
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from simulation.history.entries import Entry, Header, Terms
from simulation.history.history import History
from simulation.history.history_file import FileEntries
from simulation.history.records import TrivialCounts
from simulation.invariants import judge
from simulation.invariants.prefilter import index_to_judge
from simulation.invariants.prefilter.automaton import Prefiltered, leave_out_trivial
from simulation.strategies import histories
from tests.simulation.invariants.short_histories import history_of
from tests.simulation.test_strategies import mutilated

FAMILY = """
    0s   joined           @c1
    0s   joined           @c2
    1s   published     a      fingerprint=f
    1s   published     b      fingerprint=g  follows=a  id=id-of-b
    2s   delivered     a  @c1  delivery=1  attempt=1
    2s   started       a  @c1  handling=1  fingerprint=f  fence=7
    3s   ended         a  @c1  handling=1  outcome=ok  write=accepted
    3s   acknowledged  a  @c1  delivery=1
    4s   delivered     b  @c2  delivery=2  attempt=1
    5s   started       b  @c2  handling=2  fingerprint=g
    6s   ended         b  @c2  handling=2  outcome=ok
    6s   acknowledged  b  @c2  delivery=2
"""

WAITING = """
    0s   joined           @c1
    0s   joined           @c2
    1s   published     a      fingerprint=f
    1s   duplicated    a
    1s   published     b      fingerprint=g  follows=a  id=id-of-b  occurred=1s
    1s   published     c      fingerprint=h  follows=a  occurred=2s
    1s   published     d      fingerprint=i  follows=b
    2s   delivered     b  @c2  delivery=1  attempt=1
    2s   parked        b  @c2  delivery=1
    2s   acknowledged  b  @c2  delivery=1
    2s   delivered     c  @c1  delivery=2  attempt=1
    2s   parked        c  @c1  delivery=2
    2s   acknowledged  c  @c1  delivery=2
    3s   delivered     a  @c1  delivery=3  attempt=1
    3s   started       a  @c1  handling=1  fingerprint=f  via=delivered
    3s   delivered     c  @c2  delivery=4  attempt=1
    3s   parked        c  @c2  delivery=4
    3s   acknowledged  c  @c2  delivery=4
    4s   ended         a  @c1  handling=1  outcome=ok  write=accepted
    4s   started       b  @c1  handling=2  fingerprint=g  via=released
    5s   ended         b  @c1  handling=2  outcome=ok  write=accepted
    5s   started       c  @c1  handling=3  fingerprint=h  via=released
    6s   ended         c  @c1  handling=3  outcome=ok  write=accepted
    6s   acknowledged  a  @c1  delivery=3
    6s   delivered     d  @c2  delivery=5  attempt=1
    6s   started       d  @c2  handling=4  fingerprint=i
    7s   ended         d  @c2  handling=4  outcome=ok
    7s   acknowledged  d  @c2  delivery=5
    8s   delivered     a  @c2  delivery=6  attempt=1
    8s   refused       a  @c2  delivery=6  because=seen
    8s   acknowledged  a  @c2  delivery=6
    8s   duplicated    c
"""

RELEASED = """
    0s   joined           @c1
    0s   joined           @c2
    1s   published     a      fingerprint=f
    1s   published     b      fingerprint=g  follows=a
    2s   delivered     b  @c2  delivery=1  attempt=1
    2s   parked        b  @c2  delivery=1
    2s   acknowledged  b  @c2  delivery=1
    2s   delivered     a  @c1  delivery=2  attempt=1
    2s   started       a  @c1  handling=1  fingerprint=f
    3s   ended         a  @c1  handling=1  outcome=ok  write=accepted
    3s   acknowledged  a  @c1  delivery=2
    3s   started       b  @c1  handling=2  fingerprint=g  via=released
    4s   ended         b  @c1  handling=2  outcome=ok  write=accepted
"""


def opened(history: History, folder: Path) -> History:
    history.write(folder / "history.jsonl")
    return History.open(folder / "history.jsonl")


def prefiltered(story: str, folder: Path) -> Prefiltered | None:
    history = opened(history_of(story, at_most=35), folder)
    assert isinstance(history.entries, FileEntries)
    return leave_out_trivial(history.entries, history.header.terms)


def left_out(story: str, folder: Path) -> int:
    found = prefiltered(story, folder)
    assert found
    assert sum(map(bool, found.kept)) == len(found.times) - sum(found.counts.values())
    return found.trivial.events


@cache
def families() -> tuple[Entry, ...]:
    """Return the entries of six families of two kinds, told in turns, with a consumer that dies at the end."""
    joined = [entry for entry in history_of(FAMILY, at_most=35).entries if entry.kind == "joined"]
    story: list[Entry] = []
    for family in range(6):
        for entry in history_of(WAITING if family % 2 else FAMILY, at_most=35).entries:
            if entry.kind != "joined":
                story.append(renamed(entry, str(family)))
    story.sort(key=lambda entry: entry.at)
    return (*joined, *story, Entry(story[-1].at, "crashed", consumer="c2"))


def renamed(entry: Entry, family: str) -> Entry:
    details: dict[str, Any] = dict(entry.details)
    for name in ("follows", "id"):
        if details.get(name):
            details[name] += family
    return entry._replace(event=entry.event + family, details=details)


NAMES = st.sampled_from(["a0", "b0", "a1", "b1", "c1", "d1", "a2", "id-of-b1", "id-of-b3", "x"])
CHANGES: list[Callable[[Entry, str], Entry]] = [
    lambda entry, name: entry._replace(event=name),
    lambda entry, name: entry._replace(consumer=name),
    lambda entry, name: entry._replace(kind="duplicated"),
    lambda entry, name: entry._replace(kind="dead-lettered"),
    lambda entry, name: Entry(entry.at, "store-lost", details={"fault": "flush", "keys": [f"seen:{name}"]}),
    lambda entry, name: Entry(entry.at, "crashed", consumer="c1"),
    lambda entry, name: Entry(entry.at, "lease-lost", name, "c1"),
    lambda entry, name: entry._replace(details={**entry.details, "follows": name}),
    lambda entry, name: entry._replace(details={**entry.details, "id": name}),
    lambda entry, name: entry._replace(details={**entry.details, "outcome": "failed"}),
    lambda entry, name: entry._replace(details={**entry.details, "occurred": 3_000_000}),
    lambda entry, name: entry._replace(details={**entry.details, "via": "rescued"}),
    lambda entry, name: entry._replace(details={**entry.details, "attempt": 2}),
    lambda entry, name: entry._replace(details={**entry.details, "because": "held"}),
    lambda entry, name: entry._replace(details={**entry.details, "delivery": 4}),
    lambda entry, name: entry._replace(kind="parked"),
    lambda entry, name: entry._replace(details={**entry.details, "delivery": [name]}),
    lambda entry, name: entry._replace(details={}),
]


@st.composite
def disturbed(draw: st.DrawFn) -> History:
    """Draw the history of the families with a few entries changed, left out, told twice or told at another time."""
    entries = list(families())
    for _ in range(draw(st.integers(1, 4))):
        index = draw(st.integers(0, len(entries) - 1))
        match draw(st.sampled_from(["change", "change", "drop", "repeat", "move"])):
            case "change":
                entries[index] = draw(st.sampled_from(CHANGES))(entries[index], draw(NAMES))
            case "drop":
                del entries[index]
            case "repeat":
                entries.insert(index, entries[index])
            case "move":
                other = draw(st.integers(0, len(entries) - 1))
                entries.insert(other, entries.pop(index))
    return in_time(History(Header(allowed_loss=draw(st.sampled_from([(), ("flush",)]))), entries))


@st.composite
def stretched(draw: st.DrawFn) -> History:
    """Draw the history of the families on terms that they barely keep, or with a pause in which time passes."""
    entries = list(families())
    since = draw(st.integers(0, len(entries)))
    pause = draw(st.sampled_from([0, 2, 9, 60, 900, 1800])) * 1_000_000
    entries[since:] = [entry._replace(at=entry.at + pause) for entry in entries[since:]]
    span = st.integers(0, 10).map(lambda seconds: seconds * 1_000_000)
    terms = draw(st.just(Terms()) | st.builds(Terms, span, span, span, span, span, span))
    return History(Header(terms=terms), entries)


def in_time(history: History) -> History:
    """Return the same entries at times that a file may hold."""
    times = sorted(entry.at for entry in history)
    return History(history.header, [entry._replace(at=at) for entry, at in zip(history, times, strict=True)])


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.one_of(disturbed(), stretched(), histories(orderly=True), histories(orderly=False), mutilated().map(in_time)))
def test_left_out_changes_no_judgement(history: History) -> None:
    """What the prefilter leaves out changes no judgement."""
    with tempfile.TemporaryDirectory() as name:
        assert judge(opened(history, Path(name))) == judge(history)


def test_an_ordinary_family_is_left_out(tmp_path: Path):
    assert left_out(FAMILY, tmp_path) == 2
    index = index_to_judge(opened(history_of(FAMILY, at_most=35), tmp_path))
    assert (index.trivial, index.nontrivial, list(index)) == (
        TrivialCounts(events=2, deliveries=2, followers=1, apart=1),
        [],
        [],
    )
    assert (index.end, index.end_at, index.counts["ended"], index.counts["joined"]) == (12, 6_000_000, 2, 2)
    assert list(index.consumers) == ["c1", "c2"]


def test_counts_parked_and_released(tmp_path: Path):
    """Events that were parked and released in turn are left out and counted."""
    assert left_out(WAITING, tmp_path) == 4
    index = index_to_judge(opened(history_of(WAITING, at_most=35), tmp_path))
    assert index.trivial == TrivialCounts(
        events=4, deliveries=6, followers=3, apart=3, reordered=2, released=2, early=2, beside=2
    )
    assert (index.nontrivial, index.counts["parked"], index.counts["refused"], index.counts["duplicated"]) == (
        [],
        3,
        1,
        2,
    )


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("duplicated    a\n", "duplicated    a  @c1\n"),
        ("delivered     c  @c2  delivery=4  attempt=1", "delivered     c  @c2  delivery=4"),
        ("parked        c  @c2  delivery=4", "parked        c  @c2  delivery=2"),
        ("parked        c  @c2  delivery=4", "parked        c  @c1  delivery=4"),
        ("acknowledged  c  @c2  delivery=4", "rejected      c  @c2  delivery=4"),
        ("3s   acknowledged  c", "3s   stopped  @c2\n3s   acknowledged  c"),
        ("4s   ended         a", "4s   started       a  @c1  handling=9  fingerprint=f\n4s   ended         a"),
        ("4s   ended         a  @c1", "4s   stopped  @c1\n4s   ended         a  @c1"),
        ("started       b  @c1  handling=2  fingerprint=g  via=released", "started  b  @c1  handling=2  via=released"),
        (
            "started       b  @c1  handling=2  fingerprint=g  via=released\n    5s   ended         b  @c1",
            "started       b  @c2  handling=2  fingerprint=g  via=released\n    5s   ended         b  @c2",
        ),
        ("handling=2  fingerprint=g  via=released", "handling=2  fingerprint=g  via=rescued"),
        ("5s   ended         b  @c1", "5s   ended         b  @c2"),
        ("occurred=2s", "occurred=1s"),
        ("occurred=1s", "occurred=3s"),
        ("3s   delivered     a", "1000s   delivered     a"),
        ("8s   refused       a  @c2  delivery=6  because=seen", "8s   refused       a  @c2  delivery=6  because=held"),
        ("8s   refused       a  @c2", "8s   refused       a  @c1"),
        ("8s   acknowledged  a  @c2  delivery=6\n", ""),
        ("8s   delivered     a  @c2  delivery=6  attempt=1", "8s   delivered     a  @c2  delivery=6  attempt=2"),
    ],
)
def test_keeps_unusual_waits(old: str, new: str, tmp_path: Path):
    """Events that waited are kept if anything was unusual."""
    assert old in WAITING
    story = WAITING.replace(old, new, 1)
    if "1000s" in new:
        before, after = story.split("1000s")
        story = before + "1000s" + re.sub(r"(?m)^    (?=\ds)", "    100", after)
    assert left_out(story, tmp_path) == 0


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("follows=a", "follows=b"),
        ("1s   published     b      fingerprint=g  follows=a", "1s   published     b      fingerprint=g"),
        ("4s   ended         b", "4s   stopped  @c1\n4s   ended         b"),
        ("4s   ended         b", "20s  ended         b"),
        ("4s   ended         b  @c1  handling=2", "4s   ended         b  @c1  handling=1"),
        ("4s   ended         b", "3s   rejected      b  @c1\n4s   ended         b"),
    ],
)
def test_keeps_unusual_releases(old: str, new: str, tmp_path: Path):
    """Released events are kept unless all of their course was ordinary."""
    assert left_out(RELEASED, tmp_path) == 2
    assert old in RELEASED
    assert left_out(RELEASED.replace(old, new, 1), tmp_path) == (1 if "follows" in old else 0)


def test_keeps_delivered_during_leader(tmp_path: Path):
    """An event that was delivered before its leader had ended is kept."""
    line = "    4s   delivered     b  @c2  delivery=2  attempt=1\n"
    story = FAMILY.replace(line, "").replace("    3s   ended", "    3" + line.lstrip(" 4") + "    3s   ended")
    assert left_out(story, tmp_path) == 0
    index = index_to_judge(opened(history_of(story, at_most=35), tmp_path))
    assert [event.name for event in index.nontrivial] == ["b"]


def test_orders_without_occurred(tmp_path: Path):
    """An event without `occurred` takes its turn as it was published."""
    history = history_of(WAITING.replace("  occurred=1s", "").replace("  occurred=2s", ""), at_most=35)
    assert left_out(WAITING.replace("  occurred=1s", ""), tmp_path) == 4
    assert isinstance(history.entries, list)
    for index in (4, 5):
        published = history.entries[index]
        soon = {**published.details, "occurred": "soon"}
        history.entries[index] = published._replace(details=soon, at=1_000_000 + index)
    history.entries[6] = history.entries[6]._replace(at=1_000_006)
    lines = opened(history, tmp_path).entries
    assert isinstance(lines, FileEntries)
    found = leave_out_trivial(lines, Terms())
    assert found
    assert found.trivial.beside == 2


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("0s   joined           @c2\n", ""),
        ("fingerprint=g  follows", "follows"),
        ("follows=a", "follows=z"),
        ("5s   started ", "5s   stopped  @c2\n5s   started "),
        ("5s   started ", "5s   parked  b\n5s   started "),
        ("outcome=ok  write=accepted", "outcome=failed"),
        ("outcome=ok  write=accepted", "outcome=ok  write=refused"),
        ("handling=2  fingerprint=g", "handling=2  fingerprint=x"),
        ("handling=2  fingerprint=g", "handling=2  fingerprint=g  via=released"),
        ("6s   acknowledged  b  @c2  delivery=2", "6s   rejected      b  @c2  delivery=2"),
        ("6s   acknowledged  b  @c2  delivery=2", "6s   acknowledged  b  @c1  delivery=2"),
        ("6s   acknowledged  b  @c2  delivery=2", "60s  acknowledged  b  @c2  delivery=2"),
        ("6s   acknowledged  b  @c2  delivery=2", "7s   ended         b  @c2  handling=2"),
        ("delivery=2  attempt=1", "delivery=2  attempt=2"),
        ("2s   delivered     a", "2s   delivered     b  @c2  delivery=2\n2s   delivered     a"),
        ("6s   ended ", "6s   store-lost  fault=flush  keys=park/id-of-b\n6s   ended "),
        ("6s   ended ", "6s   store-lost  fault=flush  keys=seen/a\n6s   ended "),
    ],
)
def test_keeps_family_of_the_unusual(old: str, new: str, tmp_path: Path):
    """A family is kept if anything was unusual about one of it."""
    assert old in FAMILY
    assert left_out(FAMILY.replace(old, new, 1), tmp_path) == (1 if new == "follows=z" else 0)


def test_who_follows_by_an_id_keeps_its_leader(tmp_path: Path):
    story = FAMILY + "6s  published  c  follows=id-of-b\n"
    assert left_out(story, tmp_path) == 0
    index = index_to_judge(opened(history_of(story, at_most=35), tmp_path))
    assert index.events["c"].leader == "b"


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"[]",
        b"NaN",
        b'{"at":1e9,"kind":"joined"}',
        b'{"at":1,"kind":"joined"}',
        b'{"at":9000000000,"kind":"slept"}',
        b'{"at":9000000000,"kind":"delivered","event":7}',
        b'{"at":9000000000,"kind":"delivered","event":{}}',
        b'{"at":9000000000,"kind":"joined"},{"at":9000000000,"kind":"joined"}',
        b'{"at":9000000000,"kind":"joined"\n"consumer":"c9"}\n'
        b'{"at":9000000000,"kind":"joined"},{"at":9000000000,"kind":"joined"}',
    ],
)
def test_leaves_unknown_lines(line: bytes, tmp_path: Path):
    """A line that is not understood is left to the reader."""
    file = tmp_path / "history.jsonl"
    history_of(FAMILY, at_most=35).write(file)
    file.write_bytes(file.read_bytes() + line + b"\n" + b'{"at":9000000000,"kind":"joined"}\n')
    lines = History.open(file).entries
    assert isinstance(lines, FileEntries)
    assert leave_out_trivial(lines, Header().terms) is None


def test_what_is_left_out_takes_time(tmp_path: Path) -> None:
    """A consumer that handles ordinary events, one beside the other, has no room for an event it was given."""
    work = """
    {at}s  published     a{at}       fingerprint=f
    {at}s  delivered     a{at}  @c{by}  delivery={at}  attempt=1
    {at}s  started       a{at}  @c{by}  handling={at}  fingerprint=f
    {end}s ended         a{at}  @c{by}  handling={at}  outcome=ok  write=accepted
    {end}s acknowledged  a{at}  @c{by}  delivery={at}"""
    for by, verdict in ((1, "holds"), (2, "violated")):
        lines = sorted(
            (line for at in range(0, 72, 12) for line in work.format(at=at, end=at + 14, by=by).splitlines() if line),
            key=lambda line: float(line.split()[0][:-1]),
        )
        lines[:0] = ["0s joined @c1", "0s joined @c2", "0s delivered x @c1 delivery=99 attempt=1"]
        story = "\n".join([*lines, "76s started x @c1 handling=99", "77s ended x @c1 handling=99 outcome=ok"])
        history = history_of(story, at_most=35)
        assert judge(history, ["prompt-start"]).verdict == verdict
        assert judge(opened(history, tmp_path), ["prompt-start"]).verdict == verdict
        assert left_out(story, tmp_path) == 6
