"""Consumers as their faults see them: the effects that those may have on them."""

from __future__ import annotations

from collections import Counter

from simulation.engines import Engine, resolve
from simulation.kernel.ambient import Ambient, Skew
from simulation.scenario.faults import ConsumerFault, Upgrade
from simulation.scenario.faults.targets import Undo
from simulation.world.consumer import Consumer
from simulation.world.injection.fault_log import ActiveFault, FaultLog


class ConsumerActs:
    """Lets the faults of consumers act on them."""

    def __init__(self, log: FaultLog, ambient: Ambient) -> None:
        self._log = log
        self._ambient = ambient
        self._frozen: Counter[str] = Counter()
        self._cut_off: Counter[str] = Counter()
        self._wrong: Counter[str] = Counter()
        self.left: set[str] = set()
        """Those that never come back."""
        self.engines: dict[str, type[Engine]] = {
            active.fault.engine: resolve(active.fault.engine) for active in log.all if isinstance(active.fault, Upgrade)
        }

    def can_reach_redis(self, consumer: str) -> bool:
        """Return whether no partition cuts the consumer off."""
        return not self._cut_off[consumer]

    def __call__(self, active: ActiveFault, consumer: Consumer | None) -> Undo | None:
        """Strike a consumer. Nothing is recorded if it was not alive."""
        assert consumer is not None
        fault = active.fault
        assert isinstance(fault, ConsumerFault)
        if fault.needs_life and not consumer.process.alive:
            return None
        active.note(consumer=consumer.name)
        return fault.strike(_Victim(self, consumer))

    def freeze(self, consumer: Consumer) -> Undo:
        """Freeze a consumer until all that froze it has been undone."""
        self._frozen[consumer.name] += 1
        consumer.pause()

        def undo() -> None:
            self._frozen[consumer.name] -= 1
            if not self._frozen[consumer.name]:
                consumer.resume()

        return undo

    def cut_off(self, name: str) -> Undo:
        """Keep a consumer from Redis."""
        self._cut_off[name] += 1
        self._log.write("unreachable", consumer=name)

        def undo() -> None:
            self._cut_off[name] -= 1
            self._log.write("reachable", consumer=name)

        return undo

    def set_clock_wrong(self, name: str, offset: int, drift: float) -> Undo:
        """Have a consumer's clock jump by an offset in microseconds, and then gain a share of the time that passes."""
        now = self._log.now
        before = self._ambient.skews.get(name, Skew())
        self._ambient.skews[name] = Skew(before.at(now) + offset, drift, now)
        self._wrong[name] += 1

        def undo() -> None:
            self._wrong[name] -= 1
            if not self._wrong[name]:
                del self._ambient.skews[name]

        return undo


class _Victim:
    """A consumer, as its faults see it."""

    def __init__(self, acts: ConsumerActs, consumer: Consumer) -> None:
        self.name = consumer.name
        self._acts = acts
        self._consumer = consumer
        self.start, self.crash, self.stop = consumer.start, consumer.crash, consumer.stop

    def leave(self) -> None:
        """Stop it in good order; it does not start again."""
        self._acts.left.add(self.name)
        self.stop()

    def return_with(self, engine: str) -> None:
        """Bring it to life with another engine."""
        self._consumer.use_engine(self._acts.engines[engine])
        self.start()

    def freeze(self) -> Undo:
        """Freeze its process."""
        return self._acts.freeze(self._consumer)

    def cut_off(self) -> Undo:
        """Keep it from Redis."""
        return self._acts.cut_off(self.name)

    def set_clock_wrong(self, offset: int, drift: float) -> Undo:
        """Have its clock jump, and then run too fast or too slow."""
        return self._acts.set_clock_wrong(self.name, offset, drift)
