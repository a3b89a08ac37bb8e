"""Handlers that kill their process, in processes of their own: what is reported of them is nothing at all."""

from __future__ import annotations

import subprocess
import sys

import redis

from tests.ordering.conftest import event
from tests.ordering.deadly import DEADLY, KILLED


def consume(socket: str, way: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.ordering.deadly", socket, way]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def forget_leases(client: redis.Redis) -> None:
    for key in client.keys("{deadly}:processing:*"):
        client.delete(key)


def test_parked_event_kills_two_processes(socket: str) -> None:
    """A parked event kills two processes and its siblings are handled by the third."""
    with redis.Redis(unix_socket_path=socket, decode_responses=True) as client:
        client.flushall()
        assert consume(socket, "deliver").returncode == KILLED
        assert consume(socket, "sweep").returncode == KILLED
        last = consume(socket, "sweep")
        assert last.returncode == 0, last.stderr
        assert client.lrange("handled", 0, -1) == ["1", "2", "4", "5"]
        assert client.exists(f"{{deadly}}:dead:{event(DEADLY).id}")
        assert "was given up after 2 failed attempts" in last.stderr


def test_batch_event_kills_three_processes(socket: str) -> None:
    """An event of a batch kills three processes and the others are handled."""
    with redis.Redis(unix_socket_path=socket, decode_responses=True) as client:
        client.flushall()
        for _ in range(3):  # together with the others, which counts half; then twice, alone
            assert consume(socket, "batch").returncode == KILLED
            forget_leases(client)
        last = consume(socket, "batch")
        assert last.stdout.split() == ["seen", "seen", "dead", "handled", "handled"], last.stderr
        assert set(client.lrange("handled", 0, -1)) == {"1", "2", "4", "5"}
