from functools import partial

import pytest

from simulation.invariants import judge
from tests.simulation.invariants import short_histories
from tests.simulation.invariants.short_histories import history_of

accepted = partial(short_histories.accepted, invariant="causal-order")
rejected = partial(short_histories.rejected, invariant="causal-order")


def test_accepts_a_follower_that_starts_in_the_microsecond_in_which_its_leader_ended():
    assert accepted(
        history_of("""
        0s   published  a
        0s   published  b  follows=a
        1s   started    a  @c1
        2s   ended      a  @c1  outcome=ok
        2s   started    b  @c2
        3s   ended      b  @c2  outcome=ok
        """)
    )


def test_rejects_a_follower_that_starts_while_its_leader_is_being_handled():
    violation = rejected(
        history_of("""
        0s   published  a
        0s   published  b  follows=a
        1s   started    a  @c1
        2s   started    b  @c2
        2s   ended      a  @c1  outcome=ok
        3s   ended      b  @c2  outcome=ok
        """)
    )
    assert violation.at == 2_000_000
    assert violation.events == ("b", "a")
    assert violation.consumers == ("c2", "c1")
    assert violation.witness == (1, 2, 3, 4)
    assert violation.because == "because the effect of event b began at 2 s, before its leader a completed at 2 s"


def test_rejects_a_follower_whose_leader_never_took_effect():
    violation = rejected(
        history_of("""
        0s   published  a
        0s   published  b  follows=a
        1s   delivered  a  @c1
        2s   started    b  @c2
        3s   ended      b  @c2  outcome=ok
        """)
    )
    assert violation.because == "because event b took effect from 2 s on, but its leader a never did"


def test_rejects_a_follower_that_is_named_by_the_id_of_its_leader():
    rejected(
        history_of("""
        0s   published  a  id=7e57
        0s   published  b  follows=7e57
        2s   started    b  @c2
        3s   ended      b  @c2  outcome=ok
        """)
    )


def test_rejects_each_effect_that_is_early():
    rejected(
        history_of("""
        0s   published  b  follows=a
        1s   started    b  @c1
        2s   ended      b  @c1  outcome=ok
        3s   started    b  @c1
        4s   ended      b  @c1  outcome=ok
        """),
        count=2,
    )


# -- what is an effect


def test_accepts_an_early_handling_that_failed():
    assert accepted(
        history_of("""
        0s   published  b  follows=a
        1s   started    b  @c1
        2s   ended      b  @c1  outcome=failed
        3s   started    a  @c1
        4s   ended      a  @c1  outcome=ok
        5s   started    b  @c1
        6s   ended      b  @c1  outcome=ok
        """)
    )


def test_accepts_an_early_handling_whose_write_was_refused():
    assert accepted(
        history_of("""
        0s   published  b  follows=a
        1s   started    b  @c1
        2s   ended      b  @c1  outcome=ok  write=refused
        3s   started    a  @c1
        4s   ended      a  @c1  outcome=ok
        5s   started    b  @c1
        6s   ended      b  @c1  outcome=ok
        """)
    )


def test_rejects_an_early_handling_of_unknown_outcome_whose_write_was_accepted():
    rejected(
        history_of("""
        0s   published  b  follows=a
        1s   started    b  @c1
        2s   ended      b  @c1  outcome=unknown  write=accepted
        """)
    )


def test_rejects_a_follower_of_a_leader_whose_only_write_was_refused():
    rejected(
        history_of("""
        0s   published  b  follows=a
        1s   started    a  @c1
        2s   ended      a  @c1  outcome=ok  write=refused
        3s   started    b  @c1
        4s   ended      b  @c1  outcome=ok
        """)
    )


