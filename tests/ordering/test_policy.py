"""A policy that cannot work is refused, with the reason."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from ordering import CausalOrdering, Policy
from ordering.policy import SHORTEST_LEASE
from ordering.terms import rules_of

ZERO, NEGATIVE, TINY = timedelta(0), timedelta(seconds=-1), timedelta(microseconds=10)


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        *((name, value, "at least a millisecond") for name in ("lookback", "redelivery") for value in (ZERO, NEGATIVE)),
        *(
            (name, TINY, "at least a millisecond")
            for name in ("lookback", "retention", "retry_delay", "dead_retention")
        ),
        ("lease", SHORTEST_LEASE - TINY, "renewed four times"),
        ("lease", NEGATIVE, "renewed four times"),
        ("memory", NEGATIVE, "zero turns it off"),
        ("retention", timedelta(minutes=14), "must not be shorter than policy.lookback"),
        ("age_by", "recieved", "must be 'known' or 'received', not 'recieved'"),
        *((name, 0, "at least 1") for name in ("max_attempts", "max_depth", "batch")),
    ],
)
def test_a_policy_that_cannot_work_is_refused(name: str, value: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as refused:
        Policy(**{name: value})
    assert name in str(refused.value)


@pytest.mark.parametrize("scope", ["", "}", "}a"])
def test_a_scope_that_is_no_hash_tag_is_refused(scope: str) -> None:
    """A cluster would deal the keys of such a scope among all nodes."""
    with pytest.raises(ValueError, match="must not be empty or begin with"):
        CausalOrdering(scope, redis=None)


def test_the_shortest_of_everything_can_work() -> None:
    millisecond = timedelta(milliseconds=1)
    Policy(lookback=millisecond, retention=millisecond, lease=SHORTEST_LEASE, retry_delay=millisecond, memory=ZERO)


def test_leader_is_expected_for_the_lookback() -> None:
    """A leader is expected for as long as the lookback unless said otherwise."""
    lookback, longer = timedelta(minutes=5), timedelta(hours=2)
    assert rules_of(Policy(lookback=lookback)).split()[4] == b"300000"
    assert rules_of(Policy(lookback=lookback, redelivery=longer)).split()[4] == b"7200000"
    assert rules_of(Policy(lookback=timedelta(seconds=1))).split()[4] == b"32000", "two leases at least"
