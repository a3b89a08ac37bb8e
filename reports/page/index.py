"""The page that lists the runs in a folder of results, with links to their reports. It works offline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

VERDICTS = ("violated", "unknown", "holds")


@dataclass(frozen=True, slots=True)
class Row:
    """One run in the list, as text."""

    link: str
    """The run's report, as an address relative to the page."""
    when: str
    scenario: str
    verdict: str
    engine: str
    seed: str
    runs: str
    """Number of runs that the search made, of which this one is kept."""
    because: str
    """The invariant that it violates first, and why; else why nothing is proved."""

    @classmethod
    def of(cls, folder: Path, stamp: str, record: Mapping[str, Any]) -> Row:
        """Return the row of a run from its folder, relative to the page, and the content of its `verdict.json`."""
        verdict = str(record.get("verdict", ""))
        violating = record.get("violating_runs")
        share = f" ({violating} violated)" if violating and record.get("runs", 1) != 1 else ""
        return cls(
            link=quote(f"{folder.as_posix()}/report.html"),
            when=_moment(stamp),
            scenario=str(record.get("scenario", folder.parent.name)),
            verdict=verdict if verdict in VERDICTS else "unreadable",
            engine=str(record.get("engine", "")),
            seed=str(record.get("seed", "")),
            runs=f"{record.get('runs', 1)}{share}",
            because=_because(record),
        )


def _because(record: Mapping[str, Any]) -> str:
    match record:
        case {"violations": [{"invariant": invariant, "because": because}, *_]}:
            return f"{invariant}: {str(because).removeprefix('because ')}"
        case {"verdict": "unknown", "missing": [str() as word, *_]}:
            return f"nothing was proved about '{word}'"
        case {"verdict": "unknown", "reasons": [str() as reason, *_]}:
            return reason
        case _:
            return ""


def _moment(stamp: str) -> str:
    day, _, time = stamp.partition("T")
    if len(day) != 8 or len(time) != 6:
        return stamp
    return f"{day[:4]}-{day[4:6]}-{day[6:]} {time[:2]}:{time[2:4]}:{time[4:]}"


def index_page(rows: Sequence[Row], unlisted: int = 0) -> str:
    """Return the page as HTML text; `unlisted` is how many older runs there are besides."""
    environment = Environment(
        loader=PackageLoader("reports.page", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = (resources.files("reports.page") / "templates" / "report.css").read_text("utf-8")
    counts = [(verdict, count) for verdict in VERDICTS if (count := sum(row.verdict == verdict for row in rows))]
    return environment.get_template("index.html").render(
        rows=rows,
        counts=counts,
        unlisted=unlisted,
        style=Markup(style),  # noqa: S704  # our own file
    )
