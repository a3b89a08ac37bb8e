"""Decides when a run has healed and when it is over: nothing is in flight, nothing is due, and it stays so."""

from __future__ import annotations

from collections.abc import Callable

from simulation.kernel.event_loop import SimulatedLoop
from simulation.scenario.model import Scenario
from simulation.world.broker import Broker
from simulation.world.injection import Injector
from simulation.world.ledger import Ledger
from simulation.world.network import Network
from simulation.world.scheduling import Steps

Watch = Callable[[int, int], None]
"""Receives the number of deliveries and handlings that have come to rest, and the time of the run in microseconds."""

WATCHED_EVERY = 500
"""Number of deliveries and handlings that come to rest between two reports to the watch."""


class Quiescence:
    """Watches the progress of one run.

    Args:
        note: writes a phase of the run into its history.
    """

    def __init__(
        self,
        loop: SimulatedLoop,
        scenario: Scenario,
        ledger: Ledger,
        *,
        broker: Broker,
        network: Network,
        injector: Injector,
        steps: Steps | None,
        note: Callable[[str], None],
    ) -> None:
        self._loop = loop
        self._scenario = scenario
        self._ledger = ledger
        self._broker = broker
        self._network = network
        self._injector = injector
        self._steps = steps
        self._note = note
        self.watch: Watch | None = None
        self.ended = ""
        """The cause of the run's end: `quiet`, `horizon` or `collapse`; empty while it goes on."""
        self.spent = 0, 0, 0, 0
        """Commands and packets by the last progress, and the numbers of each that idle sweeps sent.

        Commands sent while the world waits to be quiet say nothing.
        """
        self._publishing = True
        self._progresses = 0
        self._due = injector.last_moment
        """Until then, faults are to come: the world is not quiet."""

    def end(self, reason: str) -> None:
        """End the run, unless it has ended."""
        self.ended = self.ended or reason

    def wait_until(self, moment: int) -> None:
        """Take the world for busy until a moment of the run, in microseconds."""
        self._due = max(self._due, moment)

    def all_published(self) -> None:
        """Take note that the last event was published; have the world heal some time after that."""
        self._publishing = False
        if self._scenario.faults:
            now, faults = self._loop.now, self._injector
            last = max(now + faults.tail, faults.last_moment, faults.last_period)
            self._loop.in_world(last - now + self._scenario.judge.heal_after, self.heal)
            self._loop.in_world(max(0, faults.last_moment - now), self.progress)
        self.progress()

    def heal(self) -> None:
        """End all faults, if they have not ended."""
        if not self._injector.healed and not self.ended:
            self._note("healing")
            self._injector.heal()
            self.progress()

    def progress(self) -> None:
        """Something came to rest. If everything has, wait whether it stays so."""
        self._progresses += 1
        if self.watch is not None and self._progresses % WATCHED_EVERY == 0:
            self.watch(self._progresses, self._loop.now)
        network = self._network
        self.spent = network.commands, network.packets, network.idle.commands, network.idle.packets
        if self._publishing or self._broker.pending or self._ledger.open or self._loop.now < self._due:
            return
        self._loop.in_world(self._wait(), self._still_quiet, self._progresses)

    def _wait(self) -> int:
        """Return the microseconds without progress after which the run counts as quiet."""
        scenario = self._scenario
        if self._ledger.unsettled:
            policy, consumers = scenario.policy, scenario.consumers
            longest = max(policy.lookback, policy.redelivery or 0, policy.retry_delay)
            return longest + scenario.release_bound + 2 * consumers.sweep_interval
        if self._injector.healed and self._injector.any_injected:
            # A consumer that was interrupted between an effect and its completion has left a lease behind: the engine
            # is done with that event only when the lease is over and a sweep has found it.
            return scenario.release_bound + scenario.judge.settle_time
        return scenario.judge.settle_time

    def _still_quiet(self, progresses: int) -> None:
        if progresses != self._progresses or self.ended:
            return
        if self._scenario.faults and not self._injector.healed:
            self.heal()
        elif self._steps is not None and self._steps.pending:
            self.progress()
        else:
            self.end("quiet")
