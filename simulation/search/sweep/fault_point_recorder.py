"""Records the fault points of a run: every packet of every consumer, and every step of every handler."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from simulation.scenario.workload import IDENTITY
from simulation.search.sweep.fault_point import Point, When
from simulation.world.injection.command_patterns import Spelled, Spelling
from simulation.world.packets import Fate, Packet
from simulation.world.ports import HandlerHook
from simulation.world.world import World


@dataclass(frozen=True, slots=True)
class Moment:
    """Something that a consumer did in the first run."""

    at: int
    consumer: str
    spellings: Sequence[Spelled] = ()
    """Each command of a packet, in all ways to write it."""
    packet: int = 0
    """The number of the packet; 0 for a step of a handler."""
    step: str = ""
    when: str = ""
    events: tuple[str, ...] = ()


class Recorder:
    """Sits in the network and in every handler of the first run, changes nothing, and remembers what comes by."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._spelling = Spelling.of(world.engine)
        self._within: HandlerHook | None = world.handler_hook
        self._moments: list[Moment] = []
        self._executed: set[int] = set()
        """The numbers of the packets to which Redis has replied: a command that waits until the end is not there."""
        self.too_late = 0
        world.network.triggers.append(self._packet)
        world.handler_hook = self

    def _packet(self, packet: Packet, fate: Fate) -> Fate:
        spellings = [self._spelling(words) for words in packet.commands]
        named = dict.fromkeys(found for ways in spellings for found in IDENTITY.findall(ways.whole[0]))
        events = tuple(name for found in named if (name := self._world.ledger.name_of(found)) != found)
        self._keep(packet.consumer, spellings=spellings, packet=packet.number, events=events)
        return fate.followed_by(partial(self._replied, packet.number)) if fate.deliver else fate

    def _replied(self, packet: int) -> None:
        if not self._world.injector.healed:
            self._executed.add(packet)

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
            self._moments.append(Moment(self._world.loop.now, consumer, **what))

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

    def _places(
        self, moment: Moment, count: Callable[[], Counter[tuple[str, ...]]], whens: Sequence[When]
    ) -> Iterator[tuple[str, int, When, str]]:
        """Yield the name of a moment, its number among its kind, before or after, and its pattern."""
        counts = count()
        if moment.step:
            when: When = "before" if moment.when == "before" else "after"
            yield moment.step, counts[moment.consumer, moment.step, moment.when], when, ""
            return
        pattern = _pattern(moment.spellings[0])
        # The first command of the packet is meant; those behind it may match too, and were counted with it.
        behind = sum(ways.matches(pattern) for ways in moment.spellings[1:])
        for when in whens:
            if when == "before" or moment.packet in self._executed:
                yield _name(moment.spellings), counts[moment.consumer, pattern] - behind, when, pattern


def _count(
    counts: Counter[tuple[str, ...]], moment: Moment, patterns: Sequence[str] | dict[str, None]
) -> Counter[tuple[str, ...]]:
    """Count a moment as the injector will count it."""
    if moment.step:
        counts[moment.consumer, moment.step, moment.when] += 1
    else:
        for pattern in patterns:
            counts[moment.consumer, pattern] += sum(ways.matches(pattern) for ways in moment.spellings)
    return counts


def _head(ways: Sequence[str]) -> list[str]:
    """Return the words that identify the kind of a command: the verb, and the script's name or the subcommand."""
    words = ways[-1].split(" ")
    verb = words[0].upper()
    return words[:2] if verb.startswith("EVALSHA") or len(ways) > 1 or verb in ("CLIENT", "SCRIPT") else words[:1]


def _pattern(ways: Spelled) -> str:
    """Return a pattern for commands like this one, as a person would write it."""
    head = " ".join(_head(ways.whole))
    wanted = head if head == ways.whole[-1] else f"{head} *"
    return wanted if ways.matches(wanted) and not set(head) & set("*?[]") else "*"


def _name(spellings: Sequence[Spelled]) -> str:
    """Return the name of a packet, from its commands."""
    heads = [" ".join(_head(ways.whole))[:40] for ways in spellings]
    return heads[0] if len(heads) == 1 else f"{heads[0]} … {heads[-1]}"
