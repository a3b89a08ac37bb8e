"""`causim compare`: one scenario on several engines, side by side."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.table import Table

from causim.written_files import written_whole
from reports.figures.units import duration
from simulation.cli import HOLDS, INTERRUPTED, UNKNOWN, BadUsage
from simulation.cli.files import one_scenario
from simulation.cli.given import CompareOptions
from simulation.cli.output import STYLES
from simulation.cli.terminal import Terminal
from simulation.cli.trust import check_trust
from simulation.engines import UnknownEngine
from simulation.scenario.errors import BadScenario
from simulation.search.parallel.seeds import Plan, search
from simulation.search.summary import Tally
from simulation.world.world import EngineFailed

if TYPE_CHECKING:
    from simulation.scenario.model import Scenario
    from simulation.search.summary import Tally


@dataclass(frozen=True, slots=True)
class Row:
    """The results of one engine."""

    engine: str
    tally: Tally
    verdict: str
    failure: str = ""
    """The error that kept the engine from running, or from going on."""

    def record(self, invariants: Sequence[str]) -> dict[str, Any]:
        """Return the row as plain values; shares and costs are None if nothing was run."""
        tally = self.tally
        shares = {name: _share(tally.violations.get(name, (0,))[0], tally.runs) for name in invariants}
        return {
            "engine": self.engine,
            "verdict": self.verdict,
            "seeds": tally.runs,
            "violating": _share(tally.violating, tally.runs),
            **shares,
            "latency_p50_us": tally.latency(0.5),
            "latency_p99_us": tally.latency(0.99),
            "lost_followers": _share(tally.lost, tally.followers),
            "commands_per_event": _share(tally.busy_commands, tally.events),
            "round_trips_per_event": _share(tally.busy_round_trips, tally.events),
            "failure": self.failure,
        }


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def execute(given: CompareOptions) -> int:
    """Run every engine, print the table and return the exit code. Raises BadUsage."""
    if len(set(given.engine)) < 2:
        raise BadUsage("give --engine at least twice, with different engines: there is nothing to compare")
    scenario = one_scenario(given.path)
    check_trust(scenario, given.path, given.engine)
    rows: list[Row] = []
    interrupted = False
    for engine in dict.fromkeys(given.engine):
        row, interrupted = _run(scenario, engine, given)
        rows.append(row)
        if interrupted:
            break
    violated = sorted({name for row in rows for name in row.tally.violations})
    records = [row.record(violated) for row in rows]
    if given.csv:
        _write_csv(given.csv, records)
    if given.json:
        sys.stdout.writelines(json.dumps(record) + "\n" for record in records)
    else:
        _show(scenario, rows, violated)
    if interrupted:
        return INTERRUPTED
    return UNKNOWN if any(row.failure for row in rows) else HOLDS


def _run(scenario: Scenario, engine: str, given: CompareOptions) -> tuple[Row, bool]:
    tally, failure, interrupted = Tally(), "", False
    first = scenario.seed if given.seed is None else given.seed
    plan = Plan(scenario, engine, given.store, given.redis_server)
    if not given.json:
        sys.stderr.write(f"{scenario.name} · {engine} · {given.seeds} seeds …\n")
    try:
        for summary in search(plan, range(first, first + given.seeds), given.jobs, apart=True):
            tally.add(summary)
    except (BadScenario, UnknownEngine, EngineFailed) as error:
        failure = str(error)
    except KeyboardInterrupt:
        interrupted = True
    verdict = "failed" if failure else tally.verdict(scenario.judge.require_coverage)
    return Row(engine, tally, verdict, failure), interrupted


def _write_csv(file: Path, records: Sequence[dict[str, Any]]) -> None:
    with written_whole(file) as partial, partial.open("w", newline="", encoding="utf-8") as out:
        writer = csv.DictWriter(out, fieldnames=list(records[0]))
        writer.writeheader()
        writer.writerows(records)


def _show(scenario: Scenario, rows: Sequence[Row], violated: Sequence[str]) -> None:

    console = Terminal()
    title = f"{scenario.name} · invariants: share of seeds that violate them"
    table = Table(title=escape(title), title_justify="left", box=None, pad_edge=False)
    table.add_column("")
    for row in rows:
        table.add_column(escape(row.engine), justify="right", no_wrap=True)
    columns = [dict(_cells(row, violated)) for row in rows]
    for heading in columns[0]:
        table.add_row(heading, *(column[heading] for column in columns))
    console.print(table)
    for row in rows:
        if row.failure:
            console.print(f"{escape(row.engine)}: {escape(row.failure)}", style="yellow")


def _in_words(microseconds: int) -> str:
    return duration(microseconds / 1e6)


def _cells(row: Row, violated: Sequence[str]) -> Iterator[tuple[str, str]]:
    def row_of(key: str, how: Callable[[Any], str]) -> str:
        return "" if record[key] is None else how(record[key])

    record = row.record(violated)
    yield "verdict", f"[{STYLES.get(row.verdict, 'yellow')}]{row.verdict}[/]"
    for name in violated:
        yield name, row_of(name, lambda share: f"{share:.1%}" if share else "–")
    yield "latency p50", row_of("latency_p50_us", _in_words)
    yield "latency p99", row_of("latency_p99_us", _in_words)
    yield "lost followers", row_of("lost_followers", "{:.2%}".format)
    yield "Redis commands an event", row_of("commands_per_event", "{:.1f}".format)
    yield "round trips an event", row_of("round_trips_per_event", "{:.1f}".format)
    yield "seeds", f"{row.tally.runs:,}"
