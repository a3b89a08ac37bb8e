"""Scenario files as tests. The plugin itself, with its options and fixtures, is `causim.pytest_plugin`.

A scenario passes if every seed holds, or if the file's `[expect]` says of this engine that invariants are violated, a
seed violates one of them, and no seed violates another. A failure has the story of the violation and ends with the
command that replays it.
"""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from causim.pytest_plugin import fitted, laboratory
from reports.text.run_text import choices, facts, story
from simulation.engines import UnknownEngine, check_expected
from simulation.kernel.escapes import Escaped
from simulation.scenario.errors import BadScenario
from simulation.search.budget_check import check
from simulation.search.parallel.seeds import Plan, search
from simulation.search.replay import Replay, load_replay
from simulation.search.summary import Tally, summarise
from simulation.stores.protocol import StoreUnavailable

if TYPE_CHECKING:
    from simulation.engines import Engine
    from simulation.scenario.model import Scenario
    from simulation.world.laboratory import Laboratory
    from simulation.world.run import Run

__all__ = [
    "Failed",
    "ScenarioFile",
    "ScenarioItem",
    "Verify",
    "WorldRunner",
    "verifier",
    "world_runner",
]


class ScenarioFile(pytest.File):
    """A scenario file: one test for all its seeds, or one for each batch of them."""

    def collect(self) -> Iterator[pytest.Item]:
        """Yield the tests."""
        replay = load_replay(self.path)
        name, first = replay.scenario.name, replay.scenario.seed
        seeds = range(first, first + (1 if replay.choices is not None else self.config.getoption("--causim-seeds")))
        size = self.config.getoption("--causim-batch") or len(seeds) or 1
        batches = [seeds[place : place + size] for place in range(0, len(seeds), size)]
        for batch in batches:
            words = f"{batch[0]}" if len(batch) == 1 else f"{batch[0]}-{batch[-1]}"
            named = name if len(batches) == 1 else f"{name}[{words}]"
            item: ScenarioItem = ScenarioItem.from_parent(self, name=named)
            item.replay, item.seeds, item.part = replay, batch, len(batches) > 1
            item.add_marker("causim")
            yield item

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Show what is wrong with a file as its sentence, without a traceback."""
        if isinstance(excinfo.value, BadScenario):
            return fitted(str(excinfo.value), self.config)
        return super().repr_failure(excinfo)


class Failed(Exception):
    """A scenario did not do what is expected of it. The message is what a failing test shows."""


class ScenarioItem(pytest.Item):
    """One scenario, run with some seeds."""

    replay: Replay
    seeds: range
    part: bool
    """Whether other tests run other seeds of the scenario: then these need not show all that is expected."""

    @property
    def _scenario(self) -> Scenario:
        return self.replay.scenario

    @property
    def _engine(self) -> str:
        return str(self.config.getoption("--causim-engine") or self._scenario.engine)

    def runtest(self) -> None:
        """Run the scenario, and raise Failed if it does not do what is expected of it."""
        check_expected(self._scenario)
        tally, store = Tally(), laboratory(self.config)
        wanted = set(self._scenario.expected.get(self._engine, ("holds",)))
        with closing(self._summaries(store)) as summaries:  # other processes are gone before the story is printed
            for summary in summaries:
                tally.add(summary)
                if set(tally.violations) - wanted:
                    break
        self.user_properties += [("causim outside", what) for what in tally.outside]
        self.user_properties += [("causim never struck", fault) for fault in sorted(tally.silent_faults)]
        verdict = tally.verdict(self._scenario.judge.require_coverage)
        if set(tally.violations) - wanted:
            raise Failed(self._story(tally, wanted, store))
        if verdict in wanted or verdict == "violated":
            self._check_budgets(tally)
            return
        raised = [f"raised    {error}" for error, _ in list(tally.errors.values())[:3]]
        missing = [f"'{word}' did not happen" for word in tally.missing(self._scenario.judge.require_coverage)]
        if self.part and not tally.reasons:
            pytest.skip(f"nothing was proved by these seeds: {', '.join(missing) or f'{verdict}, as others may not'}")
        raise Failed(
            f"{self._engine}: {verdict} in {_seeds(tally)}, expected: {', '.join(sorted(wanted))}\n"
            + "\n".join([*missing, *tally.reasons, *raised])
        )

    def _check_budgets(self, tally: Tally) -> None:
        if over := _over_budget(self._scenario, self._engine, tally):
            raise Failed(f"{self._engine}: over budget in {_seeds(tally)}\n" + "\n".join(over))

    def _summaries(self, laboratory: Laboratory) -> Generator[Any, None, None]:
        if self.replay.choices is not None:
            yield summarise(self.replay.perform(laboratory, self._engine))
            return
        store, jobs = self.config.getoption("--causim-store"), self.config.getoption("--causim-jobs")
        yield from search(Plan(self._scenario, self._engine, store), self.seeds, jobs, laboratory)

    def _story(self, tally: Tally, expected: set[str], laboratory: Laboratory) -> str:
        """Return the story of the first seed that violates what it is not expected to."""
        seed = min(first for name, (_, first, _) in tally.violations.items() if name not in expected)
        scenario = self._scenario.model_copy(update={"seed": seed})
        again = Replay(scenario, self.replay.choices, self.replay.bounds)
        run = again.perform(laboratory, self._engine, trace=True)
        words = [*_program(self._engine), "run", _from_here(self.path), "--engine", self._engine]
        if self.replay.choices is None:
            words += ["--seed", str(seed)]
        words += _trusting(self._scenario)
        return story_of(run, shlex.join(words), self.config.getoption("--causim-results"), expected)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Show a failure as its story, without a traceback."""
        if isinstance(excinfo.value, Failed | UnknownEngine | BadScenario | StoreUnavailable | Escaped):
            return fitted(str(excinfo.value), self.config)
        return super().repr_failure(excinfo)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Return what the test is called in reports."""
        return self.path, None, f"{self._scenario.name} on {self._engine}"


def _seeds(tally: Tally) -> str:
    return f"{tally.runs:,} seed{'s' * (tally.runs != 1)}"


def _over_budget(scenario: Scenario, engine: str, tally: Tally) -> list[str]:
    return [f"budget    {checked.words}" for checked in check(scenario.budgets(engine), tally) if not checked.kept]


def story_of(run: Run, replay: str, results: str | None, expected: Iterable[str] = ("holds",)) -> str:
    """Return what a failing test shows of a run: its story, every violated invariant, and where its report is.

    The story is of the first violation that is not expected.
    """
    violation = next((one for one in run.violations if one.invariant not in expected), None)
    assert violation is not None, "a run that was violated holds when it is run again: please report this"
    lines = [
        f"{violation.invariant} is violated · {facts(run)}",
        *choices(run),
        *(line.text for line in story(run, violation)),
    ]
    lines += [f"raised    {error}" for error in run.errors[:3]]
    lines += [f"outside   {what}; such a run may be another the next time" for what in run.outside]
    lines += [f"note      the fault '{fault}' never struck" for fault in run.silent_faults]
    firsts = {each.invariant: each for each in reversed(run.violations)}
    for each in sorted(firsts.values(), key=lambda one: one is not violation):
        lines += [f"violated  {each.invariant}", f"because   {each.because.removeprefix('because ')}"]
    if set(expected) != {"holds"}:
        lines.append(f"expected  {', '.join(sorted(expected))}")
    lines.append(f"replay    {replay}")
    if results:
        engine = re.sub(r"[^\w.@-]", "-", run.history.header.engine)
        lines.append(
            f"report    {run.save(Path(results) / run.scenario.name / f'{engine}-{run.seed}') / 'report.html'}"
        )
    return "\n".join(lines)


class Verify(Protocol):
    """Runs a world, and fails unless it holds."""

    def __call__(
        self, scenario: Scenario | Path | str, seed: int | None = None, engine: str | type[Engine] | None = None
    ) -> Run:
        """Run a scenario and return the judged run. Fails the test if it does not hold, or is over budget."""
        ...


def verifier(store: Laboratory, config: pytest.Config) -> Verify:
    """Return a function that runs scenarios on a store, and fails a test unless they hold."""

    def verify(
        scenario: Scenario | Path | str, seed: int | None = None, engine: str | type[Engine] | None = None
    ) -> Run:
        run = store.run(scenario, seed, engine or config.getoption("--causim-engine"))
        if run.verdict == "violated":
            again = store.run(scenario, run.seed, run.history.header.engine, trace=True)
            name = run.history.header.engine
            words = [*_program(name), "run", *_named(scenario), "--engine", name, "--seed", str(run.seed)]
            words += _trusting(run.scenario)
            text = story_of(again, shlex.join(words), config.getoption("--causim-results"))
            pytest.fail(fitted(text, config), pytrace=False)
        if run.verdict != "holds":
            why = [*run.judgement.reasons, *(f"'{word}' did not happen" for word in run.judgement.missing)]
            pytest.fail(fitted(f"{run!r}: {'; '.join(why)}", config), pytrace=False)
        tally = Tally()
        tally.add(summarise(run))
        if over := _over_budget(run.scenario, run.history.header.engine, tally):
            pytest.fail(fitted(f"{run!r}: over budget\n" + "\n".join(over), config), pytrace=False)
        return run

    return verify


def _from_here(path: Path) -> str:
    """Return a path as a command in the current folder names it."""
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def _trusting(scenario: Scenario) -> list[str]:
    """Return the option without which the command line refuses a scenario that allows what is outside of a run."""
    return [] if scenario.allow.allowance.is_empty else ["--trust"]


def _program(engine: str) -> list[str]:
    """Return the command that finds an engine: causim looks in the current folder, pytest in that of a test."""
    module = sys.modules.get(engine.partition(":")[0].partition(".")[0]) if ":" in engine else None
    file = getattr(module, "__file__", None)
    if file is None:
        return ["causim"]
    folder = Path(file).parents[1 if Path(file).name == "__init__.py" else 0]
    if folder == Path.cwd() or not folder.is_relative_to(Path.cwd()) or "site-packages" in folder.parts:
        return ["causim"]
    return [f"PYTHONPATH={folder.relative_to(Path.cwd())}", "causim"]


def _named(scenario: Scenario | Path | str) -> list[str]:
    """Return what the command line calls a scenario; of one that is no file, nothing but its place."""
    is_file = isinstance(scenario, Path) or (isinstance(scenario, str) and "\n" not in scenario and "=" not in scenario)
    return [str(scenario)] if is_file else ["SCENARIO.toml"]


class WorldRunner(Protocol):
    """Runs a world and returns its judged run."""

    def __call__(
        self, scenario: Scenario | Path | str, seed: int | None = None, engine: str | type[Engine] | None = None
    ) -> Run:
        """Run a scenario: an object, the path of a file, or the text of one."""
        ...


def world_runner(store: Laboratory, chosen: str | None) -> WorldRunner:
    """Return a function that runs scenarios on a store, with the engine that was chosen for all of them, if any."""

    def run(scenario: Scenario | Path | str, seed: int | None = None, engine: str | type[Engine] | None = None) -> Run:
        return store.run(scenario, seed, engine or chosen)

    return run
