"""Commands on strings."""

from __future__ import annotations

from dataclasses import dataclass

from simulation.stores.lean.keyspace import Keyspace
from simulation.stores.lean.registry import SYNTAX, Words, command, integer, unknown_option
from simulation.stores.lean.replies import OK, ErrorReply, Status


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
    lasts = integer(word) * (1000 if unit == b"EX" else 1)
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
    return _add(space, words[1], integer(words[2]))


def _add(space: Keyspace, key: bytes, by: int) -> int:
    before = space.get(key, bytes)
    value = checked_sum(integer(before) if before is not None else 0, by)
    space.replace(key, b"%d" % value)
    return value


def checked_sum(one: int, other: int) -> int:
    """Return a sum. Raises ErrorReply if it has more than 64 bits."""
    value = one + other
    if not -(2**63) <= value < 2**63:
        raise ErrorReply("ERR increment or decrement would overflow")
    return value
