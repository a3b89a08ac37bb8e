"""Sentinels and clusters in virtual time: redis-py's own clients for them, as they are."""

from __future__ import annotations

import asyncio
import re
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from hashlib import sha256
from pathlib import Path
from subprocess import run as start
from typing import Any

import pytest
import redis.asyncio
from redis.asyncio.cluster import RedisCluster
from redis.asyncio.sentinel import Sentinel
from redis.exceptions import AskError, MovedError, ReadOnlyError, ResponseError, TryAgainError

from simulation import Laboratory, Run, loads
from simulation.cli import main
from simulation.kernel.epoch import EPOCH
from simulation.kernel.escapes import Escaped
from simulation.kernel.event_loop import SimulatedLoop
from simulation.kernel.random_streams import Streams
from simulation.scenario.distributions import Constant
from simulation.scenario.errors import BadScenario
from simulation.scenario.faults import FAULTS
from simulation.scenario.swarm import check, draw
from simulation.scenario.topology import TopologyTable
from simulation.stores.cluster import Cluster
from simulation.stores.protocol import Store, StoreUnavailable
from simulation.world.network import Network
from simulation.world.topology import open_topology

pytestmark = pytest.mark.usefixtures("without_leftovers")

NATIVE = """
name = "t"
workload.events = [
  { name = "b", follows = "a" },
  { name = "a", at = "500ms" },
  { name = "c", follows = "b", at = "2s" },
  { name = "d", follows = "c", at = "6s" },
]
consumers = { count = 2, handler_time = "300ms" }
"""
PROGRAM = """
name = "t"
workload = { kind = "chains", count = 2, length = 1 }
producer = { to = "list", key = "orders" }
judge = { preset = "queue", horizon = "10m" }
"""
SENTINEL, CLUSTER = 'topology.kind = "sentinel"\n', 'topology.kind = "cluster"\n'
HERE = "tests.simulation.topologies"


def world(store: Store, kind: str, **more: Any) -> tuple[SimulatedLoop, Network]:
    topology = open_topology(TopologyTable(kind=kind, **more), store)
    topology.store.begin(EPOCH)
    loop = SimulatedLoop()
    return loop, Network(loop, topology.store, Constant(500), Streams(1), topology=topology)


def run_story(store: Store, kind: str, story: Callable[[Network], Awaitable[Any]], **more: Any) -> Any:
    """Run a story in a world of its own, and close that."""
    loop, network = world(store, kind, **more)
    loop.on_escape = lambda error: None
    try:
        return loop.run_until_complete(story(network))
    finally:
        loop.close()
        network.close()


def client(host: str, port: int = 6379, **options: Any) -> redis.asyncio.Redis:
    return redis.asyncio.Redis(host=host, port=port, retry=None, **options)


def run(laboratory: Laboratory, text: str, engine: str = "native", seed: int = 1) -> Run:
    return laboratory.run(loads(text), seed, engine)


def fault(kind: str, **keys: str) -> str:
    return f'[[faults]]\nkind = "{kind}"\n' + "".join(f'{k.rstrip("_")} = "{v}"\n' for k, v in keys.items())


# -- sentinels ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", [2, 3])
def test_sentinels_and_roles(server: Store, protocol: int) -> None:
    """Sentinels name the servers and these their roles."""

    async def story(_: Network) -> Any:
        sentinel = Sentinel([("sentinel-1", 26379), ("sentinel-3", 26379)], sentinel_kwargs={"protocol": protocol})
        primary, replicas = await sentinel.discover_master("mymaster"), await sentinel.discover_slaves("mymaster")
        [asked, _] = sentinel.sentinels
        state = await asked.sentinel_master("mymaster")
        others = await asked.sentinel_sentinels("mymaster")
        roles = [(await one.role())[0] for one in map(client, ("10.0.0.1", "redis-2", "redis-3"))]
        kinds = [(await one.info("replication"))["role"] for one in map(client, ("redis", "redis-2"))]
        everything = (await client("redis-3").info())["master_host"]
        return primary, replicas, state["num-slaves"], len(others), roles, kinds, everything

    primary, replicas, slaves, others, roles, kinds, master_host = run_story(server, "sentinel", story, replicas=2)
    assert (primary, replicas) == (("10.0.0.1", 6379), [("10.0.0.2", 6379), ("10.0.0.3", 6379)])
    assert (int(slaves), others) == (2, 2)
    assert [str(role, "ascii") for role in roles] == ["master", "slave", "slave"]
    assert (kinds, master_host) == (["master", "slave"], "10.0.0.1")


