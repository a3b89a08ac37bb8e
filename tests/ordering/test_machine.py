"""The engine beside a model in plain dictionaries: whatever is done to them, in whatever order, they agree.

Each rule does one thing to the engine and the same to the model, and compares what came of it; the invariants compare
what both remember. Time is virtual, on both stores, so a lease lapses when the machine says so. A process that crashes
leaves everything as it is: no `finally` runs, and no lease is given back.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import hiredis
import redis.asyncio
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from ordering import CausalOrdering, EventAlreadySeen, EventArrivedEarly, EventBeingProcessed, Policy
from simulation import Laboratory
from simulation.kernel.ambient import Ambient
from simulation.kernel.environment import SECOND
from simulation.kernel.epoch import EPOCH
from simulation.kernel.event_loop import SimulatedLoop
from simulation.kernel.process import Process
from simulation.kernel.random_streams import Streams
from simulation.scenario.distributions import Constant
from simulation.stores.protocol import Store
from simulation.stores.resp import command
from simulation.world.network import Network
from tests.ordering.conftest import event, number

LEASE, REST, LOOKBACK = 10 * SECOND, 5 * SECOND, 60 * SECOND
SETTLED = SECOND // 20
"""Virtual time in which whatever was set off comes to rest: a handler that is open, or an answer."""
POLICY = Policy(
    lookback=timedelta(microseconds=LOOKBACK),
    retention=timedelta(hours=4),
    lease=timedelta(microseconds=LEASE),
    retry_delay=timedelta(microseconds=REST),
    max_attempts=1_000,
)
CONSUMERS = ("c1", "c2", "c3")
EVENTS = 4

events = st.integers(1, EVENTS)


class HandlerFailed(Exception):
    """The handler raised, as the machine asked."""


class Consumer:
    """A process with an engine of its own, at work on one delivery or one sweep at a time."""

    def __init__(self, world: Engines, name: str) -> None:
        self.name = name
        self.process = Process(name)
        self._world = world
        self._task: asyncio.Task[str] | None = None
        self._ordering: CausalOrdering | None = None
        self.handling = 0
        """The event whose handler is open."""
        self._gate: asyncio.Future[None] | None = None

    @property
    def is_busy(self) -> bool:
        return self._task is not None and not self._task.done()

    def deliver(self, one: Any) -> str:
        """Hand over an event; return "handling" if a handler is open now, or else the outcome of the event."""
        return self._do(self._deliver(one))

    def sweep(self) -> str:
        """Sweep; return "handling" if a handler is open now, or else "swept"."""
        return self._do(self._sweep())

    def go_on(self, error: Exception | None = None) -> str:
        """Let the open handler return, or raise; return as `deliver` and `sweep` do."""
        assert self._gate is not None
        gate, self._gate, self.handling = self._gate, None, 0
        gate.set_exception(error) if error else gate.set_result(None)
        return self._result()

    def _do(self, work: Any) -> str:
        self._task = self._world.loop.spawn(work, self.process, self.name)
        return self._result()

    def _result(self) -> str:
        self._world.advance(SETTLED)
        assert self._task is not None
        if self._task.done():
            return self._task.result()
        assert self.handling, "the engine is neither done nor at work in a handler"
        return "handling"

    def _engine(self) -> CausalOrdering:
        if self._ordering is None:
            client = redis.asyncio.Redis(host="redis", protocol=2)
            tokens = self._world.tokens(self.name)
            self._ordering = CausalOrdering("machine", redis=client, policy=POLICY, token=tokens)
        return self._ordering

    async def _deliver(self, one: Any) -> str:
        try:
            await self._handler(one)
        except EventAlreadySeen:
            return "seen"
        except EventArrivedEarly:
            return "parked"
        except EventBeingProcessed:
            return "held"
        except HandlerFailed:
            return "failed"
        return "handled"

    async def _sweep(self) -> str:
        lost = await self._engine().get_lost_followers()
        self._world.swept.update(number(one) for one in lost)
        for one in lost:
            await self._deliver(one)
        return "swept"

    async def _handler(self, one: Any, depth: int = 0) -> None:
        async with self._engine().preceding_event_confirmed(self._handler, one, depth):
            self.handling = number(one)
            self._world.began(number(one))
            self._gate = asyncio.get_running_loop().create_future()
            await self._gate


class Engines:
    """The real thing: consumers, a store and a network in virtual time."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.loop = SimulatedLoop()
        self.network = Network(self.loop, store, Constant(100), Streams(1))
        self.swept: set[int] = set()
        """The events that sweeps have returned."""
        self.starts: list[int] = []
        """The events whose handlers have begun since the last look."""
        self._lives = 0
        self._dead: list[Consumer] = []
        self._surroundings = ExitStack()
        store.begin(EPOCH)
        self._surroundings.enter_context(Ambient(self.loop, EPOCH, Streams(1)))
        self.consumers = {name: Consumer(self, name) for name in CONSUMERS}

    def began(self, one: int) -> None:
        self.starts.append(one)

    def tokens(self, name: str) -> Any:
        self._lives += 1
        numbers = iter(range(1_000_000))
        life = self._lives
        return lambda: f"{name}/{life}/{next(numbers)}"

    def advance(self, by: int) -> None:
        until = self.loop.now + by
        self.loop.in_world(by, lambda: None)
        self.loop.run_while(lambda: self.loop.now < until)

    def crash(self, name: str) -> None:
        self.loop.kill(self.consumers[name].process)
        self.network.sever(name)
        self._dead.append(self.consumers[name])
        self.consumers[name] = Consumer(self, name)

    def ask(self, *words: str | int) -> Any:
        self.store.set_time(self.loop.now)
        link, reader = self.store.link(), hiredis.Reader(encoding="utf-8")
        reader.feed(link.execute(command(*words), 1))
        link.close()
        return reader.gets()

    def waitlist(self) -> set[int]:
        return {int(identity.replace("-", ""), 16) for identity in self.ask("ZRANGE", "{machine}:waitlist", 0, -1)}

    def lasting_keys(self) -> list[str]:
        return sorted(key for key in self.ask("KEYS", "*") if self.ask("PTTL", key) == -1)

    def close(self) -> None:
        self.loop.close()
        self.network.close()
        self._surroundings.close()


