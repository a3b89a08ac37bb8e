"""A world: one scenario and one seed, assembled, run to its end and judged.

A run has three phases. In *safety*, the workload is published and the faults strike. In *healing*, no fault strikes
any more and everybody is alive. *Quiet* is reached when nothing is in flight and nothing is due; a run that never
gets there before its horizon says so, and what was still in flight.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
import threading
from collections.abc import Awaitable, Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache, lru_cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self

import hiredis
import simpy

from simulation.engines import Engine, decoder, resolve, scripts_of
from simulation.history.history import Header, History, Terms
from simulation.invariants import Judgement, judge
from simulation.invariants.commutativity import Precedence
from simulation.kernel.ambient import Ambient
from simulation.kernel.epoch import EPOCH
from simulation.kernel.escapes import Escaped
from simulation.kernel.event_loop import SECOND, SimulatedLoop, StandsStill
from simulation.kernel.process import Process
from simulation.kernel.random_streams import Streams
from simulation.kernel.watchdog import NeverReturns, watchdog
from simulation.scenario.faults import Crash
from simulation.scenario.model import BadScenario, Scenario
from simulation.scenario.swarm import draw
from simulation.scenario.workload import (
    BadTrace,
    Plan,
    Publication,
    arrange,
    chains,
    cycles,
    fans,
    publications,
    read_trace,
    trace_epoch,
    trace_publications,
    trees,
)
from simulation.stores.open_store import open_store
from simulation.stores.protocol import Store, StoreUnavailable
from simulation.stores.remote import RemoteStore
from simulation.stores.resp import command
from simulation.world.broker import Broker
from simulation.world.consumer import Consumer, Meddler, digest, fingerprint
from simulation.world.injection import Injector
from simulation.world.injection.command_patterns import Spelling
from simulation.world.network import Network
from simulation.world.request_log import RequestLog
from simulation.world.scheduling import BRIEF, Exploration, Step, Steps

LONG = 100_000
"""From how many entries on a history is kept in a file."""

HASTE = 1_000_000, 1_000
"""How many callbacks there may be at one moment: some, and some for each event."""
_HURRY = (
    "at {} s it does something again and again without any time passing; a loop that waits until a deadline must end"
    " when what is left is less than the clock can tell, a microsecond"
)


class EngineFailed(Exception):
    """An engine broke down outside of any delivery: it could not be made, or its consumer died of it."""


@dataclass(frozen=True, slots=True)
class Counts:
    """What a run cost."""

    commands: int
    """Redis commands that consumers sent, until the last event had come to rest."""
    round_trips: int
    """Packets that consumers sent until then."""
    events: int
    """Events that were published."""
    virtual: int
    """Microseconds of virtual time."""
    idle_commands: int = 0
    """Those of the commands that were sent by sweeps that found nothing."""
    idle_round_trips: int = 0
    """Those of the packets that were sent by sweeps that found nothing."""


class Run:
    """A finished run: the scenario, the history and what the judge makes of it."""

    def __init__(
        self,
        scenario: Scenario,
        history: History,
        counts: Counts,
        silent: tuple[str, ...],
        steps: Steps | None = None,
        *,
        requests: RequestLog | None = None,
    ) -> None:
        self.scenario = scenario
        self.steps = steps
        """What was chosen, if the run was explored."""
        self.requests = requests or RequestLog()
        """What each consumer asked of Redis, and the shapes of the answers."""
        self.history = history
        self.counts = counts
        self.silent_faults = silent
        """The faults of the scenario that never struck."""
        self.judgement: Judgement = judge(history, scenario.judge.invariants)

    @property
    def seed(self) -> int:
        """The seed of the run."""
        return self.history.header.seed

    @property
    def verdict(self) -> str:
        """`holds`, `violated` or `unknown`."""
        return self.judgement.verdict

    @property
    def digest(self) -> str:
        """The SHA-256 of the history."""
        return self.history.digest

    @property
    def events(self) -> Any:
        """A DataFrame with one row for each event."""
        from reports.tables.frames import events_frame

        return events_frame(self.history)

    @property
    def latency(self) -> Any:
        """A picture of how long events took."""
        from reports.figures.run_figures import latency_figure

        return latency_figure(self.history)

    @property
    def followers(self) -> Any:
        """A picture of what became of followers."""
        from reports.figures.run_figures import followers_figure

        return followers_figure(self.history)

    @property
    def spacetime(self) -> Any:
        """A picture of who did what when: of the first violation, or of how the run begins."""
        from reports.figures.spacetime_figure import spacetime_figure

        return spacetime_figure(self.history, self.judgement.violations)

    @property
    def story(self) -> str:
        """The first violation, told line by line; what proves it is marked. Empty if there is none."""
        from reports.text.violation_story import told

        return told(self.history, self.judgement.violations)

    def _repr_html_(self) -> str:
        from reports.page.notebook_card import card

        return card(self.history, self.judgement)

    def __repr__(self) -> str:
        return f"<Run of {self.scenario.name} seed {self.seed}: {self.verdict}>"


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
    ) -> None:
        self.folder = folder
        """Where a history that grows long is kept; the system's folder for temporary files if none is given."""
        self.scenario = scenario
        self.seed = seed
        self.store = store
        self.engine: type[Engine] = resolve(engine)
        self.decode = decoder(self.engine)
        self.streams = Streams(seed)
        self.loop = SimulatedLoop()
        self.loop.env.patience = HASTE[0]
        self.epoch, self._publications = workload(scenario, seed, self.streams)
        self.scope = "causim"
        if isinstance(store, RemoteStore):
            self.scope = f"causim-{self.streams['scope'].bytes(6).hex()}"
        self.steps = Steps(self.loop, exploration) if exploration else None
        self.history = self._new_history(engine)
        tracer = self._tracer(trace)
        self.network = Network(self.loop, store, scenario.network.latency, self.streams, tracer, steps=self.steps)
        self.ambient = Ambient(self.loop, self.epoch, self.streams)
        self.consumers = {f"c{i}": Consumer(self, f"c{i}") for i in range(1, scenario.consumers.count + 1)}
        for name in scenario.consumers.engines:
            self.consumers[name].equip(resolve(scenario.consumers.engine_of(name, engine)))
        self.injector = Injector(self)
        self.meddler: Meddler | None = self.injector.handlers
        self.broker = Broker(
            loop=self.loop,
            settings=scenario.broker,
            streams=self.streams,
            history=self.history,
            watcher=self,
            steps=self.steps,
            strict=bool(scenario.faults),
        )
        self.broker.meddler = self._queue_meddler = self.injector.deliveries(self.broker)
        if self.steps is not None:
            self.steps.crashes, self.steps.strike = self._crashes, self._struck
        self.fences: dict[str, int] = {}
        """The greatest fencing token that was shown for each event: what the handlers write to refuses older ones."""
        self._names: dict[str, str] = {}
        self._leaders: dict[str, str] = {}
        self._handled: set[str] = set()
        self._handlings: dict[str, int] = {}
        self._unsettled: dict[str, bool] = {}
        """Events of which nobody knows that they are done with, and whether an engine was given them."""
        self._open = 0
        self._published = 0
        self._long = LONG
        self._publishing = True
        self._progresses = 0
        self._spent = 0, 0, 0, 0
        """Commands and packets by the last progress: what is sent while the world waits to be quiet says nothing."""
        self._ended = ""
        self._due = self.injector.last_moment
        """Until then, faults are to come: the world is not quiet."""
        self._collapse: BaseException | None = None
        self._refusal: StoreUnavailable | Escaped | None = None
        self._entrusted = 0
        self.network.refused = self._refused
        self.loop.on_escape, self.loop.on_block = self._refused, self._blocked

    def _header(self, engine: str) -> Header:
        scenario = self.scenario
        return Header(
            scenario=scenario.name,
            seed=self.seed,
            engine=engine,
            store=f"{self.store.name} {self.store.version}",
            version=_version(),
            epoch=self.epoch.isoformat(),
            terms=Terms(
                lookback=scenario.policy.lookback,
                retention=scenario.policy.retention,
                lease=scenario.policy.lease,
                release_bound=scenario.release_bound,
                sweep_interval=scenario.consumers.sweep_interval,
                stuck_bound=scenario.judge.stuck_bound,
            ),
            exercise=scenario.judge.exercise,
            invariants=scenario.judge.invariants,
            allowed_loss=scenario.judge.allowed_loss,
        )

    def _new_history(self, engine: str) -> History:
        header = self._header(engine)
        if self.steps is None:
            return History(header)
        strict = bool(self.scenario.faults or self.scenario.judge.exercise)
        precedence = Precedence(self._announced(), self.scenario.policy.lookback, strict=strict)
        return _Told(header, self.steps, precedence)

    def _tracer(self, trace: bool) -> Callable[[str, str, Any], None] | None:
        if not trace:
            return None
        spelling = Spelling(scripts_of(self.engine))

        def tell(kind: str, consumer: str, details: Any) -> None:
            if kind == "command":
                details = {**details, "commands": [spelling.told(words) for words in details["commands"]]}
            self.history.append(self.loop.now, kind, "", consumer, **details)

        return tell

    # -- running ---------------------------------------------------------------------------------------------

    def run(self) -> Run:
        """Run the world to its end, and judge it."""
        self.store.begin(self.epoch)
        try:
            with self.store.nearby(), self.ambient, watchdog(self.loop):
                self._begin()
                with _patient() as interrupted:
                    step = self.steps.step if self.steps else None
                    self.loop.run_while(lambda: not (self._ended or interrupted), step)
                if interrupted:
                    raise KeyboardInterrupt
                self._finish()
        except NeverReturns:
            pass  # what it is about was told
        except StandsStill:
            raise EngineFailed(_HURRY.format(self.loop.now / SECOND)) from None
        finally:
            # The dead may still write, by way of whoever holds the history, now or when they are collected at last:
            # they keep the world's, which nobody reads any more.
            history = self.history.handed_over()
            self._clean_up()
        if self._refusal is not None:
            raise self._refusal
        self._check_store_was_used()
        if self._collapse is not None:
            raise EngineFailed(f"{type(self._collapse).__name__}: {self._collapse}") from self._collapse
        commands, packets, *idle = self._spent
        counts = Counts(commands, packets, self._published, self.loop.now, *idle)
        return Run(
            self.scenario, history, counts, self.injector.book.silent, self.steps, requests=self.network.requests
        )

    def _begin(self) -> None:
        if self.steps is not None and self.steps.exploration.scripts:
            self._load(self.steps.exploration.scripts)
        self.injector.prepare()
        self._note("phase", phase="safety")
        late = self.injector.late_joiners
        for name, consumer in self.consumers.items():
            if name in late:
                continue
            delay = self.scenario.consumers.start.draw(self.streams[f"start/{name}"])
            self.loop.in_world(delay, consumer.start)
        self.loop.env.process(self._publish())
        self.loop.in_world(self.scenario.judge.horizon, self._end, "horizon")

    def _publish(self) -> Generator[simpy.Event, Any, None]:
        tamper = self.injector.publications
        for publication in self._publications:
            if publication.at - self.loop.now >= (1 if self.steps is None else BRIEF):
                yield self.loop.env.timeout(publication.at - self.loop.now)
            self._names[str(publication.id)] = publication.name
            self._leaders[publication.name] = publication.follows
            changed = tamper(publication) if tamper else publication
            if changed is None:
                continue
            self._published += 1
            self.loop.env.patience += HASTE[1]
            self._unsettled[changed.name] = False
            if len(self.history) > self._long:
                self.history.unroll(self.folder)
                self._long = sys.maxsize
            self.broker.publish(changed, self.fingerprint(changed))
        self._publishing = False
        if self.scenario.faults:
            faults = self.injector
            last = max(self.loop.now + faults.tail, faults.last_moment, faults.last_period)
            self.loop.in_world(last - self.loop.now + self.scenario.judge.heal_after, self._heal)
            self.loop.in_world(max(0, faults.last_moment - self.loop.now), self.progress)
        self.progress()

    def followed(self) -> frozenset[str]:
        """Return the names of all events that others follow."""
        return frozenset(leader for leader in self._announced().values() if leader)

    def _announced(self) -> dict[str, str]:
        """Return the leader of every event of the workload, which is made once more: the run uses its own up."""
        again = workload(self.scenario, self.seed, Streams(self.seed))[1]
        return {publication.name: publication.follows for publication in again}

    def fingerprint(self, publication: Publication) -> str:
        """Return a short digest of what the event says, as a consumer reads it."""
        try:
            return fingerprint(self.decode(publication.body))
        except ValueError:
            return digest(publication.body)

    def _heal(self) -> None:
        if not self.injector.healed and not self._ended:
            self._note("phase", phase="healing")
            self.injector.heal()
            self.progress()

    # -- the end ---------------------------------------------------------------------------------------------

    def progress(self) -> None:
        """Something came to rest. If everything has, wait whether it stays so."""
        self._progresses += 1
        network = self.network
        self._spent = network.commands, network.packets, network.idle.commands, network.idle.packets
        if self._publishing or self.broker.pending or self._open or self.loop.now < self._due:
            return
        self.loop.in_world(self._wait(), self._still_quiet, self._progresses)

    def _wait(self) -> int:
        """Return how long it must be quiet to stay so."""
        if self._unsettled:
            return self._patience()
        if self.injector.healed and self.injector.struck:
            # Whoever was interrupted between an effect and its completion has left a lease behind: the engine is done
            # with that event only when the lease is over and a sweep has found it.
            return self.scenario.release_bound + self.scenario.judge.settle
        return self.scenario.judge.settle

    def _patience(self) -> int:
        policy, consumers = self.scenario.policy, self.scenario.consumers
        return policy.lookback + self.scenario.release_bound + 2 * consumers.sweep_interval

    def _still_quiet(self, progresses: int) -> None:
        if progresses != self._progresses or self._ended:
            return
        if self.scenario.faults and not self.injector.healed:
            self._heal()
        elif self.steps is not None and self.steps.pending:
            self.progress()
        else:
            self._end("quiet")

    def _end(self, phase: str) -> None:
        self._ended = self._ended or phase

    def _finish(self) -> None:
        if not self._ended:  # nothing was left to happen
            self._ended = "quiet"
        in_flight = sorted(f"{c.name}: {event}" for c in self.consumers.values() for event in c.holding)
        if self._ended == "horizon":
            in_flight.append(f"{self.broker.pending} deliveries pending")
        if self._ended == "quiet":
            self._note("census", keys=self._census())
        self._note("phase", phase=self._ended, in_flight=in_flight)

    def _census(self) -> dict[str, dict[str, Any]]:
        """Return the keys that will never expire. Those with a TTL are no burden, and may be very many."""
        self.store.set_time(self.loop.now)
        link = self.store.link()
        reader = hiredis.Reader(encoding="utf-8", errors="backslashreplace")

        def ask(request: bytes, replies: int) -> list[Any]:
            reader.feed(link.execute(request, replies))
            return [reader.gets() for _ in range(replies)]

        found: dict[str, dict[str, Any]] = {}
        cursor = "0"
        while True:
            [[cursor, keys]] = ask(command("SCAN", cursor, "MATCH", f"*{self.scope}*", "COUNT", 1000), 1)
            ttls = ask(b"".join(command("PTTL", key) for key in keys), len(keys)) if keys else []
            lasting = [key for key, ttl in zip(keys, ttls, strict=True) if ttl == -1]
            types = ask(b"".join(command("TYPE", key) for key in lasting), len(lasting)) if lasting else []
            found.update({key: {"type": kind, "ttl": None} for key, kind in zip(lasting, types, strict=True)})
            if str(cursor) == "0":
                link.close()
                return dict(sorted(found.items()))

    def _clean_up(self) -> None:
        closed = logging.root.manager.disable
        logging.disable(logging.CRITICAL)
        try:
            self.loop.close()
        finally:
            logging.disable(closed)
        self.network.close()
        if isinstance(self.store, RemoteStore):
            self.store.remove(self.scope)

    def _note(self, kind: str, **details: Any) -> None:
        self.history.append(self.loop.now, kind, **details)

    # -- what consumers ask and tell -------------------------------------------------------------------------

    def name_of(self, identity: str) -> str:
        """Return the name of the event with this id, or the id if nobody published it."""
        return self._names.get(identity, identity)

    def was_handled(self, name: str) -> bool:
        """Return whether the event has had an effect."""
        return name in self._handled

    def leader_of(self, name: str) -> str:
        """Return the name of the event that this one follows, empty if none."""
        return self._leaders.get(name, "")

    def handling_started(self, name: str) -> int:
        """Take note that a handler runs, and return how many have run for the event, with this one."""
        self._open += 1
        self._handlings[name] = count = self._handlings.get(name, 0) + 1
        return count

    def handling_ended(self, name: str, ok: bool) -> None:
        """Take note that a handler ended."""
        self._open -= 1
        if ok:
            self._unsettled.pop(name, None)
        if ok and name not in self._handled:
            self._handled.add(name)
            if self._queue_meddler is not None:
                self._queue_meddler.handled(name)
        self.progress()

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

    def entrusted(self, name: str) -> None:
        """Take note that an engine is given an event, maybe again, until it says that it is done with it."""
        self._unsettled[name] = True
        self._entrusted += 1

    def done_with(self, name: str) -> None:
        """Take note that the engine says it will not handle an event: it has, or it has given it up."""
        self._unsettled.pop(name, None)
        self.progress()

    def given_up(self, name: str) -> None:
        """Take note that the broker has lost its copy of an event. An engine may still have it."""
        if not self._unsettled.get(name, True):
            del self._unsettled[name]
        self.progress()

    def collapsed(self, error: BaseException) -> None:
        """End the run: an engine broke down."""
        self._collapse = error
        self._end("collapse")

    def _check_store_was_used(self) -> None:
        """Refuse a run whose engine was given events and never spoke to the store. Raises Escaped.

        Such an engine keeps its state elsewhere, where no fault and no virtual time reaches it.
        """
        engines = {consumer.kind for consumer in self.consumers.values()}
        declared = any(getattr(engine, "in_memory", False) for engine in engines)
        if self._entrusted and not declared and not self.network.commands and not self.network.refusals:
            raise Escaped(
                f"the engine was given {self._entrusted} deliveries and sent no command to the simulated Redis: it"
                " keeps its state elsewhere, so no verdict about it would be true. It should connect by way of"
                " context.connect(), or to any redis:// address with an asyncio client. An engine that needs no store"
                " says so with the class attribute `in_memory = True`"
            )

    def _blocked(self, process: Process, delay: int, where: str) -> None:
        if delay:
            self.history.append(self.loop.now, "blocked", consumer=process.name, duration=delay, where=where)
        else:
            self.broker.wake()

    def _refused(self, error: StoreUnavailable | Escaped) -> None:
        """End the run: something was asked for that cannot be simulated, so nothing that would follow is true."""
        self._refusal = self._refusal or error
        self._end("collapse")

    # -- what an exploration may do --------------------------------------------------------------------------

    def _load(self, scripts: Sequence[bytes]) -> None:
        link = self.store.link()
        for script in scripts:
            link.execute(command("SCRIPT", "LOAD", script), 1)
        link.close()
        self.network.scripts.know(scripts)

    def _crashes(self) -> Iterator[Step]:
        for name, consumer in self.consumers.items():
            if consumer.process.running:
                label = f"{name} crashes"
                yield Step(label, "crash", name, label, partial(self._crash, consumer))

    def _crash(self, consumer: Consumer) -> None:
        assert self.steps is not None
        self.steps.touch("restarts")
        self.broker.gone(consumer.name)
        consumer.crash()
        for event in self._names.values():
            self.steps.drop(f"{consumer.name}:{event}:")
        away = Crash.model_fields["duration"].default
        # Nothing is quiet before it is back, whether it died before or after the last event came to rest.
        self._due = max(self._due, self.loop.now + away)
        self.progress()
        self.loop.in_world(away, self._restart, consumer)

    def _restart(self, consumer: Consumer) -> None:
        consumer.start()
        self.progress()

    def _struck(self, step: Step) -> None:
        self._note("fault", consumer=step.who, fault=step.kind, chosen=True)


