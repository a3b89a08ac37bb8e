"""Calls of an engine that do not return: a run that has gone quiet goes on for a while, to see which those are.

Nothing shows from outside that a call waits for something that will never happen: no request is sent, no timer fires.
The other consumers may finish all work meanwhile, and the run would hold. So:

1. At the end of a run, the calls that have not returned yet are noted.
2. The world goes on, unrecorded, until all of them have returned, or for as long as a consumer may be without progress.
3. Those that have still not returned are written into the history, from which the judge convicts them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import NamedTuple, Protocol, TypeVar

from simulation.history.history import History
from simulation.kernel.environment import TimeDoesNotAdvance
from simulation.kernel.event_loop import SimulatedLoop
from simulation.world.interrupts import deferred_sigint

T = TypeVar("T")


class Call(NamedTuple):
    """A call of an engine: `handle`, `sweep`, `start` or `close`. `since` is in microseconds."""

    consumer: str
    method: str
    event: str
    since: int


class OpenCalls:
    """The calls of a consumer that have not returned."""

    def __init__(self, consumer: str, now: Callable[[], int]) -> None:
        self._consumer, self._now = consumer, now
        self._calls: dict[object, Call] = {}

    async def during(self, awaitable: Awaitable[T], method: str, event: str = "") -> T:
        """Await a call of the engine, and return its result. Raises the exceptions of the call."""
        key = object()
        self._calls[key] = Call(self._consumer, method, event, self._now())
        try:
            return await awaitable
        finally:
            self._calls.pop(key, None)

    def forget(self) -> None:
        """Drop all calls: the process that made them is dead."""
        self._calls.clear()

    def all(self) -> list[Call]:
        """Return the calls, in the order in which they began."""
        return list(self._calls.values())


class Caller(Protocol):
    """A consumer."""

    open_calls: OpenCalls


def record_open_calls(
    callers: Iterable[Caller],
    loop: SimulatedLoop,
    history: History,
    bound: int,
    *,
    wait: bool,
    step: Callable[[], None] | None = None,
) -> None:
    """Write down the calls that have been open for longer than `bound`, in microseconds.

    With `wait`, run on until they are, or have returned; `step` then does the next thing. Raises KeyboardInterrupt.
    """
    members = list(callers)
    calls = _open(members)
    if calls and wait:
        calls = _wait_for(calls, members, loop, bound, step)
    for call in calls:
        if loop.now - call.since > bound:
            history.append(loop.now, "unfinished", call.event, call.consumer, call=call.method, since=call.since)


def _open(members: Iterable[Caller]) -> list[Call]:
    return [call for member in members for call in member.open_calls.all()]


def _wait_for(
    calls: list[Call], members: list[Caller], loop: SimulatedLoop, bound: int, step: Callable[[], None] | None
) -> list[Call]:
    due = loop.now + bound

    def still() -> list[Call]:
        now = set(_open(members))
        return [call for call in calls if call in now]

    loop.in_world(bound + 1, lambda: None)  # else the clock would stop with the last timer of the others
    with deferred_sigint(loop) as interrupted, suppress(TimeDoesNotAdvance):
        loop.run_while(lambda: not interrupted and loop.now <= due and bool(still()), step)
    if interrupted:
        raise KeyboardInterrupt
    return still()
