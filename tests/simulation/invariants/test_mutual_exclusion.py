from functools import partial

from tests.simulation.invariants import short_histories
from tests.simulation.invariants.short_histories import history_of

accepted = partial(short_histories.accepted, invariant="mutual-exclusion")
rejected = partial(short_histories.rejected, invariant="mutual-exclusion")


def test_accepts_one_handling_after_the_other():
    assert accepted(
        history_of("""
        0s   started  a  @c1
        1s   ended    a  @c1  outcome=failed
        1s   started  a  @c2
        2s   ended    a  @c2  outcome=ok
        """)
    )


def test_rejects_two_handlings_that_overlap():
    violation = rejected(
        history_of("""
        0s   started  a  @c1
        1s   started  a  @c2
        2s   ended    a  @c1  outcome=ok
        3s   ended    a  @c2  outcome=ok
        """)
    )
    assert violation.at == 1_000_000
    assert violation.consumers == ("c1", "c2")
    assert violation.because == (
        "because c1 handled event a from 0 s and went on until 2 s, but c2 began to handle it at 1 s"
    )


def test_rejects_open_handling():
    """Rejects an overlap with a handling that never ended."""
    violation = rejected(
        history_of("""
        0s   started  a  @c1
        1s   started  a  @c2
        2s   ended    a  @c2  outcome=ok
        """)
    )
    assert "had not ended" in violation.because


def test_rejects_an_overlap_within_one_consumer():
    rejected(
        history_of("""
        0s   started  a  @c1  handling=1
        1s   started  a  @c1  handling=2
        2s   ended    a  @c1  handling=1  outcome=ok
        3s   ended    a  @c1  handling=2  outcome=ok
        """)
    )


def test_rejects_third_handling():
    """Rejects a third handling that overlaps only the second."""
    rejected(
        history_of("""
        0s   started  a  @c1
        1s   ended    a  @c1  outcome=failed
        2s   started  a  @c2
        3s   started  a  @c3
        4s   ended    a  @c2  outcome=ok
        """)
    )


def test_accepts_different_events():
    """Accepts overlapping handlings of different events."""
    assert accepted(
        history_of("""
        0s   started  a  @c1
        1s   started  b  @c2
        2s   ended    a  @c1  outcome=ok
        3s   ended    b  @c2  outcome=ok
        """)
    )


# -- a crash ends a handling, a pause does not


def test_accepts_after_death():
    """Accepts a second handling after the first holder died."""
    assert accepted(
        history_of("""
        0s   started  a  @c1
        1s   crashed  @c1
        2s   started  a  @c2
        3s   ended    a  @c2  outcome=ok
        """)
    )


def test_rejects_before_death():
    """Rejects a second handling before the first holder died."""
    rejected(
        history_of("""
        0s   started  a  @c1
        1s   started  a  @c2
        1s   crashed  @c1
        3s   ended    a  @c2  outcome=ok
        """)
    )


def test_accepts_after_leaving():
    """Accepts a second handling after the first holder left."""
    assert accepted(
        history_of("""
        0s   started  a  @c1
        1s   stopped  @c1
        2s   started  a  @c2
        """)
    )


def test_rejects_during_a_pause():
    """Rejects a second handling while the first holder is paused."""
    rejected(
        history_of("""
        0s   started  a  @c1
        1s   paused   @c1
        2s   started  a  @c2
        3s   ended    a  @c2  outcome=ok
        4s   resumed  @c1
        5s   ended    a  @c1  outcome=ok  write=refused
        """)
    )


# -- excuse: paused or cut off for longer than the lease, and fenced


def test_accepts_paused_holder_refused():
    """Accepts an overlap with a holder that was paused beyond its lease and then refused."""
    assert accepted(
        history_of("""
        0s    started  a  @c1  fence=1
        1s    paused   @c1
        17s   started  a  @c2  fence=2
        18s   resumed  @c1
        19s   ended    a  @c1  outcome=ok  write=refused
        20s   ended    a  @c2  outcome=ok  write=accepted
        """)
    )


