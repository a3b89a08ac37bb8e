"""The engine of this project, package `ordering`, called as a consumer should call it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from importlib.resources import files
from typing import Any

from ordering import (
    CausalOrdering,
    EventAlreadySeen,
    EventArrivedEarly,
    EventBeingProcessed,
    Policy,
    fencing_token,
)
from ordering.leases import Grant
from ordering.scripts import script
from simulation.engines import EngineContext, Outcome


class _Ordering(CausalOrdering):
    """The engine, and what it says in its log when it gives an event up, told to the history as well."""

    def __init__(self, context: EngineContext, **options: Any) -> None:
        super().__init__(context.scope, redis=context.connect(), token=context.token, **options)
        self._given_up = context.given_up

    async def _fail(self, grant: Grant, *, counts: bool) -> str:
        answer = await super()._fail(grant, counts=counts)
        if answer == "dead":
            self._given_up(grant.event)
        return answer


class NativeEngine:
    """One consumer of `ordering`."""

    @staticmethod
    def scripts() -> Mapping[str, str]:
        """Return the names of the engine's scripts by their digests, so that faults can be about them."""
        names = (file.name.removesuffix(".lua") for file in (files("ordering") / "lua").iterdir())
        return {script(name).digest: name for name in names if name != "shared"}

    def __init__(self, context: EngineContext) -> None:
        policy = context.policy
        self._ordering = _Ordering(
            context,
            policy=Policy(
                lookback=timedelta(microseconds=policy.lookback),
                retention=timedelta(microseconds=policy.retention),
                lease=timedelta(microseconds=policy.lease),
                max_depth=policy.depth,
            ),
        )
        self._effect = context.effect
        self._plain = context.handler == "plain"

    async def handle(self, event: Any) -> Outcome:
        """Handle one delivery: parked and seen events are to be acknowledged, a held one is not."""
        try:
            await self._handler(event)
        except EventAlreadySeen:
            return "seen"
        except EventArrivedEarly:
            return "parked"
        except EventBeingProcessed:
            return "busy"
        return "handled"

    async def sweep(self) -> int:
        """Handle what waits in vain."""
        lost = await self._ordering.get_lost_followers()
        for event in lost:
            await self.handle(event)
        return len(lost)

    async def _handler(self, event: Any, depth: int = 0) -> None:
        if self._plain and depth:
            await self._effect(event, fencing_token())
            return
        async with self._ordering.preceding_event_confirmed(self._handler, event, depth):
            await self._effect(event, fencing_token())
