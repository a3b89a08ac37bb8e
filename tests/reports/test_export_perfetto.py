import json
from collections import Counter, defaultdict
from itertools import pairwise

import pytest
from exported_histories import crowded, led, unfinished
from toy_history import MS, S, toy, toy_run
from trace_importer import Rejected, import_trace

from reports.exports import perfetto
from simulation.history.entries import Header
from simulation.history.history import History

SLICES = {"published": "published", "delivered": "delivery", "started": "handling", "command": "request"}
RANKS = {"i": 0, "C": 0, "X": 1, "s": 2, "f": 3}


def trace(history, violations=()):
    text = "".join(perfetto.write(history, violations))
    return json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))["traceEvents"]


def of(events, phase, category=None):
    return [e for e in events if e["ph"] == phase and category in (None, e.get("cat"))]


def nano(time):
    return round(time * 1000)


def span(record):
    return nano(record["ts"]), nano(record["ts"]) + nano(record["dur"])


def by_thread(events):
    threads = defaultdict(list)
    for record in of(events, "X"):
        threads[record["tid"]].append(span(record))
    return threads


def test_slices_of_a_thread_never_overlap(anything):
    for spans in by_thread(trace(anything)).values():
        spans.sort()
        assert all(begin < end for begin, end in spans)
        assert all(end <= begin for (_, end), (begin, _) in pairwise(spans))


def test_one_slice_each(anything):
    """Each handling delivery publication and request is one slice."""
    events = trace(anything)
    for kind, category in SLICES.items():
        shown = sorted(record["args"]["entry"] for record in of(events, "X", category))
        assert shown == [index for index, entry in enumerate(anything) if entry.kind == kind]


def test_every_entry_is_shown(anything):
    """Every entry is shown or ends what is shown."""
    events = trace(anything)
    shown = Counter(e["args"]["entry"] for e in [*of(events, "X"), *of(events, "i")])
    assert all(count == 1 for count in shown.values())
    hidden = [entry.kind for index, entry in enumerate(anything) if index not in shown]
    assert set(hidden) <= {"ended", "reply"}
    ended = sum(e["args"]["outcome"] not in ("open", "unknown") for e in of(events, "X", "handling"))
    unknown = sum(e["args"]["outcome"] == "unknown" for e in of(events, "X", "handling"))
    assert ended <= hidden.count("ended") <= ended + unknown


def test_arrow_ends_are_within_slices(anything):
    """Arrows have both ends and each end is within a slice."""
    events = trace(anything)
    threads = by_thread(events)
    leaves = {e["id"]: (place, e) for place, e in enumerate(events) if e["ph"] == "s"}
    enters = {e["id"]: (place, e) for place, e in enumerate(events) if e["ph"] == "f"}
    assert leaves.keys() == enters.keys()
    assert len(leaves) == len(of(events, "s"))
    assert len(enters) == len(of(events, "f"))
    for number, (place, start) in leaves.items():
        later, finish = enters[number]
        assert place < later
        assert (start["name"], start["cat"]) == (finish["name"], finish["cat"])
        assert finish["bp"] == "e"
        for end in (start, finish):
            assert any(begin <= nano(end["ts"]) < until for begin, until in threads[end["tid"]])


def test_events_in_order(anything):
    """Events come in order of time and slices before what holds on to them."""
    events = [e for e in trace(anything) if e["ph"] != "M"]
    keys = [(nano(e["ts"]), RANKS[e["ph"]]) for e in events]
    assert keys == sorted(keys)


def test_threads_have_one_process(anything):
    """A thread belongs to one process and has a name."""
    events = trace(anything)
    named = {(e["pid"], e["tid"]) for e in of(events, "M") if e["name"] == "thread_name"}
    used = {(e["pid"], e["tid"]) for e in events if e["ph"] != "M"}
    processes = [e["pid"] for e in of(events, "M") if e["name"] == "process_name"]
    assert used <= named
    assert len({tid for _, tid in named}) == len(named)
    assert len(set(processes)) == len(processes)
    assert {pid for pid, _ in named} <= set(processes)
    assert not set(processes) & {tid for _, tid in named}


