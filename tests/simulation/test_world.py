"""The world: what the broker does to events, how consumers live and die, and how a run comes to its end."""

from __future__ import annotations

import gc
from collections import Counter
from typing import Any
from weakref import ref

import pytest

from simulation import Laboratory, Run, load, loads
from simulation.engines import UnknownEngine, resolve
from simulation.world.world import EngineFailed, World

HERE = "tests.simulation.engines"


def run(laboratory: Laboratory, text: str, engine: str = "MinimalEngine", seed: int = 1, **options: Any) -> Run:
    return laboratory.run(loads('name = "test"\n' + text), seed, f"{HERE}:{engine}", **options)


def kinds(run: Run) -> Counter[str]:
    return Counter(entry.kind for entry in run.history)


CHAINS = '[workload]\nkind = "chains"\ncount = 40\n'


def test_quiet_day(laboratory: Laboratory) -> None:
    """Every event is delivered once on a quiet day."""
    found = kinds(run(laboratory, CHAINS))
    assert (found["published"], found["delivered"], found["acknowledged"], found["ended"]) == (200, 200, 200, 200)


def test_dropped_event(laboratory: Laboratory) -> None:
    """What is dropped is never delivered and the run still ends."""
    result = run(laboratory, CHAINS + "[broker]\ndrop = 0.25\n")
    dropped = {entry.event for entry in result.history.of("dropped")}
    delivered = {entry.event for entry in result.history.of("delivered")}
    assert 25 < len(dropped) < 75
    assert dropped.isdisjoint(delivered)
    assert len(dropped | delivered) == 200


def test_duplicates_are_delivered_later(laboratory: Laboratory) -> None:
    result = run(laboratory, CHAINS + '[broker]\nduplicate = 0.5\nduplicate_delay = "3s"\n')
    deliveries: dict[str, list[int]] = {}
    for entry in result.history.of("delivered"):
        deliveries.setdefault(entry.event, []).append(entry.at)
    twice = [moments for moments in deliveries.values() if len(moments) == 2]
    assert 60 < len(twice) < 140
    assert all(second - first >= 2_900_000 for first, second in twice)
    assert kinds(result)["duplicated"] == len(twice)


def test_reordering_lets_later_events_overtake(laboratory: Laboratory) -> None:
    result = run(laboratory, CHAINS + '[broker]\nreorder = 0.3\nreorder_delay = "1s"\n')
    order = [entry.event for entry in result.history.of("delivered")]
    assert order != [entry.event for entry in result.history.of("published")]


def test_failed_until_dead_lettered(
    laboratory: Laboratory,
) -> None:
    """A failed delivery comes again when idle and is dead lettered at the last failure."""
    text = '[workload]\nevents = [{ name = "a" }]\n[broker]\ndelay = "1ms"\n[network]\nlatency = "0s"\n'
    result = run(laboratory, text, "Failing")
    assert [entry.at for entry in result.history.of("delivered")] == [1_000, 5_001_000, 10_001_000, 15_001_000]
    assert [entry.details["because"] for entry in result.history.of("rejected")] == ["RuntimeError"] * 4
    assert [entry.details["by"] for entry in result.history.of("dead-lettered")] == ["broker"]


def test_given_up_and_parked(laboratory: Laboratory) -> None:
    """What the broker has given up and an engine has parked is waited for."""
    text = '[workload]\nevents = [{ name = "a" }]\n[broker]\nmax_failures = 1\n[policy]\nlookback = "1m"\n'
    result = run(laboratory, text, "Forgetful")
    [given_up], [effect] = result.history.of("dead-lettered"), result.history.of("ended")
    assert given_up.at < 1_000_000
    assert effect.at > 25_000_000


def test_unreadable_by_all(laboratory: Laboratory) -> None:
    """A message that no engine could read is not waited for."""
    text = '[workload]\nevents = [{ name = "a", readable = false }]\n[broker]\nmax_failures = 1\n'
    result = run(laboratory, text)
    assert result.counts.virtual < 10_000_000


def test_held_elsewhere_is_no_failure(laboratory: Laboratory) -> None:
    """An event that is held elsewhere comes again and does not count as failed."""
    from tests.simulation.engines import Busy

    Busy.seen = 0
    result = run(laboratory, '[workload]\nevents = [{ name = "a" }]\n[broker]\nmax_failures = 1\n', "Busy")
    found = kinds(result)
    assert (found["delivered"], found["refused"], found["ended"], found["dead-lettered"]) == (4, 3, 1, 0)


