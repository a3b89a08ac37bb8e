"""What the faults of Redis do to it, and how they are undone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase

from simulation.kernel.ambient import WORLD, Ambient, Skew
from simulation.scenario.faults import AnyFault, Evict, Failover, Flush, OutOfMemory, Restart, ServerClock, StoreFault
from simulation.stores.protocol import Store, StoreUnavailable
from simulation.world.consumer import Consumer
from simulation.world.injection.fault_log import ActiveFault, FaultLog
from simulation.world.injection.timetable import Undo
from simulation.world.network import Network


class StoreActs:
    """Does to Redis what its faults say. Raises StoreUnavailable if this store cannot have one of them."""

    def __init__(self, log: FaultLog, network: Network, ambient: Ambient) -> None:
        self._log = log
        self._network = network
        self._store: Store = network.store
        self._ambient = ambient
        self._down = 0
        for struck in log.of(StoreFault):
            self._check(struck)

    def _check(self, struck: ActiveFault) -> None:
        kind = struck.fault.name
        if kind not in self._store.suffers:
            better = "server" if self._store.suffers else "server or embedded"
            raise StoreUnavailable(
                f"the store {self._store.name} cannot have the fault '{kind}' (faults[{struck.number}]); "
                f"choose --store {better}, or leave the fault out"
            )

    @property
    def is_up(self) -> bool:
        """Whether Redis answers."""
        return not self._down

    def prepare(self) -> None:
        """Have a replica at hand, if one is to take over later."""
        failovers = [struck.fault for struck in self._log.of(Failover)]
        if failovers:
            self._store.replicate(None if self._network.stepped else _known_at(failovers))

    def heal(self) -> None:
        """Need no replica any more."""
        if self._log.of(Failover):
            self._store.replicate(())

    def __call__(self, struck: ActiveFault, consumer: Consumer | None) -> Undo | None:
        """Strike."""
        self._store.set_time(self._log.now)
        undo = self._strike(struck)
        self._network.blocking.serve()  # whoever waits for a stream that is gone is told
        return undo

    def _strike(self, struck: ActiveFault) -> Undo | None:
        match struck.fault:
            case Restart(keep=keep):
                struck.note()
                self._go_down()
                self._network.scripts.forget()
                if not keep:
                    self._store.wipe()
                    self._log.write("store-lost", fault="restart")
                return self._come_back
            case Flush():
                struck.note()
                self._store.wipe()
                self._log.write("store-lost", fault="flush")
                return None
            case Failover(lag=lag):
                return self._fail_over(struck, lag)
            case Evict() as fault:
                self._evict(struck, fault)
                return None
            case OutOfMemory():
                struck.note()
                self._store.starve(True)
                return lambda: self._store.starve(False)
            case ServerClock(offset=offset):
                struck.note()
                self._shift(offset)
                return lambda: self._shift(-offset)
            case fault:
                raise AssertionError(f"{fault!r} is no fault of a store")

    def _go_down(self) -> None:
        self._down += 1
        self._network.lose()
        self._log.write("unreachable")

    def _come_back(self) -> None:
        self._down -= 1
        self._log.write("reachable")

    def _fail_over(self, struck: ActiveFault, lag: int) -> Undo:
        lost = self._store.promote(self._log.now - lag)
        struck.note(writes_lost=len(lost))
        self._go_down()
        self._network.scripts.forget()
        if lost:
            self._log.write("store-lost", fault="failover", keys=sorted(set(lost)))
        return self._come_back

    def _evict(self, struck: ActiveFault, fault: Evict) -> None:
        chosen = list(self._chosen(struck, fault))
        if chosen:
            self._store.delete(chosen)
            struck.note(keys=len(chosen))
            self._log.write("store-lost", fault="evict", keys=chosen)

    def _chosen(self, struck: ActiveFault, fault: Evict) -> Iterator[str]:
        for key in self._store.all_keys():
            if fnmatchcase(key, fault.keys) and struck.luck(f"{self._log.now}/{key}").random() < fault.share:
                yield key

    def _shift(self, offset: int) -> None:
        error = self._ambient.skews.pop(WORLD, Skew()).offset + offset
        if error:
            self._ambient.skews[WORLD] = Skew(error)
        self._store.shift(error)


def _known_at(failovers: Sequence[AnyFault]) -> list[int] | None:
    """Return for which moments a failover will ask what a replica knew, if that is known beforehand."""
    moments: list[int] = []
    for fault in failovers:
        assert isinstance(fault, Failover)
        if fault.command or fault.step:
            return None
        moments += [moment - fault.lag for moment in fault.moments]
    return moments
