"""What a run shows of the clock and of randomness belongs to the run, and to nobody else."""

import os
import threading
from datetime import UTC, datetime
from uuid import uuid4

from simulation.kernel.ambient import Ambient
from simulation.kernel.event_loop import SimulatedLoop
from simulation.kernel.random_streams import Streams

EPOCH = datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)


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


def test_another_thread_draws_real_bytes_and_disturbs_nobody() -> None:
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
    before = os.urandom
    with Ambient(SimulatedLoop(), EPOCH, Streams(7)):
        assert os.urandom is not before
        assert datetime.now(UTC) == EPOCH
    assert os.urandom is before
    assert datetime.now(UTC) > EPOCH
