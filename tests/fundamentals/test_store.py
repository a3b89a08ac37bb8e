"""The store: a real Redis in virtual time, and a network that can lose a reply after the command was executed."""

import asyncio

import pytest
import redis.asyncio

from simulation.kernel.epoch import EPOCH
from simulation.kernel.event_loop import SimulatedLoop
from simulation.kernel.random_streams import Streams
from simulation.scenario.distributions import Constant
from simulation.stores.protocol import Store
from simulation.world.network import Network
from simulation.world.packets import Fate, Packet

pytestmark = pytest.mark.usefixtures("without_leftovers")


def world(store: Store) -> tuple[SimulatedLoop, Network, redis.asyncio.Redis]:
    store.begin(EPOCH)
    loop = SimulatedLoop()
    return loop, Network(loop, store, Constant(500), Streams(1)), redis.asyncio.Redis(host="redis")


def test_a_ttl_lapses_in_virtual_time(server: Store) -> None:
    loop, _, client = world(server)

    async def story() -> tuple[object, object]:
        await client.set("lease", "mine", px=10_000)
        await asyncio.sleep(9.9)
        before = await client.get("lease")
        await asyncio.sleep(0.2)
        return before, await client.get("lease")

    assert loop.run_until_complete(story()) == (b"mine", None)


def test_lost_reply_is_retried(server: Store) -> None:
    """A reply is lost after the command was executed and the client retries."""
    loop, network, client = world(server)
    lost = []

    def lose_the_first_incr(packet: Packet) -> Fate | None:
        if packet.commands[0][0] == b"INCRBY" and not lost:
            lost.append(packet.number)
            return Fate(answer=False)
        return None

    network.faults.append(lose_the_first_incr)

    async def story() -> int:
        return int(await client.incr("counter"))

    assert loop.run_until_complete(story()) == 2, "the server has counted twice, and the client cannot know"
    assert len(lost) == 1
