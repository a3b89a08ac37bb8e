"""Engines that do what cannot be simulated, or what a simulated world must survive."""

# ruff: noqa: ASYNC221, ASYNC251  # that is the point
from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import threading
import time
from typing import Any

import anyio.to_thread
import redis

from simulation.engines import EngineContext
from tests.simulation.engines import MinimalEngine


class Marking(MinimalEngine):
    """Leaves a mark in the store for each event."""

    in_memory = False

    def __init__(self, context: EngineContext) -> None:
        super().__init__(context)
        self.client = context.connect()

    async def handle(self, event: Any) -> None:
        await self.client.set(f"{self.context.scope}:{event.id}", 1, ex=60)
        await self.leave()
        await self.context.effect(event)

    async def leave(self) -> None:
        """Do what the engine is about."""


class Elsewhere(MinimalEngine):
    """Says nothing about the store and does not use it."""

    in_memory = False


class Synchronous(Marking):
    async def leave(self) -> None:
        redis.Redis(port=1).set("a", 1)


class Quiet(Marking):
    """Swallows every message."""

    async def leave(self) -> None:
        try:
            socket.create_connection(("127.0.0.1", 1))
        except Exception:
            return


class Unknowing(Marking):
    """Swallows what fakeredis says of a command that it does not know, and goes on without an effect."""

    async def leave(self) -> None:
        try:
            await self.client.wait(0, 1)
        except redis.RedisError:
            await asyncio.sleep(3600)


class Child(Marking):
    async def leave(self) -> None:
        subprocess.run(["true"], check=False)


class AsyncChild(Marking):
    async def leave(self) -> None:
        await asyncio.create_subprocess_exec("true")


class Threaded(Marking):
    async def leave(self) -> None:
        threading.Thread(target=print).start()


class Signalling(Marking):
    async def leave(self) -> None:
        os.kill(os.getppid(), 0)


class Serving(Marking):
    async def leave(self) -> None:
        await asyncio.start_server(print, port=1)


class Spinning(Marking):
    """Waits for what only another callback could bring about."""

    async def leave(self) -> None:
        while True:
            try:
                time.monotonic()
            except Exception:
                continue


class Locked(Marking):
    async def leave(self) -> None:
        lock = threading.Lock()
        lock.acquire()
        lock.acquire()


class SleepingThread(Marking):
    async def leave(self) -> None:
        await asyncio.to_thread(time.sleep, 1)


class Pooled(Marking):
    """Computes in threads, which have no loop and need no time."""

    async def leave(self) -> None:
        loop = asyncio.get_running_loop()
        before = loop.time()
        try:
            await asyncio.to_thread(asyncio.get_running_loop)
            raise AssertionError("a thread has no loop")
        except RuntimeError:
            pass
        assert await loop.run_in_executor(None, sum, [1, 2]) == 3
        assert loop.time() == before


class Blocking(Marking):
    """Sleeps for 3 s without an await, beside a heartbeat of its own."""

    def __init__(self, context: EngineContext) -> None:
        super().__init__(context)
        self.beats: list[float] = []
        self.heart = asyncio.create_task(self.beat())

    async def beat(self) -> None:
        while True:
            await asyncio.sleep(0.5)
            self.beats.append(time.monotonic())

    async def leave(self) -> None:
        before, beats = time.monotonic(), len(self.beats)
        time.sleep(3)
        assert time.monotonic() == before + 3
        assert len(self.beats) == beats
        await asyncio.sleep(0)


class Outlasted(Marking):
    """Goes on as soon as its sleep and every pause are over."""

    async def leave(self) -> None:
        time.sleep(3)


class Overlapping(Marking):
    """Two processes that block, the second for longer."""

    async def leave(self) -> None:
        time.sleep(1 if self.context.consumer == "c1" else 5)


class AnyioThread(Marking):
    """Runs a function in a thread of AnyIO's, as many frameworks do."""

    async def leave(self) -> None:
        before = time.monotonic()
        assert await anyio.to_thread.run_sync(sum, [1, 2]) == 3
        assert time.monotonic() == before
