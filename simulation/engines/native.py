"""The engine of this project, package `ordering`, called as a consumer should call it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from ordering import (
    CausalOrdering,
    EventAlreadySeen,
    EventArrivedEarly,
    EventBeingProcessed,
    Policy,
    ReceivedEvent,
    fencing_token,
)
from ordering.scripts import names as script_names
from ordering.sending import joined_requests
from simulation.engines import EngineContext, Outcome
from simulation.scenario.errors import BadScenario

if TYPE_CHECKING:
    from simulation.scenario.model import PolicyTable


def policy_of(table: PolicyTable) -> Policy:
    """Return a scenario's policy as the engine has it. Raises BadScenario if it cannot work."""
    # A world knows no operator: a dead letter lasts as long as the longest time of the scenario's policy.
    dead_retention = table.retention if table.dead_retention is None else table.dead_retention
    try:
        return Policy(
            lookback=timedelta(microseconds=table.lookback),
            retention=timedelta(microseconds=table.retention),
            memory=timedelta(microseconds=table.memory),
            lease=timedelta(microseconds=table.lease),
            retry_delay=timedelta(microseconds=table.retry_delay),
            max_attempts=table.max_attempts,
            redelivery=None if table.redelivery is None else timedelta(microseconds=table.redelivery),
            dead_retention=timedelta(microseconds=dead_retention),
            max_depth=table.max_depth,
            batch=table.batch,
            age_by=table.age_by,
        )
    except ValueError as error:
        raise BadScenario(f"table [policy]: {error}") from None


class _Reader:
    """Parses parked payloads, in the place of the type of the events, as far as a consumer can read them."""

    def __init__(self, can_read: Callable[[Any], bool]) -> None:
        self._can_read = can_read

    def model_validate_json(self, payload: str | bytes) -> Any:
        """Return an event. Raises ValueError if the consumer cannot read it."""
        event = ReceivedEvent.model_validate_json(payload)
        if not self._can_read(event):
            raise ValueError("the schema of this event is not known here")
        return event


class NativeEngine:
    """One consumer of `ordering`."""

    ordering: type[CausalOrdering[Any]] = CausalOrdering
    """The ordering that it is a consumer of; a mutant's is another."""

    @classmethod
    def scripts(cls) -> Mapping[str, str]:
        """Return the names of the engine's scripts by their digests, so that faults can be about them."""
        return {cls.ordering.scripts(name).digest: name for name in script_names()}

    @staticmethod
    def joined(name: str, words: Sequence[bytes]) -> Sequence[Sequence[bytes]]:
        """Return the requests that the command of a script has joined, each with the name of its own script."""
        return joined_requests(words) if name == "several" else ()

    def __init__(self, context: EngineContext) -> None:
        self._ordering = self._open(
            context.scope,
            redis=context.connect(),
            policy=policy_of(context.policy),
            token=context.token,
            on_dead_letter=context.given_up,
            **({} if context.can_read is None else {"event_type": _Reader(context.can_read)}),
        )
        self._effect = context.effect
        self._plain = context.handler == "plain"

    def _open(self, scope: str, **options: Any) -> Any:
        """Return the ordering that this is a consumer of."""
        return self.ordering(scope, **options)

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
        """Handle the events whose leader did not come. An error does not keep the others waiting: the first is raised
        at the end.

        Raises the first error of a handler.
        """
        lost = await self._ordering.get_lost_followers()
        errors = []
        for event in lost:
            try:
                await self.handle(event)
            except Exception as error:
                errors.append(error)
        if errors:
            raise errors[0]
        return len(lost)

    async def give_up(self, event: Any) -> bool:
        """Take note that the queue will not offer an event again."""
        return bool(await self._ordering.give_up(event))

    async def _handler(self, event: Any, depth: int = 0) -> None:
        if self._plain and depth:
            await self._effect(event, fencing_token())
            return
        async with self._ordering.preceding_event_confirmed(self._handler, event, depth):
            await self._effect(event, fencing_token())
