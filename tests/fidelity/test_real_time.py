"""Fidelity: what happens in virtual time happens in real time too, in the same order and with the same verdict.

The deliveries are far apart for a machine, so that no scheduler can make another order of them. Nothing here asks how
long anything took. What differs by nature is not compared: moments, fencing tokens, and which of two idle consumers
takes an event.
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import redis.asyncio

from simulation import History, Laboratory, Scenario, judge, loads
from tests.fidelity.realtime import RealWorld

WORLD = """
[broker]
delay = "10ms"
redeliver_after = "400ms"
[consumers]
count = 2
handler_time = "20ms"
[network]
latency = "100us"
[judge]
release_bound = "1m"  # a busy machine is late in real time, and no engine is guilty of that
"""

SCENES = {
    "in-order": '{ name = "a" }, { name = "b", follows = "a", at = "150ms" }',
    "follower-first": '{ name = "b", follows = "a" }, { name = "a", at = "150ms" }',
    "late-leader": """
        { name = "d", follows = "c" }, { name = "c", follows = "b", at = "150ms" },
        { name = "b", follows = "a", at = "300ms" }, { name = "a", at = "450ms" }""",
    "fan-out": """
        { name = "b", follows = "a", occurred = "9ms" }, { name = "c", follows = "a", at = "150ms", occurred = "4ms" },
        { name = "d", follows = "a", at = "300ms", occurred = "6ms" }, { name = "a", at = "450ms", occurred = "1ms" },
        { name = "e", follows = "a", at = "1s" }""",
    "tree": """
        { name = "b", follows = "a", occurred = "2ms" }, { name = "x", follows = "b", at = "150ms" },
        { name = "c", follows = "a", at = "300ms", occurred = "5ms" }, { name = "a", at = "450ms" }""",
}
"""What is published when. Whatever waits has all been parked before its leader comes."""

Connect = Callable[..., redis.asyncio.Redis]


@pytest.fixture
async def connect(socket: str) -> Connect:
    """Returns new clients of an empty store in real time."""

    def make(**options: Any) -> redis.asyncio.Redis:
        return redis.asyncio.Redis(unix_socket_path=socket, **options)

    client = make()
    await client.flushall()
    await client.aclose()
    return make


def scenario(events: str, world: str = WORLD) -> Scenario:
    return loads(f'name = "fidelity"\n[workload]\nevents = [{events}]\n{world}')


def handled(history: History) -> list[tuple[str, str]]:
    """Return the order in which handlers began and ended."""
    return [(entry.kind, entry.event) for entry in history.of("started", "ended")]


def became(history: History) -> list[tuple[str, str, str]]:
    """Return the outcome of each delivery and the cause of each handling, event by event."""
    entries = [(e.event, e.kind, str(e.details.get("via") or e.details.get("because") or "")) for e in history]
    return sorted(
        (one for one in entries if one[1] in ("started", "parked", "refused", "acknowledged")), key=lambda t: t[0]
    )


def verdicts(history: History) -> tuple[str, dict[str, tuple[str, int]]]:
    judgement = judge(history)
    found = {name: (finding.verdict, finding.violations) for name, finding in judgement.verdicts.items()}
    return judgement.verdict, found


async def both(laboratory: Laboratory, connect: Connect, played: Scenario, engine: str) -> tuple[History, History]:
    """Return the histories of a scenario in virtual time and in real time."""
    virtual = laboratory.run(played, 1, engine).history
    return virtual, await RealWorld(played, engine, connect).run()


@pytest.mark.parametrize(("scene", "engine"), [*((scene, "native") for scene in SCENES), ("late-leader", "null")])
async def test_order_and_verdict_are_those_of_real_time(
    laboratory: Laboratory, connect: Connect, scene: str, engine: str
) -> None:
    virtual, real = await both(laboratory, connect, scenario(SCENES[scene]), engine)
    assert handled(virtual) == handled(real)
    assert became(virtual) == became(real)
    assert verdicts(virtual) == verdicts(real)
    assert verdicts(real)[0] == ("violated" if engine == "null" else "holds")


@pytest.mark.prefect
@pytest.mark.parametrize("scene", SCENES)
async def test_other_engine_as_in_real_time(
    laboratory: Laboratory, connect: Connect, scene: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another engine is shown as it is in real time."""
    adapter = pytest.importorskip("simulation.engines.prefect")
    played = scenario(SCENES[scene])
    virtual = laboratory.run(played, 1, "prefect").history
    # It makes its client itself, and knows of no other server than that of its settings.
    client = SimpleNamespace(__wrapped__=lambda: connect(decode_responses=True, protocol=2))
    monkeypatch.setattr(adapter, "get_async_redis_client", client)
    real = await RealWorld(played, "prefect", connect).run()
    assert handled(virtual) == handled(real)
    assert became(virtual) == became(real)
    assert verdicts(virtual) == verdicts(real)


async def test_duplicate_is_refused_alike(laboratory: Laboratory, connect: Connect) -> None:
    """A duplicate is refused alike while the event is held and after it."""
    changes = {"broker.duplicate": 1.0, "broker.duplicate_delay": "150ms", "consumers.handler_time": "300ms"}
    played = scenario('{ name = "a" }').with_values(changes)
    virtual, real = await both(laboratory, connect, played, "native")
    assert became(virtual) == became(real)
    assert [entry.details["because"] for entry in real.of("refused")] == ["held", "seen"]
    assert verdicts(virtual) == verdicts(real)


async def test_missing_leader_is_rescued_alike(laboratory: Laboratory, connect: Connect) -> None:
    """A follower whose leader never comes is rescued alike."""
    changes = {
        "policy.lookback": "600ms",
        "policy.retention": "10s",
        "consumers.sweep_interval": "400ms",
        "consumers.count": 1,
    }
    events = (
        '{ name = "c", follows = "b" }, { name = "b", follows = "a", at = "150ms" }, { name = "a", published = false }'
    )
    virtual, real = await both(laboratory, connect, scenario(events).with_values(changes), "native")
    assert handled(virtual) == handled(real)
    assert became(virtual) == became(real)
    assert [entry.event for entry in real.of("started") if entry.details["via"] == "rescued"] == ["b"]
    assert verdicts(virtual) == verdicts(real)
