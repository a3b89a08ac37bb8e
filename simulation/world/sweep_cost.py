"""The traffic of a sweep to Redis, counted apart: most traffic of a consumer in an idle hour is sweeps.

A packet belongs to a sweep if it is written in the sweep's task or in a task that the sweep has started. The network
counts it here and in its own sums; a sweep that found nothing adds its cost to the idle one.
"""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(slots=True)
class Cost:
    """Commands and the packets that carried them."""

    commands: int = 0
    packets: int = 0

    def add(self, other: Cost) -> None:
        """Add another cost."""
        self.commands += other.commands
        self.packets += other.packets


_current: ContextVar[Cost | None] = ContextVar("_current", default=None)


def begin_sweep() -> Cost:
    """Return the cost of the sweep that begins in this task; packets count towards it from now on."""
    cost = Cost()
    _current.set(cost)
    return cost


def count_packet(commands: int) -> None:
    """Count a packet of so many commands towards the sweep that sends it, if one does."""
    cost = _current.get()
    if cost is not None:
        cost.add(Cost(commands, 1))
