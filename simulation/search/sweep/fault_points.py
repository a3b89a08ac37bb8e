"""Crash points: every moment of a run at which something can go wrong, one run for each.

A first run, with nothing added, is watched: each packet that a consumer sends to Redis is a point, and so are the start
and the end of each handler, just before and just after. Then the scenario is run once for each point with one more
fault, which strikes exactly there: until it does, nothing can differ from the first run. A run in which it does not
strike proves nothing, and is never counted as survived.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Any, Literal

from simulation.engines import scripts_of
from simulation.invariants import Violation
from simulation.kernel.durations import format_duration, in_words
from simulation.scenario.faults import FAULTS, AnyFault, PacketFault
from simulation.scenario.model import Scenario
from simulation.scenario.swarm import draw
from simulation.scenario.workload import IDENTITY
from simulation.search.parallel.pool import in_parallel, own_laboratory
from simulation.world.consumer import Meddler
from simulation.world.injection.command_patterns import Spelling
from simulation.world.packets import Fate, Packet
from simulation.world.world import Laboratory, Run, World

KINDS = ("crash", "stop", "pause", "reply-lost", "request-lost")
"""The faults that can strike at every point."""

BY_ITSELF = {"crash": 1_000_000, "stop": 1_000_000}
"""How long a fault lasts if nobody says, in microseconds. A pause lasts longer than a lease."""

_NAMED = 3

Outcome = Literal["survived", "violated", "unknown", "missed"]
When = Literal["before", "after"]


@dataclass(frozen=True, slots=True)
class Point:
    """One moment of the first run."""

    number: int
    """Counts the points from 1, in the order of their time."""
    at: int
    """Microseconds since the start of the run."""
    consumer: str
    what: str
    """What the consumer did: `EVALSHA complete`, or `start` and `end` for its handler."""
    nth: int
    """Which of the consumer's commands that match the pattern, or of its handler's steps, it is."""
    when: When
    pattern: str = ""
    """The pattern of the command; empty for a step of a handler."""
    events: tuple[str, ...] = ()
    """The events that it is about."""

    def fault(self, kind: str, duration: int) -> AnyFault:
        """Return the fault that strikes here. `duration` is in microseconds, for faults that last."""
        made = FAULTS[kind]
        if issubclass(made, PacketFault):
            return made.model_validate({"match": self.pattern, "consumer": self.consumer, "nth": self.nth})
        where = {"command": self.pattern} if self.pattern else {"step": self.what}
        what = {"consumer": self.consumer, "nth": self.nth, "when": self.when, "for": format_duration(duration)}
        return made.model_validate({**where, **what})

    def words(self, kind: str) -> str:
        """Say where the fault struck."""
        about = f" of {', '.join(self.events[:_NAMED])}" if self.events else ""
        more = ", …" if len(self.events) > _NAMED else ""
        if not self.pattern:
            what = f"just {self.when} the handler{about}{more} {self.what}s"
        elif kind in ("reply-lost", "request-lost"):
            what = f"the {kind.removesuffix('-lost')} lost of {self.what}{about}{more} (its {_th(self.nth)})"
        else:
            sent = "it sends" if self.when == "before" else "Redis executed its"
            what = f"just {self.when} {sent} {self.what}{about}{more} (the {_th(self.nth)})"
        return f"{self.consumer}, {what}, at {in_words(self.at)}"

    @property
    def label(self) -> str:
        """The point in a word or two."""
        what = self.what if self.pattern else f"handler {self.what}"
        return f"{what} {', '.join(self.events[:1])}".strip()


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of one point."""

    point: Point
    outcome: Outcome
    violations: tuple[Violation, ...] = ()
    reasons: tuple[str, ...] = ()
    """Why it is unknown."""


