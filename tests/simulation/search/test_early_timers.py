"""Time that passes early holds no request for so long that an engine is cut off without the judge knowing it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import pytest

from simulation.world.laboratory import Laboratory
from simulation.world.scheduling import Bounds, Exploration, Step

WORLD = """
name = "held-request"
workload.events = [{ name = "a" }]
consumers = { count = 2, handler_time = "2s" }
broker.redeliver_after = "5s"
"""
LEASE_S = 16


@pytest.fixture(scope="module")
def server() -> Iterator[Laboratory]:
    with Laboratory("server") as laboratory:
        yield laboratory


class HoldsRequests:
    """Holds the requests of one consumer but the first few, and lets time pass instead."""

    def __init__(self, free: int) -> None:
        self._free = free
        self.early = 0

    def choose(self, steps: Sequence[Step]) -> int:
        """Return another step if there is one, else the passing of time, else the first."""
        for place, step in enumerate(steps):
            if step.kind != "time" and not self._holds(step):
                return place
        places = [place for place, step in enumerate(steps) if step.kind == "time"]
        self.early += len(places)
        return places[0] if places else 0

    def _holds(self, step: Step) -> bool:
        if step.who != "c1" or step.kind != "request":
            return False
        self._free -= 1
        return self._free < 0

    def done(self, step: Step, touched: object) -> None:
        """Do nothing."""


@pytest.mark.parametrize("free", range(4))
def test_a_request_is_not_held_for_a_whole_lease(server: Laboratory, free: int) -> None:
    scheduler = HoldsRequests(free)
    run = server.run(WORLD, 1, "native", exploration=Exploration(scheduler, Bounds(early=1_000)))
    assert run.judgement.violations == ()
    assert scheduler.early
    assert run.steps is not None
    times = [at for _, at in run.steps.places]
    assert max(b - a for a, b in pairwise(times)) < LEASE_S * 1_000_000
