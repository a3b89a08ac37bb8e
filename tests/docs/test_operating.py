"""The rights that the operators' page grants are enough, and none of them is too many."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio

from ordering import CausalOrdering, EventArrivedEarly, PartitionedOrdering, Policy
from tests.ordering.conftest import Recorder, event

PAGE = Path("docs/operating.md").read_text(encoding="utf-8")
[COMMAND] = re.findall(r"^ACL SETUSER orders (.*)$", PAGE, re.MULTILINE)
GRANTED = {word[1:] for word in COMMAND.split() if word.startswith("+")}
FOR_PREFECT = ("+sort",)
"""Rights that `ordering.prefect` needs, and `CausalOrdering` does not."""
TO_CONNECT = ("+hello", "+auth", "+client|setinfo", "+ping", "+select")
POLICY = Policy(lookback=timedelta(milliseconds=1), max_attempts=1)


def used() -> set[str]:
    """Return the commands that the package names: in its scripts, and where it asks for one by itself."""
    lua = "\n".join(path.read_text(encoding="utf-8") for path in Path("ordering/lua").rglob("*.lua"))
    python = "\n".join(path.read_text(encoding="utf-8") for path in Path("ordering").glob("*.py"))
    found = set(re.findall(r'redis\.p?call\(\s*"([A-Z]+)"', lua)) | set(re.findall(r'_ask\("([A-Z]+)"', python))
    return {command.lower() for command in found} | {"eval", "evalsha", "subscribe", "unsubscribe"}


def test_acl_names_the_commands_used() -> None:
    """The rights are those of the commands that are used."""
    assert used() == GRANTED


@pytest.fixture
async def limited(socket: str) -> Any:
    """A client that has just these rights."""
    async with with_rights(socket, COMMAND) as client:
        yield client


@asynccontextmanager
async def with_rights(socket: str, command: str) -> AsyncIterator[Any]:
    async with redis.asyncio.Redis(unix_socket_path=socket) as admin:
        await admin.flushall()
        await admin.script_flush()
        await admin.execute_command("ACL", "SETUSER", "orders", "reset")
        needed = (word for word in command.split() if word not in FOR_PREFECT)
        await admin.execute_command("ACL", "SETUSER", "orders", *needed, *TO_CONNECT)
        async with redis.asyncio.Redis(unix_socket_path=socket, username="orders", password="secret") as client:
            with pytest.raises(redis.exceptions.NoPermissionError):
                await client.flushall()
            yield client
        await admin.execute_command("ACL", "DELUSER", "orders")


async def test_everything_can_be_done_with_them(limited: Any) -> None:
    ordering = CausalOrdering("orders", redis=limited, policy=POLICY)
    handler = Recorder(ordering)
    for one in (event(2, 1), event(3, 1), event(5, 4), event(7, 8), event(8, 7)):
        with pytest.raises(EventArrivedEarly):
            await handler(one)
    handler.failing = {3: 1}
    await handler(event(1))
    await asyncio.sleep(0.01)  # the lookback is a millisecond
    for one in await ordering.get_lost_followers():
        with suppress(EventArrivedEarly):
            await handler(one)
    [letter] = await ordering.dead_letters()
    assert await ordering.retry(letter.id)
    assert await ordering.give_up(event(9))
    assert await ordering.discard(event(9))
    assert (await ordering.stats()).parked == 1
    assert await ordering.handle_batch(handler, [event(11, 10), event(10)]) == ["handled", "handled"]
    await wait_beside(ordering)
    assert {1, 2, 5, 10, 11} <= set(handler.handled)


async def wait_beside(ordering: CausalOrdering) -> None:
    """Wait for a leader that is in flight: the end of that is published."""
    begun, may_end = asyncio.Event(), asyncio.Event()

    async def lead() -> None:
        async with ordering.event_is_processing(event(20)):
            begun.set()
            await may_end.wait()

    leading = asyncio.ensure_future(lead())
    await begun.wait()
    waiting = asyncio.ensure_future(ordering.wait_for_leader(event(21, 20)))
    while not await ordering.redis.exists(ordering._key(f"watched:{event(20).id}")):  # noqa: ASYNC110  # it is Redis'
        await asyncio.sleep(0.01)
    may_end.set()
    await asyncio.wait_for(waiting, 15)
    await leading


async def test_partitions_have_keys_of_their_own(socket: str) -> None:
    """The page names the keys and channels of a scope in partitions."""
    assert "the keys are `~{orders:*}:*` and the channels `&{orders:*}:*`" in PAGE
    async with with_rights(socket, COMMAND.replace("{orders}", "{orders:*}")) as client:
        ordering = PartitionedOrdering("orders", partitions=4, by=lambda one: str(one.id), redis=client)
        handler = Recorder(CausalOrdering("other", redis=client), reentrant=False)
        outcomes = await ordering.handle_batch(handler, [event(n) for n in range(1, 9)])
        assert outcomes == ["handled"] * 8
        with pytest.raises(redis.exceptions.NoPermissionError):
            await handler.engine.stats()
