"""The fallback store: fakeredis, in this process, spoken to in bytes like any other.

It keeps the simulation's clock because the ambient clock does (see `ambient.py`). It is a second opinion too: where
its semantics agree with the server's, the same run must give the same history.

fakeredis knows less than a server. What it does not know must not reach the code under test as an error of Redis: the
code would fail where in production it does not. Such a command ends the run, in one of two places:

1. Before it is sent (`why_refused`): a command that it does not know, also one that a script calls by its name.
2. After it was executed: a reply says that an option or something in a script's Lua is not known. A server says the
   same of a mistake in the code under test, which ends the run as well.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from functools import cache
from hashlib import sha1
from importlib.metadata import version
from queue import Empty
from typing import Any

import redis.exceptions
from fakeredis import FakeServer, FakeStrictRedis

from simulation.stores.in_process import InProcess
from simulation.stores.protocol import StoreUnavailable
from simulation.stores.redis_commands import BRING_SCRIPTS, SUBCOMMANDS, called_by_script
from simulation.stores.resp import encoded, shown

_BY_TEXT = frozenset({b"EVAL", b"EVAL_RO", b"SCRIPT"})
_SCRIPTED = _BY_TEXT | {b"EVALSHA", b"EVALSHA_RO"}
_LISTS = re.compile(rb"SMEMBERS|SINTER\b", re.IGNORECASE)
_UNKNOWN = "unknown command"
_IGNORANT = re.compile(
    rf"{_UNKNOWN}|syntax error|Unsupported option|error loading code|attempt to (index|call) (global|field)"
)
"""What fakeredis answers to something that it does not know; the last two are of its Lua."""
_ANSWERED_HERE = frozenset({b"QUIT"})
"""Commands that no store is shown."""


class EmbeddedLink:
    """A connection to a fakeredis server."""

    __slots__ = ("_client", "_listing", "_socket")

    def __init__(self, server: FakeServer, listing: set[bytes]) -> None:
        self._listing = listing
        # A connection speaks RESP2 until its client says otherwise. Collecting the client would close the socket.
        self._client = FakeStrictRedis(server=server, protocol=2)
        connection = self._client.connection_pool.get_connection()
        connection.connect()  # type: ignore[no-untyped-call]
        self._socket: Any = connection._sock

    def execute(self, request: bytes, replies: int) -> bytes:
        """Have fakeredis execute the request, and encode its replies. Raises StoreUnavailable if it cannot."""
        self.send(request)
        return self.pushed(request)

    def run(self, commands: Sequence[Sequence[bytes]]) -> bytes:
        """Encode the commands, and execute them. Raises StoreUnavailable if a script lists a set that has no order."""
        for words in commands:
            if words[0].upper() in _SCRIPTED and len(words) > 1 and self._lists_a_set(words):
                raise StoreUnavailable(
                    "a script lists a set of several members, which fakeredis has in the order of Python's hashes; "
                    "choose --store server"
                )
        return self.execute(encoded(commands), len(commands))

    def _lists_a_set(self, words: Sequence[bytes]) -> bool:
        """Return whether a script of these words may list a set whose order is that of this process alone."""
        verb, named = words[0].upper(), words[1].lower()
        if verb in _BY_TEXT:
            text = words[-1] if verb == b"SCRIPT" else words[1]
            named = sha1(text, usedforsecurity=False).hexdigest().encode()
            if _LISTS.search(text):
                self._listing.add(named)
        if verb == b"SCRIPT" or named not in self._listing:
            return False
        sets: Any = self._client
        return any(sets.type(key) == b"set" and sets.scard(key) > 1 for key in sets.keys("*"))

    def send(self, request: bytes) -> None:
        """Send a request whose replies arrive as pushes. Raises StoreUnavailable if fakeredis cannot execute it."""
        try:
            self._socket.sendall(request)
        except Exception as error:  # errors that Redis would answer with are replies: this one is fakeredis's own
            raise StoreUnavailable(
                f"fakeredis cannot execute {shown(request)}: {error!r}; choose --store server"
            ) from error

    def answer(self) -> object:
        """Return the next answer of fakeredis, as its objects."""
        return self._socket.responses.get_nowait()

    def pushed(self, request: bytes = b"") -> bytes:
        """Return what fakeredis has answered by now, to the request. Raises StoreUnavailable if it does not know it."""
        parts: list[bytes] = []
        while True:
            try:
                _encode(self._socket.responses.get_nowait(), parts)
            except Empty:
                return b"".join(parts)
            except _NotKnown as error:
                raise StoreUnavailable(
                    f"fakeredis answered {shown(request)} with {str(error)!r}, and may be the one that is wrong; "
                    "choose --store server"
                ) from None

    def close(self) -> None:
        """Close the connection."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


