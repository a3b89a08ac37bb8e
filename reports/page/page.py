"""The page of a run: one self-contained HTML file that works offline, from the file system, and on paper.

Everything that a run says is text to this page, however it looks: the templates escape all of it, the data for the
scripts is JSON in which no character can end its element, and the page's own policy lets no other script run.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from causim.written_files import write_whole
from reports.figures.series import effects, follower_times, marks
from reports.figures.timeline import of_run
from reports.figures.units import duration, share
from reports.page.charts import BOTTOM, HEIGHT, LEFT, TOP, WIDTH, Chart, charts, folds, grid, likelihood_chart, x
from reports.page.spacetime import CAP, layout, plain
from reports.tables.tables import events_table
from reports.text.narrative import narrate
from reports.text.sentences import moment

if TYPE_CHECKING:
    from pathlib import Path

    from reports.figures.timeline import Timeline
    from reports.page.spacetime import Diagram
    from reports.run import Likelihood, RunLike
    from reports.tables.tables import Table
    from simulation.history.history import History
    from simulation.invariants import Judgement, Violation

SCRIPTS = ("words.js", "view.js", "labels.js", "draw.js", "controls.js", "charts.js")
"""The scripts of the page, in the order in which they run."""

LISTED = 50
"""Number of violations listed as text; the diagram can jump to all of them."""

STATES = {"down": "consumers down", "paused": "consumers paused", "unreachable": "Redis out of reach"}


def page(
    run: RunLike,
    table: Table | None = None,
    beside: Iterable[str] = (),
    cap: int = CAP,
    *,
    likelihood: Likelihood | None = None,
) -> str:
    """Return the page of a run as HTML text.

    `table` is the run's table of events, if there is one already; `beside` names the files in the page's folder that it
    links to; `cap` is how many marks its diagram may have; `likelihood` is how likely the violation was along the run.
    """
    history, judgement = run.history, run.judgement
    table = events_table(history) if table is None else table
    violations = judgement.violations
    diagram = layout(history, violations, cap)
    times = of_run(table, diagram.end / 1e6, _faulty(diagram))
    strips = _strips(diagram, times)
    drawn = charts(table, times, [entry.at for entry in history.of("command")])
    if likelihood is not None:
        drawn = (likelihood_chart(likelihood, times), *drawn)
    return (
        _environment()
        .get_template("report.html")
        .render(
            header=history.header,
            run=run,
            verdict=judgement.verdict,
            reasons=[*_reasons(judgement), *_outside(history), *_silent(run)],
            first=violations[0] if violations else None,
            story=narrate(history, violations[0]) if violations else None,
            likelihood=likelihood,
            groups=_groups(violations),
            listed=violations[:LISTED],
            unlisted=max(0, len(violations) - LISTED),
            facts=_facts(run, table, diagram),
            rests=judgement.rests,
            coverage=[(name, count) for name, count in judgement.coverage.items() if count],
            diagram=diagram,
            cap=cap,
            charts=drawn,
            strips=strips,
            bands=_bands(strips),
            folds=folds(times),
            beside=list(beside),
            truncated=history.truncated,
            data=_data(diagram, drawn, times, likelihood),
            **_own_files(),
        )
    )


def _reasons(judgement: Judgement) -> list[str]:
    missing = (f"nothing was proved about '{word}': it did not happen" for word in judgement.missing)
    return [*judgement.reasons, *missing]


def _outside(history: History) -> Iterator[str]:
    """Yield what the consumers' code reached outside of the run, each once."""
    for what in dict.fromkeys(str(entry.details.get("what", "")) for entry in history.of("outside")):
        yield f"The code under test reached outside of the run, which may be another the next time: {what}"


def _silent(run: RunLike) -> Iterator[str]:
    """Yield a sentence for each fault that never struck."""
    for fault in run.silent_faults:
        yield f"The fault '{fault}' never struck."


def write_page(
    path: Path,
    run: RunLike,
    table: Table | None = None,
    coming: Iterable[str] = (),
    *,
    likelihood: Likelihood | None = None,
) -> None:
    """Write the page of a run to a file, whole or not at all, with links to the other files of its folder.

    `coming` names those that are not all there yet; `likelihood` is as for `page`.
    """
    there = (file.name for file in path.parent.iterdir() if file.is_file() and file != path)
    text = page(run, table, sorted({*there, *coming}), likelihood=likelihood)
    write_whole(path, text, errors="backslashreplace")


