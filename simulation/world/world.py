"""A world: one scenario and one seed, assembled, run to its end and judged.

A run has three phases:

1. *safety*: the workload is published and the faults strike.
2. *healing*: no fault strikes any more, and every consumer is alive.
3. *quiet*: nothing is in flight and nothing is due. A run that does not get there before its horizon reports that,
   with the events still in flight.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Generator
from functools import partial
from pathlib import Path
from typing import Any

import simpy

from simulation.engines import Engine, decoder, is_shipped, resolve
from simulation.history.history import History
from simulation.kernel.ambient import Ambient
from simulation.kernel.environment import SECOND, TimeDoesNotAdvance
from simulation.kernel.escapes import Escaped
from simulation.kernel.event_loop import SimulatedLoop
from simulation.kernel.prints import run_prints
from simulation.kernel.process import Process
from simulation.kernel.random_streams import Reseed, Streams
from simulation.kernel.watchdog import NeverReturns, watchdog
from simulation.scenario.errors import BadScenario
from simulation.scenario.model import Scenario
from simulation.scenario.publications import make_workload
from simulation.scenario.workload import UNREADABLE, Publication
from simulation.stores.protocol import Store, StoreUnavailable
from simulation.stores.remote import RemoteStore
from simulation.world.broker import Broker
from simulation.world.census import lasting_keys
from simulation.world.consumer import Consumer
from simulation.world.error_log import ErrorLog, RaisedError
from simulation.world.exploration import ChosenCrashes, SteppedHistory, load_scripts, precedence_of
from simulation.world.fingerprints import Fingerprints, other_decoders
from simulation.world.injection import Injector
from simulation.world.interrupts import deferred_sigint, surroundings
from simulation.world.ledger import Ledger
from simulation.world.log_capture import logs_recorded, warnings_recorded
from simulation.world.network import Network
from simulation.world.open_calls import record_open_calls
from simulation.world.ports import HandlerHook, Startable
from simulation.world.program import Producer, ProgramConsumer, is_program
from simulation.world.quiescence import Quiescence
from simulation.world.request_log import RequestLog
from simulation.world.run import Counts, Run
from simulation.world.scheduling import BRIEF, Exploration, Step, Steps
from simulation.world.store_use import check_store_was_used
from simulation.world.terms import header_of
from simulation.world.topology import open_topology
from simulation.world.tracing import tracer_of

SPILL_AFTER_ENTRIES = 100_000
"""Number of entries from which on a history is kept in a file."""

CALLBACK_LIMIT = 1_000_000, 1_000
"""Maximum number of callbacks at one moment: a base, and an addition for each published event."""
_NO_TIME_PASSES = (
    "at {} s it does something again and again without any time passing; a loop that waits until a deadline must end"
    " when what is left is less than the clock's step, a microsecond"
)


PRODUCER = "producer"
"""The consumer of the broker's deliveries that puts them into the queue of a program. No fault is about it."""


class EngineFailed(Exception):
    """An engine broke down outside of any delivery: it could not be made, or its consumer died of it."""


