"""What a run shows of clocks and randomness belongs to the run, however the code under test imported it."""

# ruff: noqa: PLW0108  # each name is to be looked up during the run

import functools
import os
import random
import secrets
import socket
import sys
import threading
import time
import uuid
from collections.abc import Callable
from contextvars import copy_context
from datetime import UTC, datetime
from os import urandom as bound_urandom
from time import monotonic as bound_monotonic
from time import perf_counter_ns as bound_perf_counter_ns
from types import ModuleType
from typing import Any
from uuid import uuid4

import pytest

from simulation.kernel.ambient import Ambient
from simulation.kernel.event_loop import SimulatedLoop
from simulation.kernel.process import Process, current_process
from simulation.kernel.random_streams import Streams

EPOCH = datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)


class Timed:
    """Keeps a clock as an attribute of the class, and one as a default."""

    clock = time.monotonic
    shared = staticmethod(time.monotonic)

    def __init__(self, timer: Callable[[], float] = time.monotonic, *, other: Callable[[], float] = time.perf_counter):
        self.timer, self.other = timer, other


def in_process(call: Callable[[], Any], name: str = "c1") -> Any:
    """Call a function as code of a simulated process."""
    context = copy_context()
    context.run(current_process.set, Process(name))
    return context.run(call)


def world(at_us: int = 2_500_000) -> Ambient:
    loop = SimulatedLoop()
    loop.env.timeout(at_us)
    loop.run_while(lambda: True)
    return Ambient(loop, EPOCH, Streams(7))


def drawn(disturb: bool) -> list[str]:
    """Draw three ids in a run, while another thread draws some or does not."""
    with Ambient(SimulatedLoop(), EPOCH, Streams(7)):
        ids = []
        for _ in range(3):
            ids.append(str(uuid4()))
            if disturb:
                other = threading.Thread(target=os.urandom, args=(16,))
                other.start()
                other.join()
        return ids


def test_random_bytes_come_from_the_seed() -> None:
    assert drawn(False) == drawn(False)
    assert len(set(drawn(False))) == 3


def test_other_thread_draws_real_bytes() -> None:
    """Another thread draws real bytes and disturbs no stream."""
    assert drawn(True) == drawn(False)
    found: list[bytes] = []
    with Ambient(SimulatedLoop(), EPOCH, Streams(7)):
        other = threading.Thread(target=lambda: found.append(os.urandom(16)))
        other.start()
        other.join()
        mine = os.urandom(16)
    assert len(found[0]) == 16
    assert found[0] != mine


def test_everything_is_given_back() -> None:
    names = [(os, "urandom"), (time, "monotonic"), (time, "sleep"), (socket, "gethostname"), (Timed, "clock")]
    before = [getattr(holder, name) for holder, name in names]
    with Ambient(SimulatedLoop(), EPOCH, Streams(7)):
        assert all(getattr(holder, name) is not old for (holder, name), old in zip(names, before, strict=True))
        assert datetime.now(UTC) == EPOCH
    assert [getattr(holder, name) for holder, name in names] == before
    assert datetime.now(UTC) > EPOCH


@pytest.mark.parametrize(
    "clock",
    [
        lambda: time.monotonic(),
        lambda: time.perf_counter(),
        lambda: time.process_time(),
        lambda: time.monotonic_ns() / 1e9,
        lambda: bound_monotonic(),
        lambda: bound_perf_counter_ns() / 1e9,
        lambda: Timed().clock(),
        lambda: Timed.shared(),
        lambda: Timed().timer(),
        lambda: Timed().other(),
        lambda: time.time() - EPOCH.timestamp(),
    ],
)
def test_clocks_show_virtual_time(clock: Callable[[], float]) -> None:
    """Every clock of a process shows virtual time."""
    with world():
        assert in_process(clock) == pytest.approx(2.5, abs=1e-6)


def test_harness_counting_clocks() -> None:
    """The harness keeps its own counting clocks."""
    with world():
        assert bound_monotonic() != 2.5
        assert threading.TIMEOUT_MAX > 0
        assert threading.Event().wait(0.001) is False


def test_module_imported_later() -> None:
    """A module that is imported later is found too."""
    with world():
        pass
    late = ModuleType("tests_late_module")
    late.now = functools.partial  # type: ignore[attr-defined]
    exec("from time import monotonic as now", vars(late))
    sys.modules["tests_late_module"] = late
    try:
        with world():
            assert in_process(late.now) == 2.5
        assert late.now() != 2.5
    finally:
        del sys.modules["tests_late_module"]


def test_randomness_from_the_seed() -> None:
    """All randomness of a process comes from the seed."""

    def draw() -> list[object]:
        unseeded = random.Random()
        return [bound_urandom(4), secrets.token_hex(4), uuid.uuid1(), uuid4(), unseeded.random(), random.random()]

    def once() -> object:
        with world():
            return in_process(draw)

    assert once() == once()
    assert len(set(once())) == 6  # type: ignore[call-overload]


def test_machine_and_process_number() -> None:
    """A process has a machine and a number of its own."""
    with world():
        one = in_process(lambda: (socket.gethostname(), os.getpid()), "c1")
        two = in_process(lambda: (socket.gethostname(), os.getpid()), "c2")
    assert (one, two) == (("c1", 1001), ("c2", 1002))


def test_two_runs_at_the_same_time_are_refused() -> None:
    with world(), pytest.raises(RuntimeError, match="two runs"):
        world().__enter__()
    assert time.monotonic is bound_monotonic
