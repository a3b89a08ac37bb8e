"""Real sentinels: the primary is killed under load, or while a batch renews its leases."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio.sentinel import Sentinel

from ordering import CausalOrdering, EventArrivedEarly, EventBeingProcessed, Policy
from tests.production.servers import Server, event, servers, until
from tests.production.test_migration import chains, in_order

NAME = "primary"
POLICY = Policy(lease=timedelta(seconds=2))
CONFIGURATION = """
sentinel monitor {name} 127.0.0.1 {port} 2
sentinel down-after-milliseconds {name} 1000
sentinel failover-timeout {name} 5000
"""


class Watched:
    """A primary, its replica, and three sentinels."""

    def __init__(self, primary: Server, replica: Server, sentinels: list[Server]) -> None:
        self.primary = primary
        self.replica = replica
        self.ports = [("127.0.0.1", one.port) for one in sentinels]

    def client(self) -> Any:
        """Return a client that asks the sentinels for the primary."""
        sentinel: Any = Sentinel  # which has no types
        return sentinel(self.ports, socket_timeout=1).master_for(NAME, socket_timeout=1)

    def fail_over(self) -> None:
        """Kill the primary, once its replica has what it has written, and wait until the replica has its place."""
        until(lambda: self._lag() == 0)
        self.primary.stop()
        until(lambda: b"role:master" in self.replica.ask("INFO", "replication"))

    def _lag(self) -> int:
        of = [int(_line(one, b"master_repl_offset")) for one in (self.primary, self.replica)]
        return of[0] - of[1]


def _line(server: Server, name: bytes) -> bytes:
    lines = server.ask("INFO", "replication").splitlines()
    return next(line.partition(b":")[2] for line in lines if line.startswith(name + b":"))


@contextmanager
def watched(folder: Path) -> Iterator[Watched]:
    """Run the servers."""
    with ExitStack() as stack:
        primary, replica = stack.enter_context(servers(2))
        replica.ask("REPLICAOF", "127.0.0.1", primary.port)
        until(lambda: b"master_link_status:up" in replica.ask("INFO", "replication"))
        sentinels = []
        for i in range(3):
            path = folder / f"sentinel-{i}.conf"
            path.write_text(CONFIGURATION.format(name=NAME, port=primary.port))
            sentinels.append(Server(str(folder), configuration=path))
            stack.callback(sentinels[-1].stop)
        for one in sentinels:
            until(one.answers)
            until(lambda one=one: _knows_all(one))  # type: ignore[misc]
        yield Watched(primary, replica, sentinels)


def _knows_all(sentinel: Server) -> bool:
    found = sentinel.ask("SENTINEL", "MASTER", NAME)
    facts = found if isinstance(found, dict) else dict(zip(found[::2], found[1::2], strict=True))  # RESP3, RESP2
    return (facts[b"num-other-sentinels"], facts[b"num-slaves"]) == (b"2", b"1")


async def handled_all(ordering: Any, events: list[Any], handled: list[Any]) -> None:
    """Deliver events again and again until each has been handled: as a queue that has lost its acknowledgements."""

    async def handler(one: Any, depth: int = 0) -> None:
        async with ordering.preceding_event_confirmed(handler, one, depth):
            handled.append(one.id)

    while missing := [one for one in events if one.id not in handled]:
        for one in missing:
            try:
                await handler(one)
            except (EventArrivedEarly, EventBeingProcessed):
                pass
            except Exception:  # of the client, where the primary has gone
                await asyncio.sleep(0.1)
        await asyncio.sleep(0.1)


@pytest.mark.nightly
async def test_primary_dies_under_load(tmp_path: Path) -> None:
    """Only what the replica may have missed is repeated: at most one effect of each task."""
    with watched(tmp_path) as place:
        client = place.client()
        ordering, handled, events = CausalOrdering("sentinel", redis=client, policy=POLICY), list[Any](), list[Any]()
        stop = asyncio.Event()

        async def load() -> None:
            while not stop.is_set():
                more = chains(3)
                events.extend(more)
                await handled_all(ordering, more, handled)

        tasks = [asyncio.create_task(load()) for _ in range(4)]
        await asyncio.sleep(0.5)
        await asyncio.to_thread(place.fail_over)
        await asyncio.sleep(1)
        stop.set()
        await asyncio.gather(*tasks)
        await client.aclose()
    in_order(handled, events)
    assert sum(Counter(handled).values()) - len(set(handled)) <= len(tasks)


@pytest.mark.nightly
async def test_primary_dies_while_a_batch_renews(tmp_path: Path) -> None:
    """A batch that renews its leases through a failover handles each event once, or says that it has lost it."""
    with watched(tmp_path) as place:
        client = place.client()
        ordering, handled = CausalOrdering("sentinel", redis=client, policy=POLICY), list[Any]()
        batch = [event() for _ in range(20)]

        async def slow(one: Any, depth: int = 0) -> None:
            if one is batch[0]:
                await asyncio.to_thread(place.fail_over)
                await asyncio.sleep(2 * POLICY.lease.total_seconds())
            handled.append(one.id)

        outcomes = await ordering.handle_batch(slow, batch)
        assert set(outcomes) <= {"handled", "lost"}
        assert {one.id for one, outcome in zip(batch, outcomes, strict=True) if outcome == "handled"} <= set(handled)
        await handled_all(ordering, batch, handled)
        await client.aclose()
    assert set(Counter(handled).values()) == {1}
