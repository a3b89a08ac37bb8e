"""What a demoted server refuses, and what the clock of Redis ends too early: accepted and rejected histories."""

from __future__ import annotations

from functools import partial

import pytest

from simulation.history.history import History
from simulation.invariants import judge
from tests.simulation.invariants.short_histories import history_of

OVERLAP = """
    0s   started  a  @c1  fence=1
    {}
    {}
    10s  started  a  @c2  fence=2
    12s  ended    a  @c2  outcome=ok  write=accepted
    20s  ended    a  @c1  outcome=ok  write={}
"""
REPEAT = """
    0s   delivered  a  @c1
    0s   started    a  @c1
    1s   ended      a  @c1  outcome=ok
    {}
    {}
    10s  started    a  @c2
    12s  ended      a  @c2  outcome=ok
"""
REFUSED = "{}  fault server-demoted  {}  number=1"


def violates(history: History, invariant: str) -> bool:
    verdict = judge(history, [invariant]).verdicts[invariant]
    assert verdict.examined
    return bool(verdict.violations)


repeats = partial(violates, invariant="handled-once")
overlaps = partial(violates, invariant="mutual-exclusion")


@pytest.mark.parametrize(
    ("first", "last", "who", "excused"),
    [
        ("1s", "9s", "@c1", True),  # half of the lease of 16 s
        ("1s", "8999ms", "@c1", False),
        ("1s", "9s", "@c2", False),
        ("1s", "9s", "", False),
    ],
)
def test_demoted_for_half_a_lease_is_an_excuse(first, last, who, excused):
    """A demoted server that refuses the holder for half a lease is an excuse."""
    refusals = REFUSED.format(first, who), REFUSED.format(last, who)
    assert repeats(history_of(REPEAT.format(*refusals), lease="16s")) is not excused
    assert overlaps(history_of(OVERLAP.format(*refusals, "refused"), lease="16s")) is not excused


def test_refusals_excuse_no_client_that_reconnects():
    """A client that connects again when it is refused reaches the new primary: its engine has gone past it."""
    refusals = REFUSED.format("1s", "@c1"), REFUSED.format("9s", "@c1")
    for reconnects in (False, True):
        assert repeats(history_of(REPEAT.format(*refusals), lease="16s", reconnects=reconnects)) is reconnects
        assert (
            overlaps(history_of(OVERLAP.format(*refusals, "refused"), lease="16s", reconnects=reconnects)) is reconnects
        )


def test_two_demotions_are_two_spans():
    refusals = "1s fault server-demoted @c1 number=1", "9s fault server-demoted @c1 number=2"
    assert repeats(history_of(REPEAT.format(*refusals), lease="16s"))


def test_refusal_does_not_excuse_a_late_write():
    """A refusal does not excuse a late write that was accepted."""
    refusals = REFUSED.format("1s", "@c1"), REFUSED.format("9s", "@c1")
    assert overlaps(history_of(OVERLAP.format(*refusals, "accepted"), lease="16s"))


def test_refusal_does_not_excuse_what_was_recorded():
    """A refusal does not excuse what the holder had recorded."""
    refusals = "1s acknowledged a @c1\n1s fault server-demoted @c1 number=1", REFUSED.format("9s", "@c1")
    assert repeats(history_of(REPEAT.format(*refusals), lease="16s"))


@pytest.mark.parametrize(
    ("fault", "later", "excused"),
    [
        ("fault server-clock offset=8000000", "", True),  # half of the lease of 16 s
        ("fault server-clock offset=7999999", "", False),
        ("fault server-clock number=1", "", False),
        ("fault clock @c1 offset=8000000", "", False),
        ("fault server-clock offset=5000000", "2s fault server-clock offset=5000000", False),
    ],
)
def test_a_lease_ends_by_the_clock_of_redis(fault, later, excused):
    assert repeats(history_of(REPEAT.format(f"1s {fault}", later), lease="16s")) is not excused
    assert overlaps(history_of(OVERLAP.format(f"1s {fault}", later, "refused"), lease="16s")) is not excused


def test_clock_set_back_and_ahead():
    """A clock set back is set right with a jump ahead."""
    back = history_of("1s fault server-clock number=1\n" + REPEAT.format("", ""), lease="16s")
    set_right = REPEAT.format("2s healed fault=server-clock number=1", "")
    for number, excused in (("1", True), ("2", False)):
        history = history_of(f"0s fault phase\n{set_right}", lease="16s")
        entries = [one._replace(details={"fault": "server-clock", "number": int(number), "offset": -9_000_000})
                   if one.kind == "fault" else one for one in history]  # fmt: skip
        assert repeats(History(history.header, entries)) is not excused
    assert repeats(back)


