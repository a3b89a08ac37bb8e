"""Histories for https://ui.perfetto.dev and chrome://tracing: the Chrome trace-event format, as JSON.

A process is a place: the run, the broker, Redis if the run was traced, each consumer. Slices of one thread must not
overlap, or a viewer drops them, so what overlaps goes to threads of its own: `handlings`, `handlings 2`, and so on.

Times are microseconds. A slice that took no time is drawn one microsecond long, for an arrow needs something to hold
on to, and publications of the same microsecond lie side by side within it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from reports.exports.causes import BROKER, REDIS, WORLD, Effects, Place, deliveries_of, exchanges, place_of
from reports.exports.text import compact, whole
from reports.exports.threads import Lanes
from reports.page.marks import natural, settled_at
from reports.text.sentences import sentence
from simulation.history.indexer import index_of
from simulation.history.records import NEVER

if TYPE_CHECKING:
    from simulation.history.entries import Entry
    from simulation.history.history import History
    from simulation.history.records import Handling
    from simulation.invariants import Violation

_US = 1000
"""Times are counted in nanoseconds here, so that an arrow can leave a slice just before its end."""

_NAMES = {WORLD: "run", BROKER: "broker", REDIS: "Redis"}
_THREADS: Mapping[str, str] = {"fault": "faults", "healed": "faults", "phase": "phases"}
"""The threads of the kinds that do not stand among the other moments of their place."""

_GROUPS = ("violations", "phases", "faults", "moments", "published", "requests", "deliveries", "handlings")
"""The groups of threads, in the order in which they stand within a process."""

_META, _MOMENT, _SLICE, _LEAVES, _ENTERS = range(5)
"""The order of records at the same time: a slice before the arrows that hold on to it."""

_SLICES = frozenset({"published", "delivered", "started", "command"})
"""The kinds that begin a slice; every other entry ends one or is drawn as a moment."""

Record = dict[str, Any]


class Track(NamedTuple):
    """A thread and the process that it belongs to, by their numbers."""

    process: int
    thread: int


class Slice(NamedTuple):
    """A stretch of time on a track, in nanoseconds."""

    begin: int
    end: int
    track: Track


def write(history: History, violations: Sequence[Violation] = ()) -> Iterator[str]:
    """Yield the trace, a line an event."""
    header = history.header
    about = {"scenario": header.scenario, "seed": header.seed, "engine": header.engine, "store": header.store}
    about |= {"version": header.version, "truncated": history.truncated}
    yield '{"displayTimeUnit":"ms","otherData":' + compact(about) + ',"traceEvents":[\n'
    for number, record in enumerate(Trace(history, violations).records()):
        yield (",\n" if number else "") + compact(record)
    yield "\n]}\n"


class Trace:
    """The trace of one history."""

    def __init__(self, history: History, violations: Sequence[Violation]) -> None:
        self._history = history
        self._violations = violations
        self._index = index_of(history)
        self._processes = {place: number for number, place in enumerate(_places(history), start=1)}
        self._tracks: dict[tuple[Place, str, int], Track] = {}
        self._lanes: dict[tuple[Place, str], Lanes] = {}
        self._found: list[tuple[int, int, Record]] = []
        self._arrows = 0
        self._published: dict[str, tuple[int, Slice]] = {}
        self._delivered: dict[int, Slice] = {}
        self._handled: dict[int, Slice] = {}

    def records(self) -> Iterator[Record]:
        """Yield the events of the trace in order of time."""
        for place, number in self._processes.items():
            self._name_process(place, number)
        self._publish()
        self._deliver()
        self._handle()
        self._ask()
        self._lead()
        self._note()
        self._count_parked()
        self._found.sort(key=lambda found: found[:2])
        for _, _, record in self._found:
            yield record

    # -- slices ----------------------------------------------------------------------------------------------

    def _publish(self) -> None:
        at_once: Counter[int] = Counter()
        for index, entry in enumerate(self._history):
            if entry.kind != "published":
                continue
            lane, place = divmod(at_once[entry.at], _US)
            at_once[entry.at] += 1
            begin = entry.at * _US + place
            drawn = Slice(begin, begin + 1, self._track(BROKER, "published", lane))
            self._slice(drawn, entry.event, "published", _args(index, entry))
            self._published.setdefault(entry.event, (index, drawn))

    def _deliver(self) -> None:
        for delivery in self._index.deliveries():
            place = self._place(delivery.consumer)
            until = self._index.end_at if delivery.closed == NEVER else delivery.closed_at
            drawn = self._in_lane(place, "deliveries", delivery.at, until)
            name = delivery.event if delivery.outcome == "acknowledged" else f"{delivery.event} ({delivery.outcome})"
            args = {"entry": delivery.index, "attempt": delivery.attempt, "outcome": delivery.outcome}
            self._slice(drawn, name, "delivery", {**args, "because": delivery.because})
            self._delivered[delivery.index] = drawn
            published = self._published.get(delivery.event)
            if published and published[0] < delivery.index:
                self._arrow("publication", published[1], published[1].begin, drawn)

    def _handle(self) -> None:
        for handling in self._index.handlings():
            until = self._index.end_at if handling.end == NEVER else handling.end_at
            drawn = self._in_lane(self._place(handling.consumer), "handlings", handling.start_at, until)
            outcome = handling.reported_outcome
            name = handling.event if outcome == "ok" else f"{handling.event} ({outcome})"
            self._slice(drawn, name, "handling", _of_handling(handling))
            self._handled[handling.start] = drawn

    def _ask(self) -> None:
        entries = self._history.entries
        for exchange in exchanges(self._history):
            asked = entries[exchange.command]
            until = asked.at if exchange.reply is None else entries[exchange.reply].at
            drawn = self._in_lane(REDIS, "requests", asked.at, until)
            args = _args(exchange.command, asked)
            if exchange.reply is not None:
                args["reply"] = sentence(entries[exchange.reply])
            name = asked.consumer if exchange.reply is not None else f"{asked.consumer} (no reply)"
            self._slice(drawn, name, "request", args)

    def _lead(self) -> None:
        """Draw the arrows that lead to handlings: from their deliveries and from their leaders' effects."""
        effects = Effects(self._index)
        for event in self._index:
            for handling, delivery in deliveries_of(event):
                drawn = self._handled[handling.start]
                if delivery is not None:
                    self._arrow("delivery", self._delivered[delivery.index], drawn.begin, drawn)
                effect = effects.before(handling) if handling.via == "released" else None
                if effect is not None:
                    source = self._handled[effect.start]
                    self._arrow("release", source, source.end, drawn)

    # -- moments and counters --------------------------------------------------------------------------------

    def _note(self) -> None:
        ends = {handling.end for handling in self._index.handlings()}
        ends |= {exchange.reply for exchange in exchanges(self._history) if exchange.reply is not None}
        for index, entry in enumerate(self._history):
            if entry.kind in _SLICES or (entry.kind in ("ended", "reply") and index in ends):
                continue
            place = place_of(entry)
            track = self._track(place, _THREADS.get(entry.kind, "moments"))
            about = entry.event or str(entry.details.get("fault") or entry.details.get("phase") or "")
            self._moment(entry.at, track, f"{entry.kind} {about}".strip(), entry.kind, _args(index, entry))
        for violation in self._violations:
            args: Record = {"because": violation.because, "witness": violation.witness}
            args |= {"events": violation.events, "consumers": violation.consumers}
            track = self._track(WORLD, "violations")
            self._moment(violation.at, track, violation.invariant, "violation", args)

    def _count_parked(self) -> None:
        steps: Counter[int] = Counter()
        for event in self._index:
            if event.parked != NEVER:
                steps[event.parked_at] += 1
                if (until := settled_at(event)) != NEVER:
                    steps[max(until, event.parked_at)] -= 1
        parked, track = 0, self._track(WORLD, "moments")
        for at in sorted({0, *steps}):
            parked += steps[at]
            record = self._record("C", at * _US, track, "parked followers", "parked")
            self._put(at * _US, _MOMENT, {**record, "args": {"parked": parked}})

    # -- writing ---------------------------------------------------------------------------------------------

    def _place(self, consumer: str) -> Place:
        return Place("consumer", consumer) if consumer else WORLD

    def _in_lane(self, place: Place, group: str, begin: int, end: int) -> Slice:
        first, last = begin * _US, max(end, begin + 1) * _US
        lane = self._lanes.setdefault((place, group), Lanes()).take(first, last)
        return Slice(first, last, self._track(place, group, lane))

    def _track(self, place: Place, group: str, lane: int = 0) -> Track:
        """Return a track, its thread's number unique among all processes, for viewers go by it alone."""
        key = (place, group, lane)
        track = self._tracks.get(key)
        if track is None:
            number = len(self._processes) + 1 + len(self._tracks)
            track = self._tracks[key] = Track(self._processes[place], number)
            name = group if not lane else f"{group} {lane + 1}"
            self._name_thread(track, name, _GROUPS.index(group) * 10_000 + lane)
        return track

    def _name_process(self, place: Place, number: int) -> None:
        name = _NAMES.get(place) or whole(place.name)
        self._put(0, _META, {"ph": "M", "pid": number, "name": "process_name", "args": {"name": name}})
        self._put(0, _META, {"ph": "M", "pid": number, "name": "process_sort_index", "args": {"sort_index": number}})

    def _name_thread(self, track: Track, name: str, order: int) -> None:
        meta = {"ph": "M", "pid": track.process, "tid": track.thread}
        self._put(0, _META, {**meta, "name": "thread_name", "args": {"name": name}})
        self._put(0, _META, {**meta, "name": "thread_sort_index", "args": {"sort_index": order}})

    def _slice(self, drawn: Slice, name: str, category: str, args: Record) -> None:
        record = self._record("X", drawn.begin, drawn.track, name, category)
        self._put(drawn.begin, _SLICE, {**record, "dur": _micro(drawn.end - drawn.begin), "args": args})

    def _moment(self, at: int, track: Track, name: str, category: str, args: Record) -> None:
        record = self._record("i", at * _US, track, name, category)
        self._put(at * _US, _MOMENT, {**record, "s": "t", "args": args})

    def _arrow(self, category: str, source: Slice, at: int, target: Slice) -> None:
        """Draw an arrow that leaves a slice at a time, or as near to it as the slice allows, and enters another."""
        self._arrows += 1
        leaves = min(max(at, source.begin), source.end - 1)
        enters = max(target.begin, leaves)
        start = self._record("s", leaves, source.track, category, category)
        self._put(leaves, _LEAVES, {**start, "id": self._arrows})
        finish = self._record("f", enters, target.track, category, category)
        self._put(enters, _ENTERS, {**finish, "id": self._arrows, "bp": "e"})

    def _record(self, phase: str, at: int, track: Track, name: str, category: str) -> Record:
        record: Record = {"ph": phase, "ts": _micro(at), "pid": track.process, "tid": track.thread}
        return {**record, "name": whole(name) or "(unnamed)", "cat": category}

    def _put(self, at: int, rank: int, record: Record) -> None:
        self._found.append((at, rank, record))


def _places(history: History) -> list[Place]:
    consumers = sorted({entry.consumer for entry in history if entry.consumer}, key=natural)
    traced = [REDIS] if any(entry.kind in ("command", "reply") for entry in history) else []
    return [WORLD, BROKER, *traced, *(Place("consumer", name) for name in consumers)]


def _micro(at: int) -> int | float:
    return at // _US if at % _US == 0 else at / _US


def _args(index: int, entry: Entry) -> Record:
    return {**entry.details, "entry": index, "says": sentence(entry)}


def _of_handling(handling: Handling) -> Record:
    args = {
        "entry": handling.start,
        "handling": handling.number,
        "via": handling.via,
        "outcome": handling.reported_outcome,
    }
    return {**args, "write": handling.write, "effect": handling.took_effect}
