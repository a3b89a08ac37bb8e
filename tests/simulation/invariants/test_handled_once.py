from functools import partial

import pytest

from tests.simulation.invariants import short_histories
from tests.simulation.invariants.short_histories import history_of

accepted = partial(short_histories.accepted, invariant="handled-once")
rejected = partial(short_histories.rejected, invariant="handled-once")


def test_accepts_one_effect():
    assert accepted(
        history_of("""
        0s   started  a  @c1
        1s   ended    a  @c1  outcome=ok
        """)
    )


def test_rejects_two_effects():
    violation = rejected(
        history_of("""
        0s   started  a  @c1
        1s   ended    a  @c1  outcome=ok
        2s   started  a  @c2
        3s   ended    a  @c2  outcome=ok
        """)
    )
    assert violation.at == 3_000_000
    assert violation.witness == (0, 1, 2, 3)
    assert violation.because == "because c1 had handled event a at 1 s and c2 handled it again from 2 s to 3 s"


def test_rejects_each_effect_too_many():
    rejected(
        history_of("""
        0s   started  a  @c1
        1s   ended    a  @c1  outcome=ok
        2s   started  a  @c2
        3s   ended    a  @c2  outcome=ok
        4s   started  a  @c3
        5s   ended    a  @c3  outcome=ok
        """),
        count=2,
    )


def test_rejects_two_effects_at_the_same_time():
    violation = rejected(
        history_of("""
        0s   started  a  @c1
        1s   started  a  @c2
        2s   ended    a  @c1  outcome=ok
        3s   ended    a  @c2  outcome=ok
        """)
    )
    assert violation.because == (
        "because c1 had handled event a at 2 s and c2, which had begun at 1 s, handled it too at 3 s"
    )


# -- what is an effect


def test_accepts_a_handling_after_one_that_failed():
    assert accepted(
        history_of("""
        0s   started  a  @c1
        1s   ended    a  @c1  outcome=failed
        2s   started  a  @c2
        3s   ended    a  @c2  outcome=ok
        """)
    )


def test_accepts_a_handling_after_one_whose_holder_died_in_it():
    assert accepted(
        history_of("""
        0s   started  a  @c1
        1s   crashed  @c1
        2s   started  a  @c2
        3s   ended    a  @c2  outcome=ok
        """)
    )


def test_accepts_a_late_handling_whose_write_was_refused():
    assert accepted(
        history_of("""
        0s   started  a  @c1
        1s   started  a  @c2
        2s   ended    a  @c2  outcome=ok  write=accepted
        3s   ended    a  @c1  outcome=ok  write=refused
        """)
    )


def test_rejects_a_handling_that_failed_after_its_write_was_accepted():
    rejected(
        history_of("""
        0s   started  a  @c1
        1s   ended    a  @c1  outcome=failed  write=accepted
        2s   started  a  @c2
        3s   ended    a  @c2  outcome=ok  write=accepted
        """)
    )


# -- excuse: the holder died between the effect and its recording


def test_accepts_a_second_effect_after_the_holder_died_before_it_could_record_the_first():
    assert accepted(
        history_of("""
        0s    delivered  a  @c1
        0s    started    a  @c1
        1s    ended      a  @c1  outcome=ok
        1s    crashed    @c1
        17s   started    a  @c2
        18s   ended      a  @c2  outcome=ok
        """)
    )


def test_rejects_it_if_the_holder_had_acknowledged_the_event_before_it_died():
    rejected(
        history_of("""
        0s    delivered     a  @c1
        0s    started       a  @c1
        1s    ended         a  @c1  outcome=ok
        1s    acknowledged  a  @c1
        1s    crashed       @c1
        17s   started       a  @c2
        18s   ended         a  @c2  outcome=ok
        """)
    )


def test_rejects_it_if_somebody_was_told_that_the_event_had_been_seen():
    story = """
        0s    started    a  @c1
        1s    ended      a  @c1  outcome=ok
        1s    crashed    @c1
        2s    delivered  a  @c3
        2s    refused    a  @c3  because={}
        17s   started    a  @c2
        18s   ended      a  @c2  outcome=ok
    """
    rejected(history_of(story.format("seen")))
    assert accepted(history_of(story.format("held")))


def test_accepts_it_though_somebody_else_acknowledged_the_event():
    assert accepted(
        history_of("""
        0s    delivered     a  @c3
        0s    started       a  @c1
        1s    ended         a  @c1  outcome=ok
        1s    acknowledged  a  @c3
        1s    crashed       @c1
        17s   started       a  @c2
        18s   ended         a  @c2  outcome=ok
        """)
    )