def test_accepts_a_follower_after_the_first_effect_of_its_leader_though_there_is_a_second():
    assert accepted(
        history_of("""
        0s   published  b  follows=a
        1s   started    a  @c1
        2s   ended      a  @c1  outcome=ok
        3s   started    b  @c1
        3s   started    a  @c2
        4s   ended      b  @c1  outcome=ok
        5s   ended      a  @c2  outcome=ok
        """)
    )


# -- excuse: the leader did not come within the lookback


def test_accepts_a_follower_once_its_leader_has_not_come_for_the_whole_lookback():
    assert accepted(
        history_of("""
        0s      published  b  follows=a
        1s      delivered  b  @c1
        15m1s   started    b  @c1  via=rescued
        15m2s   ended      b  @c1  outcome=ok
        """)
    )


def test_rejects_a_follower_a_microsecond_before_the_lookback_is_over():
    rejected(
        history_of("""
        0s              published  b  follows=a
        1s              delivered  b  @c1
        15m999ms999us   started    b  @c1  via=rescued
        15m2s           ended      b  @c1  outcome=ok
        """)
    )


def test_rejects_a_lookback_that_is_counted_from_the_publication():
    # Consumers were down for 16 minutes: the event is old, but nobody has looked for its leader yet.
    rejected(
        history_of("""
        0s    published  a
        0s    published  b  follows=a
        16m   delivered  b  @c1
        16m   started    b  @c1
        17m   ended      b  @c1  outcome=ok
        """)
    )


def test_rejects_a_rescue_whose_leader_was_delivered_within_the_lookback():
    rejected(
        history_of("""
        0s      published  b  follows=a
        1s      delivered  b  @c1
        15m     delivered  a  @c2
        15m2s   started    b  @c1  via=rescued
        15m3s   ended      b  @c1  outcome=ok
        """)
    )


def test_accepts_a_rescue_whose_leader_was_delivered_when_the_lookback_was_over():
    assert accepted(
        history_of("""
        0s      published  b  follows=a
        1s      delivered  b  @c1
        15m1s   delivered  a  @c2
        15m4s   started    b  @c1  via=rescued
        15m5s   ended      b  @c1  outcome=ok
        """)
    )


def test_accepts_a_rescue_that_crosses_with_the_delivery_of_the_leader():
    # 1. a is delivered  2. the sweep finds that b was kept for long enough  3. c2's first command reaches Redis
    assert accepted(
        history_of("""
        0s               published  b  follows=a
        1s               delivered  b  @c1
        15m999ms         delivered  a  @c2
        15m1s            started    b  @c1  via=rescued
        15m1s5ms         started    a  @c2
        15m2s            ended      b  @c1  outcome=ok
        """)
    )


def test_rejects_a_rescue_that_crosses_with_a_delivery_that_had_reached_the_engine():
    rejected(
        history_of("""
        0s               published  b  follows=a
        1s               delivered  b  @c1
        15m990ms         delivered  a  @c2
        15m995ms         started    a  @c2
        15m1s            started    b  @c1  via=rescued
        15m2s            ended      b  @c1  outcome=ok
        """)
    )


def test_rejects_a_rescue_while_the_leader_is_still_being_handled_since_before():
    rejected(
        history_of("""
        0s      delivered  a  @c2
        0s      published  b  follows=a
        0s      started    a  @c2
        1s      delivered  b  @c1
        15m1s   started    b  @c1  via=rescued
        15m2s   ended      b  @c1  outcome=ok
        """)
    )


def test_rejects_a_rescue_while_the_leader_that_was_released_is_still_being_handled():
    for began in ("0s", "14m"):
        rejected(
            history_of(f"""
            0s      published  b  follows=a
            0s      delivered  b  @c1
            {began} started    a  @c2  via=released
            15m     started    b  @c1  via=rescued
            15m1s   ended      b  @c1  outcome=ok
            16m     ended      a  @c2  outcome=ok
            """)
        )


