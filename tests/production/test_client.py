"""The client is the user's: what it does for its own commands, it does for those of the engine."""

from __future__ import annotations

import asyncio
import signal
from datetime import timedelta
from typing import Any

import pytest
import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import ConstantBackoff, NoBackoff
from redis.exceptions import ConnectionError, ReadOnlyError, TimeoutError  # noqa: A004

from ordering import CausalOrdering, EventArrivedEarly, Policy
from tests.production.servers import Recorder, Server, event, proxy, servers, until

NO_RETRY = Retry(NoBackoff(), 0)
LONG = timedelta(seconds=20)
"""Longer than a busy machine stands still: what comes too late to be granted is held."""
BRIEF = Policy(lease=timedelta(milliseconds=600))
"""Put in place of another one when all is granted, and what ends within a lease is to end."""


def recorder(client: Any, scope: str = "test") -> Recorder:
    return Recorder(CausalOrdering(scope, redis=client, policy=Policy(lease=LONG)))


class Closing(redis.asyncio.ConnectionPool):
    """Lets the server close a connection between the pool's last look at it and the request."""

    closes = False

    async def get_connection(self, *args: Any, **options: Any) -> Any:
        connection = await super().get_connection(*args, **options)
        if self.closes:
            async with redis.asyncio.Redis(port=self.connection_kwargs["port"], client_name="killer") as killer:
                await killer.client_kill_filter(_type="normal", skipme=True)
                assert len(await killer.client_list()) == 1
        return connection


async def test_closed_connection(own: Server) -> None:
    """A connection that the server has closed is an error of the client, or is made again."""
    pool = Closing(host="127.0.0.1", port=own.port, retry=NO_RETRY)
    client = redis.asyncio.Redis(connection_pool=pool)
    handler = recorder(client)
    await handler(event())
    pool.closes = True
    with pytest.raises(ConnectionError):
        await client.set("a", "1")
    with pytest.raises(ConnectionError):
        await handler(event())
    pool.closes = False
    await handler(event())
    assert len(handler.handled) == 2
    await pool.aclose()


@pytest.mark.parametrize("how", ["client", "url", "pool"])
async def test_silent_server_times_out(own: Server, how: str) -> None:
    """A silent server is an error after the timeout of the client."""
    options: dict[str, Any] = {"socket_timeout": 0.5, "retry": NO_RETRY}
    if how == "client":
        client = redis.asyncio.Redis(port=own.port, **options)
    elif how == "url":
        client = redis.asyncio.Redis.from_url(f"redis://127.0.0.1:{own.port}", **options)
    else:
        client = redis.asyncio.Redis.from_pool(redis.asyncio.ConnectionPool(port=own.port, **options))
    handler = recorder(client)
    await handler(event())
    own.process.send_signal(signal.SIGSTOP)
    results = await asyncio.gather(*(handler(event()) for _ in range(20)), return_exceptions=True)
    assert [type(result) for result in results] == [TimeoutError] * 20
    own.process.send_signal(signal.SIGCONT)
    await handler(event())
    await client.aclose()


async def test_cancelled_call_to_a_silent_server(own: Server, connect: Any) -> None:
    """A cancelled call ends though the server is silent and the client waits for ever."""
    handler = recorder(connect(own.port, socket_timeout=None))
    await handler(event())
    handler.ordering.policy = BRIEF
    own.process.send_signal(signal.SIGSTOP)
    with pytest.raises(asyncio.TimeoutError):
        async with asyncio.timeout(0.1):
            await handler(event())


