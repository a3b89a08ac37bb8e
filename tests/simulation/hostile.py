"""Engines whose code does not end when it should."""

# ruff: noqa: ASYNC251, SIM105  # that is the point
from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import AsyncIterator
from typing import Any

import redis

from simulation.engines import EngineContext
from tests.simulation.escaping import Marking


class Stubborn(Marking):
    """Has a task that is still there when the run is over."""

    def __init__(self, context: EngineContext) -> None:
        super().__init__(context)
        self.task = asyncio.create_task(self.stay())

    async def stay(self) -> None:
        try:
            await asyncio.sleep(10**9)
        finally:
            self.linger()

    def linger(self) -> None:
        """Do what the engine is about."""


class Swallowing(Stubborn):
    async def stay(self) -> None:
        while True:
            try:
                await asyncio.sleep(10**9)
            except BaseException:
                pass


class Awaiting(Stubborn):
    async def stay(self) -> None:
        try:
            await asyncio.sleep(10**9)
        finally:
            await asyncio.sleep(10**9)


class Spinning(Stubborn):
    def linger(self) -> None:
        while True:
            pass


class Sleeping(Stubborn):
    def linger(self) -> None:
        time.sleep(10**6)


class Connecting(Stubborn):
    def linger(self) -> None:
        redis.Redis(port=1).delete("lock")


class Waiting(Stubborn):
    def linger(self) -> None:
        lock = threading.Lock()
        lock.acquire()
        lock.acquire()


class Collected(Stubborn):
    """Holds something that does not let itself be collected."""

    async def stay(self) -> None:
        held = Clinging()
        await asyncio.sleep(10**9)
        del held


class Clinging:
    def __del__(self) -> None:
        while True:
            try:
                time.sleep(0)
            except BaseException:
                pass


class Yielding(Stubborn):
    """Iterates over what goes on when it is closed."""

    async def stay(self) -> None:
        async for _ in self.numbers():
            await asyncio.sleep(10**9)

    async def numbers(self) -> AsyncIterator[int]:
        while True:
            try:
                yield 1
            except BaseException:
                pass


class Generating(Stubborn):
    """Iterates over what never ends once it is closed."""

    async def stay(self) -> None:
        async for _ in self.numbers():
            pass

    async def numbers(self) -> AsyncIterator[int]:
        try:
            await asyncio.sleep(10**9)
            yield 1
        finally:
            self.linger()

    def linger(self) -> None:
        while True:
            pass


class Blocking(Stubborn):
    """Is in a call that blocks when the run is over, and in the next one after that."""

    async def leave(self) -> None:
        await self.context.effect(self.event)
        while True:
            try:
                time.sleep(10**9)
            except BaseException:
                pass

    async def handle(self, event: Any) -> None:
        self.event = event
        await self.client.set(f"{self.context.scope}:{event.id}", 1, ex=60)
        await self.leave()


class Endless(Marking):
    """Never returns, and catches everything. It says when it begins, for a test that sends Ctrl-C then."""

    async def leave(self) -> None:
        print("endless", file=sys.stderr, flush=True)  # noqa: T201
        while True:
            try:
                time.monotonic()
            except BaseException:
                pass
