"""The common part of the stores in this process: they support few faults, and no call has to wait for them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Self


class InProcess:
    """A store without a limit of memory and without replication."""

    origin = ""
    lists_sets_in_order = False
    supports = frozenset({"restart", "flush", "evict", "server-clock"})

    @property
    def nodes(self) -> Sequence[Self]:
        """The store itself: it is one server."""
        return [self]

    def limit_memory(self, enabled: bool) -> None:
        """Refuse: it has no limit of memory."""
        raise NotImplementedError

    def replicate(self, moments: Sequence[int] | None) -> None:
        """Refuse: it has no replication."""
        raise NotImplementedError

    def promote(self, moment: int) -> list[str]:
        """Not available: this store has no replication. `moment` is in microseconds."""
        raise NotImplementedError

    def settle(self, turns: int = 1) -> None:
        """Do nothing: messages are pushed at once."""

    def nearby(self) -> AbstractContextManager[None]:
        """Do nothing: it is in here."""
        return nullcontext()

    def close(self) -> None:
        """Do nothing: it goes with this object."""
