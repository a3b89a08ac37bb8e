"""The sieve: leaves out of a long history, before it is arranged, the families about which there is nothing to say.

It reads the parsed lines once and follows each event along the one course that needs no judging: published, delivered,
started, ended, acknowledged, once each, in this order, by one consumer that lived through it, in time, and after its
leader had come to the end of that course. Any other line about an event, any line about none, and all lines of a family
of which one member left the course, are told to the chronicle. What is left out is plain; `plain.py` says why.

Whatever the sieve is unsure of is told: that costs time and changes no judgement. If it does not understand a line, it
gives up, everything is told, and the reader of the history says what is wrong with the line.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Generator, Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from simulation.history import Entry, Terms
from simulation.invariants.plain import Plain, bound_of

if TYPE_CHECKING:
    from simulation.scroll import Scroll

_COURSE = ("published", "delivered", "started", "ended", "acknowledged")

WORDS = re.compile(r"[A-Za-z0-9_.-]+")
"""What can be the name or the id of an event in the name of a key."""

_BEGINNINGS = frozenset({"published", "delivered", "parked", "started", "dead-lettered"})
"""The kinds of entries that always make an event known to the chronicle."""

_UNHASHABLE = frozenset({list, dict})
_KEPT = frozenset({None, "", "accepted"})

_Record = dict[str, Any]
_Life = Generator[int, _Record, None]
"""Is sent each entry of an event, and yields the event's family until one leaves the course."""


class Sifted(NamedTuple):
    """What a sieve found out about a history."""

    times: array[int]
    """The time of each entry."""
    told: Iterable[int]
    """For each entry, whether the chronicle must be told of it."""
    plain: Plain
    """The events that are left out."""

    @property
    def counts(self) -> Mapping[str, int]:
        """How many entries of each kind are left out."""
        return dict.fromkeys(_COURSE, self.plain.events)


class Sieve:
    """Follows all events of one history along the course."""

    def __init__(self, terms: Terms) -> None:
        self._bound = bound_of(terms)
        self._times: array[int] = array("q")
        self._families = array("I")
        """The family of each entry on the course; 0 for any other."""
        self._odd = bytearray(b"\1")
        """For each family, whether it must be told of."""
        self._lives: dict[str, _Life] = {}
        """The events that have not come to the end of the course, or left it."""
        self._family: dict[str, int] = {}
        """The family of every event."""
        self._gone: dict[str, int] = {}
        """When each consumer was last gone, by its name; it is here from its first mention."""
        self._mentioned: set[str] = set()
        """What may be the name or the id of an event that has to do with an odd one."""
        self.nameless: set[str] = set()
        """What may be the id of such an event, and is no event's name."""
        self._left = self._life("", 0, "", "")
        """The life of every event that left the course: it is over."""
        self._left.close()

    def follow(self, records: Iterable[_Record]) -> None:
        """Read all parsed lines. Raises ValueError, KeyError or TypeError if one is not understood."""
        lives, tick, belongs, before = self._lives, self._times.append, self._families.append, 0
        for record in records:
            at = record["at"]
            if at.__class__ is not int or at < before:
                raise ValueError(f"no time, or one before {before}: {at!r}")
            before = at
            tick(at)
            life = lives.get(record.get("event", ""))
            try:
                belongs(life.send(record) if life else self._published(record))
            except (KeyError, StopIteration):
                belongs(0)
                self._unusual(record)
        for event in (*lives, *self._mentioned):
            self._odd[self._family.get(event, 0)] = True
        self.nameless.update(self._mentioned - self._family.keys())

    def _published(self, record: _Record) -> int:
        """Begin to follow an event, and return its family; that of no event is 0. Raises KeyError if it is unusual."""
        event, said, leader = record["event"], record["fingerprint"], record.get("follows") or ""
        family = self._family[leader] if leader else len(self._odd)
        if not (event.__class__ is said.__class__ is str and event and said) or event in self._family:
            raise KeyError(event)
        if record["kind"] != "published" or "consumer" in record:
            raise KeyError(event)
        if not leader:
            self._odd.append(False)
        self._family[event] = family
        life = self._lives[event] = self._life(event, family, leader, said)
        return next(life)

    def _life(self, event: str, family: int, leader: str, said: str) -> _Life:
        """Follow an event that was published. Raises KeyError if an entry does not say all that it should."""
        record = yield family
        consumer, delivery, index, since = record["consumer"], record["delivery"], len(self._times), record["at"]
        if (
            record["kind"] != "delivered"
            or record.get("attempt", 1) != 1
            or consumer not in self._gone
            or leader in self._lives
            or delivery.__class__ in _UNHASHABLE
        ):
            return
        record = yield family
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
        record = yield family
        if (
            record["kind"] != "ended"
            or record["consumer"] != consumer
            or record["handling"] != handling
            or record.get("outcome", "ok") != "ok"
            or record.get("write") not in _KEPT
        ):
            return
        record = yield family
        if (
            record["kind"] != "acknowledged"
            or record["consumer"] != consumer
            or record["delivery"] != delivery
            or self._gone[consumer] > index
            or record["at"] - since > self._bound
        ):
            return
        del self._lives[event]
        yield family

    def _unusual(self, record: _Record) -> None:
        """Take note of an entry that is told, and of the events that it has to do with."""
        _, kind, event, consumer, details = Entry.from_record(record)
        if event:
            if event not in self._family and kind not in _BEGINNINGS:
                self.nameless.add(event)  # to the chronicle it is no event yet
            self._leave(event)
        if consumer:
            self._gone[consumer] = len(self._times) if kind in ("crashed", "stopped") else self._gone.get(consumer, 0)
        if kind == "published" and (leader := details.get("follows")):
            self._mentioned.add(str(leader))
        elif kind == "store-lost":
            self._mentioned.update(word for key in details.get("keys") or () for word in WORDS.findall(str(key)))

    def _leave(self, event: str) -> None:
        """Follow an event no longer: its family is odd."""
        if event not in self._family:
            self._family[event] = len(self._odd)
            self._odd.append(True)
        self._odd[self._family[event]] = True
        self._lives[event] = self._left

    def identify(self, records: Iterable[_Record]) -> None:
        """Read all parsed lines again, for the events that were mentioned by their ids."""
        for record in records:
            if record["kind"] == "published" and str(record.get("id")) in self.nameless:
                self._odd[self._family[record["event"]]] = True

    def sifted(self) -> Sifted:
        """Return what was found out."""
        odd = self._odd
        plain = [family for family in self._family.values() if not odd[family]]
        followers = len(plain) - len(set(plain))  # of each family all but the first follow somebody
        return Sifted(self._times, map(odd.__getitem__, self._families), Plain(len(plain), followers, followers))


def sift(scroll: Scroll, terms: Terms) -> Sifted | None:
    """Sift a history that is kept in a file; return nothing if one of its lines is not understood."""
    sieve = Sieve(terms)
    try:
        sieve.follow(scroll.records())
        if sieve.nameless:
            sieve.identify(scroll.records())
    except (KeyError, TypeError, ValueError):
        return None
    return sieve.sifted()
