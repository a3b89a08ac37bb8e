import pytest
from markupsafe import escape
from toy_history import MS, S, ToyRun, judgement, toy_run

from reports.page.marks import MOST_ROWS, free_row, natural
from reports.page.page import page
from reports.page.spacetime import layout, plain
from reports.text.narrative import narrate, numbered, story_text
from reports.text.sentences import WORDS, moment, sentence
from reports.text.violation_story import ViolationEntries
from simulation.history.entries import KINDS, Entry, Header
from simulation.history.history import History
from simulation.invariants import Violation


def violation(*witness, events=("b",), consumers=("c1",)):
    return Violation("prompt-release", 5 * S, events, consumers, "because", witness)


@pytest.fixture
def history():
    h = History(Header())
    h.append(0, "joined", consumer="c1")
    h.append(0, "joined", consumer="c2")
    h.append(1 * MS, "published", "a")
    h.append(2 * MS, "published", "b", follows="a")
    h.append(3 * MS, "published", "z")
    h.append(5 * MS, "delivered", "b", "c1", attempt=1, delivery=1)
    h.append(6 * MS, "parked", "b", "c1")  # 6
    h.append(7 * MS, "command", "", "c1", commands=[["GET", "k"], ["PING"]])
    h.append(8 * MS, "command", "", "c2", commands=[["GET", "k"]])
    h.append(9 * MS, "started", "a", "c2", handling=1, via="delivered")
    h.append(11 * MS, "ended", "a", "c2", handling=1, outcome="ok")  # 10
    h.append(12 * MS, "started", "b", "c1", handling=2, via="released")
    h.append(13 * MS, "crashed", consumer="c1", holding=["b"])
    h.append(20 * MS, "joined", consumer="c1")
    h.append(30 * S, "phase", phase="quiet")
    return h


def marks_of(history, kind, **options):
    return [m for m in layout(history, **options).marks if m.kind == kind]


def test_every_kind_of_entry_has_a_sentence():
    assert set(WORDS) == set(KINDS)
    for kind in KINDS:
        assert sentence(Entry(0, kind, "e", "c1", {}))
        assert sentence(Entry(0, kind, "{0}%s", "c1", {"because": "{x}", "keys": None, "command": 3, "holding": 1}))


def test_story_has_the_witness(history):
    story = ViolationEntries(history).story(violation(6, 10))
    words = [line.words for line in story.lines]
    assert [line.witness for line in story.lines].count(True) == 2
    assert "b was published; it follows a" in words
    assert "→ Redis: GET k; PING" in words
    assert not [w for w in words if w.startswith("z ")]
    assert story.omitted == 0


def test_long_story_keeps_its_witness():
    """A long story keeps its witness and says what it leaves out."""
    h = History(Header())
    for n in range(500):
        h.append(n, "delivered", "b", "c1", attempt=n + 1)
    story = ViolationEntries(h).story(violation(2, 400), longest=20)
    assert len(story.lines) == 20
    assert story.omitted == 480
    assert [line.at for line in story.lines if line.witness] == [2, 400]


def test_events_before_the_wire(history):
    """The entries of the events come before what went over the wire."""
    story = ViolationEntries(history).story(violation(6, 11), longest=4)
    assert story.omitted > 0
    assert not [line for line in story.lines if "Redis" in line.words]
    assert story.lines[0].words == "b was published; it follows a"


def test_missing_witness(history):
    """A story survives a witness that is not there."""
    assert ViolationEntries(history).story(violation(999)).lines
    assert ViolationEntries(History(Header())).story(violation(3)).lines == ()
    assert ViolationEntries(History(Header())).stretch(violation(3)) == (5 * S, 5 * S)


def test_moments_are_exact_to_the_microsecond():
    assert [moment(at) for at in (0, 11_500, 900 * S, 1_234_567_890)] == ["0 s", "0.0115 s", "900 s", "1,234.56789 s"]


def test_lanes():
    """Lanes are the broker the consumers in order and Redis."""
    h = History(Header())
    for name in ("c10", "c2", "c1"):
        h.append(0, "joined", consumer=name)
    assert [lane.name for lane in layout(h).lanes] == ["broker", "c1", "c2", "c10", "Redis"]


def test_names_sort_as_people_sort_them():
    assert sorted(["w2-b", "w10-a", "w2-a", "x", "3", ""], key=natural) == ["", "3", "w2-a", "w2-b", "w10-a", "x"]


def test_a_delivery_flies_from_its_publication(history):
    (delivery,) = marks_of(history, "delivery")
    assert (delivery.at, delivery.until, delivery.lane, delivery.to) == (2 * MS, 5 * MS, 0, 1)


def test_a_redelivery_flies_from_the_rejection():
    h = History(Header())
    h.append(0, "published", "a")
    h.append(1, "delivered", "a", "c1", attempt=1, delivery=1)
    h.append(5, "rejected", "a", "c1", delivery=1, because="no")
    h.append(9, "delivered", "a", "c2", attempt=2, delivery=2)
    assert [(m.at, m.until) for m in marks_of(h, "delivery")] == [(0, 1), (5, 9)]


