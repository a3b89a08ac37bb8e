import pytest

from simulation.invariants import COVERAGE, judge
from tests.simulation.invariants.short_histories import history_of

STORIES = {
    "handled": """
        0s   started  a  @c1
        1s   ended    a  @c1  outcome=ok
    """,
    "reordered": """
        0s   published  b  follows=a
        1s   delivered  b  @c1
        2s   delivered  a  @c1
    """,
    "leader-missing": """
        0s   published  b  follows=a
        1s   delivered  b  @c1
    """,
    "in-cycle": """
        0s   published  a  follows=b
        0s   published  b  follows=c
        0s   published  c  follows=b
    """,
    "duplicated": "0s duplicated a",
    "dropped": "0s dropped a",
    "redelivered": """
        0s   delivered  a  @c1  attempt=1
        5s   delivered  a  @c2  attempt=2
    """,
    "rejected": "0s rejected a @c1",
    "dead-lettered": "0s dead-lettered a",
    "returned-late": """
        0s      started    a  @c1
        1s      ended      a  @c1  outcome=ok
        2s      delivered  a  @c1
        30m1s   delivered  a  @c1
    """,
    "parked": "0s parked a @c1",
    "released": "0s started a @c1 via=released",
    "rescued": "0s started a @c1 via=rescued",
    "waited-for-leader": """
        0s   published  b  follows=a
        0s   started    a  @c1
        1s   delivered  b  @c2
        2s   ended      a  @c1  outcome=ok
        3s   started    b  @c2
    """,
    "refused": "0s refused a @c1",
    "swept": "0s swept @c1",
    "lease-expired": """
        0s    started  a  @c1
        1s    paused   @c1
        18s   resumed  @c1
    """,
    "outlasted-lease": """
        0s       started  a  @c1
        16s1us   ended    a  @c1  outcome=ok
    """,
    "handled-again": """
        0s   started  a  @c1
        1s   ended    a  @c1  outcome=ok
        2s   started  a  @c1
        3s   ended    a  @c1  outcome=ok
    """,
    "handler-failed": """
        0s   started  a  @c1
        1s   ended    a  @c1  outcome=failed
    """,
    "crashed": "0s crashed @c1",
    "crashed-while-holding": """
        0s   started  a  @c1
        1s   crashed  @c1
    """,
    "stopped": "0s stopped @c1",
    "restarted": """
        0s   joined   @c1
        1s   crashed  @c1
        2s   joined   @c1
    """,
    "paused": "0s paused @c1",
    "unreachable": "0s unreachable",
    "store-lost": "0s store-lost",
    "request-lost": "0s fault request-lost @c1",
    "reply-lost": "0s fault reply-lost @c1",
    "error-reply": "0s fault error-reply @c1",
    "server-stalled": "0s fault server-stalls @c1",
    "refused-read-only": "0s fault server-demoted @c1",
    "slot-in-two-places": "0s fault slot-migrates @c1",
    "connection-closed": "0s fault close-idle-connections",
    "server-clock-jumped": "0s fault server-clock",
    "leader-changed": "0s fault duplicate-follows-another",
    "odd-occurred": "0s fault odd-occurred",
    "not-a-number": "0s fault not-a-number",
    "too-large": "0s fault too-large @c1",
    "not-an-event": "0s fault not-an-event @c1",
    "trimmed": "0s fault trim",
    "unreadable-for-some": "0s fault unreadable-for-some @c1",
    "slowed": "0s fault latency @c1",
}


def happened(story: str) -> dict[str, int]:
    return {word: count for word, count in judge(history_of(story)).coverage.items() if count}


@pytest.mark.parametrize("word", COVERAGE)
def test_each_word_counts_what_it_says(word: str):
    assert happened(STORIES[word])[word] == 1 + (word == "in-cycle")


def test_a_quiet_history_covers_nothing():
    assert happened("0s published a") == {}


# -- the words that take a second look


WAITED = """
    0s   published  b  follows=a
    0s   started    a  @c1
    {}
    {}
    2s   ended      a  @c1  outcome=ok
    {}
"""


