"""The loop and the transport have each method of asyncio; a refused one says so, and no timer fires early."""

from __future__ import annotations

import asyncio
import inspect
import random
from typing import Any

import pytest

from simulation import Laboratory
from simulation.kernel.epoch import EPOCH
from simulation.kernel.escapes import Escaped
from simulation.kernel.event_loop import SimulatedLoop
from simulation.kernel.random_streams import Streams
from simulation.scenario.distributions import Constant
from simulation.world.connection import Wire
from simulation.world.network import Network


def public(kind: type) -> set[str]:
    return {name for name in dir(kind) if not name.startswith("_") and callable(getattr(kind, name))}


def inherited(ours: type, base: type) -> set[str]:
    """Return the methods of a base that ours does not have, or only as the base has them."""
    return {name for name in public(base) if getattr(ours, name, None) in (None, getattr(base, name))}


def test_loop_has_each_method() -> None:
    """By introspection, on each Python on which this test runs."""
    assert inherited(SimulatedLoop, asyncio.AbstractEventLoop) == set()
    assert public(asyncio.BaseEventLoop) <= public(SimulatedLoop)


def test_transport_has_each_method() -> None:
    assert inherited(Wire, asyncio.Transport) == set()


REFUSED = sorted(
    name for name in public(SimulatedLoop) if (getattr(SimulatedLoop, name).__doc__ or "").startswith("Refuse:")
)


@pytest.mark.parametrize("name", REFUSED)
def test_refusal_says_what_and_why(name: str) -> None:
    loop = SimulatedLoop()

    async def story() -> None:
        called = getattr(asyncio.get_running_loop(), name)()
        if inspect.isawaitable(called):
            await called

    here = rf"loop\.{name} was called, but \w.* \(tests/simulation/test_loop_surface.py:\d+ in story\)"
    with pytest.raises(Escaped, match=here):
        loop.run_until_complete(story())
    loop.close()


def run_story(laboratory: Laboratory, story: Any) -> Any:
    laboratory.store.begin(EPOCH)
    loop = SimulatedLoop()
    network = Network(loop, laboratory.store, Constant(500), Streams(1))
    try:
        return loop.run_until_complete(story())
    finally:
        loop.close()
        network.close()


def test_stream_writer_works(laboratory: Laboratory) -> None:
    """A writer of asyncio's streams can do with a wire whatever it does with a socket."""

    async def story() -> list[Any]:
        reader, writer = await asyncio.open_connection("redis", 6379)
        facts = [writer.can_write_eof(), writer.is_closing(), writer.get_extra_info("peername"), writer.transport]
        writer.write(b"*1\r\n$4\r\n")
        writer.writelines([b"PI", b"NG\r\n"])
        await writer.drain()
        heard = await reader.readline()
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(b"*1\r\n$4\r\nPING\r\n")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.readline(), 1)
        writer.transport.resume_reading()  # type: ignore[attr-defined]
        late = await reader.readline()
        writer.close()
        await writer.wait_closed()
        return [*facts[:3], type(facts[3]), heard, late, writer.is_closing()]

    peer = ("10.0.0.1", 6379)
    assert run_story(laboratory, story) == [False, False, peer, Wire, b"+PONG\r\n", b"+PONG\r\n", True]


def test_stream_writer_does_not_encrypt(laboratory: Laboratory) -> None:
    async def story() -> None:
        _, writer = await asyncio.open_connection("redis", 6379)
        await writer.start_tls(object())  # type: ignore[arg-type]

    with pytest.raises(Escaped, match=r"start_tls was called, but .*rediss://"):
        run_story(laboratory, story)


def test_call_at_is_never_early() -> None:
    draw = random.Random(7)
    loop = SimulatedLoop()
    early = []

    async def story() -> None:
        for _ in range(2000):
            when = loop.time() + draw.choice([draw.random(), draw.random() * 1e-6, draw.randrange(1000) / 1000])
            fired: asyncio.Future[None] = loop.create_future()
            handle = loop.call_at(when, fired.set_result, None)
            await fired
            early.append(loop.time() < when or loop.time() < handle.when())

    loop.run_until_complete(story())
    assert len(early) == 2000
    assert not any(early)


def test_what_is_left_of_a_delay_passes() -> None:
    """Code that calls later until its own deadline is over comes to an end."""
    draw = random.Random(8)
    loop = SimulatedLoop()

    async def story() -> int:
        calls = 0
        for _ in range(500):
            deadline = loop.time() + draw.random()
            while (left := deadline - loop.time()) > 0:
                calls += 1
                await asyncio.sleep(left)
        return calls

    assert 500 <= loop.run_until_complete(story()) <= 1000
