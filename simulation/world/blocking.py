"""Blocking commands in virtual time: BLPOP and its kin, XREAD and XREADGROUP with BLOCK, WAIT.

A real server would keep real time while a client waits. Inside of a transaction Redis never blocks, so each attempt is
one, and the waiting takes place here:

1. A blocking command that arrives is tried at once, as `MULTI; command; EXEC`. A reply other than nil is its reply.
2. If the reply is nil, the connection waits, behind those that came before. Packets of its client are kept meanwhile.
3. After each command that may have changed a key that is waited for, the waiting commands are tried again: key by key,
   and for each key in order of arrival. As in Redis, a key wakes only waiters for a value of its type; a group's
   reader is woken by any change, since its group may be gone. A command that gets nil again waits behind the others.
4. At its deadline, a command that is still waiting is answered nil.
5. Clients that were served go on with the commands that they have sent since then, once the client that served them has
   been dealt with: a server executes all commands read from one client before it turns to another.

This takes no virtual time. Which keys a script has changed, and in which order, is not known: keys that its command
names come first, then the others in the order in which they are waited for.

`$` in XREAD is replaced by the last id of the stream when the command arrives. An element that is served to a client
that has gone in the meantime is lost with it, as it is in production.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, Protocol

import hiredis

from simulation.kernel.escapes import Escaped
from simulation.kernel.event_loop import SimulatedLoop
from simulation.stores.protocol import Link
from simulation.stores.redis_commands import INDIRECT, WRITING_NOTHING, awaited_type, blocking_keys, timeout_of
from simulation.stores.resp import frames
from simulation.world.backlog import Backlog

Words = Sequence[bytes]

_NIL = frozenset({b"*-1\r\n", b"$-1\r\n", b"_\r\n"})
_NOTHING_DONE = _NIL | {b":0\r\n", b"*0\r\n"}
_ELSEWHERE = (b"-ASK ", b"-TRYAGAIN ")
"""First bytes of the replies of a node whose slot is moving: a client that waits is redirected only afterwards."""
UNBLOCKED = b"-UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)\r\n"
"""The reply of a server to clients that wait when it becomes a replica; then it closes their connections."""


Served = Callable[[Words, bytes], None]
"""Is called with a command that has waited, and the reply to it."""


class Replicas(NamedTuple):
    """The replicas of a server, as WAIT counts them."""

    number: int
    lag: int
    """Microseconds after which each replica has a write of the primary."""


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
    asking: bool
    """Whether it was sent behind ASKING, to the node that a slot moves to."""
    keys: frozenset[bytes]
    served: Served
    nothing: bytes
    """The reply at its deadline."""
    timer: asyncio.TimerHandle | None


class BlockingCalls:
    """The blocking commands of a world that wait, first come, first served."""

    def __init__(self, loop: SimulatedLoop, set_time: Callable[[int], None], backlog: Backlog) -> None:
        self._loop = loop
        self._set_time = set_time
        self._backlog = backlog
        self._waiting: list[_Waiting] = []
        self._unblocked: deque[Callable[[], None]] = deque()
        self._is_turning = False

    @property
    def any_wait(self) -> bool:
        """Whether any command waits."""
        return bool(self._waiting)

    @property
    def count(self) -> int:
        """Number of commands that wait."""
        return len(self._waiting)

    def call(self, caller: Caller, words: Words, served: Served, *, asking: bool = False) -> bytes | None:
        """Return the reply to a blocking command. If it must wait, return None, and call `served` with it later.

        Raises Escaped if it must wait for a time that cannot be read.
        """
        words = _resolved(caller.link, words)
        reply = attempt(caller.aside(), words, asking=asking)
        if not _waits(words, reply):
            return reply
        wait_us = timeout_of(words)
        if wait_us is None:
            text = b" ".join(words).decode("utf-8", "backslashreplace")
            raise Escaped(f"{text} was sent to Redis, but how long it waits cannot be read")
        waiting = _Waiting(caller, words, asking, blocking_keys(words), served, reply, None)
        if wait_us:
            waiting.timer = self._loop.in_world(wait_us, self._expire, waiting)
        self._waiting.append(waiting)
        return None

    def wait(self, caller: Caller, words: Words, served: Served, replicas: Replicas, wrote_at: int) -> bytes | None:
        """Return the reply to WAIT, as `call` does, where there are replicas.

        `wrote_at` is when the client last wrote, in microseconds.
        """
        reply, wait_us, now = attempt(caller.aside(), words), timeout_of(words), self._loop.now
        if not reply.startswith(b":") or wait_us is None:
            return reply
        known_in = max(0, wrote_at + replicas.lag - now)
        count = b":%d\r\n" % replicas.number
        if int(words[1]) <= 0 or (not known_in and replicas.number >= int(words[1])):
            return b":0\r\n" if known_in else count
        enough = replicas.number >= int(words[1]) and (not wait_us or known_in <= wait_us)
        last = count if enough or known_in <= wait_us else b":0\r\n"
        waiting = _Waiting(caller, words, False, frozenset(), served, last, None)
        if due := known_in if enough else wait_us:
            waiting.timer = self._loop.in_world(due, self._expire, waiting)
        self._waiting.append(waiting)
        return None

    def executed(self, commands: Sequence[Words], reply: bytes = b"") -> None:
        """Serve the commands that wait for keys that these commands may have changed.

        `reply` is that of the last one; that of EXEC has the reply of each command of the transaction.
        """
        if not self._waiting:
            return
        in_order = _those_that_did_something_first(commands, reply)
        writing = (words for words in in_order if words[0].upper() not in WRITING_NOTHING)
        keys = dict.fromkeys(word for words in writing for word in words[1:])
        if any(words[0].upper() in INDIRECT for words in commands):
            keys.update(dict.fromkeys(self._awaited()))
        self._serve(keys)

    def serve(self) -> None:
        """Try all commands again: something other than a command has changed the data."""
        self._serve(self._awaited())
        self.turn()

    def _awaited(self) -> list[bytes]:
        return [key for waiting in self._waiting for key in sorted(waiting.keys)]

    def _serve(self, keys: Iterable[bytes]) -> None:
        while keys and self._waiting:
            changed: dict[bytes, None] = {}
            for key in keys:
                for waiting in [one for one in self._waiting if key in one.keys]:
                    if waiting in self._waiting and self._try(waiting, key):
                        changed.update(dict.fromkeys(waiting.words[1:]))
            keys = changed

    def _try(self, waiting: _Waiting, key: bytes) -> bool:
        self._set_time(self._loop.now)
        link, words = waiting.caller.aside(), waiting.words
        if not _wakes(link, key, words, asking=waiting.asking):
            return False
        reply = attempt(link, words, asking=waiting.asking)
        if _waits(words, reply) or reply.startswith(_ELSEWHERE):
            self._waiting.remove(waiting)
            self._waiting.append(waiting)
            return False
        self._take(waiting)
        waiting.served(words, reply)
        return True

    def _expire(self, waiting: _Waiting) -> None:
        if waiting not in self._waiting or self._backlog.keeps(partial(self._expire, waiting)):
            return
        self._take(waiting)
        waiting.served(waiting.words, waiting.nothing)
        self.turn()

    def _take(self, waiting: _Waiting) -> None:
        self._waiting.remove(waiting)
        if waiting.timer is not None:
            waiting.timer.cancel()

    def later(self, go_on: Callable[[], None]) -> None:
        """Have a client that was served go on at its turn."""
        self._unblocked.append(go_on)

    def turn(self) -> None:
        """Have the clients that were served go on, one after the other."""
        if self._is_turning:
            return
        self._is_turning = True
        try:
            while self._unblocked:
                self._unblocked.popleft()()
        finally:
            self._is_turning = False

    def refuse(self, caller: Caller) -> bool:
        """Have a connection wait no longer, and return whether it did: its server has become a replica."""
        waited = any(waiting.caller is caller for waiting in self._waiting)
        self.drop(caller)
        return waited

    def drop(self, caller: Caller) -> None:
        """Forget the wait of a connection: the server knows that its client is gone."""
        for waiting in [one for one in self._waiting if one.caller is caller]:
            self._take(waiting)

    def close(self) -> None:
        """Forget everything."""
        self._waiting.clear()
        self._unblocked.clear()


def attempt(link: Link, words: Words, *, asking: bool = False) -> bytes:
    """Execute a command as if it could not block, and return the bytes of its reply."""
    before = [[b"ASKING"], [b"MULTI"]] if asking else [[b"MULTI"]]
    *_, queued, executed = frames(link.run([*before, words, [b"EXEC"]]))
    if queued.startswith(b"-"):  # it was not even queued, so nothing was executed
        return queued
    return executed.partition(b"\r\n")[2] if executed.startswith(b"*1") else executed


def _those_that_did_something_first(commands: Sequence[Words], reply: bytes) -> list[Words]:
    """Return commands in the order in which keys became ready, as far as the replies to a transaction say."""
    *inside, last = commands
    if not inside or last[0].upper() != b"EXEC" or not reply.startswith(b"*%d\r\n" % len(inside)):
        return list(commands)
    done = frames(reply.partition(b"\r\n")[2])
    order = sorted(range(len(inside)), key=lambda i: done[i] in _NOTHING_DONE or done[i].startswith(b"-"))
    return [*(inside[i] for i in order), last]


def _wakes(link: Link, key: bytes, words: Words, *, asking: bool) -> bool:
    """Whether a key may end the wait of a command for it: one that has a value of another type does not."""
    type_of_value = awaited_type(words)
    if not type_of_value:
        return True
    before = [[b"ASKING"]] if asking else []
    found = frames(link.run([*before, [b"TYPE", key]]))[-1]
    return found.startswith(b"-") or type_of_value in found[1:].split(b"\r\n")  # fakeredis gives it as a bulk string


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
