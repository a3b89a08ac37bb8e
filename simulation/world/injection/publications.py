"""Applies the faults of producers to events before they are published."""

from __future__ import annotations

from simulation.scenario.faults import PublicationFault
from simulation.scenario.workload import Publication
from simulation.world.injection.deliveries import Roles, strikes_event
from simulation.world.injection.fault_log import ActiveFault, FaultLog


class PublicationInjector:
    """Sits between the producers and the broker."""

    def __init__(self, log: FaultLog, roles: Roles) -> None:
        self._log = log
        self._roles = roles
        self._faults = log.of(PublicationFault)
        self._first: dict[ActiveFault, Publication] = {}

    def __call__(self, publication: Publication) -> Publication | None:
        """Return the event as it is published, None if it is not."""
        for active in self._faults:
            if self._log.healed or not strikes_event(active, publication.name, self._roles, self._log.now):
                continue
            active.note(event=publication.name)
            assert isinstance(active.fault, PublicationFault)
            changed = active.fault.change(publication, self._first.setdefault(active, publication))
            if changed is None:
                return None
            publication = changed
        return publication
