"""The common part of the stores behind sockets: links, and a control connection of the harness's own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import hiredis

from simulation.stores.links import SocketLink
from simulation.stores.protocol import StoreUnavailable
from simulation.stores.resp import command


class SocketStore:
    """The common part of the two stores behind sockets: links, and a control connection of the harness's own."""

    name: str
    version: str
    origin = ""
    lists_sets_in_order = True
    supports: frozenset[str] = frozenset()

    _control: SocketLink | None = None

    def __init__(self) -> None:
        self._control = self._connect()
        self.version = self._server_version()

    def _connect(self) -> SocketLink:
        raise NotImplementedError

    def _server_version(self) -> str:
        info = self.ask(command("INFO", "server"))
        lines = info.decode(errors="replace").splitlines() if isinstance(info, bytes) else []
        facts = dict(line.split(":", 1) for line in lines if ":" in line)
        if "valkey_version" in facts:  # its redis_version is the one that it is compatible with
            return f"valkey {facts['valkey_version']}"
        return f"redis-server {facts.get('redis_version', 'of an unknown version')}"

    def ask(self, request: bytes) -> object:
        """Execute one command on the control connection and return its parsed reply. Raises StoreUnavailable."""
        reader = hiredis.Reader()
        reader.feed(self._settled().execute(request, 1))
        reply = reader.gets()
        if isinstance(reply, hiredis.ReplyError):
            raise StoreUnavailable(f"{self.name} refused {request[:80]!r}: {reply}")
        return reply

    def _settled(self) -> SocketLink:
        """Return the control connection; a new one if a request on it was interrupted."""
        if self._control is not None and self._control.is_interrupted:
            self._hang_up()
        if self._control is None:
            self._control = self._connect()
        return self._control

    def _hang_up(self) -> None:
        """Close the control connection."""
        if self._control is not None:
            self._control.close()
            self._control = None

    @property
    def nodes(self) -> Sequence[Self]:
        """The store itself: it is one server."""
        return [self]

    def why_refused(self, words: Sequence[bytes]) -> str:
        """Return nothing: what a server does not know, it does not know in production either."""
        return ""

    def all_keys(self) -> list[str]:
        """Return the names of all keys, sorted."""
        found = self.ask(command("KEYS", "*"))
        assert isinstance(found, list)
        return sorted(key.decode("utf-8", "backslashreplace") for key in found)

    def delete(self, keys: Sequence[str]) -> None:
        """Remove some keys."""
        self.ask(command("UNLINK", *keys))

    def wipe(self) -> None:
        """Forget all data."""
        self.ask(command("FLUSHALL"))

    def shift(self, offset: int) -> None:
        """Refuse: the server's clock is not ours."""
        raise NotImplementedError

    def limit_memory(self, enabled: bool) -> None:
        """Run out of memory, or have enough again: the server itself refuses commands that need more."""
        self.ask(command("CONFIG", "SET", "maxmemory", 1 if enabled else 0))

    def replicate(self, moments: Sequence[int] | None) -> None:
        """Not available: this server has no replica."""
        raise NotImplementedError

    def promote(self, moment: int) -> list[str]:
        """Not available: this server has no replica. `moment` is in microseconds."""
        raise NotImplementedError

    def link(self) -> SocketLink:
        """Open a connection."""
        return self._connect()

    def settle(self, turns: int = 1) -> None:
        """Wait until the server has gone through this many turns of its own event loop.

        1. A server writes the pushes of a turn at the end of the turn, perhaps after the reply that we have read.
        2. A PING that is sent after that reply is read in a later turn, so its reply comes after those pushes.
        3. A request that was sent but not answered may share its turn with the first PING: that takes two.
        """
        for _ in range(turns):
            self._settled().execute(command("PING"), 1)
