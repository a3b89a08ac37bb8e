"""A finished run: the scenario, the history, the costs, and the judgement."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli_w

from reports import view
from simulation.history.history import History
from simulation.history.indexer import index_of
from simulation.invariants import Judgement, Violation, judge
from simulation.scenario.model import Scenario
from simulation.world.error_log import RaisedError
from simulation.world.request_log import RequestLog
from simulation.world.scheduling import Steps


@dataclass(frozen=True, slots=True)
class Counts:
    """The costs of a run: commands, packets, events, virtual time."""

    commands: int
    """Redis commands that consumers sent, until the last event had come to rest."""
    round_trips: int
    """Packets that consumers sent until then."""
    events: int
    """Events that were published."""
    virtual: int
    """Microseconds of virtual time."""
    idle_commands: int = 0
    """Those of the commands that were sent by sweeps that found nothing."""
    idle_round_trips: int = 0
    """Those of the packets that were sent by sweeps that found nothing."""


class Run:
    """A finished run: the scenario, the history and the judgement."""

    def __init__(
        self,
        scenario: Scenario,
        history: History,
        counts: Counts,
        silent: tuple[str, ...],
        steps: Steps | None = None,
        *,
        requests: RequestLog | None = None,
        errors: tuple[RaisedError, ...] = (),
        outside: tuple[str, ...] = (),
    ) -> None:
        self.errors = errors
        """Errors raised by the code under test, each once, with the number of times that it came."""
        self.outside = outside
        """Outside resources that the code under test has used, as the scenario allows: the run may be another the
        next time."""
        self.scenario = scenario
        self.steps = steps
        """The steps and choices, if the run was explored."""
        self.requests = requests or RequestLog()
        """The requests of each consumer to Redis, and the shapes of the answers."""
        self.history = history
        self.counts = counts
        self.silent_faults = silent
        """The faults of the scenario that never acted."""
        self.index = index_of(history) if isinstance(history.entries, list) else None
        """The history, arranged by event; None if it is kept in a file because it is long."""
        self.judgement: Judgement = judge(history, scenario.judge.invariants, self.index)

    @property
    def seed(self) -> int:
        """The seed of the run."""
        return self.history.header.seed

    @property
    def verdict(self) -> str:
        """`holds`, `violated` or `unknown`."""
        return self.judgement.verdict

    @property
    def digest(self) -> str:
        """The SHA-256 of the history."""
        return self.history.digest

    @property
    def events(self) -> Any:
        """A DataFrame with one row for each event."""
        return view("tables.frames:events_frame")(self.history)

    @property
    def latency(self) -> Any:
        """A picture of the latencies of events."""
        return view("figures.run_figures:latency_figure")(self.history)

    @property
    def followers(self) -> Any:
        """A picture of the states of followers over time."""
        return view("figures.run_figures:followers_figure")(self.history)

    @property
    def spacetime(self) -> Any:
        """A space-time diagram of the first violation, or of the beginning of the run."""
        return view("figures.spacetime_figure:spacetime_figure")(self.history, self.judgement.violations)

    @property
    def story(self) -> str:
        """The story of the first violation, line by line; its witness is marked. Empty if there is none."""
        story: str = view("text.narrative:story_text")(self.history, self.judgement.violations)
        return story

    @property
    def violations(self) -> tuple[Violation, ...]:
        """The violations, in the order of the invariants: empty unless the verdict is `violated`."""
        return tuple(self.judgement.violations)

    def report(self) -> str:
        """Return the report of the run: one page of HTML that works offline."""
        from simulation.world.run_files import REPORTED, Reported  # it writes runs

        text = tomli_w.dumps({**self.scenario.written(), "seed": self.seed, "engine": self.history.header.engine})
        shown = Reported(self, self.history.beginning(REPORTED), text, self._command(self.scenario.name + ".toml"))
        page: str = view("page.page:page")(shown)
        return page

    def save(self, folder: str | Path) -> Path:
        """Write the run into a folder, which is made: its scenario, history, verdict, table, pictures and report.

        Of a run whose order was chosen, the scenario alone gives another order: `shrink(run).write` keeps the choices.
        Raises OSError.
        """
        from simulation.world.run_files import write_run  # it writes runs

        path = Path(folder)
        path.mkdir(parents=True, exist_ok=True)
        write_run(self, path, self._command(str(path / "scenario.toml")), {})
        return path

    def _command(self, file: str) -> str:
        words = ["causim", "run", file, "--engine", self.history.header.engine, "--seed", str(self.seed)]
        return shlex.join(words if self.scenario.allow.allowance.is_empty else [*words, "--trust"])

    def _repr_html_(self) -> str:
        card: str = view("page.notebook_card:card")(self.history, self.judgement)
        return card

    def __repr__(self) -> str:
        return f"<Run of {self.scenario.name} seed {self.seed}: {self.verdict}>"
