from functools import partial

from simulation.invariants import judge
from tests.simulation.invariants import short_histories
from tests.simulation.invariants.short_histories import history_of

accepted = partial(short_histories.accepted, invariant="nothing-lost")
rejected = partial(short_histories.rejected, invariant="nothing-lost")


def test_accepts_an_event_that_took_effect():
    assert accepted(
        history_of("""
        0s   delivered  a  @c1
        1s   started    a  @c1
        2s   ended      a  @c1  outcome=ok
        3s   phase      quiet
        """)
    )


def test_accepts_an_event_that_was_given_up_aloud():
    assert accepted(
        history_of("""
        0s   delivered      a  @c1
        1s   dead-lettered  a
        3s   phase          quiet
        """)
    )


def test_rejects_an_event_that_no_handler_saw():
    violation = rejected(
        history_of("""
        0s   delivered  a  @c1
        1s   parked     a  @c1
        3s   phase      quiet
        """)
    )
    assert violation.because == (
        "because event a was delivered at 0 s, no handler ever saw it,"
        " and when the world had gone quiet at 3 s it had neither an effect nor a dead letter"
    )
    assert violation.witness == (0, 1, 2)


def test_rejects_failed_and_not_retried():
    """Rejects an event whose handler failed and that was not tried again."""
    violation = rejected(
        history_of("""
        0s   delivered  a  @c1
        1s   started    a  @c1
        2s   ended      a  @c1  outcome=failed
        3s   phase      quiet
        """)
    )
    assert "its last handling ended failed" in violation.because


def test_rejects_only_write_refused():
    """Rejects an event whose only write was refused."""
    rejected(
        history_of("""
        0s   delivered  a  @c1
        1s   started    a  @c1
        2s   ended      a  @c1  outcome=ok  write=refused
        3s   phase      quiet
        """)
    )


def test_says_nothing_before_the_world_is_quiet():
    for ending in ("3s phase horizon", "3s phase safety"):
        history = history_of(f"0s delivered a @c1\n{ending}")
        finding = judge(history, ["nothing-lost"]).verdicts["nothing-lost"]
        assert (finding.verdict, finding.examined) == ("unknown", 0)


def test_history_without_phases():
    """A history without phases is judged as complete."""
    story = """
        0s  delivered     a  @c1  delivery=1
        {}
        2s  swept            @c1
    """
    rejected(history_of(story.format("1s  acknowledged  a  @c1  delivery=1")))
    for open_or_kept in ("1s rejected a @c1 delivery=1", "1s parked a @c1 delivery=1", ""):
        assert accepted(history_of(story.format(open_or_kept)))


def test_history_cut_off():
    """A history that is cut off says nothing of losses."""
    history = history_of("0s delivered a @c1 delivery=1\n1s acknowledged a @c1 delivery=1")
    history.truncated = "line 3 is cut off"
    finding = judge(history, ["nothing-lost"]).verdicts["nothing-lost"]
    assert (finding.verdict, finding.why) == ("unknown", "the history is cut off")


def test_what_was_parked_was_delivered():
    rejected(history_of("0s parked a @c1\n3s phase quiet"))


def test_says_nothing_never_delivered():
    """Says nothing of an event that was never delivered."""
    history = history_of("""
        0s   published  a
        1s   dropped    a
        3s   phase      quiet
    """)
    assert judge(history, ["nothing-lost"]).verdicts["nothing-lost"].examined == 0


# -- never excused by a crash, a pause, a stop or an unreachable Redis


def test_rejects_lost_with_consumer():
    """Rejects an event that was lost with its consumer."""
    for mishap in ("crashed @c1", "stopped @c1", "paused @c1", "unreachable @c1"):
        rejected(
            history_of(f"""
            0s   delivered  a  @c1
            0s   started    a  @c1
            1s   {mishap}
            3s   phase      quiet
            """)
        )


# -- excuse: a loss that the scenario allows


def test_accepts_lost_with_store_if_allowed():
    """Accepts an event that was lost with the store if the scenario allows it."""
    assert accepted(
        history_of(
            """
        0s   delivered   a  @c1
        0s   parked      a  @c1
        1s   store-lost  fault=flush
        3s   phase       quiet
        """,
            allowed_loss=("flush",),
        )
    )


def test_accepts_loss_after_allowed_fault():
    """Accepts it if the loss names no fault but follows one that is allowed."""
    assert accepted(
        history_of(
            """
        0s   delivered   a  @c1
        1s   fault       flush
        1s   store-lost
        3s   phase       quiet
        """,
            allowed_loss=("flush",),
        )
    )


def test_accepts_trimmed_if_allowed():
    """Accepts an event that the broker trimmed if the scenario allows it."""
    assert accepted(
        history_of(
            """
        0s   delivered  a  @c1
        0s   crashed    @c1
        1s   fault      trim  event=a
        3s   phase      quiet
        """,
            allowed_loss=("trim",),
        )
    )


def test_rejects_loss_not_allowed():
    """Rejects it if the scenario does not say so."""
    rejected(
        history_of("""
        0s   delivered   a  @c1
        1s   store-lost  fault=flush
        3s   phase       quiet
        """)
    )


def test_rejects_other_loss_allowed():
    """Rejects it if the scenario allows another loss."""
    rejected(
        history_of(
            """
        0s   delivered   a  @c1
        1s   store-lost  fault=flush
        3s   phase       quiet
        """,
            allowed_loss=("evict",),
        )
    )


def test_rejects_delivered_after_loss():
    """Rejects an event that was delivered after the loss."""
    rejected(
        history_of(
            """
        1s   store-lost  fault=flush
        2s   delivered   a  @c1
        3s   phase       quiet
        """,
            allowed_loss=("flush",),
        )
    )


def test_rejects_key_not_named():
    """Rejects an event that the lost keys do not name."""
    rejected(
        history_of(
            """
        0s   published   b  id=1d-b
        0s   delivered   a  @c1
        1s   store-lost  fault=evict  keys=payload/1d-b
        3s   phase       quiet
        """,
            allowed_loss=("evict",),
        )
    )


def test_rejects_other_event_trimmed():
    """Rejects an event when the broker trimmed another."""
    rejected(
        history_of(
            """
        0s   delivered  a  @c1
        1s   fault      trim  event=b
        3s   phase      quiet
        """,
            allowed_loss=("trim",),
        )
    )


LOUD = """
    0s   delivered   b  @c1
    0s   parked      b  @c1
    1s   {}
    2s   {}
    9s   phase       quiet
"""
LOSS, WARNING = "store-lost  fault=evict", "warned  b  @c1"


def test_loss_must_be_reported():
    """A loss must be reported where the scenario asks for it."""
    terms = {"allowed_loss": ("evict",), "loud": True}
    assert accepted(history_of(LOUD.format(LOSS, WARNING), **terms))
    violation = rejected(history_of(LOUD.format(LOSS, "swept  @c1"), **terms))
    assert violation.because == (
        "because event b was delivered at 0 s, the store lost what it held of it at 1 s, and the loss was not reported"
    )


def test_wrong_warning_is_no_report():
    """A warning before the loss or of another event does not report it."""
    terms = {"allowed_loss": ("evict",), "loud": True}
    rejected(history_of(LOUD.format(WARNING, LOSS), **terms))
    rejected(history_of(LOUD.format(LOSS, "warned  a  @c1"), **terms))
    assert accepted(history_of(LOUD.format(LOSS, "swept  @c1"), allowed_loss=("evict",)))
