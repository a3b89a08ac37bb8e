"""Additions of an exploration to a world: crashes chosen by a scheduler, a history that notes its entries' subjects."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from simulation.history.entries import Header
from simulation.history.history import History
from simulation.invariants import INVARIANTS
from simulation.invariants.commutativity import Precedence
from simulation.kernel.event_loop import SimulatedLoop
from simulation.scenario.faults import Crash
from simulation.scenario.model import Scenario
from simulation.stores.protocol import Store
from simulation.stores.resp import command
from simulation.world.broker import Broker
from simulation.world.consumer import Consumer
from simulation.world.network import Network
from simulation.world.quiescence import Quiescence
from simulation.world.scheduling import Step, Steps


def precedence_of(scenario: Scenario, leaders: Mapping[str, str]) -> Precedence:
    """Return which entries of a scenario's history may change places; `leaders` has the leader of each event."""
    judge = scenario.judge
    known = all(INVARIANTS[name].order_is_known for name in judge.invariants or INVARIANTS)
    strict = bool(scenario.faults or judge.require_coverage or not known)
    return Precedence(leaders, scenario.policy.lookback, strict=strict)


class SteppedHistory(History):
    """A history that records the subject of each entry in the steps of its world: the order of some of them matters."""

    __slots__ = ("_precedence", "_steps")

    def __init__(self, header: Header, steps: Steps, precedence: Precedence) -> None:
        super().__init__(header)
        self._steps = steps
        self._precedence = precedence

    def append(self, at: int, kind: str, event: str = "", consumer: str = "", **details: Any) -> None:
        """Append an entry at `at` microseconds, and record its subject in the current step."""
        for name, how in self._precedence.about(at, kind, event, consumer).items():
            self._steps.touch(name, how)
        super().append(at, kind, event, consumer, **details)


class ChosenCrashes:
    """The crashes that a scheduler may choose: each ends a consumer, which comes back after a while."""

    def __init__(self, loop: SimulatedLoop, steps: Steps, broker: Broker, quiescence: Quiescence) -> None:
        self._loop = loop
        self._steps = steps
        self._broker = broker
        self._quiescence = quiescence

    def of(self, consumers: Iterable[Consumer], events: Collection[str]) -> Iterator[tuple[Step, Callable[[], object]]]:
        """Yield a step for each consumer that may crash now. `events` are those published so far, by name."""
        for consumer in consumers:
            if consumer.process.running:
                label = f"{consumer.name} crashes"
                yield Step(label, "crash", consumer.name, label), partial(self._crash, consumer, events)

    def _crash(self, consumer: Consumer, events: Collection[str]) -> None:
        self._steps.touch("restarts")
        self._broker.gone(consumer.name)
        consumer.crash()
        for event in events:
            self._steps.drop(f"{consumer.name}:{event}:")
        away = Crash.model_fields["duration"].default
        # Nothing is quiet before it is back, whether it died before or after the last event came to rest.
        self._quiescence.wait_until(self._loop.now + away)
        self._quiescence.progress()
        self._loop.in_world(away, self._restart, consumer)

    def _restart(self, consumer: Consumer) -> None:
        consumer.start()
        self._quiescence.progress()


def load_scripts(store: Store, network: Network, scripts: Sequence[bytes]) -> None:
    """Have Redis know some scripts before the run begins."""
    link = store.link()
    for script in scripts:
        link.execute(command("SCRIPT", "LOAD", script), 1)
    link.close()
    for server in network.topology.servers:
        server.scripts.know(scripts)