def test_rejects_a_rescue_while_a_leader_that_came_after_the_lookback_is_being_handled():
    story = """
        0s       published  b  follows=a
        0s       delivered  b  @c1
        15m      delivered  a  @c2
        15m      started    a  @c2
        15m{}    started    b  @c1  via=rescued
        15m6s    ended      b  @c1  outcome=ok
        16m      ended      a  @c2  outcome=ok
    """
    rejected(history_of(story.format("5s")))
    # Within a second no engine can know of it.
    assert accepted(history_of(story.format("1s")))


def test_rejects_a_rescue_while_a_leader_that_failed_is_to_be_offered_again():
    story = """
        0s      published     b  follows=a
        0s      delivered     a  @c2  delivery=1
        0s      {}            a  @c2  delivery=1
        1s      delivered     b  @c1
        15m1s   started       b  @c1  via=rescued
        15m2s   ended         b  @c1  outcome=ok
    """
    rejected(history_of(story.format("rejected")))
    assert accepted(history_of(story.format("acknowledged")))


def test_an_effect_is_early_only_if_it_is_whenever_its_event_can_have_been_delivered():
    story = """
        0s      published  b  follows=a
        1s      parked     b  @c1
        {}      started    b  @c1  via=rescued
        20m     ended      b  @c1  outcome=ok
    """
    finding = judge(history_of(story.format("15m")), ["causal-order"]).verdicts["causal-order"]
    assert (finding.verdict, finding.violations) == ("unknown", 0)
    rejected(history_of(story.format("14m59s")))


def test_says_nothing_of_a_leader_of_which_a_history_that_begins_in_the_middle_tells_nothing():
    story = """
        0s      {}         x  @c1
        0s      published  b  follows=a
        0s      delivered  b  @c1
        1s      started    b  @c1
        2s      ended      b  @c1  outcome=ok
    """
    finding = judge(history_of(story.format("acknowledged")), ["causal-order"]).verdicts["causal-order"]
    assert finding.verdict == "unknown"
    assert "begins in the middle" in finding.why
    rejected(history_of(story.format("duplicated")))


def test_rejects_a_rescue_while_a_delivery_of_the_leader_is_not_answered_since_before():
    story = """
        0s      published  b  follows=a
        0s      delivered  a  @c2
        1s      delivered  b  @c1
        {}      rejected   a  @c2
        15m1s   started    b  @c1  via=rescued
        15m2s   ended      b  @c1  outcome=ok
        {}      rejected   a  @c2
    """
    rejected(history_of(story.replace("{}      rejected   a  @c2", "", 1).format("16m")))
    before = story.rsplit("{}", 1)[0].replace("rejected", "refused")
    assert accepted(history_of(before.format("15m")))


def test_rejects_a_rescue_while_the_leader_is_parked_since_before():
    # c follows b, b follows a, and only a is lost: b must be rescued first.
    rejected(
        history_of("""
        0s      published  b  follows=a
        0s      published  c  follows=b
        0s      delivered  b  @c1  delivery=1
        0s      parked     b  @c1  delivery=1
        0s      acknowledged  b  @c1  delivery=1
        1s      delivered  c  @c1  delivery=2
        15m1s   started    c  @c1  via=rescued
        15m2s   ended      c  @c1  outcome=ok
        """)
    )


def test_rejects_a_rescue_whose_leader_was_delivered_before_it_and_parked_after():
    rejected(
        history_of("""
        0s      published  c  follows=b
        0s      delivered  b  @c1  delivery=1
        1s      delivered  c  @c2  delivery=2
        2s      parked     b  @c1  delivery=1
        2s      acknowledged  b  @c1  delivery=1
        2s      parked     c  @c2  delivery=2
        15m2s   started    c  @c1  via=rescued
        15m3s   ended      c  @c1  outcome=ok
        """)
    )


