"""The network: order on a wire, faults at each of the four points, pushes, and what a crash leaves behind."""

import asyncio

import pytest
import redis.asyncio
import redis.exceptions

from simulation.kernel.environment import SECOND
from simulation.kernel.epoch import EPOCH
from simulation.kernel.event_loop import SimulatedLoop
from simulation.kernel.process import Process
from simulation.kernel.random_streams import Streams
from simulation.scenario.distributions import Constant, Distribution, Uniform
from simulation.stores.protocol import Store
from simulation.stores.resp import command
from simulation.world.network import Network
from simulation.world.packets import Fate, Packet

pytestmark = pytest.mark.usefixtures("without_leftovers")

Client = redis.asyncio.Redis
HALF_A_MILLISECOND = Constant(500)


def world(store: Store, latency: Distribution = HALF_A_MILLISECOND) -> tuple[SimulatedLoop, Network]:
    store.begin(EPOCH)
    loop = SimulatedLoop()
    return loop, Network(loop, store, latency, Streams(1))


def once(network: Network, verb: bytes, fate: Fate) -> list[int]:
    """Give the first packet with this verb a fate; return the list that its number will be in."""
    packets: list[int] = []

    def fault(packet: Packet) -> Fate | None:
        if packet.commands[0][0] == verb and not packets:
            packets.append(packet.number)
            return fate
        return None

    network.faults.append(fault)
    return packets


def test_a_round_trip_takes_two_latencies(server: Store) -> None:
    loop, _ = world(server)

    async def story() -> int:
        client = Client(host="redis")
        await client.ping()
        before = loop.now
        await client.get("nothing")
        return loop.now - before

    assert loop.run_until_complete(story()) == 1_000


BUSY_SCRIPT = "for i = 1, 2000 do redis.call('SET', KEYS[1], i) end return redis.call('TIME')"
"""Asks for the time so often that the server's clock moves on by itself, by more than a microsecond."""


@pytest.mark.parametrize("words", [("TIME",), ("EVAL", BUSY_SCRIPT, 1, "key")])
def test_no_time_passes_within_a_packet(server: Store, words: tuple[str | int, ...]) -> None:
    loop, _ = world(server)

    async def story() -> set[tuple[int, int]]:
        pipeline = Client(host="redis").pipeline(transaction=False)
        for _ in range(600 if words == ("TIME",) else 5):
            pipeline.execute_command(*words)
        return {tuple(map(int, shown)) for shown in await pipeline.execute()}

    assert len(loop.run_until_complete(story())) == 1


def test_packets_of_one_wire(server: Store) -> None:
    """Packets of one wire never overtake each other."""
    loop, _ = world(server, Uniform(1, 50_000))

    async def story() -> list[bytes]:
        reader, writer = await asyncio.open_connection("redis", 6379)
        for i in range(30):
            writer.write(command("RPUSH", "list", i))
            writer.write(command("ECHO", i))
        echoes = []
        for _ in range(30):
            await reader.readline()  # the length of the list
            await reader.readline()  # the length of the echo
            echoes.append((await reader.readline()).strip())
        writer.close()
        return echoes

    assert loop.run_until_complete(story()) == [b"%d" % i for i in range(30)]
    assert server.link().execute(command("LINDEX", "list", -1), 1) == b"$2\r\n29\r\n"


def test_packets_of_different_wires(server: Store) -> None:
    """Packets of different wires do overtake each other."""
    loop, _ = world(server, Uniform(1, 50_000))

    async def story() -> None:
        clients = [Client(host="redis") for _ in range(20)]
        await asyncio.gather(*(client.rpush("list", i) for i, client in enumerate(clients)))

    loop.run_until_complete(story())
    stored = server.link().execute(command("LRANGE", "list", 0, -1), 1)
    order = [int(line) for line in stored.split(b"\r\n")[2::2]]
    assert sorted(order) == list(range(20))
    assert order != sorted(order)


def test_a_lost_request_is_not_executed(server: Store) -> None:
    loop, network = world(server)
    packets = once(network, b"RPUSH", Fate(deliver=False))
    loop.run_until_complete(Client(host="redis").rpush("list", "x"))
    assert packets
    assert server.link().execute(command("LLEN", "list"), 1) == b":1\r\n"  # the retry's, alone


def test_a_lost_reply_leaves_the_command_executed(server: Store) -> None:
    loop, network = world(server)
    packets = once(network, b"RPUSH", Fate(answer=False))
    loop.run_until_complete(Client(host="redis").rpush("list", "x"))
    assert packets
    assert server.link().execute(command("LLEN", "list"), 1) == b":2\r\n"


