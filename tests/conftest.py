"""Stores for the tests: one real redis-server and one fakeredis a session, empty at the start of each run."""

import signal
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from simulation import Laboratory
from simulation.kernel.endings import collected_leftovers
from simulation.stores.bundled import running_server
from simulation.stores.protocol import Store

# How long an example takes says more about the machine than about the code: a busy one must not fail a test.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

# A shell starts what runs in its background with interrupts ignored, and so would the commands that tests interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def without_leftovers() -> Iterator[None]:
    """Collect what a test leaves that has a loop and clients of its own, which it does not close."""
    with collected_leftovers():
        yield


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
    with running_server() as address:
        yield address
