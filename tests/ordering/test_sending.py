"""Requests of one turn of the loop travel together, each with its own answer, error and cancellation."""

from __future__ import annotations

import ast
import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio
from redis.exceptions import NoScriptError, ResponseError

import ordering
from ordering.sending import MAX_PIPELINED, MAX_PIPELINES, send


@pytest.fixture
async def client(socket: str) -> AsyncIterator[Any]:
    async with redis.asyncio.Redis(unix_socket_path=socket) as one:
        await one.flushall()
        yield one


@pytest.fixture
def travelled(client: Any, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What travelled: the name of a lone command, or how many were in a pipeline."""
    seen: list[Any] = []
    pipeline, parse = client.pipeline, client.parse_response

    def noted(*args: Any, **options: Any) -> Any:
        made = pipeline(*args, **options)
        execute = made.execute

        async def executed(*args: Any, **options: Any) -> Any:
            seen.append(len(made.command_stack))
            return await execute(*args, **options)

        made.execute = executed
        return made

    async def parsed(connection: Any, name: str, **options: Any) -> Any:
        seen.append(name)
        return await parse(connection, name, **options)

    monkeypatch.setattr(client, "pipeline", noted)
    monkeypatch.setattr(client, "parse_response", parsed)
    return seen


async def test_a_lone_request_goes_straight(client: Any, travelled: list[Any]) -> None:
    for word in ("a", "b", "c"):
        assert await send(client, "ECHO", word) == word.encode()
    assert travelled == ["ECHO"] * 3


async def test_one_pipeline_a_turn(client: Any, travelled: list[Any]) -> None:
    """Requests of one turn travel in one pipeline."""
    replies = await asyncio.gather(*(send(client, "ECHO", str(i)) for i in range(50)))
    assert replies == [str(i).encode() for i in range(50)]
    assert sorted(travelled, key=str) == [49, "ECHO"]


async def test_few_pipelines(client: Any, travelled: list[Any]) -> None:
    """What comes meanwhile waits for one of few pipelines."""
    await asyncio.gather(*(send(client, "ECHO", str(i)) for i in range(3 * MAX_PIPELINED)))
    assert max(count for count in travelled if isinstance(count, int)) == MAX_PIPELINED
    assert len(travelled) <= 5
    assert len(await client.client_list()) <= MAX_PIPELINES + 1


async def test_each_request_has_its_own_error(client: Any) -> None:
    await send(client, "SET", "text", "x")
    requests = [
        send(client, "ECHO", "first"),
        send(client, "HGET", "text", "field"),
        send(client, "EVALSHA", "0" * 40, 0),
        send(client, "ECHO", "last"),
    ]
    first, wrong, unknown, last = await asyncio.gather(*requests, return_exceptions=True)
    assert (first, last) == (b"first", b"last")
    assert isinstance(wrong, ResponseError)
    assert "WRONGTYPE" in str(wrong)
    assert isinstance(unknown, NoScriptError)


async def test_error_is_retried_as_by_the_client(client: Any, travelled: list[Any]) -> None:
    """An error in a pipeline is asked again as the client asks."""
    await send(client, "SET", "text", "x")
    travelled.clear()
    requests = [send(client, "ECHO", "x"), send(client, "ECHO", "x"), send(client, "HGET", "text", "field")]
    await asyncio.gather(*requests, return_exceptions=True)
    assert travelled == ["ECHO", 2, "HGET"] or travelled == [2, "ECHO", "HGET"]


async def test_cancelled_request(client: Any) -> None:
    """One cancelled request cancels no companion."""
    tasks = [asyncio.create_task(send(client, "ECHO", str(i))) for i in range(20)]
    await asyncio.sleep(0)  # they are queued…
    tasks[5].cancel()
    await asyncio.sleep(0)  # …and on their way
    tasks[6].cancel()
    replies = await asyncio.gather(*tasks, return_exceptions=True)
    assert [i for i, reply in enumerate(replies) if isinstance(reply, asyncio.CancelledError)] == [5, 6]
    assert [reply for i, reply in enumerate(replies) if i not in (5, 6)] == [
        str(i).encode() for i in range(20) if i not in (5, 6)
    ]
    assert await send(client, "ECHO", "after") == b"after"


async def test_abandoned_pipeline_ends(client: Any) -> None:
    """A pipeline whose callers are all gone is ended."""
    tasks = []
    for _ in range(MAX_PIPELINES + 1):
        tasks += [asyncio.create_task(send(client, "BLPOP", "never", 0)) for _ in range(3)]
        for _ in range(5):
            await asyncio.sleep(0)
    tasks[0].cancel()  # it went alone: now all that is in flight are pipelines
    await asyncio.wait(tasks[:1])
    await client.ping()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert await asyncio.gather(*(send(client, "ECHO", "x") for _ in range(10))) == [b"x"] * 10


async def test_a_client_serves_one_loop_after_another(socket: str) -> None:
    client = redis.asyncio.Redis(unix_socket_path=socket)

    async def ask() -> Any:
        try:
            async with asyncio.timeout(0.05):
                await asyncio.gather(*(send(client, "BLPOP", "never", 0) for _ in range(9)))
        except TimeoutError:
            replies = await asyncio.gather(*(send(client, "ECHO", "x") for _ in range(9)))
        await client.aclose()
        return replies

    for _ in range(2):
        assert await asyncio.to_thread(lambda: asyncio.run(ask())) == [b"x"] * 9


@pytest.mark.parametrize("text", ["grün", "\ud800", "a\x00b", ""])
async def test_any_text_comes_back_as_it_was(client: Any, text: str) -> None:
    reply = await send(client, "ECHO", text)
    assert reply.decode("utf-8", "surrogatepass") == text


def test_the_engine_uses_no_private_name_of_redis() -> None:
    """Every underscored name that the engine reads of an object is one that the engine itself defines."""
    trees = [ast.parse(file.read_text()) for file in Path(ordering.__file__).parent.glob("*.py")]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    defined = {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)}
    for node in nodes:
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and ast.unparse(node.value) == "self":
            defined.add(node.attr)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            defined.add(node.id)
    read = {node.attr for node in nodes if isinstance(node, ast.Attribute) and is_private(node.attr)}
    asked = {
        str(node.args[1].value)
        for node in nodes
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("getattr", "hasattr", "setattr")
        if isinstance(node.args[1], ast.Constant)
    }
    imported = {
        f"{node.module}.{name.name}"
        for node in nodes
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("redis")
        for name in node.names
        if is_private(name.name) or "._" in str(node.module)
    }
    assert read - defined == {"_replace"}  # a named tuple's: public, whatever it looks like
    assert {name for name in asked if is_private(name)} == set()
    assert imported == set()


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")
