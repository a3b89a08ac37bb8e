"""Commands on hashes, sets and lists, and on whatever has members."""

from __future__ import annotations

from itertools import zip_longest
from typing import Any, TypeVar

from simulation.stores.lean.keyspace import Hash, Keyspace, List, Set, SortedSet
from simulation.stores.lean.registry import (
    SYNTAX,
    Execute,
    Words,
    command,
    integer,
    unknown_option,
    wrong_number,
)
from simulation.stores.lean.replies import ErrorReply, Members, UnknownToLean
from simulation.stores.lean.strings import checked_sum

Sized = TypeVar("Sized", Hash, List, Set, SortedSet)


Removing = TypeVar("Removing", Hash, Set, SortedSet)


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
        if integer(value) < 1:
            raise ErrorReply(SYNTAX)
    fields = space.get(words[1], Hash) or Hash()
    return [b"0", [part for pair in fields.items() for part in pair]]


@command("HINCRBY", least=4, most=4)
def _hincrby(space: Keyspace, words: Words) -> int:
    by = integer(words[3])
    before = (space.get(words[1], Hash) or Hash()).get(words[2], b"0")
    value = checked_sum(integer(before, "ERR hash value is not an integer"), by)
    space.make(words[1], Hash)[words[2]] = b"%d" % value
    return value


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
    first, last = integer(words[2]), integer(words[3])
    return list(between(space.get(words[1], List) or List(), first, last))


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


def between(items: list[Any], first: int, last: int) -> list[Any]:
    """Return the items from one place to another, which is included; places from the end are negative."""
    count = len(items)
    first, last = (place + count if place < 0 else place for place in (first, last))
    return items[max(0, first) : max(0, last + 1)]
