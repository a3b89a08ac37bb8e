"""Real servers on loopback, in real time: started, frozen, failed over, far away, or as a cluster whose slots move."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import redis

from ordering import ReceivedEvent
from simulation.stores.bundled import bundled_server

SLOTS = 16_384


class Server:
    """One redis-server on a port of its own."""

    def __init__(
        self,
        folder: str,
        *options: str,
        program: Path | None = None,
        environment: Mapping[str, str] | None = None,
        configuration: Path | None = None,
    ) -> None:
        """Start it; with a configuration it is a sentinel."""
        self.port = _free_port()
        arguments = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", folder, *options]
        self.process = subprocess.Popen(
            [str(program or bundled_server()), *_sentinel(configuration), *arguments],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **(environment or {})},
        )

    def answers(self) -> bool:
        """Return whether the server takes commands; raises if it has ended."""
        if self.process.poll() is not None:
            raise RuntimeError("the server has ended at once")
        with suppress(redis.ConnectionError):
            return self.ask("PING") == b"PONG"
        return False

    def ask(self, *words: Any) -> Any:
        """Return the reply to one command, as the server gives it."""
        with redis.Redis(port=self.port, single_connection_client=True) as client:
            client.response_callbacks.clear()
            return client.execute_command(*words)

    def stop(self) -> None:
        """End the server, also a frozen one."""
        self.process.kill()
        self.process.wait()


def _sentinel(configuration: Path | None) -> list[str]:
    return [] if configuration is None else [str(configuration), "--sentinel"]


def _free_port() -> int:
    """Return a port that is free now, and whose port of the cluster bus (10,000 above) exists, too."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        if port <= 55_000:
            return port


@contextmanager
def server(*options: str) -> Iterator[Server]:
    """Run one server."""
    with servers(1, *options) as (one,):
        yield one


@contextmanager
def servers(count: int, *options: str) -> Iterator[list[Server]]:
    """Run several servers."""
    with tempfile.TemporaryDirectory(prefix="causim-") as root:
        running: list[Server] = []
        try:
            for _ in range(count):
                running.append(Server(tempfile.mkdtemp(dir=root), *options))
            for one in running:
                until(one.answers)
            yield running
        finally:
            for one in running:
                one.stop()


def until(condition: Callable[[], bool]) -> None:
    """Wait for something that a server will come to, without its telling."""
    while not condition():
        time.sleep(0.02)