@dataclass(frozen=True, slots=True)
class Attack:
    """A scenario, the fault that is to strike at each point of it, and what the first run came to."""

    scenario: Scenario
    seed: int
    engine: str
    kind: str
    duration: int
    points: tuple[Point, ...]
    too_late: int
    """Moments that are left out, because the world had healed by then and nothing strikes any more."""
    verdict: str
    """The verdict on the first run."""
    virtual: int
    """How long the first run was, in microseconds."""

    def variant(self, point: Point) -> Scenario:
        """Return the scenario that has the fault strike at a point, ready to be written down."""
        scenario = self.scenario
        judge = {"exercise": ()}  # what the scenario is about was exercised by the first run; a crash may prevent it
        if not scenario.faults:
            # The first run had nothing to heal from. This one must not heal before the fault has struck, and ended.
            late = self.virtual + self.duration
            judge = {**judge, "heal_after": max(scenario.judge.heal_after, late)}  # type: ignore[dict-item]
        changes = {
            "name": f"{scenario.name[:80]}-{self.kind}-{point.number:04}",
            "description": f"{scenario.name} with one more fault: {self.kind}; {point.words(self.kind)}.",
            "engine": self.engine,
            "seed": self.seed,
            "judge": scenario.judge.model_copy(update=judge),
            # In front of all others: no fault of the scenario's own decides about the packet before it.
            "faults": (point.fault(self.kind, self.duration), *scenario.faults),
            "expect": {},
        }
        return scenario.model_copy(update=changes)