def test_a_replica_reads_and_does_not_write(server: Store) -> None:
    async def story(_: Network) -> Any:
        sentinel = Sentinel([("sentinel-2", 26379)])
        await sentinel.master_for("mymaster").set("key", "value")
        replica = sentinel.slave_for("mymaster")
        with pytest.raises(ReadOnlyError):
            await replica.set("key", "other")
        return await replica.get("key")

    assert run_story(server, "sentinel", story, current_replicas=True) == b"value"


@pytest.mark.parametrize("words", [("GET", "key"), ("XREAD", "BLOCK", 10, "STREAMS", "s", "0"), ("EVAL_RO", "", 0)])
def test_how_far_a_replica_is_behind_is_refused(server: Store, words: tuple[Any, ...]) -> None:
    """What it says of itself, and that it does not write, is known; what it has is not."""

    async def story(_: Network) -> None:
        replica = Sentinel([("sentinel-2", 26379)]).slave_for("mymaster")
        await replica.ping()
        await replica.info("replication")
        with pytest.raises(ReadOnlyError):
            await replica.set("key", "other")
        await replica.execute_command(*words)

    with pytest.raises(Escaped, match=rf"{words[0]}.* was sent to the replica 10.0.0.2:6379, but how far it is behind"):
        run_story(server, "sentinel", story)


def test_a_replica_refuses_what_writes(server: Store) -> None:
    async def story(network: Network) -> list[Any]:
        await client("redis-1").mset({"key": "value", "other": 1})
        replica = client("redis-2")
        piped = replica.pipeline(transaction=False).get("key").set("key", 1).get("other")
        together = replica.pipeline(transaction=True).get("key").incr("other")
        with pytest.raises(ReadOnlyError):
            await together.execute()
        scripts = [await replica.eval("return redis.call('GET', KEYS[1])", 1, "key")]
        for script in ("return redis.call('INCR', KEYS[1])", "redis.call('GET', 'key') redis.call('SET', KEYS[1], 3)"):
            with pytest.raises(ReadOnlyError):
                await replica.eval(script, 1, "other")
        replies = await piped.execute(raise_on_error=False)
        return [replies[0], type(replies[1]), replies[2], *scripts, await client("redis-1").get("other")]

    replies = run_story(server, "sentinel", story, current_replicas=True)
    assert replies == [b"value", ReadOnlyError, b"1", b"value", b"1"]


def test_wait_counts_replicas(server: Store) -> None:
    """WAIT returns how many replicas have what its client has written, after their lag."""

    async def story(network: Network) -> list[Any]:
        loop, found = asyncio.get_running_loop(), []
        one = client("redis-1", single_connection_client=True, socket_timeout=None)
        for lag, asked, milliseconds in ((0, 2, 100), (0, 3, 100), (50_000, 1, 0), (50_000, 2, 20), (50_000, 3, 100)):
            network.replicas = network.replicas._replace(lag=lag)
            await one.set("key", 1)
            before = loop.time()
            count = await one.execute_command("WAIT", asked, milliseconds)
            found.append((count, round((loop.time() - before) * 1000)))
        await asyncio.sleep(1)
        return [*found, await one.execute_command("WAIT", 1, 100)]

    # A round trip takes a millisecond; the lag counts from the write, half a millisecond before its reply.
    expected = [(2, 1), (2, 101), (2, 50), (0, 21), (2, 101)]
    assert run_story(server, "sentinel", story, replicas=2) == [*expected, 2]


