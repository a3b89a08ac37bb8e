"""The peers beside causim, on one race in one run: schedules a second, and whether planted races are found.

    python3.12 -m venv .peers
    .peers/bin/pip install causim simloom simloop frontrun    # in a checkout: -e . instead of causim
    .peers/bin/python benchmarks/peers.py [--seconds 3] [--stretches 5] [--most 100] [--out benchmarks/peers.md]

The race: a leader and its follower, delivered a few milliseconds apart, each to a consumer of its own; the follower
must not start before the leader has ended, and both must be handled. The engine is ours, the client is redis.asyncio;
neither knows where it runs. simloop and simloom run the consumers on their loop and carry the client's bytes over their
wire to a server of a few lines, which has the same fakeredis execute them as causim's embedded store. frontrun has no
wire: it runs them on asyncio's own loop, against a redis-server or fakeredis's own client.

All take turns in short stretches, so that what else the machine does disturbs all alike; a ratio is to causim in the
same round. A peer that is not installed, or that cannot run the race to its end, has a row that says so.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import importlib
import logging
import os
import random
import statistics
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from itertools import count
from pathlib import Path
from typing import Any, Literal, Protocol

import fakeredis
import redis
import redis.asyncio

from ordering import CausalOrdering, EventArrivedEarly, EventBeingProcessed, ReceivedEvent
from simulation import Laboratory, load
from simulation.engines.mutants import engine as mutant
from simulation.engines.native import NativeEngine
from simulation.scenario.workload import Plan, publications
from simulation.stores.bundled import running_server
from simulation.stores.fakeredis_store import EmbeddedStore

SCENARIO = Path(__file__).parent.parent / "scenarios" / "leader-follower.toml"
EPOCH = datetime(2024, 1, 1, tzinfo=UTC)
DELAY = (0.001, 0.008)
LATENCY = (0.0001, 0.0009)
HANDLER_TIME = 0.005
REDELIVERED_AFTER = 5.0
"""As in the scenario, in seconds."""
HANG_UP = 0.01
"""For the server to hear that its clients are gone: asyncio's streams may complain of a server that is cancelled."""
HOST, PORT = "redis", 6379
STARTS = (1, 1001, 2001)
"""The seeds from which the searches for a planted race begin."""
CHUNK = 5
"""How many schedules are asked for at a time while the clock runs."""


# -- the race ------------------------------------------------------------------------------------------------------


class CheckThenAct(CausalOrdering):
    """An ordering with a planted race: it asks first, and acts a round trip later on the answer.

    A follower that parks after its leader's consumer has asked who waits, and that has asked before the leader was
    marked as handled, is not released: it waits until a sweep finds it.
    """

    @asynccontextmanager
    async def preceding_event_confirmed(self, handler: Any, event: Any, depth: int = 0) -> AsyncIterator[None]:
        """Let the body handle the event, if what it follows was handled; then handle what waited for it."""
        if event.follows and not await self.event_has_been_seen(event.follows):
            await self.record_follower(event)
            raise self.errors.early(event)
        async with self.event_is_processing(event):
            yield
            followers = await self.get_followers(event)
        for follower in followers:
            await handler(follower, depth + 1)


class CheckThenActEngine(NativeEngine):
    """The same for causim."""

    ordering = CheckThenAct


ORDERINGS: Mapping[str, type[CausalOrdering]] = {
    "native": CausalOrdering,
    "ignore-leader": mutant("ignore-leader").ordering,
    "check-then-act": CheckThenAct,
}
"""The engine, and what is planted in it: a check that is missing, and one that is not atomic with what follows it."""
CAUSIM_NAMES = {
    "native": "native",
    "ignore-leader": "mutant:ignore-leader",
    "check-then-act": f"{__name__}:CheckThenActEngine",
}


WRONGS = {"causal-order", "nothing-lost", "prompt-release"}
"""The invariants of causim that ask what the other harnesses are asked here: in order, and not left waiting."""

