"""Carriers of the packets of one connection to the store, and of the replies back.

A timed carrier draws a latency for each way and has the loop's one heap decide the order. A stepped carrier,
for explorations, makes each way a step, whose turn a scheduler decides. Neither lets two packets of one connection, or
two replies, overtake each other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextvars import Context
from dataclasses import replace
from functools import partial
from typing import Protocol

from simulation.kernel.dependence import EVERYTHING
from simulation.kernel.event_loop import SimulatedLoop
from simulation.kernel.random_streams import Stream
from simulation.scenario.distributions import Distribution
from simulation.stores.redis_commands import HANDSHAKE
from simulation.world.packets import Fate, Packet
from simulation.world.scheduling import Steps

_PREFIX_CHARACTERS = 60
"""Number of leading characters that distinguish one command from another."""


class Ends(Protocol):
    """The two ends of a connection, as its carrier sees them."""

    consumer: str
    connection: int
    context: Context
    """The context of the client's callbacks."""

    def arrive(self, packet: Packet, fate: Fate) -> None:
        """Have the store execute a packet."""
        ...

    def receive(self, data: bytes) -> None:
        """Hand a reply to the client."""
        ...

    def reset(self, error: Exception) -> None:
        """Break the connection."""
        ...

    def close_link(self) -> None:
        """Let the store see the end of the connection."""
        ...


class Carrier(Protocol):
    """Carries the packets of one connection."""

    def send(self, packet: Packet, fate: Fate, *, counted: bool) -> None:
        """Send a packet on its way. `counted`: faults count the packets, so their order matters to them."""
        ...

    def executed(self, commands: Sequence[Sequence[bytes]], reply: bytes, *, pushed: bool) -> None:
        """Take note of the commands that the store executed. `pushed`: clients listen for what it pushes."""
        ...

    def answer(self, reply: bytes, fate: Fate) -> None:
        """Send a reply on its way back."""
        ...

    def end(self) -> None:
        """Close the link to the store behind everything that was sent before."""
        ...


class TimedCarrier:
    """Draws a latency for each packet and each reply, in microseconds."""

    def __init__(self, ends: Ends, loop: SimulatedLoop, latency: Distribution, stream: Stream) -> None:
        self._ends = ends
        self._loop = loop
        self._latency = latency
        self._stream = stream
        self._last_arrival = 0
        self._last_reply = 0

    def send(self, packet: Packet, fate: Fate, *, counted: bool) -> None:
        """Have the packet arrive after a drawn latency."""
        now = self._loop.now
        arrival = max(now + self._latency.draw(self._stream) + fate.request_delay, self._last_arrival)
        self._last_arrival = arrival
        self._loop.in_world(arrival - now, self._ends.arrive, packet, fate)
        if fate.reset:
            self._ends.reset(ConnectionResetError("the connection was reset"))

    def executed(self, commands: Sequence[Sequence[bytes]], reply: bytes, *, pushed: bool) -> None:
        """Do nothing: no other order will be tried."""

    def answer(self, reply: bytes, fate: Fate) -> None:
        """Have the reply arrive after a drawn latency, or the connection break then."""
        now = self._loop.now
        due = max(now + self._latency.draw(self._stream) + fate.reply_delay, self._last_reply)
        self._last_reply = due
        if fate.answer:
            self._loop.call_in(due - now, self._ends.receive, reply, context=self._ends.context)
        else:
            self._loop.in_world(due - now, self._ends.reset, ConnectionResetError("the reply was lost"))

    def end(self) -> None:
        """Close the link to the store behind the last packet."""
        self._loop.in_world(max(0, self._last_arrival - self._loop.now), self._ends.close_link)


class SteppedCarrier:
    """Makes each packet and each reply a step of an exploration."""

    def __init__(self, ends: Ends, loop: SimulatedLoop, steps: Steps) -> None:
        self._ends = ends
        self._loop = loop
        self._steps = steps
        name = f"{ends.consumer}/{ends.connection}"
        self._requests, self._replies = f"{name}>", f"{name}<"

    def send(self, packet: Packet, fate: Fate, *, counted: bool) -> None:
        """Let the packet wait for its step. A greeting takes none, if nothing else is on its way."""
        steps, ends = self._steps, self._ends
        steps.touch(f"consumer {ends.consumer}")
        if counted:
            steps.touch("packet faults")
        elif _is_handshake(packet) and not steps.waits(self._requests) and not steps.waits(self._replies):
            self._loop.in_world(0, ends.arrive, packet, replace(fate, prompt=True))
            return
        lost = replace(fate, answer=False)
        steps.add(
            self._requests,
            "request",
            ends.consumer,
            f"{ends.consumer} {' … '.join(_prefix(words) for words in packet.commands)}",
            run=lambda: ends.arrive(packet, fate),
            lost=lambda: ends.arrive(packet, lost),
            keys=frozenset(key for words in packet.commands for key in named_keys(words)),
        )

    def executed(self, commands: Sequence[Sequence[bytes]], reply: bytes, *, pushed: bool) -> None:
        """Record the work of the store in the current step."""
        self._steps.executed(commands, reply)
        if pushed:
            self._steps.touch(EVERYTHING)

    def answer(self, reply: bytes, fate: Fate) -> None:
        """Let the reply wait for its step."""
        # The callback is handed to the loop and not called: it belongs to a process, which may be dead or paused.
        ends = self._ends
        receive: Callable[[], object] = partial(self._loop.call_soon, ends.receive, reply, context=ends.context)
        if fate.prompt:
            receive()
            return
        run = receive if fate.answer else partial(ends.reset, ConnectionResetError("the reply was lost"))
        self._steps.add(self._replies, "reply", ends.consumer, f"{ends.consumer} receives a reply", run=run)

    def end(self) -> None:
        """Forget the replies. Requests on their way need the link: it is closed with the network."""
        self._steps.drop(self._replies)


def _is_handshake(packet: Packet) -> bool:
    return all(bytes(words[0]).upper() in HANDSHAKE for words in packet.commands)


def named_keys(words: Sequence[bytes]) -> Sequence[bytes]:
    """Return the keys that a command names: those of a script, else its first argument."""
    if bytes(words[0]).upper() in (b"EVAL", b"EVALSHA", b"FCALL") and len(words) > 2:
        return [bytes(key) for key in words[3 : 3 + int(words[2])]]
    return [bytes(words[1])] if len(words) > 1 else []


def _prefix(words: Sequence[bytes]) -> str:
    return " ".join(word.decode("utf-8", "backslashreplace") for word in words[:2])[:_PREFIX_CHARACTERS]
