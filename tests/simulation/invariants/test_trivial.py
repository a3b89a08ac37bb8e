"""Events that went as usual are only counted, to save time: a judge that reads each of them finds the same."""

from collections.abc import Mapping, Sequence
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from simulation.history.entries import Terms
from simulation.history.history import History
from simulation.history.index import HistoryIndex
from simulation.history.records import EventStory, TrivialCounts
from simulation.invariants import judge, prefilter
from simulation.invariants.prefilter import index_to_judge
from simulation.strategies import histories
from tests.simulation.invariants.short_histories import history_of
from tests.simulation.test_strategies import mutilated

PAIR = """
    0s   published     a       fingerprint=f
    0s   published     b       fingerprint=g  follows=a
    1s   delivered     a  @c1  delivery=1  attempt=1
    2s   started       a  @c1  handling=1  fingerprint=f  fence=7
    3s   ended         a  @c1  handling=1  outcome=ok  write=accepted
    3s   acknowledged  a  @c1  delivery=1
    4s   delivered     b  @c2  delivery=2  attempt=1
    5s   started       b  @c2  handling=2  fingerprint=g
    6s   ended         b  @c2  handling=2  outcome=ok
    6s   acknowledged  b  @c2  delivery=2
"""


def nothing_plain(
    events: Mapping[str, EventStory], times: Sequence[int], terms: Terms
) -> tuple[TrivialCounts, list[EventStory], list[EventStory]]:
    every = list(events.values())
    return TrivialCounts(), every, every


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.one_of(histories(orderly=True), histories(orderly=False), mutilated()))
def test_plain_lives_change_no_judgement(history: History) -> None:
    judged = judge(history)
    with patch.object(prefilter, "sort_out", nothing_plain):
        assert judge(history) == judged


def test_a_short_life_in_an_endless_silence():
    """What ended in time is not lost, also if Redis is out of reach until the history ends."""
    history = history_of(f"0s unreachable\n{PAIR}", at_most=11)
    judged = judge(history)
    with patch.object(prefilter, "sort_out", nothing_plain):
        assert judge(history) == judged
    assert judged.verdicts["recovery"].verdict == "unknown"


def read(story: str) -> HistoryIndex:
    return index_to_judge(history_of(story, at_most=11))


def test_an_ordinary_pair_is_plain():
    index = read(PAIR)
    assert (index.trivial, index.nontrivial, index.leaders) == (
        TrivialCounts(events=2, deliveries=2, followers=1, apart=1),
        [],
        [],
    )


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("1s   delivered     a", "0s   parked        a  @c1\n1s   delivered     a"),
        ("outcome=ok  write=accepted", "outcome=failed"),
        ("outcome=ok  write=accepted", "outcome=ok  write=refused"),
        ("fingerprint=f  fence", "fingerprint=x  fence"),
        ("3s   acknowledged", "3s   rejected    "),
        ("delivery=1  attempt=1", "delivery=1  attempt=2"),
        ("4s   delivered     b", "4s   refused       a  @c2  because=seen\n4s   delivered     b"),
        ("4s   delivered     b", "4s   delivered     a  @c2\n4s   delivered     b"),
        ("4s   delivered     b", "4s   dead-lettered a\n4s   delivered     b"),
    ],
)
def test_unusual_is_not_trivial(old: str, new: str):
    """Whatever was unusual makes an event and its follower odd."""
    assert old in PAIR
    index = read(PAIR.replace(old, new, 1))
    assert [event.name for event in index.nontrivial] == ["a", "b"]
    assert [event.name for event in index.leaders] == ["a"]


def test_trivial_event_in_full():
    """A trivial event is built in full when a caller asks for it."""
    index = read(PAIR)
    [delivery], [handling] = index.events["a"].deliveries, index.events["a"].handlings
    assert handling.delivery is delivery
    assert list(index.events["a"].effects) == [handling]
    assert (delivery.index, delivery.at, delivery.closed, delivery.closing) == (2, 1_000_000, 5, "acknowledged")
    assert (handling.consumer, handling.start, handling.start_at, handling.end, handling.end_at) == (
        "c1", 3, 2_000_000, 4, 3_000_000,
    )  # fmt: skip
    assert (handling.fence, handling.write, handling.outcome) == (7, "accepted", "ok")
    assert index.events["b"].handlings[0].fence is None
    assert index.events["b"].handlings[0].write == ""