def test_sentinel_client_follows_primary(server: Store) -> None:
    """A client of sentinels follows the primary."""

    async def story(network: Network) -> Any:
        primary = Sentinel([("sentinel-1", 26379)]).master_for("mymaster")
        await primary.set("key", 1)
        network.demote(lambda packet: refused.append(packet.commands[0][0]))
        with pytest.raises(redis.asyncio.ConnectionError, match="now a slave"):
            await primary.incr("key")
        await primary.incr("key")
        with pytest.raises(ReadOnlyError):
            await client("redis-1").incr("key")
        return await client("redis-2").get("key")

    refused: list[bytes] = []
    assert run_story(server, "sentinel", story) == b"2"
    assert refused == [b"INCRBY", b"INCRBY"]


def test_sentinels_know_that_a_primary_has_died(server: Store) -> None:
    async def story(network: Network) -> Any:
        network.topology.primary.is_up = False
        sentinel = Sentinel([("sentinel-1", 26379)])
        with pytest.raises(redis.asyncio.sentinel.MasterNotFoundError):
            await sentinel.discover_master("mymaster")
        with pytest.raises(redis.asyncio.ConnectionError):
            await client("redis-1").ping()
        network.topology.promote()
        return await sentinel.discover_master("mymaster"), (await client("redis-1").role())[0]

    assert run_story(server, "sentinel", story) == (("10.0.0.2", 6379), b"slave")


@pytest.mark.parametrize(
    ("kind", "keys"), [("failover", {"lag": "0s", "for_": "2s"}), ("server-demoted", {"for_": "20s"})]
)
def test_native_after_sentinel_failover(laboratory: Laboratory, kind: str, keys: dict[str, str]) -> None:
    """Native goes on after a failover by sentinels."""
    result = run(laboratory, NATIVE + SENTINEL + fault(kind, at="700ms", **keys))
    assert result.verdict == "holds"
    assert Counter(e.details["fault"] for e in result.history.of("fault"))[kind] >= 1
    assert not result.silent_faults


@pytest.mark.parametrize("command", [("SENTINEL", "RESET", "*"), ("GET", "key"), ("SUBSCRIBE", "+switch-master")])
def test_sentinel_command_not_simulated(server: Store, command: tuple[str, ...]) -> None:
    """What a sentinel is asked beyond that ends the run."""
    loop, network = world(server, "sentinel")
    ends: list[Any] = []
    network.refused = ends.append
    loop.spawn(client("sentinel-1", 26379).execute_command(*command), None)
    loop.run_while(lambda: not ends)
    assert isinstance(ends[0], Escaped)
    assert command[0] in str(ends[0])
    loop.close()
    network.close()


# -- clusters ----------------------------------------------------------------------------------------------------


def test_a_cluster_client_finds_each_slot(server: Store) -> None:
    async def story(network: Network) -> Any:
        async with RedisCluster(host="redis", port=6379) as nodes:
            for i in range(60):
                await nodes.set(f"key {i}", i)
            assert [await nodes.get(f"key {i}") for i in range(60)] == [b"%d" % i for i in range(60)]
            shards = await nodes.execute_command("CLUSTER SHARDS", target_nodes=nodes.get_random_node())
            return len(shards), [await client(f"redis-{i}").dbsize() for i in (1, 2, 3)], nodes.keyslot("key 1")

    shards, sizes, slot = run_story(server, "cluster", story)
    assert (shards, sum(sizes)) == (3, 60)
    assert min(sizes) > 5
    assert 0 <= slot < 16384


def test_the_wrong_node_says_which_is_right(server: Store) -> None:
    async def story(_: Network) -> None:
        one = client("127.0.0.1")
        with pytest.raises(MovedError, match=r"127\.0\.0\.3:6379"):
            await one.get("foo")  # slot 12182
        with pytest.raises(ResponseError, match="same slot"):
            await one.mget("foo", "bar")
        nodes = (await one.execute_command("CLUSTER NODES")).values()
        assert {state["connected"] for state in nodes} == {True}

    run_story(server, "cluster", story)


SCRIPT = "redis.call('GET', '{x}a') return redis.call('GET', '{x}b')"


