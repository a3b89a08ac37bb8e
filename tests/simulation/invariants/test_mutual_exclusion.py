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


def test_rejects_an_overlap_with_a_handling_that_never_ended():
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


def test_rejects_a_third_handling_that_overlaps_only_the_second():
    rejected(
        history_of("""
        0s   started  a  @c1
        1s   ended    a  @c1  outcome=failed
        2s   started  a  @c2
        3s   started  a  @c3
        4s   ended    a  @c2  outcome=ok
        """)
    )


def test_accepts_overlapping_handlings_of_different_events():
    assert accepted(
        history_of("""
        0s   started  a  @c1
        1s   started  b  @c2
        2s   ended    a  @c1  outcome=ok
        3s   ended    b  @c2  outcome=ok
        """)
    )


# -- a crash ends a handling, a pause does not


def test_accepts_a_second_handling_after_the_first_holder_died():
    assert accepted(
        history_of("""
        0s   started  a  @c1
        1s   crashed  @c1
        2s   started  a  @c2
        3s   ended    a  @c2  outcome=ok
        """)
    )


def test_rejects_a_second_handling_before_the_first_holder_died():
    rejected(
        history_of("""
        0s   started  a  @c1
        1s   started  a  @c2
        1s   crashed  @c1
        3s   ended    a  @c2  outcome=ok
        """)
    )


def test_accepts_a_second_handling_after_the_first_holder_left():
    assert accepted(
        history_of("""
        0s   started  a  @c1
        1s   stopped  @c1
        2s   started  a  @c2
        """)
    )


def test_rejects_a_second_handling_while_the_first_holder_is_paused():
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


def test_accepts_an_overlap_with_a_holder_that_was_paused_beyond_its_lease_and_then_refused():
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


def test_accepts_a_pause_after_whose_last_renewal_the_lease_had_ended():
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


def test_rejects_a_pause_that_no_lease_can_have_ended_in():
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


def test_accepts_it_if_the_pause_had_not_ended_with_the_history():
    # The last renewal may have been long before the pause; how long the pause was to last, nobody knows.
    assert accepted(
        history_of("""
        0s    started  a  @c1  fence=1
        7s    paused   @c1
        16s   started  a  @c2  fence=2
        """)
    )


def test_accepts_it_if_redis_was_still_out_of_reach_when_the_history_ended():
    assert accepted(
        history_of("""
        0s    started      a  @c1  fence=1
        7s    unreachable
        16s   started      a  @c2  fence=2
        """)
    )


def test_rejects_it_if_a_pause_that_had_not_ended_was_too_short_for_any_lease():
    rejected(
        history_of("""
        0s    started  a  @c1  fence=1
        9s    paused   @c1
        16s   started  a  @c2  fence=2
        """)
    )


def test_rejects_it_if_only_another_pause_had_not_ended():
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


def test_rejects_it_if_only_a_consumer_that_had_no_part_in_it_was_still_paused():
    rejected(
        history_of("""
        0s    started  a  @c1  fence=1
        1s    paused   @c3
        16s   started  a  @c2  fence=2
        """)
    )


def test_rejects_it_if_the_late_write_was_accepted():
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


def test_rejects_it_if_the_late_handling_ended_ok_and_no_sink_refused_it():
    rejected(
        history_of("""
        0s    started  a  @c1
        1s    paused   @c1
        17s   started  a  @c2
        18s   resumed  @c1
        19s   ended    a  @c1  outcome=ok
        """)
    )


def test_rejects_it_if_the_pause_began_after_the_second_holder():
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


def test_rejects_it_if_the_second_holder_came_long_before_the_lease_can_have_lapsed():
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


def test_rejects_it_if_the_pause_was_over_before_the_event_came():
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


def test_accepts_an_overlap_with_a_holder_that_was_cut_off_beyond_its_lease_and_then_refused():
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


def test_accepts_it_if_redis_was_out_of_reach_for_all():
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


def test_accepts_it_if_the_pause_and_the_cut_together_lasted_beyond_the_lease():
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


def test_rejects_it_if_somebody_else_was_cut_off():
    rejected(
        history_of("""
        0s    started      a  @c1  fence=1
        1s    unreachable  @c3
        17s   started      a  @c2  fence=2
        18s   reachable    @c3
        19s   ended        a  @c1  outcome=ok  write=refused
        """)
    )


def test_accepts_it_if_the_first_holder_died_before_it_could_write():
    assert accepted(
        history_of("""
        0s    started  a  @c1  fence=1
        1s    paused   @c1
        17s   started  a  @c2  fence=2
        18s   crashed  @c1
        20s   ended    a  @c2  outcome=ok  write=accepted
        """)
    )


def test_accepts_a_first_holder_that_was_paused_before_its_handler_and_starts_late():
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


def test_rejects_it_if_the_paused_one_has_the_higher_token():
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


def test_accepts_an_overlap_after_a_loss_that_the_scenario_allows():
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


def test_rejects_it_if_the_scenario_does_not_allow_the_loss():
    rejected(
        history_of("""
        0s   started     a  @c1
        1s   store-lost  fault=flush
        2s   started     a  @c2
        """)
    )


def test_rejects_it_if_the_loss_was_before_the_first_handling_or_after_the_second():
    lines = ["1s started a @c1", "2s started a @c2"]
    for story in (["0s store-lost fault=flush", *lines], [*lines, "3s store-lost fault=flush"]):
        rejected(history_of("\n".join(story), allowed_loss=("flush",)))


def test_rejects_it_if_the_loss_was_about_another_event():
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