def survey(
    laboratory: Laboratory, scenario: Scenario, seed: int, engine: str, kind: str, *, duration: int | None = None
) -> Attack:
    """Run a scenario once, and return the points at which a fault of a kind can strike.

    `duration` is how long it lasts, in microseconds; by default a second, and for a pause longer than a lease.
    """
    scenario = draw(scenario, seed).scenario
    world = World(scenario, seed, engine, laboratory.store)
    watch = _Watch(world)
    run = world.run()
    if duration is None:
        duration = BY_ITSELF.get(kind, scenario.policy.lease * 5 // 4 if kind == "pause" else 0)
    packets_only = issubclass(FAULTS[kind], PacketFault)
    whens: tuple[When, ...] = ("before", "after")
    if packets_only:  # a request is lost before Redis executes it, a reply after: each at one point
        whens = ("before",) if kind == "request-lost" else ("after",)
    points = tuple(watch.points(whens, steps=not packets_only))
    return Attack(scenario, seed, engine, kind, duration, points, watch.too_late, run.verdict, run.counts.virtual)


def strike_everywhere(
    attack: Attack, laboratory: Laboratory, jobs: int = 1, store: str = "auto", executable: Path | None = None
) -> Iterator[Trial]:
    """Yield what comes of each point, as it is done.

    With one job the runs are on the given laboratory; with more, each worker opens the store for itself.
    """
    if jobs > 1:
        prepare = partial(_Worker.prepare, attack, store, executable)
        yield from in_parallel(_one, range(len(attack.points)), jobs, prepare)
        return
    for point in attack.points:
        yield strike(attack, point, laboratory)


def strike(attack: Attack, point: Point, laboratory: Laboratory) -> Trial:
    """Run the scenario with the fault at one point."""
    run = laboratory.run(attack.variant(point))
    if _missed(run, attack.kind):
        return Trial(point, "missed", reasons=("the fault did not strike",))
    judgement = run.judgement
    if judgement.verdict == "violated":
        return Trial(point, "violated", judgement.violations)
    if judgement.verdict == "unknown":
        return Trial(point, "unknown", reasons=judgement.reasons)
    return Trial(point, "survived")


def _missed(run: Run, kind: str) -> bool:
    """Return whether the fault that was added, the first of the scenario, did not strike."""
    return not any(entry.details["fault"] == kind and entry.details["number"] == 1 for entry in run.history.of("fault"))


class _Worker:
    """What a worker process keeps between its runs."""

    attack: Attack
    laboratory: Laboratory

    @classmethod
    def prepare(cls, attack: Attack, store: str, executable: Path | None) -> None:
        """Open a store for this process."""
        cls.attack, cls.laboratory = attack, own_laboratory(store, executable)


def _one(place: int) -> Trial:
    return strike(_Worker.attack, _Worker.attack.points[place], _Worker.laboratory)


# -- watching the first run --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Moment:
    """Something that a consumer did in the first run."""

    at: int
    consumer: str
    spellings: Sequence[Sequence[str]] = ()
    """Each command of a packet, in all ways to write it."""
    executed: bool = True
    step: str = ""
    when: str = ""
    events: tuple[str, ...] = ()


class _Watch:
    """Sits in the network and in every handler of the first run, changes nothing, and remembers what comes by."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._spelling = Spelling(scripts_of(world.engine))
        self._within: Meddler | None = world.meddler
        self._moments: list[_Moment] = []
        self.too_late = 0
        world.network.triggers.append(self._packet)
        world.meddler = self

    def _packet(self, packet: Packet, fate: Fate) -> Fate:
        spellings = [self._spelling(words) for words in packet.commands]
        named = dict.fromkeys(found for ways in spellings for found in IDENTITY.findall(ways[0]))
        events = tuple(name for found in named if (name := self._world.name_of(found)) != found)
        self._keep(packet.consumer, spellings=spellings, executed=fate.deliver, events=events)
        return fate

    async def step(self, step: str, when: str, consumer: str, event: str) -> None:
        """Remember that a handler came to a step."""
        self._keep(consumer, step=step, when=when, events=(event,))
        if self._within is not None:
            await self._within.step(step, when, consumer, event)

    async def work(self, consumer: str, event: str, call: int) -> None:
        """Let the handler work as it would."""
        if self._within is not None:
            await self._within.work(consumer, event, call)

    def _keep(self, consumer: str, **what: Any) -> None:
        if self._world.injector.healed:
            self.too_late += 1
        elif consumer in self._world.consumers:
            self._moments.append(_Moment(self._world.loop.now, consumer, **what))

    # -- points ----------------------------------------------------------------------------------------------

    def points(self, whens: Sequence[When], *, steps: bool) -> Iterator[Point]:
        """Yield the points of all that was seen, in the order of their time."""
        counts: Counter[tuple[str, ...]] = Counter()
        patterns = dict.fromkeys(_pattern(moment.spellings[0]) for moment in self._moments if moment.spellings)
        number = 0
        for moment in self._moments:
            count = partial(_count, counts, moment, patterns)
            for what, nth, when, pattern in self._places(moment, count, whens):
                if pattern or steps:
                    number += 1
                    yield Point(number, moment.at, moment.consumer, what, nth, when, pattern, moment.events)

    @staticmethod
    def _places(
        moment: _Moment, count: Callable[[], Counter[tuple[str, ...]]], whens: Sequence[When]
    ) -> Iterator[tuple[str, int, When, str]]:
        """Yield what a moment is called, which of its kind it is, before or after, and its pattern."""
        counts = count()
        if moment.step:
            when: When = "before" if moment.when == "before" else "after"
            yield moment.step, counts[moment.consumer, moment.step, moment.when], when, ""
            return
        pattern = _pattern(moment.spellings[0])
        # The first command of the packet is meant; those behind it may match too, and were counted with it.
        behind = sum(_matches(ways, pattern) for ways in moment.spellings[1:])
        for when in whens:
            if when == "before" or moment.executed:
                yield _name(moment.spellings), counts[moment.consumer, pattern] - behind, when, pattern


def _count(
    counts: Counter[tuple[str, ...]], moment: _Moment, patterns: Sequence[str] | dict[str, None]
) -> Counter[tuple[str, ...]]:
    """Count a moment as the injector will count it."""
    if moment.step:
        counts[moment.consumer, moment.step, moment.when] += 1
    else:
        for pattern in patterns:
            counts[moment.consumer, pattern] += sum(_matches(ways, pattern) for ways in moment.spellings)
    return counts


def _matches(ways: Sequence[str], pattern: str) -> bool:
    return any(fnmatchcase(text, pattern) for text in ways)


def _head(ways: Sequence[str]) -> list[str]:
    """Return the words that tell what kind of command it is: the verb, and the script's name or the subcommand."""
    words = ways[-1].split(" ")
    verb = words[0].upper()
    return words[:2] if verb.startswith("EVALSHA") or len(ways) > 1 or verb in ("CLIENT", "SCRIPT") else words[:1]


def _pattern(ways: Sequence[str]) -> str:
    """Return a pattern for commands like this one, as a person would write it."""
    head = " ".join(_head(ways))
    wanted = head if head == ways[-1] else f"{head} *"
    return wanted if _matches(ways, wanted) and not set(head) & set("*?[]") else "*"


def _name(spellings: Sequence[Sequence[str]]) -> str:
    """Return what to call a packet."""
    heads = [" ".join(_head(ways))[:40] for ways in spellings]
    return heads[0] if len(heads) == 1 else f"{heads[0]} … {heads[-1]}"


def _th(number: int) -> str:
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"