def test_rejects_a_rescue_while_the_parked_leader_has_failed_and_will_be_tried_again():
    rejected(
        history_of("""
        0s      published  c  follows=b
        0s      parked     b  @c1
        1s      delivered  c  @c1
        15m     started    b  @c1  via=rescued
        15m1s   ended      b  @c1  outcome=failed
        15m2s   started    c  @c1  via=rescued
        15m3s   ended      c  @c1  outcome=ok
        """)
    )


def test_accepts_a_rescue_when_the_leader_may_have_been_parked_before_the_loss_that_its_answer_came_after():
    assert accepted(
        history_of("""
        0s      published   c  follows=b
        0s      delivered   b  @c1  delivery=1
        1s      store-lost  fault=flush
        2s      parked      b  @c1  delivery=1
        2s      acknowledged  b  @c1  delivery=1
        3s      delivered   c  @c1  delivery=2
        15m4s   started     c  @c1  via=rescued
        15m5s   ended       c  @c1  outcome=ok
        """)
    )


def test_rejects_a_rescue_when_the_leader_was_parked_once_more_after_the_loss():
    rejected(
        history_of(
            """
        0s      published   c  follows=b
        0s      delivered   b  @c1  delivery=1
        0s      parked      b  @c1  delivery=1
        0s      acknowledged  b  @c1  delivery=1
        1s      store-lost  fault=flush
        2s      delivered   b  @c1  delivery=2  attempt=2
        2s      parked      b  @c1  delivery=2
        2s      acknowledged  b  @c1  delivery=2
        3s      delivered   c  @c1  delivery=3
        15m4s   started     c  @c1  via=rescued
        15m5s   ended       c  @c1  outcome=ok
        """,
            at_most=11,
        )
    )


def test_accepts_a_rescue_when_the_parked_leader_was_lost_with_the_store():
    assert accepted(
        history_of("""
        0s      published  c  follows=b
        0s      delivered  b  @c1  delivery=1
        0s      parked     b  @c1  delivery=1
        0s      acknowledged  b  @c1  delivery=1
        1s      delivered  c  @c1  delivery=2
        5s      store-lost
        15m1s   started    c  @c1  via=rescued
        15m2s   ended      c  @c1  outcome=ok
        """)
    )


def test_accepts_a_rescue_when_the_leader_died_with_its_consumer_before():
    assert accepted(
        history_of("""
        0s      published  b  follows=a
        0s      delivered  a  @c2
        1s      delivered  b  @c1
        2s      crashed    @c2
        15m1s   started    b  @c1  via=rescued
        15m2s   ended      b  @c1  outcome=ok
        """)
    )


def test_accepts_a_rescue_when_the_leader_was_turned_away_before():
    assert accepted(
        history_of("""
        0s      published  b  follows=a
        0s      delivered  a  @c2
        0s      refused    a  @c2  because=held
        1s      delivered  b  @c1
        15m1s   started    b  @c1  via=rescued
        15m2s   ended      b  @c1  outcome=ok
        """)
    )


# -- excuse: the leader was dead-lettered


def test_accepts_a_follower_whose_leader_was_dead_lettered_before():
    assert accepted(
        history_of("""
        0s   published      b  follows=a
        1s   delivered      a  @c1
        2s   dead-lettered  a
        3s   started        b  @c1
        4s   ended          b  @c1  outcome=ok
        """)
    )


def test_rejects_a_follower_whose_leader_is_dead_lettered_only_after():
    rejected(
        history_of("""
        0s   published      b  follows=a
        1s   delivered      a  @c1
        2s   started        b  @c1
        3s   dead-lettered  a  by=broker
        4s   ended          b  @c1  outcome=ok
        """)
    )


# -- events that follow themselves


def test_a_self_follow_has_no_leader():
    history = history_of("""
        0s   published  a  follows=a
        1s   started    a  @c1
        2s   ended      a  @c1  outcome=ok
    """)
    assert judge(history).verdict == "holds"
    assert judge(history).verdicts["causal-order"].examined == 0


