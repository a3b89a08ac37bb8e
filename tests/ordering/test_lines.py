"""Lines carry what a client would carry: the same replies, the same errors, and no reply to anybody else's question."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

import pytest
import redis.asyncio
from redis.exceptions import NoScriptError, ResponseError

from ordering.lines import asking

Connect = Callable[..., redis.asyncio.Redis]


@pytest.fixture
async def connect(socket: str) -> AsyncIterator[Connect]:
    """Returns new clients of one empty server."""
    clients: list[redis.asyncio.Redis] = []

    def make(kind: type[redis.asyncio.Redis] = redis.asyncio.Redis, **options: Any) -> redis.asyncio.Redis:
        clients.append(kind(unix_socket_path=socket, **options))
        return clients[-1]

    await make().flushall()
    yield make
    for client in clients:
        await client.aclose()


@pytest.fixture
async def control(connect: Connect) -> redis.asyncio.Redis:
    """A client that looks at the server, and does things to others."""
    return connect()


async def connections(control: redis.asyncio.Redis, name: str) -> list[str]:
    """Return the addresses of the connections of the clients with a name."""
    return [str(one["id"]) for one in await control.client_list() if one["name"] == name]


def count_pool(client: Any) -> list[object]:
    """Return a list that grows with each connection that is taken out of a client's pool."""
    taken: list[object] = []
    get = client.connection_pool.get_connection

    async def counted(*args: Any, **options: Any) -> Any:
        taken.append(await get(*args, **options))
        return taken[-1]

    client.connection_pool.get_connection = counted
    return taken


async def test_a_connection_is_taken_out_once_for_all_requests(connect: Connect) -> None:
    client = connect(decode_responses=True)
    taken = count_pool(client)
    for i in range(5):
        assert await asking(client)("SET", "k", i) == "OK"
    assert await asking(client)("GET", "k") == "4"
    assert len(taken) == 1


