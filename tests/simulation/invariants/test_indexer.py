"""Which entry belongs to what: the one thing that every invariant relies on."""

from simulation.history.index import HistoryIndex
from simulation.invariants.prefilter import index_to_judge
from simulation.invariants.recorded_effects import completion, unrecorded
from tests.simulation.invariants.short_histories import history_of


def read(story: str) -> HistoryIndex:
    return index_to_judge(history_of(story))


def test_entry_names_its_delivery():
    """An entry belongs to the delivery that it names."""
    index = read("""
        0s   delivered     a  @c1  delivery=7
        1s   delivered     a  @c1  delivery=8
        2s   acknowledged  a  @c1  delivery=7
        3s   rejected      a  @c1  delivery=8
    """)
    assert [(d.closing, d.closed) for d in index.events["a"].deliveries] == [("acknowledged", 2), ("rejected", 3)]


def test_entry_without_delivery():
    """An entry that names no delivery belongs to the latest one of its consumer."""
    index = read("""
        0s   delivered     a  @c1
        1s   delivered     a  @c2
        2s   acknowledged  a  @c1
    """)
    assert [d.closing for d in index.events["a"].deliveries] == ["acknowledged", ""]


def test_two_deliveries_two_refusals():
    """Each of two deliveries is closed by a refusal of its own."""
    index = index_to_judge(
        history_of("""
        0s   delivered     a  @c1
        1s   delivered     a  @c1
        2s   refused       a  @c1  because=held
        3s   refused       a  @c1  because=held
        """)
    )
    assert [d.closed for d in index.events["a"].deliveries] == [3, 2]


def test_refused_delivery_acknowledged():
    """A refused delivery is closed and may be acknowledged still."""
    index = read("""
        0s   delivered     a  @c1  delivery=1
        0s   refused       a  @c1  because=held
        5s   delivered     a  @c1  delivery=2
        5s   refused       a  @c1  because=seen
        5s   acknowledged  a  @c1  delivery=2
    """)
    assert [(d.closing, d.closed) for d in index.events["a"].deliveries] == [("refused", 1), ("acknowledged", 4)]


def test_handling_without_delivery():
    """A handling belongs to the delivery only if it was delivered."""
    index = read("""
        0s   delivered  a  @c1
        1s   started    a  @c1  handling=1
        1s   started    a  @c1  handling=2  via=released
        2s   ended      a  @c1  handling=1  outcome=ok
    """)
    first, second = index.events["a"].handlings
    assert first.delivery is index.events["a"].deliveries[0]
    assert second.delivery is None
    assert (first.end, second.end) == (3, -1)


def test_crash_ends_handlings():
    """A crash ends handlings and deliveries and a late write is still noted."""
    index = read("""
        0s   delivered  a  @c1
        1s   started    a  @c1
        2s   crashed    @c1
        3s   ended      a  @c1  outcome=ok  write=accepted
    """)
    [handling] = index.events["a"].handlings
    assert (handling.end, handling.outcome, handling.cut) == (2, "unknown", True)
    assert index.events["a"].effects == [handling]
    assert index.events["a"].deliveries[0].closing == "crashed"


def test_an_end_without_a_start_is_nothing():
    assert not read("0s ended a @c1 outcome=ok").events


def test_leader_by_name_or_id():
    """A leader may be named by name or by id and need not exist."""
    index = read("""
        0s   published  a  id=1d-a
        0s   published  b  id=1d-b  follows=1d-a
        0s   published  c  follows=b
        0s   published  d  follows=absent
        0s   published  e  id=1d-e  follows=1d-e
    """)
    assert [index.events[name].leader for name in "abcde"] == ["", "a", "b", "absent", ""]
    assert index.events["absent"].followers == ["d"]


def test_cycles_and_roots():
    index = read("""
        0s   published  a  follows=c
        0s   published  b  follows=a
        0s   published  c  follows=b
        0s   published  d  follows=c
        0s   published  y  follows=x
        0s   published  z  follows=y
    """)
    assert set(index.cycles) == {"a", "b", "c"}
    assert {index.roots[name] for name in "abcd"} == {index.roots["a"]}
    assert {index.roots[name] for name in "yz"} == {"x"}


