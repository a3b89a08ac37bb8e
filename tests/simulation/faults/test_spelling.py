"""How commands are spelled for the patterns of faults."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
import redis.asyncio

from ordering.scripts import script
from ordering.sending import Joint, send
from simulation import Laboratory, loads
from simulation.engines.native import NativeEngine
from simulation.kernel.epoch import EPOCH
from simulation.kernel.event_loop import SimulatedLoop
from simulation.kernel.random_streams import Streams
from simulation.scenario.distributions import Constant
from simulation.stores.protocol import Store
from simulation.world.injection.command_patterns import Spelling
from simulation.world.network import Network
from simulation.world.packets import Fate, Packet

SPELL = Spelling.of(NativeEngine)


def matches(pattern: str, *words: str) -> int:
    return SPELL([word.encode() for word in words]).matches(pattern)


def test_script_by_digest_or_name() -> None:
    """A script goes by its digest and by its name."""
    sent = ("EVALSHA", script("begin").digest, "1", "causim:waitlist")
    assert matches("EVALSHA begin *", *sent)
    assert matches(f"EVALSHA {script('begin').digest} *", *sent)


def test_named_script_sent_in_full() -> None:
    """A named script sent in full is not met by the words of its source."""
    text = script("fail").text
    assert "an event back" in text
    assert matches("EVAL* fail *", "EVAL", text, "1", "causim:waitlist")
    assert not matches("EVAL* an event back *", "EVAL", text, "1", "causim:waitlist")


def test_unnamed_script() -> None:
    """A script without a name goes by its source."""
    assert matches("EVAL ?return *", "EVAL", "\nreturn 1", "0")


@pytest.mark.usefixtures("without_leftovers")
@pytest.mark.parametrize("number", [2, 5])
def test_joined_requests_match_one_by_one(server: Store, number: int) -> None:
    """What travels in one command is met as if it had come by itself, with its own words and no others."""
    several, begin = script("several"), script("begin")
    joint = Joint(b"begin", several.digest.encode(), several.text.encode())
    sent: list[Sequence[bytes]] = []

    def look(packet: Packet, fate: Fate) -> Fate:
        sent.extend(packet.commands)
        return fate

    async def ask() -> None:
        client = redis.asyncio.Redis(protocol=2)
        words = [("EVALSHA", begin.digest, "1", "{s}:waitlist", "rules", f"event-{i}", "x y") for i in range(number)]
        asked = [send(client, "PING"), send(client, "PING"), *(send(client, *one, joint=joint) for one in words)]
        await asyncio.gather(*asked, return_exceptions=True)

    server.begin(EPOCH)
    loop = SimulatedLoop()
    network = Network(loop, server, Constant(500), Streams(1))
    network.triggers.append(look)
    loop.run_until_complete(ask())
    loop.close()
    network.close()
    by_digest, in_full = (
        next(words for words in sent if words[:2] == start)
        for start in ([b"EVALSHA", joint.digest], [b"EVAL", joint.text])
    )
    spelled = SPELL(by_digest)
    assert spelled.matches("EVALSHA begin *") == number
    assert spelled.requests[1] == "EVALSHA begin 1 {s}:waitlist rules event-1 x y"
    assert spelled.matches("* event-1 *") == 1
    assert spelled.matches("EVALSHA several *") == 1
    assert spelled.matches("EVALSHA complete *") == 0
    assert SPELL(in_full).matches("EVAL begin *") == number


TOGETHER = """name = "together"
[workload]
events = [{ name = "a" }, { name = "b" }, { name = "c" }, { name = "d" }]
[consumers]
count = 1
concurrency = 4
[broker]
delay = "0s"
[[faults]]
kind = "error-reply"
error = "LOADING"
match = "EVAL* begin *"
"""


@pytest.mark.parametrize(("event", "times"), [("*", 1), ("d", 1), ("e", 0)])
def test_faults_meet_joined_requests(laboratory: Laboratory, event: str, times: int) -> None:
    """A fault about a script strikes it in the company of others, also if it is about one event of them."""
    fault = f'event = "{event}"\nuntil = "100ms"\n'
    run = laboratory.run(loads(TOGETHER + fault), 1, "native")
    faults = [entry for entry in run.history.entries if entry.kind == "fault"]
    assert min(len(faults), 1) == times
    assert run.verdict == "holds"
