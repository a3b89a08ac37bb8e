"""What commands answer, and how it is written on the wire.

A reply is a Python value: bytes are a bulk string, None is nil, a float is a double, a list is an array. The few that
have no Python type of their own are the classes below. RESP2 and RESP3 write some of them differently.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from fractions import Fraction
from math import copysign, isnan, ulp
from typing import Any

from simulation.stores.protocol import StoreUnavailable

_REPR = re.compile(r"(-?)(\d+)(?:\.(\d+))?(?:e([+-]\d+))?")
_SURE_DIGITS = 15
_NEAR = Fraction(24, 100)
"""How far a decimal may be from the double that it stands for, in units of its last place, to be sure of it."""
_WHOLE = 2**63


class UnknownToLean(StoreUnavailable):
    """The lean store was asked for something that it does not know. It says so instead of guessing an answer."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what

    def __str__(self) -> str:
        return f"the lean store does not know {self.what}; use --store server"


class ErrorReply(Exception):
    """A command answers with an error, whose text begins with its code."""

    @property
    def text(self) -> bytes:
        """The error as it is written."""
        words: str = self.args[0]
        return words.encode("utf-8", "surrogateescape")


class Status(bytes):
    """A simple string, such as OK."""


class Members(list[bytes]):
    """The members of a set: an array for RESP2."""


class Scored(list[list[Any]]):
    """Members of a sorted set with their scores, two by two: one flat array for RESP2."""


class Pairs(dict[bytes, Any]):
    """A map: an array of keys and values for RESP2."""


class Push(list[Any]):
    """A message that was not asked for: an array for RESP2."""


class NoArray:
    """Nil where an array was asked for, which RESP2 writes otherwise than where a string was."""


class Written(bytes):
    """A reply that is written already."""


OK = Status(b"OK")
QUEUED = Status(b"QUEUED")
PONG = Status(b"PONG")


def write(reply: Any, protocol: int) -> bytes:
    """Return a reply as bytes of RESP2 or RESP3."""
    return _WRITERS[type(reply)](reply, protocol)


def _nothing(reply: None, protocol: int) -> bytes:
    return b"_\r\n" if protocol == 3 else b"$-1\r\n"


def _text(reply: bytes, protocol: int) -> bytes:
    return b"$%d\r\n%b\r\n" % (len(reply), reply)


def _double(reply: float, protocol: int) -> bytes:
    text = number(reply)
    return b",%b\r\n" % text if protocol == 3 else _text(text, protocol)


def _many(reply: Collection[Any], protocol: int, sign: bytes = b"*") -> bytes:
    return b"%b%d\r\n" % (sign, len(reply)) + b"".join([write(part, protocol) for part in reply])


def _pairs(reply: Pairs, protocol: int) -> bytes:
    flat = _many([part for pair in reply.items() for part in pair], protocol)
    return b"%%%d\r\n%b" % (len(reply), flat.partition(b"\n")[2]) if protocol == 3 else flat


def _scored(reply: Scored, protocol: int) -> bytes:
    return _many(reply if protocol == 3 else [part for pair in reply for part in pair], protocol)


_WRITERS: dict[type[Any], Callable[[Any, int], bytes]] = {
    bytes: _text,
    int: lambda reply, protocol: b":%d\r\n" % reply,
    type(None): _nothing,
    NoArray: lambda reply, protocol: b"_\r\n" if protocol == 3 else b"*-1\r\n",
    float: _double,
    list: _many,
    Written: lambda reply, protocol: reply,
    Status: lambda reply, protocol: b"+%b\r\n" % reply,
    ErrorReply: lambda reply, protocol: b"-%b\r\n" % reply.text,
    Members: lambda reply, protocol: _many(reply, protocol, b"~" if protocol == 3 else b"*"),
    Push: lambda reply, protocol: _many(reply, protocol, b">" if protocol == 3 else b"*"),
    Pairs: _pairs,
    Scored: _scored,
}


def number(value: float) -> bytes:
    """Return a double as Redis writes it: the shortest decimal that is read back as the same double."""
    if value.is_integer() and abs(value) < _WHOLE:
        return b"%d" % value if value or copysign(1, value) > 0 else b"-0"
    found = _REPR.fullmatch(repr(value))
    if found is None:
        if isnan(value):  # how it is written depends on its sign
            raise UnknownToLean("how Redis writes what is not a number")
        return repr(value).encode()  # inf
    sign, whole, rest, exponent = found[1], found[2], found[3] or "", int(found[4] or 0)
    if rest == "0":
        rest = ""
    digits = (whole + rest).lstrip("0")
    if len(digits) > _SURE_DIGITS or abs(Fraction(repr(value)) - Fraction(value)) > _NEAR * Fraction(ulp(value)):
        # Redis's algorithm, Grisu, may then settle for another decimal that is read back the same.
        raise UnknownToLean(f"how Redis writes the number {value!r}")
    stripped = digits.rstrip("0")
    power = exponent - len(rest) + len(digits) - len(stripped)
    return f"{sign}{_spelled(stripped, power)}".encode()


def _spelled(digits: str, power: int) -> str:
    """Spell digits times a power of ten, with an exponent if it would be too long without."""
    count = len(digits)
    exponent = power + count - 1
    if power >= 0 and abs(exponent) < count + 7:
        return digits + "0" * power
    if power < 0 and (power > -7 or abs(exponent) < 4):
        place = count + power
        return f"{digits[:place]}.{digits[place:]}" if place > 0 else "0." + "0" * -place + digits
    return f"{digits[0]}{'.' + digits[1:] if count > 1 else ''}e{'-' if exponent < 0 else '+'}{abs(exponent)}"