class EmbeddedStore(InProcess):
    """fakeredis as a store."""

    name = "embedded"

    def __init__(self) -> None:
        self.version = f"fakeredis {version('fakeredis')}"
        self._server = FakeServer(version=(7,))
        self._listing: set[bytes] = set()

    def begin(self, epoch: datetime) -> None:
        """Start from an empty server."""
        self._server = FakeServer(version=(7,))

    def set_time(self, now: int) -> None:
        """Do nothing: fakeredis asks for the time of this process, which the run owns."""

    def why_refused(self, words: Sequence[bytes]) -> str:
        """Return what fakeredis does not know: the command itself, or one that its script calls by name."""
        verb = words[0].upper()
        if not _knows(verb, words[1].upper() if len(words) > 1 and verb in SUBCOMMANDS else b""):
            return "fakeredis does not know it; choose --store server"
        if verb in BRING_SCRIPTS:
            for called in sorted(called_by_script(words)):
                if called not in SUBCOMMANDS and not _knows(called, b""):
                    return f"its script calls {called.decode()}, which fakeredis does not know; choose --store server"
        return ""

    def all_keys(self) -> list[str]:
        """Return the names of all keys, sorted."""
        found: Any = FakeStrictRedis(server=self._server).keys("*")
        return sorted(key.decode("utf-8", "backslashreplace") for key in found)

    def delete(self, keys: Sequence[str]) -> None:
        """Remove some keys."""
        FakeStrictRedis(server=self._server).delete(*keys)

    def wipe(self) -> None:
        """Forget all data."""
        FakeStrictRedis(server=self._server).flushall()

    def shift(self, offset: int) -> None:
        """Do nothing: the world's clock is shifted, and fakeredis reads that."""

    def link(self) -> EmbeddedLink:
        """Open a connection."""
        return EmbeddedLink(self._server, self._listing)


@cache
def _knows(verb: bytes, sub: bytes) -> bool:
    """Return whether fakeredis knows a command: another server of it is asked, without arguments."""
    if verb in _ANSWERED_HERE:
        return True
    link = EmbeddedLink(FakeServer(version=(7,)), set())
    try:
        link.send(encoded([[verb, sub] if sub else [verb]]))
        return _UNKNOWN not in str(link.answer())
    except StoreUnavailable:  # it knows the command, and fails in it: the sender gets the error
        return True
    finally:
        link.close()


class _NotKnown(Exception):
    """A reply of fakeredis says that it does not know something."""


def _encode(value: Any, parts: list[bytes]) -> None:
    """Append the RESP encoding of one reply."""
    match value:
        case None:
            parts.append(b"$-1\r\n")
        case bool():
            parts.append(b":1\r\n" if value else b":0\r\n")
        case int():
            parts.append(b":%d\r\n" % value)
        case bytes():
            parts.append(b"$%d\r\n%b\r\n" % (len(value), value))
        case str() | float():
            _encode(str(value).encode(), parts)
        case list() | tuple() | set():
            parts.append(b"*%d\r\n" % len(value))
            for item in value:
                _encode(item, parts)
        case dict():  # only a link that speaks RESP3 is given one
            parts.append(b"%%%d\r\n" % len(value))
            for pair in value.items():
                for item in pair:
                    _encode(item, parts)
        case redis.exceptions.RedisError():
            parts.append(b"-%b\r\n" % _known(_error_text(value)).encode())
        case _:
            raise AssertionError(f"fakeredis answered {value!r}, which has no encoding")


def _known(text: str) -> str:
    """Return the text of an error. Raises _NotKnown if it is fakeredis's own."""
    if _IGNORANT.search(text):
        raise _NotKnown(text)
    return text


_PREFIXES = {
    redis.exceptions.NoScriptError: "NOSCRIPT",
    redis.exceptions.ReadOnlyError: "READONLY",
    redis.exceptions.BusyLoadingError: "LOADING",
    redis.exceptions.NoPermissionError: "NOPERM",
    redis.exceptions.ExecAbortError: "EXECABORT",
}


def _error_text(error: redis.exceptions.RedisError) -> str:
    # redis-py turns the code of an error into its class and drops it from the text; the wire needs it back.
    text = str(error).replace("\r\n", " ").replace("\n", " ")
    for kind, prefix in _PREFIXES.items():
        if isinstance(error, kind):
            return text if text.startswith(prefix) else f"{prefix} {text}"
    head = text.split(" ", 1)[0]
    return text if head.isupper() else f"ERR {text}"