@dataclass
class Model:
    """What must be true, in dictionaries."""

    leaders: dict[int, int]
    occurred: dict[int, int]
    done: set[int] = field(default_factory=set)
    waiting: dict[int, int] = field(default_factory=dict)
    """Since when each parked event waits."""
    unclear: set[int] = field(default_factory=set)
    """Events that began as soon as they came, be it that they were granted or first in a queue."""
    held: dict[int, str] = field(default_factory=dict)
    """Who handles an event."""
    orphaned: dict[int, int] = field(default_factory=dict)
    """Until when what a dead consumer was handling may be kept for it."""
    tried: set[int] = field(default_factory=set)
    """Events whose handler has begun before: they are out of the order of their siblings."""

    def may_begin(self, one: int, now: int) -> bool:
        leader = self.leaders[one]
        return not leader or leader in self.done or now - self.waiting.get(one, now) >= LOOKBACK

    def earlier_siblings(self, one: int, swept: set[int]) -> list[int]:
        """Return who waits behind the same leader and should have begun before, as far as order is promised.

        That is, from the end of their leader on: followers of one that does not come are free when they have waited for
        the lookback, each as it is delivered again; only a sweep finds them together, and brings them in order.
        """
        leader = self.leaders[one]
        if leader not in self.done or one in swept | self.tried or one not in self.waiting:
            return []
        key = (self.occurred[one], one)
        fresh = self.waiting.keys() - self.tried - swept - {one}
        return [other for other in fresh if self.leaders[other] == leader and (self.occurred[other], other) < key]


