"""The bounds of the invariants, worked out again from their words: both judges draw the line in the same microsecond.

The terms are such that no two sums of them are equal. Each story is rejected, or accepted, from its bound on.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import pytest

from simulation.history.history import History
from simulation.invariants import judge
from tests.simulation.invariants.short_histories import history_of
from tests.simulation.second_judge.rules import second_judge

SECOND = 1_000_000
LOOKBACK, RETENTION, LEASE, RELEASE, SWEEP, STUCK, DELAY = 300, 1500, 14, 61, 3, 700, 7
ATTEMPTS = 3
TERMS = {
    "lookback": f"{LOOKBACK}s",
    "retention": f"{RETENTION}s",
    "memory": f"{RETENTION}s",
    "lease": f"{LEASE}s",
    "release_bound": f"{RELEASE}s",
    "sweep_interval": f"{SWEEP}s",
    "stuck_bound": f"{STUCK}s",
    "retry_delay": f"{DELAY}s",
}


class Bound(NamedTuple):
    """A story in which something happens at `{}`, and until when, or from when on, that is right."""

    invariant: str
    seconds: int
    story: str
    early_is_right: bool = True


RELEASED = """
0s published f follows=a
0s parked f @c1
0s started a @c2
1s ended a @c2 outcome=ok
{extra}
{{}} started f @c1 via=rescued
"""

BOUNDS = {
    "a leader that comes after the lookback": Bound(
        "causal-order",
        LOOKBACK,
        "0s published f follows=a\n0s delivered f @c1\n{} started f @c1\n1000s ended f @c1 outcome=ok",
        early_is_right=False,
    ),
    "a leader that the engine reports as given up": Bound(
        "causal-order",
        10 + LEASE + SWEEP,
        "0s published f follows=a\n0s delivered f @c1\n0s delivered a @c2\n10s started f @c1\n"
        "11s ended f @c1 outcome=ok\n{} dead-lettered a by=engine",
    ),
    "half of a lease is left when a holder falls silent": Bound(
        "mutual-exclusion",
        1 + LEASE // 2,
        "0s delivered a @c1\n0s started a @c1\n1s paused @c1\n{} started a @c2\n100s resumed @c1\n"
        "100s ended a @c1 outcome=failed",
        early_is_right=False,
    ),
    "the retention of a mark": Bound(
        "handled-once",
        1 + RETENTION,
        "0s delivered a @c1\n0s started a @c1\n1s ended a @c1 outcome=ok\n1s acknowledged a @c1\n"
        "{} started a @c2\n2000s ended a @c2 outcome=ok",
        early_is_right=False,
    ),
    "a release": Bound("prompt-release", 1 + RELEASE, RELEASED.format(extra="")),
    "a release after a death": Bound(
        "prompt-release", 1 + LEASE + SWEEP + RELEASE, RELEASED.format(extra="1s crashed @c2")
    ),
    "a release behind a sibling in a living hand": Bound(
        "prompt-release",
        1 + 100 + RELEASE,
        RELEASED.format(extra="1s published e follows=a\n1s started e @c2 via=released\n101s ended e @c2 outcome=ok"),
    ),
    "a release behind a sibling in a silent hand": Bound(
        "prompt-release",
        3 + LEASE + SWEEP + RELEASE,
        RELEASED.format(extra="1s published e follows=a\n1s started e @c2 via=released\n3s paused @c2"),
    ),
    "a release behind a sibling that fails": Bound(
        "prompt-release",
        2 + ATTEMPTS * (DELAY + SWEEP) + RELEASE,
        RELEASED.format(extra="1s published e follows=a\n1s started e @c2 via=released\n2s ended e @c2 outcome=failed"),
    ),
    "a start": Bound("prompt-start", RELEASE, "0s published a\n0s delivered a @c1\n{} started a @c1"),
    "a start behind others": Bound(
        "prompt-start",
        30 + RELEASE,
        "0s published a\n0s delivered a @c1\n0s started b @c1\n30s ended b @c1 outcome=ok\n{} started a @c1",
    ),
    "what a dead holder had": Bound(
        "recovery", 1 + LEASE + SWEEP + RELEASE, "0s started a @c1 via=rescued\n1s crashed @c1\n{} started a @c2"
    ),
    "what a silent holder had": Bound(
        "recovery", 1 + LEASE + SWEEP + RELEASE, "0s started a @c1 via=rescued\n1s paused @c1\n{} started a @c2"
    ),
    "a refusal of what a dead holder had": Bound(
        "recovery",
        1 + LEASE + SWEEP + RELEASE,
        "0s delivered a @c1\n0s started a @c1\n1s crashed @c1\n2s delivered a @c2\n{} refused a @c2 because=held",
    ),
    "a lost follower": Bound(
        "lost-followers-surface",
        1 + LOOKBACK + SWEEP + RELEASE,
        "0s published f follows=a\n1s delivered f @c1\n1s parked f @c1\n{} started f @c1 via=rescued",
    ),
    "a handling without progress": Bound(
        "no-stuck-worker", STUCK, "0s published a\n0s started a @c1\n{} ended a @c1 outcome=ok"
    ),
    "a sweep": Bound("no-stuck-worker", SWEEP + STUCK, "0s joined @c1\n0s swept @c1 found=0\n{} swept @c1 found=0"),
    "a poison event": Bound(
        "no-stuck-worker",
        STUCK,
        "0s delivered a @c1\n0s rejected a @c1\n600s delivered a @c1\n{} rejected a @c1",
    ),
}


def violated(bound: Bound, at: int) -> list[bool]:
    """Return what each judge says if it happens at a time, in microseconds."""
    history = history_of(bound.story.format(f"{at}us"), at_most=9, **TERMS)
    terms = replace(history.header.terms, max_attempts=ATTEMPTS)
    history = History(replace(history.header, terms=terms), list(history))
    first = bool(judge(history, [bound.invariant]).violations)
    return [first, bound.invariant in second_judge(history)]


@pytest.mark.parametrize("name", BOUNDS)
def test_bound(name: str) -> None:
    """In time, both judges accept it; a microsecond too late, or too early, both reject it."""
    bound = BOUNDS[name]
    last = bound.seconds * SECOND
    off = 1 if bound.early_is_right else -1
    assert violated(bound, last) == [False, False]
    assert violated(bound, last + off) == [True, True]


def test_no_two_sums_are_equal() -> None:
    """A bound that is made of other terms than it should be is another number."""
    terms = (LOOKBACK, RETENTION, LEASE, LEASE // 2, RELEASE, SWEEP, STUCK, ATTEMPTS * (DELAY + SWEEP))
    sums = {0}
    for term in terms:
        sums |= {total + term for total in sums}
    assert len(sums) == 2 ** len(terms)