@pytest.mark.parametrize(
    ("why", "lines"),
    [
        ("it was delivered after the leader had ended", ("", "", "3s delivered b @c2\n3s started b @c2")),
        ("it was parked", ("1s delivered b @c2", "1s parked b @c2", "3s started b @c2")),
        ("it was released", ("1s delivered b @c2", "", "3s started b @c2 via=released")),
        ("it did not wait for the end", ("1s delivered b @c2", "1s started b @c2", "")),
        ("it was delivered again", ("1s delivered b @c2", "1s rejected b @c2", "3s delivered b @c2\n3s started b @c2")),
    ],
)
def test_no_waited_for_leader_if(why: str, lines: tuple[str, str, str]):
    """Waited for leader does not count a follower if."""
    assert "waited-for-leader" not in happened(WAITED.format(*lines)), why


def test_no_waited_for_leader_delivered_first():
    """Waited for leader does not count a follower that was delivered before its leader began."""
    story = """
        0s   published  b  follows=a
        0s   delivered  b  @c2
        1s   started    a  @c1
        2s   ended      a  @c1  outcome=ok
        3s   started    b  @c2
    """
    assert "waited-for-leader" not in happened(story)


def test_no_outlasted_lease_of_one_lease():
    """Outlasted lease does not count a handling of exactly one lease."""
    assert "outlasted-lease" not in happened("0s started a @c1\n16s ended a @c1 outcome=ok")


def test_no_reordered_after_leader():
    """Reordered does not count a follower that came after its leader."""
    assert "reordered" not in happened("0s published b follows=a\n1s delivered a @c1\n2s delivered b @c1")


@pytest.mark.parametrize("rest", ["", "1s delivered a @c1\n2s delivered b @c1", "1s started a @c1\n2s delivered b @c1"])
def test_leader_lost_does_not_count(rest: str):
    assert "leader-missing" not in happened(f"0s published b follows=a\n{rest}")


def test_no_reordered_without_leader():
    """Reordered does not count a follower whose leader never came."""
    assert "reordered" not in happened("0s published b follows=a\n1s delivered b @c1")


def test_lease_expired_reported():
    """`lease-expired` counts a holder to which the loss was reported."""
    assert happened("0s started a @c1\n1s lease-lost a @c1")["lease-expired"] == 1


def test_lease_expired_replaced_at_work():
    """Lease expired counts a holder that was replaced while at work."""
    assert happened("0s started a @c1\n1s started a @c2")["lease-expired"] == 1


def test_lease_expired_dead_replaced():
    """Lease expired counts a dead holder that was replaced."""
    assert happened("0s started a @c1\n1s crashed @c1\n20s started a @c2")["lease-expired"] == 1


def test_lease_expired_counts_once():
    """Lease expired counts a holder once however it shows."""
    story = """
        0s    started     a  @c1
        1s    paused      @c1
        18s   resumed     @c1
        18s   lease-lost  a  @c1
        19s   started     a  @c2
    """
    assert happened(story)["lease-expired"] == 1


@pytest.mark.parametrize(
    "story",
    [
        "0s started a @c1\n1s crashed @c1",
        "0s started a @c1\n1s stopped @c1\n2s started a @c2",
        "0s started a @c1\n1s ended a @c1 outcome=failed\n2s started a @c2",
        "0s started a @c1\n1s paused @c1\n17s resumed @c1",
        "0s paused @c1\n18s resumed @c1\n18s started a @c1",
        "0s started a @c1\n5s unreachable @c1\n17s ended a @c1 outcome=ok\n30s reachable @c1",
        "0s unreachable @c1\n14s started a @c1\n20s reachable @c1\n40s ended a @c1 outcome=ok",
    ],
)
def test_lease_expired_does_not_count(story: str):
    assert "lease-expired" not in happened(story)


def test_no_crash_of_an_idle_consumer():
    """A crash of an idle consumer holds nothing."""
    assert "crashed-while-holding" not in happened("0s started a @c1\n1s ended a @c1 outcome=ok\n2s crashed @c1")


def test_no_crash_on_leaving():
    """A consumer that stops in good order has not crashed."""
    assert "crashed-while-holding" not in happened("0s started a @c1\n1s stopped @c1")


def test_joining_once_is_no_restart():
    assert "restarted" not in happened("0s joined @c1\n0s joined @c2")
