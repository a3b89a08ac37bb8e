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
from simulation.history.indexer import WORDS
from simulation.history.records import TrivialCounts
from simulation.invariants.prefilter.columns import EARLY, MOST, REORDERED, Columns
from simulation.invariants.prefilter.trivial import bound_of

if TYPE_CHECKING:
    from simulation.history.history_file import FileEntries

_BEGINNINGS = frozenset({"published", "delivered", "parked", "started", "dead-lettered"})
"""The kinds of entries that always make an event known to the chronicle."""

_UNHASHABLE = frozenset({list, dict})
_KEPT = frozenset({None, "", "accepted"})
_ENDED = frozenset({None, "", "ok"})
_TAKEN = frozenset({"ok", "accepted"})

_Record = dict[str, Any]
_Life = Generator[int, _Record, None]
"""Is sent each entry of an event, and yields the event's family until one leaves the course."""


class Sifted(NamedTuple):
    """What a sieve found out about a history."""

    times: array[int]
    """The time of each entry."""
    told: Sequence[int]
    """For each entry, whether the chronicle must be told of it."""
    plain: TrivialCounts
    """The events that are left out."""
    counts: Mapping[str, int]
    """How many entries of each kind are left out."""


class Prefilter:
    """Follows all events of one history along the courses."""

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self._bound = bound_of(terms)
        self._times: array[int] = array("q")
        self._families = array("I")
        """The family of each entry on a course; 0 for any other."""
        self._odd = bytearray(b"\1")
        """For each family, whether it must be told of."""
        self._lives: dict[str | None, Callable[[_Record], int]] = {}
        """The events that are amid a course, or left it."""
        self._roll = Columns()
        self._crew: dict[str, int] = {}
        """The number of every consumer that was mentioned, from 0 on."""
        self._gone = array("q")
        """Where each consumer was last gone."""
        self._mentioned: set[str] = set()
        """What may be the name or the id of an event that has to do with an odd one."""
        self.nameless: set[str] = set()
        """What may be the id of such an event, and is no event's name."""

    def follow(self, records: Iterable[_Record]) -> None:
        """Read all parsed lines. Raises ValueError, KeyError, TypeError or OverflowError if one is not understood."""
        lives, begin, before = self._lives, self._begin, 0
        tick, belongs = self._times.append, self._families.append
        for record in records:
            at = record["at"]
            if at.__class__ is not int or at < before:
                raise ValueError(f"no time, or one before {before}: {at!r}")
            before = at
            tick(at)
            follow = lives.get(record.get("event"))
            try:
                belongs(follow(record) if follow else begin(record))
            except (KeyError, StopIteration):
                belongs(0)
                self._unusual(record)
        roll, numbers = self._roll, self._roll.numbers
        for event in (*lives, *self._mentioned):
            self._odd[roll.family[numbers.get(event or "", 0)]] = True
        self.nameless.update(self._mentioned - numbers.keys())

    def _begin(self, record: _Record) -> int:
        """Begin to follow an event, and return its family; that of no event is 0. Raises KeyError if it is unusual."""
        event, roll = record["event"], self._roll
        if number := roll.numbers.get(event):
            return self._more(event, number, record)
        said, leader = record["fingerprint"], record.get("follows")
        if record["kind"] != "published" or "consumer" in record:
            raise KeyError(event)
        if not (event.__class__ is said.__class__ is str and event and said):
            raise KeyError(event)
        if leader:
            leads = roll.numbers[leader]
            number = roll.add(event, roll.family[leads])
            occurred = record.get("occurred")
            roll.follow(number, leads, occurred if isinstance(occurred, int) else record["at"])
        else:
            leads, number = 0, roll.add(event, len(self._odd))
            self._odd.append(False)
        life = self._life(event, number, leads, said)
        self._lives[event] = life.send
        return next(life)

    def _more(self, event: str, number: int, record: _Record) -> int:
        """Go on with an event that had come to the end of a course. Raises KeyError if that is unusual."""
        roll = self._roll
        if record["kind"] == "duplicated":
            self._double(number, record)
            return roll.family[number]
        late = record["at"] - self._times[roll.ended[number]] >= self._terms.retention
        if late or record["attempt"].__class__ is not int or roll.repeats[number] == MOST:
            raise KeyError(event)
        self._delivery(record)
        life = self._repeat(event, number, record)
        self._lives[event] = life.send
        return next(life)

    def _double(self, number: int, record: _Record) -> None:
        """Take note that the broker will deliver an event once more. Raises KeyError if that is unusual."""
        if "consumer" in record or self._roll.doubles[number] == MOST:
            raise KeyError(number)
        self._roll.doubles[number] += 1

    def _delivery(self, record: _Record) -> None:
        """Raise KeyError unless an entry is a first attempt to deliver an event to a known consumer."""
        if (
            record["kind"] != "delivered"
            or record.get("attempt", 1) != 1
            or record["consumer"] not in self._crew
            or record["delivery"].__class__ in _UNHASHABLE
        ):
            raise KeyError(record["kind"])

    def _answered(self, record: _Record, delivered: _Record, index: int) -> bool:
        """Return whether an entry acknowledges the delivery at an index."""
        return bool(
            record["kind"] == "acknowledged"
            and _same(record, delivered)
            and self._gone[self._crew[record["consumer"]]] <= index
            and record["at"] - delivered["at"] <= self._bound
        )

    def _life(self, event: str, number: int, leads: int, said: str) -> _Life:
        """Follow an event that was published. Raises KeyError if an entry does not say all that it should."""
        roll, times = self._roll, self._times
        family = roll.family[number]
        record = yield family
        while record["kind"] == "duplicated":
            self._double(number, record)
            record = yield family
        self._delivery(record)
        delivered, index, consumer = record, len(times) - 1, record["consumer"]
        roll.delivered[number] = index
        record = yield family
        if record["kind"] == "parked":
            if _parked(record, delivered):
                wait = self._wait(event, number, leads, said, delivered)
                self._lives[event] = wait.send
                yield next(wait)
            return
        handling = record["handling"]
        if (
            record["kind"] != "started"
            or record["consumer"] != consumer
            or record["fingerprint"] != said
            or record.get("via", "delivered") != "delivered"
            or "delivery" in record
            or handling.__class__ in _UNHASHABLE
        ):
            return
        roll.holder[number] = self._crew[consumer]
        if leads:
            if not 0 < roll.ended[leads] < index:
                return
            roll.started[number] = len(times) - 1
        record = yield family
        if not _good_end(record, consumer, handling):
            return
        roll.ended[number] = len(times) - 1
        record = yield family
        if self._answered(record, delivered, index):
            del self._lives[event]
            yield family

    def _wait(self, event: str, number: int, leads: int, said: str, delivered: _Record) -> _Life:
        """Follow an event that was just parked, until its leader's holder has handled it."""
        roll, times = self._roll, self._times
        family, index = roll.family[number], roll.delivered[number]
        roll.parked[number] = len(times) - 1
        if not roll.delivered[leads]:
            roll.marks[number] |= EARLY
        while True:
            record = yield family
            if not self._answered(record, delivered, index):
                return
            roll.parkings[number] += 1
            record = yield family
            while record["kind"] == "duplicated":
                self._double(number, record)
                record = yield family
            if record["kind"] != "delivered":
                break
            if record["attempt"].__class__ is not int or roll.parkings[number] == MOST:
                return
            self._delivery(record)
            delivered, index = record, len(times) - 1
            record = yield family
            if not _parked(record, delivered):
                return
        consumer, handling, begun = record["consumer"], record["handling"], len(times) - 1
        if not self._was_released(record, number, leads, said):
            return
        roll.started[number], roll.holder[number] = begun, self._crew[consumer]
        record = yield family
        if not _good_end(record, consumer, handling) or self._gone[self._crew[consumer]] > begun:
            return
        if record["at"] - times[begun] > self._bound:
            return
        roll.ended[number] = len(times) - 1
        del self._lives[event]
        yield family

    def _was_released(self, record: _Record, number: int, leads: int, said: str) -> bool:
        """Say whether an entry begins the handling of an event that was parked, by its leader's holder, in time."""
        return bool(
            record["kind"] == "started"
            and self._roll.ended[leads]
            and self._crew[record["consumer"]] == self._roll.holder[leads]
            and record["fingerprint"] == said
            and record["via"] == "released"
            and record["handling"].__class__ not in _UNHASHABLE
            and self._in_time(number, leads)
        )

    def _in_time(self, number: int, leads: int) -> bool:
        """Say whether an event that starts now has waited neither for its leader to come, nor after it, too long."""
        roll, times, terms = self._roll, self._times, self._terms
        first, came, parked = roll.delivered[number], roll.delivered[leads], roll.parked[number]
        if came > first:
            roll.marks[number] |= REORDERED
        lost = times[came] - times[parked] > terms.lookback + terms.sweep_interval + terms.release_bound
        return not lost and times[-1] - times[max(first, roll.ended[leads])] <= self._bound

    def _repeat(self, event: str, number: int, delivered: _Record) -> _Life:
        """Follow a delivery of an event that was handled before."""
        family, index = self._roll.family[number], len(self._times) - 1
        record = yield family
        if record["kind"] != "refused" or record["because"] != "seen" or not _same(record, delivered):
            return
        record = yield family
        if self._answered(record, delivered, index):
            self._roll.repeats[number] += 1
            del self._lives[event]
            yield family

    def _unusual(self, record: _Record) -> None:
        """Mark an entry to be indexed, and the families of the events in it."""
        _, kind, event, consumer, details = Entry.from_record(record)
        if event:
            if event not in self._roll.numbers and kind not in _BEGINNINGS:
                self.nameless.add(event)  # for the index it is no event yet
            self._leave(event)
        if consumer:
            number = self._crew.setdefault(consumer, len(self._gone))
            if number == len(self._gone):
                self._gone.append(0)
            if kind in ("crashed", "stopped"):
                self._gone[number] = len(self._times) - 1
        if kind == "published" and (leader := details.get("follows")):
            self._mentioned.add(str(leader))
        elif kind == "store-lost":
            self._mentioned.update(word for key in details.get("keys") or () for word in WORDS.findall(str(key)))

    def _leave(self, event: str) -> None:
        """Follow an event no longer: its family is odd."""
        roll = self._roll
        number = roll.numbers.get(event)
        if number is None:
            number = roll.add(event, len(self._odd))
            self._odd.append(True)
        self._odd[roll.family[number]] = True
        self._lives[event] = _over

    def identify(self, records: Iterable[_Record]) -> None:
        """Read all parsed lines again, for the events that were mentioned by their ids."""
        for record in records:
            if record["kind"] == "published" and str(record.get("id")) in self.nameless:
                self._odd[self._roll.family[self._roll.numbers[record["event"]]]] = True

    def sifted(self) -> Sifted:
        """Return what was found out."""
        odd, roll = self._odd, self._roll
        for leader in roll.siblings:
            if not odd[roll.family[leader]] and roll.waited(leader) and not roll.in_turn(leader):
                odd[roll.family[leader]] = True
        plain, counts = roll.plain(odd)
        return Sifted(self._times, bytes(map(odd.__getitem__, self._families)), plain, counts)


def _over(_: _Record) -> int:
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


def sift(entries: FileEntries, terms: Terms) -> Sifted | None:
    """Sift a history that is kept in a file; return nothing if one of its lines is not understood."""
    prefilter = Prefilter(terms)
    try:
        prefilter.follow(entries.records())
        if prefilter.nameless:
            prefilter.identify(entries.records())
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    return prefilter.sifted()