class _Told(History):
    """A history that tells the steps of its world what each entry is about: the order of some of them matters."""

    __slots__ = ("_precedence", "_steps")

    def __init__(self, header: Header, steps: Steps, precedence: Precedence) -> None:
        super().__init__(header)
        self._steps = steps
        self._precedence = precedence

    def append(self, at: int, kind: str, event: str = "", consumer: str = "", **details: Any) -> None:
        """Write down that something happened."""
        for name, how in self._precedence.about(at, kind, event, consumer).items():
            self._steps.touch(name, how)
        super().append(at, kind, event, consumer, **details)


@contextmanager
def _patient() -> Iterator[list[int]]:
    """Have Ctrl-C wait for the end of the current step, so that it strikes no code under test in the middle.

    Yields a list that is not empty once Ctrl-C was pressed; pressed again, it strikes at once.
    """
    pressed: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield pressed
        return
    before = signal.getsignal(signal.SIGINT)

    def press(number: int, frame: Any) -> None:
        pressed.append(number)
        signal.signal(signal.SIGINT, before)

    if before is signal.default_int_handler:
        signal.signal(signal.SIGINT, press)
    try:
        yield pressed
    finally:
        if before is signal.default_int_handler:
            signal.signal(signal.SIGINT, before)


# -- assembling --------------------------------------------------------------------------------------------------


