from functools import partial

from tests.simulation.invariants import short_histories
from tests.simulation.invariants.short_histories import history_of

accepted = partial(short_histories.accepted, invariant="no-stuck-worker")
rejected = partial(short_histories.rejected, invariant="no-stuck-worker")

# The bound is 10 min.


# -- a delivery


def test_accepts_answer_within_the_bound():
    """Accepts a delivery that is answered within the bound."""
    assert accepted(
        history_of("""
        0s    delivered     a  @c1
        10m   acknowledged  a  @c1
        """)
    )


def test_rejects_answer_late():
    """Rejects a delivery that is answered a microsecond later."""
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


def test_rejects_no_answer():
    """Rejects a delivery that is never answered."""
    rejected(
        history_of("""
        0s    delivered     a  @c1
        1s    delivered     b  @c2
        2s    acknowledged  b  @c2
        11m   phase         quiet
        """)
    )


def test_accepts_rejected_refused_given_up():
    """Accepts a delivery that was rejected refused or given up."""
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


def test_accepts_dead_or_left_consumer():
    """Accepts a delivery whose consumer died or left."""
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


def test_accepts_progressing_cascade():
    """Accepts a long cascade that makes progress."""
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


def test_rejects_stuck_beside_other_work():
    """Rejects a stuck delivery though its consumer does other work."""
    rejected(
        history_of("""
        0s    delivered     a  @c1
        5m    delivered     b  @c1
        8m    acknowledged  b  @c1
        11m   phase         quiet
        """)
    )


def test_accepts_handled_without_acks():
    """Accepts a handled delivery in a history without acknowledgements."""
    assert accepted(
        history_of("""
        0s    delivered  a  @c1
        1s    started    a  @c1
        2s    ended      a  @c1  outcome=ok
        11m   phase      quiet
        """)
    )


def test_accepts_parked_without_acks():
    """Accepts a parked delivery in a history without acknowledgements."""
    assert accepted(
        history_of("""
        0s    delivered  a  @c1
        1s    parked     a  @c1
        11m   phase      quiet
        """)
    )


def test_rejects_ignored_without_acks():
    """Rejects an ignored delivery in a history without acknowledgements."""
    rejected(
        history_of("""
        0s    delivered  a  @c1
        11m   phase      quiet
        """)
    )


def test_rejects_unacknowledged_beside_acks():
    """Rejects a handled delivery that is not acknowledged where others are."""
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


def test_hanging_handling_counts_once():
    """Reports a hanging handling once, although its delivery hangs with it."""
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


def test_accepts_pause():
    """Accepts a wait in which the consumer was paused."""
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


def test_rejects_too_long_without_the_pause():
    """Rejects a wait that goes on too long without the pause."""
    rejected(
        history_of("""
        0s       delivered     a  @c1
        1m       paused        @c1
        20m      resumed       @c1
        29m1us   acknowledged  a  @c1
        """)
    )


def test_rejects_other_consumer_paused():
    """Rejects a wait in which another consumer was paused."""
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


def test_accepts_sweep_at_work():
    """Accepts the time in which a sweep handles what it found."""
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


def test_accepts_long_times_between_sweeps():
    """Accepts long times between sweeps that found something."""
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


def test_accepts_poison_dead_lettered():
    """Accepts a poison event that ends in a dead letter."""
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


def test_accepts_rejected_then_handled():
    """Accepts an event that is rejected and then handled."""
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


def test_rejects_poison_without_dead_letter():
    """Rejects a poison event without a dead letter when all is quiet."""
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


def test_accepts_poison_lost_if_allowed():
    """Accepts a poison event that was lost as the scenario allows."""
    story = """
        0s    delivered   a  @c1
        1s    rejected    a  @c1
        2s    store-lost  fault=flush
        1h    phase       quiet
    """
    assert accepted(history_of(story, allowed_loss=("flush",)))
    rejected(history_of(story))


def test_rejects_poison_for_ever():
    """Rejects a poison event that is tried for ever."""
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


def test_rejects_deadly_for_ever():
    """Rejects an event that kills its process for ever."""
    violation = rejected(history_of(deaths(6), at_most=40))
    assert violation.because == (
        "because event a was begun 6 times from 0 s to 50 s, each time its consumer died, and it was not given up"
        " after 4 attempts"
    )


def test_accepts_deadly_as_often_as_allowed():
    """Accepts an event that kills its process as often as it may."""
    assert accepted(history_of(deaths(5), at_most=40))
    assert accepted(history_of(deaths(8, apart="m"), at_most=40)), "an engine may forget an attempt after two leases"
    assert accepted(history_of(deaths(8, lost_after=4), at_most=40)), "the store has lost the count"
    assert accepted(history_of(deaths(8) + "\n3h fault crash", at_most=40)), "a process may have died of something else"


def test_accepts_rejections_without_redis():
    """Accepts rejections while Redis is out of reach."""
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


def test_rejects_consumers_killed_for_ever():
    """Rejects an event that kills its consumers for ever."""
    in_a_row = DEADLY.format("5s", "6s", "10s", "11s", "{}")
    assert "was begun 3 times" in rejected(history_of(in_a_row.format("swept @c4"), max_attempts="1us")).because
    assert accepted(history_of(in_a_row.format("swept @c4"), max_attempts="2us"))


def test_deaths_of_other_causes():
    """Deaths with another cause or far apart do not count."""
    in_a_row = DEADLY.format("5s", "6s", "10s", "11s", "{}")
    assert accepted(history_of(in_a_row.format("fault crash"), max_attempts="1us"))
    rejected(history_of(in_a_row.format("fault handler-kills-process"), max_attempts="1us"))
    assert accepted(history_of(DEADLY.format("5s", "6s", "39s", "39s", "swept @c4"), max_attempts="1us"))
