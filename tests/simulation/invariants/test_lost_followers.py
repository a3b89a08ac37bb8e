from functools import partial

import pytest

from simulation.invariants import judge
from tests.simulation.invariants import short_histories
from tests.simulation.invariants.short_histories import history_of

accepted = partial(short_histories.accepted, invariant="lost-followers-surface")
rejected = partial(short_histories.rejected, invariant="lost-followers-surface")

# The bound is 15 min of lookback, 5 s for the next sweep and 1 min to be released.


def test_accepts_rescue_in_time():
    """Accepts a follower that is rescued just in time."""
    assert accepted(
        history_of("""
        0s       published  b  follows=a
        0s       delivered  b  @c1
        1s       parked     b  @c1
        16m6s    started    b  @c1  via=rescued
        """)
    )


def test_rejects_rescue_late():
    """Rejects a follower that is rescued a microsecond later."""
    violation = rejected(
        history_of("""
        0s          published  b  follows=a
        0s          delivered  b  @c1
        1s          parked     b  @c1
        16m6s1us    started    b  @c1  via=rescued
        """)
    )
    assert violation.because == (
        "because event b was parked at 1 s, its leader a had not come, and b was still waiting at 966 s"
    )
    assert violation.witness == (2, 3)


def test_rejects_a_follower_that_never_surfaces():
    rejected(
        history_of("""
        0s    published  b  follows=a
        0s    delivered  b  @c1
        1h    phase      quiet
        """)
    )


def test_accepts_given_up_in_time():
    """Accepts a follower that is given up in time."""
    assert accepted(
        history_of("""
        0s    published      b  follows=a
        0s    delivered      b  @c1
        15m   dead-lettered  b
        1h    phase          quiet
        """)
    )


def test_accepts_still_held_at_the_end():
    """Accepts a follower that is still held back when the history ends."""
    assert accepted(
        history_of("""
        0s    published  b  follows=a
        0s    delivered  b  @c1
        16m   phase      horizon
        """)
    )


def test_accepts_late_leader_within_the_bound():
    """Accepts a follower whose leader came after the lookback but before the bound."""
    assert accepted(
        history_of("""
        0s    published  b  follows=a
        0s    delivered  b  @c1
        16m   delivered  a  @c1
        16m   started    a  @c1
        20m   ended      a  @c1  outcome=ok
        20m   started    b  @c1  via=released
        """)
    )


def test_rejects_very_late_leader():
    """Rejects a follower that only a very late leader released."""
    rejected(
        history_of("""
        0s    published  b  follows=a
        0s    delivered  b  @c1
        30m   delivered  a  @c1
        30m   started    a  @c1
        31m   ended      a  @c1  outcome=ok
        31m   started    b  @c1  via=released
        """)
    )


def test_says_nothing_leader_came_first():
    """Says nothing of a follower whose leader came before it."""
    history = history_of("""
        0s    published  b  follows=a
        0s    delivered  a  @c1
        0s    delivered  b  @c1
        1h    phase      quiet
    """)
    assert judge(history, ["lost-followers-surface"]).verdicts["lost-followers-surface"].examined == 0


def test_says_nothing_leader_was_handled():
    """Says nothing of a follower whose leader was handled though it was delivered later or given up."""
    for later in ("30m delivered a @c1", "30m dead-lettered a"):
        history = history_of(f"""
            0s    published  b  follows=a
            0s    started    a  @c1  via=released
            1s    ended      a  @c1  outcome=ok
            2s    delivered  b  @c1
            {later}
            1h    phase      quiet
        """)
        assert judge(history, ["lost-followers-surface"]).verdicts["lost-followers-surface"].examined == 0


# -- a leader that was dead-lettered is lost too


def test_accepts_rescue_after_dead_letter():
    """Accepts a follower that is rescued in time after its leader's dead letter."""
    assert accepted(
        history_of("""
        0s       published      b  follows=a
        0s       delivered      a  @c1
        0s       delivered      b  @c1
        20s      dead-lettered  a
        16m20s   started        b  @c1  via=rescued
        """)
    )


def test_rejects_late_rescue_after_dead_letter():
    """Rejects a follower that waits too long after its leader's dead letter."""
    violation = rejected(
        history_of("""
        0s       published      b  follows=a
        0s       delivered      a  @c1
        0s       delivered      b  @c1
        20s      dead-lettered  a
        16m26s   started        b  @c1  via=rescued
        """)
    )
    assert "its leader a was dead-lettered" in violation.because


# -- the chain below a missing leader


