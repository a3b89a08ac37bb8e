"""The ways to use the engine, each in the harness: by single steps, in batches, in partitions."""

import pytest

from simulation import Laboratory, Scenario, load, loads

SCENARIOS = ["reversed-chain", "fan-out", "duplicates", "lossy-network", "in-order"]


def patient(name: str) -> Scenario:
    """Return a shipped scenario whose end leaves time for another sweep."""
    scenario = load(f"scenarios/{name}.toml")
    return scenario.model_copy(update={"judge": scenario.judge.model_copy(update={"settle_time": 60_000_000})})


@pytest.mark.parametrize("engine", ["native-batches", "native-partitions", "native-stream"])
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_batches_partitions_and_streams_hold(laboratory: Laboratory, scenario: str, engine: str) -> None:
    run = laboratory.run(load(f"scenarios/{scenario}.toml"), engine=engine)
    assert run.verdict == "holds", run.story


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_steps_keep_all_but_sibling_order(laboratory: Laboratory, scenario: str) -> None:
    """Single steps keep everything but the order of siblings."""
    judgement = laboratory.run(patient(scenario), engine="native-steps").judgement
    assert {violation.invariant for violation in judgement.violations} <= {"sibling-order"}
    assert judgement.verdict != "unknown"


@pytest.mark.parametrize("engine", ["native-batches", "native-stream"])
def test_cancelled_handler(laboratory: Laboratory, engine: str) -> None:
    """A handler that is cancelled leaves no worker waiting."""
    scenario = loads(
        """
        name = "cancelled"
        workload = { kind = "chains", count = 6, length = 1, interval = "0s" }
        broker = { delay = "1ms", redeliver_after = "5s" }
        consumers = { count = 1, concurrency = 6 }
        judge.require_coverage = ["handled"]
        [[faults]]
        kind = "handler-cancelled"
        probability = 0.5
        call = 1
        """
    )
    run = laboratory.run(scenario, 1, engine)
    answered = {entry.details["delivery"] for entry in run.history.of("acknowledged", "rejected")}
    assert answered == {entry.details["delivery"] for entry in run.history.of("delivered")}
    assert any(True for _ in run.history.of("fault"))
    assert run.verdict == "holds"