def test_redelivered_during_handler(laboratory: Laboratory) -> None:
    """A slow handler has its event redelivered meanwhile."""
    text = '[workload]\nevents = [{ name = "a" }]\n[consumers]\nhandler_time = "7s"\n'
    result = run(laboratory, text)
    attempts = [entry.details["attempt"] for entry in result.history.of("delivered")]
    assert attempts == [1, 2]


def test_unreadable_message(laboratory: Laboratory) -> None:
    """An unreadable message is a failure of its own."""
    text = '[workload]\nevents = [{ name = "a", readable = false }, { name = "b" }]\n'
    result = run(laboratory, text)
    assert {entry.details["because"] for entry in result.history.of("rejected")} == {"Unreadable"}
    assert [entry.event for entry in result.history.of("dead-lettered")] == ["a"]
    assert [entry.event for entry in result.history.of("ended")] == ["b"]


def test_handlers_fail_as_often_as_they_should(laboratory: Laboratory) -> None:
    result = run(laboratory, CHAINS + "[consumers]\nhandler_failure = 0.2\n[broker]\nmax_failures = 20\n")
    outcomes = Counter(entry.details["outcome"] for entry in result.history.of("ended"))
    assert outcomes["ok"] == 200
    assert 20 < outcomes["failed"] < 90


def test_a_group_shares_the_work(laboratory: Laboratory) -> None:
    result = run(laboratory, CHAINS + '[consumers]\ncount = 5\nhandler_time = "200ms"\n')
    share = Counter(entry.consumer for entry in result.history.of("started"))
    assert len(share) == 5
    assert min(share.values()) > 20


@pytest.mark.parametrize(("concurrency", "at_once"), [(1, 1), (3, 3)])
def test_concurrency(laboratory: Laboratory, concurrency: int, at_once: int) -> None:
    """A consumer works on as many deliveries as it should."""
    text = CHAINS + f'[consumers]\ncount = 1\nconcurrency = {concurrency}\nhandler_time = "200ms"\n'
    result = run(laboratory, text)
    open_now = most = 0
    for entry in result.history.of("started", "ended"):
        open_now += 1 if entry.kind == "started" else -1
        most = max(most, open_now)
    assert most == at_once


def test_the_census_lists_what_will_never_expire(laboratory: Laboratory) -> None:
    result = run(laboratory, '[workload]\nevents = [{ name = "a" }]\n', "Writing")
    [census] = result.history.of("census")
    assert census.details["keys"] == {"causim:lasting": {"type": "string", "ttl": None}}


def test_parked_again_is_not_quiet(laboratory: Laboratory) -> None:
    """A copy that comes after a flush waits for the whole lookback, although its event was handled before."""
    text = """name = "test"
workload.events = [{ name = "a" }, { name = "f", follows = "a" }]
broker = { delay = "60ms", redeliver_after = "1s" }
judge = { allowed_loss = ["flush"], horizon = "1h" }
faults = [{ kind = "partition", at = "10ms", for = "3s" }, { kind = "flush", at = "2s" }]
"""
    result = laboratory.run(loads(text), 2026113078151, "native")
    assert [entry.event for entry in result.history.of("parked")] == ["f"]
    assert [entry.details["via"] for entry in result.history.of("started")] == ["delivered", "delivered", "rescued"]
    assert result.history.entries[-1].details["phase"] == "quiet"
    assert not result.violations


def test_in_flight_at_the_horizon(laboratory: Laboratory) -> None:
    """A run that is not quiet at its horizon says what was in flight."""
    text = (
        '[workload]\nevents = [{ name = "a" }]\n[consumers]\nhandler_time = "1h"\n'
        '[broker]\nredeliver_after = "2h"\n[judge]\nhorizon = "10s"\n'
    )
    result = run(laboratory, text)
    last = result.history.entries[-1]
    assert (last.kind, last.details["phase"], last.at) == ("phase", "horizon", 10_000_000)
    assert last.details["in_flight"] == ["c1: a", "1 deliveries pending"]


