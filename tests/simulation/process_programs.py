"""Programs that end, signal, wait and draw numbers in the ways in which processes do."""

from __future__ import annotations

import _thread
import asyncio
import functools
import multiprocessing
import os
import queue
import random
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import redis.asyncio
from anyio import to_thread

GENERATOR = random.Random()
CLOCKS = {"one": time.monotonic}
TICKS = [time.monotonic]
CLOCK = functools.partial(time.monotonic)


def _closing_over(clock: Callable[[], float]) -> Callable[[], float]:
    def shown() -> float:
        return clock()

    return shown


class Timer:
    def __init__(self) -> None:
        self.now = time.monotonic


CLOSED, TIMER = _closing_over(time.monotonic), Timer()


async def _each(redis_url: str, effect: Any, act: Callable[[], object] = lambda: None) -> None:
    client = redis.asyncio.from_url(redis_url, socket_timeout=None)
    while True:
        _, message = await client.blpop(["orders"])
        await effect(message)
        act()


async def signalling_itself(redis_url: str, effect: Any) -> None:
    stop = asyncio.Event()
    before = signal.signal(signal.SIGTERM, lambda *_: stop.set())
    assert before == signal.SIG_DFL
    assert callable(signal.getsignal(signal.SIGTERM))
    client = redis.asyncio.from_url(redis_url, socket_timeout=None)
    send = [lambda: os.kill(os.getpid(), signal.SIGTERM), lambda: signal.raise_signal(signal.SIGTERM)]
    while not stop.is_set():
        _, message = await client.blpop(["orders"])
        await effect(message)
        send[len(message) % 2]()


async def dying_of_a_signal(redis_url: str, effect: Any) -> None:
    await _each(redis_url, effect, lambda: os.kill(os.getpid(), signal.SIGKILL))


async def leaving_at_once(redis_url: str, effect: Any) -> None:
    await _each(redis_url, effect, lambda: os._exit(3))


async def aborting(redis_url: str, effect: Any) -> None:
    await _each(redis_url, effect, os.abort)


async def ignoring(redis_url: str, effect: Any) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    await _each(redis_url, effect, lambda: os.kill(os.getpid(), 0))


async def waiting(redis_url: str, effect: Any) -> None:
    box: queue.Queue[int] = queue.Queue()

    def act() -> None:
        before = time.monotonic()
        assert not threading.Event().wait(0.25)
        try:
            box.get(timeout=0.05)
        except queue.Empty:
            assert 0.3 <= time.monotonic() - before < 0.31

    await _each(redis_url, effect, act)


async def reading_clocks(redis_url: str, effect: Any) -> None:
    def act() -> None:
        clocks = (CLOCKS["one"], TICKS[0], CLOCK, CLOSED, TIMER.now)
        assert {clock() for clock in clocks} == {time.monotonic()}

    await _each(redis_url, effect, act)


async def drawing(redis_url: str, effect: Any) -> None:
    client = redis.asyncio.from_url(redis_url, socket_timeout=None)
    while True:
        _, message = await client.blpop(["orders"])
        await asyncio.sleep(GENERATOR.random())
        await effect(message)


async def in_a_thread(redis_url: str, effect: Any) -> None:
    client = redis.asyncio.from_url(redis_url, socket_timeout=None)
    while True:
        _, message = await client.blpop(["orders"])
        await to_thread.run_sync(len, message)
        await effect(message)


async def waiting_for_ever(redis_url: str, effect: Any) -> None:
    await _each(redis_url, effect, threading.Event().wait)


async def starting_a_process(redis_url: str, effect: Any) -> None:
    await _each(redis_url, effect, multiprocessing.get_context("spawn").Process(target=print).start)


async def starting_a_thread(redis_url: str, effect: Any) -> None:
    await _each(redis_url, effect, lambda: _thread.start_new_thread(print, ()))


async def starting_a_loop(redis_url: str, effect: Any) -> None:
    await asyncio.to_thread(lambda: asyncio.run(asyncio.sleep(1)))


async def setting_an_alarm(redis_url: str, effect: Any) -> None:
    await _each(redis_url, effect, lambda: signal.alarm(1))


async def calling_the_web(redis_url: str, effect: Any) -> None:
    await asyncio.open_connection("example.invalid", 443, ssl=None)
    _, writer = await asyncio.open_connection("example.invalid", 443)
    writer.write(b"\x16\x03\x01" + os.urandom(30))
    await writer.drain()


async def never_for_long(redis_url: str, effect: Any) -> None:
    """Die again and again, with one event in hand."""
    client = redis.asyncio.from_url(redis_url, socket_timeout=None)
    await client.blpop(["orders"])
    raise LookupError("no settings")


async def printing(redis_url: str, effect: Any) -> None:
    def act() -> None:
        print("by Python")  # noqa: T201  # that is the point
        os.write(1, b"by the file descriptor\n")

    await _each(redis_url, effect, act)
