from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from simulation.history.entries import Entry, Header, Terms
from simulation.history.history import History
from simulation.invariants import judge
from simulation.invariants.commutativity import Precedence
from simulation.search.explore.footprints import conflict
from simulation.strategies import histories

LOOKBACK = Terms().lookback
PAUSES = (0, 0, 0, 20_000_000, 70_000_000)
"""Shorter and longer than what the judge's bounds are about, and the shortest most often."""


def _histories() -> st.SearchStrategy[History]:
    return histories(orderly=False) | histories()


@settings(deadline=None, max_examples=300)
@given(history=_histories(), pauses=st.lists(st.sampled_from(PAUSES), max_size=12))
def test_allowed_exchange(history: History, pauses: Sequence[int]) -> None:
    """No invariant notices an exchange that is allowed."""
    entries = _stretched(history.entries, pauses)
    abouts = list(_abouts(entries))
    for place in range(len(entries) - 1):
        if conflict(abouts[place], abouts[place + 1]):
            continue
        first, second = entries[place], entries[place + 1]._replace(at=entries[place].at)
        event(f"{first.kind} and {second.kind} change places")
        in_order_of_time = [*entries[:place], first, second, *entries[place + 2 :]]
        exchanged = [*entries[:place], second, first, *entries[place + 2 :]]
        assert _verdict(history.header, exchanged) == _verdict(history.header, in_order_of_time), (first, second)


def _stretched(entries: Sequence[Entry], pauses: Sequence[int]) -> list[Entry]:
    """Let some time pass here and there in a history."""
    moved, passed = [], 0
    for place, entry in enumerate(entries):
        if pauses and place % 3 == 0:
            passed += pauses[place // 3 % len(pauses)]
        moved.append(entry._replace(at=entry.at + passed))
    return moved


def _abouts(entries: Sequence[Entry]) -> Iterator[Mapping[str, int]]:
    leaders = {entry.event: str(entry.details["follows"]) for entry in entries if entry.kind == "published"}
    precedence = Precedence(leaders, LOOKBACK)
    return (precedence.about(entry.at, entry.kind, entry.event, entry.consumer) for entry in entries)


def _verdict(header: Header, entries: Sequence[Entry]) -> tuple[Any, ...]:
    history = History(header)
    for entry in entries:
        history.append(entry.at, entry.kind, entry.event, entry.consumer, **entry.details)
    judgement = judge(history)
    return judgement.verdict, sorted((v.invariant, v.at, v.events, v.consumers) for v in judgement.violations)


FAMILY = {"a": "", "b": "a", "c": "a", "d": "b", "x": ""}


@pytest.mark.parametrize(
    ("one", "other", "commute"),
    [
        (("started", "a"), ("started", "x"), True),
        (("acknowledged", "a"), ("started", "b"), True),
        (("started", "b"), ("ended", "a"), False),
        (("started", "d"), ("ended", "a"), True),
        (("started", "b"), ("started", "c"), False),
        (("parked", "b"), ("ended", "a"), False),
        (("delivered", "b"), ("ended", "a"), False),
        (("delivered", "b"), ("delivered", "c"), True),
        (("parked", "b"), ("parked", "c"), True),
        (("parked", "d"), ("ended", "b"), True),
        (("dead-lettered", "a"), ("started", "x"), False),
        (("started", "a"), ("ended", "a"), False),
    ],
)
def test_what_may_change_places(one: tuple[str, str], other: tuple[str, str], commute: bool) -> None:
    precedence = Precedence(FAMILY, LOOKBACK)
    abouts = [precedence.about(0, *entry, consumer) for entry, consumer in ((one, "c1"), (other, "c2"))]
    assert conflict(*abouts) is not commute


def test_crash_and_its_consumer() -> None:
    """A crash is about what the consumer has had to do with."""
    precedence = Precedence(FAMILY, LOOKBACK)
    precedence.about(0, "delivered", "a", "c1")
    crash = precedence.about(0, "crashed", "", "c1")
    assert conflict(crash, precedence.about(0, "started", "a", "c2"))
    assert not conflict(crash, precedence.about(0, "started", "x", "c2"))


def test_overdue_events() -> None:
    """Once an event may be overdue every order counts."""
    precedence = Precedence(FAMILY, LOOKBACK)
    late = [precedence.about(LOOKBACK, "started", name, "") for name in "ax"]
    assert conflict(*late)


def test_cycles_and_strict() -> None:
    """Every order counts in a circle and to the strict."""
    in_circle = Precedence({"a": "b", "b": "a"}, LOOKBACK)
    assert conflict(in_circle.about(0, "acknowledged", "a", "c1"), in_circle.about(0, "started", "b", "c2"))
    strict = Precedence(FAMILY, LOOKBACK, strict=True)
    assert conflict(strict.about(0, "started", "a", "c1"), strict.about(0, "started", "x", "c2"))
