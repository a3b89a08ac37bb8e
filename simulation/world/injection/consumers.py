"""What the faults of consumers do to them, and how it is undone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from simulation.engines import Engine, resolve
from simulation.kernel.ambient import Ambient, Skew
from simulation.scenario.faults import Crash, Join, Leave, Partition, Pause, Stop, Upgrade, WrongClock
from simulation.world.consumer import Consumer
from simulation.world.injection.fault_log import ActiveFault, FaultLog
from simulation.world.injection.timetable import Undo


class ConsumerActs:
    """Does to consumers what their faults say."""

    def __init__(self, log: FaultLog, ambient: Ambient) -> None:
        self._log = log
        self._ambient = ambient
        self._frozen: Counter[str] = Counter()
        self._cut_off: Counter[str] = Counter()
        self._wrong: Counter[str] = Counter()
        self.left: set[str] = set()
        """Those that never come back."""
        self.engines: dict[str, type[Engine]] = {
            struck.fault.engine: resolve(struck.fault.engine) for struck in log.all if isinstance(struck.fault, Upgrade)
        }

    def can_reach_redis(self, consumer: str) -> bool:
        """Return whether no partition cuts the consumer off."""
        return not self._cut_off[consumer]

    def __call__(self, struck: ActiveFault, consumer: Consumer | None) -> Undo | None:
        """Strike a consumer. Nothing is noted if there was nobody to strike."""
        assert consumer is not None
        match struck.fault:
            case Join():
                struck.note(consumer=consumer.name)
                consumer.start()
                return None
            case Partition():
                return self._partition(struck, consumer)
            case WrongClock() as wrong:
                return self._set_wrong(struck, consumer, wrong)
            case _:
                return self._strike_living(struck, consumer) if consumer.process.alive else None

    def _strike_living(self, struck: ActiveFault, consumer: Consumer) -> Undo | None:
        struck.note(consumer=consumer.name)
        undo: Undo | None = consumer.start
        match struck.fault:
            case Crash():
                consumer.crash()
            case Stop():
                consumer.stop()
            case Upgrade(engine=engine):
                consumer.stop()
                undo = self._return_with(consumer, self.engines[engine])
            case Leave():
                self.left.add(consumer.name)
                consumer.stop()
                undo = None
            case Pause():
                undo = self._pause(consumer)
            case fault:
                raise AssertionError(f"{fault!r} is no consumer's fault")
        return undo

    def _return_with(self, consumer: Consumer, engine: type[Engine]) -> Callable[[], None]:
        def undo() -> None:
            consumer.equip(engine)
            consumer.start()

        return undo

    def _pause(self, consumer: Consumer) -> Undo:
        self._frozen[consumer.name] += 1
        consumer.pause()

        def undo() -> None:
            self._frozen[consumer.name] -= 1
            if not self._frozen[consumer.name]:
                consumer.resume()

        return undo

    def _partition(self, struck: ActiveFault, consumer: Consumer) -> Undo:
        name = consumer.name
        struck.note(consumer=name)
        self._cut_off[name] += 1
        self._log.write("unreachable", consumer=name)

        def undo() -> None:
            self._cut_off[name] -= 1
            self._log.write("reachable", consumer=name)

        return undo

    def _set_wrong(self, struck: ActiveFault, consumer: Consumer, fault: WrongClock) -> Undo:
        name, now = consumer.name, self._log.now
        struck.note(consumer=name)
        before = self._ambient.skews.get(name, Skew())
        self._ambient.skews[name] = Skew(before.at(now) + fault.offset, fault.drift, now)
        self._wrong[name] += 1

        def undo() -> None:
            self._wrong[name] -= 1
            if not self._wrong[name]:
                del self._ambient.skews[name]

        return undo