class World:
    """Everything that exists in one run."""

    def __init__(
        self,
        scenario: Scenario,
        seed: int,
        engine: str,
        store: Store,
        trace: bool = False,
        *,
        exploration: Exploration | None = None,
        folder: Path | None = None,
        reseed: Reseed | None = None,
    ) -> None:
        self.folder = folder
        """The folder for a history that grows long; None: the system's folder for temporary files."""
        self.scenario, self.seed = scenario, seed
        topology = open_topology(scenario.topology, store, stepped=exploration is not None)
        self.store = store = topology.store
        self.engine: type[Engine] = resolve(engine)
        self.fingerprints = Fingerprints(decoder(self.engine), other_decoders(scenario, engine))
        self.streams = Streams(seed, tracked=reseed is not None)
        self._reseed = reseed
        self.loop = SimulatedLoop()
        self.loop.env.callback_limit = CALLBACK_LIMIT[0]
        self.workload = make_workload(scenario, seed, self.streams)
        self.epoch = self.workload.epoch
        self.ledger = Ledger(self.workload.leaders, self.progress, self._first_handled)
        self.scope = "causim"
        if isinstance(store, RemoteStore):
            self.scope = f"causim-{self.streams['scope'].bytes(6).hex()}"
        self.steps = Steps(self.loop, exploration, scenario.policy.lease // 2) if exploration else None
        self.history = self._new_history(engine)
        self._record_log = tracer = tracer_of(self.engine, self.history, self.loop) if trace else None
        latency = scenario.network.latency
        self.network = Network(self.loop, store, latency, self.streams, tracer, steps=self.steps, topology=topology)
        self.network.refused = self._refused
        self.ambient = self._new_ambient()
        self.errors = ErrorLog(lambda: self.loop.now, self._raised)
        program = is_program(self.engine, engine, scenario)
        self.consumers = self._new_consumers(ProgramConsumer if program else Consumer, engine)
        self._producer = Producer(self, PRODUCER) if program else None
        self.injector = Injector(self)
        self.handler_hook: HandlerHook | None = self.injector.handlers
        self.can_read, self.misreads = self.injector.readings, self.injector.misreadings
        self.broker = self._new_broker()
        self._delivery_hook = self.broker.hook = self.injector.deliveries(self.broker)
        self.quiescence = self._new_quiescence()
        self._offer_crashes()
        self._published = 0
        self._spill_after = SPILL_AFTER_ENTRIES
        self._failure: BaseException | None = None
        self._refusal: StoreUnavailable | Escaped | None = None
        self.loop.on_escape, self.loop.on_block, self.loop.on_exit = self._refused, self._blocked, self._exited

    def _new_consumers(self, member: type[Consumer], engine: str) -> dict[str, Consumer]:
        settings = self.scenario.consumers
        consumers = {name: member(self, name) for name in (f"c{i}" for i in range(1, settings.count + 1))}
        for name in settings.engines:
            consumers[name].use_engine(resolve(settings.engine_of(name, engine)))
        return consumers

    def _offer_crashes(self) -> None:
        if self.steps is not None:
            chosen = ChosenCrashes(self.loop, self.steps, self.broker, self.quiescence)
            self.steps.crashes = lambda: chosen.of(self.consumers.values(), self.ledger.names)
            self.steps.strike = self._note_fault

    def _new_broker(self) -> Broker:
        return Broker(
            loop=self.loop,
            settings=self.scenario.broker,
            streams=self.streams,
            history=self.history,
            watcher=self,
            steps=self.steps,
            strict=bool(self.scenario.faults),
        )

    def _new_quiescence(self) -> Quiescence:
        return Quiescence(
            self.loop,
            self.scenario,
            self.ledger,
            broker=self.broker,
            network=self.network,
            injector=self.injector,
            steps=self.steps,
            note=lambda phase: self._note("phase", phase=phase),
        )

    def _new_history(self, engine: str) -> History:
        header = header_of(self.scenario, self.seed, engine, self.store, self.epoch)
        if self.steps is None:
            return History(header)
        return SteppedHistory(header, self.steps, precedence_of(self.scenario, self.workload.leaders))

    def _new_ambient(self) -> Ambient:
        allowed = self.scenario.allow.allowance
        return Ambient(self.loop, self.epoch, self.streams, allowed, partial(self._note, "outside"))

    # -- running ---------------------------------------------------------------------------------------------

    def run(self) -> Run:
        """Run the world to its end, and judge it.

        Raises EngineFailed, KeyboardInterrupt, or the error of an escape from the simulated world.
        """
        self.store.begin(self.epoch)
        try:
            made = self._live()
        except TimeDoesNotAdvance:
            raise EngineFailed(_NO_TIME_PASSES.format(self.loop.now / SECOND)) from None
        finally:
            self.network.close()
            if self.steps is not None:
                self.steps.over()
            if isinstance(self.store, RemoteStore):
                self.store.remove(self.scope)
        if self._refusal is not None:
            raise self._refusal
        check_store_was_used(self.consumers.values(), self.ledger, self.network, self.errors)
        if isinstance(self._failure, BadScenario):  # what the scenario asks for is nothing that the engine can do
            raise self._failure
        if self._failure is not None:
            raise EngineFailed(f"{type(self._failure).__name__}: {self._failure}") from self._failure
        assert made is not None
        return made()

    def _live(self) -> Callable[[], Run] | None:
        """Run to the end, end the remaining code, and return the function that judges the run; None if none."""
        made = None
        with surroundings(self.store.nearby(), run_prints(), self.ambient):
            try:
                with (
                    watchdog(self.loop),
                    warnings_recorded(self.history, self.ledger, self.errors, lambda: self.loop.now),
                ):
                    self._begin()
                    with deferred_sigint(self.loop) as interrupted, logs_recorded(self._record_log):
                        step = self.steps.step if self.steps else None
                        self.loop.run_while(lambda: not (self.quiescence.ended or interrupted), step)
                    if interrupted:
                        raise KeyboardInterrupt
                    self._finish()
                    made = self._result()
            except NeverReturns:
                pass  # its reason is in the history
            finally:
                # Code of dead processes may still write to the history, now or when it is collected: what it writes
                # is not read any more.
                self.errors.close()
                self.loop.close()
        return made

    def _plan_reseed(self, reseed: Reseed) -> None:
        if reseed.at:  # planned before all else, so it comes first among what happens at that moment
            self.loop.in_world(reseed.at, self.streams.reseed, reseed.seed)
        else:
            self.streams.reseed(reseed.seed)

    def _begin(self) -> None:
        if self.steps is not None and self.steps.exploration.scripts:
            load_scripts(self.store, self.network, self.steps.exploration.scripts)
        if self._reseed is not None:
            self._plan_reseed(self._reseed)
        self.injector.prepare()
        self._note("phase", phase="safety")
        if self._producer is not None:
            self._producer.start()
        late = self.injector.late_joiners
        for name, consumer in self.consumers.items():
            if name in late:
                continue
            delay = self.scenario.consumers.start.draw(self.streams[f"start/{name}"])
            self.loop.in_world(delay, consumer.start)
        self.loop.env.process(self._publish())
        self.loop.in_world(self.scenario.judge.horizon, self.quiescence.end, "horizon")

    def _publish(self) -> Generator[simpy.Event, Any, None]:
        tamper = self.injector.publications
        for publication in self.workload.publications:
            if publication.at - self.loop.now >= (1 if self.steps is None else BRIEF):
                yield self.loop.env.timeout(publication.at - self.loop.now)
            self.ledger.announced(publication)
            changed = tamper(publication) if tamper else publication
            if changed is None:
                continue
            self._published += 1
            self.loop.env.callback_limit += CALLBACK_LIMIT[1]
            self.ledger.published(changed.name)
            if changed.body == UNREADABLE:
                self.ledger.damaged.append(changed.name)
            if len(self.history) > self._spill_after:
                self.history.spill_to_file(self.folder)
                self._spill_after = sys.maxsize
            self.broker.publish(changed, self.fingerprint(changed))
        self.quiescence.all_published()

    def fingerprint(self, publication: Publication) -> str:
        """Return a short digest of the event's content, as a consumer reads it."""
        return self.fingerprints.published(publication.body)

    # -- the end ---------------------------------------------------------------------------------------------

    def _finish(self) -> None:
        self.quiescence.end("quiet")  # unless something else has ended it, nothing was left to happen
        ended = self.quiescence.ended
        in_flight = sorted(f"{c.name}: {event}" for c in self.consumers.values() for event in c.holding)
        if ended == "horizon":
            in_flight.append(f"{self.broker.pending} deliveries pending")
        if ended == "quiet":
            self._note(
                "census",
                keys=lasting_keys(self.store, self.scope, self.loop.now, self.history.header.terms.longest_life),
            )
        self.errors.add_unretrieved(self.loop.unretrieved())
        self._note("phase", phase=ended, in_flight=in_flight)

    def _result(self) -> Callable[[], Run]:
        """Return the function that judges the run as it is now, and as the calls will be that have not returned."""
        commands, packets, *idle = self.quiescence.spent
        counts = Counts(commands, packets, self._published, self.loop.now, *idle)
        silent, requests, errors = self.injector.log.silent, self.network.requests, self.errors.all
        history = self.history.handed_over()
        made = partial(Run, self.scenario, history, counts, silent, self.steps, requests=requests, errors=errors)
        made = partial(made, outside=tuple(self.ambient.reached))
        self.errors.close()
        if self.quiescence.ended != "collapse":
            self.network.requests = RequestLog()
            self.loop.on_escape = lambda _: None
            quiet, bound = self.quiescence.ended == "quiet", self.scenario.judge.progress_bound
            step = self.steps.step_after_the_end if self.steps else None
            record_open_calls(self.consumers.values(), self.loop, history, bound, wait=quiet, step=step)
        return made

    def _note(self, kind: str, **details: Any) -> None:
        self.history.append(self.loop.now, kind, **details)

    # -- what consumers and the broker ask and report ---------------------------------------------------------

    def progress(self) -> None:
        """Something came to rest."""
        self.quiescence.progress()

    def given_up(self, name: str) -> None:
        """Take note that the broker has lost its copy of an event."""
        self.ledger.given_up(name)

    def _first_handled(self, name: str) -> None:
        if self._delivery_hook is not None:
            self._delivery_hook.handled(name)

    def work(self, consumer: str, name: str, duration: int) -> Awaitable[None]:
        """Return once a handler has worked on an event for this long, in microseconds."""
        if self.steps is None or duration >= BRIEF:
            return asyncio.sleep(duration / SECOND)
        done = self.loop.create_future()

        def end() -> None:
            if not done.done():
                done.set_result(None)

        self.steps.add(f"{consumer}:{name}:", "handler", consumer, f"{consumer} has handled {name}", run=end)
        return done

    @property
    def healed(self) -> bool:
        """Whether no fault strikes any more."""
        return self.injector.healed or not self.scenario.faults

    def restart(self, consumer: Startable, delay: int, *, wait: bool = True) -> None:
        """Start a consumer again in `delay` microseconds. With `wait` the world is not quiet before."""
        if not wait:
            self.loop.in_world(delay, consumer.start)
            return
        self.quiescence.wait_until(self.loop.now + delay)
        self.loop.in_world(delay, self._started_again, consumer)

    def _started_again(self, consumer: Startable) -> None:
        consumer.start()
        self.progress()

    def _exited(self, process: Process | None, error: SystemExit) -> None:
        name = process.name if process else ""
        if name not in self.consumers:
            raise error
        self.consumers[name].exited(error)

    def _raised(self, error: RaisedError) -> None:
        if is_shipped(self.history.header.engine):
            return  # what those raise under faults is known, and in the entries of its deliveries
        self.history.append(self.loop.now, "raised", error.event, error.consumer, **error.details(self.loop.now))

    def collapsed(self, error: BaseException) -> None:
        """End the run: an engine broke down."""
        if not self.quiescence.ended:
            self._failure = error
        self.quiescence.end("collapse")

    def _blocked(self, process: Process, delay: int, where: str) -> None:
        if delay:
            self.history.append(self.loop.now, "blocked", consumer=process.name, duration=delay, where=where)
            self.quiescence.wait_until(self.loop.now + delay)  # what it has in hand goes on then
            self.loop.in_world(delay, self.progress)
        else:
            self.broker.wake()

    def _refused(self, error: StoreUnavailable | Escaped) -> None:
        """End the run: something was asked for that cannot be simulated, so nothing that would follow is true."""
        self._refusal = self._refusal or error
        self.quiescence.end("collapse")

    def _note_fault(self, step: Step) -> None:
        self._note("fault", consumer=step.who, fault=step.kind, chosen=True)
