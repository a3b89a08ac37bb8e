"""Stores for the tests: one real redis-server and one fakeredis a session, empty at the start of each run."""

import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from simulation import Laboratory
from simulation.servers import Store, bundled_server


@pytest.fixture(scope="session")
def laboratory() -> Iterator[Laboratory]:
    """A laboratory on a real redis-server in virtual time."""
    with Laboratory("server") as laboratory:
        yield laboratory


@pytest.fixture(scope="session")
def embedded() -> Iterator[Laboratory]:
    """A laboratory on fakeredis."""
    with Laboratory("embedded") as laboratory:
        yield laboratory


@pytest.fixture
def server(laboratory: Laboratory) -> Store:
    """A real redis-server in virtual time."""
    return laboratory.store


@pytest.fixture(scope="session")
def socket() -> Iterator[str]:
    """The address of a redis-server of the tests' own, in real time."""
    with tempfile.TemporaryDirectory(prefix="causim-test-") as folder:
        address = f"{folder}/redis"
        arguments = [bundled_server(), "--port", "0", "--unixsocket", address, "--save", "", "--dir", folder]
        process = subprocess.Popen([str(a) for a in arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            for _ in range(2_000):
                if Path(address).exists():
                    break
                time.sleep(0.005)
            yield address
        finally:
            process.kill()
            process.wait()