async def test_replies_are_received_past_the_stream_of_this_redis_py(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = connect()
    ask = asking(client)
    await ask("SET", "k", "1")
    read: list[object] = []
    monkeypatch.setattr(redis.asyncio.connection.AbstractConnection, "read_response", read.append)
    assert await ask("GET", "k") == b"1"
    assert read == []


@pytest.mark.parametrize("decode", [True, False])
@pytest.mark.parametrize("protocol", [2, 3])
async def test_replies_are_those_of_the_client(connect: Connect, decode: bool, protocol: int) -> None:
    client = connect(decode_responses=decode, protocol=protocol)
    for words in (
        ("EVAL", "return ARGV[1]", 0, "grün"),
        ("EVAL", "return {1, 'a', false, {2}}", 0),
        ("EVAL", "return redis.status_reply('FINE')", 0),
    ):
        assert await asking(client)(*words) == await client.execute_command(*words)


async def test_errors_are_those_of_the_client_and_break_nothing(connect: Connect) -> None:
    client = connect()
    taken = count_pool(client)
    ask = asking(client)
    with pytest.raises(NoScriptError):
        await ask("EVALSHA", "0" * 40, 0)
    with pytest.raises(ResponseError, match="WRONGTYPE"):
        await ask("EVAL", "redis.call('SET', 'k', 1) return redis.call('HGET', 'k', 'f')", 0)
    assert await ask("ECHO", "fine") == b"fine"
    assert len(taken) == 1


async def test_many_at_a_time_take_no_more_than_half_of_the_pool(connect: Connect) -> None:
    client = connect(max_connections=6)
    taken = count_pool(client)
    answers = await asyncio.gather(*(asking(client)("ECHO", str(i)) for i in range(5)))
    assert answers == [b"0", b"1", b"2", b"3", b"4"]
    held = client.connection_pool._in_use_connections
    assert len(held) == 3
    assert len({id(connection) for connection in taken}) == 5


async def test_a_pool_that_is_too_small_is_left_alone(connect: Connect) -> None:
    client = connect(max_connections=1)
    for i in range(3):
        assert await asking(client)("ECHO", str(i)) == str(i).encode()
        assert await client.echo("beside") == b"beside"


async def test_a_line_that_was_cut_is_replaced_and_the_request_asked_again(
    connect: Connect, control: redis.asyncio.Redis
) -> None:
    client = connect(client_name="cut")
    ask = asking(client)
    await ask("SET", "k", "1")
    (before,) = await connections(control, "cut")
    await control.client_kill_filter(_id=before)
    assert await ask("GET", "k") == b"1"
    assert await ask("GET", "k") == b"1"
    assert before not in await connections(control, "cut")


async def test_a_server_that_does_not_answer_in_time_is_asked_again(
    connect: Connect, control: redis.asyncio.Redis
) -> None:
    client = connect(socket_timeout=0.2)
    ask = asking(client)
    await ask("SET", "k", "1")
    await control.client_pause(500)
    assert await ask("GET", "k") == b"1"


async def test_a_cancelled_request_leaves_no_reply_to_the_next(connect: Connect, control: redis.asyncio.Redis) -> None:
    client = connect()
    ask = asking(client)
    await ask("SET", "k", "1")
    await control.client_pause(200)
    asked = asyncio.ensure_future(ask("ECHO", "old"))
    await asyncio.sleep(0.05)
    asked.cancel()
    with suppress(asyncio.CancelledError):
        await asked
    assert asked.cancelled()
    assert await ask("ECHO", "new") == b"new"


async def test_what_the_server_says_unasked_goes_to_nobody_who_asked(
    connect: Connect, control: redis.asyncio.Redis
) -> None:
    client = connect(protocol=3, decode_responses=True)
    ask = asking(client)
    await ask("SET", "k", "1")
    await ask("CLIENT", "TRACKING", "ON")
    for value in ("1", "2", "3"):
        assert await ask("GET", "k") == value
        await control.set("k", int(value) + 1)  # the line is told that what it has read is not true any more
        await asyncio.sleep(0.05)
        assert await ask("ECHO", value) == value


async def test_a_reply_larger_than_a_socket_takes_at_once(connect: Connect) -> None:
    client = connect(decode_responses=True)
    text = "grün" * 500_000
    assert await asking(client)("ECHO", text) == text
    assert await asking(client)("ECHO", "small") == "small"


async def test_who_closes_a_client_closes_its_lines_and_may_go_on(
    connect: Connect, control: redis.asyncio.Redis
) -> None:
    client = connect(client_name="closed")
    ask = asking(client)
    await asyncio.gather(*(ask("PING") for _ in range(4)))
    assert len(await connections(control, "closed")) == 4
    await client.aclose()
    assert await connections(control, "closed") == []
    assert await ask("ECHO", "again") == b"again"


async def test_a_client_that_is_watched_sees_every_command(connect: Connect) -> None:
    class Watched(redis.asyncio.Redis):
        seen: list[Any]

        async def execute_command(self, *args: Any, **options: Any) -> Any:
            self.seen.append(args)
            return await super().execute_command(*args, **options)

    client = connect(Watched)
    client.seen = []  # type: ignore[attr-defined]
    await asking(client)("ECHO", "seen")
    assert client.seen == [("ECHO", "seen")]  # type: ignore[attr-defined]

    plain, told = connect(), []
    await asking(plain)("ECHO", "unseen")
    execute = plain.execute_command

    async def tell(*args: Any, **options: Any) -> Any:
        told.append(args)
        return await execute(*args, **options)

    plain.execute_command = tell  # type: ignore[method-assign]
    await asking(plain)("ECHO", "seen")
    assert told == [("ECHO", "seen")]


async def test_a_client_of_one_connection_keeps_it(connect: Connect, control: redis.asyncio.Redis) -> None:
    client = connect(single_connection_client=True, client_name="single")
    await asyncio.gather(*(asking(client)("ECHO", "x") for _ in range(3)))
    assert len(await connections(control, "single")) == 1


async def test_another_encoding_than_that_of_the_scripts_is_respected(connect: Connect) -> None:
    client = connect(encoding="latin-1")
    await asking(client)("SET", "k", "grün")
    assert await client.get("k") == "grün".encode("latin-1")


async def test_a_client_that_nobody_uses_any_more_can_be_collected_with_its_lines(socket: str) -> None:
    client = redis.asyncio.Redis(unix_socket_path=socket)
    await asking(client)("ECHO", "x")
    await client.aclose()
    gone = weakref.ref(client)
    client.connection_pool.keeps = client  # as what a connection leads to may do
    del client
    gc.collect()
    assert gone() is None
