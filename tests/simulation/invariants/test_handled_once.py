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


def test_accepts_after_death_in_the_handler():
    """Accepts a handling after one whose holder died in it."""
    assert accepted(
        history_of("""
        0s   started  a  @c1
        1s   crashed  @c1
        2s   started  a  @c2
        3s   ended    a  @c2  outcome=ok
        """)
    )


def test_accepts_refused_late_write():
    """Accepts a late handling whose write was refused."""
    assert accepted(
        history_of("""
        0s   started  a  @c1
        1s   started  a  @c2
        2s   ended    a  @c2  outcome=ok  write=accepted
        3s   ended    a  @c1  outcome=ok  write=refused
        """)
    )


def test_rejects_failure_after_accepted_write():
    """Rejects a handling that failed after its write was accepted."""
    rejected(
        history_of("""
        0s   started  a  @c1
        1s   ended    a  @c1  outcome=failed  write=accepted
        2s   started  a  @c2
        3s   ended    a  @c2  outcome=ok  write=accepted
        """)
    )


# -- excuse: the holder died between the effect and its recording


def test_accepts_death_before_recording():
    """Accepts a second effect after the holder died before it could record the first."""
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


def test_rejects_death_after_acknowledgement():
    """Rejects it if the holder had acknowledged the event before it died."""
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


def test_rejects_after_it_was_seen():
    """Rejects it if the event had been refused as seen."""
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


def test_accepts_acknowledged_by_another():
    """Accepts it although another consumer acknowledged the event."""
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


def test_accepts_acknowledged_when_parked():
    """Accepts it though the holder had acknowledged the event when it was parked."""
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


def test_accepts_follower_begun_by_another():
    """Accepts it though a follower was begun by another or before or on delivery."""
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


def test_rejects_another_consumer_died():
    rejected(
        history_of("""
        0s    started    a  @c1
        1s    ended      a  @c1  outcome=ok
        1s    crashed    @c3
        17s   started    a  @c2
        18s   ended      a  @c2  outcome=ok
        """)
    )


def test_rejects_death_after_second_handling():
    """Rejects it if the holder died only after the second handling had begun."""
    rejected(
        history_of("""
        0s   started    a  @c1
        1s   ended      a  @c1  outcome=ok
        2s   started    a  @c2
        3s   crashed    @c1
        4s   ended      a  @c2  outcome=ok
        """)
    )


def test_rejects_holder_that_released_a_follower():
    """Rejects it if the holder had gone on to release a follower."""
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


def test_rejects_death_a_lease_later():
    """Rejects it if the holder died longer than a lease after the effect."""
    rejected(
        history_of("""
        0s    started  a  @c1
        1s    ended    a  @c1  outcome=ok
        18s   crashed  @c1
        19s   started  a  @c2
        20s   ended    a  @c2  outcome=ok
        """)
    )


def test_rejects_released_leader_acknowledged():
    """Rejects it if the holder of a released event had acknowledged the leader."""
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


def test_rejects_rescued_after_the_sweep_ended():
    """Rejects it if the holder of a rescued event had ended its sweep."""
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


def test_rejects_after_leaving():
    """Rejects a second effect after the holder stopped in good order."""
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


def test_accepts_cut_off_at_the_end():
    """Accepts a second effect if the first ended while its holder was cut off."""
    assert accepted(
        history_of("""
        0s    started      a  @c1
        1s    unreachable  @c1
        2s    ended        a  @c1  outcome=ok
        17s   started      a  @c2
        18s   ended        a  @c2  outcome=ok
        """)
    )


def test_accepts_short_cut_around_the_effect():
    """Accepts it if the cut was short but the effect fell into it."""
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


def test_accepts_redis_unreachable():
    """Accepts it if Redis was out of reach for all."""
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


def test_rejects_reachable_again():
    """Rejects it if the holder was in reach again when the effect ended."""
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


def test_accepts_paused_before_recording():
    """Accepts it if the holder was paused beyond its lease before it could record."""
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


def test_accepts_still_paused():
    """Accepts it if the holder was still paused when the history ended."""
    assert accepted(
        history_of("""
        0s    started  a  @c1
        9s    ended    a  @c1  outcome=ok
        9s    paused   @c1
        16s   started  a  @c2
        17s   ended    a  @c2  outcome=ok
        """)
    )


def test_rejects_pause_within_the_lease():
    """Rejects it if the lease of a paused holder cannot have ended yet."""
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


def test_accepts_lapsed_lease_taken_over():
    """Accepts it if another holder had taken the lapsed lease before the effect."""
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


def test_rejects_lease_cannot_have_lapsed():
    """Rejects it if the lease cannot have lapsed."""
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


def test_rejects_second_holder_too_late():
    """Rejects it if the other holder began too late to have taken the lease before."""
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


def test_rejects_same_consumer_again():
    """Rejects it if it was the same consumer that handled the event again."""
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


def test_accepts_after_the_retention():
    """Accepts a second effect when the retention had passed."""
    assert accepted(
        history_of("""
        0s      started  a  @c1
        1s      ended    a  @c1  outcome=ok
        30m1s   started  a  @c2
        30m2s   ended    a  @c2  outcome=ok
        """)
    )


def test_rejects_just_before_the_retention():
    """Rejects a second effect a microsecond before the retention had passed."""
    rejected(
        history_of("""
        0s              started  a  @c1
        1s              ended    a  @c1  outcome=ok
        30m999ms999us   started  a  @c2
        30m2s           ended    a  @c2  outcome=ok
        """)
    )


