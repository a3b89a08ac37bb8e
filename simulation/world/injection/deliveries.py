"""The queue as its faults see it: the effects that they may have on deliveries."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from fnmatch import fnmatchcase

from simulation.scenario.faults import DeliveryFault, EventChance, TimedBrokerFault
from simulation.scenario.faults.targets import Active, Undo
from simulation.scenario.workload import Publication, instant
from simulation.world.broker import Broker, Message
from simulation.world.consumer import Consumer
from simulation.world.injection.fault_log import ActiveFault, FaultLog

Roles = Callable[[str], dict[str, bool]]


class DeliveryInjector:
    """Sits in the broker and lets things go wrong there."""

    def __init__(self, log: FaultLog, roles: Roles, epoch: datetime, retention: int) -> None:
        self.broker: Broker
        self._log = log
        self._roles = roles
        self._epoch = epoch
        self._faults = log.of(DeliveryFault)
        self._unheard: set[str] = set()
        """Events that are to come once more in other words, and were not acknowledged in their own."""
        self._late: dict[str, list[Callable[[], None]]] = {}
        self._held: list[tuple[list[int], Message]] = []
        self._stalls = 0
        self.retention = retention

    @property
    def now(self) -> int:
        """Microseconds since the start of the run."""
        return self._log.now

    def _striking(self, asked: str, event: str) -> Iterator[tuple[ActiveFault, DeliveryFault]]:
        for active in self._faults:
            fault = active.fault
            assert isinstance(fault, DeliveryFault)
            if fault.asked == asked and not self._log.healed and strikes_event(active, event, self._roles, self.now):
                yield active, fault

    # -- what the broker asks --------------------------------------------------------------------------------

    def visible(self, publication: Publication, copies: list[int], lost: bool) -> tuple[list[int], bool]:
        """Decide when the copies of an event become visible, in microseconds from now, and whether it is lost."""
        for active, fault in self._striking("published", publication.name):
            changed = fault.on_published(active, self, publication, copies)
            copies, lost = (copies, True) if changed is None else (changed, lost)
        return copies, lost

    def holds(self, message: Message) -> bool:
        """Return whether an event that became visible is kept back until others have overtaken it."""
        for count, _ in self._held:
            count[0] -= 1
        name = message.publication.name
        for active, fault in list(self._striking("visible", name)) if not message.attempts else ():
            fault.on_message(active, self, name, message)
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
        """Offer an event that was just delivered again, if the timeout of the broker is too short for it."""
        for active, fault in list(self._striking("delivered", message.publication.name)):
            fault.on_message(active, self, message.publication.name, message)

    def acknowledged(self, event: str) -> None:
        """Take note that an event was heard as its producer has said it."""
        self._unheard.discard(event)

    def rejected(self, message: Message) -> bool:
        """Return whether a rejected event goes to the back of the queue at once."""
        hit = list(self._striking("rejected", message.publication.name))
        for active, fault in hit:
            fault.on_message(active, self, message.publication.name, message)
        return bool(hit)

    @property
    def stalls(self) -> bool:
        """Whether nothing is handed out now."""
        return bool(self._stalls)

    def handled(self, event: str) -> None:
        """Take note that an event took effect: duplicates may be due some time later."""
        for act in self._late.pop(event, ()):
            if not self._log.healed:
                act()

    # -- what faults may do to the queue ----------------------------------------------------------------------

    def copy(self, publication: Publication, delay: int) -> None:
        """Deliver an event once more, `delay` microseconds from now."""
        self.broker.expect()
        self.broker.later(delay, self.broker.duplicate, publication)

    def publish_again(self, publication: Publication, delay: int) -> None:
        """Deliver an event once more, `delay` microseconds from now, as if it were received only then."""
        self.broker.expect()
        self.broker.later(delay, self._publish_again, publication)

    def publish_changed(self, active: Active, publication: Publication, delay: int) -> None:
        """Publish an event once more, in other words, once its copies are settled; look every `delay` microseconds.

        Only if its own words were heard: an event lost, trimmed or given up before has no first word that counts.
        """
        self._unheard.add(publication.name)
        self.broker.expect()
        self.broker.later(delay, self._publish_changed, active, publication, delay)

    def _publish_changed(self, active: Active, publication: Publication, delay: int) -> None:
        if self._log.healed:
            self.broker.expect_no_more()
        elif any(message.publication.name == publication.name for message in self.broker.unsettled()):
            self.broker.later(delay, self._publish_changed, active, publication, delay)
        elif publication.name in self._unheard:
            self.broker.expect_no_more()
        else:
            active.note(event=publication.name)
            self.broker.duplicate(publication, republished=True)

    def once_handled(self, event: str, act: Callable[[], None]) -> None:
        """Do something once an event has taken effect."""
        self._late.setdefault(event, []).append(act)

    def hold_back(self, message: Message, count: int) -> None:
        """Keep a message back until so many others have become visible."""
        self._held.append(([count], message))

    def offer_again(self, active: Active, message: Message, delay: int) -> None:
        """Offer a message again `delay` microseconds from now, if it is not settled by then."""
        self.broker.later(delay, self._offer_again, active, message)

    def stall(self) -> Undo:
        """Hand nothing out."""
        self._stalls += 1
        return self._go_on

    def trim(self, active: Active, pattern: str, limit: int, delivered: bool) -> None:
        """Forget unsettled events of a pattern that were published by a moment; or only those that were delivered."""
        for message in self.broker.unsettled():
            publication = message.publication
            chosen = publication.at <= limit and (message.attempts or not delivered)
            if chosen and fnmatchcase(publication.name, pattern):
                active.note(event=publication.name)
                self.broker.trim(message)

    def _offer_again(self, active: Active, message: Message) -> None:
        if not (message.settled or self._log.healed):
            active.note(event=message.publication.name)
            self.broker.offer(message)

    def _publish_again(self, publication: Publication) -> None:
        """Hand the event to consumers as if it had been received only now."""
        record = json.loads(publication.body)
        record["received"] = instant(self._epoch + timedelta(microseconds=self._log.now))
        body = json.dumps(record, separators=(",", ":"), ensure_ascii=False).encode()
        self.broker.duplicate(replace(publication, body=body), republished=True)

    # -- the whole queue -------------------------------------------------------------------------------------

    def act(self, active: ActiveFault, consumer: Consumer | None) -> Undo | None:
        """Strike the whole queue."""
        assert isinstance(active.fault, TimedBrokerFault)
        return active.fault.strike(active, self)

    def _go_on(self) -> None:
        self._stalls -= 1
        self.broker.wake()

    def heal(self) -> None:
        """Let go of the deliveries that are held back."""
        self.broker.wake()


def strikes_event(active: ActiveFault, event: str, roles: Roles, now: int) -> bool:
    """Return whether a fault strikes an event at `now` microseconds. Each call counts towards `nth`."""
    fault = active.fault
    assert isinstance(fault, EventChance)
    return fault.is_on(now) and fault.concerns(event, **roles(event)) and active.draws(event)
