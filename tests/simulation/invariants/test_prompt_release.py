from functools import partial

import pytest

from simulation.invariants import judge
from tests.simulation.invariants import short_histories
from tests.simulation.invariants.short_histories import history_of

accepted = partial(short_histories.accepted, invariant="prompt-release")
rejected = partial(short_histories.rejected, invariant="prompt-release")


def test_accepts_within_the_bound():
    """Accepts a follower that starts just within the bound."""
    assert accepted(
        history_of("""
        0s     published  b  follows=a
        0s     delivered  b  @c2
        0s     started    a  @c1
        2s     ended      a  @c1  outcome=ok
        1m2s   started    b  @c1  via=released
        """)
    )


def test_rejects_late():
    """Rejects a follower that starts a microsecond later."""
    violation = rejected(
        history_of("""
        0s        published  b  follows=a
        0s        delivered  b  @c2
        0s        parked     b  @c2
        0s        started    a  @c1
        2s        ended      a  @c1  outcome=ok
        1m2s1us   started    b  @c1  via=released
        """)
    )
    assert violation.at == 62_000_001
    assert violation.witness == (2, 4, 5)


def test_rejects_still_waiting_at_the_end():
    """Rejects a follower that is still waiting when the history ends."""
    violation = rejected(
        history_of("""
        0s       published  b  follows=a
        10ms     delivered  b  @c2
        11523us  parked     b  @c2
        12ms     started    a  @c1
        13342us  ended      a  @c1  outcome=ok
        15m      phase      horizon
        """)
    )
    assert violation.because == (
        "because event b was parked at 0.0115 s, its leader a completed at 0.0133 s, and b was still waiting at 900 s"
    )
    assert violation.events == ("b", "a")
    assert violation.consumers == ("c2", "c1")


def test_accepts_bound_beyond_the_end():
    """Accepts a follower whose wait is not over the bound when the history ends."""
    assert accepted(
        history_of("""
        0s     published  b  follows=a
        0s     delivered  b  @c2
        0s     started    a  @c1
        2s     ended      a  @c1  outcome=ok
        1m2s   phase      horizon
        """)
    )


def test_accepts_from_own_delivery():
    """Accepts a wait that counts from the follower's own delivery."""
    assert accepted(
        history_of("""
        0s      published  b  follows=a
        0s      started    a  @c1
        2s      ended      a  @c1  outcome=ok
        5m      delivered  b  @c2
        5m50s   started    b  @c2
        """)
    )


def test_rejects_forgotten_leader():
    """Rejects a follower that waits for a leader that was forgotten."""
    rejected(
        history_of("""
        0s    published  b  follows=a
        0s    started    a  @c1
        2s    ended      a  @c1  outcome=ok
        31m   delivered  b  @c2
        31m   parked     b  @c2
        46m   started    b  @c2  via=rescued
        """)
    )


def test_accepts_started_and_failed():
    """Accepts a follower that started in time and failed."""
    assert accepted(
        history_of("""
        0s   published  b  follows=a
        0s   delivered  b  @c2
        0s   started    a  @c1
        2s   ended      a  @c1  outcome=ok
        2s   started    b  @c1  via=released
        3s   ended      b  @c1  outcome=failed
        5m   started    b  @c1
        6m   ended      b  @c1  outcome=ok
        """)
    )


def test_accepts_given_up_in_time():
    """Accepts a follower that was given up in time."""
    assert accepted(
        history_of("""
        0s   published      b  follows=a
        0s   delivered      b  @c2
        0s   started        a  @c1
        2s   ended          a  @c1  outcome=ok
        9s   dead-lettered  b
        9m   phase          quiet
        """)
    )


def test_rejects_given_up_late():
    """Rejects a follower that was given up late."""
    rejected(
        history_of("""
        0s   published      b  follows=a
        0s   delivered      b  @c2
        0s   started        a  @c1
        2s   ended          a  @c1  outcome=ok
        9m   dead-lettered  b
        """)
    )