def embedded(value: object) -> Markup:
    """Write a value as JSON that can stand inside a script element: no `<`, `>`, `&` or lone surrogate survives."""
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    return Markup(text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))  # noqa: S704


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("reports.page", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["moment"] = moment
    environment.globals["box"] = {"width": WIDTH, "height": HEIGHT, "left": LEFT, "top": TOP, "bottom": BOTTOM}
    return environment


@cache
def _own_files() -> Mapping[str, Markup]:
    """Return the page's own styles and scripts, and the policy that lets only these scripts run."""
    folder = resources.files("reports.page") / "templates"
    style = (folder / "report.css").read_text("utf-8")
    script = "".join((folder / name).read_text("utf-8") for name in SCRIPTS)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    return {"style": Markup(style), "script": Markup(script), "policy": Markup(policy)}  # noqa: S704


def _groups(violations: Sequence[Violation]) -> list[tuple[str, int, int, int]]:
    """Return each broken invariant with how often, when first, and where that violation stands."""
    counts = Counter(v.invariant for v in violations)
    firsts: dict[str, int] = {}
    for place, violation in enumerate(violations):
        firsts.setdefault(violation.invariant, place)
    return [(name, counts[name], violations[place].at, place) for name, place in firsts.items()]


def _facts(run: RunLike, table: Table, diagram: Diagram) -> list[tuple[str, str]]:
    """Return what the head of the page says in numbers."""
    latencies = effects(table)["latency_s"]
    fates = {fate: len(at) for fate, at in follower_times(table).items()}
    facts = [
        ("events", f"{len(table):,}"),
        ("consumers", f"{len(diagram.lanes) - 2:,}"),
        ("run", duration(diagram.end / 1e6)),
        ("publish to effect", " · ".join(f"{m.name} {duration(m.value)}" for m in marks(latencies)) or "–"),
        ("never handled", _never_handled(table)),
        ("followers parked", f"{fates['parked']:,}"),
        ("of them released", f"{fates['released']:,}"),
        ("rescued", f"{fates['rescued']:,}"),
        ("lost followers", _lost(table)),
    ]
    if run.commands is not None:
        each = f"{run.commands / len(table):.1f}" if len(table) else "–"
        facts.append(("Redis commands an event, without idle sweeps", each))
    return facts


def _never_handled(table: Table) -> str:
    """Return the number of events that the latencies leave out, and of those that no consumer received."""
    left_out = table.has("published_s") & ~table.has("effect_s")
    received = (table["deliveries"] > 0) | table.has("parked_s") | (table["handlings"] > 0)
    undelivered = int(np.count_nonzero(left_out & ~received))
    return f"{np.count_nonzero(left_out):,}" + (f" ({undelivered:,} never delivered)" if undelivered else "")


def _lost(table: Table) -> str:
    """Return how many followers were delivered and neither handled nor given up, as `causim run` counts them."""
    delivered = (table["follows"] != "") & (table["deliveries"] > 0)
    followers, lost = int(np.count_nonzero(delivered)), int(np.count_nonzero(delivered & table["lost"]))
    return f"{lost:,} of {followers:,} delivered ({share(lost, followers)})"


@dataclass(frozen=True, slots=True)
class Strip:
    """A row over the time axis: what is in it, how often it happened, and its pieces as left edge, width and words."""

    name: str
    count: int
    pieces: tuple[tuple[float, float, str], ...]


def _faulty(diagram: Diagram) -> Iterator[float]:
    """Yield the moments, in seconds, at which a fault, or what it did to a consumer, began and ended."""
    for mark in diagram.marks:
        if mark.kind == "fault" or mark.kind in STATES:
            yield from (mark.at / 1e6, mark.until / 1e6)


def _strips(diagram: Diagram, times: Timeline) -> list[Strip]:
    """Return the faults, and their effects on consumers, as rows over the time axis."""
    rows: dict[str, list[tuple[float, float, str]]] = {}
    for mark in diagram.marks:
        if mark.kind == "fault":
            name, words = " ".join(mark.words.split(" ")[:2]), mark.words
        elif mark.kind in STATES:
            name, words = STATES[mark.kind], f"{diagram.lanes[mark.lane].name} {mark.kind}"
        else:
            continue
        text = f"{words}, {moment(mark.at)}" + (f" to {moment(mark.until)}" if mark.until > mark.at else "")
        rows.setdefault(name, []).append((x(mark.at / 1e6, times), x(mark.until / 1e6, times), text))
    return [Strip(name, len(row), tuple(_merged(row))) for name, row in sorted(rows.items())]


def _merged(row: list[tuple[float, float, str]]) -> Iterator[tuple[float, float, str]]:
    """Lay together what would lie over each other, so that ten thousand faults are not ten thousand rectangles."""
    for pieces in _runs(sorted(row)):
        left, right = pieces[0][0], max(piece[1] for piece in pieces)
        more = f"; and {len(pieces) - 1:,} more until here" if len(pieces) > 1 else ""
        yield left, max(2.0, round(right - left, 1)), pieces[0][2] + more


def _runs(row: Sequence[tuple[float, float, str]]) -> Iterator[list[tuple[float, float, str]]]:
    """Divide pieces, in order of their left edges, into those that touch."""
    run: list[tuple[float, float, str]] = []
    right = -1.0
    for piece in row:
        if run and piece[0] > right + 1:
            yield run
            run, right = [], -1.0
        run.append(piece)
        right = max(right, piece[1])
    if run:
        yield run


def _bands(strips: Iterable[Strip]) -> list[tuple[float, float]]:
    """Return the stretches of time in which any fault lasted, to be laid behind every chart."""
    lasting = sorted((left, left + width, "") for strip in strips for left, width, _ in strip.pieces if width > 2)
    return [(run[0][0], round(max(p[1] for p in run) - run[0][0], 1)) for run in _runs(lasting)]


def _data(diagram: Diagram, drawn: Sequence[Chart], times: Timeline, likelihood: Likelihood | None) -> Markup:
    return embedded(
        {
            "diagram": plain(diagram),
            "likelihood": [[place.at, place.share] for place in likelihood.places] if likelihood else [],
            "grid": [round(float(at), 6) for at in grid(times)],
            "charts": [
                {"unit": chart.unit, "lines": [[line.name, line.values] for line in chart.lines]} for chart in drawn
            ],
        }
    )
