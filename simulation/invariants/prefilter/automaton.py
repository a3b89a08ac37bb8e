"""The prefilter: leaves out of a long history, before it is indexed, the families that no invariant can reject.

It reads the parsed lines once and follows each event along the courses that need no judging. In all of them an event is
published first, and handled once, with success and in time, by a consumer that stays alive:

    delivered, started, ended, acknowledged                          after its leader's handling had ended
    (delivered, parked, acknowledged)+, started as released, ended   by the consumer that had handled its leader

After either it may be delivered again, refused as seen and acknowledged; the broker may duplicate it at any time except
during a delivery or a handling. All other lines about events, all lines about none, and all lines of a family of which
one member left its course, are indexed. What is left out is trivial; `trivial.py` says why.

A doubtful family is indexed: that costs time and changes no judgement. If a line cannot be read, the prefilter stops,
everything is indexed, and the reader of the history reports the line.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from simulation.history.entries import Entry, Terms
from simulation.history.lost_keys import WORDS
from simulation.history.records import TrivialCounts
from simulation.invariants.prefilter.columns import EARLY, MAX_REPEATS, REORDERED, Columns
from simulation.invariants.prefilter.trivial import bound_of

if TYPE_CHECKING:
    from simulation.history.history_file import FileEntries

_BEGINNINGS = frozenset({"published", "delivered", "parked", "started", "dead-lettered"})
"""The kinds of entries that always put their event into the index."""

_UNHASHABLE = frozenset({list, dict})
_KEPT = frozenset({None, "", "accepted"})
_ENDED = frozenset({None, "", "ok"})
_TAKEN = frozenset({"ok", "accepted"})

_Record = dict[str, Any]
_Course = Generator[int, _Record, None]
"""Is sent each entry of an event, and yields the event's family until one leaves the course."""


class Prefiltered(NamedTuple):
    """The result of the prefilter for a history."""

    times: array[int]
    """The time of each entry."""
    kept: Sequence[int]
    """For each entry, whether it must be indexed."""
    trivial: TrivialCounts
    """The events that are left out."""
    counts: Mapping[str, int]
    """Number of entries that are left out, by their kinds."""