class Cluster:
    """Masters that share the slots evenly."""

    def __init__(self, masters: list[Server]) -> None:
        self.masters = masters
        share = SLOTS // len(masters)
        for i, one in enumerate(masters):
            last = SLOTS - 1 if i == len(masters) - 1 else (i + 1) * share - 1
            one.ask("CLUSTER", "ADDSLOTS", *range(i * share, last + 1))
            one.ask("CLUSTER", "MEET", "127.0.0.1", masters[0].port)
        self.names = {one.port: one.ask("CLUSTER", "MYID").decode() for one in masters}
        until(self._is_whole)

    def _is_whole(self) -> bool:
        infos = [one.ask("CLUSTER", "INFO") for one in self.masters]
        known = f"cluster_known_nodes:{len(self.masters)}".encode()
        return all(b"cluster_state:ok" in info and known in info for info in infos)

    def add_replica(self, replica: Server, master: Server) -> None:
        """Have a server follow a master, and wait until it has all that the master has."""
        replica.ask("CLUSTER", "MEET", "127.0.0.1", master.port)
        name = self.names[master.port]
        until(lambda: name.encode() in replica.ask("CLUSTER", "NODES") and self._takes(replica, name))
        until(lambda: b"master_link_status:up" in replica.ask("INFO", "replication"))
        self.names[replica.port] = replica.ask("CLUSTER", "MYID").decode()

    @staticmethod
    def _takes(replica: Server, name: str) -> bool:
        with suppress(redis.ResponseError):  # it does not know the master yet
            return replica.ask("CLUSTER", "REPLICATE", name) == b"OK"
        return False

    def fail_over(self, master: Server, replica: Server) -> None:
        """Kill a master, and wait until its replica has its place."""
        master.stop()
        self.masters[self.masters.index(master)] = replica
        until(lambda: b"role:master" in replica.ask("INFO", "replication"))
        until(lambda: all(b"cluster_state:ok" in one.ask("CLUSTER", "INFO") for one in self.masters))

    def slot_of(self, key: str) -> int:
        """Return the slot of a key."""
        return int(self.masters[0].ask("CLUSTER", "KEYSLOT", key))

    def owner_of(self, slot: int) -> Server:
        """Return the master that has a slot."""
        for first, last, (_, port, *_), *_ in self.masters[0].ask("CLUSTER", "SLOTS"):
            if first <= slot <= last:
                return next(one for one in self.masters if one.port == port)
        raise LookupError(slot)

    def announce_migration(self, slot: int, source: Server, target: Server) -> None:
        """Announce that a slot moves; also after a failover, which some versions do not tell the new master."""
        target.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", self.names[source.port])
        source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", self.names[target.port])

    def begin_migration(self, slot: int) -> tuple[Server, Server]:
        """Announce that a slot moves, and move some of its keys; return where from and where to."""
        source = self.owner_of(slot)
        target = self.masters[(self.masters.index(source) + 1) % len(self.masters)]
        self.announce_migration(slot, source, target)
        self.move_keys(slot, source, target, 3)
        return source, target

    def move_keys(self, slot: int, source: Server, target: Server, count: int) -> bool:
        """Move some keys of a slot; return whether there were any."""
        keys = source.ask("CLUSTER", "GETKEYSINSLOT", slot, count)
        if keys:
            source.ask("MIGRATE", "127.0.0.1", target.port, "", 0, 1000, "KEYS", *keys)
        return bool(keys)

    def end_migration(self, slot: int, source: Server, target: Server) -> None:
        """Move the rest of a slot's keys, and hand the slot over."""
        while self.move_keys(slot, source, target, 10):
            pass
        for one in (target, source, *self.masters):
            one.ask("CLUSTER", "SETSLOT", slot, "NODE", self.names[target.port])


@contextmanager
def cluster(masters: int = 3) -> Iterator[Cluster]:
    """Run a cluster without replicas."""
    with servers(masters, "--cluster-enabled", "yes", "--cluster-node-timeout", "2000") as running:
        yield Cluster(running)


class Proxy:
    """An address whose connections lead to one server, from now on to another, and take their time."""

    def __init__(self, target: Server, delay: float) -> None:
        self.target = target
        self.delay = delay
        """Seconds that every reply is late."""
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection."""
        with suppress(OSError):
            from_server, to_server = await asyncio.open_connection("127.0.0.1", self.target.port)
            await asyncio.gather(_carry(reader, to_server, 0), _carry(from_server, writer, self.delay))


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay: float) -> None:
    with suppress(OSError):
        while data := await reader.read(1 << 20):
            await asyncio.sleep(delay)
            writer.write(data)
            await writer.drain()
    writer.close()


@asynccontextmanager
async def proxy(target: Server, delay: float = 0) -> AsyncIterator[Proxy]:
    """Run an address that leads to a server."""
    made = Proxy(target, delay)
    listener = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = listener.sockets[0].getsockname()[1]
    yield made
    listener.close()


def event(follows: UUID | None = None, **more: Any) -> ReceivedEvent:
    """Return a new event."""
    now = datetime.now(UTC)
    return ReceivedEvent(id=uuid4(), follows=follows, occurred=now, received=now, **more)


class Recorder:
    """A handler that writes down what it handled."""

    def __init__(self, ordering: Any) -> None:
        self.ordering = ordering
        self.handled: list[UUID] = []

    async def __call__(self, one: Any, depth: int = 0) -> None:
        async with self.ordering.preceding_event_confirmed(self, one, depth):
            self.handled.append(one.id)
