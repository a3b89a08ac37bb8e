"""The judge convicts the engines whose faults are known, and no other."""

import tomllib
from pathlib import Path

import pytest

from simulation import Laboratory, Scenario, load, loads
from simulation.invariants import INVARIANTS, Judgement

HERE = "tests.simulation.odd_engines:"

CRASHING = """
name = "odd-engine"
[workload]
events = [{ name = "a" }, { name = "b", follows = "a", at = "10ms" }]
[consumers]
count = 2
[[faults]]
kind = "crash"
consumer = "c1"
at = "100ms"
for = "1s"
[[faults]]
kind = "crash"
consumer = "c2"
at = "100ms"
for = "1s"
"""

DIES_HOLDING = """
name = "dies-holding"
[workload]
events = [{ name = "a" }, { name = "b", at = "10ms" }]
[consumers]
count = 2
handler_time = "1s"
[[faults]]
kind = "crash"
step = "end"
for = "1s"
[judge]
release_bound = "1m"
"""

BLOCKED = """
name = "blocked"
[workload]
events = [{ name = "a" }]
[broker]
duplicate = 1.0
[consumers]
count = 2
[policy]
lease = "4s"
lookback = "1m"
"""

TWO_ENGINES = """
name = "two-engines"
engine = "native"
[workload]
events = [{ name = "a" }, { name = "b" }, { name = "c" }, { name = "d" }]
[consumers]
count = 2
concurrency = 1
handler_time = "1s"
engines = { c2 = "tests.simulation.odd_engines:InOneLine" }
"""

OWN_KEYS = (
    *("late-leader", "leader-follower", "three-events", "duplicates", "reversed-chain", "stream"),
    *("ladder/n10-failure-deep-in-a-cascade", "ladder/n12-duplicate-of-a-claimed-follower"),
    *("fan-out", "in-order", "slow-handler", "lossy-network", "crashing-consumers", "cluster", "sentinel-failover"),
    *("ladder/f10-late-sibling-of-claimed", "ladder/f10-sweeps-share-leaders", "ladder/f10-sweeps-share-siblings"),
    *("ladder/f11-not-before-the-lookback", "ladder/f13-timer-at-a-rounding-error", "ladder/f4-cycle-fails-once"),
    *(
        "ladder/f2-leader-crashes-at-the-edge",
        "ladder/f5-drain-slower-than-lookback",
        "ladder/n20-sweep-against-late-leader",
    ),
    *("ladder/f8-cycle-broken-in-one-place", "ladder/f9-drain-slower-than-retention", "ladder/n02-lost-chain-twice"),
    *("ladder/n03-crash-in-the-sweep", "ladder/n03-handler-raises-in-the-sweep", "ladder/n07-slow-handler"),
    *("ladder/n09-first-follower-raises", "ladder/n11-duplicate-between-check-and-lock", "ladder/n13-backlog"),
    *("ladder/n15-clocks-apart", "ladder/n16-fresh-sibling", "ladder/n17-depth", "ladder/n22-leaks"),
    *("ladder/n21-old-and-new-together", "ladder/p1-parent-attached-while-the-child-completes"),
    *(
        "ladder/p4-failover-of-what-was-parked",
        "ladder/p4-failover",
        "ladder/p5-evicted-seen",
        "ladder/p6-nack-to-the-back",
    ),
    *("ladder/p7-one-level", "ladder/p8-edge-of-the-retention", "ladder/p9-reaper-and-live-work"),
    *("ladder/r1-leader-in-flight", "ladder/r3-released-but-not-seen", "ladder/f17-more-claims-than-a-sweep-takes"),
    *("production/change-over-mixed", "production/change-over-one-left", "production/q1-connection-closed-while-idle"),
    *("production/q10-last-millisecond-of-a-lease", "production/q11-trimmed-leader", "production/q2-server-stalls"),
    *("production/q15-queue-gives-a-leader-up", "production/q3-failover-behind-one-address"),
    *("production/q5-pool-of-one-connection", "production/q8-not-a-number", "production/q8-odd-times"),
    *(
        "production/q17-not-an-event",
        "production/q18-forgotten-scripts",
        "production/q9-unreadable-for-half-the-fleet",
    ),
    *("production", "sweeps/consumers-and-waitlist", "sweeps/reordering-latency"),
    *("queues/task-queue", "queues/task-queue-crashes", "swarm", "swarm-topologies", "prefect-etl"),
    *("ladder/f18-duplicate-of-a-parked-sibling", "ladder/f20-sweep-before-the-claim"),
    *(
        "ladder/f21-elder-sibling-after-a-sweep",
        "ladder/f22-drain-ends-with-the-lease",
        "ladder/f23-offered-while-held",
        "two-chains",
    ),
)
"""What an engine can be tried by that has one lock and no fences, and expects no leader that will be offered again."""


