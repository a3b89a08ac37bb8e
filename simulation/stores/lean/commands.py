"""The commands that a lean store knows: those of the engines under test and of the harness, and their near relatives.

Each is a function of the data and of the words of the request. An option that is not known is refused by
`UnknownToLean`, and never left out of account.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import zip_longest
from math import inf
from operator import itemgetter
from typing import Any, TypeVar

from simulation.stores.lean.keyspace import TYPES, Hash, Keyspace, List, Set, SortedSet, is_integer
from simulation.stores.lean.replies import OK, ErrorReply, Members, Scored, Status, UnknownToLean

Words = Sequence[bytes]
Execute = Callable[[Keyspace, Words], Any]
E = TypeVar("E", bound=Execute)
Sized = TypeVar("Sized", Hash, List, Set, SortedSet)
Removing = TypeVar("Removing", Hash, Set, SortedSet)

SYNTAX = "ERR syntax error"
NOT_INTEGER = "ERR value is not an integer or out of range"
_DECIMAL = re.compile(rb"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?|[+-]?inf(inity)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Command:
    """One command: what executes it, and how many words a request of it may have, its name included."""

    execute: Execute
    least: int
    most: float


COMMANDS: dict[bytes, Command] = {}


def command(*names: str, least: int, most: int | None = None) -> Callable[[E], E]:
    """Enter a function as a command under some names."""

    def enter(execute: E) -> E:
        COMMANDS.update({name.encode(): Command(execute, least, inf if most is None else most) for name in names})
        return execute

    return enter


def command_of(words: Words) -> Command:
    """Return the command of a request. Raises UnknownToLean, and ErrorReply if the request has not enough words."""
    found = COMMANDS.get(words[0]) or COMMANDS.get(words[0].upper())
    if found is None:
        raise UnknownToLean(f"the command {named(words)}")
    if not found.least <= len(words) <= found.most:
        raise wrong_number(words[0])
    return found


def execute(space: Keyspace, words: Words) -> Any:
    """Execute one command on the data, and return its reply. Raises ErrorReply, UnknownToLean."""
    return command_of(words).execute(space, words)


def named(words: Words) -> str:
    """Return the name of a request's command, for people."""
    return words[0].decode("utf-8", "backslashreplace").upper()


def wrong_number(name: bytes) -> ErrorReply:
    """Return the error of a request that has too few words, or too many."""
    return ErrorReply(f"ERR wrong number of arguments for '{name.decode('utf-8', 'backslashreplace').lower()}' command")


def unknown_option(words: Words, word: bytes) -> UnknownToLean:
    """Return the refusal of an option that may well exist."""
    return UnknownToLean(f"{named(words)} with {word.decode('utf-8', 'backslashreplace')!r}")


def _integer(word: bytes, error: str = NOT_INTEGER) -> int:
    if not is_integer(word):
        raise ErrorReply(error)
    return int(word)


def _float(word: bytes, error: str) -> float:
    if not _DECIMAL.fullmatch(word):
        if b"x" in word.lower():
            raise UnknownToLean(f"the number {word.decode('utf-8', 'backslashreplace')!r}")
        raise ErrorReply(error)
    return float(word)


# -- keys --------------------------------------------------------------------------------------------------------


@command("DEL", "UNLINK", least=2)
def _del(space: Keyspace, words: Words) -> int:
    count = 0
    for key in words[1:]:
        if space.look(key) is not None:
            space.remove(key)
            count += 1
    return count


@command("EXISTS", least=2)
def _exists(space: Keyspace, words: Words) -> int:
    return sum(space.look(key) is not None for key in words[1:])


@command("TYPE", least=2, most=2)
def _type(space: Keyspace, words: Words) -> Status:
    value = space.look(words[1])
    return Status(b"none" if value is None else TYPES[type(value)])


@command("PTTL", least=2, most=2)
def _pttl(space: Keyspace, words: Words) -> int:
    key = words[1]
    if space.look(key) is None:
        return -2
    deadline = space.deadline(key)
    return -1 if deadline is None else deadline - space.milliseconds


