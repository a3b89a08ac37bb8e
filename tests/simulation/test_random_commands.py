"""What a server draws, or orders by a seed of its own, is the run's; what it says of itself is always the same."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Coroutine
from functools import partial
from hashlib import sha256
from subprocess import run as start
from typing import Any

import pytest
import redis.asyncio

from simulation import Laboratory, loads
from simulation.kernel.epoch import EPOCH
from simulation.kernel.escapes import Escaped
from simulation.kernel.event_loop import SimulatedLoop
from simulation.kernel.random_streams import Streams
from simulation.scenario.distributions import Constant
from simulation.stores.protocol import Store, StoreUnavailable
from simulation.stores.resp import command
from simulation.world.network import Network

pytestmark = pytest.mark.usefixtures("without_leftovers")

Words = tuple[Any, ...]


@pytest.fixture(params=["server", "embedded"])
def store(request: pytest.FixtureRequest) -> Store:
    """Either store."""
    laboratory: Laboratory = request.getfixturevalue("laboratory" if request.param == "server" else "embedded")
    return laboratory.store


def run_story(store: Store, story: Callable[[], Coroutine[Any, Any, Any]], seed: int = 1) -> Any:
    store.begin(EPOCH)
    loop = SimulatedLoop()
    network = Network(loop, store, Constant(500), Streams(seed))
    try:
        return loop.run_until_complete(story())
    finally:
        loop.close()
        network.close()


def client(protocol: int = 2) -> redis.asyncio.Redis:
    return redis.asyncio.Redis(host="redis", protocol=protocol, decode_responses=True, driver_info=None)


LARGE = "v" * 5000
SETUP: list[Words] = [
    ("SADD", "s", *(f"m{i}" for i in range(40))),
    ("SADD", "large", *(f"{LARGE}{i}" for i in range(10))),
    ("SADD", "numbers", *range(300)),
    ("HSET", "h", *(word for i in range(40) for word in (f"f{i}", LARGE))),
    ("ZADD", "z", *(word for i in range(300) for word in (i % 3, f"m{i}"))),
    ("MSET", *(word for i in range(50) for word in (f"key:{i}", i))),
]
DRAWN: list[Words] = [
    ("SRANDMEMBER", "s"),
    ("SRANDMEMBER", "s", 5),
    ("SRANDMEMBER", "s", -5),
    ("SRANDMEMBER", "none", 5),
    ("SPOP", "s"),
    ("SPOP", "s", 3),
    ("SPOP", "s", 0),
    ("SPOP", "none"),
    ("HRANDFIELD", "h"),
    ("HRANDFIELD", "h", 3, "WITHVALUES"),
    ("HRANDFIELD", "h", -3),
    ("HRANDFIELD", "none", 3, "WITHVALUES"),
    ("ZRANDMEMBER", "z"),
    ("ZRANDMEMBER", "z", 3, "WITHSCORES"),
    ("RANDOMKEY",),
]
LISTED: list[Words] = [
    ("SMEMBERS", "s"),
    ("SMEMBERS", "large"),
    ("HGETALL", "h"),
    ("SUNION", "s", "numbers"),
    ("SDIFF", "s", "large"),
    ("SINTER", "s", "s"),
    ("KEYS", "*"),
    ("SCAN", 0),
    ("SCAN", 0, "MATCH", "key:*", "COUNT", 7),
    ("SSCAN", "s", 0),
    ("SSCAN", "numbers", 0),
    ("HSCAN", "h", 0),
    ("ZSCAN", "z", 0),
]
ABOUT_ITSELF: list[Words] = [
    ("HELLO", 2),
    ("CLIENT", "ID"),
    ("CLIENT", "INFO"),
    ("PUBSUB", "CHANNELS"),
]
BY_SERVER: list[Words] = [
    ("COMMAND", "LIST"),
    ("INFO",),
    ("CONFIG", "GET", "*"),
    ("INFO", "everything"),
    ("COMMAND",),
    ("EVAL", "return redis.call('KEYS', '*')", 0),
    ("EVAL", "return redis.call('SINTER', 's', 's')", 0),
    ("FUNCTION", "LOAD", "#!lua name=l\nfor _, n in ipairs({'a', 'b', 'c'}) do redis.register_function(n, print) end"),
    ("FUNCTION", "LIST"),
]


def said(store: Store) -> str:
    """Return a digest of the replies to all of these."""

    async def story() -> str:
        reader, writer = await asyncio.open_connection("redis", 6379, limit=1 << 24)
        heard = sha256()
        for words in [*SETUP, *DRAWN, *LISTED, *ABOUT_ITSELF, *(BY_SERVER if store.name == "server" else ())]:
            writer.write(command(*words))
            await asyncio.sleep(0.01)
            writer.write(command("ECHO", "the end"))
            heard.update(await reader.readuntil(b"the end\r\n"))
        return heard.hexdigest()

    return str(run_story(store, story))


IN_ANOTHER_PROCESS = """
from simulation import Laboratory, loads
from tests.simulation.test_random_commands import said
for name in ("server", "embedded"):
    with Laboratory(name) as laboratory:
        first, again = said(laboratory.store), said(laboratory.store)
        print(first, again)