def test_a_slot_that_moves_is_in_two_places(server: Store) -> None:
    async def story(network: Network) -> None:
        cluster = network.store
        assert isinstance(cluster, Cluster)
        slot, source = cluster.owner_of("{x}")
        target = (source + 1) % 3
        old, new = client(f"redis-{source + 1}"), client(f"redis-{target + 1}")
        nodes = RedisCluster(host="redis", port=6379)
        await nodes.mset({"{x}a": 1, "{x}b": 2, "{x}lasts": 3})
        await nodes.pexpire("{x}lasts", 60_000)
        cluster.begin_migration(slot, source, target)
        for key in (b"{x}b", b"{x}lasts"):
            cluster.move_key(key, source, target)
        assert await old.get("{x}a") == b"1"
        with pytest.raises(AskError):
            await old.get("{x}b")
        with pytest.raises(TryAgainError):
            await old.mget("{x}a", "{x}b")
        with pytest.raises(ResponseError, match=r"non local key|rehashing of the slot"):
            await old.eval(SCRIPT, 1, "{x}a")
        with pytest.raises(MovedError):
            await new.get("{x}b")
        assert [await nodes.get(key) for key in ("{x}a", "{x}b", "{x}lasts")] == [b"1", b"2", b"3"]
        await nodes.set("{x}new", 4)
        assert cluster.keys_in(slot, target) == [b"{x}b", b"{x}lasts", b"{x}new"]
        cluster.move_key(b"{x}a", source, target)
        cluster.end_migration(slot, target)
        with pytest.raises(MovedError):
            await old.get("{x}a")
        assert await nodes.get("{x}a") == b"1"
        assert 50_000 < await nodes.pttl("{x}lasts") <= 60_000

    run_story(server, "cluster", story)


def test_expired_key_in_a_slot(server: Store) -> None:
    """A key that has lapsed does not hold up its slot."""

    async def story(network: Network) -> None:
        cluster, nodes = network.store, RedisCluster(host="redis", port=6379)
        assert isinstance(cluster, Cluster)
        await nodes.set("{x}a*[b", 1, px=10)
        slot, source = cluster.owner_of("{x}")
        cluster.begin_migration(slot, source, (source + 1) % 3)
        cluster.set_time(60_000_000)
        for key in cluster.keys_in(slot, source):
            cluster.move_key(key, source, (source + 1) % 3)
        cluster.end_migration(slot, (source + 1) % 3)
        assert not cluster.all_keys()

    run_story(server, "cluster", story)


MOVES = NATIVE + CLUSTER + fault("slot-migrates", at="600ms", for_="3s")


def test_native_holds_while_its_slot_moves(laboratory: Laboratory) -> None:
    result = run(laboratory, MOVES)
    answers = Counter(word for e in result.history.of("fault") for word in e.details["answers"])
    assert answers["ASK"] > 0
    assert answers["TRYAGAIN"] > 0
    assert result.judgement.coverage["slot-in-two-places"] == len(list(result.history.of("fault")))
    assert result.verdict == "holds"


def test_run_after_a_slot_moved(laboratory: Laboratory) -> None:
    """A run after a slot has moved is as before."""
    first = run(laboratory, MOVES)
    assert [run(laboratory, MOVES).digest for _ in range(2)] == [first.digest] * 2


IN_ANOTHER_PROCESS = """
import sys
from simulation import Laboratory
from tests.simulation.test_topology import traced
with Laboratory("server") as laboratory:
    print(*[traced(laboratory, text) for text in sys.argv[1:]])
"""


def traced(laboratory: Laboratory, text: str) -> str:
    """Return a digest of all that is said in a run, every command and reply included."""
    entries = laboratory.run(loads(text), 1, "native", trace=True).history
    said = "".join(f"{e.at} {e.kind} {e.event} {e.consumer} {e.details}" for e in entries)
    return sha256(said.encode()).hexdigest()


