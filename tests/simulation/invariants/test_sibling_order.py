from functools import partial

from simulation.invariants import judge
from tests.simulation.invariants import short_histories
from tests.simulation.invariants.short_histories import history_of

accepted = partial(short_histories.accepted, invariant="sibling-order")
rejected = partial(short_histories.rejected, invariant="sibling-order")


def test_accepts_in_order():
    """Accepts siblings in the order in which they occurred."""
    assert accepted(
        history_of("""
        0s   published  c  follows=a  occurred=1s
        0s   published  b  follows=a  occurred=2s
        0s   parked     b  @c1
        0s   parked     c  @c1
        1s   started    a  @c2
        2s   ended      a  @c2  outcome=ok
        2s   started    c  @c2  via=released
        3s   started    b  @c2  via=released
        """)
    )


def test_rejects_siblings_in_another_order():
    violation = rejected(
        history_of("""
        0s   published  c  follows=a  occurred=1s
        0s   published  b  follows=a  occurred=2s
        0s   parked     b  @c1
        0s   parked     c  @c1
        1s   started    a  @c2
        2s   ended      a  @c2  outcome=ok
        2s   started    b  @c2  via=released
        3s   started    c  @c2  via=released
        """)
    )
    assert violation.events == ("c", "b", "a")
    assert violation.at == 2_000_000
    assert violation.witness == (3, 5, 6, 7)
    assert violation.because == (
        "because event c was parked when its leader a completed at 2 s, and occurred earlier,"
        " but its sibling b started at 2 s and c started only at 3 s"
    )


def test_rejects_elder_never_starts():
    """Rejects a sibling that starts while an elder never does."""
    violation = rejected(
        history_of("""
        0s   published  b  follows=a  occurred=1s
        0s   published  c  follows=a  occurred=2s
        0s   parked     b  @c1
        0s   parked     c  @c1
        1s   started    a  @c2
        2s   ended      a  @c2  outcome=ok
        2s   started    c  @c2  via=released
        """)
    )
    assert violation.because.endswith("but its sibling c started at 2 s and b never started")


def test_breaks_ties_by_the_id_as_text():
    story = """
        0s   published  b  follows=a  occurred=1s  id=2d
        0s   published  c  follows=a  occurred=1s  id=1d
        0s   parked     b  @c1
        0s   parked     c  @c1
        1s   started    a  @c2
        2s   ended      a  @c2  outcome=ok
        2s   started    {}  @c2  via=released
        3s   started    {}  @c2  via=released
    """
    assert accepted(history_of(story.format("c", "b")))
    assert "c was parked" in rejected(history_of(story.format("b", "c"))).because


def test_accepts_overlap_in_order():
    """Accepts siblings that overlap if they start in order."""
    assert accepted(
        history_of("""
        0s   published  b  follows=a  occurred=1s
        0s   published  c  follows=a  occurred=2s
        0s   parked     b  @c1
        0s   parked     c  @c1
        1s   started    a  @c2
        2s   ended      a  @c2  outcome=ok
        2s   started    b  @c2  via=released
        2s   started    c  @c1  via=released
        """)
    )


def test_accepts_elder_retried():
    """Accepts an elder that is tried again after a younger."""
    # What counts is the first start.
    assert accepted(
        history_of(
            """
        0s   published  b  follows=a  occurred=1s
        0s   published  c  follows=a  occurred=2s
        0s   parked     b  @c1
        1s   started    a  @c2
        2s   ended      a  @c2  outcome=ok
        2s   started    b  @c2  via=released
        3s   ended      b  @c2  outcome=failed
        3s   started    c  @c2  via=released
        9s   started    b  @c2
        """,
            at_most=9,
        )
    )


# -- a later sibling does not overtake


def test_rejects_fresh_overtakes_parked():
    """Rejects a fresh sibling that overtakes a parked one."""
    rejected(
        history_of("""
        0s   published  b  follows=a  occurred=1s
        0s   parked     b  @c1
        1s   started    a  @c2
        2s   ended      a  @c2  outcome=ok
        3s   published  c  follows=a  occurred=3s
        3s   delivered  c  @c3
        3s   started    c  @c3
        4s   started    b  @c2  via=released
        """)
    )


def test_accepts_fresh_that_is_elder():
    """Accepts a fresh sibling that occurred before the parked one."""
    assert accepted(
        history_of("""
        0s   published  b  follows=a  occurred=5s
        0s   parked     b  @c1
        1s   started    a  @c2
        2s   ended      a  @c2  outcome=ok
        3s   published  c  follows=a  occurred=3s
        3s   delivered  c  @c3
        3s   started    c  @c3
        4s   started    b  @c2  via=released
        """)
    )


def test_accepts_parked_past_a_late_elder():
    """Accepts a parked sibling that does not wait for an earlier one that is late."""
    assert accepted(
        history_of("""
        0s   published  b  follows=a  occurred=5s
        0s   parked     b  @c1
        1s   started    a  @c2
        2s   ended      a  @c2  outcome=ok
        3s   started    b  @c2  via=released
        4s   published  c  follows=a  occurred=3s
        4s   delivered  c  @c3
        4s   started    c  @c3
        """)
    )