RELEASE_BOUND = 1_000_000
"""In microseconds: a follower that a sweep has to find was left waiting. The other harnesses do not sweep."""


PLANTED = [name for name in ORDERINGS if name != "native"]


class RaceLost(AssertionError):
    """The follower was not handled after its leader."""


@dataclass
class Race:
    """One race: who connects how, what is waited for, and what came of it."""

    kind: type[CausalOrdering]
    connect: Callable[[], Any]
    uniform: Callable[[float, float], float]
    steps: list[str] = field(default_factory=list)
    _tokens: Iterator[int] = field(default_factory=count)

    async def consume(self, plan: Plan) -> None:
        """Handle one of the events, as the consumer that receives it."""
        (published,) = publications([plan], 0, EPOCH)
        client = self.connect()
        ordering = self.kind("race", redis=client, token=lambda: f"{next(self._tokens):016x}")

        async def handler(event: Any, depth: int = 0) -> None:
            async with ordering.preceding_event_confirmed(handler, event, depth):
                name = event.payload["name"]
                self.steps.append(f"{name} started")
                await asyncio.sleep(HANDLER_TIME)
                self.steps.append(f"{name} ended")

        try:
            await asyncio.sleep(plan.at / 1_000_000 + self.uniform(*DELAY))
            await self._deliver(handler, ReceivedEvent.model_validate_json(published.body))
        finally:
            await client.aclose()

    @staticmethod
    async def _deliver(handler: Callable[[Any], Awaitable[None]], event: Any) -> None:
        while True:
            try:
                return await handler(event)
            except EventArrivedEarly:
                return None  # it is parked, and handled by the consumer that handles the leader
            except EventBeingProcessed:
                await asyncio.sleep(REDELIVERED_AFTER)

    def holds(self) -> bool:
        """Return whether both were handled, the follower after its leader."""
        return self.steps == ["a started", "a ended", "b started", "b ended"]

    def check(self) -> None:
        """Raise RaceLost unless it holds."""
        if not self.holds():
            raise RaceLost(", ".join(self.steps))


LEADER, FOLLOWER = Plan("a"), Plan("b", follows="a", at=1_000)
CONSUMERS = {"c1": LEADER, "c2": FOLLOWER}


def simulated_client() -> redis.asyncio.Redis:
    """Connect to the simulated host, as any program would; without a greeting, as causim has it."""
    return redis.asyncio.Redis(host=HOST, port=PORT, protocol=2, driver_info=None)