def test_accepts_that_one_member_of_a_cycle_is_the_first_after_the_lookback():
    assert accepted(
        history_of("""
        0s      published  a  follows=b
        0s      published  b  follows=a
        0s      delivered  a  @c1
        0s      delivered  b  @c1
        15m     started    a  @c1  via=rescued
        15m1s   ended      a  @c1  outcome=ok
        15m1s   started    b  @c1  via=released
        15m2s   ended      b  @c1  outcome=ok
        """)
    )


def test_accepts_a_later_member_of_a_cycle_whose_own_leader_does_not_come():
    assert accepted(
        history_of("""
        0s      published  a  follows=b
        0s      published  b  follows=a
        0s      delivered  a  @c1
        15m     started    a  @c1  via=rescued
        15m     delivered  b  @c1
        15m1s   ended      a  @c1  outcome=ok
        15m1s   started    b  @c1  via=released
        15m2s   ended      b  @c1  outcome=ok
        """)
    )


def test_accepts_that_the_first_member_of_a_cycle_takes_effect_again_before_any_other():
    assert accepted(
        history_of("""
        0s      published  a  follows=b
        0s      published  b  follows=a
        0s      delivered  a  @c1
        0s      delivered  b  @c1
        15m     started    a  @c1  via=rescued
        15m1s   ended      a  @c1  outcome=ok
        16m     started    a  @c2  via=rescued
        16m1s   ended      a  @c2  outcome=ok
        """)
    )


def test_rejects_that_a_member_of_a_cycle_is_handled_before_the_lookback():
    rejected(
        history_of("""
        0s   published  a  follows=b
        0s   published  b  follows=a
        0s   delivered  a  @c1
        0s   delivered  b  @c1
        1s   started    a  @c1
        2s   ended      a  @c1  outcome=ok
        2s   started    b  @c1
        3s   ended      b  @c1  outcome=ok
        """)
    )


def test_rejects_that_a_second_member_of_a_cycle_does_not_wait_for_its_leader():
    violation = rejected(
        history_of("""
        0s      published  a  follows=b
        0s      published  b  follows=a
        0s      delivered  a  @c1
        0s      delivered  b  @c1
        15m     started    a  @c1  via=rescued
        15m     started    b  @c2  via=rescued
        15m1s   ended      a  @c1  outcome=ok
        15m1s   ended      b  @c2  outcome=ok
        """)
    )
    assert violation.events == ("b", "a")


def test_accepts_an_event_whose_leader_the_store_lost_within_the_lookback():
    assert accepted(
        history_of("""
        0s      published     b  follows=a
        0s      delivered     b  @c2
        1s      delivered     a  @c1
        1s      parked        a  @c1
        1s      acknowledged  a  @c1
        2s      store-lost    fault=flush
        15m1s   started     b  @c1  via=rescued
        15m2s   ended       b  @c1  outcome=ok
        """)
    )


def test_rejects_it_if_somebody_still_had_the_leader_in_hand():
    rejected(
        history_of("""
        0s      published   b  follows=a
        0s      delivered   b  @c2
        1s      delivered   a  @c1
        2s      store-lost  fault=flush
        15m1s   started     b  @c2  via=rescued
        15m2s   ended       b  @c2  outcome=ok
        """)
    )


def test_rejects_it_if_the_leader_came_again_after_the_loss():
    rejected(
        history_of("""
        0s      published   b  follows=a
        0s      delivered   b  @c2
        1s      store-lost  fault=flush
        2s      delivered   a  @c1
        2s      rejected    a  @c1
        15m1s   started     b  @c2  via=rescued
        15m2s   ended       b  @c2  outcome=ok
        """)
    )