def test_rejects_late_though_consumer_died():
    """Rejects a late follower though its consumer died."""
    rejected(
        history_of("""
        0s   published  b  follows=a
        0s   delivered  b  @c1
        0s   started    a  @c2
        2s   ended      a  @c2  outcome=ok
        3s   crashed    @c1
        9m   started    b  @c2  via=rescued
        """)
    )


def test_says_nothing_started_first():
    """Says nothing of a follower that started before its leader was done."""
    history = history_of("""
        0s   published  b  follows=a
        0s   delivered  b  @c2
        0s   started    b  @c2
        1s   started    a  @c1
        2s   ended      a  @c1  outcome=ok
        9m   phase      quiet
    """)
    assert judge(history, ["prompt-release"]).verdicts["prompt-release"].examined == 0


def test_says_nothing_leader_without_effect():
    """Says nothing of a follower whose leader never took effect."""
    history = history_of("""
        0s   published  b  follows=a
        0s   delivered  b  @c2
        1s   started    a  @c1
        2s   ended      a  @c1  outcome=failed
        9m   phase      quiet
    """)
    assert judge(history, ["prompt-release"]).verdicts["prompt-release"].examined == 0


def test_accepts_from_the_recorded_effect():
    """Accepts a wait from the effect that could be recorded."""
    # c1 died with its effect unrecorded, so a had to be handled again.
    assert accepted(
        history_of("""
        0s       published  b  follows=a
        0s       delivered  b  @c2
        0s       started    a  @c1
        1s       ended      a  @c1  outcome=ok
        1s       crashed    @c1
        50s      started    a  @c2
        1m10s    ended      a  @c2  outcome=ok
        1m20s    started    b  @c2  via=released
        """)
    )


def test_rejects_from_the_first_recorded_effect():
    """Rejects a wait from an effect that was recorded though a second followed."""
    rejected(
        history_of("""
        0s       published     b  follows=a
        0s       delivered     b  @c2
        0s       started       a  @c1
        1s       ended         a  @c1  outcome=ok
        50s      started       a  @c2
        1m10s    ended         a  @c2  outcome=ok
        1m20s    started       b  @c2  via=released
        """)
    )


# -- excuse: time in which no consumer could do anything


def test_accepts_no_consumer_alive():
    """Accepts a wait while no consumer was alive."""
    assert accepted(
        history_of("""
        0s       published  b  follows=a
        0s       delivered  b  @c1
        0s       started    a  @c1
        2s       ended      a  @c1  outcome=ok
        3s       crashed    @c1
        16m      joined     @c1
        16m59s   started    b  @c1
        """)
    )


def test_rejects_short_death():
    """Rejects a wait in which the only consumer was dead for too short a time."""
    rejected(
        history_of("""
        0s      published  b  follows=a
        0s      delivered  b  @c1
        0s      started    a  @c1
        2s      ended      a  @c1  outcome=ok
        3s      crashed    @c1
        16m     joined     @c1
        17m21s  started    b  @c1
        """)
    )


def test_rejects_one_of_two_dead():
    """Rejects a wait while only one of two consumers was dead."""
    rejected(
        history_of("""
        0s       published  b  follows=a
        0s       delivered  b  @c1
        0s       started    a  @c2
        2s       ended      a  @c2  outcome=ok
        3s       crashed    @c1
        16m      joined     @c1
        16m59s   started    b  @c1
        """)
    )


def test_accepts_only_consumer_paused():
    """Accepts a wait while the only consumer was paused."""
    assert accepted(
        history_of("""
        0s    published  b  follows=a
        0s    delivered  b  @c1
        0s    started    a  @c1
        2s    ended      a  @c1  outcome=ok
        3s    paused     @c1
        16m   resumed    @c1
        16m   started    b  @c1
        """)
    )