"""


def test_two_processes_hear_the_same(laboratory: Laboratory, embedded: Laboratory) -> None:
    environment = {**os.environ, "PYTHONHASHSEED": "4242"}
    asked = [sys.executable, "-c", IN_ANOTHER_PROCESS]
    other = start(asked, capture_output=True, text=True, check=True, timeout=120, env=environment)
    heard = [said(laboratory.store), said(embedded.store)]
    assert other.stdout.split() == [heard[0], heard[0], heard[1], heard[1]]


def test_a_failover_leaves_no_trace(laboratory: Laboratory) -> None:
    """A run after one with a replica hears the same as before it, on the same server."""
    before = said(laboratory.store)
    failover = '[[faults]]\nkind = "failover"\nat = "1s"\nlag = "100ms"\n'
    laboratory.run(loads('name = "one"\n[workload]\nevents = [{ name = "a" }]\n' + failover), 1, "native")
    assert said(laboratory.store) == before


def test_listeners_leave_no_trace(server: Store) -> None:
    """A connection of another run that still listens is not seen by the next one."""
    before = said(server)
    server.begin(EPOCH)
    link = server.link()
    link.send(command("SUBSCRIBE", "news") + command("PSUBSCRIBE", "n*"))
    server.settle(turns=2)
    assert b"news" in server.link().run([[b"PUBSUB", b"CHANNELS"]])
    assert said(server) == before
    link.close()


def shape(value: Any) -> Any:
    """Return the types of a reply, and how many there are."""
    if isinstance(value, list | tuple | set):
        return type(value).__name__, [shape(item) for item in sorted(value, key=str)]
    return type(value).__name__


@pytest.mark.parametrize("protocol", [2, 3])
def test_replies_have_the_servers_own_form(server: Store, socket: str, protocol: int) -> None:
    async def ask(one: redis.asyncio.Redis) -> list[Any]:
        one.response_callbacks.clear()
        for words in SETUP:
            await one.execute_command(*words)
        return [shape(await one.execute_command(*words)) for words in [*DRAWN, *LISTED[:7], *LISTED[9:10]]]

    async def real() -> list[Any]:
        async with redis.asyncio.Redis(unix_socket_path=socket, protocol=protocol, decode_responses=True) as one:
            await one.flushall()
            return await ask(one)

    async def simulated() -> list[Any]:
        return await ask(client(protocol))

    assert run_story(server, simulated) == asyncio.run(real())


ERRORS: list[Words] = [
    ("SPOP",),
    ("SPOP", "s", -1),
    ("SPOP", "s", "x"),
    ("SPOP", "s", 1, 2),
    ("SPOP", "z"),
    ("SRANDMEMBER", "z", 2),
    ("ZRANDMEMBER", "z", 1, "WITHVALUES"),
    ("HRANDFIELD", "h", "x"),
    ("SCAN", "x"),
    ("SCAN", 0, "COUNT", 0),
    ("SSCAN", "z", 0),
    ("KEYS",),
]


@pytest.mark.parametrize("words", ERRORS, ids=lambda words: " ".join(map(str, words)))
def test_errors_are_the_servers_own(server: Store, words: Words) -> None:
    async def story() -> bytes:
        for setup in SETUP:
            await client().execute_command(*setup)
        reader, writer = await asyncio.open_connection("redis", 6379)
        writer.write(command(*words))
        return await reader.readline()

    simulated = run_story(server, story)
    link = server.link()
    assert simulated.startswith(b"-")
    assert simulated == link.run([[str(word).encode() for word in words]])
    link.close()


def test_what_is_popped_is_gone(store: Store) -> None:
    async def story() -> tuple[list[Any], int]:
        one = client()
        await one.sadd("s", *range(20))
        popped = [await one.spop("s"), *await one.spop("s", 4)]
        members = await one.smembers("s")
        popped += await one.spop("s", 100)
        return [len(set(popped)), len(members), members.isdisjoint(popped[:5])], await one.exists("s")

    assert run_story(store, story) == ([20, 15, True], 0)


def test_another_seed_draws_otherwise(store: Store) -> None:
    async def story() -> Any:
        one = client()
        await one.sadd("s", *range(50))
        await one.mset({f"key:{i}": i for i in range(20)})
        return [await one.spop("s", 5), await one.scan(0), await one.keys()]

    first, again, other = (run_story(store, story, seed) for seed in (1, 1, 2))
    assert first == again
    assert all(one != another for one, another in zip(first, other, strict=True))


@pytest.mark.parametrize("options", [{}, {"match": "key:*"}, {"match": "key:1*", "count": 3}, {"_type": "hash"}])
def test_a_scan_finds_what_stays_and_finds_it_once(store: Store, options: dict[str, Any]) -> None:
    async def story() -> tuple[list[str], list[str]]:
        one = client()
        await one.mset({f"key:{i}": i for i in range(40)})
        for i in range(30):
            await one.hset(f"hash:{i}", "f", "v")
        wanted = [key async for key in one.scan_iter(**options)]
        found = []
        async for key in one.scan_iter(**options):
            found.append(key)
            await one.set(f"new:{len(found)}", 1)
            await one.delete(f"hash:{len(found)}" if "_type" not in options else f"key:{len(found)}")
        stays = [key for key in wanted if await one.exists(key)]
        return stays, [key for key in found if key in stays]

    stays, found = run_story(store, story)
    assert len(stays) >= 5
    assert sorted(found) == sorted(stays)


def test_large_collections_come_in_pages(store: Store) -> None:
    async def story() -> list[Any]:
        one = client()
        await one.zadd("z", {f"m{i}": i for i in range(300)})
        cursor, page = await one.zscan("z", 0, count=20)
        every = [pair async for pair in one.zscan_iter("z")]
        return [cursor > 0, len(page), len(every), len(dict(every))]

    assert run_story(store, story) == [True, 20, 300, 300]


REFUSED: list[tuple[list[Words], str]] = [
    ([("MULTI",), ("SPOP", "s"), ("EXEC",)], "SPOP s was sent inside of a transaction"),
    ([("MULTI",), ("INFO",), ("EXEC",)], "INFO was sent inside of a transaction"),
    ([("EVAL", "return redis.call('spop', 's')", 0)], "a script was sent to Redis that calls SPOP"),
    ([("EVAL", 'return redis.pcall( "RANDOMKEY" )', 0)], "a script was sent to Redis that calls RANDOMKEY"),
    ([("SCRIPT", "LOAD", "redis.call('MIGRATE', 'h', 1, 'k', 0, 9)")], "calls MIGRATE, but it connects"),
    ([("EVAL", "return redis.call('SUNION', 's', 't')", 0)], "calls SUNION, but there the server lists sets"),
    ([("CLIENT", "LIST")], "the connections of the harness"),
    ([("CLIENT", "TRACKING", "ON", "REDIRECT", "3")], "connections have other numbers"),
    ([("OBJECT", "IDLETIME", "s")], "real time and memory"),
    ([("SLOWLOG", "GET")], "real time and memory"),
    ([("ACL", "GENPASS")], "by chance"),
]


@pytest.mark.parametrize(("packet", "what"), REFUSED, ids=[" ".join(map(str, packet[-1])) for packet, _ in REFUSED])
def test_what_would_differ_by_chance_ends_the_run(server: Store, packet: list[Words], what: str) -> None:
    async def story() -> None:
        _, writer = await asyncio.open_connection("redis", 6379)
        writer.write(b"".join(command(*words) for words in packet))

    with pytest.raises(Escaped, match=rf"{what}.*\(tests/simulation/test_random_commands.py:\d+ in story\)"):
        run_story(server, story)


def test_a_script_lists_a_set_on_a_server_only(embedded: Laboratory) -> None:
    """A set of one member has an order on fakeredis, too."""

    async def story(*members: str) -> list[str]:
        one = client()
        await one.sadd("s", *members)
        listed = one.register_script("return redis.call('SMEMBERS', KEYS[1])")
        await listed(keys=["s"])
        return list(await listed(keys=["s"]))

    assert run_story(embedded.store, partial(story, "a")) == ["a"]
    with pytest.raises(StoreUnavailable, match="a script lists a set of several members"):
        run_story(embedded.store, partial(story, "a", "b"))


def test_connections_are_those_of_the_run(server: Store) -> None:
    async def story() -> list[Any]:
        first, second, third = client(), client(), client()
        ids = [await one.client_id() for one in (first, second, third)]
        real, about = await first.info(), await second.client_info()
        settings = await first.config_get("*")
        return [
            *(ids, real["connected_clients"], real["tcp_port"], real["uptime_in_seconds"], real["used_memory_human"]),
            *(str(about["id"]), about["laddr"], settings["dir"], settings["hash-max-listpack-value"]),
        ]

    heard = run_story(server, story)
    assert heard == [[1, 2, 3], 3, 6379, 0, "1.00M", "2", "10.0.0.1:6379", "/data", "64"]
