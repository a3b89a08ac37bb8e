from functools import partial

from simulation.invariants import judge
from tests.simulation.invariants import short_histories
from tests.simulation.invariants.short_histories import history_of

accepted = partial(short_histories.accepted, invariant="payload-intact")
rejected = partial(short_histories.rejected, invariant="payload-intact")


def test_accepts_the_event_as_it_was_published():
    assert accepted(
        history_of("""
        0s   published  a  fingerprint=f00d
        1s   started    a  @c1  fingerprint=f00d
        """)
    )


def test_rejects_another_event():
    """Rejects another event under the same name."""
    violation = rejected(
        history_of("""
        0s   published  a  fingerprint=f00d
        1s   started    a  @c1  fingerprint=bad
        """)
    )
    assert violation.because == (
        "because at 1 s the handler of c1 was given an event a with fingerprint bad, but f00d was published"
    )
    assert violation.witness == (0, 1)


def test_rejects_a_handling_that_failed_too():
    rejected(
        history_of("""
        0s   published  a  fingerprint=f00d
        1s   started    a  @c1  fingerprint=bad
        2s   ended      a  @c1  outcome=failed
        3s   started    a  @c1  fingerprint=f00d
        4s   ended      a  @c1  outcome=ok
        """)
    )


def test_accepts_any_of_several_publications():
    assert accepted(
        history_of("""
        0s   published  a  fingerprint=f00d
        0s   published  a  fingerprint=beef
        1s   started    a  @c1  fingerprint=beef
        """)
    )


def test_says_nothing_without_publication():
    """Says nothing of an event without an entry of its publication."""
    history = history_of("""
        0s   published  a  fingerprint=f00d
        1s   started    x  @c1  fingerprint=bad
    """)
    finding = judge(history, ["payload-intact"]).verdicts["payload-intact"]
    assert (finding.verdict, finding.why) == ("unknown", "the history does not have the publication of 1 event")


def test_says_nothing_without_fingerprints():
    for story in (
        "0s published a\n1s started a @c1 fingerprint=f00d",
        "0s published a fingerprint=f00d\n1s started a",
        "1s started a fingerprint=f00d",
        "0s published a\n0s published b fingerprint=beef\n1s started a fingerprint=f00d",
    ):
        assert judge(history_of(story), ["payload-intact"]).verdicts["payload-intact"].examined == 0