@pytest.mark.parametrize("way", ["one", "batch", "stream"])
async def test_shutdown_with_a_silent_server(own: Server, connect: Any, way: str) -> None:
    """A shutdown ends though the server is silent."""
    ordering = CausalOrdering("test", redis=connect(own.port, socket_timeout=None), policy=Policy(lease=LONG))
    at_work = asyncio.Semaphore(0)

    async def handler(one: Any, depth: int = 0) -> None:
        at_work.release()
        await asyncio.Event().wait()

    async def alone(one: Any, depth: int = 0) -> None:
        async with ordering.preceding_event_confirmed(alone, one, depth):
            await handler(one)

    async def report(one: Any, outcome: str) -> None: ...

    events = [event() for _ in range(50)]
    if way == "one":
        tasks = [asyncio.create_task(alone(one)) for one in events]
    elif way == "batch":
        tasks = [asyncio.create_task(ordering.handle_batch(handler, events))]  # type: ignore[list-item]
    else:
        tasks = [asyncio.create_task(ordering.handle_stream(handler, events, report))]
    for _ in tasks:
        await at_work.acquire()
    ordering.policy = BRIEF
    own.process.send_signal(signal.SIGSTOP)
    for task in tasks:
        task.cancel()
    ends = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(end, asyncio.CancelledError) for end in ends)


async def test_failover_behind_one_address() -> None:
    """After a failover behind one address the engine recovers as the client does."""
    with servers(2, "--repl-diskless-sync-delay", "0") as (old, new):
        new.ask("REPLICAOF", "127.0.0.1", old.port)
        until(lambda: b"master_link_status:up" in new.ask("INFO", "replication"))
        async with proxy(old) as address:
            retry = {"retry": Retry(ConstantBackoff(0.05), 5), "retry_on_error": [ReadOnlyError, ConnectionError]}
            client = redis.asyncio.Redis(port=address.port, **retry)
            handler = recorder(client)
            await asyncio.gather(*(handler(event()) for _ in range(20)))
            new.ask("REPLICAOF", "NO", "ONE")
            old.ask("REPLICAOF", "127.0.0.1", new.port)
            address.target = new
            await asyncio.gather(*(handler(event()) for _ in range(20)))
            await client.set("a", "1")
            assert len(handler.handled) == 40
            await client.aclose()


@pytest.mark.parametrize("closes", [False, True])
async def test_client_per_request(shared: Server, closes: bool) -> None:
    """A client for each request leaves no connection in use."""
    pool = redis.asyncio.ConnectionPool(port=shared.port, max_connections=2)
    for _ in range(50):
        client = redis.asyncio.Redis(connection_pool=pool)
        await recorder(client)(event())
        if closes:
            await client.aclose()
        del client
    await pool.aclose()


POOLS = {
    "default": {},
    "five": {"max_connections": 5},
    "blocking": {"connection_pool": lambda port: redis.asyncio.BlockingConnectionPool(port=port, max_connections=3)},
    "single": {"single_connection_client": True},
    "one": {"max_connections": 1},
}


@pytest.mark.parametrize("pool", POOLS)
async def test_thousand_tasks_few_connections(shared: Server, connect: Any, pool: str) -> None:
    """A thousand tasks raise nothing and open few connections."""
    options: dict[str, Any] = dict(POOLS[pool])
    if make := options.pop("connection_pool", None):
        client = redis.asyncio.Redis.from_pool(make(shared.port))
    else:
        client = connect(shared.port, client_name=pool, **options)
    handler = recorder(client)
    leaders = [event() for _ in range(500)]
    followers = [event(one.id) for one in leaders]
    results = await asyncio.gather(*(handler(one) for one in [*followers, *leaders]), return_exceptions=True)
    assert [result for result in results if result and not isinstance(result, EventArrivedEarly)] == []
    assert len(set(handler.handled)) == len(handler.handled) == 1000
    named = f"name={pool} ".encode()
    assert shared.ask("CLIENT", "LIST").count(named) <= 4
    await client.aclose()


