"""A Redis server of the user's, which keeps real time and of which nothing but one scope is touched."""

from __future__ import annotations

import socket
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from urllib.parse import urlsplit

from simulation.stores.links import SocketLink
from simulation.stores.protocol import StoreUnavailable
from simulation.stores.resp import command
from simulation.stores.socket_store import SocketStore

_CONNECT_TIMEOUT = 10.0
"""Seconds of real time that the server has to accept a connection."""


class RemoteStore(SocketStore):
    """A redis-server of the user's. Its clock is the real one, so leases and retention lapse in real time.

    Nothing but keys of the run's own scope is written, and nothing is flushed.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.name = f"{parts.scheme}://{parts.hostname}:{parts.port or 6379}{parts.path}"
        self._address = (parts.hostname or "localhost", parts.port or 6379)
        self._database = parts.path.strip("/") or "0"
        self._login = [word for word in (parts.username, parts.password) if word]
        super().__init__()

    def _connect(self) -> SocketLink:
        try:
            connection = socket.create_connection(self._address, timeout=_CONNECT_TIMEOUT)
        except OSError as error:
            raise StoreUnavailable(f"no Redis at {self.name}: {error}") from None
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        link = SocketLink(connection)
        if self._login:
            link.execute(command("AUTH", *self._login), 1)
        if self._database != "0":
            link.execute(command("SELECT", self._database), 1)
        return link

    def begin(self, epoch: datetime) -> None:
        """Leave the user's data alone: a run keeps to its own scope."""

    def set_time(self, now: int) -> None:
        """Do nothing: the clock of this server is the real one. `now` is in microseconds."""

    def nearby(self) -> AbstractContextManager[None]:
        """Do nothing: the server is elsewhere."""
        return nullcontext()

    def remove(self, scope: str) -> int:
        """Delete the keys of one scope, and return how many there were."""
        pattern = "*" + "".join(f"[{c}]" if c in "*?[]" else c for c in scope) + "*"
        cursor, count = b"0", 0
        while True:
            reply = self.ask(command("SCAN", cursor, "MATCH", pattern, "COUNT", 1000))
            assert isinstance(reply, list)
            cursor, keys = reply
            if keys:
                self.ask(command("UNLINK", *keys))
                count += len(keys)
            if cursor == b"0":
                return count

    def close(self) -> None:
        """Close the control connection."""
        self._hang_up()