@command("TTL", least=2, most=2)
def _ttl(space: Keyspace, words: Words) -> int:
    left = _pttl(space, words)
    return left if left < 0 else (left + 500) // 1000


@command("EXPIRE", "PEXPIRE", least=3)
def _expire(space: Keyspace, words: Words) -> int:
    if len(words) > 3:
        raise unknown_option(words, words[3])
    unit = 1 if words[0].upper() == b"PEXPIRE" else 1000
    lasts = _integer(words[2]) * unit
    if space.look(words[1]) is None:
        return 0
    space.expire(words[1], space.milliseconds + lasts)
    return 1


@command("PERSIST", least=2, most=2)
def _persist(space: Keyspace, words: Words) -> int:
    return int(space.look(words[1]) is not None and space.persist(words[1]))


@command("KEYS", least=2, most=2)
def _keys(space: Keyspace, words: Words) -> list[bytes]:
    return [key for key in space.names() if _pattern(words[1]).fullmatch(key)]


@command("SCAN", least=2)
def _scan(space: Keyspace, words: Words) -> list[Any]:
    """Return everything at once: an iteration of any other cursor was never begun."""
    if words[1] != b"0":
        raise UnknownToLean("a cursor of SCAN other than 0")
    pattern = b"*"
    for option, value in zip(words[2::2], words[3::2], strict=False):
        match option.upper():
            case b"MATCH":
                pattern = value
            case b"COUNT":
                _integer(value)
            case _:
                raise unknown_option(words, option)
    return [b"0", [key for key in space.names() if _pattern(pattern).fullmatch(key)]]


@cache
def _pattern(glob: bytes) -> re.Pattern[bytes]:
    """Return a pattern of Redis as a regular expression."""
    parts, rest = [], glob
    while rest:
        found = re.match(rb"\*+|\?|\[(\^?)((?:\\.|[^\]\\])+)\]|\\(.)|[^\[\\]", rest, re.DOTALL)
        if found is None:
            raise UnknownToLean(f"the pattern {glob.decode('utf-8', 'backslashreplace')!r}")
        rest = rest[found.end() :]
        parts.append(_piece(found))
    return re.compile(b"".join(parts), re.DOTALL)


def _piece(found: re.Match[bytes]) -> bytes:
    text = found[0]
    if text[:1] == b"*":
        return b".*"
    if text == b"?":
        return b"."
    if found[2]:
        return b"[%b%b]" % (found[1], re.sub(rb"[\[&~|]", rb"\\\g<0>", found[2]))
    return re.escape(found[3] or text)


@command("FLUSHALL", "FLUSHDB", least=1, most=1)
def _flush(space: Keyspace, words: Words) -> Status:
    space.clear()
    return OK


@command("TIME", least=1, most=1)
def _time(space: Keyspace, words: Words) -> list[bytes]:
    seconds, rest = divmod(space.now, 1_000_000)
    return [b"%d" % seconds, b"%d" % rest]


# -- strings -----------------------------------------------------------------------------------------------------


@command("GET", least=2, most=2)
def _get(space: Keyspace, words: Words) -> bytes | None:
    return space.get(words[1], bytes)


@command("MGET", least=2)
def _mget(space: Keyspace, words: Words) -> list[bytes | None]:
    values = map(space.look, words[1:])
    return [value if type(value) is bytes else None for value in values]


@command("STRLEN", least=2, most=2)
def _strlen(space: Keyspace, words: Words) -> int:
    return len(space.get(words[1], bytes) or b"")


@command("SET", least=3)
def _set(space: Keyspace, words: Words) -> Status | bytes | None:
    how = _setting(words) if len(words) > 3 else _PLAIN
    key = words[1]
    before = space.get(key, bytes) if how.get else None
    if how.condition and (space.look(key) is None) is not (how.condition == b"NX"):
        return before
    deadline = space.deadline(key) if how.keep and space.look(key) is not None else None
    space.put(key, words[2])
    if how.lasts is not None:
        deadline = space.milliseconds + how.lasts
    if deadline is not None:
        space.expire(key, deadline)
    return before if how.get else OK