async def test_waiting_leaves_connections(shared: Server, connect: Any) -> None:
    """Consumers that wait for a leader leave connections to others."""
    ordering = CausalOrdering("waiting", redis=connect(shared.port, max_connections=8), policy=BRIEF)
    leader, handler = event(), recorder(connect(shared.port), "waiting")
    async with handler.ordering.event_is_processing(leader):
        followers = [asyncio.create_task(ordering.wait_for_leader(event(leader.id))) for _ in range(50)]
        left = set(followers)
        while len(left) > 2:  # two wait, the others are parked
            _, left = await asyncio.wait(left, return_when=asyncio.FIRST_COMPLETED)
        assert not await ordering.event_has_been_seen(leader)
    results = await asyncio.gather(*followers, return_exceptions=True)
    assert {type(result) for result in results} <= {EventArrivedEarly, type(None)}


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "cp1251"])
@pytest.mark.parametrize("decode", [True, False])
async def test_clients_of_every_kind(shared: Server, connect: Any, protocol: int, encoding: str, decode: bool) -> None:
    """Clients of every kind understand each other."""
    options = {"protocol": protocol, "encoding": encoding, "decode_responses": decode}
    scope = f"größe-{protocol}-{encoding}-{decode}"
    handler = recorder(connect(shared.port, **options), scope)
    other = recorder(connect(shared.port), scope)
    leader = event()
    follower = event(leader.id, event="Ärger ✓")
    with pytest.raises(EventArrivedEarly):
        await handler(follower)
    assert [one.event for one in await other.ordering.get_followers(leader)] == ["Ärger ✓"]
    await other(leader)
    assert other.handled == [leader.id, follower.id]
    assert await handler.ordering.event_has_been_seen(follower)


class Watched(redis.asyncio.Redis):
    """Sees its commands, in a class of its own."""

    seen: list[str]

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        self.seen.append(args[0])
        return await super().execute_command(*args, **options)


@pytest.mark.parametrize("where", ["subclass", "instance", "redis-py"])
@pytest.mark.parametrize("when", ["before", "after"])
async def test_replaced_execute_command(
    shared: Server, connect: Any, monkeypatch: pytest.MonkeyPatch, where: str, when: str
) -> None:
    """A replaced execute_command sees every command."""
    seen: list[str] = []
    client = connect(shared.port, kind=Watched if where == "subclass" else redis.asyncio.Redis)

    def watch() -> None:
        place = {"subclass": client, "instance": client, "redis-py": redis.asyncio.Redis}[where]
        original = place.execute_command

        async def watched(*args: Any, **options: Any) -> Any:
            seen.append(next(word for word in args if isinstance(word, str)))
            return await original(*args, **options)

        if where == "subclass":
            client.seen = seen
        else:
            monkeypatch.setattr(place, "execute_command", watched)

    if where == "subclass" or when == "before":
        watch()
    handler = recorder(client)
    if when == "after":
        if where == "subclass":
            await handler(event())
            seen.clear()
        else:
            await handler(event())
            watch()
    await asyncio.gather(*(handler(event()) for _ in range(10)))
    assert [name for name in seen if name in ("EVALSHA", "EVAL")].count("EVALSHA") >= 20


@pytest.mark.parametrize("way", ["one", "batch", "stream"])
async def test_no_cancellation_is_lost_in_the_client(shared: Server, connect: Any, way: str) -> None:
    ordering = CausalOrdering(f"busy-{way}", redis=connect(shared.port), policy=Policy(lease=LONG))
    handled = 0

    async def handler(one: Any, depth: int = 0) -> None:
        nonlocal handled
        handled += 1
        if handled % 50 == 0:  # the client is about to send the completion
            asyncio.get_running_loop().call_soon(asyncio.current_task().cancel)  # type: ignore[union-attr]

    async def report(one: Any, outcome: str) -> None: ...

    async def work() -> None:
        if way == "stream":
            await ordering.handle_stream(handler, (event() for _ in range(500)), report)
        for _ in range(500):
            if way == "one":
                async with ordering.preceding_event_confirmed(handler, one := event()):
                    await handler(one)
            else:
                await ordering.handle_batch(handler, [event()])

    for _ in range(10):
        before = handled
        with pytest.raises(asyncio.CancelledError):
            await asyncio.create_task(work())
        assert handled - before == 50, "none begins after the cancellation"
