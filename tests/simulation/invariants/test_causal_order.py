from functools import partial

import pytest

from simulation.invariants import judge
from tests.simulation.invariants import short_histories
from tests.simulation.invariants.short_histories import history_of

accepted = partial(short_histories.accepted, invariant="causal-order")
rejected = partial(short_histories.rejected, invariant="causal-order")


def test_accepts_start_at_the_end_of_the_leader():
    """Accepts a follower that starts in the microsecond in which its leader ended."""
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


def test_rejects_start_during_the_leader():
    """Rejects a follower that starts while its leader is being handled."""
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


def test_rejects_without_an_effect_of_the_leader():
    """Rejects a follower whose leader never took effect."""
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


def test_rejects_leader_named_by_its_id():
    """Rejects a follower that is named by the id of its leader."""
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


def test_accepts_early_handling_refused():
    """Accepts an early handling whose write was refused."""
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


def test_rejects_early_handling_accepted():
    """Rejects an early handling of unknown outcome whose write was accepted."""
    rejected(
        history_of("""
        0s   published  b  follows=a
        1s   started    b  @c1
        2s   ended      b  @c1  outcome=unknown  write=accepted
        """)
    )


def test_rejects_leader_with_a_refused_write():
    """Rejects a follower of a leader whose only write was refused."""
    rejected(
        history_of("""
        0s   published  b  follows=a
        1s   started    a  @c1
        2s   ended      a  @c1  outcome=ok  write=refused
        3s   started    b  @c1
        4s   ended      b  @c1  outcome=ok
        """)
    )


def test_accepts_after_the_first_of_two_effects():
    """Accepts a follower after the first effect of its leader though there is a second."""
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


def test_accepts_after_the_lookback():
    """Accepts a follower once its leader has not come for the whole lookback."""
    assert accepted(
        history_of("""
        0s      published  b  follows=a
        1s      delivered  b  @c1
        15m1s   started    b  @c1  via=rescued
        15m2s   ended      b  @c1  outcome=ok
        """)
    )


def test_rejects_just_before_the_lookback():
    """Rejects a follower a microsecond before the lookback is over."""
    rejected(
        history_of("""
        0s              published  b  follows=a
        1s              delivered  b  @c1
        15m999ms999us   started    b  @c1  via=rescued
        15m2s           ended      b  @c1  outcome=ok
        """)
    )


def test_rejects_lookback_from_the_publication():
    """Rejects a lookback that is counted from the publication."""
    # Consumers were down for 16 minutes: the event is old, but no consumer has looked for its leader yet.
    rejected(
        history_of("""
        0s    published  a
        0s    published  b  follows=a
        16m   delivered  b  @c1
        16m   started    b  @c1
        17m   ended      b  @c1  outcome=ok
        """)
    )


def test_rejects_rescue_leader_within_lookback():
    """Rejects a rescue whose leader was delivered within the lookback."""
    rejected(
        history_of("""
        0s      published  b  follows=a
        1s      delivered  b  @c1
        15m     delivered  a  @c2
        15m2s   started    b  @c1  via=rescued
        15m3s   ended      b  @c1  outcome=ok
        """)
    )


def test_accepts_rescue_leader_after_lookback():
    """Accepts a rescue whose leader was delivered when the lookback was over."""
    assert accepted(
        history_of("""
        0s      published  b  follows=a
        1s      delivered  b  @c1
        15m1s   delivered  a  @c2
        15m4s   started    b  @c1  via=rescued
        15m5s   ended      b  @c1  outcome=ok
        """)
    )


def test_accepts_rescue_crossing_the_delivery():
    """Accepts a rescue that crosses with the delivery of the leader."""
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


def test_rejects_rescue_crossing_at_the_engine():
    """Rejects a rescue that crosses with a delivery that had reached the engine."""
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


def test_rejects_rescue_leader_in_progress():
    """Rejects a rescue while the leader is still being handled since before."""
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


def test_rejects_rescue_released_leader_at_work():
    """Rejects a rescue while the leader that was released is still being handled."""
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


def test_rejects_rescue_late_leader_in_progress():
    """Rejects a rescue while a leader that came after the lookback is being handled."""
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


def test_rejects_rescue_leader_to_be_retried():
    """Rejects a rescue while a leader that failed is to be offered again."""
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


