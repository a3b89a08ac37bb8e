"""One consumer process of the soak: it reads a Redis Stream, and hands events to the engine in one of three ways.

    python -m tests.production.soak_consumer NAME WAY TOPOLOGY ENGINE_PORT QUEUE_PORT NOTES [MUTANT]

The queue is a server of its own, which no fault strikes: it has the messages, the accepted effects and the dead
letters. An effect is refused there if a later holder of its event, by the fencing token, has written before. What the
engine says of events is noted in a file in the folder NOTES, where it stays if the process is killed. With the name of
a mutant, the engine is that one.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import redis.asyncio
from redis.exceptions import ReadOnlyError

from ordering import CausalOrdering, EventAlreadySeen, EventArrivedEarly, Policy, ReceivedEvent, fencing_token
from ordering.shielding import REFUSALS

POLICY = Policy(
    lease=timedelta(seconds=3),
    lookback=timedelta(seconds=45),
    retention=timedelta(minutes=15),
    retry_delay=timedelta(milliseconds=500),
)
MESSAGES, EFFECTS, DEAD, GROUP = "messages", "effects", "dead", "soak"
UNCERTAIN = "uncertain"
"""Effects whose handler was cancelled before it had their reply: the event, and the consumer."""
STALLED = "stalled"
"""Times in which the machine has not let a consumer run for half a lease, or the engine's server has taken none of its
writes: it may lose a lease as a frozen one does."""
WRITE = """
local last = redis.call("HGET", "fences", ARGV[1])
if last and tonumber(last) > tonumber(ARGV[2]) then return 0 end
if redis.call("HGET", "calls", ARGV[1]) == ARGV[4] then return 1 end
redis.call("HSET", "fences", ARGV[1], ARGV[2])
redis.call("HSET", "calls", ARGV[1], ARGV[4])
redis.call("XADD", "effects", "*", "id", ARGV[1], "by", ARGV[3], "fence", ARGV[2])
return 1
"""
"""The sink of effects: one for each call of the handler, also if the client has no answer in time and asks again."""
OFFERED_AGAIN_MS = 4_000
"""After how long the queue offers an unacknowledged message again."""
ACKNOWLEDGED = ("handled", "parked", "seen", "dead")


def is_to_go_on() -> bool:
    """Return whether this task was not cancelled.

    Before Python 3.12, `asyncio.wait_for` swallows a cancellation if what it waits for is done at that moment, and the
    client sends every command through it.
    """
    task = asyncio.current_task()
    return task is not None and not task.cancelling()


class Notes:
    """An observer that writes down at once what the engine says of each event."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab", buffering=0)

    def __getattr__(self, what: str) -> Any:
        return lambda scope, event: self._file.write(f"{time.time() * 1000:.3f} {what} {event}\n".encode())


def ordering_class(mutant: str) -> type[CausalOrdering[Any]]:
    """Return the engine's class, or that of a mutant of it."""
    if not mutant:
        return CausalOrdering
    # the harness is not needed otherwise
    from simulation.engines import mutants

    return mutants.engine(mutant).ordering


