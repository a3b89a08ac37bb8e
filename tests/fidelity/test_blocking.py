"""Clients that block get the same replies, after each step of a drawn story, as from a server in real time.

A step is a packet of one client: a command, a pipeline or a transaction; or the end of its connection. The timeouts
are 0, so no reply depends on a clock. Not drawn, since the harness cannot know it: a command that gives a key a value
of another type (Redis wakes no client), and reads of several streams of which one has become something else.
"""

from __future__ import annotations

import asyncio
import random
import socket as sockets
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from select import select
from typing import Any

import pytest

from simulation.kernel.epoch import EPOCH
from simulation.kernel.event_loop import SimulatedLoop
from simulation.kernel.random_streams import Streams
from simulation.scenario.distributions import Constant
from simulation.stores.protocol import Store
from simulation.stores.resp import command
from simulation.world.network import Network

CLIENTS, STEPS = 5, 25
KEYS = "abc"
SCRIPT = "redis.call('RPUSH', KEYS[1], 's') redis.call('RPUSH', KEYS[2], 't') return 1"

Words = list[Any]
Step = tuple[int, list[Words] | None]
"""A client, and what it sends at once; None: it closes its connection."""
Observation = list[list[bytes]]
"""After each step, what each client was sent."""


class Author:
    """Draws a story."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._closed: set[int] = set()

    def steps(self) -> list[Step]:
        return [self._step() for _ in range(STEPS)]

    def _step(self) -> Step:
        draw = self._random
        client = draw.choice([number for number in range(CLIENTS) if number not in self._closed])
        kind = draw.random()
        if kind < 0.03 and len(self._closed) < CLIENTS - 2:
            self._closed.add(client)
            return client, None
        if kind < 0.6:
            return client, [self._words()]
        if kind < 0.8:
            return client, [self._words() for _ in range(draw.randint(2, 4))]
        return client, [["MULTI"], *(self._words() for _ in range(draw.randint(1, 3))), ["EXEC"]]

    def _words(self) -> Words:
        draw = self._random
        return draw.choice(self._blocking() if draw.random() < 0.42 else self._others())

    def _blocking(self) -> Sequence[Words]:
        draw = self._random
        one, other, end, group = self._key(), self._key(), draw.choice(["LEFT", "RIGHT"]), f"c{draw.randint(1, 2)}"
        some = draw.sample(KEYS, draw.randint(1, 3))
        return [
            ["BLPOP", *some, 0],
            ["BRPOP", *some, 0],
            ["BLMOVE", one, other, end, "RIGHT", 0],
            ["BRPOPLPUSH", one, other, 0],
            ["BLMPOP", 0, len(some), *some, end, "COUNT", 2],
            ["BZPOPMIN", *some, 0],
            ["BZPOPMAX", *some, 0],
            ["BZMPOP", 0, len(some), *some, "MIN", "COUNT", 2],
            ["XREAD", "COUNT", 2, "BLOCK", 0, "STREAMS", one, draw.choice(["$", "0", "5-1"])],
            ["XREADGROUP", "GROUP", "g", group, "COUNT", 1, "BLOCK", 0, "STREAMS", one, draw.choice([">", ">", "0"])],
            ["WAIT", 0, 0],
        ]

    def _others(self) -> Sequence[Words]:
        draw = self._random
        one, other, value, db = self._key(), self._key(), draw.choice("xyzw"), draw.randint(0, 1)
        return [
            ["RPUSH", one, value, "v"],
            ["LPUSH", one, value],
            ["ZADD", one, draw.randint(1, 5), value, 3, "v"],
            ["XADD", one, f"{draw.randint(1, 9)}-*", "f", value],
            ["XGROUP", "CREATE", one, "g", draw.choice(["$", "0"]), "MKSTREAM"],
            ["XGROUP", "DESTROY", one, "g"],
            ["SET", one, 1],
            ["DEL", one],
            ["DEL", one, other],
            ["RENAME", one, other],
            ["COPY", one, other, "REPLACE"],
            ["LPOP", one],
            ["LMOVE", one, other, "LEFT", "RIGHT"],
            ["FLUSHALL"],
            ["SELECT", db],
            ["SWAPDB", 0, 1],
            ["MOVE", one, db],
            ["EVAL", SCRIPT, 2, one, other],
            ["XDEL", one, "5-1"],
            ["XTRIM", one, "MAXLEN", 0],
        ]

    def _key(self) -> str:
        return self._random.choice(KEYS)


STATE: list[Callable[[str], Words]] = [
    lambda key: ["TYPE", key],
    lambda key: ["LRANGE", key, 0, -1],
    lambda key: ["ZRANGE", key, 0, -1, "WITHSCORES"],
    lambda key: ["XRANGE", key, "-", "+"],
    lambda key: ["XPENDING", key, "g"],
]


def packet(commands: Sequence[Words]) -> bytes:
    return b"".join(command(*words) for words in commands)


def in_real_time(address: str, steps: Sequence[Step]) -> tuple[Observation, list[bytes]]:
    with ExitStack() as stack:
        control, *clients = (stack.enter_context(closing(_connected(address))) for _ in range(CLIENTS + 1))

        def ask(*words: Any) -> bytes:
            control.sendall(command(*words))
            return control.recv(1 << 20)

        def sent(client: sockets.socket) -> bytes:
            return client.recv(1 << 20) if client.fileno() >= 0 and select([client], [], [], 0)[0] else b""

        ask("FLUSHALL")
        states = []
        for client, commands in steps:
            if commands is None:
                clients[client].close()
            else:
                clients[client].sendall(packet(commands))
            for _ in range(3):  # each takes the server another turn, at whose end it writes
                ask("PING")
            states.append([sent(client) for client in clients])
        return states, [ask(*words(key)) for key in KEYS for words in STATE]


def _connected(address: str) -> sockets.socket:
    connection = sockets.socket(sockets.AF_UNIX)
    connection.connect(address)
    return connection


def in_virtual_time(store: Store, steps: Sequence[Step]) -> tuple[Observation, list[bytes]]:
    store.begin(EPOCH)
    loop = SimulatedLoop()
    network = Network(loop, store, Constant(500), Streams(1))

    async def story() -> Observation:
        clients = [await asyncio.open_connection("redis", 6379) for _ in range(CLIENTS)]
        sent = [b""] * CLIENTS

        async def receive(number: int, reader: asyncio.StreamReader) -> None:
            while data := await reader.read(1 << 20):
                sent[number] += data

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(receive(number, reader)) for number, (reader, _) in enumerate(clients)]
            states = []
            for client, commands in steps:
                if commands is None:
                    clients[client][1].close()
                else:
                    clients[client][1].write(packet(commands))
                await asyncio.sleep(1)
                states.append(list(sent))
                sent[:] = [b""] * CLIENTS
            for task in tasks:
                task.cancel()
        return states

    try:
        states = loop.run_until_complete(story())
    finally:
        loop.close()
        network.close()
    with closing(store.link()) as link:
        return states, [link.execute(packet([words(key)]), 1) for key in KEYS for words in STATE]


def check(server: Store, address: str, seed: int) -> None:
    steps = Author(seed).steps()
    (real, real_state), (simulated, simulated_state) = in_real_time(address, steps), in_virtual_time(server, steps)
    for number, step in enumerate(steps):
        assert simulated[number] == real[number], (seed, steps[: number + 1], step)
    assert simulated_state == real_state, (seed, steps)


@pytest.mark.parametrize("seed", range(40))
def test_blocked_clients_as_in_real_time(server: Store, socket: str, seed: int) -> None:
    check(server, socket, seed)


@pytest.mark.nightly
def test_blocked_clients_as_in_real_time_often(server: Store, socket: str) -> None:
    for seed in range(40, 1040):
        check(server, socket, seed)
