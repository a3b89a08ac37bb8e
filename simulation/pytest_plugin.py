"""Scenario files as tests. The plugin itself, with its options and fixtures, is `causim.pytest_plugin`.

A scenario passes if every seed holds, or if the file's `[expect]` says of this engine that an invariant is violated and
a seed violates it. A failure tells the story of the violation and ends with the command that replays it.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pytest

# An installation from before `causim.pytest_plugin` names this module as its plugin.
from causim.pytest_plugin import (
    causim_store,
    causim_world,
    laboratory,
    pytest_addoption,
    pytest_collect_file,
    pytest_unconfigure,
)
from simulation.scenario.errors import BadScenario
from simulation.scenario.load import load, loads
from simulation.search.budget_check import check
from simulation.search.replay import Replay, load_replay
from simulation.search.summary import Tally, summarise

if TYPE_CHECKING:
    from simulation.scenario.model import Scenario
    from simulation.search.replay import Replay
    from simulation.search.summary import Tally
    from simulation.world.laboratory import Laboratory
    from simulation.world.run import Run

__all__ = [
    "Failed",
    "ScenarioFile",
    "ScenarioItem",
    "WorldRunner",
    "causim_store",
    "causim_world",
    "pytest_addoption",
    "pytest_collect_file",
    "pytest_unconfigure",
    "world_runner",
]


class ScenarioFile(pytest.File):
    """A scenario file, which is one test."""

    def collect(self) -> Iterator[pytest.Item]:
        """Yield the test."""
        replay = load_replay(self.path)
        item: ScenarioItem = ScenarioItem.from_parent(self, name=replay.scenario.name)
        item.replay = replay
        yield item

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Show what is wrong with a file as its sentence, without a traceback."""
        if isinstance(excinfo.value, BadScenario):
            return str(excinfo.value)
        return super().repr_failure(excinfo)


class Failed(Exception):
    """A scenario did not do what is expected of it. The message is what a failing test shows."""


class ScenarioItem(pytest.Item):
    """One scenario, run with some seeds."""

    replay: Replay

    @property
    def _scenario(self) -> Scenario:
        return self.replay.scenario

    @property
    def _engine(self) -> str:
        return str(self.config.getoption("--causim-engine") or self._scenario.engine)

    def runtest(self) -> None:
        """Run the scenario, and raise Failed if it does not do what is expected of it."""
        tally, store = Tally(), laboratory(self.config)
        wanted = set(self._scenario.expected.get(self._engine, ("holds",)))
        for summary in self._summaries(store):
            tally.add(summary)
            if tally.violating and (wanted == {"holds"} or wanted & set(tally.violations)):
                break
        verdict = tally.verdict(self._scenario.judge.require_coverage)
        if verdict in wanted or wanted & set(tally.violations):
            self._check_budgets(tally)
            return
        if verdict == "violated":
            raise Failed(self._story(tally, store))
        raised = [f"raised    {error}" for error, _ in list(tally.errors.values())[:3]]
        missing = [f"'{word}' did not happen" for word in tally.missing(self._scenario.judge.require_coverage)]
        raise Failed(
            f"{self._engine}: {verdict} in {tally.runs} seeds, expected: {', '.join(sorted(wanted))}\n"
            + "\n".join([*missing, *tally.reasons, *raised])
        )

    def _check_budgets(self, tally: Tally) -> None:
        budgets = check(self._scenario.budgets(self._engine), tally)
        over = [f"budget    {checked.told}" for checked in budgets if not checked.kept]
        if over:
            raise Failed(f"{self._engine}: over budget in {tally.runs} seeds\n" + "\n".join(over))

    def _summaries(self, laboratory: Laboratory) -> Iterator[Any]:
        if self.replay.choices is not None:
            yield summarise(self.replay.perform(laboratory, self._engine))
            return
        first = self._scenario.seed
        for seed in range(first, first + self.config.getoption("--causim-seeds")):
            yield summarise(laboratory.run(self._scenario, seed, self._engine))

    def _story(self, tally: Tally, laboratory: Laboratory) -> str:
        # only a failure needs it
        from reports.text.run_text import choices, facts, story, violation_of

        seed = tally.first_violating
        scenario = self._scenario.model_copy(update={"seed": seed})
        again = Replay(scenario, self.replay.choices, self.replay.bounds)
        run = again.perform(laboratory, self._engine, trace=True)
        violation = violation_of(run)
        assert violation is not None, "a run that was violated holds when it is run again: please report this"
        lines = [facts(run), *choices(run), *(line.text for line in story(run, violation))]
        lines += [f"raised    {error}" for error in run.errors[:3]]
        lines += [f"violated  {violation.invariant}", f"because   {violation.because.removeprefix('because ')}"]
        words = ["causim", "run", str(self.path), "--engine", self._engine]
        if self.replay.choices is None:
            words += ["--seed", str(seed)]
        return "\n".join([*lines, f"replay    {shlex.join(words)}"])

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Show a failure as its story, without a traceback."""
        if isinstance(excinfo.value, Failed):
            return str(excinfo.value)
        return super().repr_failure(excinfo)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Return what the test is called in reports."""
        return self.path, None, f"{self._scenario.name} on {self._engine}"


class WorldRunner(Protocol):
    """Runs a world and returns its judged run."""

    def __call__(self, scenario: Scenario | Path | str, seed: int | None = None, engine: str | None = None) -> Run:
        """Run a scenario: an object, the path of a file, or the text of one."""
        ...


def world_runner(store: Laboratory, chosen: str | None) -> WorldRunner:
    """Return a function that runs scenarios on a store, with the engine that was chosen for all of them, if any."""

    def run(scenario: Scenario | Path | str, seed: int | None = None, engine: str | None = None) -> Run:
        if isinstance(scenario, str):
            scenario = loads(scenario)
        elif isinstance(scenario, Path):
            scenario = load(scenario)
        return store.run(scenario, seed, engine or chosen)

    return run