class Consumer:
    """Reads messages, handles their events, acknowledges, and sweeps."""

    def __init__(
        self, name: str, way: str, topology: str, port: int, queue_port: int, notes: Path, mutant: str = ""
    ) -> None:
        self.name = name
        self.way = way
        self.queue = redis.asyncio.Redis(port=queue_port)
        kind: Any = redis.asyncio.RedisCluster if topology == "cluster" else redis.asyncio.Redis
        options: dict[str, Any] = {} if topology == "cluster" else {"retry_on_error": [ReadOnlyError]}
        client = kind(host="127.0.0.1", port=port, socket_timeout=1, **options)
        observer: Any = Notes(notes / f"{name}.notes")
        self.ordering = ordering_class(mutant)(
            GROUP, redis=client, policy=POLICY, on_dead_letter=self.bury, observer=observer
        )

    async def bury(self, letter: Any) -> None:
        """Tell the queue of a dead letter."""
        await self.queue.xadd(DEAD, {"id": letter.id, "why": letter.reason})

    async def work(self, event: Any, depth: int = 0) -> None:
        """Do the event's work, and let it take effect."""
        about = event.payload
        if about["how"] == "kills":
            os.kill(os.getpid(), signal.SIGKILL)
        if about["how"] == "raises" and await self.queue.incr(f"tries:{event.id}") == 1:
            raise RuntimeError("the first attempt fails")
        await asyncio.sleep(about["takes"])
        try:
            await self.queue.eval(WRITE, 0, str(event.id), fencing_token() or 0, self.name, uuid4().hex)
        except asyncio.CancelledError:  # it may have taken effect
            await self.queue.sadd(UNCERTAIN, f"{event.id} {self.name}")
            raise

    async def reentrant(self, event: Any, depth: int = 0) -> None:
        """Handle an event as a consumer that has events one by one."""
        async with self.ordering.preceding_event_confirmed(self.reentrant, event, depth):
            await self.work(event)

    async def messages(self, count: int) -> list[tuple[bytes, Any]]:
        """Read what is new, and what others have not acknowledged in time."""
        more = await self.queue.xautoclaim(MESSAGES, GROUP, self.name, OFFERED_AGAIN_MS, count=count)
        found = list(more[1])
        if not found:
            read = await self.queue.xreadgroup(GROUP, self.name, {MESSAGES: ">"}, count=count, block=200)
            found = read[0][1] if read else []
        return [(key, ReceivedEvent.model_validate_json(fields[b"event"])) for key, fields in found if fields]

    async def consume(self) -> None:
        """Read and handle, in this consumer's way, until stopped."""
        while is_to_go_on():
            with suppress(*REFUSALS):
                await getattr(self, f"consume_{self.way}")()

    async def consume_one(self) -> None:
        """Handle a few messages one by one."""
        for key, event in await self.messages(5):
            try:
                await self.reentrant(event)
            except (EventArrivedEarly, EventAlreadySeen):
                pass
            except Exception:  # its message is offered again
                continue
            await self.queue.xack(MESSAGES, GROUP, key)

    async def consume_batch(self) -> None:
        """Handle a few messages at once."""
        read = await self.messages(20)
        outcomes = await self.ordering.handle_batch(self.work, [event for _, event in read])
        for (key, _), outcome in zip(read, outcomes, strict=True):
            if outcome in ACKNOWLEDGED:
                await self.queue.xack(MESSAGES, GROUP, key)

    async def consume_stream(self) -> None:
        """Handle messages as a stream."""
        keys: dict[int, bytes] = {}

        async def read() -> AsyncIterator[Any]:
            while True:
                for key, event in await self.messages(10):
                    keys[id(event)] = key
                    yield event

        async def report(event: Any, outcome: str) -> None:
            key = keys.pop(id(event))
            if outcome in ACKNOWLEDGED:
                await self.queue.xack(MESSAGES, GROUP, key)

        await self.ordering.handle_stream(self.work, read(), report, read_ahead=10)

    async def sweep(self) -> None:
        """Handle overdue events, again and again."""
        while is_to_go_on():
            await asyncio.sleep(0.5)
            with suppress(*REFUSALS):
                for event in await self.ordering.get_lost_followers():
                    with suppress(Exception):
                        await self.reentrant(event)

    async def watch(self) -> None:
        """Report the machine's own pauses of this process, and those of the engine's server."""
        clock = asyncio.get_running_loop().time
        began = clock()
        while is_to_go_on():
            await asyncio.sleep(0.1)
            with suppress(*REFUSALS):
                await self.ordering.redis.set(f"{{{GROUP}}}-watch", self.name, ex=60)
                paused, began = clock() - began, clock()
                if paused > POLICY.lease.total_seconds() / 2:
                    now = time.time()
                    await self.queue.xadd(STALLED, {"by": self.name, "since": now - paused, "until": now})

    async def run(self) -> None:
        """Consume and sweep until SIGTERM, and then end in good order."""
        tasks = [asyncio.create_task(work()) for work in (self.consume, self.sweep, self.watch)]
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait([*tasks, stopping], return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        for error in ended:
            if isinstance(error, Exception):
                raise error
        await self.ordering.redis.aclose()
        await self.queue.aclose()


if __name__ == "__main__":
    asyncio.run(Consumer(*sys.argv[1:4], int(sys.argv[4]), int(sys.argv[5]), Path(sys.argv[6]), *sys.argv[7:]).run())
