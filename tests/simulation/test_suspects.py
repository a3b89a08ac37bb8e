"""The judge and engines whose guilt or innocence is known."""

import pytest

from simulation import Laboratory, load, loads

HERE = "tests.simulation.suspects:"

CRASHING = """
name = "suspect"
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


@pytest.mark.parametrize("scenario", ["leader-follower", "late-leader", "three-events", "fan-out", "in-order"])
@pytest.mark.parametrize("engine", [f"{HERE}InOneLine", "native-waiting"])
def test_the_innocent_are_acquitted(engine: str, scenario: str, laboratory: Laboratory) -> None:
    shipped = load(f"scenarios/{scenario}.toml")
    # They wait in the worker: each event needs one, or its leader finds none.
    roomy = shipped.model_copy(
        update={
            "consumers": shipped.consumers.model_copy(update={"concurrency": 1000}),
            "judge": shipped.judge.model_copy(update={"require_coverage": ("handled",), "release_bound": 600_000_000}),
        }
    )
    judgement = laboratory.run(roomy, engine=engine).judgement
    assert judgement.verdict == "holds", (judgement.violations[:2], judgement.reasons)
