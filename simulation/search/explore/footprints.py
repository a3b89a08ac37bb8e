"""Footprints: the keys that the commands of a request have read and changed, from which a search derives commutation.

The footprint of a script depends on the data that it finds, so it is not guessed from its arguments: a private
redis-server is asked to MONITOR, which shows each command that a script ran. Where there is none (fakeredis), a script
counts as touching everything. So does every command that this file does not know: to be wrong in that direction costs
time, never a run.

Most commands on a sorted set or a hash are about some of its members. Two that change different members commute, and
both conflict with a request that reads the whole key. There are two exceptions. A key with a time to live loses that
when its last member goes, so the members of such a key are not distinguished. And a hash lists its fields in an order
that depends on which came first. So when a request lists one, the search starts again, without distinguishing the
fields of hashes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from hashlib import sha1
from typing import Any

import hiredis

from simulation.kernel.dependence import BLIND, CHANGED, EVERYTHING, SEEN, Touched
from simulation.stores.protocol import Link, Store
from simulation.stores.redis_commands import (
    EVALSHA,
    EXPIRING,
    HASHED,
    IDLE_IF_NOTHING,
    KEYLESS,
    LISTING,
    MANY,
    MEMBERS,
    READS,
    SCRIPTS,
    WRITES,
    ZADD_FLAGS,
)
from simulation.stores.redis_server import ServerStore
from simulation.stores.resp import command

_QUOTED = re.compile(rb'"((?:[^"\\]|\\.)*)"')
_FROM_SCRIPT = re.compile(rb"^\+[\d.]+ \[\d+ lua\] ")
_ESCAPES = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"a": b"\a", b"b": b"\b"}


class FieldsListed(Exception):
    """A command listed the fields of a hash: treating its fields as independent was wrong."""


class Footprints:
    """Finds the footprints of requests on one store."""

    def __init__(self, store: Store) -> None:
        self._store = store if isinstance(store, ServerStore) else None
        self._watch: Link | None = None
        self._marks = 0
        self._known: set[str] = set()
        self._expiring: set[bytes] = set()
        self._apart = True
        """Whether members can be distinguished: a command that is not known may have given any key a time to live."""
        self._fields = True
        """Whether fields of hashes can be distinguished: no request lists them."""

    def __call__(self, commands: Sequence[Sequence[bytes]], reply: bytes) -> Touched:
        """Return the footprint of a request that was just executed."""
        touched: dict[str, int] = {}
        for words, answer in zip(commands, _answers(commands, reply), strict=True):
            verb = words[0].upper()
            if verb in SCRIPTS:
                self._script(verb, words, touched)
            elif verb == b"SCRIPT":
                self._load(words, touched)
            else:
                self._add(touched, verb, words[1:], answer)
        if any(name.startswith("script ") for name in touched):
            self._inside(touched)
        return touched

    def know(self, scripts: Iterable[bytes]) -> None:
        """Take note of scripts that every run begins with."""
        self._known.update(sha1(script, usedforsecurity=False).hexdigest() for script in scripts)

    def watch(self) -> None:
        """Begin to watch the commands of scripts, from now on."""
        if self._store is not None and self._watch is None:
            self._watch = self._store.link()
            self._watch.execute(command("MONITOR"), 1)
            self._reader = hiredis.Reader()

    def close(self) -> None:
        """Watch no longer."""
        if self._watch is not None:
            self._watch.close()
            self._watch = None

    def _script(self, verb: bytes, words: Sequence[bytes], touched: dict[str, int]) -> None:
        if verb in EVALSHA:
            touched.setdefault(f"script {words[1].decode('latin-1')}", SEEN)
            return
        digest = sha1(words[1], usedforsecurity=False).hexdigest()
        # A script that Redis knows already is not changed by being sent again.
        touched[f"script {digest}"] = SEEN if digest in self._known else CHANGED

    def _load(self, words: Sequence[bytes], touched: dict[str, int]) -> None:
        if words[1].upper() == b"LOAD":
            digest = sha1(words[2], usedforsecurity=False).hexdigest()
            touched[f"script {digest}"] = SEEN if digest in self._known else CHANGED
        else:
            touched[EVERYTHING] = CHANGED

    def _inside(self, touched: dict[str, int]) -> None:
        if self._watch is None or self._store is None:
            touched[EVERYTHING] = CHANGED
            return
        self._marks += 1
        mark = f"causim-mark-{self._marks}"
        self._store.ask(command("ECHO", mark))
        for line in self._lines(mark.encode()):
            found = _FROM_SCRIPT.match(line)
            if found is not None:
                words = [_plain(word) for word in _QUOTED.findall(line, found.end())]
                # What a command inside a script has answered is not shown, so a write counts as a change.
                self._add(touched, words[0].upper(), words[1:], Ellipsis)

    def _add(self, touched: dict[str, int], verb: bytes, arguments: Sequence[bytes], answer: Any) -> None:
        """Add the footprint of a command."""
        if verb in KEYLESS:
            return
        if verb not in READS and verb not in WRITES:
            touched[EVERYTHING] = CHANGED
            self._apart = False
            return
        if verb in EXPIRING:
            self._expiring.add(arguments[0])
        if verb in LISTING and self._fields:
            self._fields = False
            raise FieldsListed
        idle = verb in IDLE_IF_NOTHING and _nothing(answer) and not _answers_what_was(verb, arguments)
        changed = verb in WRITES and not idle
        members = self._members(verb, arguments)
        if members is not None:
            _touch_members(touched, arguments[0], members, changed)
            return
        for key in arguments if verb in MANY else arguments[:1]:
            _touch_whole(touched, key, changed)

    def _members(self, verb: bytes, arguments: Sequence[bytes]) -> Sequence[bytes] | None:
        """Return the members of its key that a command is about; None if it is about the whole."""
        if not self._apart or arguments[0] in self._expiring or (verb in HASHED and not self._fields):
            return None
        if verb == b"ZADD":
            return _added(arguments[1:])
        return arguments[1:][MEMBERS[verb]] if verb in MEMBERS else None

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
    """Return whether two steps must not be swapped: one changes what the other sees."""
    if EVERYTHING in one or EVERYTHING in other:
        return True
    small, large = (one, other) if len(one) <= len(other) else (other, one)
    for name, how in small.items():
        there = large.get(name, 0)
        if (how & there >> 1) | (how >> 1 & there):
            return True
    return False


def _touch_whole(touched: dict[str, int], key: bytes, changed: bool) -> None:
    """Take note that a whole key was looked at or changed."""
    name = _key(key)
    touched[name] = touched.get(name, 0) | (CHANGED if changed else SEEN)
    if changed:
        members = f"{name} its members"
        touched[members] = touched.get(members, 0) | BLIND


def _touch_members(touched: dict[str, int], key: bytes, members: Sequence[bytes], changed: bool) -> None:
    """Record that some members of a key were read or changed.

    This conflicts with a command that reads or changes the whole key.
    """
    name = _key(key)
    if changed:
        touched[name] = touched.get(name, 0) | BLIND
    touched[f"{name} its members"] = touched.get(f"{name} its members", 0) | SEEN
    for member in members:
        one = f"{name} its {member.decode('utf-8', 'backslashreplace')}"
        touched[one] = touched.get(one, 0) | (CHANGED if changed else SEEN)


def _key(key: bytes) -> str:
    return "key " + key.decode("utf-8", "backslashreplace")


def _added(arguments: Sequence[bytes]) -> Sequence[bytes]:
    """Return the members that a ZADD names, behind its options and each behind its score."""
    first = next((i for i, word in enumerate(arguments) if word.upper() not in ZADD_FLAGS), 0)
    return arguments[first + 1 :: 2]


def _answers_what_was(verb: bytes, arguments: Sequence[bytes]) -> bool:
    """Whether a command answers with the previous value, so that an empty answer does not mean no change."""
    return verb == b"SET" and b"GET" in (word.upper() for word in arguments[2:])


def _nothing(answer: Any) -> bool:
    return answer is None or (answer in (0, []) and answer is not False)


def _answers(commands: Sequence[Sequence[bytes]], reply: bytes) -> list[Any]:
    """Return the answer of each command; those inside a transaction answer when it is executed."""
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
