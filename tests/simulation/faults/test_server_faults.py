"""Faults of the server, and of the client's way to it: what they do to the world."""

from __future__ import annotations

from collections import Counter

import pytest

from simulation import Laboratory
from tests.simulation.faults.test_faults_happen import ALONE, ONE, STEADY, TWO, ends, entries_of, fault, run

ASKING = "tests.simulation.faults.engines:Asking"


def commands(result: object, word: str) -> list[int]:
    """Return when Redis executed commands with a word in them."""
    history = result.history  # type: ignore[attr-defined]
    return [e.at for e in history.of("command") for words in e.details["commands"] if word in words]


def test_stalled_server_goes_on(laboratory: Laboratory) -> None:
    """A stalled server executes what it has received when it goes on."""
    text = ONE + ALONE + STEADY + fault("server-stalls", at="0s", for_="12s")
    result = run(laboratory, text, trace=True)
    begun = commands(result, "begin")
    assert begun[0] == 12_000_000
    assert begun.count(12_000_000) > 1, "also what the client has given up, and sent again"
    waiting = Counter(e.details["packet"] for e in result.history.of("fault"))
    assert len(waiting) >= 2
    assert set(waiting.values()) == {1}
    assert result.judgement.coverage["server-stalled"] == len(waiting)
    assert result.verdict == "holds"


def test_stalled_server_times_out(laboratory: Laboratory) -> None:
    """A client gives a stalled server up after its timeout."""
    text = ONE + ALONE + STEADY + fault("server-stalls", at="0s", for_="12s")
    often, seldom = (run(laboratory, text + f'[client]\ntimeout = "{t}"\n') for t in ("1s", "11s"))
    assert len(entries_of(often, "fault")) > len(entries_of(seldom, "fault")) >= 1


def test_stalled_server_and_dead_consumer(laboratory: Laboratory) -> None:
    """What a dead consumer has sent to a stalled server is executed."""
    crash = fault("crash", at="1s", for_="30s")
    text = ONE + ALONE + STEADY + fault("server-stalls", at="0s", for_="3s") + crash
    result = run(laboratory, text, trace=True)
    assert 3_000_000 in commands(result, "begin")
    assert result.verdict == "holds"


def test_a_stall_that_strikes_nothing_is_silent(laboratory: Laboratory) -> None:
    text = ONE + ALONE + STEADY + '[judge]\nrequire_coverage = ["server-stalled"]\n'
    result = run(laboratory, text + fault("server-stalls", at="2s", for_="100ms"))
    assert result.silent_faults == ("server-stalls",)
    assert result.verdict == "unknown"


def test_demoted_server_refuses(laboratory: Laboratory) -> None:
    """A client that stays connected to a replica is refused until it connects again."""
    later = TWO.replace('"100ms"', '"6s"') + ALONE + STEADY + fault("server-demoted", at="3s", for_="30s")
    stays, retries = run(laboratory, later), run(laboratory, later + '[client]\nretry_on = ["READONLY"]\n')
    assert len(entries_of(retries, "fault")) == 1
    assert len(entries_of(stays, "fault")) > 3
    assert not entries_of(retries, "rejected")
    assert {e.details["because"] for e in stays.history.of("rejected")} == {"ReadOnlyError"}
    assert all(at <= 33_000_000 for _, at in entries_of(stays, "fault")), "its connections are closed then"
    assert retries.verdict == stays.verdict == "holds"


@pytest.mark.parametrize("most", [1, 3])
def test_pool_size(laboratory: Laboratory, most: int) -> None:
    """A pool has no more connections than the scenario says."""
    few = f'[client]\nmax_connections = {most}\npool = "wait"\n'
    limited, free = (run(laboratory, ONE + ALONE + more + STEADY, ASKING, trace=True) for more in (few, ""))
    used = [{e.details["connection"] for e in result.history.of("command")} for result in (limited, free)]
    assert used == [set(range(1, most + 1)), set(range(1, 6))]
    assert ends(limited) == {("a", "ok"): 1}


def test_pool_without_waiting(laboratory: Laboratory) -> None:
    """A pool that is used up raises if it does not wait."""
    result = run(laboratory, ONE + ALONE + "[client]\nmax_connections = 4\n" + STEADY, ASKING)
    assert {e.details["because"] for e in result.history.of("rejected")} == {"MaxConnectionsError"}


def test_client_settings_of_one_scenario(laboratory: Laboratory) -> None:
    """The client of one scenario is not that of the next."""
    plain = ONE + ALONE + STEADY + fault("reply-lost", nth=1)
    before = run(laboratory, plain).digest
    run(laboratory, plain + '[client]\nretry_on = ["READONLY"]\nmax_connections = 3\ntimeout = "1s"\n')
    assert run(laboratory, plain).digest == before
