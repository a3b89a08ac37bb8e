from functools import partial

import pytest

from simulation.invariants import judge
from tests.simulation.invariants import short_histories
from tests.simulation.invariants.short_histories import history_of

accepted = partial(short_histories.accepted, invariant="prompt-release")
rejected = partial(short_histories.rejected, invariant="prompt-release")


def test_accepts_a_follower_that_starts_just_within_the_bound():
    assert accepted(
        history_of("""
        0s     published  b  follows=a
        0s     delivered  b  @c2
        0s     started    a  @c1
        2s     ended      a  @c1  outcome=ok
        1m2s   started    b  @c1  via=released
        """)
    )


def test_rejects_a_follower_that_starts_a_microsecond_later():
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


def test_rejects_a_follower_that_is_still_waiting_when_the_history_ends():
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


def test_accepts_a_follower_whose_wait_is_not_over_the_bound_when_the_history_ends():
    assert accepted(
        history_of("""
        0s     published  b  follows=a
        0s     delivered  b  @c2
        0s     started    a  @c1
        2s     ended      a  @c1  outcome=ok
        1m2s   phase      horizon
        """)
    )


def test_accepts_a_wait_that_counts_from_the_followers_own_delivery():
    assert accepted(
        history_of("""
        0s      published  b  follows=a
        0s      started    a  @c1
        2s      ended      a  @c1  outcome=ok
        5m      delivered  b  @c2
        5m50s   started    b  @c2
        """)
    )


def test_rejects_a_follower_that_waits_for_a_leader_that_was_forgotten():
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


def test_accepts_a_follower_that_started_in_time_and_failed():
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


def test_accepts_a_follower_that_was_given_up_in_time():
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


def test_rejects_a_follower_that_was_given_up_late():
    rejected(
        history_of("""
        0s   published      b  follows=a
        0s   delivered      b  @c2
        0s   started        a  @c1
        2s   ended          a  @c1  outcome=ok
        9m   dead-lettered  b
        """)
    )


def test_rejects_a_late_follower_though_its_consumer_died():
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


def test_says_nothing_of_a_follower_that_started_before_its_leader_was_done():
    history = history_of("""
        0s   published  b  follows=a
        0s   delivered  b  @c2
        0s   started    b  @c2
        1s   started    a  @c1
        2s   ended      a  @c1  outcome=ok
        9m   phase      quiet
    """)
    assert judge(history, ["prompt-release"]).verdicts["prompt-release"].examined == 0


def test_says_nothing_of_a_follower_whose_leader_never_took_effect():
    history = history_of("""
        0s   published  b  follows=a
        0s   delivered  b  @c2
        1s   started    a  @c1
        2s   ended      a  @c1  outcome=failed
        9m   phase      quiet
    """)
    assert judge(history, ["prompt-release"]).verdicts["prompt-release"].examined == 0


def test_accepts_a_wait_from_the_effect_that_could_be_recorded():
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


def test_rejects_a_wait_from_an_effect_that_was_recorded_though_a_second_followed():
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


# -- excuse: time in which nobody could do anything


def test_accepts_a_wait_while_no_consumer_was_alive():
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


def test_rejects_a_wait_in_which_the_only_consumer_was_dead_for_too_short_a_time():
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


def test_rejects_a_wait_while_only_one_of_two_consumers_was_dead():
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


def test_accepts_a_wait_while_the_only_consumer_was_paused():
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


def test_accepts_a_wait_while_one_was_dead_and_the_other_cut_off():
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


def test_accepts_a_wait_while_redis_was_out_of_reach_for_all():
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


def test_rejects_a_wait_while_redis_was_out_of_reach_for_one_of_two():
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


def test_accepts_a_cut_that_the_healing_of_the_world_ended():
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


def test_rejects_a_wait_that_goes_on_when_the_world_has_healed():
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


def test_accepts_a_wait_while_an_elder_sibling_was_being_handled():
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


def test_accepts_a_wait_as_long_as_all_attempts_of_an_elder_sibling_that_failed():
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


def test_rejects_the_wait_of_a_sibling_that_was_too_long_before_it_failed():
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


def test_rejects_a_wait_that_was_longer_than_all_attempts_of_a_failing_sibling():
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


def test_rejects_a_wait_as_long_again_if_the_elder_sibling_took_effect():
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


def test_accepts_a_wait_while_a_descendant_of_an_elder_sibling_was_being_handled():
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


def test_accepts_the_waits_of_several_siblings_that_have_their_turns_one_by_one():
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


def test_rejects_a_member_of_a_cycle_that_waits_when_its_leader_is_done():
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


def test_rejects_a_wait_that_went_on_after_the_elder_sibling():
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


def test_rejects_a_wait_while_a_stranger_was_being_handled():
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


def test_accepts_a_rescue_while_the_sweep_had_others_to_handle_first():
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


def test_accepts_a_follower_left_behind_while_its_finder_handled_what_it_had_found_before():
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


def test_rejects_it_if_somebody_else_handled_what_it_had_found():
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


def test_rejects_a_wait_for_the_finder_that_released_the_follower_itself():
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


def test_accepts_a_follower_that_was_lost_with_the_store_if_the_scenario_allows_it():
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


def test_rejects_a_follower_that_was_late_before_the_loss():
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


def test_accepts_a_follower_whose_leader_was_given_up_before_its_effect_was_recorded():
    story = (
        CUT_OFF
        + """
    9s    dead-lettered  a  by=broker
    15m   started        b  @c2  via=rescued
    """
    )
    assert accepted(history_of(story, at_most=9))


def test_rejects_it_if_the_leader_was_not_given_up():
    story = CUT_OFF + "15m   started        b  @c2  via=rescued"
    rejected(history_of(story))


def test_rejects_it_if_the_holder_could_record_the_effect():
    story = (
        CUT_OFF.replace("2s    unreachable       @c1\n", "")
        + """
    9s    dead-lettered  a  by=broker
    15m   started        b  @c2  via=rescued
    """
    )
    rejected(history_of(story))


@pytest.mark.parametrize(("again", "held"), [("4s  delivered  b  @c2", True), ("4s  swept  @c2  found=0", False)])
def test_a_mark_that_was_lost_excuses_who_was_delivered_afterwards(again, held):
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