class Machine(RuleBasedStateMachine):
    """Events in any order, twice or never, to consumers that finish, fail, die and sweep."""

    def __init__(self, store: Store) -> None:
        super().__init__()
        self.real = Engines(store)
        self.owed: set[int] = set()
        """Events whose last delivery was not acknowledged: the queue offers them again."""
        self.agreed = True
        """Whether every step so far has led to what may be; after one that has not, the end would only hide it."""
        self.offered: dict[str, int] = {}
        """What each consumer was delivered and has not answered for."""

    @initialize(
        leaders=st.lists(st.integers(0, EVENTS), min_size=EVENTS, max_size=EVENTS),
        occurred=st.lists(st.integers(0, 3), min_size=EVENTS, max_size=EVENTS),
    )
    def set_leaders(self, leaders: list[int], occurred: list[int]) -> None:
        """Forests: an event follows one with a smaller number, or none."""
        follows = {one: leader % one for one, leader in enumerate(leaders, start=1)}
        self.model = Model(follows, dict(enumerate(occurred, start=1)))

    # -- rules

    def idle(self) -> list[str]:
        return [name for name, consumer in self.real.consumers.items() if not consumer.is_busy]

    @precondition(lambda self: self.idle())
    @rule(data=st.data(), one=events)
    def deliver_to_one(self, data: st.DataObject, one: int) -> None:
        """Deliver an event: for the first time or again, its leader known or not."""
        self.deliver(data.draw(st.sampled_from(self.idle()), "consumer"), one)

    def deliver(self, name: str, one: int) -> None:
        model, now = self.model, self.real.loop.now
        known, held, orphaned = one in model.done, one in model.held, model.orphaned.get(one, 0) > now
        self.owed.add(one)
        self.offered[name] = one
        answer = self.took(name, self.real.consumers[name].deliver(self.event(one)))
        if known or held:
            assert answer == ("seen" if known else "held")
        elif answer == "held":
            assert orphaned, "no consumer holds it"
        else:
            assert answer in ("parked", "handling")

    @precondition(lambda self: self.handling())
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        """Let a handler return."""
        name = data.draw(st.sampled_from(self.handling()), "consumer")
        one = self.real.consumers[name].handling
        self.model.done.add(one)
        self.let_go(one)
        since = self.model.waiting.pop(one, None)
        assert since is None or one in self.model.tried
        self.took(name, self.real.consumers[name].go_on())

    @precondition(lambda self: self.handling())
    @rule(data=st.data())
    def fail(self, data: st.DataObject) -> None:
        """Let a handler raise."""
        name = data.draw(st.sampled_from(self.handling()), "consumer")
        self.let_go(self.real.consumers[name].handling)
        self.took(name, self.real.consumers[name].go_on(HandlerFailed()))

    @precondition(lambda self: self.handling())
    @rule(data=st.data())
    def crash(self, data: st.DataObject) -> None:
        """Let a consumer die in the middle of a handler."""
        name = data.draw(st.sampled_from(self.handling()), "consumer")
        one = self.real.consumers[name].handling
        self.let_go(one)
        self.model.orphaned[one] = self.real.loop.now + LEASE
        self.offered.pop(name, None)
        self.real.crash(name)

    @rule(seconds=st.sampled_from([1, 6, 11, 61]))
    def pass_time(self, seconds: int) -> None:
        """Let time pass: beyond a rest, a lease, or the lookback."""
        self.real.advance(seconds * SECOND)

    @precondition(lambda self: self.idle())
    @rule(data=st.data())
    def sweep_by_one(self, data: st.DataObject) -> None:
        """Look for overdue events."""
        self.sweep(data.draw(st.sampled_from(self.idle()), "consumer"))

    def sweep(self, name: str) -> None:
        self.took(name, self.real.consumers[name].sweep())

    # -- what came of it

    def event(self, one: int) -> Any:
        return event(one, self.model.leaders[one], occurred=self.model.occurred[one])

    def handling(self) -> list[str]:
        return [name for name, consumer in self.real.consumers.items() if consumer.handling]

    def let_go(self, one: int) -> None:
        del self.model.held[one]

    def took(self, name: str, answer: str) -> str:
        """Compare what a step has led to with what may be."""
        self.agreed = False
        model, now = self.model, self.real.loop.now
        starts, self.real.starts = self.real.starts, []
        offered = self.offered.get(name, 0)
        if answer != "handling" or starts != [offered]:
            self.is_parked_now(offered, answer)
        assert len(starts) <= 1, "no handler has gone on in between"
        for one in starts:
            assert one not in model.done, f"{one} has had its effect"
            assert one not in model.held, f"{one} is being handled by {model.held[one]}"
            assert model.may_begin(one, now), f"{one} begins before {model.leaders[one]}"
            assert not model.earlier_siblings(one, self.real.swept), f"{one} begins before its earlier siblings"
            model.held[one] = name
            model.orphaned.pop(one, None)
            model.tried.add(one)
            if one == offered and one not in model.waiting:
                model.unclear.add(one)
        if answer != "handling":
            self.offered.pop(name, None)
            if answer in ("seen", "parked", "handled"):
                self.owed.discard(offered)
        self.agreed = True
        return answer

    def is_parked_now(self, one: int, answer: str) -> None:
        """Take note that an event waits: its consumer says so, or has begun with another one instead."""
        fresh = one and one not in self.model.done and one not in self.model.tried
        if (answer == "parked" and one not in self.model.done) or (answer == "handling" and fresh):
            self.model.waiting.setdefault(one, self.real.loop.now)

    # -- invariants

    @invariant()
    def remembers_who_waits(self) -> None:
        """The waitlist is the model's; only of what began at once it need not say whether it waited before."""
        waiting, real = self.model.waiting.keys(), self.real.waitlist()
        assert waiting <= real
        assert real - waiting <= self.model.unclear - self.model.done

    def teardown(self) -> None:
        """Everything that was delivered takes effect in the end, and leaves nothing behind."""
        try:
            if self.agreed and hasattr(self, "model"):
                self.settle()
        finally:
            self.real.close()

    def settle(self) -> None:
        delivered = self.model.done | self.model.waiting.keys() | self.owed
        for _ in range(4 * EVENTS):
            for name in CONSUMERS:
                self.finish_all(name)
            for one in sorted(self.owed):
                self.deliver("c1", one)
                self.finish_all("c1")
            if self.model.done >= delivered:
                break
            self.real.advance(LOOKBACK + SECOND)
            self.sweep("c2")
        assert delivered <= self.model.done, f"{delivered - self.model.done} are lost"
        self.remembers_who_waits()
        self.real.advance(LEASE + SECOND)
        self.sweep("c3")
        assert self.real.lasting_keys() == [], "keys are left that are never removed"

    def finish_all(self, name: str) -> None:
        consumer = self.real.consumers[name]
        while consumer.handling:
            one = consumer.handling
            self.model.done.add(one)
            self.let_go(one)
            self.model.waiting.pop(one, None)
            self.took(name, consumer.go_on())


def drive(store: Store, examples: int, machine: type[Machine] = Machine) -> None:
    chosen = settings(
        max_examples=examples, stateful_step_count=30, deadline=None, derandomize=True, database=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    logging.disable(logging.CRITICAL)
    try:
        run_state_machine_as_test(lambda: machine(store), settings=chosen)
    finally:
        logging.disable(logging.NOTSET)


def test_model_on_a_server(laboratory: Laboratory) -> None:
    """The engine agrees with its model on a server."""
    drive(laboratory.store, examples=100)


def test_model_on_fakeredis(embedded: Laboratory) -> None:
    """The engine agrees with its model on fakeredis."""
    drive(embedded.store, examples=10)
