"""What a fault may do to the world: the protocols that the injectors implement and the faults act on.

A fault is data and an act. Its act knows nothing of the event loop, the network or the history beyond these protocols.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from simulation.kernel.random_streams import Stream
from simulation.scenario.workload import Publication
from simulation.stores.protocol import Store

Undo = Callable[[], None]
"""Ends what a fault has begun."""


class Active(Protocol):
    """A fault of a running world: its number, its random streams and its record in the history."""

    number: int

    def stream(self, about: str) -> Stream:
        """Return the random stream of the fault about something: no other fault and no other event changes it."""
        ...

    def note(self, event: str = "", consumer: str = "", **details: Any) -> None:
        """Write into the history that the fault struck."""
        ...


class Redis(Protocol):
    """Redis, as its faults see it."""

    @property
    def store(self) -> Store:
        """What executes the commands."""
        ...

    @property
    def now(self) -> int:
        """Microseconds since the start of the run."""
        ...

    def write(self, kind: str, **details: Any) -> None:
        """Write an entry about Redis into the history."""
        ...

    def go_down(self) -> None:
        """Break every connection, and accept none until `come_back`."""
        ...

    def come_back(self) -> None:
        """Accept connections again."""
        ...

    def move_slot(self, active: Active, key: str, duration: int) -> Undo:
        """Begin to move the slot of a key to the next node of a cluster, key by key, in `duration` microseconds.

        Note each packet that is answered otherwise because of that. Undone: all of it is there.
        """
        ...

    def lose_primary(self) -> Undo:
        """Have the primary die. Undone: another server has its place, at its address or at one that sentinels name."""
        ...

    def forget_scripts(self) -> None:
        """Know no script, as a server that was just started."""
        ...

    def stall(self, active: Active) -> Undo:
        """Accept what is sent and answer nothing; note each packet that waits. Undone: execute all of it, in order."""
        ...

    def demote(self, active: Active) -> Undo:
        """Have open connections answer writes with READONLY; note each. Undone: they are closed."""
        ...

    def close_connections(self, idle: int, age: int) -> int:
        """Close each connection that was idle for so long and is so old, in microseconds; return their number."""
        ...

    def shift_clock(self, offset: int) -> None:
        """Move the server's clock by so many microseconds."""
        ...


class Victim(Protocol):
    """A consumer, as its faults see it."""

    name: str

    def start(self) -> None:
        """Bring it to life."""
        ...

    def crash(self) -> None:
        """End its process at once."""
        ...

    def stop(self) -> None:
        """Shut it down in good order."""
        ...

    def leave(self) -> None:
        """Stop it in good order; it does not start again."""
        ...

    def return_with(self, engine: str) -> None:
        """Bring it to life with another engine."""
        ...

    def freeze(self) -> Undo:
        """Freeze its process; it goes on when all that froze it has been undone."""
        ...

    def cut_off(self) -> Undo:
        """Keep it from Redis."""
        ...

    def set_clock_wrong(self, offset: int, drift: float) -> Undo:
        """Have its clock jump by an offset in microseconds, and then gain a share of the time that passes."""
        ...


class Handler(Protocol):
    """A running handler, as its faults see it."""

    async def work_longer(self, duration: int) -> None:
        """Work for so many microseconds more."""
        ...

    async def be_cancelled(self) -> None:
        """Be cancelled, as by a timeout around the handler."""
        ...

    def fail(self) -> None:
        """Raise the exception of a handler that failed."""
        ...

    def block(self, duration: int) -> None:
        """Block the whole process for so many microseconds."""
        ...

    async def end_process(self) -> None:
        """End the whole process at once; it starts again later."""
        ...


class Queue(Protocol):
    """The broker, as its faults see it."""

    retention: int
    """How long it is remembered that an event was handled, in microseconds."""

    @property
    def now(self) -> int:
        """Microseconds since the start of the run."""
        ...

    def copy(self, publication: Publication, delay: int) -> None:
        """Deliver an event once more, after so many microseconds."""
        ...

    def publish_changed(self, active: Active, publication: Publication, delay: int) -> None:
        """Publish an event once more, with other words, and note it, once its copies are settled;
        look every `delay` microseconds."""
        ...

    def publish_again(self, publication: Publication, delay: int) -> None:
        """Deliver an event once more, as if it were received only then, after so many microseconds."""
        ...

    def once_handled(self, event: str, act: Callable[[], None]) -> None:
        """Do something once an event has taken effect, unless the world has healed by then."""
        ...

    def hold_back(self, message: Any, count: int) -> None:
        """Keep a message back until so many others have become visible."""
        ...

    def offer_again(self, active: Active, message: Any, delay: int) -> None:
        """Offer a message again after so many microseconds, if it is not settled by then."""
        ...

    def stall(self) -> Undo:
        """Hand nothing out."""
        ...

    def trim(self, active: Active, pattern: str, limit: int, delivered: bool) -> None:
        """Forget unsettled events of a pattern that were published by a moment; or only those that were delivered."""
        ...