class Prefilter:
    """Follows all events of one history along the courses."""

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self._bound = bound_of(terms)
        self._times: array[int] = array("q")
        self._families = array("I")
        """The family of each entry on a course; 0 for any other."""
        self._nontrivial = bytearray(b"\1")
        """For each family, whether it must be indexed."""
        self._courses: dict[str | None, Callable[[_Record], int]] = {}
        """The events that are amid a course, or left it."""
        self._columns = Columns()
        self._consumers: dict[str, int] = {}
        """The number of every consumer that was mentioned, from 0 on."""
        self._gone = array("q")
        """The index of the last departure of each consumer, 0 if none."""
        self._mentioned: set[str] = set()
        """Possible names and ids of events whose families are not trivial."""
        self.unresolved_ids: set[str] = set()
        """Possible ids of such events: those that are no event's name."""

    def follow(self, records: Iterable[_Record]) -> None:
        """Read all parsed lines. Raises ValueError, KeyError, TypeError or OverflowError if one is not understood."""
        courses, begin, before = self._courses, self._begin, 0
        add_time, add_family = self._times.append, self._families.append
        for record in records:
            at = record["at"]
            if at.__class__ is not int or at < before:
                raise ValueError(f"no time, or one before {before}: {at!r}")
            before = at
            add_time(at)
            follow = courses.get(record.get("event"))
            try:
                add_family(follow(record) if follow else begin(record))
            except (KeyError, StopIteration):
                add_family(0)
                self._examine(record)
        columns, numbers = self._columns, self._columns.numbers
        for event in (*courses, *self._mentioned):
            self._nontrivial[columns.family[numbers.get(event or "", 0)]] = True
        self.unresolved_ids.update(self._mentioned - numbers.keys())

    def _begin(self, record: _Record) -> int:
        """Begin to follow an event, and return its family; that of no event is 0. Raises KeyError if it is unusual."""
        event, columns = record["event"], self._columns
        if number := columns.numbers.get(event):
            return self._more(event, number, record)
        fingerprint, leader = record["fingerprint"], record.get("follows")
        if record["kind"] != "published" or "consumer" in record:
            raise KeyError(event)
        if not (event.__class__ is fingerprint.__class__ is str and event and fingerprint):
            raise KeyError(event)
        if leader:
            leads = columns.numbers[leader]
            number = columns.add(event, columns.family[leads])
            occurred = record.get("occurred")
            columns.follow(number, leads, occurred if isinstance(occurred, int) else record["at"])
        else:
            leads, number = 0, columns.add(event, len(self._nontrivial))
            self._nontrivial.append(False)
        course = self._handled_course(event, number, leads, fingerprint)
        self._courses[event] = course.send
        return next(course)

    def _more(self, event: str, number: int, record: _Record) -> int:
        """Go on with an event that had come to the end of a course. Raises KeyError if that is unusual."""
        columns = self._columns
        if record["kind"] == "duplicated":
            self._duplicate(number, record)
            return columns.family[number]
        late = record["at"] - self._times[columns.ended[number]] >= self._terms.retention
        if late or record["attempt"].__class__ is not int or columns.repeats[number] == MAX_REPEATS:
            raise KeyError(event)
        self._delivery(record)
        course = self._repeated_course(event, number, record)
        self._courses[event] = course.send
        return next(course)

    def _duplicate(self, number: int, record: _Record) -> None:
        """Take note that the broker will deliver an event once more. Raises KeyError if that is unusual."""
        if "consumer" in record or self._columns.duplicates[number] == MAX_REPEATS:
            raise KeyError(number)
        self._columns.duplicates[number] += 1

    def _delivery(self, record: _Record) -> None:
        """Raise KeyError unless an entry is a first attempt to deliver an event to a known consumer."""
        if (
            record["kind"] != "delivered"
            or record.get("attempt", 1) != 1
            or record["consumer"] not in self._consumers
            or record["delivery"].__class__ in _UNHASHABLE
        ):
            raise KeyError(record["kind"])

    def _answered(self, record: _Record, delivered: _Record, index: int) -> bool:
        """Return whether an entry acknowledges the delivery at an index."""
        return bool(
            record["kind"] == "acknowledged"
            and _same(record, delivered)
            and self._gone[self._consumers[record["consumer"]]] <= index
            and record["at"] - delivered["at"] <= self._bound
        )

    def _handled_course(self, event: str, number: int, leads: int, fingerprint: str) -> _Course:
        """Follow an event that was published. Raises KeyError if an entry does not say all that it should."""
        columns, times = self._columns, self._times
        family = columns.family[number]
        record = yield family
        while record["kind"] == "duplicated":
            self._duplicate(number, record)
            record = yield family
        self._delivery(record)
        delivered, index, consumer = record, len(times) - 1, record["consumer"]
        columns.delivered[number] = index
        record = yield family
        if record["kind"] == "parked":
            if _parked(record, delivered):
                wait = self._parked_course(event, number, leads, fingerprint, delivered)
                self._courses[event] = wait.send
                yield next(wait)
            return
        handling = record["handling"]
        if (
            record["kind"] != "started"
            or record["consumer"] != consumer
            or record["fingerprint"] != fingerprint
            or record.get("via", "delivered") != "delivered"
            or "delivery" in record
            or handling.__class__ in _UNHASHABLE
        ):
            return
        columns.holder[number] = self._consumers[consumer]
        if leads:
            if not 0 < columns.ended[leads] < index:
                return
            columns.started[number] = len(times) - 1
        record = yield family
        if not _good_end(record, consumer, handling):
            return
        columns.ended[number] = len(times) - 1
        record = yield family
        if self._answered(record, delivered, index):
            del self._courses[event]
            yield family

    def _parked_course(self, event: str, number: int, leads: int, fingerprint: str, delivered: _Record) -> _Course:
        """Follow an event that was just parked, until its leader's holder has handled it."""
        columns, times = self._columns, self._times
        family, index = columns.family[number], columns.delivered[number]
        columns.parked[number] = len(times) - 1
        if not columns.delivered[leads]:
            columns.marks[number] |= EARLY
        while True:
            record = yield family
            if not self._answered(record, delivered, index):
                return
            columns.parkings[number] += 1
            record = yield family
            while record["kind"] == "duplicated":
                self._duplicate(number, record)
                record = yield family
            if record["kind"] != "delivered":
                break
            if record["attempt"].__class__ is not int or columns.parkings[number] == MAX_REPEATS:
                return
            self._delivery(record)
            delivered, index = record, len(times) - 1
            record = yield family
            if not _parked(record, delivered):
                return
        consumer, handling, begun = record["consumer"], record["handling"], len(times) - 1
        if not self._was_released(record, number, leads, fingerprint):
            return
        columns.started[number], columns.holder[number] = begun, self._consumers[consumer]
        record = yield family
        if not _good_end(record, consumer, handling) or self._gone[self._consumers[consumer]] > begun:
            return
        if record["at"] - times[begun] > self._bound:
            return
        columns.ended[number] = len(times) - 1
        del self._courses[event]
        yield family

    def _was_released(self, record: _Record, number: int, leads: int, fingerprint: str) -> bool:
        """Say whether an entry begins the handling of an event that was parked, by its leader's holder, in time."""
        return bool(
            record["kind"] == "started"
            and self._columns.ended[leads]
            and self._consumers[record["consumer"]] == self._columns.holder[leads]
            and record["fingerprint"] == fingerprint
            and record["via"] == "released"
            and record["handling"].__class__ not in _UNHASHABLE
            and self._in_time(number, leads)
        )

    def _in_time(self, number: int, leads: int) -> bool:
        """Say whether an event that starts now has waited neither for its leader to come, nor after it, too long."""
        columns, times, terms = self._columns, self._times, self._terms
        first, came, parked = columns.delivered[number], columns.delivered[leads], columns.parked[number]
        if came > first:
            columns.marks[number] |= REORDERED
        lost = times[came] - times[parked] > terms.lookback + terms.sweep_interval + terms.release_bound
        return not lost and times[-1] - times[max(first, columns.ended[leads])] <= self._bound

    def _repeated_course(self, event: str, number: int, delivered: _Record) -> _Course:
        """Follow a delivery of an event that was handled before."""
        family, index = self._columns.family[number], len(self._times) - 1
        record = yield family
        if record["kind"] != "refused" or record["because"] != "seen" or not _same(record, delivered):
            return
        record = yield family
        if self._answered(record, delivered, index):
            self._columns.repeats[number] += 1
            del self._courses[event]
            yield family

    def _examine(self, record: _Record) -> None:
        """Mark an entry to be indexed, and the families of the events in it."""
        _, kind, event, consumer, details = Entry.from_record(record)
        if event:
            if event not in self._columns.numbers and kind not in _BEGINNINGS:
                self.unresolved_ids.add(event)  # for the index it is no event yet
            self._leave(event)
        if consumer:
            number = self._consumers.setdefault(consumer, len(self._gone))
            if number == len(self._gone):
                self._gone.append(0)
            if kind in ("crashed", "stopped"):
                self._gone[number] = len(self._times) - 1
        if kind == "published" and (leader := details.get("follows")):
            self._mentioned.add(str(leader))
        elif kind == "store-lost":
            self._mentioned.update(word for key in details.get("keys") or () for word in WORDS.findall(str(key)))

    def _leave(self, event: str) -> None:
        """Stop following an event: its family is not trivial."""
        columns = self._columns
        number = columns.numbers.get(event)
        if number is None:
            number = columns.add(event, len(self._nontrivial))
            self._nontrivial.append(True)
        self._nontrivial[columns.family[number]] = True
        self._courses[event] = _left

    def identify(self, records: Iterable[_Record]) -> None:
        """Read all parsed lines again, for the events that were mentioned by their ids."""
        for record in records:
            if record["kind"] == "published" and str(record.get("id")) in self.unresolved_ids:
                self._nontrivial[self._columns.family[self._columns.numbers[record["event"]]]] = True

    def result(self) -> Prefiltered:
        """Return the times, the entries to index, and the counts of the others."""
        nontrivial, columns = self._nontrivial, self._columns
        for leader in columns.siblings:
            if not nontrivial[columns.family[leader]] and columns.waited(leader) and not columns.in_turn(leader):
                nontrivial[columns.family[leader]] = True
        trivial, counts = columns.trivial(nontrivial)
        return Prefiltered(self._times, bytes(map(nontrivial.__getitem__, self._families)), trivial, counts)


def _left(_: _Record) -> int:
    """Be the life of an event that left its course."""
    raise StopIteration


def _same(record: _Record, delivered: _Record) -> bool:
    """Say whether an entry is about that delivery."""
    return bool(record["consumer"] == delivered["consumer"] and record["delivery"] == delivered["delivery"])


def _parked(record: _Record, delivered: _Record) -> bool:
    return record["kind"] == "parked" and _same(record, delivered)


def _good_end(record: _Record, consumer: str, handling: object) -> bool:
    return bool(
        record["kind"] == "ended"
        and record["consumer"] == consumer
        and record["handling"] == handling
        and (record.get("outcome") or record.get("write")) in _TAKEN
        and record.get("outcome") in _ENDED
        and record.get("write") in _KEPT
    )


def leave_out_trivial(entries: FileEntries, terms: Terms) -> Prefiltered | None:
    """Sift a history that is kept in a file; return nothing if one of its lines is not understood."""
    prefilter = Prefilter(terms)
    try:
        prefilter.follow(entries.records())
        if prefilter.unresolved_ids:
            prefilter.identify(entries.records())
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    return prefilter.result()
