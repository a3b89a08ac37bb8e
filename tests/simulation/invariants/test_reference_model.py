"""The judge against perfect runs: it accepts every one of them, and none that was tampered with."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from simulation.history.entries import Entry
from simulation.history.history import History
from simulation.invariants import judge
from tests.simulation.invariants.reference_model import execute

NAMES = "abcdefgh"


Shape = Callable[[int], list[str]]
"""Given the place of an event, the events that it may follow; "" is none."""


def graphs(place: int) -> list[str]:
    """Trees, chains, and cycles with trees on them."""
    return ["", *(name for name in NAMES if name != NAMES[place])]


def forests(place: int) -> list[str]:
    """Every event follows nothing or an earlier one."""
    return ["", *NAMES[:place]]


def fans(place: int) -> list[str]:
    """Every event but the first follows one of the first two."""
    return list(NAMES[: min(place, 2)]) or [""]


@st.composite
def runs(draw: st.DrawFn, shape: Shape = graphs, max_faults: int = 0) -> History:
    """Perfect runs; at most one event is never delivered."""
    names = NAMES[: draw(st.integers(2, len(NAMES)))]
    follows = [draw(st.sampled_from(shape(place))) for place in range(len(names))]
    leaders = dict(zip(names, (leader if leader in names else "" for leader in follows), strict=True))
    absent = draw(st.lists(st.sampled_from(names), max_size=1))
    order = draw(st.permutations(names))
    return execute({name: leaders[name] for name in order}, absent, draw(st.randoms(use_true_random=False)), max_faults)


def violated(history: History) -> set[str]:
    return {violation.invariant for violation in judge(history).violations}


@given(runs())
def test_accepts_every_perfect_run(history: History):
    judgement = judge(history)
    assert not judgement.violations, [violation.because for violation in judgement.violations]
    assert judgement.verdict == ("holds" if judgement.coverage["handled"] else "unknown")


@settings(max_examples=300)
@given(runs(max_faults=3))
def test_accepts_perfect_runs(history: History):
    """Accepts every perfect run in which consumers crash and freeze."""
    assert not judge(history).violations, [violation.because for violation in judge(history).violations]


# -- tampering


def handlings(history: History, via: str = "") -> list[tuple[int, int]]:
    """Return the indices of the start and the end of each handling."""
    starts = {e.details["handling"]: i for i, e in enumerate(history) if e.kind == "started"}
    ends = {e.details["handling"]: i for i, e in enumerate(history) if e.kind == "ended"}
    pairs = [(start, ends[number]) for number, start in starts.items()]
    return [pair for pair in pairs if via in ("", history.entries[pair[0]].details["via"])]


def pick(
    draw: Callable[[st.SearchStrategy[tuple[int, int]]], tuple[int, int]], some: list[tuple[int, int]]
) -> tuple[int, int]:
    assume(some)
    return draw(st.sampled_from(some))


def altered(history: History, index: int, **changes: object) -> None:
    entry = history.entries[index]
    history.entries[index] = entry._replace(details={**entry.details, **changes})


def exchange(history: History, one: str, other: str) -> None:
    """Let each of two events be handled when the other was."""
    names = {one: other, other: one}
    for index, entry in enumerate(history.entries):
        if entry.kind in ("started", "ended") and entry.event in names:
            history.entries[index] = entry._replace(event=names[entry.event])


def postponed(history: History, index: int, by: int) -> None:
    """Let nothing happen for a while before an entry."""
    history.entries[index:] = [entry._replace(at=entry.at + by) for entry in history.entries[index:]]


@given(runs(shape=forests), st.data())
def test_rejects_exchanged_follower(history: History, data: st.DataObject):
    """Rejects a follower that was exchanged with its leader."""
    start, _ = pick(data.draw, handlings(history, "released"))
    follower = history.entries[start].event
    leader = next(e.details["follows"] for e in history if e.kind == "published" and e.event == follower)
    exchange(history, follower, leader)
    assert "causal-order" in violated(history)


@given(runs(), st.data())
def test_rejects_dropped_effect(history: History, data: st.DataObject):
    """Rejects a run from which an effect was dropped."""
    start, end = pick(data.draw, handlings(history))
    del history.entries[end], history.entries[start]
    assert "nothing-lost" in violated(history)


@given(runs(), st.data())
def test_rejects_doubled_effect(history: History, data: st.DataObject):
    """Rejects a run in which an effect was doubled."""
    start, end = pick(data.draw, handlings(history))
    at = history.entries[-1].at
    again = [history.entries[index]._replace(at=at) for index in (start, end)]
    again = [entry._replace(details={**entry.details, "handling": -1}) for entry in again]
    history.entries[-1:-1] = again
    assert "handled-once" in violated(history)


@given(runs(), st.data())
def test_rejects_second_handling_too_soon(history: History, data: st.DataObject):
    """Rejects a run in which a second handling began too soon."""
    start, end = pick(data.draw, handlings(history))
    place = data.draw(st.integers(start + 1, end))
    entry = history.entries[start]
    second = Entry(history.entries[place - 1].at, "started", entry.event, "c9", {"handling": -1, "via": "delivered"})
    history.entries.insert(place, second)
    assert "mutual-exclusion" in violated(history)


@given(runs(), st.data())
def test_rejects_released_follower_waiting(history: History, data: st.DataObject):
    """Rejects a run in which a released follower was left waiting."""
    start, _ = pick(data.draw, handlings(history, "released"))
    postponed(history, start, history.header.terms.release_bound + 1)
    assert "prompt-release" in violated(history)


@given(runs())
def test_rejects_lost_follower_late(history: History):
    """Rejects a run in which a lost follower surfaced late."""
    rescued = handlings(history, "rescued")
    assume(rescued)
    # The others have waited for the first one: it is the one that can be late.
    postponed(history, min(rescued)[0], history.header.terms.release_bound + history.header.terms.sweep_interval + 1)
    assert "lost-followers-surface" in violated(history)


@given(runs(shape=fans), st.data())
def test_rejects_exchanged_siblings(history: History, data: st.DataObject):
    """Rejects a run in which siblings were exchanged."""
    leaders = {e.event: e.details["follows"] for e in history if e.kind == "published"}
    done = {e.event: index for index, e in enumerate(history) if e.kind == "ended"}
    parked = {e.event: index for index, e in reversed(list(enumerate(history))) if e.kind == "parked"}
    waited = [
        name for name, leader in leaders.items() if leader in done and name in parked and parked[name] < done[leader]
    ]
    pairs = [(one, other) for one, other in combinations(waited, 2) if leaders[one] == leaders[other]]
    assume(pairs)
    exchange(history, *data.draw(st.sampled_from(pairs)))
    assert "sibling-order" in violated(history)


@given(runs(), st.data())
def test_rejects_forged_payload(history: History, data: st.DataObject):
    """Rejects a run in which a payload was forged."""
    start, _ = pick(data.draw, handlings(history))
    altered(history, start, fingerprint="forged")
    assert violated(history) == {"payload-intact"}


@given(runs())
def test_rejects_a_run_that_left_a_key_behind(history: History):
    altered(history, len(history) - 2, keys={"lock": {"type": "string", "ttl": None}})
    assert violated(history) == {"clean-store"}


@given(runs(), st.data())
def test_rejects_a_run_in_which_a_handler_hung(history: History, data: st.DataObject):
    start, end = pick(data.draw, handlings(history))
    postponed(history, end, history.header.terms.stuck_bound + 1)
    history.entries[start + 1 : end] = []
    assert "no-stuck-worker" in violated(history)


@given(runs(max_faults=2))
def test_cut_short_is_unknown(history: History):
    """A history that is cut short anywhere neither holds nor is violated."""
    for place in range(len(history) + 1):
        known = History(history.header, history.entries[:place], truncated="line 99 is cut off")
        assert judge(known).verdict == "unknown", place
