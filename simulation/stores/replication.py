"""A replica of a private redis-server: it speaks the replication protocol, and knows the data set of some moment.

1. The server sends a replica its whole data set.
2. From then on it sends what its commands did, in order: scripts and expiries as plain writes with absolute deadlines.
3. A replica's data at some moment are that data set and a prefix of the writes, cut between two transactions.
4. Promoting it makes a server go back to exactly that.
"""

from __future__ import annotations

import re
import select
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

import hiredis

_TIMEOUT_S = 60.0
"""Seconds of real time in which the server must have sent its data set."""

_BOOKKEEPING = frozenset({b"SELECT", b"PING", b"MULTI", b"EXEC", b"FLUSHALL", b"REPLCONF", b"PUBLISH", b"SCRIPT"})

_ANNOUNCED = re.compile(rb"\n*\+FULLRESYNC \w+ (?P<offset>\d+)\r\n\n*\$(?P<size>\d+)\r\n")
_REFUSED = re.compile(rb"\n*-(.*)\r\n")

Words = list[bytes]
LetTimePass = Callable[[], AbstractContextManager[Callable[[], None]]]


class Channel(Protocol):
    """A connection to the server."""

    def send(self, request: bytes) -> None:
        """Send bytes."""
        ...

    def pushed(self) -> bytes:
        """Return what has arrived."""
        ...

    def close(self) -> None:
        """Close it."""
        ...


class Server(Protocol):
    """The server, as far as a replica needs it that is promoted in its place."""

    def show(self, now: int) -> None:
        """Let it be so many microseconds after the epoch of the run."""
        ...

    def execute(self, writes: Sequence[Words]) -> None:
        """Execute commands."""
        ...


class NoReplication(Exception):
    """The server does not replicate to us. The message holds its answer."""


@contextmanager
def _no_time_passes() -> Iterator[Callable[[], None]]:
    yield lambda: None


class Replica:
    """The data that a replica would receive: a data set, and the writes since then, each with its moment of the run.

    Args:
        connect: opens a connection to the server.
        ask: executes one command on another one.
        folder: where the server keeps its files: it leaves a data set there before it sends it.
        hurry: a context, with a function that lets time pass for the server's periodic work while we wait for it.
    """

    def __init__(
        self,
        connect: Callable[[], Channel],
        ask: Callable[..., object],
        folder: Path,
        passing: LetTimePass = _no_time_passes,
    ) -> None:
        self._passing = passing
        self._connect = connect
        self._ask = ask
        self._saved = folder / "dump.rdb"
        self._data = folder / "replica.rdb"
        self._channel: Channel | None = None
        self._reader = hiredis.Reader()
        self._offset = 0
        self._log: list[tuple[int, Words]] = []
        # Virtual time may leap for hours: a replica that says nothing must not be given up for that, nor for what it
        # has not read yet.
        for setting in (
            *(("repl-timeout", 2_000_000_000), ("repl-diskless-sync", "no")),
            *(("rdbcompression", "no"), ("client-output-buffer-limit", "replica 0 0 0")),
        ):
            ask("CONFIG", "SET", *setting)

    @property
    def follows(self) -> bool:
        """Whether the server sends us the commands that it executes."""
        return self._channel is not None

    def follow(self) -> None:
        """Start from the data set that the server has now."""
        self._log.clear()
        self._attach()
        self._saved.replace(self._data)

    def stop(self) -> None:
        """Follow no more, and forget everything."""
        self._log.clear()
        if self._channel is not None:
            self._channel.close()
            self._channel = None

    def catch_up(self, moment: int) -> None:
        """Take the writes since the last call: they were made at `moment` microseconds of the run, or before."""
        self._log += [(moment, words) for words in self._receive()]

    def divide(self, moment: int) -> tuple[list[Words], list[str]]:
        """Keep the writes until `moment` microseconds, and follow no longer.

        Return them, and the keys of the later ones.
        """
        kept = [(at, words) for at, words in self._log if at <= moment]
        lost = [words for at, words in self._log if at > moment]
        self.stop()
        self._log = kept
        return [words for _, words in kept if words[0].upper() != b"PING"], list(_keys(lost))

    def give_back(self) -> None:
        """Have the server load the data set that we started from."""
        shutil.copyfile(self._data, self._saved)
        self._ask("DEBUG", "RELOAD", "NOSAVE")

    def go_on(self) -> None:
        """Follow on after a promotion, from the same data set and the writes that were kept."""
        self._attach()

    def _attach(self) -> None:
        self._ask("CONFIG", "SET", "hz", 100)  # how soon it notices that a data set is ready
        self._channel = self._connect()
        self._reader = hiredis.Reader()
        self._channel.send(b"PSYNC ? -1\r\n")
        with self._passing() as let_time_pass:
            self._offset, size, received = self._full_sync(self._channel, let_time_pass)
            for _ in _until_deadline(
                "its whole data set"
            ):  # which lies in a file, too: what is received of it is not kept
                if len(received) >= size:
                    break
                let_time_pass()
                size, received = size - len(received), self._channel.pushed()
        self._feed(received[size:])
        self._ask("CONFIG", "SET", "hz", 10)

    @staticmethod
    def _full_sync(channel: Channel, let_time_pass: Callable[[], None]) -> tuple[int, int, bytes]:
        """Return the stream's first offset, the size of the data set in bytes, and its bytes received so far."""
        received = b""
        for _ in _until_deadline("a data set"):
            let_time_pass()
            received += channel.pushed()
            if found := _ANNOUNCED.match(received):
                return int(found["offset"]), int(found["size"]), received[found.end() :]
            if refused := _REFUSED.match(received):
                raise NoReplication(refused[1].decode("utf-8", "replace"))
        raise AssertionError("the wait ends with an error")

    def _receive(self) -> list[Words]:
        """Return what the server has executed since the last call: it may take several turns to write that."""
        assert self._channel is not None
        end = self._written()
        for _ in _until_deadline("what it has executed"):
            self._feed(self._channel.pushed())
            if self._offset >= end:
                break
        found: list[Words] = []
        while (words := self._reader.gets()) is not False:
            if isinstance(words, list):
                found.append(words)
        return found

    def _feed(self, data: bytes) -> None:
        self._offset += len(data)
        self._reader.feed(data)

    def _written(self) -> int:
        """Return how far the stream goes, as the server counts it."""
        info = self._ask("INFO", "replication")
        assert isinstance(info, bytes)
        return int(info.partition(b"master_repl_offset:")[2].split()[0])