def test_accepts_pause_after_last_renewal():
    """Accepts a pause after whose last renewal the lease had ended."""
    # A lease of 16 s is renewed while 8 s of it are left, so it may end 8 s after the pause began.
    story = """
        0s    started  a  @c1  fence=1
        1s    paused   @c1
        {}    started  a  @c2  fence=2
        17s   resumed  @c1
        19s   ended    a  @c1  outcome=ok  write=refused
        20s   ended    a  @c2  outcome=ok  write=accepted
    """
    assert accepted(history_of(story.format("9s")))
    rejected(history_of(story.format("8s999ms")))


def test_rejects_short_pause():
    """Rejects a pause that no lease can have ended in."""
    rejected(
        history_of("""
        0s      started  a  @c1  fence=1
        1s      paused   @c1
        8s      resumed  @c1
        9s      started  a  @c2  fence=2
        19s     ended    a  @c1  outcome=ok  write=refused
        20s     ended    a  @c2  outcome=ok  write=accepted
        """)
    )


def test_accepts_pause_open_at_the_end():
    """Accepts it if the pause had not ended with the history."""
    # The last renewal may have been long before the pause; how long the pause was to last is unknown.
    assert accepted(
        history_of("""
        0s    started  a  @c1  fence=1
        7s    paused   @c1
        16s   started  a  @c2  fence=2
        """)
    )


def test_accepts_unreachable_at_the_end():
    """Accepts it if Redis was still out of reach when the history ended."""
    assert accepted(
        history_of("""
        0s    started      a  @c1  fence=1
        7s    unreachable
        16s   started      a  @c2  fence=2
        """)
    )


def test_rejects_short_pause_open_at_the_end():
    """Rejects it if a pause that had not ended was too short for any lease."""
    rejected(
        history_of("""
        0s    started  a  @c1  fence=1
        9s    paused   @c1
        16s   started  a  @c2  fence=2
        """)
    )


def test_rejects_other_pause_open():
    """Rejects it if only another pause had not ended."""
    rejected(
        history_of("""
        0s    started  a  @c1  fence=1
        1s    paused   @c1
        7s    resumed  @c1
        16s   started  a  @c2  fence=2
        17s   paused   @c1
        18s   ended    a  @c2  outcome=ok  write=accepted
        """)
    )


def test_rejects_other_consumer_paused():
    """Rejects it if only a consumer that had no part in it was still paused."""
    rejected(
        history_of("""
        0s    started  a  @c1  fence=1
        1s    paused   @c3
        16s   started  a  @c2  fence=2
        """)
    )


def test_rejects_late_write_accepted():
    """Rejects it if the late write was accepted."""
    rejected(
        history_of("""
        0s    started  a  @c1  fence=1
        1s    paused   @c1
        17s   started  a  @c2  fence=2
        18s   resumed  @c1
        19s   ended    a  @c1  outcome=ok  write=accepted
        20s   ended    a  @c2  outcome=ok  write=accepted
        """)
    )


def test_rejects_late_handling_ok():
    """Rejects it if the late handling ended ok and no sink refused it."""
    rejected(
        history_of("""
        0s    started  a  @c1
        1s    paused   @c1
        17s   started  a  @c2
        18s   resumed  @c1
        19s   ended    a  @c1  outcome=ok
        """)
    )


def test_rejects_pause_after_second_holder():
    """Rejects it if the pause began after the second holder."""
    rejected(
        history_of("""
        0s    started  a  @c1  fence=1
        1s    started  a  @c2  fence=2
        2s    paused   @c1
        20s   resumed  @c1
        21s   ended    a  @c1  outcome=ok  write=refused
        22s   ended    a  @c2  outcome=ok  write=accepted
        """)
    )


def test_rejects_second_holder_early():
    """Rejects it if the second holder came long before the lease can have lapsed."""
    # A holder that renews in time has at least half a lease left when it falls silent.
    rejected(
        history_of("""
        0s    started  a  @c1  fence=1
        1s    paused   @c1
        8s    started  a  @c2  fence=2
        18s   resumed  @c1
        19s   ended    a  @c1  outcome=ok  write=refused
        """)
    )


def test_rejects_pause_before_delivery():
    """Rejects it if the pause was over before the event came."""
    rejected(
        history_of("""
        0s    paused     @c1
        17s   resumed    @c1
        18s   delivered  a  @c1
        18s   started    a  @c1  fence=1
        19s   started    a  @c2  fence=2
        20s   ended      a  @c1  outcome=ok  write=refused
        """)
    )