def test_accepts_dead_and_cut_off():
    """Accepts a wait while one was dead and the other cut off."""
    assert accepted(
        history_of("""
        0s    published    b  follows=a
        0s    delivered    b  @c1
        0s    started      a  @c2
        2s    ended        a  @c2  outcome=ok
        3s    crashed      @c1
        3s    unreachable  @c2
        16m   reachable    @c2
        16m   started      b  @c2
        """)
    )


def test_accepts_redis_unreachable():
    """Accepts a wait while Redis was out of reach for all."""
    assert accepted(
        history_of("""
        0s    published    b  follows=a
        0s    delivered    b  @c1
        0s    started      a  @c2
        2s    ended        a  @c2  outcome=ok
        3s    unreachable
        16m   reachable
        16m   started      b  @c2
        """)
    )


def test_rejects_one_of_two_cut_off():
    """Rejects a wait while Redis was out of reach for one of two."""
    rejected(
        history_of("""
        0s    published    b  follows=a
        0s    delivered    b  @c1
        0s    started      a  @c2
        2s    ended        a  @c2  outcome=ok
        3s    unreachable  @c2
        16m   reachable    @c2
        16m   started      b  @c2
        """)
    )


def test_accepts_cut_ended_by_healing():
    """Accepts a cut that the healing of the world ended."""
    assert accepted(
        history_of("""
        0s       published    b  follows=a
        0s       delivered    b  @c1
        0s       started      a  @c1
        2s       ended        a  @c1  outcome=ok
        3s       unreachable  @c1
        16m      phase        healing
        16m30s   started      b  @c1
        """)
    )


def test_rejects_after_healing():
    """Rejects a wait that goes on when the world has healed."""
    rejected(
        history_of("""
        0s      published    b  follows=a
        0s      delivered    b  @c1
        0s      started      a  @c1
        2s      ended        a  @c1  outcome=ok
        3s      unreachable  @c1
        16m     phase        healing
        18m     started      b  @c1
        """)
    )


# -- excuse: others had their turn


def test_accepts_elder_sibling_at_work():
    """Accepts a wait while an elder sibling was being handled."""
    assert accepted(
        history_of("""
        0s   published  b  follows=a
        0s   published  c  follows=a
        0s   delivered  c  @c1
        0s   started    a  @c1
        1s   ended      a  @c1  outcome=ok
        1s   started    b  @c1  via=released
        5m   ended      b  @c1  outcome=ok
        5m   started    c  @c1  via=released
        """)
    )


def test_accepts_attempts_of_elder_sibling():
    """Accepts a wait as long as all attempts of an elder sibling that failed."""
    assert accepted(
        history_of(
            """
        0s     published  b  follows=a
        0s     published  c  follows=a
        0s     delivered  b  @c2
        0s     delivered  c  @c2
        0s     started    a  @c1
        2s     ended      a  @c1  outcome=ok
        50s    started    b  @c1  via=released
        51s    ended      b  @c1  outcome=failed
        1m43s  started    c  @c2  via=released
        """,
            at_most=9,
        )
    )


def test_rejects_wait_before_sibling_failed():
    """Rejects the wait of a sibling that was too long before it failed."""
    rejected(
        history_of(
            """
        0s     published  b  follows=a
        0s     published  c  follows=a
        0s     delivered  b  @c2
        0s     delivered  c  @c2
        0s     started    a  @c1
        2s     ended      a  @c1  outcome=ok
        1m3s   started    b  @c1  via=released
        1m4s   ended      b  @c1  outcome=failed
        1m5s   started    c  @c2  via=released
        """,
            at_most=9,
        ),
    )


def test_rejects_longer_than_all_attempts():
    """Rejects a wait that was longer than all attempts of a failing sibling."""
    rejected(
        history_of(
            """
        0s     published  b  follows=a
        0s     published  c  follows=a
        0s     delivered  b  @c2
        0s     delivered  c  @c2
        0s     started    a  @c1
        2s     ended      a  @c1  outcome=ok
        3s     started    b  @c1  via=released
        4s     ended      b  @c1  outcome=failed
        1m44s  started    c  @c2  via=released
        """,
            at_most=9,
        )
    )