def test_clock_jump_at_another_time_is_no_excuse():
    """A clock that jumps before the holder has the lease or after the overlap began is no excuse."""
    jump = "fault server-clock offset=8000000"
    assert overlaps(
        history_of(f"0s {jump}\n{OVERLAP.format('', '', 'refused').replace('0s   started', '1ms started')}")
    )
    assert overlaps(history_of(OVERLAP.format("", "", "refused").replace("12s", f"10001ms {jump}\n12s")))
    assert overlaps(history_of(OVERLAP.format(f"1s {jump}", "", "accepted"))), "the late write was not refused"


@pytest.mark.parametrize(("ahead", "excused"), [(30_000_000, True), (29_000_000, False), (-30_000_000, False)])
def test_retention_ends_sooner_by_a_jump_ahead(ahead, excused):
    """The retention is over sooner only by a jump ahead."""
    history = history_of("0s fault server-clock\n" + REPEAT.format("1s acknowledged a @c1", ""), retention="39s")
    entries = [*history]
    entries.insert(5, entries.pop(0)._replace(at=2_000_000, details={"fault": "server-clock", "offset": ahead}))
    assert repeats(History(history.header, entries)) is not excused


# -- dead letters beside an effect

UNREAD = """
    0s  delivered      f  @c1  delivery=1
    0s  started        f  @c1
    1s  ended          f  @c1  outcome=ok
    1s  acknowledged   f  @c1  delivery=1
    2s  delivered      f  @c2  delivery=2
    {}
    3s  rejected       f  @c2  delivery=2
    3s  dead-lettered  f  by={}
"""


def test_broker_gives_up_what_none_could_read():
    """The broker may give up what it offered only to consumers that cannot read it."""

    def story(fault, by="broker"):
        text = UNREAD.format(fault, by)
        return history_of(text, at_most=8)

    assert not repeats(story("2s fault unreadable-for-some @c2 event=f"))
    assert repeats(story("2s swept @c2"))
    assert repeats(story("2s fault unreadable-for-some @c3 event=f"))
    assert repeats(story("2s fault unreadable-for-some @c2 event=f", by="engine"))


def test_one_delivery_to_an_engine_must_be_answered():
    """One delivery that an engine was given is enough to answer."""
    unread = UNREAD.format("2s fault unreadable-for-some @c2 event=f", "broker")
    lines = unread.replace("2s  delivered", "1s delivered f @c3 delivery=3\n1s rejected f @c3 delivery=3\n2s delivered")
    assert repeats(history_of(lines, at_most=10))


LAST = """
    0s   started        a  @c1  via=rescued  handling=1
    1s   ended          a  @c1  handling=1  outcome=failed
    2s   started        a  @c2  via=rescued  handling=2
    2s   {}
    18s  dead-lettered  a  @c1  by=engine
    20s  ended          a  @c2  handling=2  outcome=ok
"""


@pytest.mark.parametrize(
    ("silence", "excused"),
    [("paused @c2", True), ("blocked @c2 duration=8000000", True), ("blocked @c2 duration=7999999", False)],
)
def test_silent_last_holder_counts_as_dead(silence, excused):
    """An engine cannot tell a silent last holder from a dead one."""
    history = history_of(LAST.format(silence), max_attempts="2us", lease="16s")
    assert violates(history, "given-up-with-reason") is not excused
    assert repeats(history) is not excused


def test_earlier_silence_keeps_the_last_attempt():
    """An earlier silence does not make the last attempt vanish."""
    history = history_of(LAST.format("swept @c2").replace("0s   started", "0s paused @c2\n1s resumed @c2\n0s started"))
    assert repeats(history)


# -- a copy that follows another event

CHANGED = """
    0s    published  b  follows=a
    0s    delivered  b  @c1
    1s    {}
    2s    published  b  follows={}
    2s    delivered  b  @c1
    2s    started    a  @c2
    3s    ended      a  @c2  outcome=ok
    {}    started    b  @c1  via=rescued
"""


@pytest.mark.parametrize(
    ("loss", "follows", "until", "excused"),
    [
        ("store-lost", "x", "15m", True),
        ("store-lost", "a", "15m", False),
        ("swept @c9", "x", "15m", False),
        ("store-lost", "x", "18m", False),
    ],
)
def test_copy_after_a_loss_is_the_first_word(loss, follows, until, excused):
    """After a loss a copy that follows another event is the first word."""
    history = history_of(CHANGED.format(loss, follows, until))
    assert violates(history, "prompt-release") is not excused


def test_unreadable_leader_has_not_come():
    """A leader that its consumer could not read has not come."""
    story = """
        0s   published  b  follows=a
        0s   delivered  b  @c1
        1s   delivered  a  @c1
        1s   fault unreadable-for-some  event=a  @{}
        1s   rejected   a  @c1
        15m  started    b  @c1
        16m  ended      b  @c1  outcome=ok
    """
    early = partial(violates, invariant="causal-order")
    assert not early(history_of(story.format("c1")))
    assert early(history_of(story.format("c2")))
