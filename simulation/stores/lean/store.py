"""The lean store and its links: what belongs to a connection, and what needs the store as a whole."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import hiredis

from simulation.kernel.epoch import EPOCH, microseconds
from simulation.stores.in_process import InProcess
from simulation.stores.lean.commands import COMMANDS, Words, command_of, execute, named, wrong_number
from simulation.stores.lean.keyspace import Keyspace, is_integer
from simulation.stores.lean.lua import Interpreter
from simulation.stores.lean.replies import (
    OK,
    PONG,
    QUEUED,
    ErrorReply,
    Pairs,
    Push,
    UnknownToLean,
    Written,
    write,
)

REDIS = "8.2.3"
"""The Redis whose answers are given."""

_WHILE_LISTENING = frozenset({b"SUBSCRIBE", b"UNSUBSCRIBE", b"PING"})
_MODULE = Pairs({b"name": b"vectorset", b"ver": 1, b"path": b"", b"args": []})


class LeanStore(InProcess):
    """A Redis in Python."""

    name = "lean"
    version = REDIS

    def __init__(self) -> None:
        self.space = Keyspace()
        self.scripts = Interpreter(self._from_script)
        self.channels: dict[bytes, dict[LeanLink, None]] = {}
        """Who listens to each channel, in the order of subscription."""
        self.inside: list[tuple[Words, Any]] | None = None
        """The commands that scripts have executed and their replies, if anybody wants to know."""
        self._epoch_us = microseconds(EPOCH)
        self._now = self._shift = 0
        self._links = 0

    # -- what the harness asks -----------------------------------------------------------------------------------

    def begin(self, epoch: datetime) -> None:
        """Forget all data, and set the clock to the start of a run."""
        self._epoch_us, self._shift = microseconds(epoch), 0
        self.space.clear()
        self.channels.clear()
        self.set_time(0)

    def set_time(self, now: int) -> None:
        """Let it be `now` microseconds after the epoch."""
        self._now = now
        self.space.now = self._epoch_us + now + self._shift

    def shift(self, offset: int) -> None:
        """Show a time that is wrong by so many microseconds."""
        self._shift = offset
        self.set_time(self._now)

    def all_keys(self) -> list[str]:
        """Return the names of all keys, sorted."""
        return sorted(key.decode("utf-8", "backslashreplace") for key in self.space.names())

    def delete(self, keys: Sequence[str]) -> None:
        """Remove some keys."""
        execute(self.space, [b"UNLINK", *(key.encode() for key in keys)])

    def wipe(self) -> None:
        """Forget all data."""
        self.space.clear()

    def link(self) -> LeanLink:
        """Open a connection."""
        self._links += 1
        return LeanLink(self, self._links)

    # -- what links and scripts share ----------------------------------------------------------------------------

    def publish(self, words: Words) -> int:
        """Hand a message to everybody who listens to its channel, and return how many do."""
        if len(words) != 3:
            raise wrong_number(words[0])
        listening = self.channels.get(words[1], {})
        for link in listening:
            link.push([b"message", words[1], words[2]])
        return len(listening)

    def _from_script(self, words: Words) -> Any:
        """Execute one command of a script."""
        if self.inside is not None:
            self.inside.append((words, Ellipsis))  # in case that it ends in an error
        found = COMMANDS.get(words[0]) if words else None
        if found is not None and found.least <= len(words) <= found.most:
            reply = found.execute(self.space, words)
        else:
            reply = self._otherwise(words)
        if self.inside is not None:
            self.inside[-1] = words, reply
        return reply

    def _otherwise(self, words: Words) -> Any:
        """Execute a command of a script that is not about the data, is spelled otherwise or cannot be executed."""
        if not words:
            raise ErrorReply("ERR Please specify at least one argument for this redis lib call")
        match words[0].upper():
            case b"PUBLISH" if len(words) == 3:
                return self.publish(words)
            case b"PING" if len(words) == 1:
                return PONG
            case verb if verb in _LINK_COMMANDS:
                raise ErrorReply("ERR This Redis command is not allowed from script")
        try:
            found = command_of(words)
        except ErrorReply:
            raise ErrorReply("ERR Wrong number of args calling Redis command from script") from None
        return found.execute(self.space, words)


class LeanLink:
    """A connection to a lean store."""

    __slots__ = ("_channels", "_number", "_pushed", "_queue", "_spoilt", "_store", "protocol")

    def __init__(self, store: LeanStore, number: int) -> None:
        self.protocol = 2
        self._store = store
        self._number = number
        self._pushed: list[bytes] = []
        self._channels: dict[bytes, None] = {}
        self._queue: list[Words] | None = None
        """The commands of a transaction that has begun."""
        self._spoilt = False
        """Whether a command of the transaction was refused."""

    def execute(self, request: bytes, replies: int) -> bytes:
        """Execute a request and return its replies."""
        reader = hiredis.Reader()
        reader.feed(request)
        return self.run([reader.gets() for _ in range(replies)])

    def run(self, commands: Sequence[Words]) -> bytes:
        """Execute commands and return the bytes of all replies."""
        if len(commands) == 1:
            return self._replied(commands[0])
        return b"".join([self._replied(words) for words in commands])

    def send(self, request: bytes) -> None:
        """Execute a request whose replies are to be fetched by `pushed`."""
        reader = hiredis.Reader()
        reader.feed(request)
        while (words := reader.gets()) is not False:
            self._pushed.append(self._replied(words))

    def pushed(self) -> bytes:
        """Return what was pushed, and the replies to what was sent, since the last time."""
        found, self._pushed = b"".join(self._pushed), []
        return found

    def push(self, message: list[Any]) -> None:
        """Send something that nobody asked for."""
        self._pushed.append(write(Push(message), self.protocol))

    def close(self) -> None:
        """Close the connection."""
        for channel in self._channels:
            self._forget(channel)
        self._channels.clear()

    # -- commands --------------------------------------------------------------------------------------------------

    def _replied(self, words: Words) -> bytes:
        try:
            reply = self._execute(words)
        except ErrorReply as error:
            reply = error
        return write(reply, self.protocol)

    def _execute(self, words: Words) -> Any:
        own = _LINK_COMMANDS.get(words[0])
        if own is None and words[0] not in COMMANDS:
            own = _LINK_COMMANDS.get(words[0].upper())
        if self._queue is not None and own not in _AT_ONCE:
            if own is None:
                self._check(words)
            elif own not in _IN_TRANSACTIONS:
                raise UnknownToLean(f"{named(words)} in a transaction")
            self._queue.append(words)
            return QUEUED
        if self._channels and self.protocol == 2 and words[0].upper() not in _WHILE_LISTENING:
            raise UnknownToLean(f"{named(words)} on a connection of RESP2 that listens")
        return execute(self._store.space, words) if own is None else own(self, words)

    def _check(self, words: Words) -> None:
        """Refuse a command of a transaction that cannot be executed, and the transaction with it."""
        try:
            command_of(words)
        except ErrorReply:
            self._spoilt = True
            raise

    def _eval(self, words: Words) -> Any:
        keys = _keys(words)
        return self._store.scripts.run(self._store.scripts.load(words[1]), keys, words[3:], self.protocol)

    def _evalsha(self, words: Words) -> Any:
        return self._store.scripts.run(words[1], _keys(words), words[3:], self.protocol)

    def _script(self, words: Words) -> Any:
        if len(words) < 2:
            raise wrong_number(words[0])
        match words[1].upper():
            case b"LOAD" if len(words) == 3:
                return self._store.scripts.load(words[2])
            case b"EXISTS" if len(words) > 2:
                return [int(self._store.scripts.knows(digest)) for digest in words[2:]]
            case b"FLUSH" if len(words) == 2:
                return OK  # what a run has sent is forgotten by `scripts.py`
        raise UnknownToLean(f"SCRIPT {words[1].decode('utf-8', 'backslashreplace')} with {len(words) - 2} arguments")

    def _multi(self, words: Words) -> Any:
        if self._queue is not None:
            raise ErrorReply("ERR MULTI calls can not be nested")
        self._queue, self._spoilt = [], False
        return OK

    def _exec(self, words: Words) -> Any:
        if self._queue is None:
            raise ErrorReply("ERR EXEC without MULTI")
        queue, self._queue = self._queue, None
        if self._spoilt:
            raise ErrorReply("EXECABORT Transaction discarded because of previous errors.")
        replies: list[Any] = []
        for queued in queue:
            try:
                replies.append(self._execute(queued))
            except ErrorReply as error:
                replies.append(error)
        return replies

    def _discard(self, words: Words) -> Any:
        if self._queue is None:
            raise ErrorReply("ERR DISCARD without MULTI")
        self._queue = None
        return OK

    def _publish(self, words: Words) -> Any:
        return self._store.publish(words)

    def _subscribe(self, words: Words) -> Any:
        if len(words) < 2:
            raise wrong_number(words[0])
        told = []
        for channel in words[1:]:
            self._channels[channel] = None
            self._store.channels.setdefault(channel, {})[self] = None
            told.append([b"subscribe", channel, len(self._channels)])
        return self._told(told)

    def _unsubscribe(self, words: Words) -> Any:
        channels = words[1:] or list(self._channels)
        told = []
        for channel in channels:
            if channel in self._channels:
                del self._channels[channel]
                self._forget(channel)
            told.append([b"unsubscribe", channel, len(self._channels)])
        return self._told(told or [[b"unsubscribe", None, 0]])

    def _told(self, messages: list[list[Any]]) -> Written:
        """Answer one command by several messages."""
        return Written(b"".join([write(Push(message), self.protocol) for message in messages]))

    def _forget(self, channel: bytes) -> None:
        listening = self._store.channels.get(channel, {})
        listening.pop(self, None)
        if not listening:
            self._store.channels.pop(channel, None)

    def _ping(self, words: Words) -> Any:
        said = words[1] if len(words) > 1 else None
        if self._channels and self.protocol == 2:
            return [b"pong", said or b""]
        return PONG if said is None else said

    def _hello(self, words: Words) -> Any:
        if len(words) > 1:
            if not is_integer(words[1]):
                raise ErrorReply("ERR Protocol version is not an integer or out of range")
            if int(words[1]) not in (2, 3):
                raise ErrorReply("NOPROTO unsupported protocol version")
            self._check_greeting(words[2:])
            self.protocol = int(words[1])
        return Pairs(
            {
                b"server": b"redis",
                b"version": REDIS.encode(),
                b"proto": self.protocol,
                b"id": self._number,
                b"mode": b"standalone",
                b"role": b"master",
                b"modules": [_MODULE],
            }
        )

    def _check_greeting(self, options: Words) -> None:
        """Refuse all options of HELLO but those that make no difference here."""
        rest = list(options)
        while rest:
            match rest:
                case [option, b"default", _, *after] if option.upper() == b"AUTH":
                    rest = after
                case [option, _, *after] if option.upper() == b"SETNAME":
                    rest = after
                case _:
                    raise UnknownToLean("HELLO with other options than AUTH default and SETNAME")

    def _auth(self, words: Words) -> Any:
        if len(words) == 3 and words[1] == b"default":
            return OK  # whom everybody is, without a password
        raise UnknownToLean("AUTH with a password")

    def _select(self, words: Words) -> Any:
        if list(words[1:]) == [b"0"]:
            return OK
        raise UnknownToLean("SELECT of another database than 0")

    def _client(self, words: Words) -> Any:
        match [word.upper() for word in words[1:2]], len(words):
            case ([b"SETINFO"], 4) | ([b"SETNAME"], 3):
                return OK
            case [b"MAINT_NOTIFICATIONS"], _:  # this Redis has none, and clients that ask for them can do without
                asked = words[1].decode("utf-8", "surrogateescape")
                raise ErrorReply(f"ERR unknown subcommand '{asked}'. Try CLIENT HELP.")
        raise UnknownToLean(" ".join(word.decode("utf-8", "backslashreplace") for word in words[:2]))


def _keys(words: Words) -> int:
    """Return how many keys a request for a script names."""
    if len(words) < 3:
        raise wrong_number(words[0])
    if not is_integer(words[2]):
        raise ErrorReply("ERR value is not an integer or out of range")
    count = int(words[2])
    if count > len(words) - 3:
        raise ErrorReply("ERR Number of keys can't be greater than number of args")
    if count < 0:
        raise ErrorReply("ERR Number of keys can't be negative")
    return count


_LINK_COMMANDS: dict[bytes, Callable[[LeanLink, Words], Any]] = {
    b"EVAL": LeanLink._eval,
    b"EVALSHA": LeanLink._evalsha,
    b"SCRIPT": LeanLink._script,
    b"MULTI": LeanLink._multi,
    b"EXEC": LeanLink._exec,
    b"DISCARD": LeanLink._discard,
    b"PUBLISH": LeanLink._publish,
    b"SUBSCRIBE": LeanLink._subscribe,
    b"UNSUBSCRIBE": LeanLink._unsubscribe,
    b"PING": LeanLink._ping,
    b"HELLO": LeanLink._hello,
    b"AUTH": LeanLink._auth,
    b"SELECT": LeanLink._select,
    b"CLIENT": LeanLink._client,
}
"""Commands that are about more than the data."""

_IN_TRANSACTIONS = frozenset({LeanLink._eval, LeanLink._evalsha, LeanLink._publish})
_AT_ONCE = frozenset({LeanLink._multi, LeanLink._exec, LeanLink._discard})
"""Commands that are not queued by a transaction."""