def test_followers_that_are_parked_are_counted(anything):
    heights = [e["args"]["parked"] for e in of(trace(anything), "C")]
    assert min(heights) >= 0
    assert max(heights) <= len({entry.event for entry in anything.of("parked")})


def test_the_same_history_gives_the_same_bytes(anything):
    assert "".join(perfetto.write(anything)) == "".join(perfetto.write(anything))


def test_strict_viewer_keeps_everything(anything):
    """A strict viewer loses no slice and no arrow."""
    text = "".join(perfetto.write(anything))
    shown, events = import_trace(text), trace(anything)
    assert shown.slices == len(of(events, "X"))
    assert len(shown.arrows) == len(of(events, "s"))
    assert shown.depth <= 1


def test_strict_viewer_arrows(real_runs):
    """A strict viewer leads arrows from event to event along causes."""
    history = real_runs["late-leader"].history
    leaders = {entry.event: entry.details["follows"] for entry in history.of("published")}
    names = {entry.details["id"]: entry.event for entry in history.of("published")}
    arrows = import_trace("".join(perfetto.write(history))).arrows
    assert len(arrows) > 6
    for category, leaves, enters in arrows:
        source, target = leaves.split(" ")[0], enters.split(" ")[0]
        leader = leaders[target]
        assert source == (names.get(leader, leader) if category == "release" else target)


def altered(change):
    """A trace of one leader and its follower, of which one event was changed."""
    file = json.loads("".join(perfetto.write(led())))
    change(file["traceEvents"])
    return json.dumps(file)


def the_first(events, phase):
    return next(event for event in events if event["ph"] == phase)


SPOILT = {
    "outlasts": lambda events: events.insert(
        events.index(the_first(events, "X")) + 1, {**the_first(events, "X"), "dur": 1}
    ),
    "in no slice": lambda events: the_first(events, "f").update(tid=the_first(events, "i")["tid"]),
    "never arrive": lambda events: events.remove(the_first(events, "f")),
    "never left": lambda events: events.remove(the_first(events, "s")),
    "out of order": lambda events: events.append(the_first(events, "X")),
    "no length": lambda events: the_first(events, "X").update(dur=0),
    "without a name": lambda events: events.remove(
        next(e for e in events if e["name"] == "process_name" and e["pid"] == the_first(events, "X")["pid"])
    ),
    "wrong type": lambda events: the_first(events, "X").update(ts="5"),
    "numbers": lambda events: the_first(events, "C").update(args={"parked": "1"}),
}


@pytest.mark.parametrize("why", SPOILT)
def test_the_strict_viewer_is_strict(why):
    assert import_trace(altered(lambda events: None)).slices
    with pytest.raises(Rejected, match=why):
        import_trace(altered(SPOILT[why]))


def threads(events):
    return {e["tid"]: e["args"]["name"] for e in of(events, "M") if e["name"] == "thread_name"}


def processes(events):
    return [e["args"]["name"] for e in of(events, "M") if e["name"] == "process_name"]


def test_arrows_lead_to_handlings():
    """Arrows lead from publication to handling and from leader to follower."""
    events = trace(led())
    arrows = {(e["cat"], e["id"]): e["ts"] for e in of(events, "s")}
    ends = {e["id"]: e["ts"] for e in of(events, "f")}
    drawn = sorted((cat, at, ends[number]) for (cat, number), at in arrows.items())
    assert drawn == [
        ("delivery", 21 * MS, 21 * MS),
        ("publication", 1 * MS, 20 * MS),
        ("publication", 2 * MS, 5 * MS),
        ("release", 30 * MS - 0.001, 32 * MS),
    ]


