from functools import partial

from simulation.invariants import judge
from tests.simulation.invariants import short_histories
from tests.simulation.invariants.short_histories import history_of

accepted = partial(short_histories.accepted, invariant="clean-store")
rejected = partial(short_histories.rejected, invariant="clean-store")


def test_accepts_expiring_keys():
    """Accepts a store in which every key will expire."""
    assert accepted(history_of("9s census keys=seen/a:1800,seen/b:1"))


def test_accepts_an_empty_store():
    assert accepted(history_of("9s census"))


def test_rejects_a_key_without_a_ttl():
    violation = rejected(history_of("9s census keys=seen/a:1800,event/b:for-ever"))
    assert violation.because == (
        "because at 9 s, when the world was quiet, Redis still had a key without a TTL: event/b"
    )
    assert violation.witness == (0,)


def test_rejects_many_keys_with_one_sentence():
    keys = ",".join(f"event/{number}:for-ever" for number in range(7))
    violation = rejected(history_of(f"9s census keys={keys}"))
    assert "7 keys without a TTL: event/0, event/1, event/2, event/3, event/4 and 2 more" in violation.because


def test_rejects_a_lock_or_a_claim():
    """Rejects a lock or a claim though it will expire."""
    for role in ("lock", "claim"):
        assert "that a consumer still holds" in rejected(history_of(f"9s census keys=held/a:{role}")).because


def test_lock_without_a_ttl_counts_once():
    history = history_of("9s census")
    history.entries[0].details["keys"] = {"held/a": {"type": "string", "ttl": None, "role": "lock"}}
    assert "that a consumer still holds" in rejected(history).because


def test_accepts_a_key_that_the_policy_documents():
    history = history_of("9s census keys=fence/counter:for-ever", documented_keys=("fence/*",))
    assert accepted(history)


def test_rejects_an_undocumented_key():
    """Rejects a key that the documented pattern does not cover."""
    rejected(history_of("9s census keys=event/b:for-ever", documented_keys=("fence/*",)))


def test_says_nothing_before_quiet():
    """Says nothing of a store before the world is quiet."""
    history = history_of("8s census keys=event/b:for-ever\n9s phase horizon")
    assert judge(history, ["clean-store"]).verdicts["clean-store"].examined == 0


def test_census_at_quiet():
    """Judges the census that was taken as the world went quiet."""
    rejected(history_of("8s census keys=event/b:for-ever\n8s phase quiet"))
