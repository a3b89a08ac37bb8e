"""What consumers warn of is in the history where a scenario asks whether losses are reported."""

import logging

import pytest

from simulation import Laboratory, Run, load
from simulation.scenario.model import Scenario
from tests.simulation.engines import MinimalEngine

HERE = "tests.simulation.test_loudness:"


class Warns(MinimalEngine):
    """Warns of each event in its log, and handles it."""

    async def handle(self, event):
        logging.getLogger("a.library.of.tests").warning("cannot find %s", event.id)
        return await super().handle(event)


class WarnsByField(MinimalEngine):
    """Names the event in a field of the record."""

    async def handle(self, event):
        logging.getLogger("a.library.of.tests").error("cannot find it", extra={"event_id": str(event.id)})
        return await super().handle(event)


class WarnsBelow(MinimalEngine):
    """Logs it where no operator looks."""

    async def handle(self, event):
        logging.getLogger("a.library.of.tests").info("cannot find %s", event.id)
        return await super().handle(event)


class RaisesOnce(MinimalEngine):
    """Raises for each event when it comes first."""

    def __init__(self, context):
        super().__init__(context)
        self.met = set()

    async def handle(self, event):
        if event.id not in self.met:
            self.met.add(event.id)
            raise RuntimeError("cannot find it")
        return await super().handle(event)


def run(laboratory: Laboratory, engine: str, *, loud: bool = True) -> Run:
    scenario: Scenario = load("scenarios/in-order.toml")
    judge = scenario.judge.model_copy(update={"loud": loud})
    return laboratory.run(scenario.model_copy(update={"judge": judge}), engine=HERE + engine)


def warned(found: Run) -> set[str]:
    return {entry.event for entry in found.history if entry.kind == "warned"}


@pytest.mark.parametrize("engine", ["Warns", "WarnsByField", "RaisesOnce"])
def test_warning_that_names_an_event(engine: str, laboratory: Laboratory) -> None:
    found = run(laboratory, engine)
    assert warned(found) == {entry.event for entry in found.history if entry.kind == "delivered"}


def test_no_warning_no_entry(laboratory: Laboratory) -> None:
    assert not warned(run(laboratory, "WarnsBelow"))
    assert not warned(run(laboratory, "Warns", loud=False))


def test_logger_that_does_not_propagate(laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch) -> None:
    """A logger that hands nothing on is heard too."""
    monkeypatch.setattr(logging.getLogger("a.library.of.tests"), "propagate", False)
    monkeypatch.setattr(logging.root.manager, "disable", logging.CRITICAL)
    assert warned(run(laboratory, "Warns"))
    assert logging.root.manager.disable == logging.CRITICAL
    assert not logging.getLogger("a.library.of.tests").handlers


def test_silent_loss_is_a_violation(laboratory: Laboratory) -> None:
    """A loss that is not reported is a violation."""
    scenario = load("scenarios/ladder/p5-evicted-payload.toml")
    assert laboratory.run(scenario, engine="native").judgement.verdict == "holds"
    judgement = laboratory.run(scenario, engine="mutant:lose-in-silence").judgement
    assert {violation.invariant for violation in judgement.violations} == {"nothing-lost"}
