"""Blocking commands in virtual time: BLPOP and its kin, XREAD and XREADGROUP with BLOCK, WAIT.

A real server would keep real time while a client waits. Inside of a transaction Redis never blocks, so each attempt is
one, and the waiting takes place here:

1. A blocking command that arrives is tried at once, as `MULTI; command; EXEC`. A reply other than nil is its reply.
2. If the reply is nil, the connection waits, behind those that came before. What its client sends meanwhile is kept.
3. After each packet that may have changed a key that is waited for, the waiting commands are tried again in order of
   arrival, until all get nil. This takes no virtual time: a server serves them before it reads the next command.
4. At its deadline, a command that is still waiting is answered nil.

`$` in XREAD is replaced by the last id of the stream when the command arrives. What is served to a client that has gone
in the meantime is lost with it, as it is in production.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import hiredis

from simulation.kernel.event_loop import SimulatedLoop
from simulation.stores.protocol import Link
from simulation.stores.redis_commands import INDIRECT, blocking_keys, timeout_of
from simulation.stores.resp import frames
from simulation.world.backlog import Backlog

Words = Sequence[bytes]

_NIL = frozenset({b"*-1\r\n", b"$-1\r\n", b"_\r\n"})


class Caller(Protocol):
    """A connection whose client can block."""

    link: Link

    def aside(self) -> Link:
        """Return a link on which a transaction disturbs nothing that the client has begun on its own."""
        ...


@dataclass(slots=True, eq=False)
class _Waiting:
    """A blocking command that has not been answered."""

    caller: Caller
    words: Words
    keys: frozenset[bytes]
    answer: Callable[[Words, bytes], None]
    nothing: bytes
    """What it is answered at its deadline."""
    timer: asyncio.TimerHandle | None


class BlockingCalls:
    """The blocking commands of a world that wait, first come, first served."""

    def __init__(self, loop: SimulatedLoop, set_time: Callable[[int], None], backlog: Backlog) -> None:
        self._loop = loop
        self._set_time = set_time
        self._backlog = backlog
        self._waiting: list[_Waiting] = []

    def call(self, caller: Caller, words: Words, answer: Callable[[Words, bytes], None]) -> None:
        """Answer a blocking command: now, when it can be served, or at its deadline.

        `answer` is called with the command and the bytes of the reply.
        """
        words = _resolved(caller.link, words)
        reply = attempt(caller.aside(), words)
        wait_us = timeout_of(words)
        if not _waits(words, reply) or wait_us is None:
            answer(words, reply)
            return
        waiting = _Waiting(caller, words, blocking_keys(words), answer, reply, None)
        if wait_us:
            waiting.timer = self._loop.in_world(wait_us, self._expire, waiting)
        self._waiting.append(waiting)

    def executed(self, commands: Sequence[Words]) -> None:
        """Serve the commands that wait for what these commands may have changed."""
        if not self._waiting:
            return
        changed: set[bytes] | None = set()
        for words in commands:
            if words[0].upper() in INDIRECT:
                changed = None
                break
            assert changed is not None
            changed.update(words[1:])
        self.serve(changed)

    def serve(self, changed: set[bytes] | None = None) -> None:
        """Try again the commands that wait for some keys, or for any, in order of arrival, until none is served."""
        served = True
        while served and self._waiting:
            served = False
            for waiting in list(self._waiting):
                if waiting not in self._waiting or (changed is not None and changed.isdisjoint(waiting.keys)):
                    continue
                if self._try(waiting):
                    served = True
                    if changed is not None:
                        changed.update(waiting.words[1:])

    def _try(self, waiting: _Waiting) -> bool:
        if not waiting.keys:
            return False
        self._set_time(self._loop.now)
        reply = attempt(waiting.caller.aside(), waiting.words)
        if _waits(waiting.words, reply):
            return False
        self._take(waiting)
        waiting.answer(waiting.words, reply)
        return True

    def _expire(self, waiting: _Waiting) -> None:
        if waiting not in self._waiting or self._backlog.keeps(partial(self._expire, waiting)):
            return
        self._take(waiting)
        waiting.answer(waiting.words, waiting.nothing)

    def _take(self, waiting: _Waiting) -> None:
        self._waiting.remove(waiting)
        if waiting.timer is not None:
            waiting.timer.cancel()

    def drop(self, caller: Caller) -> None:
        """Forget what a connection waits for: the server knows that its client is gone."""
        for waiting in [one for one in self._waiting if one.caller is caller]:
            self._take(waiting)

    def close(self) -> None:
        """Forget everything."""
        self._waiting.clear()


def attempt(link: Link, words: Words) -> bytes:
    """Execute a command as if it could not block, and return the bytes of its reply."""
    _, queued, executed = frames(link.run([[b"MULTI"], words, [b"EXEC"]]))
    if queued.startswith(b"-"):  # it was not even queued, so nothing was executed
        return queued
    return executed.partition(b"\r\n")[2] if executed.startswith(b"*1") else executed


def _waits(words: Words, reply: bytes) -> bool:
    """Whether a command would block at this answer."""
    if words[0].upper() == b"WAIT":
        return reply[:1] == b":" and int(reply[1:]) < int(words[1])
    return reply in _NIL


def _resolved(link: Link, words: Words) -> Words:
    """Return XREAD with each `$` replaced by the id that the stream has now."""
    if words[0].upper() != b"XREAD" or b"$" not in words:
        return words
    place = next(i for i, word in enumerate(words) if word.upper() == b"STREAMS") + 1
    count = (len(words) - place) // 2
    keys, ids = words[place : place + count], words[place + count :]
    now = [_last_id(link, key) if since == b"$" else since for key, since in zip(keys, ids, strict=False)]
    return [*words[:place], *keys, *now]


def _last_id(link: Link, key: bytes) -> bytes:
    reader = hiredis.Reader()
    reader.feed(link.run([[b"XINFO", b"STREAM", key]]))
    reply: Any = reader.gets()
    if isinstance(reply, hiredis.ReplyError):
        return b"0-0"  # there is no such stream: whatever comes is new
    pairs = reply.items() if isinstance(reply, dict) else _pairs(reply)
    return bytes(dict(pairs)[b"last-generated-id"])


def _pairs(flat: Sequence[Any]) -> Iterator[tuple[Any, Any]]:
    return zip(flat[::2], flat[1::2], strict=True)
