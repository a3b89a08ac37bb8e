"""Links to a Redis server over a socket."""

from __future__ import annotations

import select
import socket
import struct
from collections.abc import Sequence
from hashlib import sha1

import hiredis

from simulation.stores.protocol import StoreUnavailable
from simulation.stores.resp import command, encoded, shown

_READ = 1 << 20

READ_SECONDS = 60
"""Seconds on the wall after which a server that has not answered is given up: nothing may hang the harness."""


_RESET = command("RESET")


_NO_SCRIPT = frozenset(
    {b"-NOSCRIPT No matching script. Please use EVAL.\r\n", b"-NOSCRIPT No matching script.\r\n"}  # Redis, Valkey 9
)
"""Replies of a server that has lost a script: it was flushed, or dropped the script after compiling many others."""


class SocketLink:
    """A connection to a real server over a socket."""

    __slots__ = ("_owed", "_reader", "_socket")

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        # Python's own timeout would cost one more system call for each reply.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("@ll", READ_SECONDS, 0))
        self._reader = hiredis.Reader()
        self._owed = 0

    @property
    def is_interrupted(self) -> bool:
        """Whether a request was left before its replies were read: the next request would take them for its own."""
        return self._owed > 0

    def execute(self, request: bytes, replies: int) -> bytes:
        """Send the request, wait for its replies and return their bytes.

        Raises StoreUnavailable if the server does not answer in time, ConnectionResetError if it closes the connection.
        """
        self._owed = replies  # from now on, as Ctrl-C may come at any moment
        self._socket.sendall(request)
        chunks = []
        while self._owed:
            chunk = self._receive(request)
            if not chunk:
                raise ConnectionResetError("the server closed the connection")
            chunks.append(chunk)
            self._reader.feed(chunk)
            while self._owed and self._reader.gets() is not False:
                self._owed -= 1
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def _receive(self, request: bytes) -> bytes:
        try:
            return self._socket.recv(_READ)
        except (BlockingIOError, TimeoutError):
            raise StoreUnavailable(f"Redis has not answered within {READ_SECONDS} seconds: {shown(request)}") from None

    def run(self, commands: Sequence[Sequence[bytes]]) -> bytes:
        """Encode the commands, and execute them."""
        return self.execute(encoded(commands), len(commands))

    def send(self, request: bytes) -> None:
        """Send a request whose replies arrive as pushes."""
        self._socket.sendall(request)

    def pushed(self) -> bytes:
        """Return what the server has written by now."""
        chunks = []
        while select.select([self._socket], [], [], 0)[0]:
            chunk = self._socket.recv(_READ)
            if not chunk:
                break
            chunks.append(chunk)
        return b"".join(chunks)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


class PooledLink(SocketLink):
    """A connection that goes back to its store when it is closed, and is used again: opening one takes longer.

    The command that resets it is sent without waiting for the reply. A connection that has subscribed is closed for
    good, since messages may still arrive on it; so is one that has said what client it is, since that is not reset.

    A script that the server has compiled in an earlier run is not sent again: its digest has the same effect.
    """

    __slots__ = ("_idle", "_in_use", "_reusable", "_scripts")

    def __init__(self, connection: socket.socket, idle: list[PooledLink], scripts: dict[bytes, str]) -> None:
        super().__init__(connection)
        self._idle = idle
        self._reusable = True
        self._in_use = True
        self._scripts = scripts

    def run(self, commands: Sequence[Sequence[bytes]]) -> bytes:
        """Encode the commands, and execute them."""
        if any(words[0].upper() == b"CLIENT" for words in commands):
            self._reusable = False
        if len(commands) > 1 or len(words := commands[0]) < 3 or words[0].upper() != b"EVAL":
            return super().run(commands)
        if digest := self._scripts.get(words[1]):
            reply = self.execute(command("EVALSHA", digest, *words[2:]), 1)
            if reply not in _NO_SCRIPT:
                return reply
        self._scripts[words[1]] = sha1(words[1], usedforsecurity=False).hexdigest()
        return super().run(commands)

    def send(self, request: bytes) -> None:
        """Send a request whose replies arrive as pushes."""
        self._reusable = False
        super().send(request)

    def close(self) -> None:
        """Give the connection back, if the server is still there; once, however often this is called."""
        if not self._in_use:
            return
        self._in_use = False
        try:
            if self._reusable and not self.is_interrupted:
                super().send(_RESET)
                self._idle.append(self)
                return
        except OSError:  # what has ended the server is reported elsewhere
            pass
        self.abandon()

    def reuse(self) -> bool:
        """Use the connection again, if the server has reset its state, and nothing is left to read."""
        self._in_use = self.execute(b"", 1) == b"+RESET\r\n"
        return self._in_use

    def abandon(self) -> None:
        """Close the socket."""
        super().close()
