"""Small engines for tests of the world around them."""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
from types import SimpleNamespace
from typing import Any

from simulation.engines import EngineContext, Outcome


class MinimalEngine:
    """Handles everything at once, and reads messages without the help of `ordering`."""

    in_memory = True

    def __init__(self, context: EngineContext) -> None:
        self.context = context

    @staticmethod
    def decode(body: bytes) -> Any:
        return SimpleNamespace(**json.loads(body))

    async def handle(self, event: Any) -> Outcome | None:
        await self.context.effect(event)
        return None

    async def sweep(self) -> int:
        return 0


class Failing(MinimalEngine):
    """Fails each delivery without having touched the event."""

    async def handle(self, event: Any) -> Outcome | None:
        raise RuntimeError("no")


class Forgetful(MinimalEngine):
    """Parks each event and fails to say so; its sweep handles what was parked half a minute ago."""

    def __init__(self, context: EngineContext) -> None:
        super().__init__(context)
        self.parked: dict[str, Any] = {}
        self.sweeps = 0

    async def handle(self, event: Any) -> Outcome | None:
        self.parked[event.id] = event
        raise RuntimeError("no reply")

    async def sweep(self) -> int:
        self.sweeps += 1
        if self.sweeps == 6:
            for event in self.parked.values():
                await self.context.effect(event)
        return 0


class Busy(MinimalEngine):
    """Says three times that another consumer holds the event."""

    seen = 0

    async def handle(self, event: Any) -> Outcome | None:
        type(self).seen += 1
        if type(self).seen <= 3:
            return "busy"
        return await super().handle(event)


class Writing(MinimalEngine):
    """Writes one key with a lifetime and one without."""

    async def handle(self, event: Any) -> Outcome | None:
        client = self.context.connect()
        await client.set(f"{self.context.scope}:lasting", 1)
        await client.set(f"{self.context.scope}:passing", 1, ex=100)
        return await super().handle(event)


class Stubborn(MinimalEngine):
    """Answers its end with an error, as a `finally` does that finds no event loop any more."""

    async def handle(self, event: Any) -> Outcome | None:
        try:
            await self.context.effect(event)
        finally:
            raise RuntimeError("no running event loop")


class Broken(MinimalEngine):
    """Cannot even be made."""

    def __init__(self, context: EngineContext) -> None:
        raise RuntimeError("no licence")


class Hasty(MinimalEngine):
    """Tries again and again, and waits for no time."""

    async def handle(self, event: Any) -> Outcome | None:
        while True:  # noqa: ASYNC110  # that is the point
            await asyncio.sleep(0)


class Dying(MinimalEngine):
    """Takes its whole process with it."""

    def __init__(self, context: EngineContext) -> None:
        ctypes.string_at(0)


class Sweeping(MinimalEngine):
    """Fails in its sweep, which is no reason to stop handling."""

    async def sweep(self) -> int:
        raise RuntimeError("swept too hard")


class Exiting(MinimalEngine):
    """Ends its process as soon as it is made."""

    def __init__(self, context: EngineContext) -> None:
        os._exit(9)
