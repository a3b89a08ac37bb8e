"""What the faults of the queue do to deliveries."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from fnmatch import fnmatchcase

from simulation.scenario.faults import (
    Delay,
    DeliveryFault,
    Drop,
    Duplicate,
    EventChance,
    Nack,
    Overtake,
    Redeliver,
    Stall,
    Trim,
)
from simulation.scenario.workload import Publication, instant
from simulation.world.broker import Broker, Message
from simulation.world.consumer import Consumer
from simulation.world.injection.fault_log import ActiveFault, FaultLog
from simulation.world.injection.timetable import Undo

Roles = Callable[[str], dict[str, bool]]


class DeliveryInjector:
    """Sits in the broker and lets things go wrong there."""

    def __init__(self, log: FaultLog, roles: Roles, epoch: datetime, retention: int) -> None:
        self.broker: Broker
        self._log = log
        self._roles = roles
        self._epoch = epoch
        self._retention = retention
        self._faults = log.of(DeliveryFault)
        self._late: dict[str, list[tuple[ActiveFault, Publication]]] = {}
        self._held: list[tuple[list[int], Message]] = []
        self._stalls = 0

    def _struck(self, kind: type[DeliveryFault], event: str) -> list[ActiveFault]:
        return [
            struck
            for struck in self._faults
            if isinstance(struck.fault, kind)
            and not self._log.healed
            and strikes_event(struck, event, self._roles, self._log.now)
        ]

    # -- what the broker asks --------------------------------------------------------------------------------

    def visible(self, publication: Publication, copies: list[int], lost: bool) -> tuple[list[int], bool]:
        """Decide when the copies of an event become visible, in microseconds from now, and whether it is lost."""
        name = publication.name
        for struck in self._faults:
            fault = struck.fault
            if not isinstance(fault, Drop | Delay | Duplicate) or self._log.healed:
                continue
            if not strikes_event(struck, name, self._roles, self._log.now):
                continue
            match fault:
                case Drop():
                    lost = True
                    struck.note(event=name)
                case Delay(by=by):
                    copies = [moment + by for moment in copies]
                    struck.note(event=name)
                case Duplicate(since="visible", received="same", after=after):
                    copies = [*copies, copies[0] + after]
                    struck.note(event=name)
                case Duplicate(since="visible", after=after):
                    struck.note(event=name)
                    self.broker.expect()
                    self.broker.later(copies[0] + after, self._publish_again, publication)
                case Duplicate():
                    self._late.setdefault(name, []).append((struck, publication))
        return copies, lost

    def holds(self, message: Message) -> bool:
        """Return whether an event that became visible is kept back until others have overtaken it."""
        for count, _ in self._held:
            count[0] -= 1
        for struck in self._struck(Overtake, message.publication.name) if not message.attempts else ():
            assert isinstance(struck.fault, Overtake)
            struck.note(event=message.publication.name)
            self._held.append(([struck.fault.by], message))
            return True
        return False

    def overtaken(self) -> list[Message]:
        """Return the events that enough others have overtaken."""
        if not self._held:
            return []
        free = [message for count, message in self._held if count[0] <= 0 or self._log.healed]
        self._held = [(count, message) for count, message in self._held if message not in free]
        return free

    def delivered(self, message: Message) -> None:
        """Offer an event that was just delivered again, if the broker loses patience with it."""
        for struck in self._struck(Redeliver, message.publication.name):
            assert isinstance(struck.fault, Redeliver)
            self.broker.later(struck.fault.after, self._offer_again, struck, message)

    def _offer_again(self, struck: ActiveFault, message: Message) -> None:
        if not (message.settled or self._log.healed):
            struck.note(event=message.publication.name)
            self.broker.offer(message)

    def rejected(self, message: Message) -> bool:
        """Return whether a rejected event goes to the back of the queue at once."""
        hit = self._struck(Nack, message.publication.name)
        for struck in hit:
            struck.note(event=message.publication.name)
        return bool(hit)

    @property
    def stalls(self) -> bool:
        """Whether nothing is handed out now."""
        return bool(self._stalls)

    # -- late duplicates -------------------------------------------------------------------------------------

    def handled(self, event: str) -> None:
        """Take note that an event took effect: duplicates may be due some time later."""
        for struck, publication in self._late.pop(event, ()):
            fault = struck.fault
            assert isinstance(fault, Duplicate)
            wait = fault.after + (self._retention if fault.since == "forgotten" else 0) - fault.early
            if self._log.healed:
                continue
            struck.note(event=event)
            self.broker.expect()
            again = self._publish_again if fault.received == "new" else self._copy
            self.broker.later(max(0, wait), again, publication)

    def _copy(self, publication: Publication) -> None:
        self.broker.duplicate(publication)

    def _publish_again(self, publication: Publication) -> None:
        """Hand the event to consumers as if it had been received only now."""
        record = json.loads(publication.body)
        record["received"] = instant(self._epoch + timedelta(microseconds=self._log.now))
        body = json.dumps(record, separators=(",", ":"), ensure_ascii=False).encode()
        self.broker.duplicate(replace(publication, body=body), anew=True)

    # -- the whole queue -------------------------------------------------------------------------------------

    def act(self, struck: ActiveFault, consumer: Consumer | None) -> Undo | None:
        """Strike the whole queue."""
        match struck.fault:
            case Stall():
                struck.note()
                self._stalls += 1
                return self._go_on
            case Trim(event=pattern, older=older):
                limit = self._log.now - older
                for message in self.broker.unsettled():
                    publication = message.publication
                    if publication.at <= limit and fnmatchcase(publication.name, pattern):
                        struck.note(event=publication.name)
                        self.broker.trim(message)
                return None
            case fault:
                raise AssertionError(f"{fault!r} is no fault of a queue")

    def _go_on(self) -> None:
        self._stalls -= 1
        self.broker.wake()

    def heal(self) -> None:
        """Let go of what is held back."""
        self.broker.wake()


def strikes_event(struck: ActiveFault, event: str, roles: Roles, now: int) -> bool:
    """Return whether a fault strikes an event now. Asking counts."""
    fault = struck.fault
    assert isinstance(fault, EventChance)
    return fault.is_on(now) and fault.concerns(event, **roles(event)) and struck.draws(event)