@dataclass(slots=True)
class _Setting:
    """The options of SET."""

    condition: bytes = b""
    lasts: int | None = None
    """Milliseconds."""
    keep: bool = False
    get: bool = False


_PLAIN = _Setting()


def _setting(words: Words) -> _Setting:
    how = _Setting()
    options = iter(words[3:])
    for word in options:
        match option := word.upper():
            case b"NX" | b"XX" if not how.condition:
                how.condition = option
            case b"PX" | b"EX" if how.lasts is None and not how.keep:
                how.lasts = _lasts(option, next(options, None))
            case b"KEEPTTL" if how.lasts is None:
                how.keep = True
            case b"GET":
                how.get = True
            case b"EXAT" | b"PXAT" | b"IFEQ" | b"IFNE" | b"IFDEQ" | b"IFDNE":
                raise unknown_option(words, word)
            case _:
                raise ErrorReply(SYNTAX)
    return how


def _lasts(unit: bytes, word: bytes | None) -> int:
    if word is None:
        raise ErrorReply(SYNTAX)
    lasts = _integer(word) * (1000 if unit == b"EX" else 1)
    if lasts <= 0:
        raise ErrorReply("ERR invalid expire time in 'set' command")
    return lasts


@command("SETNX", least=3, most=3)
def _setnx(space: Keyspace, words: Words) -> int:
    if space.look(words[1]) is not None:
        return 0
    space.put(words[1], words[2])
    return 1


@command("INCR", least=2, most=2)
def _incr(space: Keyspace, words: Words) -> int:
    return _add(space, words[1], 1)


@command("INCRBY", least=3, most=3)
def _incrby(space: Keyspace, words: Words) -> int:
    return _add(space, words[1], _integer(words[2]))


def _add(space: Keyspace, key: bytes, by: int) -> int:
    before = space.get(key, bytes)
    value = _sum(_integer(before) if before is not None else 0, by)
    space.replace(key, b"%d" % value)
    return value


def _sum(one: int, other: int) -> int:
    value = one + other
    if not -(2**63) <= value < 2**63:
        raise ErrorReply("ERR increment or decrement would overflow")
    return value


# -- whatever has members ----------------------------------------------------------------------------------------


def _sized(kind: type[Sized]) -> Execute:
    """Return what counts the members of a key of one type."""

    def execute(space: Keyspace, words: Words) -> int:
        return len(space.get(words[1], kind) or ())

    return execute


def _discarding(kind: type[Removing]) -> Execute:
    """Return what removes members of a key of one type, and says how many there were."""

    def execute(space: Keyspace, words: Words) -> int:
        found = space.get(words[1], kind)
        if found is None:
            return 0
        count = sum(found.discard(member) for member in words[2:])
        space.tidy(words[1], found)
        return count

    return execute


command("HLEN", least=2, most=2)(_sized(Hash))
command("LLEN", least=2, most=2)(_sized(List))
command("SCARD", least=2, most=2)(_sized(Set))
command("ZCARD", least=2, most=2)(_sized(SortedSet))
command("HDEL", least=3)(_discarding(Hash))
command("SREM", least=3)(_discarding(Set))
command("ZREM", least=3)(_discarding(SortedSet))


# -- hashes ------------------------------------------------------------------------------------------------------


@command("HSET", least=4)
def _hset(space: Keyspace, words: Words) -> int:
    if len(words) % 2:
        raise wrong_number(words[0])
    fields = space.make(words[1], Hash)
    before = len(fields)
    fields.update(zip(words[2::2], words[3::2], strict=True))
    return len(fields) - before


@command("HSETNX", least=4, most=4)
def _hsetnx(space: Keyspace, words: Words) -> int:
    fields = space.make(words[1], Hash)
    if words[2] in fields:
        return 0
    fields[words[2]] = words[3]
    return 1


@command("HGET", least=3, most=3)
def _hget(space: Keyspace, words: Words) -> bytes | None:
    fields = space.get(words[1], Hash)
    return None if fields is None else fields.get(words[2])


@command("HMGET", least=3)
def _hmget(space: Keyspace, words: Words) -> list[bytes | None]:
    fields = space.get(words[1], Hash) or Hash()
    return [fields.get(field) for field in words[2:]]


