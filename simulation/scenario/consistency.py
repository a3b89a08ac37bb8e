"""Contradictions between the parts of a scenario, which no table can see by itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Any

from simulation.kernel.durations import format_duration
from simulation.scenario.faults import (
    AnyFault,
    ConsumerFault,
    HandlerFault,
    Leave,
    PacketFault,
    ServerClock,
    TimedFault,
)
from simulation.scenario.faults.too_large import TooLarge
from simulation.scenario.faults.unreadable_for_some import UnreadableForSome
from simulation.scenario.workloads import size_of

MAX_HORIZON = 100 * 365 * 86_400_000_000
"""Microseconds of a run. A day of two consumers that only sweep takes about ten seconds."""

MAX_JUMP = 50 * 365 * 86_400_000_000
"""Microseconds by which the jumps of a server's clock may add up: a run begins in 2023, and the clock in 1970."""

MAX_FILLING = 512 << 20
"""Bytes of all events that are too large for Redis: a run keeps them."""

MAX_COMPARED = 1_000_000
"""Patterns of names times consumers: so many are compared in a second."""

_BY_PATTERN = (PacketFault, HandlerFault, UnreadableForSome)
"""The faults whose `consumer` is a pattern of names."""


def contradictions(
    faults: Sequence[AnyFault], count: int, engines: Iterable[str], horizon: int, workload: Any
) -> Iterator[str]:
    """Yield a sentence for each thing that cannot be: it names the table, the key and the fix."""
    there_are = f"there are c1 to c{count}" if count > 1 else "there is only c1"
    for engine_of in engines:
        if not _is_one(engine_of, count):
            yield f"table [consumers], key 'engines': no consumer is called {engine_of!r}; {there_are}"
    for number, fault in enumerate(faults, start=1):
        where = f"table [faults[{number}]]"
        if (
            isinstance(fault, ConsumerFault)
            and fault.consumer not in ("any", "all")
            and not _is_one(fault.consumer, count)
        ):
            yield f'{where}, key \'consumer\': no consumer is called {fault.consumer!r}; {there_are}, "any" and "all"'
        if isinstance(fault, TimedFault) and fault.at is not None and fault.at >= horizon:
            yield (
                f"{where}, key 'at': {format_duration(fault.at)} is after the run's horizon; "
                f"strike earlier or raise judge.horizon from {format_duration(horizon)}"
            )
    yield from _matching_none(faults, count, there_are)
    yield from _left_alone(faults, count)
    yield from _jumping_too_far(faults)
    yield from _filling_the_memory(faults, size_of(workload) or len(getattr(workload, "events", ())) or 1)
    yield from _too_late(workload, horizon)


def _is_one(name: str, count: int) -> bool:
    """Say whether one of so many consumers has this name. It is asked for each of a stranger's faults and engines."""
    number = name[1:]
    return (
        number.isdecimal()
        and len(number) <= len(str(count))
        and name == f"c{int(number)}"
        and 1 <= int(number) <= count
    )


def _matching_none(faults: Sequence[AnyFault], count: int, there_are: str) -> Iterator[str]:
    """Yield a sentence for each pattern of names that no consumer has, or one if there are too many to compare."""
    given = [(number, f.consumer) for number, f in enumerate(faults, start=1) if isinstance(f, _BY_PATTERN)]
    patterns = {pattern for _, pattern in given if pattern != "*" and not _is_one(pattern, count)}
    if len(patterns) * count > MAX_COMPARED:
        yield (
            f"table [faults]: {len(patterns):,} patterns of the names of {count:,} consumers are too many to compare;"
            f" at most {MAX_COMPARED // count:,} are"
        )
        return
    names = [f"c{i}" for i in range(1, count + 1)] if patterns else []
    unmatched = {pattern for pattern in patterns if not any(fnmatchcase(name, pattern) for name in names)}
    for number, pattern in given:
        if pattern in unmatched:
            yield f"table [faults[{number}]], key 'consumer': {pattern!r} matches no consumer; {there_are}"


def _too_late(workload: Any, horizon: int) -> Iterator[str]:
    """Yield a sentence for a horizon that no clock comes to, and for each listed event that no run comes to."""
    if horizon > MAX_HORIZON:
        yield (
            f"table [judge], key 'horizon': {format_duration(horizon)} is longer than a hundred years; at most"
            f" {format_duration(MAX_HORIZON)} are run, since the clock of a server ends in 2554"
        )
    for number, event in enumerate(getattr(workload, "events", ()), start=1):
        if event.published and event.at >= horizon:
            yield (
                f"table [workload.events[{number}]], key 'at': {format_duration(event.at)} is after the run's horizon;"
                f" publish it earlier or raise judge.horizon from {format_duration(horizon)}"
            )


def misplaced(faults: Sequence[AnyFault], topology: str, pool: str) -> Iterator[str]:
    """Yield a sentence for each fault, and for a pool, that a kind of topology cannot have."""
    for number, fault in enumerate(faults, start=1):
        if topology not in fault.topologies:
            kinds = " or ".join(f'"{kind}"' for kind in fault.topologies)
            yield (
                f"table [faults[{number}]]: the fault '{fault.name}' needs topology.kind = {kinds}, "
                f'and it is "{topology}"'
            )
    if pool != "raise" and topology != "single":
        yield f'table [client], key \'pool\': "{pool}" is for one address, and topology.kind is "{topology}"'


def _jumping_too_far(faults: Sequence[AnyFault]) -> Iterator[str]:
    """Yield a sentence for the fault with which the jumps of the server's clock add up to more than it can show."""
    total = 0
    for number, fault in enumerate(faults, start=1):
        if isinstance(fault, ServerClock):
            total += abs(fault.offset) * fault.times
            if total > MAX_JUMP:
                yield (
                    f"table [faults[{number}]], key 'offset': the jumps of the server's clock add up to"
                    f" {format_duration(total)}; at most {format_duration(MAX_JUMP)} can be, since it begins in 1970"
                )
                return


def _filling_the_memory(faults: Sequence[AnyFault], events: int) -> Iterator[str]:
    """Yield a sentence for the fault with which the events that are too large would fill the memory."""
    total = 0
    for number, fault in enumerate(faults, start=1):
        if isinstance(fault, TooLarge):
            total += fault.size * (events if fault.nth is None and set(fault.event) & set("*?[") else 1)
            if total > MAX_FILLING:
                yield (
                    f"table [faults[{number}]]: the events that are too large may have {total >> 20:,} MiB in all; at"
                    f" most {MAX_FILLING >> 20} MiB can be, since a run keeps them; give one event or a smaller size"
                )
                return


def _left_alone(faults: Sequence[AnyFault], count: int) -> Iterator[str]:
    leaving = {fault.consumer for fault in faults if isinstance(fault, Leave)}
    if sum(_is_one(name, count) for name in leaving) == count:
        yield "table [faults], kind 'leave': every consumer leaves; let one stay"