# -- excuse: the store lost the marker


def test_accepts_after_total_loss():
    """Accepts a second effect after the store lost everything."""
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


def test_accepts_lost_key_without_event():
    """Accepts it if a lost key names no event at all."""
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


def test_rejects_lost_keys_of_others():
    """Rejects it if the lost keys name only other events."""
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


def test_accepts_lease_lost_before_handling():
    """Accepts it if the store lost the lease between the delivery and the first handling."""
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


def test_rejects_loss_before_the_delivery():
    """Rejects it if the loss was before the first holder was given the event."""
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


def test_rejects_loss_before():
    """Rejects it if the store lost its data before."""
    rejected(
        history_of("""
        0s   store-lost
        1s   started     a  @c1
        2s   ended       a  @c1  outcome=ok
        3s   started     a  @c2
        4s   ended       a  @c2  outcome=ok
        """)
    )


def test_rejects_refused_recording():
    """Rejects a second effect although Redis refused to record the first."""
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
def test_broker_dead_letter_after_lost_answer(lost):
    """A dead letter of the broker may stand beside the effect of an event whose answer was lost."""
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


@pytest.mark.parametrize(
    ("because", "reported", "excused"),
    [
        ("CancelledError", "false", True),
        ("HandlerFailed", "false", False),
        ("CancelledError", "true", False),
    ],
)
def test_broker_dead_letter_after_cancellation(because, reported, excused):
    """A dead letter of the broker may stand beside the effect of an event whose consumer was cancelled."""
    history = history_of(f"""
        0s    delivered      a  @c1  attempt=1 delivery=1
        1s    started        a  @c1
        2s    ended          a  @c1  outcome=failed
        2s    rejected       a  @c1  because={because} delivery=1
        2s    dead-lettered  a  by=broker  told={reported}
        60s   started        a  @c1  via=rescued
        61s   ended          a  @c1  outcome=ok
        """)
    assert accepted(history) if excused else rejected(history)


def test_rejects_dead_letter_of_what_was_done():
    """An earlier cancellation is no excuse if the event was handled before the broker gave it up."""
    assert rejected(
        history_of("""
        0s    delivered      a  @c1  attempt=1 delivery=1
        1s    rejected       a  @c1  because=CancelledError delivery=1
        2s    started        a  @c1  via=rescued
        3s    ended          a  @c1  outcome=ok
        3s    swept          @c1
        40s   delivered      a  @c1  attempt=2 delivery=2
        41s   rejected       a  @c1  because=HandlerFailed delivery=2
        41s   dead-lettered  a  by=broker
        """)
    )


ANSWER = "2500ms acknowledged a @c1 delivery=1"


@pytest.mark.parametrize(
    ("answer", "dead", "excused"), [("", "3s", True), ("", "18s", True), ("", "19s", False), (ANSWER, "3s", False)]
)
def test_broker_dead_letter_before_the_answer(answer, dead, excused):
    """A dead letter of the broker may come before the answer for one lease."""
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


@pytest.mark.parametrize(
    ("reported", "begun", "excused"), [("false", "10m", True), ("true", "19s", True), ("true", "20s", False)]
)
def test_dead_letter_reported_to_the_engine(reported, begun, excused):
    """An engine that knows of the broker's dead letter begins no handling later than a lease after it."""
    history = history_of(f"""
        0s       delivered      a  @c1
        3s       dead-lettered  a  by=broker  told={reported}
        {begun}  started        a  @c1
        11m      ended          a  @c1  outcome=ok
        """)
    assert accepted(history) if excused else rejected(history)


@pytest.mark.parametrize(("answer", "excused"), [("", True), ("2500ms rejected a @c1 delivery=1", False)])
def test_broker_gives_up_what_a_consumer_has(answer, excused):
    """A dead letter of the broker may come before a handling by a consumer that had the event by then."""
    history = history_of(f"""
        0s    delivered      a  @c1  attempt=1 delivery=1
        1s    delivered      a  @c2  attempt=2 delivery=2
        2s    rejected       a  @c2  because=Error delivery=2
        {answer}
        3s    dead-lettered  a  by=broker
        4s    started        a  @c1
        5s    ended          a  @c1  outcome=ok
        """)
    assert accepted(history) if excused else rejected(history)


@pytest.mark.parametrize(
    ("another", "excused"), [("2500ms started a @c3", True), ("4s started a @c3", False), ("2500ms joined @c3", False)]
)
def test_lease_taken_by_one_that_failed(another, excused):
    """An expired lease may have been taken by a consumer that never came to an effect."""
    history = history_of(
        f"""
        0s    started  a  @c1
        0s    paused      @c1
        2s    resumed     @c1
        2s    ended    a  @c1  outcome=ok
        {another}
        9s    started  a  @c2
        10s   ended    a  @c2  outcome=ok
        """,
        lease="1s",
    )
    assert accepted(history) if excused else rejected(history)


@pytest.mark.parametrize(("answer", "excused"), [("1900ms crashed @c3", True), ("1900ms refused a @c3", False)])
def test_lease_taken_by_one_that_died(answer, excused):
    """An expired lease may have been taken by a consumer that died before its handler began."""
    history = history_of(
        f"""
        0s      started    a  @c1
        0s      paused        @c1
        1800ms  delivered  a  @c3
        {answer}
        2s      resumed       @c1
        2s      ended      a  @c1  outcome=ok
        9s      started    a  @c1
        10s     ended      a  @c1  outcome=ok
        """,
        lease="1s",
    )
    assert accepted(history) if excused else rejected(history)