def test_two_processes_give_one_history(laboratory: Laboratory) -> None:
    texts = [MOVES, NATIVE + SENTINEL + fault("failover", at="700ms", lag="100ms")]
    asked = [sys.executable, "-c", IN_ANOTHER_PROCESS, *texts]
    other = start(asked, capture_output=True, text=True, check=True, timeout=120)
    assert other.stdout.split() == [traced(laboratory, text) for text in texts]


@pytest.mark.parametrize("kind", ["server", "script"])
def test_messages_on_all_nodes(server: Store, kind: str) -> None:
    """A message reaches the listeners of all nodes."""

    async def story(_: Network) -> Any:
        listeners = [client(f"redis-{i}").pubsub(ignore_subscribe_messages=True) for i in (1, 2, 3)]
        for listener in listeners:
            await listener.subscribe("news")
            await listener.get_message(timeout=1)  # that it has subscribed
        if kind == "server":
            await client("redis-2").publish("news", "1")
        else:
            await client("redis-2").eval("return redis.call('PUBLISH', 'news', '1')", 0)
        heard = [await listener.get_message(timeout=1) for listener in listeners]
        more = [await listener.get_message(timeout=1) for listener in listeners]
        return [message["data"] for message in heard if message], more

    assert run_story(server, "cluster", story) == ([b"1"] * 3, [None] * 3)


def test_waiting_for_a_leader_on_a_cluster(laboratory: Laboratory) -> None:
    """A consumer that waits for a leader on a cluster learns of its end."""
    text = NATIVE.replace('"500ms"', '"0s"').replace('"2s"', '"100ms"') + CLUSTER
    result = run(laboratory, text, "native-waiting")
    assert result.verdict == "holds"
    assert result.judgement.coverage["waited-for-leader"] >= 1


def test_a_client_waits_for_a_key_whose_slot_moves(server: Store) -> None:
    async def story(network: Network) -> Any:
        cluster = network.store
        assert isinstance(cluster, Cluster)
        slot, source = cluster.owner_of("{x}")
        old, new = f"redis-{source + 1}", f"redis-{(source + 1) % 3 + 1}"
        at_the_old = asyncio.create_task(_blpop(old, asking=False))
        await asyncio.sleep(1)
        cluster.begin_migration(slot, source, (source + 1) % 3)
        with pytest.raises(AskError):
            await _blpop(old, asking=False)
        with pytest.raises(MovedError):
            await _blpop(new, asking=False)
        at_the_new = [asyncio.create_task(_blpop(new, asking=True)) for _ in range(2)]
        await asyncio.sleep(1)
        nodes = RedisCluster(host="redis", port=6379)
        await nodes.rpush("{x}q", "first")
        served = await at_the_new[0]
        network.blocking.serve()
        assert not at_the_old.done()
        cluster.end_migration(slot, (source + 1) % 3)
        network.blocking.serve()
        with pytest.raises(MovedError):
            await at_the_old
        await nodes.rpush("{x}q", "second")
        return served[1], (await at_the_new[1])[1]

    assert run_story(server, "cluster", story) == (b"first", b"second")


async def _blpop(host: str, *, asking: bool) -> Any:
    one = client(host, single_connection_client=True, socket_timeout=None)
    if asking:
        await one.execute_command("ASKING")
    return await one.blpop(["{x}q"])


# -- refused -----------------------------------------------------------------------------------------------------


def test_a_cluster_needs_servers(embedded: Laboratory) -> None:
    with pytest.raises(StoreUnavailable, match="--store server"):
        run(embedded, NATIVE + CLUSTER)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (NATIVE + CLUSTER + fault("failover", at="1s", lag="1s"), "'failover' needs topology.kind"),
        (NATIVE + fault("slot-migrates", at="1s", for_="1s"), "'slot-migrates' needs topology.kind"),
        (NATIVE + CLUSTER + 'client.pool = "wait"\n', "key 'pool'"),
        (NATIVE + 'topology = { kind = "sentinel", nodes = 5 }\n', "'nodes' is for kind"),
        (NATIVE + 'topology = { kind = "clusters" }\n', "topology"),
    ],
)
def test_a_topology_agrees_with_the_rest(text: str, says: str) -> None:
    with pytest.raises(BadScenario, match=re.escape(says)):
        loads(text)


