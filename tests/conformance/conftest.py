"""A redis-server at a port, in real time, and free ports."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from simulation.stores.bundled import bundled_server


def free_port() -> int:
    """Return the number of a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number: int = probe.getsockname()[1]
    return number


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    """A redis-server at a port of its own."""
    number = free_port()
    arguments = [str(bundled_server()), "--port", str(number), "--bind", "127.0.0.1", "--save", "", "--dir"]
    process = subprocess.Popen([*arguments, str(tmp_path)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(1_000):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", number)) == 0:
                    break
            time.sleep(0.01)
        yield number
    finally:
        process.kill()
        process.wait()
