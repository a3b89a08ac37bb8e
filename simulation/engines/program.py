"""A consumer as its users run it: `async def main(...)`, one process of which reads a queue in Redis.

The world starts, kills, restarts and stops `main`; a producer of the world puts the events of the workload into the
queue. The names of `main`'s parameters choose its arguments:

    redis_url   the address of the simulated Redis
    effect      async: to be called with each message, as bytes, text or a parsed event, where the work takes effect
    given_up    to be called with each message that the program has put into a dead-letter queue of its own
    consumer    the name of this process: c1, c2, …
    policy      the times of the scenario's table [policy], in microseconds
    context     the whole EngineContext

The scenario's table [producer] names the queue of the producer; without it, an `async def publish(client, body)` beside
`main` puts the events there.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, ClassVar

from redis.exceptions import ReadOnlyError

if TYPE_CHECKING:
    from simulation.engines import EngineContext, Outcome

URL = "redis://redis:6379/0"
"""The address of the simulated Redis. Any other would lead there, too."""

Main = Callable[..., Awaitable[object]]
Publish = Callable[[Any, bytes], Awaitable[object]]

OFFERED = ("redis_url", "effect", "consumer", "given_up", "policy", "context")
"""The names of parameters that `main` may have."""


class ProgramEngine:
    """The producer of a program: puts each event into the queue."""

    main: ClassVar[Main]
    publish: ClassVar[Publish | None]

    def __init__(self, context: EngineContext) -> None:
        # What it gave up waiting for, or a replica refused, would be a duplicate or a loss that is not the program's.
        self._client = context.connect(socket_timeout=None, retry_on_error=[ReadOnlyError])
        self._producer = context.producer

    async def handle(self, body: bytes) -> Outcome:
        """Put the message of an event into the queue of the consumers: from then on they have it."""
        if self._producer is not None:
            key = self._producer.key
            if self._producer.to == "stream":
                await self._client.xadd(key, {self._producer.field: body})
            else:
                await self._client.rpush(key, body)
        else:
            assert type(self).publish is not None
            await type(self).publish(self._client, body)  # type: ignore[misc]
        return "parked"

    async def sweep(self) -> int:
        """Find nothing: a producer has nothing to find."""
        return 0


def program(main: Main, publish: Publish | None) -> type[ProgramEngine]:
    """Return the engine for a function. Raises ValueError if a required parameter is not offered."""
    unknown = [
        name
        for name, parameter in inspect.signature(main).parameters.items()
        if name not in OFFERED
        and parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    ]
    if unknown:
        raise ValueError(f"it asks for {', '.join(map(repr, unknown))}; offered are {', '.join(OFFERED)}")
    name = getattr(main, "__name__", "main")
    found = {"main": staticmethod(main), "publish": staticmethod(publish) if publish else None, "__doc__": main.__doc__}
    return type(name, (ProgramEngine,), found)


def arguments(main: Main, context: EngineContext) -> dict[str, Any]:
    """Return the arguments for the parameters of `main`."""
    offered = {
        "redis_url": URL,
        "effect": context.effect,
        "given_up": context.given_up,
        "consumer": context.consumer,
        "policy": context.policy,
        "context": context,
    }
    parameters = inspect.signature(main).parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return offered
    return {parameter.name: offered[parameter.name] for parameter in parameters if parameter.name in offered}