def workload(scenario: Scenario, seed: int, streams: Streams) -> tuple[datetime, Iterator[Publication]]:
    """Return the epoch of a run and its publications. Raises BadScenario if a trace cannot be used."""
    table = scenario.workload
    if table.kind == "trace":
        path = Path(scenario.folder) / table.file
        try:
            events = _trace(path, path.stat().st_mtime_ns, table.limit)
        except (BadTrace, OSError) as error:
            raise BadScenario(f"{scenario.name}: table [workload], key 'file': {error}") from None
        epoch = trace_epoch(events)
        return epoch, trace_publications(events, epoch, table.speed)
    return EPOCH, publications(_plans(scenario, streams), seed, EPOCH)


@lru_cache(maxsize=4)
def _trace(path: Path, changed: int, limit: int | None) -> list[dict[str, Any]]:
    return read_trace(path, limit)


@cache
def _version() -> str:
    return version("causim")


def _plans(scenario: Scenario, streams: Streams) -> list[Plan]:
    table = scenario.workload
    if table.kind == "events":
        return [Plan(**dict(event)) for event in table.events]
    assert table.kind != "trace"
    match table.kind:
        case "chains":
            families = chains(table.count, table.length)
        case "fan-out":
            families = fans(table.count, table.followers)
        case "trees":
            families = trees(table.count, table.depth, table.branching)
        case "cycles":
            families = cycles(table.count, table.length)
    leaders = {plan.follows for family in families for plan in family}
    order, gaps, absent = streams["workload/order"], streams["workload/interval"], streams["workload/missing"]
    plans, moment = [], 0
    occurred = {plan.name: i for i, plan in enumerate(plan for family in families for plan in family)}
    for plan in arrange(families, table.order, table.interleave, order):
        missing = plan.name in leaders and absent.random() < table.missing
        plans.append(replace(plan, at=moment, occurred=occurred[plan.name], published=not missing))
        moment += table.interval.draw(gaps)
    return plans


