"""The shipped task queues run in virtual time; each that is not installed is skipped."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulation import Laboratory, load
from simulation.engines import QUEUE, UnknownEngine, resolve
from simulation.engines.queues import QUEUES
from simulation.search.parallel.determinism import compare_twice
from simulation.search.parallel.seeds import Plan

SCENARIOS = sorted(Path("scenarios/queues").glob("*.toml"))


def engine(name: str) -> str:
    try:
        resolve(QUEUE + name)
    except UnknownEngine as error:
        pytest.skip(str(error))
    return QUEUE + name


@pytest.mark.parametrize("name", QUEUES)
def test_a_queue_gives_the_same_history_twice(laboratory: Laboratory, name: str) -> None:
    scenario = load(SCENARIOS[0])
    one, other = (laboratory.run(scenario, 3, engine(name)) for _ in range(2))
    assert one.digest == other.digest
    found = {violation.invariant for violation in one.judgement.violations}
    expected = scenario.expected[QUEUE + name]
    assert found <= set(expected)
    assert one.judgement.coverage["handled"] == 8 or "nothing-lost" in expected


@pytest.mark.nightly
@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
@pytest.mark.parametrize("name", QUEUES)
def test_two_processes(name: str, path: Path) -> None:
    """Processes with different hash seeds write the same history of a queue."""
    compared = list(compare_twice(Plan(load(path), engine(name)), range(1, 4)))
    assert [one.difference for one in compared] == [None] * 3


def test_queues_are_listed() -> None:
    """Each queue has an expectation and a row on its page."""
    page = Path("docs/queues.md").read_text(encoding="utf-8")
    for name in QUEUES:
        assert f"| `queue:{name}` |" in page
        assert all(f"queue:{name}" in load(path).expected for path in SCENARIOS)


def test_a_queue_that_is_not_known_is_refused() -> None:
    with pytest.raises(UnknownEngine, match="known queues are docket, saq"):
        resolve("queue:celery")
