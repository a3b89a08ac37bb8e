"""Footprints: which keys the commands of a request have read and changed, so that a search knows what commutes.

What a script touches depends on what it finds, so it is not guessed from its arguments: a private redis-server is
asked to MONITOR, which shows each command that a script ran, and the lean store keeps a list of them. Where there is
neither (fakeredis), a script counts as touching everything. So does every command that this file does not know: to be
wrong in that direction costs time, never a run.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from hashlib import sha1
from typing import Any

import hiredis

from simulation.lean import LeanStore
from simulation.servers import Link, ServerStore, Store, command
from simulation.steps import EVERYTHING, Touched

SCRIPTS = frozenset({"EVAL", "EVALSHA", "EVAL_RO", "EVALSHA_RO"})
KEYLESS = frozenset(
    {"CLIENT", "HELLO", "PING", "ECHO", "AUTH", "SELECT", "COMMAND", "INFO", "TIME", "MULTI", "EXEC", "DISCARD"}
)
MANY = frozenset({"DEL", "UNLINK", "EXISTS", "MGET", "TOUCH"})
"""Commands of which every argument is a key."""

READS = frozenset(
    [
        "GET",
        "MGET",
        "EXISTS",
        "STRLEN",
        "GETRANGE",
        "TTL",
        "PTTL",
        "EXPIRETIME",
        "PEXPIRETIME",
        "TYPE",
        "TOUCH",
        "SISMEMBER",
        "SMISMEMBER",
        "SMEMBERS",
        "SCARD",
        "LRANGE",
        "LLEN",
        "LINDEX",
        "LPOS",
        "HGET",
        "HMGET",
        "HGETALL",
        "HEXISTS",
        "HLEN",
        "HKEYS",
        "HVALS",
        "ZRANGE",
        "ZREVRANGE",
        "ZRANGEBYSCORE",
        "ZREVRANGEBYSCORE",
        "ZRANGEBYLEX",
        "ZSCORE",
        "ZMSCORE",
        "ZCARD",
        "ZCOUNT",
        "ZRANK",
        "ZREVRANK",
    ]
)
WRITES = frozenset(
    [
        "SET",
        "SETNX",
        "SETEX",
        "PSETEX",
        "GETSET",
        "GETDEL",
        "GETEX",
        "APPEND",
        "INCR",
        "INCRBY",
        "DECR",
        "DECRBY",
        "DEL",
        "UNLINK",
        "EXPIRE",
        "PEXPIRE",
        "EXPIREAT",
        "PEXPIREAT",
        "PERSIST",
        "SADD",
        "SREM",
        "SPOP",
        "LPUSH",
        "RPUSH",
        "LPUSHX",
        "RPUSHX",
        "LPOP",
        "RPOP",
        "LREM",
        "LSET",
        "LTRIM",
        "HSET",
        "HSETNX",
        "HMSET",
        "HDEL",
        "HINCRBY",
        "ZADD",
        "ZREM",
        "ZINCRBY",
        "ZPOPMIN",
        "ZPOPMAX",
        "ZREMRANGEBYSCORE",
        "ZREMRANGEBYRANK",
        "ZREMRANGEBYLEX",
    ]
)
IDLE_IF_NOTHING = frozenset(
    [
        "SET",
        "SETNX",
        "DEL",
        "UNLINK",
        "EXPIRE",
        "PEXPIRE",
        "EXPIREAT",
        "PEXPIREAT",
        "PERSIST",
        "SADD",
        "SREM",
        "SPOP",
        "LPUSHX",
        "RPUSHX",
        "LPOP",
        "RPOP",
        "LREM",
        "HSETNX",
        "HDEL",
        "ZREM",
        "ZPOPMIN",
        "ZPOPMAX",
        "ZREMRANGEBYSCORE",
        "ZREMRANGEBYRANK",
        "ZREMRANGEBYLEX",
        "GETDEL",
    ]
)
"""Commands that have changed nothing if they answer 0 or nothing."""

_QUOTED = re.compile(rb'"((?:[^"\\]|\\.)*)"')
_FROM_SCRIPT = re.compile(rb"^\+[\d.]+ \[\d+ lua\] ")
_ESCAPES = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"a": b"\a", b"b": b"\b"}


class Footprints:
    """Tells what requests touch, on one store."""

    def __init__(self, store: Store) -> None:
        self._store = store if isinstance(store, ServerStore) else None
        self._lean = store if isinstance(store, LeanStore) else None
        self._watch: Link | None = None
        self._marks = 0
        self._known: set[str] = set()

    def __call__(self, commands: Sequence[Sequence[bytes]], reply: bytes) -> Touched:
        """Return what a request that was just executed has touched."""
        touched: dict[str, bool] = {}
        for words, answer in zip(commands, _answers(commands, reply), strict=True):
            verb = words[0].decode("latin-1").upper()
            if verb in SCRIPTS:
                self._script(verb, words, touched)
            elif verb == "SCRIPT":
                self._load(words, touched)
            else:
                _add(touched, verb, words[1:], answer)
        if any(name.startswith("script ") for name in touched):
            self._inside(touched)
        return touched

    def know(self, scripts: Iterable[bytes]) -> None:
        """Take note of scripts that every run begins with."""
        self._known.update(sha1(script, usedforsecurity=False).hexdigest() for script in scripts)

    def watch(self) -> None:
        """Begin to watch what scripts do, from now on."""
        if self._lean is not None:
            self._lean.inside = []
        if self._store is not None and self._watch is None:
            self._watch = self._store.link()
            self._watch.execute(command("MONITOR"), 1)
            self._reader = hiredis.Reader()

    def close(self) -> None:
        """Watch no longer."""
        if self._lean is not None:
            self._lean.inside = None
        if self._watch is not None:
            self._watch.close()
            self._watch = None

    def _script(self, verb: str, words: Sequence[bytes], touched: dict[str, bool]) -> None:
        if verb.startswith("EVALSHA"):
            touched.setdefault(f"script {words[1].decode('latin-1')}", False)
            return
        digest = sha1(words[1], usedforsecurity=False).hexdigest()
        # A script that Redis knows already is not changed by being sent again.
        touched[f"script {digest}"] = digest not in self._known

    def _load(self, words: Sequence[bytes], touched: dict[str, bool]) -> None:
        if words[1].upper() == b"LOAD":
            digest = sha1(words[2], usedforsecurity=False).hexdigest()
            touched[f"script {digest}"] = digest not in self._known
        else:
            touched[EVERYTHING] = True

    def _inside(self, touched: dict[str, bool]) -> None:
        if self._lean is not None and self._lean.inside is not None:
            for words, answer in self._lean.inside:
                _add(touched, words[0].decode("latin-1").upper(), words[1:], answer)
            self._lean.inside.clear()
            return
        if self._watch is None or self._store is None:
            touched[EVERYTHING] = True
            return
        self._marks += 1
        mark = f"causim-mark-{self._marks}"
        self._store.ask(command("ECHO", mark))
        for line in self._lines(mark.encode()):
            found = _FROM_SCRIPT.match(line)
            if found is not None:
                words = [_plain(word) for word in _QUOTED.findall(line, found.end())]
                # What a command inside a script has answered is not shown, so a write counts as a change.
                _add(touched, words[0].decode("latin-1").upper(), words[1:], Ellipsis)

    def _lines(self, mark: bytes) -> Iterable[bytes]:
        assert self._watch is not None
        rest = b""
        while True:
            rest += self._watch.pushed()
            *lines, rest = rest.split(b"\r\n")
            for line in lines:
                if mark in line:
                    return
                yield line


def conflict(one: Touched, other: Touched) -> bool:
    """Return whether two steps must not be swapped: one changes what the other touches."""
    if EVERYTHING in one or EVERYTHING in other:
        return True
    small, large = (one, other) if len(one) <= len(other) else (other, one)
    return any(name in large and (changed or large[name]) for name, changed in small.items())


def _add(touched: dict[str, bool], verb: str, arguments: Sequence[bytes], answer: Any) -> None:
    if verb in KEYLESS:
        return
    if verb not in READS and verb not in WRITES:
        touched[EVERYTHING] = True
        return
    idle = verb in IDLE_IF_NOTHING and _nothing(answer) and not _answers_what_was(verb, arguments)
    changed = verb in WRITES and not idle
    for key in arguments if verb in MANY else arguments[:1]:
        name = "key " + key.decode("utf-8", "backslashreplace")
        touched[name] = changed or touched.get(name, False)


def _answers_what_was(verb: str, arguments: Sequence[bytes]) -> bool:
    """Whether a command answers with what it found, so that nothing there says nothing about what it did."""
    return verb == "SET" and b"GET" in (word.upper() for word in arguments[2:])


def _nothing(answer: Any) -> bool:
    return answer is None or (answer in (0, []) and answer is not False)


def _answers(commands: Sequence[Sequence[bytes]], reply: bytes) -> list[Any]:
    """Return what each command answered; those inside a transaction answer when it is executed."""
    reader = hiredis.Reader()
    reader.feed(reply)
    answers = [reader.gets() for _ in commands]
    verbs = [bytes(words[0]).upper() for words in commands]
    if verbs[:1] == [b"MULTI"] and verbs[-1] == b"EXEC" and isinstance(answers[-1], list):
        inner = answers[-1]
        if len(inner) == len(commands) - 2:
            return [Ellipsis, *inner, Ellipsis]
    return answers


def _plain(quoted: bytes) -> bytes:
    """Return a word as it was before MONITOR quoted it."""
    if b"\\" not in quoted:
        return quoted
    text = re.sub(rb"\\x([0-9a-f]{2})", lambda found: bytes([int(found[1], 16)]), quoted)
    return re.sub(rb"\\(.)", lambda found: _ESCAPES.get(found[1], found[1]), text)
