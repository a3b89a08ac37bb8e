"""Keeps consumers from reading events, as the faults of messages say."""

from __future__ import annotations

from simulation.scenario.faults.not_an_event import NotAnEvent
from simulation.scenario.faults.unreadable_for_some import UnreadableForSome
from simulation.world.injection.deliveries import Roles, strikes_event
from simulation.world.injection.fault_log import ActiveFault, FaultLog


class ReadingInjector:
    """Is asked whenever a consumer parses an event."""

    def __init__(self, log: FaultLog, roles: Roles) -> None:
        self._log = log
        self._roles = roles
        self._faults = log.of(UnreadableForSome)

    def __call__(self, consumer: str, event: str) -> bool:
        """Return whether a consumer can read an event."""
        hit = next((active for active in self._faults if self._is_hidden(active, consumer, event)), None)
        if hit is not None:
            hit.note(event=event, consumer=consumer)
        return hit is None

    def _is_hidden(self, active: ActiveFault, consumer: str, event: str) -> bool:
        fault = active.fault
        assert isinstance(fault, UnreadableForSome)
        if self._log.healed or not (fault.is_on(self._log.now) and fault.concerns(event, **self._roles(event))):
            return False
        return fault.hides(active, consumer, event) and (fault.nth is None or active.draws(event))


class MisreadingInjector:
    """Is asked whenever a consumer has read the message of an event that it will hand to its engine."""

    def __init__(self, log: FaultLog, roles: Roles) -> None:
        self._log = log
        self._roles = roles
        self._faults = log.of(NotAnEvent)

    def __call__(self, consumer: str, event: str) -> bool:
        """Return whether a consumer makes something else than an event of a message."""
        hits = (active for active in self._faults if strikes_event(active, event, self._roles, self._log.now))
        hit = None if self._log.healed else next(hits, None)
        if hit is not None:
            hit.note(event=event, consumer=consumer)
        return hit is not None
