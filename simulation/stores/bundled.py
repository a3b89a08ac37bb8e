"""Starts what `programs.py` finds: the clock of a server, and a server in real time."""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from simulation.stores.faketime import FakeClock
from simulation.stores.programs import faketime_library, server_programs
from simulation.stores.protocol import StoreUnavailable
from simulation.stores.watcher import Watcher

SERVER_VARIABLE = "CAUSIM_REDIS_SERVER"
"""The environment variable that names the server of tests and benchmarks in real time: a path."""


def open_clock(server: Path, name: str) -> FakeClock:
    """Return a clock for a server. Raises StoreUnavailable if libfaketime or shared memory is missing."""
    try:
        return FakeClock(faketime_library(server), name)
    except OSError as error:
        raise StoreUnavailable(f"no shared memory to keep a server's clock in: {error}") from None


def answers(address: Path) -> bool:
    """Whether a server listens: its socket is there a moment before it does."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(address))
        except OSError:
            return False
    return True


def bundled_server() -> Path:
    """Return the server that CAUSIM_REDIS_SERVER names, or else the one found first. Raises StoreUnavailable."""
    named = os.environ.get(SERVER_VARIABLE)
    return server_programs(Path(named) if named else None)[0].path


@contextmanager
def running_server() -> Iterator[str]:
    """Run the bundled redis-server in real time, empty, and yield the path of its socket: for benchmarks and tests."""
    with tempfile.TemporaryDirectory(prefix="causim-") as folder:
        address = Path(folder) / "redis"
        arguments = [str(bundled_server()), "--port", "0", "--unixsocket", str(address), "--save", "", "--dir", folder]
        watcher, nowhere = Watcher([Path(folder)]), subprocess.DEVNULL
        process = subprocess.Popen(arguments, stdout=nowhere, stderr=nowhere, process_group=watcher.group)  # noqa: S603
        try:
            while not answers(address) and process.poll() is None:
                time.sleep(0.005)
            yield str(address)
        finally:
            process.kill()
            process.wait()
            watcher.dismiss()
