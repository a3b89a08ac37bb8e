"""The race that the peers are timed on tells the engine from its mutants, on any loop; and who is missing is named."""

from __future__ import annotations

import asyncio
import sys
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest
import redis.asyncio

from benchmarks.peers import (
    FOLLOWER,
    LEADER,
    ORDERINGS,
    PLANTED,
    Causim,
    Contestant,
    Measured,
    Race,
    Simloop,
    beside_the_best,
    enter,
    ratio,
    serve,
    stretch,
    table,
)
from simulation.stores.fakeredis_store import EmbeddedStore


@pytest.fixture
async def address(tmp_path: Path) -> str:
    """A server on a real socket that has the embedded store execute what arrives."""
    path = str(tmp_path / "redis")
    await asyncio.start_unix_server(partial(serve, EmbeddedStore()), path)
    return path


async def follower_first(engine: str, address: str) -> Race:
    """Run the race on asyncio's own loop; the leader is delivered when the follower's consumer is done."""
    race = Race(ORDERINGS[engine], partial(redis.asyncio.Redis, unix_socket_path=address), lambda least, most: 0)
    for plan in (FOLLOWER, LEADER):
        await race.consume(plan)
    return race


async def test_engine_wins_the_race(address: str) -> None:
    """The engine wins the race on asyncio's own loop."""
    race = await follower_first("native", address)
    assert race.holds(), race.steps


async def test_without_the_check_the_follower_overtakes(address: str) -> None:
    """Without the check of the leader the follower overtakes."""
    race = await follower_first("ignore-leader", address)
    assert race.steps[:2] == ["b started", "b ended"]
    assert not race.holds()


@pytest.mark.parametrize("engine", ["ignore-leader", "check-then-act"])
def test_planted_race_is_convicted(engine: str) -> None:
    """Causim convicts what is planted and not the engine."""
    with ExitStack() as stack:
        causim = Causim(stack, "embedded")
        found = causim.explore(engine, 1, 60)
        assert found.convicted
        assert not causim.explore("native", 1, found.schedules).convicted


def test_peer_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A peer that is not installed has a row that says so."""
    monkeypatch.setitem(sys.modules, "simloop", None)
    with ExitStack() as stack:
        *_, row = table([Measured("causim"), enter("simloop", Simloop, stack)])
    assert "simloop is not installed: pip install simloop" in row


@pytest.mark.parametrize("error", [RuntimeError("no sockets here\nat all"), SystemExit("no sockets here")])
def test_peer_that_fails(error: BaseException) -> None:
    """A contestant that fails has a row with its own words, and the others have theirs, also if it is the first."""

    def fail(_: Contestant) -> None:
        raise error

    with ExitStack() as stack:
        first, other = (Measured("causim", Causim(stack, "embedded")) for _ in range(2))
        rival = Measured("simloop", other.contestant, rates=[1.0], by_cpu=[2.0])
        first.attempt(fail)
        other.attempt(partial(stretch, other, first=1, seconds=0))
        for one in (other, rival):
            one.found = dict.fromkeys(PLANTED, "1")
        _, _, failed, row, _ = table([first, other, rival])
        assert f"did not finish: {type(error).__name__}: no sockets here |" in failed
        assert "| – |" in row, "there is nothing to compare it with"
        assert len(list(beside_the_best([first, other, rival]))) == 1


def test_peer_that_does_not_start() -> None:
    """A contestant that is installed and cannot be made has a row with the reason."""

    def fail(_: ExitStack) -> Contestant:
        raise ModuleNotFoundError("No module named 'greenlet'", name="greenlet")

    *_, row = table([Measured("causim"), enter("simloop", fail, ExitStack())])
    assert "did not start: ModuleNotFoundError: No module named 'greenlet'" in row


def test_ratios_are_taken_round_by_round() -> None:
    assert ratio([2.0, 30.0, 8.0], [1.0, 10.0, 2.0]) == 3.0
    assert ratio([2.0], [1.0, 10.0]) is None