def test_accepts_cut_off_holder_refused():
    """Accepts an overlap with a holder that was cut off beyond its lease and then refused."""
    assert accepted(
        history_of("""
        0s    started      a  @c1  fence=1
        1s    unreachable  @c1
        17s   started      a  @c2  fence=2
        18s   reachable    @c1
        19s   ended        a  @c1  outcome=ok  write=refused
        20s   ended        a  @c2  outcome=ok  write=accepted
        """)
    )


def test_accepts_redis_unreachable():
    """Accepts it if Redis was out of reach for all."""
    assert accepted(
        history_of("""
        0s    started      a  @c1  fence=1
        1s    unreachable
        18s   reachable
        18s   started      a  @c2  fence=2
        19s   ended        a  @c1  outcome=ok  write=refused
        20s   ended        a  @c2  outcome=ok  write=accepted
        """)
    )


def test_accepts_pause_and_cut_together():
    """Accepts it if the pause and the cut together lasted beyond the lease."""
    assert accepted(
        history_of("""
        0s    started      a  @c1  fence=1
        1s    paused       @c1
        9s    unreachable  @c1
        10s   resumed      @c1
        17s   started      a  @c2  fence=2
        18s   reachable    @c1
        19s   ended        a  @c1  outcome=ok  write=refused
        """)
    )


def test_rejects_another_consumer_cut_off():
    rejected(
        history_of("""
        0s    started      a  @c1  fence=1
        1s    unreachable  @c3
        17s   started      a  @c2  fence=2
        18s   reachable    @c3
        19s   ended        a  @c1  outcome=ok  write=refused
        """)
    )


def test_accepts_first_holder_died():
    """Accepts it if the first holder died before it could write."""
    assert accepted(
        history_of("""
        0s    started  a  @c1  fence=1
        1s    paused   @c1
        17s   started  a  @c2  fence=2
        18s   crashed  @c1
        20s   ended    a  @c2  outcome=ok  write=accepted
        """)
    )


def test_accepts_paused_before_its_handler():
    """Accepts a first holder that was paused before its handler and starts late."""
    # The lower fencing token says who was first, whatever the order of the starts.
    assert accepted(
        history_of("""
        0s    delivered  a  @c1
        1s    paused     @c1
        17s   started    a  @c2  fence=2
        18s   resumed    @c1
        18s   started    a  @c1  fence=1
        19s   ended      a  @c1  outcome=ok  write=refused
        20s   ended      a  @c2  outcome=ok  write=accepted
        """)
    )


def test_rejects_paused_with_higher_token():
    """Rejects it if the paused one has the higher token."""
    rejected(
        history_of("""
        0s    delivered  a  @c1
        1s    paused     @c1
        17s   started    a  @c2  fence=1
        18s   resumed    @c1
        18s   started    a  @c1  fence=2
        19s   ended      a  @c1  outcome=ok  write=refused
        20s   ended      a  @c2  outcome=ok  write=accepted
        """)
    )


# -- excuse: the lease was lost with the store, and the scenario allows it


def test_accepts_allowed_loss():
    """Accepts an overlap after a loss that the scenario allows."""
    assert accepted(
        history_of(
            """
        0s   started     a  @c1
        1s   store-lost  fault=flush
        2s   started     a  @c2
        """,
            allowed_loss=("flush",),
        )
    )


def test_rejects_loss_not_allowed():
    """Rejects it if the scenario does not allow the loss."""
    rejected(
        history_of("""
        0s   started     a  @c1
        1s   store-lost  fault=flush
        2s   started     a  @c2
        """)
    )


def test_rejects_loss_at_another_time():
    """Rejects it if the loss was before the first handling or after the second."""
    lines = ["1s started a @c1", "2s started a @c2"]
    for story in (["0s store-lost fault=flush", *lines], [*lines, "3s store-lost fault=flush"]):
        rejected(history_of("\n".join(story), allowed_loss=("flush",)))


def test_rejects_loss_of_another_event():
    """Rejects it if the loss was about another event."""
    rejected(
        history_of(
            """
        0s   published   b  id=b1d
        0s   started     a  @c1
        1s   store-lost  fault=evict  keys=lease/b1d
        2s   started     a  @c2
        """,
            allowed_loss=("evict",),
        )
    )
