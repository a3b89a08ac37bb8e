"""The interface of a store, and of one client's link to it, for a world.

A store executes bytes and returns bytes, one synchronous round trip at a time. It knows nothing of latency, faults
or the event loop; no virtual time passes in here.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Protocol


class StoreUnavailable(Exception):
    """The store that was asked for cannot run here. The message says why, and what to do instead."""


class Link(Protocol):
    """One client's connection to a store."""

    def execute(self, request: bytes, replies: int) -> bytes:
        """Have the store execute a request that holds `replies` commands; return the bytes of all replies."""
        ...

    def run(self, commands: Sequence[Sequence[bytes]]) -> bytes:
        """Have the store execute commands that were parsed already; return the bytes of all replies."""
        ...

    def send(self, request: bytes) -> None:
        """Send a request whose replies arrive as pushes."""
        ...

    def pushed(self) -> bytes:
        """Return what the store sent on this link without being asked, empty if nothing."""
        ...

    def close(self) -> None:
        """Close the connection."""
        ...


class Store(Protocol):
    """A Redis to run a world against."""

    name: str
    """`server`, `embedded` or the address of a user's server."""
    version: str
    """Its program and version, as it reports them: `valkey 9.1.2`, `redis-server 8.2.3`, `fakeredis 2.41.0`."""
    origin: str
    """The source of its program: a wheel or a path. Empty if it runs in this process or is a server of the user's."""
    lists_sets_in_order: bool
    """Whether it lists a small set in the order in which its members came, and not in that of a hash."""
    supports: frozenset[str]
    """The faults of stores that this one can have."""

    @property
    def nodes(self) -> Sequence[Store]:
        """The servers that it is made of: itself, unless it is a cluster."""
        ...

    def why_refused(self, words: Sequence[bytes]) -> str:
        """Return why this store cannot execute a command as another process or Redis would; empty if it can."""
        ...

    def all_keys(self) -> list[str]:
        """Return the names of all keys, sorted."""
        ...

    def delete(self, keys: Sequence[str]) -> None:
        """Remove some keys."""
        ...

    def wipe(self) -> None:
        """Forget all data."""
        ...

    def shift(self, offset: int) -> None:
        """Show a time that is wrong by so many microseconds."""
        ...

    def limit_memory(self, enabled: bool) -> None:
        """Run out of memory, or have enough again."""
        ...

    def replicate(self, moments: Sequence[int] | None) -> None:
        """Have a replica know what there is at these moments of the run, in microseconds; None: at any."""
        ...

    def promote(self, moment: int) -> list[str]:
        """Go back to the replica's data at `moment` microseconds. Return the keys of the writes that are lost."""
        ...

    def set_time(self, now: int) -> None:
        """Set the store's clock to `now` microseconds after the epoch of the run."""
        ...

    def begin(self, epoch: datetime) -> None:
        """Forget all data and start a run at this epoch."""
        ...

    def link(self) -> Link:
        """Open a connection."""
        ...

    def settle(self, turns: int = 1) -> None:
        """Return once everything that the store has to push has been written to its links."""
        ...

    def nearby(self) -> AbstractContextManager[None]:
        """Return a context in which round trips are as fast as they can be."""
        ...

    def close(self) -> None:
        """Stop the store and remove what it left behind."""
        ...