def _until_deadline(what: str) -> Iterator[None]:
    """Yield again and again, a little later each time. Raises NoReplication when that has taken too long."""
    deadline = time.monotonic() + _TIMEOUT_S  # real time: this waits for a real process
    while time.monotonic() < deadline:
        yield
        select.select([], [], [], 0.0005)
    raise NoReplication(f"the server has not sent {what} within {_TIMEOUT_S:g} s")


class Standby:
    """A replica that follows only while its data may be needed.

    If the moments are known at which it may be promoted, it follows from the first of them on, and reads the server's
    writes only at these moments. Otherwise it follows from the start, and reads them after each step of the clock.
    """

    def __init__(self, replica: Replica) -> None:
        self._replica = replica
        self._since = 0
        self._always = False
        self._expected: list[int] = []
        self._passed: list[int] = []

    def expect(self, moments: Iterable[int] | None, now: int) -> None:
        """Forget earlier data.

        Be ready to go back to each of these moments of the run, or to any from `now` on, in microseconds.
        """
        self._replica.stop()
        self._always = moments is None
        self._expected, self._passed = sorted(moments or ()), []
        if self._always or self._go_past(now):
            self._follow(now)

    def pass_time(self, shown: int, now: int) -> None:
        """Follow the clock from `shown` to `now`, in microseconds."""
        if not self._go_past(now) and not self._always:
            return
        if self._replica.follows:
            self._replica.catch_up(shown)
        else:
            self._follow(shown)

    def _follow(self, now: int) -> None:
        self._since = now
        self._replica.follow()

    def _go_past(self, now: int) -> bool:
        """Return whether any of the expected moments is over."""
        if not self._expected or self._expected[0] >= now:
            return False
        while self._expected and self._expected[0] < now:
            self._passed.append(self._expected.pop(0))
        return True

    def promote(self, moment: int, now: int, server: Server) -> list[str]:
        """Have a server go back to its data at an expected moment; times are microseconds.

        Return the keys of the writes since then.
        """
        if not self._always and moment in self._expected:  # it is not over yet: nothing is lost
            self._expected.remove(moment)
            return []
        self._replica.catch_up(now)
        kept, lost = self._replica.divide(moment)
        # A replica lets nothing lapse by itself: its primary says when something has. So no clock goes on meanwhile.
        server.show(self._since)
        self._replica.give_back()
        server.execute(kept)
        server.show(now)
        if not self._always:
            self._passed.remove(moment)
        if self._always or self._passed:
            self._replica.go_on()
        return lost


def _keys(writes: list[Words]) -> Iterator[str]:
    for verb, *words in writes:
        if verb.upper() in _BOOKKEEPING:
            continue
        named = words if verb.upper() in (b"DEL", b"UNLINK") else words[:1]
        yield from (word.decode("utf-8", "backslashreplace") for word in named)
