"""given-up-with-reason: accepted and rejected histories for each clause and each excuse."""

from tests.simulation.invariants import short_histories
from tests.simulation.invariants.short_histories import history_of


def accepted(history):
    return short_histories.accepted(history, "given-up-with-reason")


def rejected(history):
    return short_histories.rejected(history, "given-up-with-reason")


def tried(times, ending, header=""):
    story = [f"{at}s started a @c1 handling={at}\n{at}s {ending.format(at)}" for at in range(times)]
    return "\n".join([*story, "1m dead-lettered a @c1 by=engine"])


def test_failures_as_the_policy_says():
    """A dead letter follows as many failures as the policy says."""
    assert accepted(history_of(tried(2, "ended a @c1 handling={} outcome=failed"), max_attempts="2us"))
    violation = rejected(history_of(tried(1, "ended a @c1 handling={} outcome=failed"), max_attempts="2us"))
    assert violation.because == (
        "because the engine gave event a up at 60 s, though it had only once been tried without success,"
        " and stated no refusal"
    )


def test_vanished_handling_is_a_failure():
    """A handling that vanished counts as a failed one."""
    assert accepted(history_of(tried(2, "crashed @c1"), max_attempts="2us"))
    rejected(history_of(tried(2, "crashed @c2"), max_attempts="3us"))


def test_death_before_the_handler_may_count():
    """A consumer that died before its handler began may have been an attempt."""
    story = (
        "0s started a @c1 handling=0\n1s ended a @c1 handling=0 outcome=failed\n{}\n1m dead-lettered a @c1 by=engine"
    )
    assert accepted(history_of(story.format("9s crashed @c2"), max_attempts="2us"))
    rejected(history_of(story.format("9s crashed @c2"), max_attempts="3us"))
    rejected(history_of(story.format("9s stopped @c2"), max_attempts="2us"))


def test_unread_by_a_consumer_counts():
    """What a consumer could not read was an attempt, if the engine had handed it out, and not the broker."""
    story = """
        0s  delivered      a  @c2  delivery=1
        1s  {}
        1s  rejected       a  @c2  delivery=1
        2s  started        a  @c1
        3s  ended          a  @c1  outcome=failed
        9s  dead-lettered  a  @c3  by=engine
    """
    unread = "fault unreadable-for-some @{} event=a"
    assert accepted(history_of(story.format(unread.format("c3")), max_attempts="2us"))
    rejected(history_of(story.format(unread.format("c3")), max_attempts="3us"))
    rejected(history_of(story.format(unread.format("c2")), max_attempts="2us"))
    last = story.replace("3s  ended          a  @c1  outcome=failed", "3s  ended a @c1 outcome=failed\n4s  {}")
    rejected(history_of(last.format("swept @c1", unread.format("c3")), max_attempts="2us"))


def test_effect_without_record_counts():
    """An effect whose holder died before it could record it was an attempt; its death is not another one."""
    story = """
        0s  started        a  @c1
        1s  ended          a  @c1  outcome=failed
        2s  started        a  @c2
        3s  ended          a  @c2  outcome=ok
        3s  {}
        9s  dead-lettered  a  @c3  by=engine
    """
    assert accepted(history_of(story.format("crashed @c2"), max_attempts="2us"))
    rejected(history_of(story.format("crashed @c2"), max_attempts="3us"))
    rejected(history_of(story.format("stopped @c2"), max_attempts="2us"))


def test_handlings_after_do_not_count():
    """Handlings after the dead letter do not count."""
    rejected(history_of("0s delivered a\n1s dead-lettered a\n2s started a @c1\n3s crashed @c1", max_attempts="1us"))


def test_a_stated_refusal_is_a_reason():
    for because, held in (("unreadable", True), ("unknown-schema", True), ("tired", False)):
        history = history_of(f"0s delivered a @c1\n1s dead-lettered a @c1 by=engine because={because}")
        assert accepted(history) if held else rejected(history)


def test_broker_offered_often_enough():
    """The broker may give up what it offered often enough."""
    assert accepted(history_of("0s delivered a @c1\n9s dead-lettered a by=broker"))


def test_engine_never_tried_it():
    """An engine that rejects what it never tried gives it up without a reason."""
    story = """
        0s  delivered      a  @c1  delivery=1
        {}
        1s  rejected       a  @c1  delivery=1
        9s  dead-lettered  a  by=broker
    """
    rejected(history_of(story.format("")))
    assert accepted(history_of(story.format("0s fault error-reply")))
    assert accepted(
        history_of(story.format("").replace("delivery=1\n        9s", "delivery=1 because=Unreadable\n        9s"))
    )
    assert accepted(history_of(story.format("0s started a @c1\n1s ended a @c1 outcome=failed")))


def test_loss_is_a_reason():
    """A loss of what the store held is a reason."""
    story = "0s delivered a @c1\n1s {}\n2s dead-lettered a @c1 by=engine"
    assert accepted(history_of(story.format("store-lost keys=x:event:a fault=evict")))
    rejected(history_of(story.format("swept @c1")))


def test_says_nothing_of_unknown_ends():
    """Says nothing of handlings whose end is unknown."""
    history = history_of("0s started a @c1\n1s ended a @c1\n2s dead-lettered a @c1 by=engine")
    finding = short_histories.judge(history, ["given-up-with-reason"]).verdicts["given-up-with-reason"]
    assert finding.verdict == "unknown"
    assert finding.why == "the history does not say how a handling of 1 event began or ended"
