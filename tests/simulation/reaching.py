"""Programs that reach what is real, as a scenario may allow."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from typing import Any

import redis.asyncio

PORT = 0
"""Where something real listens."""


async def _each(redis_url: str, effect: Any, reach: Callable[[], object]) -> None:
    client = redis.asyncio.from_url(redis_url)
    while True:
        _, message = await client.blpop(["orders"])
        await asyncio.to_thread(reach)
        await effect(message)


def _talk() -> None:
    with socket.create_connection(("localhost", PORT), timeout=10) as sock:
        sock.sendall(b"x")
        assert sock.recv(1) == b"y"


def _start() -> None:
    before = time.monotonic()
    assert subprocess.run(["echo", "yes"], capture_output=True, timeout=60, check=True).stdout == b"yes\n"
    child = subprocess.Popen(["sleep", "60"])
    child.terminate()
    assert child.wait(timeout=60) == -signal.SIGTERM
    assert time.monotonic() == before


async def talking(redis_url: str, effect: Any) -> None:
    await _each(redis_url, effect, _talk)


async def starting(redis_url: str, effect: Any) -> None:
    await _each(redis_url, effect, _start)


async def signalling(redis_url: str, effect: Any) -> None:
    await _each(redis_url, effect, lambda: os.kill(os.getppid(), 0))


async def connecting(redis_url: str, effect: Any) -> None:
    client = redis.asyncio.from_url(redis_url)
    _, message = await client.blpop(["orders"])
    await asyncio.open_connection("localhost", PORT)
    await effect(message)
