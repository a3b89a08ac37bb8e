"""Commands on sorted sets."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import Any

from simulation.stores.lean.collections import between
from simulation.stores.lean.keyspace import Keyspace, SortedSet
from simulation.stores.lean.registry import SYNTAX, Words, command, floating, integer, unknown_option
from simulation.stores.lean.replies import ErrorReply, Scored, UnknownToLean


@command("ZADD", least=4)
def _zadd(space: Keyspace, words: Words) -> int:
    place, options = 2, set()
    while place < len(words) and (option := words[place].upper()) in (b"NX", b"XX", b"GT", b"LT", b"CH", b"INCR"):
        options.add(option)
        place += 1
    pairs = words[place:]
    if not pairs or len(pairs) % 2:
        raise ErrorReply(SYNTAX)
    if options - {b"NX", b"XX"}:
        raise UnknownToLean(f"ZADD with {sorted(options)}")
    if len(options) > 1:
        raise ErrorReply("ERR XX and NX options at the same time are not compatible")
    scores = [floating(word, "ERR value is not a valid float") for word in pairs[::2]]
    found = space.get(words[1], SortedSet) if b"XX" in options else space.make(words[1], SortedSet)
    if found is None:
        return 0
    before = len(found)
    for score, member in zip(scores, pairs[1::2], strict=True):
        if not options or (member in found.scores) is (b"XX" in options):
            found.put(member, score)
    return len(found) - before


@command("ZSCORE", least=3, most=3)
def _zscore(space: Keyspace, words: Words) -> float | None:
    found = space.get(words[1], SortedSet)
    return None if found is None else found.scores.get(words[2])


@command("ZRANGE", least=4)
def _zrange(space: Keyspace, words: Words) -> list[Any]:
    wanted = _range_of(words, 2)
    return _answered(wanted.chosen(space, words[1]), wanted.with_scores)


@command("ZRANGEBYSCORE", least=4)
def _zrangebyscore(space: Keyspace, words: Words) -> list[Any]:
    wanted = _range_of(words, 2)
    if wanted.by_score:
        raise ErrorReply(SYNTAX)
    chosen = replace(wanted, by_score=True).chosen(space, words[1])
    return _answered(chosen, wanted.with_scores)


@command("ZRANGESTORE", least=5)
def _zrangestore(space: Keyspace, words: Words) -> int:
    wanted = _range_of(words, 3)
    if wanted.with_scores:
        raise ErrorReply(SYNTAX)
    chosen = wanted.chosen(space, words[2])
    if space.look(words[1]) is not None:
        space.remove(words[1])
    if chosen:
        space.put(words[1], SortedSet(chosen))
    return len(chosen)


@command("ZREMRANGEBYSCORE", least=4, most=4)
def _zremrangebyscore(space: Keyspace, words: Words) -> int:
    chosen = _Range(words[2], words[3], by_score=True).chosen(space, words[1])
    found = space.get(words[1], SortedSet)
    if found is not None:
        for _, member in chosen:
            found.discard(member)
        space.tidy(words[1], found)
    return len(chosen)


@dataclass(frozen=True, slots=True)
class _Range:
    """A part of a sorted set that is asked for, by scores or by places."""

    first: bytes
    last: bytes
    by_score: bool = False
    with_scores: bool = False
    limit: tuple[int, int] | None = None

    def chosen(self, space: Keyspace, key: bytes) -> list[tuple[float, bytes]]:
        """Return the members of a key that are asked for, with their scores."""
        if self.by_score:
            return self._by_score(space, key)
        if self.limit is not None:
            raise ErrorReply("ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX")
        places = integer(self.first), integer(self.last)
        found = space.get(key, SortedSet)
        return [] if found is None else between(found.ordered, *places)

    def _by_score(self, space: Keyspace, key: bytes) -> list[tuple[float, bytes]]:
        (low, after), (high, before) = _bound(self.first), _bound(self.last)
        found = space.get(key, SortedSet)
        if found is None:
            return []
        start = (bisect_right if after else bisect_left)(found.ordered, low, key=_score)
        end = (bisect_left if before else bisect_right)(found.ordered, high, key=_score)
        offset, count = self.limit or (0, -1)
        if offset < 0:
            return []
        start += offset
        return found.ordered[start : end if count < 0 else min(end, start + count)]


def _range_of(words: Words, place: int) -> _Range:
    """Return the range that a request asks for, from one of its words on."""
    by_score, with_scores, limit = False, False, None
    options = iter(words[place + 2 :])
    for word in options:
        match word.upper():
            case b"BYSCORE":
                by_score = True
            case b"WITHSCORES":
                with_scores = True
            case b"LIMIT":
                offset, count = next(options, None), next(options, None)
                if offset is None or count is None:
                    raise ErrorReply(SYNTAX)
                limit = integer(offset), integer(count)
            case b"BYLEX" | b"REV":
                raise unknown_option(words, word)
            case _:
                raise ErrorReply(SYNTAX)
    return _Range(words[place], words[place + 1], by_score, with_scores, limit)


_score = itemgetter(0)


def _bound(word: bytes) -> tuple[float, bool]:
    """Return a bound of scores, and whether it lies outside of them."""
    outside = word[:1] == b"("
    return floating(word[outside:], "ERR min or max is not a float"), outside


def _answered(items: list[tuple[float, bytes]], with_scores: bool) -> list[Any]:
    if with_scores:
        return Scored([member, score] for score, member in items)
    return [member for _, member in items]
