"""Blocking commands on lists, as Redis executes them where nothing may block: inside of a transaction.

The waiting takes place in the simulated network, which tries again (see `world/blocking.py`).
"""

from __future__ import annotations

from simulation.stores.lean.keyspace import Keyspace, List
from simulation.stores.lean.registry import SYNTAX, Words, command, execute, floating
from simulation.stores.lean.replies import ErrorReply, NoArray


@command("BLPOP", "BRPOP", least=3)
def _pop_first(space: Keyspace, words: Words) -> list[bytes] | NoArray:
    """Pop from the first list that is not empty."""
    _check_timeout(words[-1])
    for key in words[1:-1]:
        if space.get(key, List):
            return [key, execute(space, [words[0][1:], key])]
    return NoArray()


@command("BRPOPLPUSH", least=4, most=4)
def _rotate(space: Keyspace, words: Words) -> bytes | None:
    _check_timeout(words[3])
    return _move(space, words[1], words[2], b"RPOP", b"LPUSH")


@command("BLMOVE", least=6, most=6)
def _move_between(space: Keyspace, words: Words) -> bytes | None:
    take, put = words[3].upper(), words[4].upper()
    if not {b"LEFT", b"RIGHT"}.issuperset((take, put)):
        raise ErrorReply(SYNTAX)
    _check_timeout(words[5])
    return _move(space, words[1], words[2], take[:1] + b"POP", put[:1] + b"PUSH")


def _move(space: Keyspace, source: bytes, target: bytes, take: bytes, put: bytes) -> bytes | None:
    if not space.get(source, List):
        return None
    space.get(target, List)  # of another type: an error, before anything is moved
    item: bytes = execute(space, [take, source])
    execute(space, [put, target, item])
    return item


def _check_timeout(word: bytes) -> None:
    if floating(word, "ERR timeout is not a float or out of range") < 0:
        raise ErrorReply("ERR timeout is negative")
