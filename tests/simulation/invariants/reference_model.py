"""A perfect engine in memory: what a run looks like when everything is done right, whatever goes wrong.

There is no Redis here and no clock but a counter. Consumers are generators that a scheduler steps in an order that
Hypothesis draws, so deliveries overlap, repeat and come in any order; consumers crash, and freeze for longer than their
lease. The rules that the model keeps are those of the engine's description, in their plainest form:

- an event is handled if its leader was, and parked otherwise;
- the consumer that completes an event drains its followers, one by one, in order, each with all that it releases;
- a fresh follower of an event that is being drained queues up with the others;
- what a dead consumer held is offered again, and what it was draining is taken over;
- a holder that froze is fenced: its token is no longer the latest, so the sink refuses its write;
- in the end, what waits for a leader that never came is rescued, and of each cycle one member.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from random import Random

from simulation.history.entries import Header, Terms
from simulation.history.history import History

Steps = Generator[None, None, None]

LEASE = 16_000_000


class Model:
    """One run of the perfect engine."""

    def __init__(self, leaders: Mapping[str, str], absent: Sequence[str], rng: Random, max_faults: int) -> None:
        self.leaders = leaders
        self.rng = rng
        self.max_faults = max_faults
        self.history = History(Header(terms=Terms(lease=LEASE)))
        self.now = 0
        self.occurred = {name: rng.randrange(3) for name in leaders}
        self.jobs: list[tuple[str, str]] = [("deliver", name) for name in leaders if name not in absent]
        self.jobs += rng.sample(self.jobs, k=rng.randrange(len(self.jobs) + 1))
        rng.shuffle(self.jobs)
        self.seen: set[str] = set()
        self.held: dict[str, tuple[str, int]] = {}
        """Who holds an event, and by which fencing token."""
        self.fences = 0
        self.parked: dict[str, list[str]] = {}
        self.draining: set[str] = set()
        self.numbers = 0
        self.busy: dict[str, Steps | None] = {"c1": None, "c2": None, "c3": None}
        self.frozen: dict[str, int] = {}
        """Until when each frozen consumer stays so."""
        self.lapses: dict[str, int] = {}
        """When the leases of each frozen consumer lapse."""
        self.work: dict[str, list[tuple[str, str]]] = {name: [] for name in self.busy}
        """What a consumer must hand on if it dies: deliveries that are not acknowledged, and drains."""

    def run(self) -> History:
        """Run to the end and return the history."""
        for name, leader in self.leaders.items():
            self.write("published", name, follows=leader, occurred=self.occurred[name], fingerprint=f"print of {name}")
        while self.jobs or any(self.busy.values()) or self.frozen:
            self.step()
        self.rescue()
        self.write("census", keys={"seen": {"type": "set", "ttl": 1000}})
        self.write("phase", phase="quiet")
        return self.history

    # -- the world

    def write(self, kind: str, event: str = "", consumer: str = "", **details: object) -> None:
        self.history.append(self.now, kind, event, consumer, **details)

    def step(self) -> None:
        self.now += self.rng.randrange(5_000)
        self.pass_time()
        names = [name for name in self.busy if name not in self.frozen and (self.busy[name] or self.jobs)]
        if not names:
            self.now = min([*self.lapses.values(), *self.frozen.values()])
            return
        name = self.rng.choice(names)
        steps = self.busy[name]
        if steps is None:
            steps = self.busy[name] = self.begin(name, *self.jobs.pop(0))
        elif self.max_faults and self.rng.random() < 0.1:
            self.max_faults -= 1
            self.rng.choice([self.crash, self.freeze])(name)
            return
        if next(steps, self) is self:
            self.busy[name] = None

    def crash(self, consumer: str) -> None:
        self.write("crashed", consumer=consumer)
        self.busy[consumer] = None
        self.hand_on(consumer)
        self.write("joined", consumer=consumer)

    def freeze(self, consumer: str) -> None:
        self.write("paused", consumer=consumer)
        self.lapses[consumer] = self.now + LEASE
        self.frozen[consumer] = self.now + LEASE + self.rng.randrange(1, 5_000_000)

    def pass_time(self) -> None:
        """Let leases lapse, so that others may take over what a frozen consumer holds, and frozen consumers go on."""
        for consumer in [name for name, at in self.lapses.items() if at <= self.now]:
            del self.lapses[consumer]
            self.hand_on(consumer)
        for consumer in [name for name, at in self.frozen.items() if at <= self.now]:
            del self.frozen[consumer]
            self.write("resumed", consumer=consumer)

    def hand_on(self, consumer: str) -> None:
        work, self.work[consumer] = self.work[consumer], []
        self.held = {name: held for name, held in self.held.items() if held[0] != consumer}
        self.draining -= {name for kind, name in work if kind == "drain"}
        self.jobs = work + self.jobs

    # -- a consumer

    def begin(self, consumer: str, kind: str, name: str) -> Steps:
        return self.deliver(consumer, name) if kind == "deliver" else self.drain(consumer, name)

    def deliver(self, consumer: str, name: str) -> Steps:
        self.numbers += 1
        delivery = self.numbers
        self.write("delivered", name, consumer, delivery=delivery)
        mine = ("deliver", name)
        self.work[consumer].append(mine)
        yield
        if not self.owns(consumer, mine):
            self.write("refused", name, consumer, because="held", delivery=delivery)
            return
        if name in self.held:
            self.write("refused", name, consumer, because="held", delivery=delivery)
            self.jobs.append(mine)
        elif name in self.seen:
            self.write("refused", name, consumer, because="seen", delivery=delivery)
            self.write("acknowledged", name, consumer, delivery=delivery)
            # The consumer that completed it may have died before its followers had their turn.
            self.work[consumer].remove(mine)
            yield from self.drain(consumer, name)
            return
        elif self.must_wait(name):
            self.park(name)
            self.write("parked", name, consumer, delivery=delivery)
            self.write("acknowledged", name, consumer, delivery=delivery)
        else:
            yield from self.handle(consumer, name, "delivered", delivery)
            if not self.owns(consumer, mine):
                self.write("refused", name, consumer, because="held", delivery=delivery)
                return
            self.write("acknowledged", name, consumer, delivery=delivery)
        self.work[consumer].remove(mine)

    def owns(self, consumer: str, work: tuple[str, str]) -> bool:
        """A frozen consumer learns when it goes on that its work is no longer its own."""
        return work in self.work[consumer]

    def must_wait(self, name: str) -> bool:
        leader = self.leaders[name]
        return bool(leader) and (leader not in self.seen or leader in self.draining or bool(self.parked.get(leader)))

    def park(self, name: str) -> None:
        queue = self.parked.setdefault(self.leaders[name], [])
        if name not in queue:
            queue.append(name)

    def handle(self, consumer: str, name: str, via: str, delivery: int = 0) -> Steps:
        """Handle an event, record it and drain what follows it."""
        self.fences += 1
        fence = self.fences
        lease = self.held[name] = (consumer, fence)
        details = {"delivery": delivery} if delivery else {}
        self.numbers += 1
        handling = self.numbers
        self.write(
            "started",
            name,
            consumer,
            handling=handling,
            via=via,
            fence=fence,
            fingerprint=f"print of {name}",
            **details,
        )
        yield
        accepted = self.held.get(name) == lease
        write = "accepted" if accepted else "refused"
        self.write("ended", name, consumer, handling=handling, outcome="ok", write=write)
        if not accepted:
            return
        yield
        if self.held.get(name) != lease:
            return
        self.seen.add(name)
        del self.held[name]
        yield from self.drain(consumer, name)

    def drain(self, consumer: str, leader: str) -> Steps:
        mine = ("drain", leader)
        if leader in self.draining or not self.parked.get(leader):
            return
        self.draining.add(leader)
        self.work[consumer].append(mine)
        while self.owns(consumer, mine) and (queue := self.parked.get(leader)):
            name = min(queue, key=lambda event: (self.occurred[event], event))
            if name not in self.seen:
                yield from self.handle(consumer, name, "released")
            if name not in self.seen:
                return
            if name in queue:
                queue.remove(name)
        if self.owns(consumer, mine):
            self.work[consumer].remove(mine)
            self.draining.discard(leader)

    # -- the end

    def rescue(self) -> None:
        """Let the lookback pass, and handle overdue events."""
        self.now += self.history.header.terms.lookback
        while lost := self.overdue():
            self.parked[self.leaders[lost]].remove(lost)
            for _ in self.handle("c1", lost, "rescued"):
                self.now += self.rng.randrange(5_000)

    def overdue(self) -> str:
        """Return an event that waits for nothing that waits too, else a member of a cycle, else nothing."""
        waiting = sorted(name for queue in self.parked.values() for name in queue if name not in self.seen)
        above: list[str] = []
        name = next(iter(waiting), "")
        while name in waiting and name not in above:
            above.append(name)
            name = self.leaders[name]
        return name if name in above else next(reversed(above), "")


def execute(leaders: Mapping[str, str], absent: Sequence[str], rng: Random, max_faults: int) -> History:
    """Return the history of a perfect run.

    Args:
        leaders: for each event, the event that it follows, or "".
        absent: events that are published but never delivered.
        rng: draws every order and every delay.
        max_faults: how many crashes and freezes may happen at most.
    """
    return Model(leaders, absent, rng, max_faults).run()
