"""The state of one connection in the store: its transaction, its subscriptions, and the command that it waits in."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from contextvars import Context
from dataclasses import replace
from functools import partial
from typing import Protocol

from simulation.kernel.escapes import Escaped
from simulation.stores.faketime import QUESTIONS
from simulation.stores.protocol import Link
from simulation.stores.redis_commands import (
    ABOUT_SCRIPTS,
    BLOCKING,
    MANY_COMMANDS,
    MAY_BLOCK,
    PUBLISHING,
    STATEFUL,
    SUBSCRIBING,
    WRITING_NOTHING,
    blocks,
)
from simulation.stores.resp import encoded, frames
from simulation.world.medium import Medium
from simulation.world.packets import Fate, Packet
from simulation.world.random_commands import ALL as RANDOM
from simulation.world.self_description import DESCRIBED, Facts, described
from simulation.world.servers import Server

Words = Sequence[bytes]

_PORTION = QUESTIONS // 10
"""Commands that the server executes before its clock is set again: each asks for the time a few times."""
_QUEUED = b"+QUEUED\r\n"
_LOOK_CLOSER = BLOCKING | MAY_BLOCK | STATEFUL | {b"QUIT"}
READ_ONLY = b"-READONLY You can't write against a read only replica.\r\n"
_SCRIPT_WRITES = (b"-ERR Write commands are not allowed from read-only scripts", b"with write flag using *_ro command")
"""Parts of the replies to a script that writes although it was declared as read-only."""
_GOODBYE = b"+OK\r\n"


class Client(Protocol):
    """The other end of the connection."""

    consumer: str
    number: int
    """Counts the connections of the run from 1."""
    opened_at: int

    def executed(self, commands: Sequence[Words], reply: bytes, fate: Fate, *, last: bool) -> None:
        """Send a reply on its way. `last`: no other command of the same packet is to be executed."""
        ...

    def waits(self, words: Words) -> None:
        """Take note that a command was executed and waits."""
        ...

    def hang_up_behind(self, reply: bytes) -> None:
        """End the connection once the client has read this reply."""
        ...

    def carry(self, data: bytes) -> None:
        """Carry something that the store pushed to the client."""
        ...


class Session:
    """The store's side of one connection. Packets are executed one after the other, in order of arrival."""

    def __init__(self, network: Medium, client: Client, server: Server) -> None:
        self.link: Link = Context().run(server.store.link)  # a real socket, which is the harness's and no process's
        self._network = network
        self._client = client
        self._server = server
        self._listens = False
        self._waits = False
        self._packets: deque[tuple[Packet, Fate]] = deque()
        """Packets that have arrived while a command waits."""
        self._last: Words = (b"",)
        """The command, of those that cannot wait, that was executed last."""
        self._in_transaction = self._watches = False
        self._queues = False
        """Whether the next command is queued, on a replica."""
        self._wrote_at = 0
        """The moment of the client's last possible write, in microseconds; kept where there are replicas."""
        self._settings: dict[bytes, Words] = {}
        self._aside: Link | None = None

    @property
    def listens(self) -> bool:
        """Whether the client waits for pushes of the store."""
        return self._listens

    def take(self, packet: Packet, fate: Fate) -> None:
        """Execute a packet, or keep it while an earlier command waits. Raises StoreUnavailable."""
        self._packets.append((packet, fate))
        self._go_on()
        self._network.blocking.turn()

    def _go_on(self) -> None:
        while self._packets and not self._waits:
            self._execute_packet(*self._packets.popleft())

    def _execute_packet(self, packet: Packet, fate: Fate) -> None:
        """Execute a packet up to the first command that blocks, and that; keep the rest."""
        commands = packet.commands
        place = self._first_blocking(commands)
        before = commands if place is None else commands[:place]
        if before:
            self._last = before[-1]
            self._execute_before(replace(packet, commands=before) if place else packet, fate, last=place is None)
        if place is None:
            return
        words, rest = commands[place], commands[place + 1 :]
        if words[0].upper() == b"QUIT":
            self._quit(words, fate)
            return
        if rest:
            self._packets.appendleft((replace(packet, commands=rest), fate))
        if self._server.is_replica and words[0].upper() not in WRITING_NOTHING:
            self._server.on_refused(packet)
            self._client.executed([words], READ_ONLY, fate, last=not rest)
            return
        self._server.store.set_time(self._network.loop.now)
        served = partial(self._served, fate, not rest)
        asking = self._last[0].upper() == b"ASKING"
        self._last = words
        if words[0].upper() == b"WAIT" and self._network.replicas.number:
            reply = self._network.blocking.wait(self, words, served, self._network.replicas, self._wrote_at)
        else:
            reply = self._network.blocking.call(self, words, served, asking=asking)
        if reply is None:
            self._waits = True
            self._client.waits(words)
            return
        self._client.executed([words], reply, fate, last=not rest)
        self._network.blocking.executed([words])

    def _quit(self, words: Words, fate: Fate) -> None:
        """Say goodbye, and execute nothing more."""
        self._waits = True
        self._packets.clear()
        self._client.hang_up_behind(_GOODBYE)
        self._client.executed([words], _GOODBYE, fate, last=True)

    def _execute_before(self, packet: Packet, fate: Fate, *, last: bool) -> None:
        """Execute commands that cannot block; after each of them, clients that wait may have been served."""
        blocking, commands = self._network.blocking, packet.commands
        if self._server.is_replica and any(words[0].upper() not in WRITING_NOTHING for words in commands):
            reply = b"".join(map(self._execute_on_replica, commands))
            if READ_ONLY in reply:
                self._server.on_refused(packet)
            self._client.executed(commands, reply, fate, last=last)
            return
        if len(commands) == 1 or not blocking.any_wait:
            reply = self._execute(commands)
            self._client.executed(commands, reply, fate, last=last)
            if reply != _QUEUED:
                blocking.executed(commands)
            return
        replies, queued = [], []
        for words in commands:
            replies.append(self._execute([words]))
            queued.append(words)
            if replies[-1] != _QUEUED:
                blocking.executed(queued, replies[-1])
                queued = []
        self._client.executed(commands, b"".join(replies), fate, last=last)

    def _execute_on_replica(self, words: Words) -> bytes:
        """Execute a command that only reads; refuse one that writes, and a script as soon as it writes."""
        verb = words[0].upper()
        if verb in WRITING_NOTHING:
            self._queues = verb == b"MULTI" or (self._queues and verb not in (b"EXEC", b"DISCARD", b"RESET"))
            return self._execute([words])
        if not self._queues and verb + b"_RO" in WRITING_NOTHING:
            reply = self._execute([[verb + b"_RO", *words[1:]]])
            return READ_ONLY if any(said in reply for said in _SCRIPT_WRITES) else reply
        if self._queues:  # an error makes the server abort the transaction
            self.link.run([[b"GET"]])
        return READ_ONLY

    def _served(self, fate: Fate, last: bool, words: Words, reply: bytes) -> None:
        """Answer a command that has waited, and go on behind it later."""
        self._waits = False
        self._client.executed([words], reply, fate, last=last)
        self._network.blocking.later(self._go_on)

    def _first_blocking(self, commands: Sequence[Words]) -> int | None:
        """Return the place of the first command that may keep its client waiting, following the transactions."""
        if _LOOK_CLOSER.isdisjoint(words[0].upper() for words in commands):
            return None
        for place, words in enumerate(commands):
            match words[0].upper():
                case b"MULTI":
                    self._in_transaction = True
                case b"WATCH":
                    self._watches = True
                case b"UNWATCH":
                    self._watches = False
                case b"EXEC" | b"DISCARD":
                    self._in_transaction = self._watches = False
                case b"RESET":
                    self._in_transaction = self._watches = False
                    self._settings.clear()
                case b"QUIT":
                    return place
                case b"SELECT" | b"HELLO" as verb:
                    self._settings[verb] = words
                case _ if not self._in_transaction and blocks(words):
                    return place
        return None

    def aside(self) -> Link:
        """Return a link on which a transaction disturbs nothing that the client has begun on its own."""
        if not self._watches and not self._listens:
            return self.link
        if self._aside is None:
            self._aside = Context().run(self._server.store.link)
        if self._settings:
            self._aside.run(list(self._settings.values()))
        return self._aside

    def _execute(self, commands: Sequence[Words]) -> bytes:
        verbs = {words[0].upper() for words in commands}
        if verbs & RANDOM and len(commands) > 1:
            return b"".join(self._execute([words]) for words in commands)
        network = self._network
        store, now = self._server.store, network.loop.now
        store.set_time(now)
        if network.replicas.number and not verbs <= WRITING_NOTHING:
            self._wrote_at = now
        if verbs & ABOUT_SCRIPTS:
            commands = self._server.scripts.admit(commands)
        if not self._listens and self._begins_to_listen(verbs, commands):
            self._listens = True
            network.listen(self)
        if verbs & RANDOM:
            ordered = store.lists_sets_in_order
            reply = network.random_commands.reply(self.aside(), commands[0], sets_have_an_order=ordered)
        elif self._listens:
            self.link.send(encoded(commands))
            store.settle(turns=2)
            reply = self.link.pushed()
        elif len(commands) == 1:
            reply = self.link.run(commands)
        else:
            reply = b"".join(self._execute_at(now, few) for few in _few_at_a_time(commands))
        if network.watches_keys or verbs & PUBLISHING:
            network.carry_pushes()
        if self._server.watch is not None:
            self._server.watch(self._client.consumer, reply)
        if verbs & DESCRIBED or verbs & self._server.described:
            return self._described(commands, reply)
        return reply

    def _described(self, commands: Sequence[Words], reply: bytes) -> bytes:
        """Return the replies as the server at this address gives them; pushes may lie between them."""
        if len(commands) == 1 and not self._listens:  # COMMAND has a reply that takes long to divide
            return self._adapted(commands[0], reply)
        asked = iter(commands)
        return b"".join(f if f.startswith(b">") else self._adapted(next(asked), f) for f in frames(reply))

    def _adapted(self, words: Words, reply: bytes) -> bytes:
        verb = words[0].upper()
        if verb in DESCRIBED:
            reply = described(words, reply, self._facts)
        return self._server.adapted(words, reply) if verb in self._server.described else reply

    def _facts(self) -> Facts:
        network, client = self._network, self._client
        age = network.loop.now - client.opened_at
        return Facts(
            client.number, self._server.address, age, network.loop.now, network.clients, network.blocking.count
        )

    def _begins_to_listen(self, verbs: set[bytes], commands: Sequence[Words]) -> bool:
        tracks = b"CLIENT" in verbs and any(len(w) > 2 and w[1].upper() == b"TRACKING" for w in commands)
        if tracks:
            self._network.watches_keys = True
        if not verbs & SUBSCRIBING:
            return tracks
        if self._in_transaction:
            raise Escaped(f"{self._client.consumer} subscribed inside of a transaction; this cannot be simulated")
        if any(word.startswith(b"__key") for words in commands for word in words[1:]):
            self._network.watches_keys = True
        return True

    def _execute_at(self, now: int, commands: Sequence[Words]) -> bytes:
        self._server.store.set_time(now)
        return self.link.run(commands)

    def carry(self, data: bytes) -> None:
        """Carry something that the store pushed to the client."""
        self._client.carry(data)

    def move_to(self, server: Server) -> None:
        """Be a session of another server, with the same data."""
        self._server = server

    def unblock(self) -> bool:
        """Have the client wait no longer, and return whether it did."""
        return self._network.blocking.refuse(self)

    def gone(self) -> None:
        """The client is gone: nothing of it waits any more."""
        self._packets.clear()
        self._network.blocking.drop(self)

    def close(self) -> None:
        """Close the links to the store."""
        self.gone()
        self._network.forget(self)
        self.link.close()
        if self._aside is not None:
            self._aside.close()
            self._aside = None


def _few_at_a_time(commands: Sequence[Words]) -> Iterator[Sequence[Words]]:
    """Divide a packet into portions in which a server in virtual time asks for the time less often than it may."""
    first = 0
    for i, words in enumerate(commands, start=1):
        if i - first == _PORTION or words[0].upper() in MANY_COMMANDS or i == len(commands):
            yield commands[first:i]
            first = i