@pytest.mark.parametrize("kind", ["sentinel", "cluster"])
@pytest.mark.parametrize(("engine", "says"), [("elsewhere", "somewhere:6379"), ("administrator", "CLUSTER SETSLOT")])
def test_command_not_in_the_topology(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str, engine: str, says: str
) -> None:
    """What a topology does not have ends the run."""
    file = tmp_path / "t.toml"
    file.write_text(PROGRAM + f'topology.kind = "{kind}"\n', encoding="utf-8")
    assert main(["run", str(file), "--engine", f"{HERE}:{engine}", "--no-results", "--store", "server"]) == 3
    assert says in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize("engine", ["by_sentinel", "by_cluster"])
def test_a_program_brings_its_own_client(laboratory: Laboratory, engine: str) -> None:
    text = PROGRAM + f'topology.kind = "{engine.removeprefix("by_")}"\n'
    result = run(laboratory, text, f"{HERE}:{engine}")
    assert result.verdict == "holds"
    assert len(list(result.history.of("started"))) == 2


def test_steps_cannot_be_chosen_in_a_cluster(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "t.toml"
    file.write_text(NATIVE + CLUSTER, encoding="utf-8")
    asked = ["run", str(file), "--strategy", "random-walk", "--no-results", "--store", "server"]
    assert main(asked) == 4
    assert "cannot be chosen in a cluster" in capsys.readouterr().err


SWARM = """
[swarm.choose]
"topology.kind" = [{kinds}]
[[swarm.faults]]
kind = "failover"
chance = 1
at = ["700ms"]
lag = "0s"
[[swarm.faults]]
kind = "slot-migrates"
chance = 1
at = ["700ms"]
for = "2s"
"""


def test_swarm_topologies() -> None:
    """A swarm draws topologies and the faults that suit."""
    swarm = loads(NATIVE + SWARM.format(kinds='"single", "sentinel", "cluster"'))
    drawn = {
        (world.topology.kind, *(f.name for f in world.faults)) for world in (draw(swarm, n).scenario for n in range(30))
    }
    assert drawn == {("single", "failover"), ("sentinel", "failover"), ("cluster", "slot-migrates")}
    with pytest.raises(BadScenario, match="'slot-migrates' can strike in no topology"):
        check(loads(NATIVE + SWARM.format(kinds='"single", "sentinel"')))


@pytest.mark.parametrize(
    ("engine", "kind", "faults"),
    [
        ("by_sentinel", "sentinel", ""),
        ("by_sentinel", "sentinel", fault("server-demoted", at="10ms", for_="1s")),
        ("by_cluster", "cluster", ""),
        ("moved", "cluster", fault("slot-migrates", at="10ms", for_="3s", key="orders")),
    ],
)
def test_coredis_runs_as_it_is(laboratory: Laboratory, engine: str, kind: str, faults: str) -> None:
    pytest.importorskip("coredis")
    text = PROGRAM.replace("count = 2", 'count = 6, interval = "200ms"') + f'topology.kind = "{kind}"\n' + faults
    result, again = (run(laboratory, text, f"tests.simulation.topologies_coredis:{engine}") for _ in range(2))
    assert result.verdict == "holds"
    assert result.digest == again.digest
    assert not result.silent_faults


def _fault_elsewhere() -> list[tuple[str, str]]:
    kinds = ("sentinel", "cluster")
    return [(kind, name) for kind in kinds for name, fault in FAULTS.items() if kind in fault.topologies]


@pytest.mark.nightly
@pytest.mark.parametrize(("kind", "name"), _fault_elsewhere())
def test_each_fault_strikes_in_each_topology(laboratory: Laboratory, kind: str, name: str) -> None:
    example = loads(FAULTS[name].example)
    result, again = (laboratory.run(example.with_values({"topology.kind": kind}), 1, "native") for _ in range(2))
    assert (result.verdict,) == example.expected.get("native", ("holds",))
    assert result.digest == again.digest
    assert not result.silent_faults
