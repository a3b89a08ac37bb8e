from functools import partial

from tests.simulation.invariants import short_histories
from tests.simulation.invariants.short_histories import history_of

accepted = partial(short_histories.accepted, invariant="no-stuck-worker")
rejected = partial(short_histories.rejected, invariant="no-stuck-worker")

# The bound is 10 min.


# -- a delivery


def test_accepts_a_delivery_that_is_answered_within_the_bound():
    assert accepted(
        history_of("""
        0s    delivered     a  @c1
        10m   acknowledged  a  @c1
        """)
    )


def test_rejects_a_delivery_that_is_answered_a_microsecond_later():
    violation = rejected(
        history_of("""
        0s       delivered     a  @c1
        10m1us   acknowledged  a  @c1
        """)
    )
    assert violation.because == (
        "because c1 began to work on event a at 0 s and made no progress with it from 0 s to 600 s"
    )
    assert violation.witness == (0, 1)


def test_rejects_a_delivery_that_is_never_answered():
    rejected(
        history_of("""
        0s    delivered     a  @c1
        1s    delivered     b  @c2
        2s    acknowledged  b  @c2
        11m   phase         quiet
        """)
    )


def test_accepts_a_delivery_that_was_rejected_refused_or_given_up():
    for answer in ("rejected a @c1", "refused a @c1 because=held", "dead-lettered a"):
        assert accepted(
            history_of(f"""
            0s    delivered  a  @c1
            1s    {answer}
            2s    delivered  b  @c1
            2s    acknowledged  b  @c1
            11m   published  x
            """)
        )


def test_accepts_a_delivery_whose_consumer_died_or_left():
    for end in ("crashed", "stopped"):
        assert accepted(
            history_of(f"""
            0s    delivered     a  @c1
            1s    {end}         @c1
            2s    delivered     a  @c2
            2s    acknowledged  a  @c2
            11m   phase         quiet
            """)
        )


def test_accepts_a_long_cascade_that_makes_progress():
    assert accepted(
        history_of("""
        0s    published     b  follows=a
        0s    delivered     a  @c1
        0s    started       a  @c1
        8m    ended         a  @c1  outcome=ok
        9m    started       b  @c1  via=released
        17m   ended         b  @c1  outcome=ok
        18m   acknowledged  a  @c1
        """)
    )


def test_rejects_a_stuck_delivery_though_its_consumer_does_other_work():
    rejected(
        history_of("""
        0s    delivered     a  @c1
        5m    delivered     b  @c1
        8m    acknowledged  b  @c1
        11m   phase         quiet
        """)
    )


def test_accepts_a_handled_delivery_in_a_history_without_acknowledgements():
    assert accepted(
        history_of("""
        0s    delivered  a  @c1
        1s    started    a  @c1
        2s    ended      a  @c1  outcome=ok
        11m   phase      quiet
        """)
    )


def test_accepts_a_parked_delivery_in_a_history_without_acknowledgements():
    assert accepted(
        history_of("""
        0s    delivered  a  @c1
        1s    parked     a  @c1
        11m   phase      quiet
        """)
    )


def test_rejects_an_ignored_delivery_in_a_history_without_acknowledgements():
    rejected(
        history_of("""
        0s    delivered  a  @c1
        11m   phase      quiet
        """)
    )


def test_rejects_a_handled_delivery_that_is_not_acknowledged_where_others_are():
    rejected(
        history_of("""
        0s    delivered     a  @c1
        1s    started       a  @c1
        2s    ended         a  @c1  outcome=ok
        2s    delivered     b  @c2
        2s    acknowledged  b  @c2
        13m   phase         quiet
        """)
    )


# -- a handling


def test_rejects_a_handling_that_hangs():
    violation = rejected(
        history_of("""
        0s    started  a  @c1  via=rescued
        11m   phase    quiet
        """)
    )
    assert violation.because.startswith("because c1 began to handle event a at 0 s")


def test_tells_of_a_hanging_handling_once_though_its_delivery_hangs_with_it():
    rejected(
        history_of("""
        0s    delivered     a  @c1
        0s    started       a  @c1
        1s    delivered     b  @c2
        1s    acknowledged  b  @c2
        11m   phase         quiet
        """)
    )


# -- excuse: paused or cut off


def test_accepts_a_wait_in_which_the_consumer_was_paused():
    for begin, end in (
        ("paused @c1", "resumed @c1"),
        ("unreachable @c1", "reachable @c1"),
        ("unreachable", "reachable"),
    ):
        assert accepted(
            history_of(f"""
            0s    delivered     a  @c1
            1m    {begin}
            20m   {end}
            29m   acknowledged  a  @c1
            """)
        )


def test_rejects_a_wait_that_goes_on_too_long_without_the_pause():
    rejected(
        history_of("""
        0s       delivered     a  @c1
        1m       paused        @c1
        20m      resumed       @c1
        29m1us   acknowledged  a  @c1
        """)
    )


def test_rejects_a_wait_in_which_somebody_else_was_paused():
    rejected(
        history_of("""
        0s    delivered     a  @c1
        1m    paused        @c2
        20m   resumed       @c2
        29m   acknowledged  a  @c1
        """)
    )


# -- a sweep


def test_accepts_a_sweep_that_comes_round():
    assert accepted(
        history_of("""
        0s      started  a  @c1
        0s      ended    a  @c1  outcome=ok
        1s      swept    @c1  found=0
        10m6s   swept    @c1  found=0
        """)
    )


def test_rejects_a_sweep_that_does_not_come_round():
    violation = rejected(
        history_of("""
        1s      swept  @c1  found=0
        10m7s   phase  quiet
        """)
    )
    assert violation.because == "because c1 ended a sweep at 1 s and had not ended another by 607 s"