def test_accepts_it_though_the_holder_had_acknowledged_the_event_when_it_was_parked():
    assert accepted(
        history_of("""
        0s    delivered     a  @c1
        0s    acknowledged  a  @c1
        0s    started       a  @c1  via=released
        1s    ended         a  @c1  outcome=ok
        1s    crashed       @c1
        17s   started       a  @c2
        18s   ended         a  @c2  outcome=ok
        """)
    )


def test_accepts_it_though_a_follower_was_begun_by_another_or_before_or_on_delivery():
    for began, follower in (("1s", "b @c3 via=released"), ("0s", "b @c1 via=released"), ("1s", "b @c1")):
        lines = [
            "0s published b follows=a",
            "0s started a @c1",
            "1s ended a @c1 outcome=ok",
            "1s crashed @c1",
            "17s started a @c2",
            "18s ended a @c2 outcome=ok",
        ]
        lines.insert(2 if began == "0s" else 3, f"{began} started {follower}")
        assert accepted(history_of("\n".join(lines)))


def test_rejects_it_if_somebody_else_died():
    rejected(
        history_of("""
        0s    started    a  @c1
        1s    ended      a  @c1  outcome=ok
        1s    crashed    @c3
        17s   started    a  @c2
        18s   ended      a  @c2  outcome=ok
        """)
    )


def test_rejects_it_if_the_holder_died_only_after_the_second_handling_had_begun():
    rejected(
        history_of("""
        0s   started    a  @c1
        1s   ended      a  @c1  outcome=ok
        2s   started    a  @c2
        3s   crashed    @c1
        4s   ended      a  @c2  outcome=ok
        """)
    )


def test_rejects_it_if_the_holder_had_gone_on_to_release_a_follower():
    rejected(
        history_of("""
        0s   published  b  follows=a
        0s   started    a  @c1
        1s   ended      a  @c1  outcome=ok
        1s   started    b  @c1  via=released
        2s   crashed    @c1
        3s   started    a  @c2
        4s   ended      a  @c2  outcome=ok
        """)
    )


def test_rejects_it_if_the_holder_died_longer_than_a_lease_after_the_effect():
    rejected(
        history_of("""
        0s    started  a  @c1
        1s    ended    a  @c1  outcome=ok
        18s   crashed  @c1
        19s   started  a  @c2
        20s   ended    a  @c2  outcome=ok
        """)
    )


def test_rejects_it_if_the_holder_of_a_released_event_had_acknowledged_the_leader():
    rejected(
        history_of("""
        0s   published     b  follows=a
        0s   delivered     a  @c1
        0s   started       a  @c1
        1s   started       b  @c1  via=released
        2s   ended         b  @c1  outcome=ok
        2s   acknowledged  a  @c1
        3s   crashed       @c1
        4s   started       b  @c2
        5s   ended         b  @c2  outcome=ok
        """, at_most=9)
    )  # fmt: skip


def test_rejects_it_if_the_holder_of_a_rescued_event_had_ended_its_sweep():
    rejected(
        history_of("""
        0s   started  b  @c1  via=rescued
        1s   ended    b  @c1  outcome=ok
        2s   swept    @c1  found=1
        3s   crashed  @c1
        4s   started  b  @c2
        5s   ended    b  @c2  outcome=ok
        """)
    )


def test_rejects_a_second_effect_after_the_holder_stopped_in_good_order():
    rejected(
        history_of("""
        0s   started  a  @c1
        1s   ended    a  @c1  outcome=ok
        1s   stopped  @c1
        2s   started  a  @c2
        3s   ended    a  @c2  outcome=ok
        """)
    )


# -- excuse: the holder was cut off between the effect and its recording


def test_accepts_a_second_effect_if_the_first_ended_while_its_holder_was_cut_off():
    assert accepted(
        history_of("""
        0s    started      a  @c1
        1s    unreachable  @c1
        2s    ended        a  @c1  outcome=ok
        17s   started      a  @c2
        18s   ended        a  @c2  outcome=ok
        """)
    )


def test_accepts_it_if_the_cut_was_short_but_the_effect_fell_into_it():
    for who in ("@c1", ""):
        assert accepted(
            history_of(f"""
            0s    started      a  @c1
            1s    unreachable  {who}
            2s    ended        a  @c1  outcome=ok
            3s    reachable    {who}
            17s   started      a  @c2
            18s   ended        a  @c2  outcome=ok
            """)
        )