def test_crash_shows_the_lease(history):
    """A crash ends the handling and shows how long the lease may last."""
    (handling,) = marks_of(history, "handling unknown")
    assert (handling.at, handling.until) == (12 * MS, 13 * MS)
    (lease,) = marks_of(history, "lease")
    assert (lease.at, lease.until) == (13 * MS, 13 * MS + 16 * S)
    (down,) = marks_of(history, "down")
    assert (down.at, down.until) == (13 * MS, 20 * MS)


def test_released_follower(history):
    """A released follower waits on the lane of Redis."""
    redis = len(layout(history).lanes) - 1
    (waiting,) = marks_of(history, "waiting")
    assert (waiting.lane, waiting.at) == (redis, 6 * MS)
    (released,) = marks_of(history, "released")
    assert (released.lane, released.to, released.at) == (redis, 1, 12 * MS)


def test_overlapping_handlings():
    """Handlings at the same time get rows of their own."""
    h = History(Header())
    for n, event in enumerate("abc"):
        h.append(n, "started", event, "c1", handling=n)
    h.append(5, "ended", "a", "c1", handling=0, outcome="ok")
    h.append(6, "started", "d", "c1", handling=9)
    h.append(9, "phase", phase="quiet")
    rows = {m.event: m.row for m in layout(h).marks if m.kind.startswith("handling")}
    assert rows == {0: 0, 1: 1, 2: 2, 3: 0}
    assert layout(h).lanes[1].rows == 3


def test_rows_are_bounded():
    rows = []
    assert max(free_row(rows, 0, 10 + n) for n in range(1000)) == MOST_ROWS - 1


def test_a_fault_lasts_until_it_is_healed():
    h = History(Header())
    h.append(1, "fault", fault="slow", number=1)
    h.append(2, "fault", fault="slow", number=2)
    h.append(5, "healed", fault="slow", number=1)
    h.append(9, "phase", phase="quiet")
    assert sorted((m.at, m.until) for m in marks_of(h, "fault")) == [(1, 5), (2, 2)]


def test_healing_ends_what_was_unreachable():
    h = History(Header())
    h.append(1, "unreachable", consumer="c1")
    h.append(5, "phase", phase="healing")
    h.append(9, "phase", phase="quiet")
    assert [(m.at, m.until) for m in marks_of(h, "unreachable")] == [(1, 5)]


def test_each_violation_knows_its_marks(history):
    (focus,) = layout(history, [violation(6, 10)]).foci
    kinds = {layout(history).marks[place].kind for place in focus.marks}
    assert kinds == {"parked", "handling ok"}
    assert focus.events == (1,)
    assert (focus.begin, focus.end) == (2 * MS, 12 * MS)


def test_cap_keeps_the_violation():
    """The cap keeps what violations are about and says what is gone."""
    run = toy_run(400, 5, forget=0.3)
    whole, cut = layout(run.history, run.judgement.violations), layout(run.history, run.judgement.violations, cap=300)
    assert whole.cut is None
    assert cut.cut.marks == len(whole.marks) - len(cut.marks) > 0
    about = {place for focus in whole.foci for place in focus.events}
    kept = {m for m in cut.marks if m.event in about}
    assert kept == {m for m in whole.marks if m.event in about}
    before = [m for m in whole.marks if m.at < cut.cut.since]
    assert [m for m in cut.marks if m.at < cut.cut.since] == before
    assert [len(f.marks) for f in cut.foci] == [len(f.marks) for f in whole.foci]


def test_of_a_traced_run_the_wire_goes_first(history):
    cut = layout(history, cap=len(layout(history).marks) - 1)
    assert not [m for m in cut.marks if m.kind == "command"]
    assert cut.cut.since == cut.end


def test_the_plain_form_reads_back(history):
    diagram = layout(history, [violation(6, 10)])
    record = plain(diagram)
    for mark, row in zip(diagram.marks, record["marks"], strict=True):
        assert (record["kinds"][row[0]], row[1], row[1] + row[2]) == (mark.kind, mark.at, mark.until)
        assert record["words"][row[7]] == mark.words


def test_long_narrative_keeps_its_proof():
    """A narrative that is too long keeps its proof and what stands beside it."""
    h = History(Header())
    for n in range(500):
        h.append(n, "delivered", "b", "c1", attempt=n + 1)
    narrative = narrate(h, violation(2, 400), longest=20)
    assert len(narrative.lines) == 20
    assert narrative.unlisted == 401 - 20
    assert [line.number for line in narrative.lines if line.witness] == [3, 401]
    gaps = [text for text, _ in numbered(narrative) if text.startswith("      …")]
    assert len(gaps) == 1


def test_one_story_everywhere(history):
    """Page command line and notebook tell one story."""
    broken = violation(6, 10)
    narrative = narrate(history, broken)
    text = page(ToyRun(history, judgement([broken])))
    for line in narrative.lines:
        assert str(escape(line.words)) in text
        assert line.words in story_text(history, [broken])
    assert "Redis: " not in "".join(line.words for line in narrative.lines)