@pytest.mark.parametrize(
    ("first", "then", "held"), [("rejected a", "reachable", True), ("reachable", "rejected a", False)]
)
def test_a_leader_turned_away_by_a_consumer_that_was_cut_off_has_not_come(first, then, held):
    history = history_of(f"""
        0s      published    b  follows=a
        0s      unreachable     @c2
        0s      delivered    a  @c2
        1s      {first}         @c2
        2s      {then}          @c2
        2s      delivered    b  @c1
        15m3s   started      b  @c1  via=rescued
        15m4s   ended        b  @c1  outcome=ok
        """)
    assert accepted(history) if held else rejected(history)


@pytest.mark.parametrize("reachable", ["14m", "15m0.1s"])
def test_a_leader_that_was_delivered_out_of_reach_comes_when_its_consumer_is_in_reach(reachable):
    history = history_of(f"""
        0s         published    b  follows=a
        0s         delivered    b  @c1

        1s         unreachable
        2s         delivered    a  @c2
        {reachable}  reachable
        15m0.11s   parked       a  @c2
        15m0.12s   started      b  @c1  via=rescued
        15m1s      ended        b  @c1  outcome=ok
        """)
    assert rejected(history) if reachable == "14m" else accepted(history)


@pytest.mark.parametrize("offset", [0, 3_000_000])
def test_the_lookback_may_be_shorter_by_what_the_clock_of_redis_has_jumped(offset):
    history = history_of(f"""
        0s       published  b  follows=a
        0s       delivered  b  @c1
        1s       fault server-clock  offset={offset}
        14m57s   started    b  @c1  via=rescued
        15m1s    ended      b  @c1  outcome=ok
        """)
    assert accepted(history) if offset else rejected(history)


@pytest.mark.parametrize(("reported", "ended"), [("5s", "3s"), ("40s", "3s"), ("5s", "4.5s")])
def test_the_engine_may_tell_of_a_dead_leader_a_lease_after_its_follower_started(reported, ended):
    story = f"""
        0s       published      b  follows=a
        1s       delivered      b  @c1
        2s       started        a  @c2
        {ended}  ended          a  @c2  outcome=failed
        4s       started        b  @c1  via=released
        4.6s     ended          b  @c1  outcome=ok
        {reported}   dead-lettered  a  @c2  by=engine
        """
    lines = sorted(story.splitlines()[1:-1], key=lambda line: float(line.split()[0][:-1]))
    history = history_of("\n".join(lines), lease="16s", sweep_interval="5s")
    assert accepted(history) if (reported, ended) == ("5s", "3s") else rejected(history)


def test_a_leader_that_its_dead_consumer_had_does_not_come_once_the_queue_is_trimmed_of_it():
    lines = [
        "0s   delivered  b  @c1",
        "0s   parked     b  @c1",
        "0s   delivered  a  @c1  delivery=1",
        "0s   started    a  @c1",
        "0s   crashed       @c1",
        "6s   dropped    a  fault=trim",
        "36s  started    b  @c2  via=rescued",
        "36s  ended      b  @c2  outcome=ok",
    ]

    def story(*more):
        entries = ["0s published a", "0s published b follows=a", *lines]
        entries[-3:-3] = more
        return history_of("\n".join(entries), at_most=11, allowed_loss=("trim",), lookback="10s")

    assert accepted(story())
    assert rejected(story("5s delivered a @c3 delivery=2")), "c3 has it"


def test_a_leader_that_failed_is_not_waited_for_once_the_queue_is_trimmed_of_it():
    story = """
        0s   published  b  follows=a
        0s   delivered  b  @c1
        0s   parked     b  @c1
        1s   delivered  a  @c1
        2s   rejected   a  @c1
        3s   {}
        1m   started    b  @c1  via=rescued
        2m   ended      b  @c1  outcome=ok
    """
    trimmed = story.format("dropped  a  fault=trim")
    assert accepted(history_of(trimmed, allowed_loss=("trim",), lookback="30s"))
    rejected(history_of(trimmed, lookback="30s"))
    rejected(history_of(story.format("swept  @c1"), allowed_loss=("trim",), lookback="30s"))