def test_accepts_it_if_redis_was_out_of_reach_for_all():
    assert accepted(
        history_of("""
        0s    started      a  @c1
        1s    ended        a  @c1  outcome=ok
        1s    unreachable
        20s   reachable
        21s   started      a  @c2
        22s   ended        a  @c2  outcome=ok
        """)
    )


def test_rejects_it_if_the_holder_was_in_reach_again_when_the_effect_ended():
    rejected(
        history_of("""
        0s    started      a  @c1
        1s    unreachable  @c1
        2s    reachable    @c1
        3s    ended        a  @c1  outcome=ok
        17s   started      a  @c2
        18s   ended        a  @c2  outcome=ok
        """)
    )


def test_accepts_it_if_the_outcome_is_unknown():
    # The holder lost its connection in the handling, but its write had arrived.
    assert accepted(
        history_of("""
        0s    started  a  @c1
        1s    ended    a  @c1  outcome=unknown  write=accepted
        17s   started  a  @c2
        18s   ended    a  @c2  outcome=ok  write=accepted
        """)
    )


def test_accepts_it_if_the_holder_was_paused_beyond_its_lease_before_it_could_record():
    assert accepted(
        history_of("""
        0s    started  a  @c1
        1s    ended    a  @c1  outcome=ok
        1s    paused   @c1
        16s   started  a  @c2
        17s   ended    a  @c2  outcome=ok
        18s   resumed  @c1
        """)
    )


def test_accepts_it_if_the_holder_was_still_paused_when_the_history_ended():
    assert accepted(
        history_of("""
        0s    started  a  @c1
        9s    ended    a  @c1  outcome=ok
        9s    paused   @c1
        16s   started  a  @c2
        17s   ended    a  @c2  outcome=ok
        """)
    )


def test_rejects_it_if_the_lease_of_a_paused_holder_cannot_have_ended_yet():
    rejected(
        history_of("""
        0s    started  a  @c1
        1s    ended    a  @c1  outcome=ok
        1s    paused   @c1
        8s    started  a  @c2
        17s   resumed  @c1
        18s   ended    a  @c2  outcome=ok
        """)
    )


def test_accepts_it_if_another_holder_had_taken_the_lapsed_lease_before_the_effect():
    assert accepted(
        history_of("""
        0s         started  a  @c1
        1s         paused   @c1
        18s        resumed  @c1
        18s        ended    a  @c1  outcome=ok
        18s5ms     started  a  @c2
        19s        ended    a  @c2  outcome=ok
        """)
    )


def test_rejects_it_if_the_lease_cannot_have_lapsed():
    rejected(
        history_of("""
        0s         started  a  @c1
        1s         paused   @c1
        8s         resumed  @c1
        8s         ended    a  @c1  outcome=ok
        8s5ms      started  a  @c2
        19s        ended    a  @c2  outcome=ok
        """)
    )


def test_rejects_it_if_the_other_holder_began_too_late_to_have_taken_the_lease_before():
    rejected(
        history_of("""
        0s         started  a  @c1
        1s         paused   @c1
        18s        resumed  @c1
        18s        ended    a  @c1  outcome=ok
        19s1us     started  a  @c2
        20s        ended    a  @c2  outcome=ok
        """)
    )


def test_rejects_it_if_it_was_the_same_consumer_that_handled_the_event_again():
    rejected(
        history_of("""
        0s         started  a  @c1
        1s         paused   @c1
        18s        resumed  @c1
        18s        ended    a  @c1  outcome=ok
        18s5ms     started  a  @c1
        19s        ended    a  @c1  outcome=ok
        """)
    )


# -- excuse: the retention had passed


def test_accepts_a_second_effect_when_the_retention_had_passed():
    assert accepted(
        history_of("""
        0s      started  a  @c1
        1s      ended    a  @c1  outcome=ok
        30m1s   started  a  @c2
        30m2s   ended    a  @c2  outcome=ok
        """)
    )


def test_rejects_a_second_effect_a_microsecond_before_the_retention_had_passed():
    rejected(
        history_of("""
        0s              started  a  @c1
        1s              ended    a  @c1  outcome=ok
        30m999ms999us   started  a  @c2
        30m2s           ended    a  @c2  outcome=ok
        """)
    )