def test_engine_cannot_be_made(laboratory: Laboratory) -> None:
    """An engine that cannot be made is not blamed on the scenario."""
    with pytest.raises(EngineFailed, match="RuntimeError: no licence"):
        run(laboratory, CHAINS, "Broken")


def test_engine_without_time(laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that waits for no time is stopped."""
    monkeypatch.setattr("simulation.world.world.CALLBACK_LIMIT", (500, 10))
    with pytest.raises(EngineFailed, match=r"at 1\.005 s it does something again and again without any time passing"):
        run(laboratory, CHAINS + '[broker]\ndelay = "1005ms"\n', "Hasty")
    assert run(laboratory, CHAINS).verdict == "holds"


def test_failing_sweep(laboratory: Laboratory) -> None:
    """A failing sweep is written down and does not stop the consumer."""
    text = '[workload]\nevents = [{ name = "a" }, { name = "b", at = "12s" }]\n[consumers]\ncount = 1\n'
    result = run(laboratory, text, "Sweeping")
    assert [entry.details["because"] for entry in result.history.of("swept")] == ["RuntimeError"] * 2
    assert kinds(result)["ended"] == 2


def test_refused_world_writes_nothing(laboratory: Laboratory) -> None:
    """What ends with the world writes no history."""
    # The run ends at its horizon, in the middle of a handling; closing its task makes the consumer reject the delivery.
    text = '[workload]\nevents = [{ name = "a" }]\n[consumers]\nhandler_time = "1h"\n[judge]\nhorizon = "1s"\n'
    result = run(laboratory, text, "Stubborn")
    assert result.history.entries[-1].kind == "phase"
    assert kinds(result)["rejected"] == 0


def test_traced_run(laboratory: Laboratory) -> None:
    """Commands and replies are kept when a run is traced."""
    text = '[workload]\nevents = [{ name = "a" }]\n'
    traced, plain = run(laboratory, text, "Writing", trace=True), run(laboratory, text, "Writing")
    commands = [entry.details["commands"] for entry in traced.history.of("command")]
    assert [["SET", "causim:lasting", "1"]] in commands
    assert [e for e in traced.history if e.kind not in ("command", "reply")] == plain.history.entries
    assert traced.digest == plain.digest


def test_long_wait_is_cheap(laboratory: Laboratory) -> None:
    """A long wait costs little wall time because nothing happens in it."""
    text = '[workload]\nevents = [{ name = "a" }, { name = "b", at = "3h" }]\n[consumers]\nsweep_interval = "30m"\n'
    result = run(laboratory, text)
    assert result.counts.virtual > 3 * 3_600_000_000
    assert len(result.history) < 20


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("nativ", "did you mean 'native'"),
        ("nowhere:Engine", "cannot be loaded: No module named 'nowhere'"),
        (f"{HERE}:Absent", "has no Absent"),
        ("json:JSONDecoder", "has no method handle"),
    ],
)
def test_engine_without_methods(name: str, complaint: str) -> None:
    """An engine that is not one is refused with a reason."""
    with pytest.raises(UnknownEngine, match=complaint):
        resolve(name)


def test_consumer_stops_despite_swallowing(laboratory: Laboratory) -> None:
    """A consumer stops although its client has swallowed the cancellation."""
    # Before Python 3.12, asyncio.wait_for returns what is there already instead of the cancellation that comes with it.
    scenario = loads("""
    name = "test"
    workload.events = [{ name = "a" }]
    consumers = { count = 1, sweep_interval = "1s" }
    network.latency = "0s"
    faults = [{ kind = "stop", at = "1s", every = "2s", times = 3 }]
    """)
    found = kinds(laboratory.run(scenario, 1, "native"))
    assert (found["fault"], found["stopped"], found["joined"]) == (3, 3, 4)


@pytest.mark.parametrize("engine", ["native", "native-waiting", "native-stream", "prefect"])
def test_nothing_keeps_a_world_that_is_over(laboratory: Laboratory, engine: str) -> None:
    """An engine may keep something for each client and loop: a search over many seeds must not grow by that."""
    if engine == "prefect":
        pytest.importorskip("prefect_redis")
    scenario = load("scenarios/late-leader.toml")
    worlds = []
    for seed in (1, 2, 3):
        world = World(scenario, seed, engine, laboratory.store)
        world.run()
        worlds.append(ref(world))
    del world
    gc.collect()
    assert [world() for world in worlds] == [None, None, None]