async def serve(store: EmbeddedStore, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Be a Redis server to one client: have the store execute what arrives."""
    link = store.link()
    while request := await reader.read(65_536):
        writer.write(link.execute(request, 1))
        await writer.drain()
    writer.close()
    link.close()


async def listen(host: str | None = None, port: int = PORT) -> None:
    """Be a new Redis server, for as long as the run lasts."""
    server = await asyncio.start_server(partial(serve, EmbeddedStore()), host, port)
    await server.serve_forever()


# -- who runs it ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Explored:
    """What an exploration has come to."""

    schedules: int
    convicted: bool = False
    how: str = ""
    """How the last schedule came to be convicted, as far as the harness says it."""


class Contestant(Protocol):
    """A harness that can explore schedules of the race."""

    @property
    def name(self) -> str:
        """Return what it is called, with its version."""
        ...

    @property
    def store(self) -> str:
        """Return where Redis is: `server`, or `embedded` in this process."""
        ...

    @property
    def way(self) -> str:
        """Return how it chooses schedules."""
        ...

    def explore(self, engine: str, start: int, most: int) -> Explored:
        """Explore schedules, from a seed on, until one convicts; `most` at most."""
        ...


class Causim:
    """The harness of this project."""

    way = "seeds"

    def __init__(self, stack: ExitStack, store: Literal["server", "embedded"]) -> None:
        self.name, self.store = "causim", store
        self._laboratory = stack.enter_context(Laboratory(store))
        scenario = load(SCENARIO)
        judge = scenario.judge.model_copy(update={"release_bound": RELEASE_BOUND})
        self._scenario = scenario.model_copy(update={"judge": judge})

    def explore(self, engine: str, start: int, most: int) -> Explored:
        """Run one seed after the other."""
        for done in range(most):
            run = self._laboratory.run(self._scenario, start + done, CAUSIM_NAMES[engine])
            if WRONGS & {violation.invariant for violation in run.judgement.violations}:
                return Explored(done + 1, convicted=True)
        return Explored(most)


class Simloop:
    """simloop: the race on its loop and its wire."""

    way, store = "seeds", "embedded"

    def __init__(self, stack: ExitStack) -> None:
        self._simloop = importlib.import_module("simloop")
        self.name = f"simloop {version('simloop')}"

    def explore(self, engine: str, start: int, most: int) -> Explored:
        """Have it run one seed after the other; it stops at the first that fails."""
        report = self._simloop.explore(partial(self._race, engine), range(start, start + most))
        if report is None:
            return Explored(most)
        if not isinstance(report.exception, RaceLost):
            raise report.exception
        return Explored(report.seeds_passed + 1, convicted=True)

    async def _race(self, engine: str) -> None:
        network = asyncio.get_running_loop().net  # type: ignore[attr-defined]
        network.set_defaults(latency=LATENCY)
        race = Race(ORDERINGS[engine], simulated_client, self._simloop.sim.random.uniform)
        network.host(HOST).create_task(listen(port=PORT))
        consumers = [network.host(name).create_task(race.consume(plan)) for name, plan in CONSUMERS.items()]
        await asyncio.gather(*consumers)
        await asyncio.sleep(HANG_UP)
        race.check()


class Simloom:
    """simloom: the race on its loop and its wire; it has the clocks and the randomness, as in its own tests."""

    way, store = "seeds", "embedded"

    def __init__(self, stack: ExitStack) -> None:
        self._simloom = importlib.import_module("simloom")
        self.name = f"simloom {version('simloom')}"

    def explore(self, engine: str, start: int, most: int) -> Explored:
        """Have it run one seed after the other; it stops at the first that fails."""
        race = partial(self._race, engine)
        found = self._simloom.explore(race, runs=most, start_seed=start, virtual_time=True, seed_randomness=True)
        if found.first_failure is not None and not isinstance(found.first_failure.error, RaceLost):
            raise found.first_failure.error
        return Explored(found.runs, found.failed)

    async def _race(self, engine: str, world: Any) -> None:
        world.net.set_latency(*LATENCY)
        race = Race(ORDERINGS[engine], simulated_client, random.uniform)
        world.host(HOST).spawn(partial(listen, HOST, PORT))
        consumers = [world.host(name).spawn(partial(race.consume, plan)) for name, plan in CONSUMERS.items()]
        await asyncio.gather(*consumers)
        await asyncio.sleep(HANG_UP)
        race.check()


class Frontrun:
    """frontrun: the race on asyncio's own loop; it chooses who goes on at each await, and when time passes."""

    def __init__(self, stack: ExitStack, store: Literal["server", "embedded"], way: Literal["dpor", "random"]) -> None:
        self._frontrun = importlib.import_module("frontrun")
        self.name, self.store, self.way = f"frontrun {version('frontrun')}", store, way
        self._address = stack.enter_context(running_server()) if store == "server" else ""

    def explore(self, engine: str, start: int, most: int) -> Explored:
        """Have it explore; the systematic way knows no seed. Raises RuntimeError if it comes to no result."""
        found = asyncio.run(self._explore(engine, start, most))
        if found.property_holds is None:
            raise RuntimeError(found.inconclusive_reason or found.explanation)
        return Explored(found.num_explored, not found.property_holds, found.explanation or "")

    async def _explore(self, engine: str, start: int, most: int) -> Any:
        options = {
            "dpor": {"max_executions": most, "reproduce_on_failure": 0},
            "random": {"max_attempts": most, "seed": start, "max_ops": 1_000},  # the default ends the race too early
        }
        return await self._frontrun.explore(
            partial(self._begin, engine),
            [lead, follow],
            Race.holds,
            strategy=self.way,
            clock="explored",
            **options[self.way],
        )

    def _begin(self, engine: str) -> Race:
        if self.store == "server":
            with redis.Redis(unix_socket_path=self._address) as client:
                client.flushall()
            connect: Callable[[], Any] = partial(
                redis.asyncio.Redis, unix_socket_path=self._address, protocol=2, driver_info=None
            )
        else:
            connect = partial(fakeredis.FakeAsyncRedis, server=fakeredis.FakeServer(version=(7,)))
        return Race(ORDERINGS[engine], connect, lambda least, most: least)


async def lead(race: Race) -> None:
    """Be the consumer of the leader."""
    await race.consume(LEADER)


async def follow(race: Race) -> None:
    """Be the consumer of the follower."""
    await race.consume(FOLLOWER)


CONTESTANTS: Sequence[tuple[str, Callable[[ExitStack], Contestant]]] = (
    ("causim", partial(Causim, store="embedded")),
    ("causim", partial(Causim, store="server")),
    ("simloop", Simloop),
    ("simloom", Simloom),
    ("frontrun", partial(Frontrun, store="embedded", way="random")),
    ("frontrun", partial(Frontrun, store="server", way="random")),
    ("frontrun", partial(Frontrun, store="embedded", way="dpor")),
    ("frontrun", partial(Frontrun, store="server", way="dpor")),
)
"""The package that each needs, and how it is made. The ratios are to the first."""
WIRED = frozenset({"simloop", "simloom"})


# -- the measuring -------------------------------------------------------------------------------------------------


@dataclass
class Measured:
    """What was measured of one contestant, or why nothing was."""

    package: str
    contestant: Contestant | None = None
    why_not: str = ""
    rates: list[float] = field(default_factory=list)
    """Schedules a second, by round."""
    by_cpu: list[float] = field(default_factory=list)
    """Schedules a second of processor time, by round."""
    found: dict[str, str] = field(default_factory=dict)

    def attempt(self, work: Callable[[Contestant], None]) -> None:
        """Do some work with the contestant, unless it has failed; if it fails now, keep its own words.

        A peer may end itself, as with SystemExit: then the others go on. KeyboardInterrupt ends all.
        """
        if self.contestant is None or self.why_not:
            return
        try:
            work(self.contestant)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            self.why_not = f"did not finish: {in_words(error)}"


def enter(package: str, make: Callable[[ExitStack], Contestant], stack: ExitStack) -> Measured:
    """Let a contestant enter, if its package is installed and it can be made."""
    try:
        return Measured(package, make(stack))
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and error.name == package:
            return Measured(package, why_not=f"{package} is not installed: pip install {package}")
        return Measured(package, why_not=f"did not start: {in_words(error)}")


def in_words(error: BaseException) -> str:
    """Return an error as the text of a cell."""
    return " ".join(f"{type(error).__name__}: {error}".splitlines()[0].replace("|", "/").split())


def stretch(measured: Measured, contestant: Contestant, first: int, seconds: float) -> None:
    """Explore the engine itself for so much processor time of this process. Raises RaceLost if it is convicted."""
    freeze()
    done, wall, cpu = 0, time.perf_counter(), processor_time()
    began = time.process_time()
    while time.process_time() - began < seconds:
        explored = contestant.explore("native", first + done, CHUNK)
        done += explored.schedules
        if explored.convicted:
            print(explored.how, file=sys.stderr)  # not all schedules are the same when their seed is run again
            raise RaceLost(f"the engine itself is convicted, within {CHUNK} schedules from seed {first + done}")
    measured.rates.append(done / (time.perf_counter() - wall))
    measured.by_cpu.append(done / (processor_time() - cpu))


def freeze() -> None:
    """Leave what is loaded by now out of later collections.

    Some peers collect garbage after each schedule, at a cost that grows with what is loaded: here that is causim's
    libraries, and what the others have left.
    """
    gc.collect()
    gc.freeze()


def processor_time() -> float:
    """Return the processor time of this process and of its children, such as a redis-server, in seconds."""
    ticks, own = 0, os.getpid()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # a process that has ended meanwhile
            fields = stat.read_text(encoding="utf-8").rpartition(")")[2].split()
            ticks += (int(fields[11]) + int(fields[12])) * (int(fields[1]) == own)
    return time.process_time() + ticks / os.sysconf("SC_CLK_TCK")


def search(measured: Measured, contestant: Contestant, engine: str, most: int) -> None:
    """Search for a planted race, from several seeds if there are seeds."""
    starts = STARTS if contestant.way != "dpor" else STARTS[:1]
    explored = [contestant.explore(engine, start, most) for start in starts]
    measured.found[engine] = ", ".join(
        str(one.schedules) if one.convicted else f"not in {one.schedules}" for one in explored
    )


def measure(stack: ExitStack, stretches: int, seconds: float, most: int) -> list[Measured]:
    """Measure all contestants, taking turns."""
    entered = [enter(package, make, stack) for package, make in CONTESTANTS]
    for one in entered:
        one.attempt(warm_up)
    freeze()
    for turn in range(stretches):
        for one in entered:
            one.attempt(partial(stretch, one, first=1 + 10_000 * turn, seconds=seconds))
    for engine in PLANTED:
        for one in entered:
            one.attempt(partial(search, one, engine=engine, most=most))
    return entered


def warm_up(contestant: Contestant) -> None:
    """Have everything imported and compiled before the clock runs."""
    contestant.explore("native", 0, CHUNK)


# -- the table -----------------------------------------------------------------------------------------------------

NOTES = """\
The race: `scenarios/leader-follower.toml`, two consumers, the engine `ordering` and the client `redis.asyncio`, both
unmodified. *By processor time*: schedules a second of processor time, that of the redis-server included. Where the load
is higher than 1, the figures by the clock say little. The ratios by processor time depend on the machine least. Ratios
are to causim on its embedded store in the same round; all figures are medians.

The planted races: `ignore-leader` has lost the check of the leader; `check-then-act` asks who waits a round trip before
it says that the leader was handled. Behind each are the schedules until the conviction, from three seeds (the
systematic way has none). The engine without a fault was convicted by none of those measured; in a run before, frontrun
convicted it once on fakeredis, and not when the same seeds and hundreds of others were run again. Made twice, the
table had the same schedules for causim, simloop and simloom both times; those of frontrun differed.

What was chosen after looking, with an earlier version of the engine, and bears on these columns:

- causim judges here with a release bound of one second. With the scenario's own, which lets a sweep find the follower
  first, `check-then-act` was convicted once in 674 schedules on the server; the others count it as lost at once.
- `check-then-act` took the place of a narrower race (the follower does not look again after it has parked). causim
  convicted that, by the scenario's own bound, 6 times in 1,571 schedules; in 60 neither simloop nor simloom did.
- frontrun explores time too. With `clock="virtual"` it found nothing of `check-then-act`: dpor ended after 2 schedules,
  and random after 100.

What is not alike:

- causim runs a broker and a sweeper, lets the world be quiet for a second of its time, writes a history and has every
  invariant judge it, the store's leftovers included; the others run the two consumers and one assertion. It keeps the
  version of the Redis client in memory, which the client otherwise reads from disk for each connection.
- simloop carries a large script in several packets, and fakeredis reads the machine's clock under it.
- simloop and simloom collect garbage after each schedule, at a cost that grows with what is loaded. What is loaded
  before each stretch is frozen here (`gc.freeze`), or causim's libraries and what the others leave would slow them down
  to a fraction.
- frontrun has no wire and draws no latencies: nothing can be lost, delayed or cut between client and server. It
  chooses who goes on at each `await` and when time passes (`clock="explored"`); a redis-server keeps real time. Its
  systematic way (dpor) leaves out schedules that differ in nothing, so that each tells more: compare when it convicts,
  not how many it runs.
"""


def table(entered: Sequence[Measured]) -> Iterator[str]:
    """Yield the lines of the table; the ratios are to the first row."""
    yield (
        "| harness | store | way | schedules a second | ratio | by processor time | ratio | "
        + " | ".join(f"`{name}` after" for name in PLANTED)
        + " |"
    )
    yield "|---|---|---|---:|---:|---:|---:|" + "---:|" * len(PLANTED)
    first = entered[0]
    for one in entered:
        if one.contestant is None:
            yield f"| {one.package} | – | – | {one.why_not} |  |  |  |" + "  |" * len(PLANTED)
            continue
        who = f"| {one.contestant.name} | {one.contestant.store} | {one.contestant.way} "
        if one.why_not:
            yield who + f"| {one.why_not} |  |  |  |" + "  |" * len(PLANTED)
            continue
        figures = [
            f"{statistics.median(one.rates):.1f}",
            shown(ratio(one.rates, first.rates), 2),
            f"{statistics.median(one.by_cpu):.1f}",
            shown(ratio(one.by_cpu, first.by_cpu), 2),
        ]
        yield who + f"| {' | '.join([*figures, *(one.found[name] for name in PLANTED)])} |"


def beside_the_best(entered: Sequence[Measured]) -> Iterator[str]:
    """Yield how many times the schedules of the best peer with a wire causim runs, on each store: none without one."""
    rival = max(
        (one for one in entered if one.package in WIRED and one.rates and not one.why_not),
        key=lambda one: statistics.median(one.by_cpu),
        default=None,
    )
    for one in entered:
        if rival and rival.contestant and one.package == "causim" and one.contestant and not one.why_not:
            times = shown(ratio(one.by_cpu, rival.by_cpu), 1)
            yield (
                f"- causim on its {one.contestant.store} store: {times} times the schedules of "
                f"{rival.contestant.name} in a second of processor time"
            )


def ratio(these: Sequence[float], those: Sequence[float]) -> float | None:
    """Return the median of the ratios, round by round; None if one of the two has not run in each round."""
    if not these or len(these) != len(those):
        return None
    return statistics.median(this / that for this, that in zip(these, those, strict=True))


def shown(value: float | None, digits: int) -> str:
    """Return a figure of the table; a dash for none."""
    return "–" if value is None else f"{value:.{digits}f}"


def main() -> None:
    """Measure, print the table and write it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3.0, help="processor time of a stretch")
    parser.add_argument("--stretches", type=int, default=5, help="how often each has its turn")
    parser.add_argument("--most", type=int, default=100, help="schedules after which a search gives up")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/peers.md"))
    given = parser.parse_args()
    with ExitStack() as stack:
        entered = measure(stack, given.stretches, given.seconds, given.most)
    lines = [
        *table(entered),
        "",
        "Beside the faster of the peers with a simulated wire:",
        "",
        *beside_the_best(entered),
    ]
    print("\n".join(lines))
    made = (
        f"Made by `python benchmarks/peers.py`: {given.stretches} stretches of {given.seconds:g} s of processor time "
        f"for each, in turns; {datetime.now(UTC):%Y-%m-%d}, load {os.getloadavg()[1]:.0f} on {os.cpu_count()} cores; "
        f"Python {sys.version.split()[0]}, redis-py {version('redis')}, fakeredis {version('fakeredis')}."
    )
    given.out.write_text("\n".join(["# The peers, on one race", "", made, "", *lines, "", NOTES]), encoding="utf-8")


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)  # a broken engine complains of every event
    main()