def test_early_effect_counts_all_deliveries():
    """An effect is early only if it is whenever its event can have been delivered."""
    story = """
        0s      published  b  follows=a
        1s      parked     b  @c1
        {}      started    b  @c1  via=rescued
        20m     ended      b  @c1  outcome=ok
    """
    finding = judge(history_of(story.format("15m")), ["causal-order"]).verdicts["causal-order"]
    assert (finding.verdict, finding.violations) == ("unknown", 0)
    rejected(history_of(story.format("14m59s")))


def test_says_nothing_before_the_beginning():
    """Says nothing of a leader that is missing from a history that begins in the middle."""
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


def test_rejects_rescue_leader_unanswered():
    """Rejects a rescue while a delivery of the leader is not answered since before."""
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


def test_rejects_rescue_leader_parked():
    """Rejects a rescue while the leader is parked since before."""
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


def test_rejects_rescue_leader_parked_later():
    """Rejects a rescue whose leader was delivered before it and parked after."""
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


def test_rejects_rescue_parked_leader_failed():
    """Rejects a rescue while the parked leader has failed and will be tried again."""
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


def test_accepts_rescue_parked_before_the_loss():
    """Accepts a rescue when the leader may have been parked before the loss that its answer came after."""
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


def test_rejects_rescue_parked_after_the_loss():
    """Rejects a rescue when the leader was parked once more after the loss."""
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


def test_accepts_rescue_parked_leader_lost():
    """Accepts a rescue when the parked leader was lost with the store."""
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


def test_accepts_rescue_leader_died():
    """Accepts a rescue when the leader died with its consumer before."""
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


def test_accepts_rescue_leader_refused():
    """Accepts a rescue when the leader was turned away before."""
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


def test_accepts_after_a_dead_letter():
    """Accepts a follower whose leader was dead lettered before."""
    assert accepted(
        history_of("""
        0s   published      b  follows=a
        1s   delivered      a  @c1
        2s   dead-lettered  a
        3s   started        b  @c1
        4s   ended          b  @c1  outcome=ok
        """)
    )


def test_rejects_before_a_dead_letter():
    """Rejects a follower whose leader is dead lettered only after."""
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


def test_accepts_first_of_a_cycle():
    """Accepts that one member of a cycle is the first after the lookback."""
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


def test_accepts_cycle_member_without_leader():
    """Accepts a later member of a cycle whose own leader does not come."""
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


def test_accepts_first_of_a_cycle_again():
    """Accepts that the first member of a cycle takes effect again before any other."""
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


def test_rejects_cycle_before_the_lookback():
    """Rejects that a member of a cycle is handled before the lookback."""
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


def test_rejects_second_of_a_cycle_early():
    """Rejects that a second member of a cycle does not wait for its leader."""
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


def test_accepts_leader_lost_by_the_store():
    """Accepts an event whose leader the store lost within the lookback."""
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


def test_rejects_lost_leader_still_in_progress():
    """Rejects it if a consumer was still handling the leader."""
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


def test_rejects_lost_leader_delivered_again():
    """Rejects it if the leader came again after the loss."""
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
def test_leader_rejected_by_a_cut_off_consumer(first, then, held):
    """A leader turned away by a consumer that was cut off has not come."""
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
def test_leader_delivered_out_of_reach(reachable):
    """A leader that was delivered out of reach comes when its consumer is in reach."""
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
def test_lookback_shorter_by_a_clock_jump(offset):
    """The lookback may be shorter by what the clock of Redis has jumped."""
    history = history_of(f"""
        0s       published  b  follows=a
        0s       delivered  b  @c1
        1s       fault server-clock  offset={offset}
        14m57s   started    b  @c1  via=rescued
        15m1s    ended      b  @c1  outcome=ok
        """)
    assert accepted(history) if offset else rejected(history)


@pytest.mark.parametrize(("reported", "ended"), [("5s", "3s"), ("40s", "3s"), ("5s", "4.5s")])
def test_dead_leader_reported_late(reported, ended):
    """The engine may report a dead leader a lease after its follower started."""
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


def test_trimmed_leader_of_a_dead_consumer():
    """A leader that its dead consumer had does not come once the queue is trimmed of it."""
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


def test_trimmed_leader_that_failed():
    """A leader that failed is not waited for once the queue is trimmed of it."""
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