class Laboratory:
    """A store that is kept for many runs, one after the other."""

    def __init__(self, store: str = "auto", executable: Path | None = None) -> None:
        self.store, self.note = open_store(store, executable)
        self.folder: Path | None = None
        """Where histories that grow long are kept; the system's folder for temporary files if none is given."""

    def run(
        self,
        scenario: Scenario,
        seed: int | None = None,
        engine: str | None = None,
        trace: bool = False,
        *,
        exploration: Exploration | None = None,
    ) -> Run:
        """Run a scenario. Seed and engine are the scenario's own unless given; a swarm draws its world from the seed.

        With an exploration, its oracle chooses the order of steps; without, drawn delays do.
        """
        chosen = scenario.seed if seed is None else seed
        world = draw(scenario, chosen).scenario
        named = engine or scenario.engine
        return World(world, chosen, named, self.store, trace, exploration=exploration, folder=self.folder).run()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.store.close()


def run(
    scenario: Scenario,
    seed: int | None = None,
    engine: str | None = None,
    store: str = "auto",
    trace: bool = False,
) -> Run:
    """Run a scenario once, on a store of its own, and return the judged run.

    Args:
        scenario: what to run, from `load`.
        seed: the scenario's own if not given.
        engine: a built-in engine's name or `module:Class`; the scenario's own if not given.
        store: `server`, `lean`, `embedded`, `redis://…`, or `auto`: the server where it can run.
        trace: keep every Redis command and reply in the history too.

    Raises StoreUnavailable, UnknownEngine, BadScenario, EngineFailed.
    """
    with Laboratory(store) as laboratory:
        return laboratory.run(scenario, seed, engine, trace)