def test_waiting_counter():
    """A follower that waits is counted until it is handled."""
    counts = [(e["ts"], e["args"]["parked"]) for e in of(trace(led()), "C")]
    assert counts == [(0, 0), (6 * MS, 1), (32 * MS, 0)]


def test_a_real_run_has_a_process_for_each_place(real_runs):
    events = trace(real_runs["late-leader"].history)
    assert processes(events) == ["run", "broker", "Redis", "c1", "c2", "c3"]
    assert Counter(e["cat"] for e in of(events, "s")) == {"publication": 4, "delivery": 1, "release": 3}
    assert "Redis" not in processes(trace(real_runs["crashing-consumers"].history))


def test_overlapping_handlings():
    """Overlapping handlings get threads of their own."""
    h = History(Header())
    for n in range(3):
        h.append(n, "started", f"e{n}", "c1", handling=n)
    for n in range(3):
        h.append(10 + n, "ended", f"e{n}", "c1", handling=n, outcome="ok")
    h.append(20, "started", "e3", "c1", handling=3)
    events = trace(h)
    names = threads(events)
    lanes = {e["name"]: names[e["tid"]] for e in of(events, "X")}
    assert lanes == {"e0": "handlings", "e1": "handlings 2", "e2": "handlings 3", "e3 (open)": "handlings"}


def test_open_ends():
    """What a crash cut off ends with the crash and what is open with the history."""
    events = trace(unfinished())
    spans = [(e["name"], e["ts"], e["ts"] + e["dur"]) for e in of(events, "X", "handling")]
    assert spans == [("a (unknown)", 1, 5), ("b (unknown)", 2, 5), ("a (open)", 7, 8)]
    deliveries = [(e["name"], e["ts"], e["ts"] + e["dur"]) for e in of(events, "X", "delivery")]
    assert deliveries == [("a (crashed)", 0, 5), ("b (crashed)", 0, 5), ("a (open)", 7, 8)]


def test_publications_share_threads():
    """Publications of one moment share a few threads."""
    names = threads(trace(crowded()))
    assert sorted(name for name in names.values() if name.startswith("published")) == [
        "published",
        "published 2",
        "published 3",
    ]


def test_faults_and_violations():
    """Faults and violations are moments of the run."""
    run = toy_run(80, 3, forget=0.2, seed=3)
    assert run.judgement.violations
    events = trace(run.history, run.judgement.violations)
    names = threads(events)
    shown = of(events, "i", "violation")
    assert {names[e["tid"]] for e in shown} == {"violations"}
    assert sorted((e["args"]["witness"], e["args"]["because"]) for e in shown) == sorted(
        (list(v.witness), v.because) for v in run.judgement.violations
    )
    faults = [e for e in of(events, "i") if names[e["tid"]] == "faults"]
    assert [(e["pid"], e["name"]) for e in faults] == [(1, "fault slow-network"), (1, "healed slow-network")]


@pytest.mark.parametrize("kind", ["parked", "dropped", "dead-lettered", "crashed"])
def test_instants(kind):
    """What takes no time is a moment where it happened."""
    h = History(Header())
    h.append(1 * S, kind, "a", "" if kind in ("dropped", "dead-lettered") else "c1")
    (moment,) = of(trace(h), "i")
    assert (moment["name"], moment["ts"], moment["s"]) == (f"{kind} a", 1 * S, "t")
    assert moment["pid"] == (2 if kind in ("dropped", "dead-lettered") else 3)


def test_lanes_are_taken_greedily_and_given_back():
    events = trace(toy(300, 1, gap=2 * MS))
    running = most = 0
    for _, step in sorted(x for e in of(events, "X", "handling") for x in ((span(e)[0], 1), (span(e)[1], -1))):
        running += step
        most = max(most, running)
    lanes = [name for name in threads(events).values() if name.startswith("handlings")]
    assert most > 2
    assert len(lanes) == most
