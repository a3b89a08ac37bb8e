"""Commands on keys of any type, and on all of them."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from simulation.stores.lean.keyspace import TYPES, Keyspace
from simulation.stores.lean.registry import Words, command, integer, unknown_option
from simulation.stores.lean.replies import OK, Status, UnknownToLean


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
    lasts = integer(words[2]) * unit
    if space.look(words[1]) is None:
        return 0
    space.expire(words[1], space.milliseconds + lasts)
    return 1


@command("PERSIST", least=2, most=2)
def _persist(space: Keyspace, words: Words) -> int:
    return int(space.look(words[1]) is not None and space.persist(words[1]))


@command("KEYS", least=2, most=2)
def _keys(space: Keyspace, words: Words) -> list[bytes]:
    return [key for key in space.names() if glob_pattern(words[1]).fullmatch(key)]


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
                integer(value)
            case _:
                raise unknown_option(words, option)
    return [b"0", [key for key in space.names() if glob_pattern(pattern).fullmatch(key)]]


@cache
def glob_pattern(glob: bytes) -> re.Pattern[bytes]:
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