def test_rejects_again_after_sibling_effect():
    """Rejects a wait as long again if the elder sibling took effect."""
    rejected(
        history_of(
            """
        0s     published  b  follows=a
        0s     published  c  follows=a
        0s     delivered  b  @c2
        0s     delivered  c  @c2
        0s     started    a  @c1
        2s     ended      a  @c1  outcome=ok
        50s    started    b  @c1  via=released
        51s    ended      b  @c1  outcome=ok
        1m50s  started    c  @c2  via=released
        """,
            at_most=9,
        )
    )


def test_accepts_descendant_of_elder_sibling():
    """Accepts a wait while a descendant of an elder sibling was being handled."""
    assert accepted(
        history_of(
            """
        0s   published  b  follows=a
        0s   published  d  follows=b
        0s   published  c  follows=a
        0s   delivered  c  @c1
        0s   started    a  @c1
        1s   ended      a  @c1  outcome=ok
        1s   started    b  @c1  via=released
        2s   ended      b  @c1  outcome=ok
        2s   started    d  @c1  via=released
        5m   started    c  @c1  via=released
        """,
            at_most=10,
        )
    )


def test_accepts_siblings_in_turn():
    """Accepts the waits of several siblings that have their turns one by one."""
    assert accepted(
        history_of(
            """
        0s   published  b  follows=a
        0s   published  c  follows=a
        0s   published  d  follows=a
        0s   delivered  c  @c1
        0s   delivered  d  @c1
        0s   started    a  @c1
        1s   ended      a  @c1  outcome=ok
        1s   started    b  @c1  via=released
        5m   ended      b  @c1  outcome=ok
        5m   started    c  @c1  via=released
        7m   ended      c  @c1  outcome=ok
        7m   started    d  @c1  via=released
        """,
            at_most=12,
        )
    )


def test_rejects_cycle_leader_done():
    """Rejects a member of a cycle that waits when its leader is done."""
    rejected(
        history_of("""
        0s      published  a  follows=b
        0s      published  b  follows=a
        0s      delivered  a  @c1
        0s      delivered  b  @c1
        15m     started    a  @c1  via=rescued
        15m1s   ended      a  @c1  outcome=ok
        20m     started    b  @c1  via=released
        """)
    )


def test_rejects_after_the_elder_sibling():
    """Rejects a wait that went on after the elder sibling."""
    rejected(
        history_of("""
        0s      published  b  follows=a
        0s      published  c  follows=a
        0s      delivered  c  @c1
        0s      started    a  @c1
        1s      ended      a  @c1  outcome=ok
        1s      started    b  @c1  via=released
        5m      ended      b  @c1  outcome=ok
        6m1s    started    c  @c1  via=released
        """)
    )


def test_rejects_unrelated_event_at_work():
    """Rejects a wait while an unrelated event was being handled."""
    rejected(
        history_of("""
        0s   published  c  follows=a
        0s   delivered  c  @c1
        0s   started    a  @c1
        1s   ended      a  @c1  outcome=ok
        1s   started    x  @c1
        5m   ended      x  @c1  outcome=ok
        5m   started    c  @c1  via=released
        """)
    )


def test_accepts_sweep_with_others_first():
    """Accepts a rescue while the sweep had others to handle first."""
    assert accepted(
        history_of("""
        0s   published  c  follows=a
        0s   delivered  c  @c1
        0s   started    a  @c1
        1s   ended      a  @c1  outcome=ok
        5s   started    x  @c2  via=rescued
        5m   ended      x  @c2  outcome=ok
        5m   started    c  @c2  via=rescued
        """)
    )