@command("HEXISTS", least=3, most=3)
def _hexists(space: Keyspace, words: Words) -> int:
    return int(words[2] in (space.get(words[1], Hash) or ()))


@command("HSCAN", least=3)
def _hscan(space: Keyspace, words: Words) -> list[Any]:
    """Return everything at once, whatever COUNT says, as of a hash in a listpack."""
    if words[2] != b"0":
        raise UnknownToLean("a cursor of HSCAN other than 0")
    for option, value in zip_longest(words[3::2], words[4::2]):
        if option.upper() != b"COUNT" or value is None:
            raise unknown_option(words, option)
        if _integer(value) < 1:
            raise ErrorReply(SYNTAX)
    fields = space.get(words[1], Hash) or Hash()
    return [b"0", [part for pair in fields.items() for part in pair]]


@command("HINCRBY", least=4, most=4)
def _hincrby(space: Keyspace, words: Words) -> int:
    by = _integer(words[3])
    before = (space.get(words[1], Hash) or Hash()).get(words[2], b"0")
    value = _sum(_integer(before, "ERR hash value is not an integer"), by)
    space.make(words[1], Hash)[words[2]] = b"%d" % value
    return value


# -- sets --------------------------------------------------------------------------------------------------------


@command("SADD", least=3)
def _sadd(space: Keyspace, words: Words) -> int:
    members = space.make(words[1], Set)
    return sum(members.add(member) for member in words[2:])


@command("SISMEMBER", least=3, most=3)
def _sismember(space: Keyspace, words: Words) -> int:
    return int(words[2] in (space.get(words[1], Set) or ()))


@command("SMEMBERS", least=2, most=2)
def _smembers(space: Keyspace, words: Words) -> Members:
    return Members(space.get(words[1], Set) or ())


# -- lists -------------------------------------------------------------------------------------------------------


@command("RPUSH", least=3)
def _rpush(space: Keyspace, words: Words) -> int:
    items = space.make(words[1], List)
    items.extend(words[2:])
    return len(items)


@command("LPUSH", least=3)
def _lpush(space: Keyspace, words: Words) -> int:
    items = space.make(words[1], List)
    items[:0] = reversed(words[2:])
    return len(items)


@command("LRANGE", least=4, most=4)
def _lrange(space: Keyspace, words: Words) -> list[bytes]:
    first, last = _integer(words[2]), _integer(words[3])
    return list(_between(space.get(words[1], List) or List(), first, last))


@command("LPOP", "RPOP", least=2)
def _pop(space: Keyspace, words: Words) -> bytes | None:
    if len(words) > 2:
        raise unknown_option(words, words[2])
    items = space.get(words[1], List)
    if items is None:
        return None
    item = items.pop(0 if words[0].upper() == b"LPOP" else -1)
    space.tidy(words[1], items)
    return item


def _between(items: list[Any], first: int, last: int) -> list[Any]:
    """Return the items from one place to another, which is included; places from the end are negative."""
    count = len(items)
    first, last = (place + count if place < 0 else place for place in (first, last))
    return items[max(0, first) : max(0, last + 1)]


# -- sorted sets -------------------------------------------------------------------------------------------------


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
    scores = [_float(word, "ERR value is not a valid float") for word in pairs[::2]]
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
        places = _integer(self.first), _integer(self.last)
        found = space.get(key, SortedSet)
        return [] if found is None else _between(found.ordered, *places)

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
                limit = _integer(offset), _integer(count)
            case b"BYLEX" | b"REV":
                raise unknown_option(words, word)
            case _:
                raise ErrorReply(SYNTAX)
    return _Range(words[place], words[place + 1], by_score, with_scores, limit)


_score = itemgetter(0)


def _bound(word: bytes) -> tuple[float, bool]:
    """Return a bound of scores, and whether it lies outside of them."""
    outside = word[:1] == b"("
    return _float(word[outside:], "ERR min or max is not a float"), outside


def _answered(items: list[tuple[float, bytes]], with_scores: bool) -> list[Any]:
    if with_scores:
        return Scored([member, score] for score, member in items)
    return [member for _, member in items]