def test_says_nothing_parked_after_leader():
    """Says nothing of a sibling that was parked only when the leader was done."""
    history = history_of("""
        0s   published  b  follows=a  occurred=1s
        0s   published  c  follows=a  occurred=2s
        1s   started    a  @c2
        2s   ended      a  @c2  outcome=ok
        2s   parked     b  @c1
        3s   started    c  @c2
        4s   started    b  @c2  via=rescued
    """)
    assert judge(history, ["sibling-order"]).verdicts["sibling-order"].examined == 0


def test_accepts_started_before_leader_done():
    """Accepts a sibling that had started before the leader was done."""
    # It broke causal order; the turn of the others is not touched by it.
    assert accepted(
        history_of("""
        0s   published  b  follows=a  occurred=1s
        0s   published  c  follows=a  occurred=2s
        0s   parked     b  @c1
        1s   started    a  @c2
        1s   started    c  @c1
        2s   ended      a  @c2  outcome=ok
        3s   started    b  @c2  via=released
        """)
    )


# -- excuses


def test_accepts_elder_given_up():
    """Accepts a younger sibling if the elder was given up."""
    story = """
        0s   published      b  follows=a  occurred=1s
        0s   published      c  follows=a  occurred=2s
        0s   parked         b  @c1
        1s   started        a  @c2
        2s   ended          a  @c2  outcome=ok
        2s   started        c  @c2  via=released
        3s   {}  b  @c2
    """
    assert accepted(history_of(story.format("dead-lettered")))
    rejected(history_of(story.format("rejected")))


def test_rejects_elder_given_up_after_trying():
    """Rejects a younger sibling if the elder was given up only after it had been tried."""
    rejected(
        history_of("""
        0s   published      b  follows=a  occurred=1s
        0s   published      c  follows=a  occurred=2s
        0s   parked         b  @c1
        1s   started        a  @c2
        2s   ended          a  @c2  outcome=ok
        2s   started        c  @c2  via=released
        3s   started        b  @c2  via=released
        4s   dead-lettered  b
        """)
    )


def test_accepts_elder_lost_if_allowed():
    """Accepts a younger sibling if the elder was lost as the scenario allows."""
    story = """
        0s   published   b  follows=a  occurred=1s
        0s   published   c  follows=a  occurred=2s
        0s   delivered   b  @c1
        0s   parked      b  @c1
        1s   store-lost  fault=flush
        1s   started     a  @c2
        2s   ended       a  @c2  outcome=ok
        2s   started     c  @c2
    """
    assert accepted(history_of(story, allowed_loss=("flush",)))
    rejected(history_of(story))


def test_lost_elder_parked_again():
    """A lost elder sibling that is parked again is waited for from then on, not before."""
    lost = """
        0s   published     b  follows=a  occurred=1s
        0s   published     c  follows=a  occurred=2s
        0s   delivered     b  @c1
        0s   parked        b  @c1
        1s   store-lost    fault=flush
    """
    again = """
        1s   delivered     b  @c1
        1s   parked        b  @c1
    """
    done = """
        2s   started       a  @c2
        3s   ended         a  @c2  outcome=ok
        3s   started       c  @c2
    """
    later = again.replace("1s", "4s")
    assert accepted(history_of(lost + done + later + "5s  started  b  @c2", at_most=11, allowed_loss=("flush",)))
    rejected(history_of(lost + again + done + "5s  started  b  @c2", at_most=11, allowed_loss=("flush",)))


def test_accepts_elder_known_by_another_leader():
    """Accepts a younger sibling if the elder was lost and a copy of it follows another event."""
    lines = [
        "0s   published   b  follows=a  occurred=1s",
        "0s   published   c  follows=a  occurred=2s",
        "1s   parked      b  @c1",
        "1s   store-lost  fault=flush",
        "1s   published   b  follows=z",
        "1s   started     a  @c2",
        "2s   ended       a  @c2  outcome=ok",
        "2s   started     c  @c2",
    ]
    assert accepted(history_of("\n".join(lines)))
    rejected(history_of("\n".join(line for line in lines if "z" not in line)))
    lines[2], lines[3] = lines[3], lines[2]
    rejected(history_of("\n".join(lines)))


def test_accepts_elder_unreadable():
    """Excuses a sibling that goes on without one that could not be read."""

    def story(fault_at):
        lines = [
            "0s   published  c  follows=a  occurred=1s",
            "0s   published  b  follows=a  occurred=2s",
            "0s   parked     c  @c1",
            "1s   started    a  @c2",
            "2s   ended      a  @c2  outcome=ok",
            "3s   started    b  @c2",
            "9s   started    c  @c1  via=rescued",
        ]
        lines.insert(fault_at, f"{fault_at - 3}s   fault unreadable-for-some  event=c  @c2")
        return history_of("\n".join(lines))

    assert accepted(story(5))
    assert rejected(story(6)).events == ("c", "b", "a"), "b was not to know of it"
