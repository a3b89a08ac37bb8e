"""What the faults of producers do to events before they are published."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from simulation.scenario.faults import Aged, ProducerClock, PublicationFault, SameInstant, Unpublished, Unreadable
from simulation.scenario.workload import UNREADABLE, Publication, instant
from simulation.world.injection.deliveries import Roles, strikes_event
from simulation.world.injection.fault_log import ActiveFault, FaultLog


class PublicationInjector:
    """Sits between the producers and the broker."""

    def __init__(self, log: FaultLog, roles: Roles) -> None:
        self._log = log
        self._roles = roles
        self._faults = log.of(PublicationFault)
        self._instants: dict[ActiveFault, Publication] = {}

    def __call__(self, publication: Publication) -> Publication | None:
        """Return the event as it is published, None if it is not."""
        for struck in self._faults:
            if self._log.healed or not strikes_event(struck, publication.name, self._roles, self._log.now):
                continue
            struck.note(event=publication.name)
            changed = self._change(struck, publication)
            if changed is None:
                return None
            publication = changed
        return publication

    def _change(self, struck: ActiveFault, publication: Publication) -> Publication | None:
        match struck.fault:
            case Unpublished():
                return None
            case Unreadable():
                return replace(publication, body=UNREADABLE)
            case ProducerClock(offset=offset):
                return _moved(publication, offset, "occurred")
            case Aged(by=by):
                return _moved(publication, -by, "occurred", "received")
            case SameInstant():
                first = self._instants.setdefault(struck, publication)
                return _moved(publication, first.occurred - publication.occurred, "occurred")
            case fault:
                raise AssertionError(f"{fault!r} is no fault of a producer")


def _moved(publication: Publication, by: int, *fields: str) -> Publication:
    try:
        record: dict[str, Any] = json.loads(publication.body)
    except ValueError:
        return publication  # what another fault has damaged has no date
    for field in fields:
        if record.get(field):
            record[field] = instant(datetime.fromisoformat(record[field]) + timedelta(microseconds=by))
    body = json.dumps(record, separators=(",", ":"), ensure_ascii=False).encode()
    return replace(publication, occurred=publication.occurred + by, body=body)