def test_accepts_finder_handles_others_first():
    """Accepts a follower left behind while its finder handled what it had found before."""
    # c1 dies after it released b and c; c2 finds x, b and c, and handles one after the other.
    assert accepted(
        history_of("""
        0s    published  c  follows=a
        0s    delivered  c  @c1
        0s    started    a  @c1
        1s    ended      a  @c1  outcome=ok
        2s    crashed    @c1
        20s   started    x  @c2  via=released
        5m    ended      x  @c2  outcome=ok
        5m    started    c  @c2  via=released
        """)
    )


def test_rejects_found_handled_by_another():
    """Rejects it if another consumer handled what it had found."""
    rejected(
        history_of("""
        0s    published  c  follows=a
        0s    delivered  c  @c1
        0s    started    a  @c1
        1s    ended      a  @c1  outcome=ok
        2s    crashed    @c1
        20s   started    x  @c3  via=released
        5m    ended      x  @c3  outcome=ok
        5m    started    c  @c2  via=released
        """)
    )


def test_rejects_finder_released_it_itself():
    """Rejects a wait for the finder that released the follower itself."""
    rejected(
        history_of("""
        0s    published  c  follows=a
        0s    delivered  c  @c1
        0s    started    a  @c2
        1s    ended      a  @c2  outcome=ok
        20s   started    x  @c2  via=rescued
        5m    ended      x  @c2  outcome=ok
        5m    started    c  @c2  via=released
        """)
    )


# -- excuse: a loss that the scenario allows


def test_accepts_lost_with_store_if_allowed():
    """Accepts a follower that was lost with the store if the scenario allows it."""
    story = """
        0s   published   b  follows=a
        0s   delivered   b  @c1
        0s   started     a  @c1
        1s   store-lost  fault=flush
        2s   ended       a  @c1  outcome=ok
        9m   phase       quiet
    """
    assert accepted(history_of(story, allowed_loss=("flush",)))
    rejected(history_of(story))


def test_rejects_late_before_the_loss():
    """Rejects a follower that was late before the loss."""
    rejected(
        history_of(
            """
        0s   published   b  follows=a
        0s   delivered   b  @c1
        0s   started     a  @c1
        2s   ended       a  @c1  outcome=ok
        9m   started     b  @c1
        9m   store-lost  fault=flush
        """,
            allowed_loss=("flush",),
        )
    )


CUT_OFF = """
0s    published      b  follows=a
0s    delivered      b  @c2
1s    delivered      a  @c1
1s    started        a  @c1
2s    unreachable       @c1
3s    ended          a  @c1  outcome=ok
8s    rejected       a  @c1
"""


def test_accepts_leader_given_up_unrecorded():
    """Accepts a follower whose leader was given up before its effect was recorded."""
    story = (
        CUT_OFF
        + """
    9s    dead-lettered  a  by=broker
    15m   started        b  @c2  via=rescued
    """
    )
    assert accepted(history_of(story, at_most=9))


def test_rejects_leader_not_given_up():
    """Rejects it if the leader was not given up."""
    story = CUT_OFF + "15m   started        b  @c2  via=rescued"
    rejected(history_of(story))


def test_rejects_effect_could_be_recorded():
    """Rejects it if the holder could record the effect."""
    story = (
        CUT_OFF.replace("2s    unreachable       @c1\n", "")
        + """
    9s    dead-lettered  a  by=broker
    15m   started        b  @c2  via=rescued
    """
    )
    rejected(history_of(story))


@pytest.mark.parametrize(("again", "held"), [("4s  delivered  b  @c2", True), ("4s  swept  @c2  found=0", False)])
def test_lost_mark_excuses_later_deliveries(again, held):
    """A mark that was lost excuses who was delivered afterwards."""
    history = history_of(f"""
        0s    published   b  follows=a
        0s    started     a  @c1
        1s    ended       a  @c1  outcome=ok
        1s    delivered   b  @c1
        2s    store-lost          fault=restart
        {again}
        20m   started     b  @c2
        """)
    assert accepted(history) if held else rejected(history)