# -- excuse: the store lost the marker


def test_accepts_a_second_effect_after_the_store_lost_everything():
    assert accepted(
        history_of("""
        0s   started     a  @c1
        1s   ended       a  @c1  outcome=ok
        2s   store-lost
        3s   started     a  @c2
        4s   ended       a  @c2  outcome=ok
        """)
    )


def test_accepts_it_if_a_lost_key_names_the_event():
    assert accepted(
        history_of("""
        0s   published   a  id=1d-a
        0s   started     a  @c1
        1s   ended       a  @c1  outcome=ok
        2s   store-lost  keys=seen/1d-a
        3s   started     a  @c2
        4s   ended       a  @c2  outcome=ok
        """)
    )


def test_accepts_it_if_a_lost_key_names_no_event_at_all():
    assert accepted(
        history_of("""
        0s   published   a  id=1d-a
        0s   started     a  @c1
        1s   ended       a  @c1  outcome=ok
        2s   store-lost  keys=seen
        3s   started     a  @c2
        4s   ended       a  @c2  outcome=ok
        """)
    )


def test_rejects_it_if_the_lost_keys_name_only_other_events():
    rejected(
        history_of("""
        0s   published   a  id=1d-a
        0s   published   b  id=1d-b
        0s   started     a  @c1
        1s   ended       a  @c1  outcome=ok
        2s   store-lost  keys=seen/1d-b
        3s   started     a  @c2
        4s   ended       a  @c2  outcome=ok
        """)
    )


def test_accepts_it_if_the_store_lost_the_lease_between_the_delivery_and_the_first_handling():
    assert accepted(
        history_of("""
        0s    delivered   a  @c1
        50ms  store-lost
        1s    started     a  @c1
        4s    ended       a  @c1  outcome=ok
        5s    started     a  @c2
        8s    ended       a  @c2  outcome=ok
        """)
    )


def test_rejects_it_if_the_loss_was_before_the_first_holder_was_given_the_event():
    rejected(
        history_of("""
        0s    delivered   a  @c2
        50ms  store-lost
        1s    delivered   a  @c1
        1s    started     a  @c1
        4s    ended       a  @c1  outcome=ok
        5s    started     a  @c2
        8s    ended       a  @c2  outcome=ok
        """)
    )


def test_rejects_it_if_the_store_lost_its_data_before():
    rejected(
        history_of("""
        0s   store-lost
        1s   started     a  @c1
        2s   ended       a  @c1  outcome=ok
        3s   started     a  @c2
        4s   ended       a  @c2  outcome=ok
        """)
    )


def test_rejects_a_second_effect_although_redis_refused_to_record_the_first():
    rejected(
        history_of(
            """
        0s     started  a            @c1
        1s     ended    a            @c1  outcome=ok
        1100ms fault    error-reply  @c1
        1200ms rejected a            @c1
        9s     started  a            @c2
        9500ms ended    a            @c2  outcome=ok
        """,
            lease="16s",
        )
    )


@pytest.mark.parametrize("lost", [True, False])
def test_a_dead_letter_of_the_broker_may_stand_beside_the_effect_of_an_event_whose_answer_was_lost(lost):
    history = history_of(f"""
        0s    {"unreachable" if lost else "paused @c9"}
        1s    delivered      a  @c1
        6s    rejected       a  @c1  because=TimeoutError
        6s    dead-lettered  a  by=broker
        9s    {"reachable" if lost else "resumed @c9"}
        60s   started        a  @c1  via=rescued
        61s   ended          a  @c1  outcome=ok
        """)
    assert accepted(history) if lost else rejected(history)


ANSWER = "2500ms acknowledged a @c1 delivery=1"


@pytest.mark.parametrize(
    ("answer", "dead", "excused"), [("", "3s", True), ("", "18s", True), ("", "19s", False), (ANSWER, "3s", False)]
)
def test_a_dead_letter_of_the_broker_may_come_before_the_answer_for_one_lease(answer, dead, excused):
    history = history_of(
        f"""
        0s      delivered      a  @c1  attempt=1 delivery=1
        0s      started        a  @c1
        1s      delivered      a  @c2  attempt=2 delivery=2
        1s      rejected       a  @c2  because=Unreadable delivery=2
        2s      ended          a  @c1  outcome=ok
        {answer}
        {dead}  dead-lettered  a  by=broker
        """,
        lease="16s",
    )
    assert accepted(history) if excused else rejected(history)
