"""Mutates files: by their structure, and byte by byte. The same seed gives the same mutation."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from copy import deepcopy
from random import Random
from typing import Any

ODD: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    1 << 31,
    1 << 63,
    10**40,
    1.5,
    float("nan"),
    float("inf"),
    "",
    "..",
    "../../escaped",
    "/etc/passwd",
    "-rf",
    "a\0b",
    "\x1b[2J\x1b[31mevil",
    "\ud800",
    "\u202egnp",
    "nan",
    "1e999",
    "x" * 5_000,
    "é" * 50,
    [],
    {},
    [[[[]]]],
    {"a": {"b": [1, {"c": None}]}},
    [1, "two", None],
)
"""What no reader expects, in any place."""


def mutated_record(record: Any, rng: Random) -> Any:
    """Return a copy of a record with one to three of its values, keys or entries changed."""
    copy = json.loads(json.dumps(record))
    for _ in range(rng.randint(1, 3)):
        places = list(_places(copy))
        if not places:
            return _odd(rng)
        holder, key = rng.choice(places)
        _change(holder, key, rng)
    return copy


def _places(value: Any) -> list[tuple[Any, Any]]:
    found: list[tuple[Any, Any]] = []
    todo = [value]
    while todo:
        holder = todo.pop()
        keys = list(holder) if isinstance(holder, dict) else range(len(holder)) if isinstance(holder, list) else []
        for key in keys:
            found.append((holder, key))
            todo.append(holder[key])
    return found


def _change(holder: Any, key: Any, rng: Random) -> None:
    match rng.randrange(6):
        case 0:
            del holder[key]
        case 1 if isinstance(holder, dict):
            holder[str(_odd(rng))] = holder.pop(key)
        case 2 if isinstance(holder, list):
            holder.insert(key, json.loads(json.dumps(holder[key])))
        case 3:
            holder[key] = {"a": holder[key]}
        case 4:
            holder[key] = [holder[key]]
        case _:
            holder[key] = _odd(rng)


def _odd(rng: Random) -> Any:
    """Return a copy: what is put into a record may be changed next, and must not change for the records to come."""
    return deepcopy(rng.choice(ODD))


def mutated_bytes(data: bytes, rng: Random) -> bytes:
    """Return some bytes with one to four of them, or stretches of them, changed."""
    for _ in range(rng.randint(1, 4)):
        data = rng.choice(BYTEWISE)(data, rng)
    return data


def _flip(data: bytes, rng: Random) -> bytes:
    if not data:
        return b"\0"
    place = rng.randrange(len(data))
    return data[:place] + bytes([data[place] ^ (1 << rng.randrange(8))]) + data[place + 1 :]


def _cut(data: bytes, rng: Random) -> bytes:
    return data[: rng.randint(0, len(data))]


def _drop(data: bytes, rng: Random) -> bytes:
    place = rng.randint(0, len(data))
    return data[:place] + data[place + rng.randint(1, 40) :]


def _repeat(data: bytes, rng: Random) -> bytes:
    place = rng.randint(0, len(data))
    return data[:place] + data[place : place + rng.randint(1, 200)] * rng.randint(1, 20) + data[place:]


def _insert(data: bytes, rng: Random) -> bytes:
    place = rng.randint(0, len(data))
    short = [b"\0", b"\xff", b"\x1b[2J", b"\n", b'"', b"{", b"\r", b"\xed\xa0\x80"]
    odd = rng.choice([*short, b"[" * 2_000, b"9" * 6_000])
    return data[:place] + odd + data[place:]


def _recode(data: bytes, rng: Random) -> bytes:
    text = data.decode("utf-8", "replace")
    return rng.choice(
        [
            lambda: text.encode("utf-16"),
            lambda: b"\xef\xbb\xbf" + data,
            lambda: text.encode("latin-1", "replace"),
            lambda: gzip.compress(data, mtime=0),
            lambda: gzip.compress(data, mtime=0)[: max(3, len(data) // 3)],
            lambda: text.replace("\n", "\r\n").encode("utf-8", "replace"),
        ]
    )()


BYTEWISE: tuple[Callable[[bytes, Random], bytes], ...] = (_flip, _flip, _cut, _drop, _repeat, _insert, _recode)
