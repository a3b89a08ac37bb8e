import pytest

from simulation.history.entries import Header
from simulation.history.history import History
from simulation.invariants import COVERAGE, INVARIANTS, UnknownInvariant, judge
from tests.simulation.invariants.short_histories import history_of

HANDLED = """
    0s   delivered     a  @c1
    1s   started       a  @c1
    2s   ended         a  @c1  outcome=ok
    2s   acknowledged  a  @c1
"""
DISORDER = """
    0s   published  b  follows=a
    1s   started    b  @c1
    2s   ended      b  @c1  outcome=ok
"""


def test_holds():
    """Holds when something was handled and nothing was broken."""
    judgement = judge(history_of(f"{HANDLED}\n3s phase quiet"))
    assert judgement.verdict == "holds"
    assert judgement.violations == judgement.reasons == judgement.missing == ()
    assert list(judgement.verdicts) == list(INVARIANTS)


def test_examined_subjects():
    verdicts = judge(history_of(f"{HANDLED}\n3s phase quiet")).verdicts
    assert (verdicts["nothing-lost"].verdict, verdicts["nothing-lost"].examined) == ("holds", 1)
    assert (verdicts["causal-order"].verdict, verdicts["causal-order"].examined) == ("unknown", 0)


def test_history_without_phases():
    """A history without phases is taken to tell all there is."""
    assert judge(history_of(HANDLED)).verdict == "holds"


# -- unknown is never a pass


def test_unknown_when_nothing_happened():
    judgement = judge(History(Header()))
    assert (judgement.verdict, judgement.reasons) == ("unknown", ("nothing was handled",))


def test_unknown_when_nothing_took_effect():
    assert judge(history_of("0s started a @c1\n1s ended a @c1 outcome=failed")).verdict == "unknown"


def test_unknown_when_the_exercise_did_not_happen():
    judgement = judge(history_of(HANDLED, exercise=("handled", "parked", "rescued")))
    assert (judgement.verdict, judgement.missing) == ("unknown", ("parked", "rescued"))


def test_unknown_coverage_word():
    """Unknown when the exercise is no known word."""
    judgement = judge(history_of(HANDLED, exercise=("levitated",)))
    assert (judgement.verdict, judgement.missing) == ("unknown", ("levitated",))


def test_unknown_at_the_horizon():
    """Unknown at the horizon with what was in flight."""
    judgement = judge(history_of(f"{HANDLED}\n3s phase horizon in_flight=c1:b"))
    assert judgement.verdict == "unknown"
    assert judgement.reasons == ("the run ended at its horizon, before it was quiet; in flight: c1:b",)


def test_unknown_at_the_horizon_from_entries():
    """Unknown at the horizon finds out by itself what was in flight."""
    judgement = judge(history_of(f"{HANDLED}\n3s delivered b @c1\n4s phase horizon"))
    assert judgement.reasons[0].endswith("in flight: b")


def test_unknown_in_an_earlier_phase():
    """Unknown when the history ends in an earlier phase."""
    judgement = judge(history_of(f"0s phase safety\n{HANDLED}"))
    assert judgement.verdict == "unknown"
    assert judgement.reasons[0].startswith("the run ended in its phase 'safety'")


def test_unknown_when_the_history_is_cut_off():
    history = history_of(HANDLED)
    history.truncated = "line 6 is cut off"
    assert judge(history).reasons == ("the history is cut off: line 6 is cut off",)
    assert judge(history).verdict == "unknown"


@pytest.mark.parametrize("ending", ["", "3s phase horizon", "3s phase safety"])
def test_violation_at_any_end(ending: str):
    """A violation counts however the history ends."""
    history = history_of(f"{DISORDER}\n{ending}", exercise=("parked",))
    history.truncated = "line 6 is cut off"
    assert judge(history).verdict == "violated"


# -- which invariants


def test_named_invariants():
    """Judges only the invariants that are named."""
    assert judge(history_of(DISORDER), ["handled-once"]).verdict == "holds"
    assert list(judge(history_of(DISORDER), ["handled-once"]).verdicts) == ["handled-once"]


def test_invariants_of_the_header():
    """Judges the invariants of the header if none are named."""
    history = history_of(DISORDER, invariants=("handled-once",))
    assert judge(history).verdict == "holds"
    assert judge(history, ["causal-order"]).verdict == "violated"


def test_unknown_invariant():
    """An unknown invariant is named with those that are known."""
    with pytest.raises(UnknownInvariant, match=r"no invariant is called 'casual-order'; known are causal-order, "):
        judge(history_of(HANDLED), ["casual-order"])


def test_each_invariant_says_what_it_is_about():
    assert len(INVARIANTS) >= 13
    for name, invariant in INVARIANTS.items():
        assert name == invariant.name
        assert invariant.summary
        assert invariant.excuses
    assert all(COVERAGE.values())


# -- order


def test_violations_in_order_of_time():
    history = history_of("""
        0s   published  b  follows=a
        0s   started    b  @c1
        1s   started    b  @c2
        2s   ended      b  @c1  outcome=ok
        3s   ended      b  @c2  outcome=ok
    """)
    violations = judge(history).violations
    assert [violation.at for violation in violations] == sorted(violation.at for violation in violations)
    assert [violation.invariant for violation in violations] == [
        "causal-order",
        "causal-order",
        "mutual-exclusion",
        "handled-once",
    ]


def test_judging_is_a_pure_function():
    history = history_of(DISORDER)
    before = history.digest
    assert judge(history) == judge(history)
    assert history.digest == before


# -- what a verdict rests on


def test_judged_and_unjudged():
    """A judgement says which invariants it rests on and which could not be judged."""
    judgement = judge(history_of("0s started a @c1\n1s ended a @c1"))
    assert judgement.judged == ("mutual-exclusion",)
    assert judgement.unjudged["nothing-lost"] == "the history does not say how a handling of 1 event began or ended"
    assert judgement.unjudged["clean-store"] == "the history has no census"
    assert judgement.rests.startswith("1 of 13 invariants (not causal-order, handled-once, nothing-lost")
