"""The ledger of a run: which event is which, which are being handled, and which are unfinished."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from simulation.scenario.workload import Publication


class Ledger:
    """Keeps account of the events of a run.

    Args:
        leaders: the name of the event that each follows, empty if none.
        progress: called when an event may have come to rest.
        first_handled: called with the name of each event that was handled, once.
    """

    def __init__(
        self, leaders: Mapping[str, str], progress: Callable[[], None], first_handled: Callable[[str], None]
    ) -> None:
        self.leaders = leaders
        self.unsettled: dict[str, bool] = {}
        """Unfinished events; True once an engine has received them."""
        self.deliveries = 0
        """Number of deliveries that engines were given."""
        self.open = 0
        """Number of handlers that run now."""
        self.fences: dict[str, int] = {}
        """The greatest fencing token shown for each event: the target of handlers' writes refuses smaller ones."""
        self.damaged: list[str] = []
        """The events whose message was damaged and that no program has given up, in the order of publication."""
        self._progress = progress
        self._first_handled = first_handled
        self._names: dict[str, str] = {}
        self._handled: set[str] = set()
        self._handlings: dict[str, int] = {}

    @property
    def names(self) -> Collection[str]:
        """The names of all events that were published."""
        return self._names.values()

    def followed(self) -> frozenset[str]:
        """Return the names of all events that others follow."""
        return frozenset(leader for leader in self.leaders.values() if leader)

    def announced(self, publication: Publication) -> None:
        """Take note of an event that a producer is about to publish."""
        self._names[str(publication.id)] = publication.name

    def published(self, name: str) -> None:
        """Take note that the broker is given an event."""
        self.unsettled[name] = False

    def name_of(self, identity: str) -> str:
        """Return the name of the event with this id, or the id if it was not published."""
        return self._names.get(identity, identity)

    def leader_of(self, name: str) -> str:
        """Return the name of the event that this one follows, empty if none."""
        return self.leaders.get(name, "")

    def was_handled(self, name: str) -> bool:
        """Return whether the event has had an effect."""
        return name in self._handled

    def handling_started(self, name: str) -> int:
        """Take note that a handler runs, and return the number that have run for the event, with this one."""
        self.open += 1
        self._handlings[name] = count = self._handlings.get(name, 0) + 1
        return count

    def handling_ended(self, name: str, ok: bool) -> None:
        """Take note that a handler ended."""
        self.open -= 1
        if ok:
            self.unsettled.pop(name, None)
        if ok and name not in self._handled:
            self._handled.add(name)
            self._first_handled(name)
        self._progress()

    def handed_over(self, name: str) -> None:
        """Take note that an engine is given an event, maybe again, until it says that it is done with it."""
        self.unsettled[name] = True
        self.deliveries += 1

    def parked_again(self, name: str) -> None:
        """Take note that an engine has parked an event that was handled, since the store has lost that it was."""
        self.unsettled[name] = True

    def engine_finished(self, name: str) -> None:
        """Take note that the engine says it will not handle an event: it has, or it has given it up."""
        self.unsettled.pop(name, None)
        self._progress()

    def given_up(self, name: str) -> None:
        """Take note that the broker has lost its copy of an event. An engine may still have it."""
        if not self.unsettled.get(name, True):
            del self.unsettled[name]
        self._progress()