def test_chain_below_a_missing_leader():
    """A chain below a missing leader is judged link by link."""
    # c's own leader comes, late: how soon c follows is prompt-release's to say.
    story = """
        0s       published  b  follows=a
        0s       published  c  follows=b
        0s       delivered  b  @c1
        0s       delivered  c  @c1
        15m      started    b  @c1  via=rescued
        15m1s    ended      b  @c1  outcome=ok
        {}       started    c  @c1  via=released
    """
    assert accepted(history_of(story.format("16m")))
    late = history_of(story.format("17m"))
    assert accepted(late)
    assert [violation.invariant for violation in judge(late).violations] == ["prompt-release"]


# -- cycles


def test_accepts_cycle_in_time():
    """Accepts a cycle of which one member surfaces in time."""
    assert accepted(
        history_of("""
        0s    published  a  follows=b
        0s    published  b  follows=a
        0s    delivered  a  @c1
        5m    delivered  b  @c1
        21m   started    b  @c1  via=rescued
        2h    phase      horizon
        """)
    )


def test_rejects_a_cycle_that_never_surfaces():
    violation = rejected(
        history_of("""
        0s    published  a  follows=b
        0s    published  b  follows=a
        0s    delivered  a  @c1
        5m    delivered  b  @c1
        22m   phase      quiet
        """)
    )
    assert violation.because == (
        "because event b was delivered at 300 s, it follows itself through a, and b was still waiting at 1320 s"
    )


def test_rejects_cycle_without_leader():
    """Rejects a member of a cycle whose leader never came."""
    rejected(
        history_of("""
        0s    published  a  follows=b
        0s    published  b  follows=a
        0s    delivered  a  @c1
        17m   phase      quiet
        """)
    )


# -- excuses: idle time


def test_accepts_no_consumer_after_lookback():
    """Accepts time in which no consumer was alive after the lookback."""
    assert accepted(
        history_of("""
        0s      published  b  follows=a
        0s      delivered  b  @c1
        14m     crashed    @c1
        30m     joined     @c1
        31m5s   started    b  @c1  via=rescued
        """)
    )


def test_rejects_late_after_return():
    """Rejects a rescue too long after a consumer came back."""
    rejected(
        history_of("""
        0s      published  b  follows=a
        0s      delivered  b  @c1
        14m     crashed    @c1
        30m     joined     @c1
        31m6s   started    b  @c1  via=rescued
        """)
    )


def test_rejects_no_consumer_within_lookback():
    """Rejects a late rescue although no consumer was alive within the lookback."""
    # The lookback passes all the same.
    rejected(
        history_of("""
        0s       published  b  follows=a
        0s       delivered  b  @c1
        1m       crashed    @c1
        10m      joined     @c1
        16m6s    started    b  @c1  via=rescued
        """)
    )


def test_accepts_sweep_handles_others():
    """Accepts the time in which sweeps handle what they found before."""
    assert accepted(
        history_of("""
        0s    published  b  follows=a
        0s    delivered  b  @c1
        15m   started    x  @c2  via=rescued
        20m   ended      x  @c2  outcome=ok
        21m   started    b  @c2  via=rescued
        """)
    )


def test_rejects_others_for_other_reasons():
    """Rejects the time in which others are handled for other reasons."""
    rejected(
        history_of("""
        0s    published  b  follows=a
        0s    delivered  b  @c1
        15m   started    x  @c2  via=delivered
        20m   ended      x  @c2  outcome=ok
        21m   started    b  @c2  via=rescued
        """)
    )


def test_accepts_lost_if_allowed():
    """Accepts a follower that was lost with the store if the scenario allows it."""
    story = """
        0s    published   b  follows=a
        0s    delivered   b  @c1
        1s    store-lost  fault=flush
        1h    phase       quiet
    """
    assert accepted(history_of(story, allowed_loss=("flush",)))
    rejected(history_of(story))


@pytest.mark.parametrize(("at", "held"), [("66s", True), ("67s", False)])
def test_not_held_after_reported_dead_letter(at, held):
    """A follower is not held back once its leader's dead letter was reported to the engine."""
    story = f"""
        0s    published      b  follows=a
        0s    delivered      b  @c1
        0s    parked         b  @c1
        1s    dead-lettered  a  by=broker  told=true
        {at}  started        b  @c1  via=rescued
    """
    history = history_of(story)
    assert accepted(history) if held else rejected(history)
    assert accepted(history_of(story.replace("told=true", "")))


def test_reported_dead_letter_expires():
    """A reported dead letter is forgotten with its mark."""
    story = """
        0s     published      b  follows=a
        1s     dead-lettered  a  by=broker  told=true
        {}     delivered      b  @c1
        {}     started        b  @c1  via=rescued
    """
    assert accepted(history_of(story.format("30m1s", "40m")))
    rejected(history_of(story.format("29m", "40m")))
