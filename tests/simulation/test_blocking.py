"""Blocking commands wait in virtual time, are served in order, and end as their client does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import redis.asyncio
import redis.exceptions

from simulation import Laboratory
from simulation.kernel.environment import SECOND
from simulation.kernel.epoch import EPOCH
from simulation.kernel.escapes import Escaped
from simulation.kernel.event_loop import SimulatedLoop
from simulation.kernel.process import Process
from simulation.kernel.random_streams import Streams
from simulation.scenario.distributions import Constant
from simulation.stores import links
from simulation.stores.protocol import Store, StoreUnavailable
from simulation.stores.redis_server import ServerStore
from simulation.world.network import Network
from simulation.world.packets import Fate, Packet

pytestmark = pytest.mark.usefixtures("without_leftovers")

Client = redis.asyncio.Redis
Story = Callable[[SimulatedLoop], Coroutine[Any, Any, Any]]


@pytest.fixture(params=["server", "embedded"])
def any_store(request: pytest.FixtureRequest) -> Store:
    """A store that knows the blocking commands of lists."""
    laboratory: Laboratory = request.getfixturevalue("laboratory" if request.param == "server" else "embedded")
    return laboratory.store


@pytest.fixture(params=["server", "embedded"])
def full_store(request: pytest.FixtureRequest) -> Store:
    """A store that knows streams and sorted sets as well."""
    laboratory: Laboratory = request.getfixturevalue("laboratory" if request.param == "server" else "embedded")
    return laboratory.store


def world(store: Store) -> tuple[SimulatedLoop, Network]:
    store.begin(EPOCH)
    loop = SimulatedLoop()
    return loop, Network(loop, store, Constant(500), Streams(1))


def run_story(store: Store, story: Story) -> Any:
    loop, network = world(store)
    try:
        return loop.run_until_complete(story(loop))
    finally:
        loop.close()
        network.close()


def client() -> Client:
    return Client(host="redis", protocol=2, driver_info=None, socket_timeout=None)


def _plain(value: Any) -> Any:
    return [_plain(one) for one in value] if isinstance(value, list | tuple) else value


async def after(seconds: float, *words: Any) -> None:
    await asyncio.sleep(seconds)
    await client().execute_command(*words)


CALLS: list[tuple[tuple[Any, ...], tuple[Any, ...], Any]] = [
    (("BLPOP", "q", 5), ("RPUSH", "q", "x"), [b"q", b"x"]),
    (("BLPOP", "p", "q", 0), ("RPUSH", "q", "x"), [b"q", b"x"]),
    (("BRPOP", "q", "1.5"), ("RPUSH", "q", "x", "y"), [b"q", b"y"]),
    (("BLMOVE", "q", "t", "LEFT", "RIGHT", 5), ("RPUSH", "q", "x"), b"x"),
    (("BRPOPLPUSH", "q", "t", 5), ("RPUSH", "q", "x"), b"x"),
]
MORE_CALLS: list[tuple[tuple[Any, ...], tuple[Any, ...], Any]] = [
    (("BZPOPMIN", "z", 5), ("ZADD", "z", 1, "x", 2, "y"), [b"z", b"x", 1.0]),
    (("BZPOPMAX", "z", 5), ("ZADD", "z", 1, "x", 2, "y"), [b"z", b"y", 2.0]),
    (("XREAD", "BLOCK", 5000, "STREAMS", "s", "$"), ("XADD", "s", "9-1", "f", "v"), [[b"s", [[b"9-1", {b"f": b"v"}]]]]),
]
SERVER_CALLS: list[tuple[tuple[Any, ...], tuple[Any, ...], Any]] = [
    (("BLMPOP", 5, 2, "p", "q", "LEFT"), ("RPUSH", "q", "x"), [b"q", [b"x"]]),
    (("BZMPOP", 5, 1, "z", "MIN"), ("ZADD", "z", 1, "x"), [b"z", [[b"x", b"1"]]]),
]


def check_served_and_timed_out(store: Store, call: tuple[Any, ...], push: tuple[Any, ...], reply: Any) -> None:
    async def served(loop: SimulatedLoop) -> tuple[Any, int]:
        pushing = asyncio.create_task(after(1, *push))
        found = await client().execute_command(*call)
        await pushing
        return found, loop.now

    found, moment = run_story(store, served)
    assert _plain(found) == reply
    assert 1_000_000 < moment < 1_010_000

    async def too_late(loop: SimulatedLoop) -> tuple[Any, int]:
        return await client().execute_command(*call), loop.now

    if 0 not in call:
        found, moment = run_story(store, too_late)
        assert not found
        assert moment in (5_002_000, 1_502_000)


@pytest.mark.parametrize(("call", "push", "reply"), CALLS, ids=lambda words: str(words[0]))
def test_a_list_is_waited_for(any_store: Store, call: tuple[Any, ...], push: tuple[Any, ...], reply: Any) -> None:
    check_served_and_timed_out(any_store, call, push, reply)


@pytest.mark.parametrize(("call", "push", "reply"), MORE_CALLS, ids=lambda words: str(words[0]))
def test_sets_and_streams_are_waited_for(
    full_store: Store, call: tuple[Any, ...], push: tuple[Any, ...], reply: Any
) -> None:
    check_served_and_timed_out(full_store, call, push, reply)


@pytest.mark.parametrize(("call", "push", "reply"), SERVER_CALLS, ids=lambda words: str(words[0]))
def test_several_at_once_are_waited_for(
    server: Store, call: tuple[Any, ...], push: tuple[Any, ...], reply: Any
) -> None:
    check_served_and_timed_out(server, call, push, reply)


def test_group_reads(full_store: Store) -> None:
    """A group reads what comes and what it has not acknowledged."""

    async def story(loop: SimulatedLoop) -> list[Any]:
        one = client()
        await one.xgroup_create("s", "g", "$", mkstream=True)
        pushing = asyncio.create_task(after(2, "XADD", "s", "9-1", "f", "v"))
        new = await one.xreadgroup("g", "me", {"s": ">"}, block=10_000)
        await pushing
        again = await one.xreadgroup("g", "me", {"s": "0"}, block=10_000)
        return [new, again, 2_000_000 < loop.now < 2_020_000]

    new, again, in_time = run_story(full_store, story)
    assert new == again == [[b"s", [(b"9-1", {b"f": b"v"})]]]
    assert in_time


def test_first_come_first_served(any_store: Store) -> None:
    async def story(loop: SimulatedLoop) -> list[tuple[bytes, str]]:
        served: list[tuple[bytes, str]] = []

        async def wait(name: str) -> None:
            served.append(((await client().blpop(["q"], timeout=9))[1], name))

        waiting = []
        for name in ("first", "second", "third"):
            waiting.append(asyncio.create_task(wait(name)))
            await asyncio.sleep(0.1)
        await client().rpush("q", "x", "y")
        await client().rpush("q", "z")
        await asyncio.gather(*waiting)
        return sorted(served)

    assert run_story(any_store, story) == [(b"x", "first"), (b"y", "second"), (b"z", "third")]


def test_a_wait_wakes_another_by_what_it_moves(any_store: Store) -> None:
    async def story(loop: SimulatedLoop) -> Any:
        last = asyncio.create_task(client().blpop(["c"], timeout=9))
        moves = [asyncio.create_task(client().blmove(*keys, timeout=9)) for keys in (("b", "c"), ("a", "b"))]
        await asyncio.sleep(1)
        await client().rpush("a", "x")
        return [*await asyncio.gather(*moves), *await last]

    assert run_story(any_store, story) == [b"x", b"x", b"c", b"x"]


def test_a_script_and_a_transaction_wake(server: Store) -> None:
    async def story(loop: SimulatedLoop) -> list[Any]:
        found = []
        for push in (
            lambda one: one.eval("return redis.call('RPUSH', 'q' .. '', 'x')", 0),
            lambda one: one.pipeline(transaction=True).rpush("q", "x").execute(),
        ):
            waiting = asyncio.create_task(client().blpop(["q"], timeout=9))
            await asyncio.sleep(1)
            await push(client())
            found.append((await waiting)[1])
        return [*found, loop.now < 3 * SECOND]

    assert run_story(server, story) == [b"x", b"x", True]


def test_pipeline_behind_a_wait(any_store: Store) -> None:
    """A pipeline goes on behind what it waits for."""

    async def story(loop: SimulatedLoop) -> list[Any]:
        pushing = asyncio.create_task(after(1, "RPUSH", "q", "x", "y"))
        pipeline = client().pipeline(transaction=False)
        pipeline.set("a", 1).blpop(["q"], timeout=5).set("b", 2).blpop(["q"], timeout=5).blpop(["q"], timeout=2)
        replies = await pipeline.execute()
        await pushing
        return [replies[0], replies[1][1], replies[2], replies[3][1], replies[4], loop.now]

    *replies, moment = run_story(any_store, story)
    assert replies == [True, b"x", True, b"y", None]
    assert 3_000_000 < moment < 3_010_000


def test_nothing_blocks_inside_of_a_transaction(server: Store) -> None:
    async def story(loop: SimulatedLoop) -> list[Any]:
        pipeline = client().pipeline(transaction=True)
        pipeline.set("a", 1).blpop(["q"], timeout=5)
        return [await pipeline.execute(), loop.now < SECOND]

    assert run_story(server, story) == [[True, None], True]


def test_what_is_watched_stays_watched(server: Store) -> None:
    async def story(loop: SimulatedLoop) -> list[Any]:
        outcomes = []
        for disturbed in (False, True):
            async with client().pipeline() as pipeline:
                await pipeline.watch("w")
                assert await pipeline.blpop(["q"], timeout=1) is None
                if disturbed:
                    await client().set("w", 1)
                pipeline.multi()
                pipeline.set("done", 1)
                try:
                    outcomes.append(await pipeline.execute())
                except redis.exceptions.WatchError:
                    outcomes.append("disturbed")
        return outcomes

    assert run_story(server, story) == [[True], "disturbed"]


def test_errors_are_those_of_the_command(any_store: Store) -> None:
    async def story(loop: SimulatedLoop) -> list[str]:
        said = []
        await client().set("string", 1)
        for words in (("BLPOP", "string", 1), ("BLPOP", "q", -1), ("BLPOP", "q", "y"), ("BLPOP", "q")):
            try:
                await client().execute_command(*words)
            except redis.exceptions.ResponseError as error:
                said.append(str(error))
        return [*said, str(loop.now < SECOND)]

    wrong, negative, text, short, at_once = run_story(any_store, story)
    assert wrong.startswith("WRONGTYPE")
    assert negative.startswith("timeout is negative")
    assert "timeout is" in text
    assert "wrong number of arguments" in short
    assert at_once == "True"


def test_a_dead_client_takes_nothing_more(any_store: Store) -> None:
    async def story(loop: SimulatedLoop) -> int:
        process = Process("c1")
        loop.spawn(client().blpop(["q"], timeout=0), process)
        await asyncio.sleep(1)
        loop.kill(process)
        loop.network.sever("c1")  # type: ignore[union-attr]
        await asyncio.sleep(1)
        return int(await client().rpush("q", "x"))

    assert run_story(any_store, story) == 1


def test_paused_client(any_store: Store) -> None:
    """A paused client is served and reads it later."""

    async def story(loop: SimulatedLoop) -> tuple[Any, int, int]:
        process = Process("c1")
        waiting = loop.spawn(client().blpop(["q"], timeout=0), process)
        await asyncio.sleep(1)
        loop.pause(process)
        await client().rpush("q", "x")
        left = await client().llen("q")
        await asyncio.sleep(5)
        loop.resume(process)
        return (await waiting)[1], left, loop.now // SECOND

    assert run_story(any_store, story) == (b"x", 0, 6)


def test_a_lost_reply_takes_the_item_with_it(server: Store) -> None:
    loop, network = world(server)
    network.faults.append(lambda packet: Fate(answer=False) if packet.commands[0][0] == b"BLPOP" else None)

    async def story() -> int:
        lonely = Client(host="redis", retry=None)
        pushing = asyncio.create_task(after(1, "RPUSH", "q", "x"))
        with pytest.raises(redis.exceptions.ConnectionError):
            await lonely.blpop(["q"], timeout=5)
        await pushing
        return int(await client().llen("q"))

    assert loop.run_until_complete(story()) == 0


def test_fault_strikes_when_served(server: Store) -> None:
    """A fault that waits for the command strikes when it is served."""
    loop, network = world(server)
    moments: list[int] = []

    def fault(packet: Packet) -> Fate | None:
        return Fate(then=lambda: moments.append(loop.now)) if packet.commands[0][0] == b"BLPOP" else None

    network.faults.append(fault)

    async def story() -> None:
        pushing = asyncio.create_task(after(1, "RPUSH", "q", "x"))
        await client().blpop(["q"], timeout=5)
        await pushing

    loop.run_until_complete(story())
    assert [1_000_000 < moment < 1_010_000 for moment in moments] == [True]


def test_lost_stream_is_reported(server: Store) -> None:
    """A client that waits for a stream receives an error when it is lost."""
    loop, network = world(server)

    async def story() -> str:
        one = client()
        await one.xgroup_create("s", "g", "$", mkstream=True)
        waiting = asyncio.create_task(one.xreadgroup("g", "me", {"s": ">"}, block=0))
        await asyncio.sleep(1)
        server.wipe()
        network.blocking.serve()
        with pytest.raises(redis.exceptions.ResponseError) as refused:
            await waiting
        return str(refused.value)

    assert "NOGROUP" in loop.run_until_complete(story())


def test_value_of_another_type_wakes_groups(server: Store) -> None:
    async def story(loop: SimulatedLoop) -> list[Any]:
        await client().xgroup_create("q", "g", mkstream=True)
        reading = asyncio.create_task(client().xreadgroup("g", "me", {"q": ">"}, block=9_000))
        await asyncio.sleep(1)
        await client().set("q", 1)
        with pytest.raises(redis.exceptions.ResponseError, match="WRONGTYPE"):
            await reading
        await client().delete("q")
        popping = asyncio.create_task(client().blpop(["q"], timeout=9))
        await asyncio.sleep(1)
        await client().set("q", 1)
        await client().delete("q")
        await client().zadd("q", {"x": 1})
        await asyncio.sleep(1)
        still = not popping.done()
        await client().delete("q")
        await client().rpush("q", "x")
        return [still, (await popping)[1]]

    assert run_story(server, story) == [True, b"x"]


def test_what_fakeredis_cannot_execute_ends_the_run(embedded: Laboratory) -> None:
    async def story(loop: SimulatedLoop) -> None:
        await client().set("q", 1)
        await client().xreadgroup("g", "me", {"q": ">"})

    with pytest.raises(StoreUnavailable, match=r"fakeredis cannot execute .*XREADGROUP.*AttributeError"):
        run_story(embedded.store, story)


def test_pipeline_behind_a_blocked_client(any_store: Store) -> None:
    async def story(loop: SimulatedLoop) -> list[Any]:
        waiting = asyncio.create_task(_pipelined(["BLPOP", "q", 9], ["SET", "k", 1]))
        await asyncio.sleep(1)
        replies = await _pipelined(["RPUSH", "q", "x"], ["LLEN", "q"], ["GET", "k"])
        return [*replies, (await waiting)[0][1], await client().get("k")]

    assert run_story(any_store, story) == [1, 0, None, b"x", b"1"]


async def _pipelined(*commands: list[Any]) -> list[Any]:
    pipeline = client().pipeline(transaction=False)
    for words in commands:
        pipeline.execute_command(*words)
    return await pipeline.execute()


def test_a_command_that_need_not_wait_wakes_others(any_store: Store) -> None:
    async def story(loop: SimulatedLoop) -> Any:
        waiting = asyncio.create_task(client().blpop(["b"], timeout=9))
        await client().rpush("a", "x")
        await client().blmove("a", "b", timeout=9)
        return (await waiting)[1]

    assert run_story(any_store, story) == b"x"


@pytest.mark.parametrize(("asked", "milliseconds"), [("0.0000001", 1), ("0.0015", 2), ("0.25", 250)])
def test_a_fraction_of_a_millisecond_is_a_millisecond(any_store: Store, asked: str, milliseconds: int) -> None:
    async def story(loop: SimulatedLoop) -> int:
        one = client()
        await one.ping()
        before = loop.now
        await one.execute_command("BLPOP", "q", asked)
        return loop.now - before - 1000

    assert run_story(any_store, story) == milliseconds * 1000


def test_bad_timeout_ends_the_run(server: Store) -> None:
    async def story(loop: SimulatedLoop) -> None:
        await client().execute_command("BLPOP", "q", "0x10")  # Redis reads it as 16 seconds

    with pytest.raises(Escaped, match="BLPOP q 0x10 was sent to Redis, but how long it waits cannot be read"):
        run_story(server, story)


def test_demotion_wakes_blocked_clients(any_store: Store) -> None:
    loop, network = world(any_store)

    async def story() -> list[Any]:
        one = Client(host="redis", retry=None, single_connection_client=True, socket_timeout=None)
        waiting = asyncio.create_task(one.blpop(["q"], timeout=0))
        await asyncio.sleep(1)
        network.demote(lambda packet: None)
        with pytest.raises(redis.exceptions.ResponseError, match="UNBLOCKED"):
            await waiting
        with pytest.raises(redis.exceptions.ConnectionError, match="Connection lost"):
            await one.ping()
        await client().rpush("q", "x")
        return [await client().llen("q"), (await one.blpop(["q"], timeout=0))[1]]

    assert loop.run_until_complete(story()) == [1, b"x"]
    loop.close()
    network.close()


def test_wait_command(server: Store) -> None:
    """Wait returns the replicas that there are at its deadline."""

    async def story(loop: SimulatedLoop) -> tuple[int, int, int]:
        at_once = await client().execute_command("WAIT", 0, 1000)
        before = loop.now
        return at_once, await client().execute_command("WAIT", 1, 700), loop.now - before

    assert run_story(server, story) == (0, 0, 702_000)


REFUSED: list[tuple[tuple[Any, ...], str]] = [
    (("MONITOR",), "MONITOR was sent to Redis, but it breaks the pairing"),
    (("CLIENT", "REPLY", "OFF"), "CLIENT REPLY was sent to Redis, but it breaks the pairing"),
    (("CLIENT", "PAUSE", "100"), "CLIENT PAUSE was sent to Redis, but it takes real time"),
    (("DEBUG", "SLEEP", "1"), "DEBUG SLEEP was sent to Redis, but it changes the server itself"),
    (("CONFIG", "SET", "maxmemory", "1"), "CONFIG SET was sent"),
    (("CONFIG", "SET", "notify-keyspace-events", "KEA"), "notifications of expired keys"),
    (("SHUTDOWN",), "SHUTDOWN was sent"),
]


@pytest.mark.parametrize(
    ("words", "what"), REFUSED, ids=lambda value: "-".join(value) if isinstance(value, tuple) else ""
)
def test_not_simulated_ends_the_run(server: Store, words: tuple[Any, ...], what: str) -> None:
    """A command that cannot be simulated ends the run."""

    async def story(loop: SimulatedLoop) -> None:
        await client().execute_command(*words)

    with pytest.raises(Escaped, match=rf"{what}.*\(tests/simulation/test_blocking.py:\d+ in story\)"):
        run_story(server, story)


def test_quit(server: Store) -> None:
    async def story(loop: SimulatedLoop) -> list[Any]:
        reader, writer = await asyncio.open_connection("redis", 6379)
        writer.write(b"".join(map(_encoded, (b"SET a 1", b"QUIT", b"SET a 2"))))
        return [await reader.read(), await client().get("a")]

    assert run_story(server, story) == [b"+OK\r\n+OK\r\n", b"1"]


def test_not_resp_ends_the_run(server: Store) -> None:
    """What is not the protocol of Redis ends the run."""

    async def story(loop: SimulatedLoop) -> None:
        _, writer = await asyncio.open_connection("database", 5432)
        writer.write(b"hello\x00there\r\n")

    with pytest.raises(Escaped, match=r"which is not the protocol of Redis|which is not a command"):
        run_story(server, story)


def test_server_without_an_answer(server: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that does not answer is given up."""
    monkeypatch.setattr(links, "READ_SECONDS", 1)
    server.begin(EPOCH)
    link = server._connect()  # type: ignore[attr-defined]
    with pytest.raises(StoreUnavailable, match=r"has not answered within 1 seconds.*BLPOP"):
        link.run([[b"BLPOP", b"nothing", b"0"]])
    link.close()


