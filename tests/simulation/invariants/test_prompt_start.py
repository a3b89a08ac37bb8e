"""prompt-start: accepted and rejected histories for each clause and each excuse."""

import pytest

from simulation.kernel.durations import parse_duration
from tests.simulation.invariants import short_histories
from tests.simulation.invariants.short_histories import history_of


def accepted(history):
    return short_histories.accepted(history, "prompt-start")


def rejected(history):
    return short_histories.rejected(history, "prompt-start")


def test_rejects_no_leader_parked_an_hour():
    """Rejects an event without a leader that was parked for an hour."""
    violation = rejected(
        history_of("""
        0s    published  a
        1s    delivered  a  @c1
        1s    parked     a  @c1
        1h    started    a  @c1  via=rescued
        """)
    )
    assert violation.because == (
        "because event a was delivered to c1 at 1 s, it follows nothing, and it was still waiting at 3600 s"
    )


@pytest.mark.parametrize(("at", "held"), [("1m1s", True), ("1m1s1us", False)])
def test_the_bound_is_the_release_bound(at, held):
    history = history_of(f"0s published a\n1s delivered a @c1\n{at} started a @c1")
    assert accepted(history) if held else rejected(history)


def test_rejects_an_event_that_never_starts():
    rejected(history_of("0s delivered a @c1\n2m swept @c1"))


def test_rejects_leader_was_done():
    """Rejects a follower whose leader was done when it came."""
    rejected(
        history_of("""
        0s    published  b  follows=a
        0s    started    a  @c1
        1s    ended      a  @c1  outcome=ok
        2s    delivered  b  @c1
        10m   started    b  @c1
        """)
    )


def test_accepts_waits_for_leader():
    """Accepts a follower that waits for its leader."""
    assert accepted(
        history_of("""
        0s    published  b  follows=a
        0s    delivered  b  @c1
        10m   started    a  @c1
        11m   ended      a  @c1  outcome=ok
        11m   started    b  @c1
        """)
    )


def test_accepts_given_back():
    """Accepts an event that was given back to the queue."""
    for answer in ("rejected", "refused"):
        assert accepted(
            history_of(f"""
            0s    delivered  a  @c1  delivery=1
            1s    {answer}   a  @c1  delivery=1
            1h    delivered  a  @c1  delivery=2
            1h1s  started    a  @c1
            """)
        )


def test_accepts_a_consumer_that_has_no_room():
    story = """
        0s    delivered  a  @c1
        0s    delivered  b  @c1
        0s    started    a  {}
        10m   ended      a  {}  outcome=ok
        10m   started    b  @c1
    """
    assert accepted(history_of(story.format("@c1", "@c1")))
    rejected(history_of(story.format("@c2", "@c2")))


def test_accepts_no_consumer_could_work():
    assert accepted(
        history_of("""
        0s    delivered  a  @c1
        1s    paused     @c1
        10m   resumed    @c1
        10m1s started    a  @c1
        """)
    )


def test_dead_consumer_counts_lease_and_sweep():
    """A dead consumer counts for one lease and one sweep."""
    story = """
        0s    joined     @c2
        0s    delivered  a  @c1
        0s    parked     a  @c1
        1s    crashed    @c1
        {}    started    a  @c2  via=rescued
    """
    assert accepted(history_of(story.format("1m21s")))
    rejected(history_of(story.format("1m22s")))


def test_latecomer_behind_siblings():
    """A latecomer stands in line behind its siblings."""
    story = """
        0s    published  b  follows=a
        0s    published  c  follows=a
        0s    started    a  @c1
        1s    ended      a  @c1  outcome=ok
        2s    started    b  @c2  via=released
        3s    delivered  c  @c1
        10m   ended      b  @c2  outcome={}
        10m   started    c  @c1
    """
    assert accepted(history_of(story.format("ok")))
    rejected(history_of(story.format("ok").replace("started    b", "started    x")))


def test_accepts_a_loss_that_the_scenario_allows():
    story = """
        0s    delivered   a  @c1  delivery=1
        0s    parked      a  @c1  delivery=1
        1s    store-lost  fault=evict
        1h    started     a  @c1  via=rescued
    """
    assert accepted(history_of(story, allowed_loss=("evict",)))
    rejected(history_of(story))


def test_accepts_lost_mark_of_leader():
    """Accepts a follower delivered after its leaders mark was lost."""
    assert accepted(
        history_of("""
        0s    published   b  follows=a
        0s    started     a  @c1
        1s    ended       a  @c1  outcome=ok
        2s    store-lost          fault=restart
        3s    delivered   b  @c1
        10m   started     b  @c1
        """)
    )


@pytest.mark.parametrize(("lost", "parked", "excused"), [("3s", "5s", True), ("6s", "5s", False), ("3s", "9m", False)])
def test_asked_after_the_loss(lost, parked, excused):
    """An engine may have asked after a loss that came before it parked."""
    entries = sorted(
        [(lost, "store-lost fault=restart"), (parked, "parked b @c1")],
        key=lambda entry: parse_duration(entry[0]),
    )
    history = history_of(f"""
        0s    published   b  follows=a
        0s    started     a  @c1
        1s    ended       a  @c1  outcome=ok
        2s    delivered   b  @c1
        {" ".join(entries[0])}
        {" ".join(entries[1])}
        10m   started     b  @c1  via=rescued
        """)
    assert accepted(history) if excused else rejected(history)


def test_accepts_earlier_longer_work():
    """Accepts work that began before shorter work of the same consumer."""
    assert accepted(
        history_of("""
        0s    started    f  @c1
        1s    started    d  @c1  via=released
        2s    ended      d  @c1  outcome=ok
        3s    delivered  a  @c1
        10m   started    a  @c1
        """)
    )