def test_joined_consumer():
    """A consumer that joins was not there before and any other was."""
    index = read("""
        5s   joined   @c1
        6s   started  a  @c2
        7s   crashed  @c2
        9s   joined   @c2
    """)
    assert index.consumers["c1"].down == [(0, 5_000_000)]
    assert index.consumers["c2"].down == [(7_000_000, 9_000_000)]


def test_clock_without_consumers():
    """The clock stands still while no consumer can work."""
    index = read("""
        0s   joined       @c1
        0s   joined       @c2
        1s   crashed      @c1
        2s   paused       @c2
        4s   resumed      @c2
        6s   unreachable
        7s   reachable
        9s   joined       @c1
    """)
    assert index.clock.still == [(2_000_000, 4_000_000), (6_000_000, 7_000_000)]
    assert index.clock.elapsed(0, 9_000_000) == 6_000_000
    assert index.clock.elapsed(3_000_000, 6_500_000) == 2_000_000


def test_death_ends_pauses_not_cuts():
    """A dead consumer is no longer paused and two cuts need two repairs."""
    index = read("""
        0s   paused       @c1
        1s   crashed      @c1
        2s   joined       @c1
        3s   unreachable  @c1
        4s   unreachable  @c1
        5s   reachable    @c1
        6s   reachable    @c1
    """)
    assert index.consumers["c1"].paused == [(0, 1_000_000)]
    assert index.consumers["c1"].cut_off == [(3_000_000, 6_000_000)]


def test_moving_slot():
    """A slot that moves keeps all consumers from renewing."""
    index = read("""
        0s   joined       @c1
        1s   slot-moving
        2s   slot-moving
        3s   slot-moved
        6s   slot-moved
        7s   slot-moving
        8s   resumed      @c1
    """)
    assert index.clock.still == index.silences("c1") == [(1_000_000, 6_000_000), (7_000_000, 8_000_000)]
    assert not index.outages
    assert not index.open_outage


def test_completion_is_the_first_record():
    """The completion of an event is the first effect that was recorded."""
    index = read("""
        0s    started  a  @c1
        1s    ended    a  @c1  outcome=ok
        1s    crashed  @c1
        17s   started  a  @c2
        18s   ended    a  @c2  outcome=ok
        19s   started  a  @c3
        20s   ended    a  @c3  outcome=ok
    """)
    first, second, _ = index.events["a"].effects
    assert unrecorded(index, first, second.start)
    assert completion(index, index.events["a"]) is second


def test_loss_touches_named_events():
    """A loss touches the events that its keys name or else any."""

    def touched(keys: object) -> frozenset[str] | None:
        history = history_of("0s published a id=1d-a\n0s published b id=1d-b\n1s store-lost")
        history.entries[2].details["keys"] = keys
        return index_to_judge(history).store_losses[0].events

    assert touched(["causim:{x}:seen:1d-a"]) == {"a"}
    assert touched(["seen/1d-a", "lease/b"]) == {"a", "b"}
    assert touched({"seen/1d-a": {"type": "string"}}) == {"a"}
    for anything in (["seen/1d-a", "waitlist"], [], None, 7, "*"):
        assert touched(anything) is None


def test_dead_letter_closes_deliveries():
    """A dead letter closes the deliveries that are open or those of the consumer that it names."""
    story = """
        0s   delivered      a  @c1  delivery=1
        0s   rejected       a  @c1  delivery=1
        1s   delivered      a  @c1  delivery=2
        1s   delivered      a  @c2  delivery=3
        2s   dead-lettered  a  {}
    """
    closings = [[d.closing for d in read(story.format(who)).events["a"].deliveries] for who in ("", "@c2")]
    assert closings == [["rejected", "dead-lettered", "dead-lettered"], ["rejected", "", "dead-lettered"]]