def test_an_endless_script_ends_its_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """A script that does not end ends its run, and no later one."""

    async def endless(loop: SimulatedLoop) -> None:
        await client().eval("while true do end", 0)

    async def again(loop: SimulatedLoop) -> Any:
        await client().set("a", 1)
        return await client().get("a")

    monkeypatch.setattr(links, "READ_SECONDS", 1)
    store = ServerStore()
    try:
        with pytest.raises(StoreUnavailable, match="has not answered within 1 seconds: 'EVAL while true do end 0'"):
            run_story(store, endless)
        assert run_story(store, again) == b"1"
    finally:
        store.close()


def test_keyspace_notifications(server: Store) -> None:
    async def story(loop: SimulatedLoop) -> Any:
        one = client()
        await one.config_set("notify-keyspace-events", "Kl")
        listening = one.pubsub()
        await listening.psubscribe("__keyspace@0__:*")
        await client().rpush("q", "x")
        return [await listening.get_message(timeout=1) for _ in range(2)][1]

    message = run_story(server, story)
    assert (message["channel"], message["data"]) == (b"__keyspace@0__:q", b"rpush")
    assert server.link().run([[b"CONFIG", b"GET", b"notify-keyspace-events"]]).endswith(b"$0\r\n\r\n")


def test_client_tracking(server: Store) -> None:
    """A client that tracks keys is notified of changes."""

    async def story(loop: SimulatedLoop) -> list[bytes]:
        reader, writer = await asyncio.open_connection("redis", 6379)
        for line in (b"HELLO 3", b"CLIENT TRACKING ON", b"GET a"):
            writer.write(_encoded(line))
            await asyncio.sleep(0.1)
        await client().set("a", 1)
        await asyncio.sleep(0.1)
        return [b"invalidate" in await reader.read(10_000)]

    assert run_story(server, story) == [True]


def _encoded(line: bytes) -> bytes:
    words = line.split()
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)
