"""The data of a lean store: keys, their values and when they expire.

A key whose time is over is there until somebody looks at it, as in a Redis whose active expiry is switched off.
"""

from __future__ import annotations

import re
from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator
from typing import TypeVar

from simulation.stores.lean.replies import ErrorReply, UnknownToLean


class Hash(dict[bytes, bytes]):
    """A hash: fields in the order in which they were set first, as in a listpack."""

    def discard(self, field: bytes) -> bool:
        """Remove a field and return whether it was one."""
        return self.pop(field, None) is not None


class List(list[bytes]):
    """A list."""


_LONGEST = 4096
"""Bytes of the longest member that Redis keeps in a listpack, as the private server is configured."""


class Set:
    """A set in the order in which Redis has it: numbers sorted, as long as they are alone; else as they were added."""

    __slots__ = ("_members", "_numbers", "_scattered")

    def __init__(self) -> None:
        self._members: dict[bytes, None] = {}
        self._numbers = True
        self._scattered = False

    def __len__(self) -> int:
        return len(self._members)

    def __contains__(self, member: bytes) -> bool:
        return member in self._members

    def add(self, member: bytes) -> bool:
        """Add a member and return whether it is new."""
        if member in self._members:
            return False
        if self._numbers and not is_integer(member):
            self._members = dict.fromkeys(self)
            self._numbers = False
        self._scattered |= len(member) > _LONGEST
        self._members[member] = None
        return True

    def discard(self, member: bytes) -> bool:
        """Remove a member and return whether it was one."""
        return self._members.pop(member, Ellipsis) is None

    def __iter__(self) -> Iterator[bytes]:
        if self._scattered:
            raise UnknownToLean(f"the order of a set with members of more than {_LONGEST} bytes")
        return iter(sorted(self._members, key=int) if self._numbers else list(self._members))


class SortedSet:
    """Members by score, and by their bytes where scores are equal."""

    __slots__ = ("ordered", "scores")

    def __init__(self, ordered: Iterable[tuple[float, bytes]] = ()) -> None:
        self.ordered = list(ordered)
        self.scores = {member: score for score, member in self.ordered}

    def __len__(self) -> int:
        return len(self.ordered)

    def put(self, member: bytes, score: float) -> None:
        """Add a member, or give it another score."""
        self.discard(member)
        self.scores[member] = score
        insort(self.ordered, (score, member))

    def discard(self, member: bytes) -> bool:
        """Remove a member and return whether it was one."""
        score = self.scores.pop(member, None)
        if score is None:
            return False
        del self.ordered[bisect_left(self.ordered, (score, member))]
        return True


Value = bytes | Hash | List | Set | SortedSet
V = TypeVar("V", bytes, Hash, List, Set, SortedSet)

TYPES: dict[type[Value], bytes] = {bytes: b"string", Hash: b"hash", List: b"list", Set: b"set", SortedSet: b"zset"}
WRONG_TYPE = "WRONGTYPE Operation against a key holding the wrong kind of value"


class Keyspace:
    """All keys. `now` is the server's clock in microseconds since 1970."""

    __slots__ = ("_deadlines", "_values", "now")

    def __init__(self) -> None:
        self.now = 0
        self._values: dict[bytes, Value] = {}
        self._deadlines: dict[bytes, int] = {}

    @property
    def milliseconds(self) -> int:
        """The clock by which keys expire."""
        return self.now // 1000

    def look(self, key: bytes) -> Value | None:
        """Return the value of a key, whatever its type, or None if there is none."""
        deadline = self._deadlines.get(key)
        if deadline is not None and self.now // 1000 > deadline:
            self.remove(key)
            return None
        return self._values.get(key)

    def get(self, key: bytes, kind: type[V]) -> V | None:
        """Return the value of a key that must be of one type, if it has one."""
        value = self._values.get(key)
        if value is not None and key in self._deadlines:
            value = self.look(key)
        if value is None or type(value) is kind:
            return value
        raise ErrorReply(WRONG_TYPE)

    def make(self, key: bytes, kind: type[V]) -> V:
        """Return the value of a key that must be of one type, a new one if it has none."""
        value = self.get(key, kind)
        if value is None:
            value = self._values[key] = kind()
        return value

    def put(self, key: bytes, value: Value) -> None:
        """Give a key a value; it does not expire any more."""
        self._values[key] = value
        self._deadlines.pop(key, None)

    def replace(self, key: bytes, value: bytes) -> None:
        """Give a key another value; it expires as before."""
        self._values[key] = value

    def remove(self, key: bytes) -> None:
        """Remove a key."""
        del self._values[key]
        self._deadlines.pop(key, None)

    def tidy(self, key: bytes, value: Hash | List | Set | SortedSet) -> None:
        """Remove a key if its value is empty now."""
        if not value:
            self.remove(key)

    def deadline(self, key: bytes) -> int | None:
        """Return the millisecond in which a key expires, if it does."""
        return self._deadlines.get(key)

    def expire(self, key: bytes, deadline: int) -> None:
        """Have a key expire at a millisecond; one that is over removes it."""
        if deadline <= self.milliseconds:
            self.remove(key)
        else:
            self._deadlines[key] = deadline

    def persist(self, key: bytes) -> bool:
        """Have a key stay, and return whether it was to expire."""
        return self._deadlines.pop(key, None) is not None

    def names(self) -> list[bytes]:
        """Return all keys that are there."""
        return [key for key in list(self._values) if self.look(key) is not None]

    def clear(self) -> None:
        """Remove everything."""
        self._values.clear()
        self._deadlines.clear()


_INTEGER = re.compile(rb"0|-?[1-9][0-9]{0,18}")
_SHORT = 18


def is_integer(word: bytes) -> bool:
    """Whether Redis takes a word for a whole number of 64 bits."""
    return _INTEGER.fullmatch(word) is not None and (len(word) <= _SHORT or -(2**63) <= int(word) < 2**63)