def test_accepts_a_pause_between_sweeps():
    assert accepted(
        history_of("""
        0s      started  a  @c1
        0s      ended    a  @c1  outcome=ok
        1s      swept    @c1  found=0
        2s      paused   @c1
        20m     resumed  @c1
        20m5s   swept    @c1  found=0
        """)
    )


def test_accepts_the_time_in_which_a_sweep_handles_what_it_found():
    assert accepted(
        history_of("""
        1s    swept    @c1  found=0
        5s    started  a  @c1  via=rescued
        9m    ended    a  @c1  outcome=ok
        9m    started  b  @c1  via=rescued
        18m   ended    b  @c1  outcome=ok
        18m   swept    @c1  found=2
        """)
    )


def test_accepts_long_times_between_sweeps_that_found_something():
    # Who writes down only these, says nothing of the others.
    assert accepted(
        history_of("""
        0s   started  a  @c1
        0s   ended    a  @c1  outcome=ok
        1s   swept    @c1  found=1
        1h   swept    @c1  found=1
        """)
    )


# -- a poison event


def test_accepts_a_poison_event_that_ends_in_a_dead_letter():
    assert accepted(
        history_of("""
        0s    delivered      a  @c1
        1s    rejected       a  @c1
        6s    delivered      a  @c1
        7s    rejected       a  @c1
        7s    dead-lettered  a
        1h    phase          quiet
        """)
    )


def test_accepts_an_event_that_is_rejected_and_then_handled():
    assert accepted(
        history_of("""
        0s    delivered     a  @c1
        1s    rejected      a  @c1
        6s    delivered     a  @c1
        7s    started       a  @c1
        8s    ended         a  @c1  outcome=ok
        8s    acknowledged  a  @c1
        1h    phase         quiet
        """)
    )


def test_rejects_a_poison_event_without_a_dead_letter_when_all_is_quiet():
    violation = rejected(
        history_of("""
        0s    delivered  a  @c1
        1s    rejected   a  @c1
        1h    phase      quiet
        """)
    )
    assert violation.because == (
        "because event a was rejected by c1 at 1 s, never took effect,"
        " and had no dead letter when the world was quiet at 3600 s"
    )


def test_accepts_a_poison_event_that_was_lost_as_the_scenario_allows():
    story = """
        0s    delivered   a  @c1
        1s    rejected    a  @c1
        2s    store-lost  fault=flush
        1h    phase       quiet
    """
    assert accepted(history_of(story, allowed_loss=("flush",)))
    rejected(history_of(story))


def test_rejects_a_poison_event_that_is_tried_for_ever():
    rejected(
        history_of("""
        0s      delivered  a  @c1
        1s      rejected   a  @c1
        10m     delivered  a  @c1
        10m2s   rejected   a  @c1
        11m     phase      horizon
        """)
    )


def deaths(count: int, apart: str = "", lost_after: int = 0) -> str:
    """Return a story of handlings that end with their process, ten seconds or so many minutes apart."""
    lines = ["0s phase faults"]
    for n in range(count):
        at = f"{n}{apart}" if apart else f"{10 * n}s"
        lines += [f"{at} started a @c1 via=rescued fence={n}", f"{at} fault handler-kills-process @c1"]
        lines += [f"{at} crashed @c1"]
        if n + 1 == lost_after:
            lines.append(f"{at} store-lost fault=handler-kills-process")
    return "\n".join([*lines, "3h phase horizon"])


def test_rejects_an_event_that_kills_its_process_for_ever():
    violation = rejected(history_of(deaths(6), at_most=40))
    assert violation.because == (
        "because event a was begun 6 times from 0 s to 50 s, each time its consumer died, and it was not given up"
        " after 4 attempts"
    )


def test_accepts_an_event_that_kills_its_process_as_often_as_it_may():
    assert accepted(history_of(deaths(5), at_most=40))
    assert accepted(history_of(deaths(8, apart="m"), at_most=40)), "an engine may forget an attempt after two leases"
    assert accepted(history_of(deaths(8, lost_after=4), at_most=40)), "the store has lost the count"
    assert accepted(history_of(deaths(8) + "\n3h fault crash", at_most=40)), "a process may have died of something else"


def test_accepts_rejections_while_redis_is_out_of_reach():
    assert accepted(
        history_of("""
        0s      delivered    a  @c1
        1s      rejected     a  @c1
        1s      unreachable
        15m     reachable
        15m     delivered    a  @c1
        15m2s   rejected     a  @c1
        16m     phase        horizon
        """)
    )


DEADLY = """
    0s   started  a  @c1
    1s   crashed  @c1
    {}   started  a  @c2
    {}   crashed  @c2
    {}   started  a  @c3
    {}   crashed  @c3
    40s  {}
"""


def test_rejects_an_event_that_kills_its_consumers_for_ever():
    in_a_row = DEADLY.format("5s", "6s", "10s", "11s", "{}")
    assert "was begun 3 times" in rejected(history_of(in_a_row.format("swept @c4"), max_attempts="1us")).because
    assert accepted(history_of(in_a_row.format("swept @c4"), max_attempts="2us"))


def test_deaths_with_another_cause_or_far_apart_do_not_count():
    in_a_row = DEADLY.format("5s", "6s", "10s", "11s", "{}")
    assert accepted(history_of(in_a_row.format("fault crash"), max_attempts="1us"))
    rejected(history_of(in_a_row.format("fault handler-kills-process"), max_attempts="1us"))
    assert accepted(history_of(DEADLY.format("5s", "6s", "39s", "39s", "swept @c4"), max_attempts="1us"))
