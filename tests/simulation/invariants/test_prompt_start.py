"""prompt-start: accepted and rejected histories for each clause and each excuse."""

import pytest

from simulation.kernel.durations import parse_duration
from tests.simulation.invariants import short_histories
from tests.simulation.invariants.short_histories import history_of


def accepted(history):
    return short_histories.accepted(history, "prompt-start")


def rejected(history):
    return short_histories.rejected(history, "prompt-start")


def test_rejects_an_event_without_a_leader_that_was_parked_for_an_hour():
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


def test_rejects_a_follower_whose_leader_was_done_when_it_came():
    rejected(
        history_of("""
        0s    published  b  follows=a
        0s    started    a  @c1
        1s    ended      a  @c1  outcome=ok
        2s    delivered  b  @c1
        10m   started    b  @c1
        """)
    )


def test_accepts_a_follower_that_waits_for_its_leader():
    assert accepted(
        history_of("""
        0s    published  b  follows=a
        0s    delivered  b  @c1
        10m   started    a  @c1
        11m   ended      a  @c1  outcome=ok
        11m   started    b  @c1
        """)
    )


def test_accepts_an_event_that_was_given_back_to_the_queue():
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


def test_accepts_time_in_which_nobody_could_work():
    assert accepted(
        history_of("""
        0s    delivered  a  @c1
        1s    paused     @c1
        10m   resumed    @c1
        10m1s started    a  @c1
        """)
    )


def test_a_dead_consumer_counts_for_one_lease_and_one_sweep():
    story = """
        0s    joined     @c2
        0s    delivered  a  @c1
        0s    parked     a  @c1
        1s    crashed    @c1
        {}    started    a  @c2  via=rescued
    """
    assert accepted(history_of(story.format("1m21s")))
    rejected(history_of(story.format("1m22s")))


def test_a_latecomer_stands_in_line_behind_its_siblings():
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


def test_accepts_a_follower_delivered_after_its_leaders_mark_was_lost():
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
def test_an_engine_may_have_asked_after_a_loss_that_came_before_it_parked(lost, parked, excused):
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


def test_accepts_work_that_began_before_shorter_work_of_the_same_consumer():
    assert accepted(
        history_of("""
        0s    started    f  @c1
        1s    started    d  @c1  via=released
        2s    ended      d  @c1  outcome=ok
        3s    delivered  a  @c1
        10m   started    a  @c1
        """)
    )
