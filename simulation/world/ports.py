"""The interfaces of the world that a consumer needs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from simulation.engines import Engine
from simulation.history.history import History
from simulation.kernel.event_loop import SimulatedLoop
from simulation.kernel.random_streams import Streams
from simulation.scenario.model import Scenario
from simulation.world.broker import Broker
from simulation.world.error_log import ErrorLog
from simulation.world.fingerprints import Fingerprints
from simulation.world.ledger import Ledger
from simulation.world.network import Network


class HandlerHook(Protocol):
    """Lets things go wrong in handlers."""

    async def step(self, step: str, when: str, consumer: str, event: str) -> None:
        """Take note that an event's handler comes to a step: before or after its start or its end."""
        ...

    async def work(self, consumer: str, event: str, call: int) -> None:
        """Let the handler's work go wrong."""
        ...


class Startable(Protocol):
    """A consumer that can be started."""

    def start(self) -> None:
        """Bring the consumer to life, as a new process."""
        ...


class World(Protocol):
    """The interfaces of the world that a consumer needs."""

    loop: SimulatedLoop
    network: Network
    broker: Broker
    history: History
    streams: Streams
    scenario: Scenario
    scope: str
    engine: type[Engine]
    fingerprints: Fingerprints
    ledger: Ledger
    errors: ErrorLog
    handler_hook: HandlerHook | None
    """Asked at each step of each handler, if any fault is about them."""
    can_read: Callable[[str, str], bool] | None
    """Says whether a consumer can read an event, by their names, if any fault is about that."""
    misreads: Callable[[str, str], bool] | None
    """Says whether a consumer hands something to its engine that is no event, by their names, likewise."""

    def work(self, consumer: str, name: str, duration: int) -> Awaitable[None]:
        """Return once a handler has worked on an event for this long, in microseconds."""
        ...

    @property
    def healed(self) -> bool:
        """Whether no fault strikes any more."""
        ...

    def restart(self, consumer: Startable, delay: int, *, wait: bool = True) -> None:
        """Start a consumer again in `delay` microseconds. With `wait` the world is not quiet before."""
        ...

    def collapsed(self, error: BaseException) -> None:
        """End the run: an engine broke down."""
        ...
