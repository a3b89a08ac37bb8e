"""Where the commands of the lean store are entered, and what they share."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any, TypeVar

from simulation.stores.lean.keyspace import Keyspace, is_integer
from simulation.stores.lean.replies import ErrorReply, UnknownToLean

Words = Sequence[bytes]


Execute = Callable[[Keyspace, Words], Any]


E = TypeVar("E", bound=Execute)


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


def integer(word: bytes, error: str = NOT_INTEGER) -> int:
    """Return a word as a whole number. Raises ErrorReply with the error if it is none."""
    if not is_integer(word):
        raise ErrorReply(error)
    return int(word)


def floating(word: bytes, error: str) -> float:
    """Return a word as a number. Raises ErrorReply if it is none, UnknownToLean if it is hexadecimal."""
    if not _DECIMAL.fullmatch(word):
        if b"x" in word.lower():
            raise UnknownToLean(f"the number {word.decode('utf-8', 'backslashreplace')!r}")
        raise ErrorReply(error)
    return float(word)