OTHERS = tomllib.loads(Path(__file__).with_name("own_keys.toml").read_text(encoding="utf-8"))
"""The other shipped scenarios, by what comes of it."""


@pytest.mark.parametrize(
    ("engine", "invariant"),
    [
        ("AcknowledgesOnly", "nothing-lost"),
        ("GivesUpUntried", "given-up-with-reason"),
        ("KeepsItInADict", "nothing-lost"),
        ("ParksRoots", "prompt-start"),
        ("TenYears", "clean-store"),
    ],
)
def test_the_guilty_are_convicted(engine: str, invariant: str, laboratory: Laboratory) -> None:
    scenario = loads(CRASHING) if engine == "KeepsItInADict" else load("scenarios/leader-follower.toml")
    judgement = laboratory.run(scenario, engine=HERE + engine).judgement
    assert invariant in {violation.invariant for violation in judgement.violations}, judgement.reasons


@pytest.mark.parametrize(
    ("engine", "violated"), [("LeaseTimesHundred", {"no-stuck-worker", "prompt-start"}), ("InOneLine", set())]
)
def test_long_lease_is_convicted(engine: str, violated: set[str], laboratory: Laboratory) -> None:
    """An engine whose lease is a hundred times that of its policy is convicted, and the same with its lease is not."""
    judgement = laboratory.run(loads(DIES_HOLDING), engine=HERE + engine).judgement
    assert {violation.invariant for violation in judgement.violations} == violated, judgement.reasons


def test_blocking_handler_is_convicted(laboratory: Laboratory) -> None:
    """An engine that blocks its process in a handler is convicted."""
    judgement = laboratory.run(loads(BLOCKED), engine=HERE + "SleepsInItsHandler").judgement
    assert "handled-once" in {violation.invariant for violation in judgement.violations}, judgement.reasons


@pytest.mark.parametrize("scenario", OWN_KEYS[:8])
def test_own_keys_are_acquitted(scenario: str, laboratory: Laboratory) -> None:
    """An engine that parks under keys of its own is acquitted."""
    judgement = laboratory.run(load(f"scenarios/{scenario}.toml"), engine=HERE + "ParksUnderItsOwnKeys").judgement
    assert judgement.verdict == "holds", (judgement.violations[:2], judgement.reasons)


@pytest.mark.nightly
@pytest.mark.parametrize("scenario", OWN_KEYS[8:])
def test_own_keys_are_acquitted_everywhere(scenario: str, laboratory: Laboratory) -> None:
    """An engine that parks under keys of its own is acquitted in every scenario."""
    test_own_keys_are_acquitted(scenario, laboratory)


def test_own_keys_know_every_scenario() -> None:
    """Each shipped scenario is one that acquits the engine, or `own_keys.toml` says what comes of it."""
    shipped = {path.relative_to("scenarios").with_suffix("").as_posix() for path in Path("scenarios").rglob("*.toml")}
    listed = [*OWN_KEYS, *OTHERS["unknown"], *OTHERS["untried"], *OTHERS["violated"]]
    assert sorted(listed) == sorted(shipped)


@pytest.mark.nightly
@pytest.mark.parametrize("scenario", [*OTHERS["unknown"], *OTHERS["violated"]])
def test_own_keys_elsewhere(scenario: str, laboratory: Laboratory) -> None:
    """Where the engine is too simple for a scenario, it breaks what is listed, and nothing else."""
    judgement = laboratory.run(load(f"scenarios/{scenario}.toml"), engine=HERE + "ParksUnderItsOwnKeys").judgement
    violated = OTHERS["violated"].get(scenario, [])
    assert sorted({violation.invariant for violation in judgement.violations}) == violated, judgement.violations[:2]
    assert violated or judgement.verdict == "unknown"


def test_engines_read_different_objects(laboratory: Laboratory) -> None:
    """Consumers of two engines that read a message as different kinds of objects are given what was published."""
    run = laboratory.run(loads(TWO_ENGINES))
    assert {entry.consumer for entry in run.history if entry.kind == "started"} == {"c1", "c2"}
    assert run.judgement.verdicts["payload-intact"].verdict == "holds"