def test_error_reply(server: Store) -> None:
    """An error reply reaches the client and nothing is executed."""
    loop, network = world(server)
    once(network, b"RPUSH", Fate(error=b"OOM command not allowed"))
    with pytest.raises(redis.exceptions.OutOfMemoryError):
        loop.run_until_complete(Client(host="redis").rpush("list", "x"))
    assert server.link().execute(command("LLEN", "list"), 1) == b":0\r\n"


@pytest.mark.parametrize(("fate", "delay"), [(Fate(request_delay=70_000), 71_000), (Fate(reply_delay=30_000), 31_000)])
def test_a_delay_adds_to_the_latency(server: Store, fate: Fate, delay: int) -> None:
    loop, network = world(server)
    once(network, b"GET", fate)

    async def story() -> int:
        client = Client(host="redis")
        await client.ping()
        before = loop.now
        await client.get("nothing")
        return loop.now - before

    assert loop.run_until_complete(story()) == delay


def test_cut_off_consumer(server: Store) -> None:
    """A consumer that is cut off cannot connect and others can."""
    loop, network = world(server)
    network.gate = lambda consumer: consumer != "c1"

    async def story() -> bool:
        return bool(await Client(host="redis", retry=None, socket_connect_timeout=1).ping())

    alone = loop.spawn(story(), Process("c1"))
    other = loop.spawn(story(), Process("c2"))
    loop.run_while(lambda: not (alone.done() and other.done()))
    assert isinstance(alone.exception(), redis.exceptions.ConnectionError)
    assert other.result() is True


def test_packets_of_a_crashed_consumer(server: Store) -> None:
    """What a crashed consumer has sent still arrives."""
    loop, network = world(server)
    process = Process("c1")

    async def victim() -> None:
        client = Client(host="redis")
        await client.ping()
        await client.set("written", "yes")
        await client.set("after", "never")

    def crash_on_set(packet: Packet) -> Fate | None:
        if packet.commands[0][0] == b"SET":
            loop.in_world(100, loop.kill, process)
            loop.in_world(100, network.sever, "c1")
        return None

    network.faults.append(crash_on_set)
    loop.spawn(victim(), process)
    loop.run_while(lambda: True)
    link = server.link()
    assert link.execute(command("GET", "written"), 1) == b"$3\r\nyes\r\n"
    assert link.execute(command("EXISTS", "after"), 1) == b":0\r\n"
    loop.close()


@pytest.mark.parametrize("kind", ["laboratory", "embedded"])
def test_published_messages(kind: str, request: pytest.FixtureRequest) -> None:
    """What is published reaches the subscribers."""
    loop, _ = world(request.getfixturevalue(kind).store)

    async def listen() -> bytes:
        async with Client(host="redis").pubsub() as pubsub:
            await pubsub.subscribe("channel")
            while True:
                message = await pubsub.get_message(ignore_subscribe_messages=True, timeout=60)
                if message is not None:
                    return bytes(message["data"])

    async def story() -> tuple[bytes, int]:
        heard = asyncio.ensure_future(listen())
        await asyncio.sleep(1)
        before = loop.now
        await Client(host="redis").publish("channel", "now")
        return await heard, loop.now - before

    message, passed = loop.run_until_complete(story())
    assert message == b"now"
    assert passed < SECOND


def test_protocol_that_cannot_read(server: Store) -> None:
    """A protocol that cannot read what arrives loses its connection."""
    loop, network = world(server)
    lost: list[Exception | None] = []

    class Illiterate(asyncio.Protocol):
        def data_received(self, data: bytes) -> None:
            raise ValueError(data)

        def connection_lost(self, error: Exception | None) -> None:
            lost.append(error)

    async def story() -> None:
        wire, _ = await network.connect(Illiterate, None)
        wire.write(command("PING"))
        await asyncio.sleep(1)
        assert wire.is_closing()

    loop.run_until_complete(story())
    assert repr(lost) == repr([ValueError(b"+PONG\r\n")])
    assert [failure["exception"] for failure in loop.failures] == lost


def test_closing_a_wire_closes_the_link_behind_it(server: Store) -> None:
    loop, network = world(server)

    async def story() -> None:
        async with Client(host="redis") as client:
            await client.ping()

    loop.run_until_complete(story())
    loop.run_while(lambda: True)
    assert not network._wires
