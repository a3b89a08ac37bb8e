"""Redis commands as bytes of the protocol RESP."""

from __future__ import annotations

import re
from collections.abc import Sequence

import hiredis

_LENGTHS = re.compile(rb"(?:\r\n)?[*$]\d+\r\n|\r\n")


def command(*words: str | bytes | int) -> bytes:
    """Encode one Redis command."""
    packed: bytes = hiredis.pack_command(words)  # type: ignore[arg-type]  # its stub forgets longer tuples
    return packed


def shown(request: bytes) -> str:
    """Return the first words of an encoded request in quotes, as messages show them."""
    return repr(_LENGTHS.sub(b" ", request[:200]).strip()[:80].decode("utf-8", "backslashreplace"))


def encoded(commands: Sequence[Sequence[bytes]]) -> bytes:
    """Encode several Redis commands."""
    return b"".join([command(*words) for words in commands])


def reply_of(value: object) -> bytes:
    """Encode a reply of RESP2: bytes, a number, None, or a list of such. Raises TypeError for anything else."""
    if value is None:
        return b"*-1\r\n"
    if isinstance(value, bytes):
        return b"$%d\r\n%b\r\n" % (len(value), value)
    if isinstance(value, int):
        return b":%d\r\n" % value
    if isinstance(value, list):
        return b"*%d\r\n" % len(value) + b"".join(map(reply_of, value))
    raise TypeError(f"{value!r} is no reply")


_MANY = {b"*": 1, b"~": 1, b">": 1, b"%": 2}


def frames(data: bytes) -> list[bytes]:
    """Divide the bytes of several complete replies into the bytes of each."""
    found, start = [], 0
    while start < len(data):
        end = _end(data, start)
        found.append(data[start:end])
        start = end
    return found


def _end(data: bytes, start: int) -> int:
    """Return where a reply that begins at `start` ends."""
    line = data.index(b"\r\n", start) + 2
    kind = data[start : start + 1]
    if kind in (b"$", b"=", b"!"):
        size = int(data[start + 1 : line])
        return line if size < 0 else line + size + 2
    for _ in range(_MANY.get(kind, 0) * max(0, int(data[start + 1 : line])) if kind in _MANY else 0):
        line = _end(data, line)
    return line