def test_sibling_order_can_be_waived(laboratory: Laboratory) -> None:
    """Siblings may start as they come only where the scenario says so."""
    shipped = load("scenarios/fan-out.toml")
    judgement = laboratory.run(shipped, engine=HERE + "ReleasesInParallel").judgement
    assert {violation.invariant for violation in judgement.violations} == {"sibling-order"}
    judgement = laboratory.run(without_sibling_order(shipped), engine=HERE + "ReleasesInParallel").judgement
    assert judgement.verdict == "holds", (judgement.violations[:2], judgement.reasons)


def without_sibling_order(scenario: Scenario) -> Scenario:
    """Return a scenario that lets siblings start as they come."""
    asked = scenario.judge.invariants or tuple(INVARIANTS)
    others = tuple(name for name in asked if name != "sibling-order")
    return scenario.model_copy(update={"judge": scenario.judge.model_copy(update={"invariants": others})})


def roomy(scenario: Scenario) -> Scenario:
    """Return a scenario for engines that wait in the worker: each event needs one, or its leader finds none."""
    bound = max(600_000_000, scenario.judge.release_bound or 0)
    horizon = scenario.judge.horizon + 2 * bound  # the world is quiet when nothing has happened for the bound
    judge = {"require_coverage": ("handled",), "release_bound": bound, "horizon": horizon}
    return scenario.model_copy(
        update={
            "consumers": scenario.consumers.model_copy(update={"concurrency": 1000}),
            "judge": scenario.judge.model_copy(update=judge),
        }
    )


INNOCENT = tomllib.loads(Path(__file__).with_name("innocents.toml").read_text(encoding="utf-8"))
"""What other designs do in the shipped scenarios, by engine."""


def judged(engine: str, scenario: str, laboratory: Laboratory) -> Judgement:
    """Return the judgement on an engine in a shipped scenario, which is eased to what its design promises."""
    shipped = load(f"scenarios/{scenario}.toml")
    eased = without_sibling_order(shipped) if engine == "ReleasesInParallel" else roomy(shipped)
    return laboratory.run(eased, engine=engine if engine.islower() else HERE + engine).judgement


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("engine", "scenario"), [(name, one) for name, rows in INNOCENT.items() for one in rows["holds"]]
)
def test_the_innocent_everywhere(engine: str, scenario: str, laboratory: Laboratory) -> None:
    """Engines that wait in the worker, poll, or release siblings in parallel are acquitted where they suffice."""
    judgement = judged(engine, scenario, laboratory)
    assert judgement.verdict == "holds", (judgement.violations[:2], judgement.reasons)


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("engine", "scenario"), [(name, one) for name, rows in INNOCENT.items() for one in rows.get("violated", ())]
)
def test_the_innocent_where_they_do_not_suffice(engine: str, scenario: str, laboratory: Laboratory) -> None:
    """Where a scenario asks for more than a design promises, it breaks what is listed, and nothing else."""
    judgement = judged(engine, scenario, laboratory)
    assert sorted({violation.invariant for violation in judgement.violations}) == INNOCENT[engine]["violated"][scenario]


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("engine", "scenario"), [(name, one) for name, rows in INNOCENT.items() for one in rows.get("unknown", ())]
)
def test_the_innocent_where_nothing_happens(engine: str, scenario: str, laboratory: Laboratory) -> None:
    """Where what a scenario is about never happens with a design, nothing is proved."""
    judgement = judged(engine, scenario, laboratory)
    assert judgement.verdict == "unknown"
    assert list(judgement.missing) == INNOCENT[engine]["unknown"][scenario]


def test_innocents_know_every_scenario() -> None:
    """Each shipped scenario stands in one list of each engine, or among those that were not tried."""
    shipped = {path.relative_to("scenarios").with_suffix("").as_posix() for path in Path("scenarios").rglob("*.toml")}
    for rows in INNOCENT.values():
        named = [one for group in rows.values() for one in group]
        assert sorted(named) == sorted(shipped)


@pytest.mark.parametrize("scenario", ["leader-follower", "late-leader", "three-events", "fan-out", "in-order"])
@pytest.mark.parametrize("engine", [f"{HERE}InOneLine", f"{HERE}PollsForALookback", "native-waiting"])
def test_the_innocent_are_acquitted(engine: str, scenario: str, laboratory: Laboratory) -> None:
    judgement = laboratory.run(roomy(load(f"scenarios/{scenario}.toml")), engine=engine).judgement
    assert judgement.verdict == "holds", (judgement.violations[:2], judgement.reasons)
