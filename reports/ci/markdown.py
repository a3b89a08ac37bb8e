"""Verdicts as Markdown, for the summary that a build server shows beside a build.

The names of scenarios and events stay text: none becomes a link, a table cell or HTML.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from causim.written_files import writing
from reports.ci.outcome import Outcome
from reports.figures.units import duration

MAX_OUTCOMES = 20
"""Number of outcomes printed in full; a build server refuses summaries beyond a megabyte."""

MAX_STORY_LINES = 30
"""Number of lines of a story that are printed."""

_ORDER = {"violated": 0, "unknown": 1, "holds": 2}
_SIGNS = {"violated": "❌", "unknown": "❔", "holds": "✅"}


def summary(outcomes: Iterable[Outcome]) -> str:
    """Return the outcomes as Markdown: a headline, a table, and why each that does not hold does not."""
    ordered = sorted(outcomes, key=lambda outcome: _ORDER.get(outcome.verdict, 1))
    wrong = [outcome for outcome in ordered if outcome.verdict != "holds"]
    parts = [f"## {_headline(ordered)}", _table(ordered), *_covered(ordered)]
    parts += [_outside(outcome) for outcome in ordered[:MAX_OUTCOMES] if outcome.outside]
    parts += [_silent(outcome) for outcome in ordered[:MAX_OUTCOMES] if outcome.silent]
    parts += [_why(outcome) for outcome in wrong[:MAX_OUTCOMES]]
    if len(wrong) > MAX_OUTCOMES:
        parts.append(f"{len(wrong) - MAX_OUTCOMES:,} more do not hold; the table names them all.")
    return "\n\n".join(parts) + "\n"


def append_summary(path: Path, outcomes: Iterable[Outcome]) -> None:
    """Append the outcomes to a summary file, as build servers want it. Raises OSError."""
    with writing(path), path.open("a", encoding="utf-8", errors="backslashreplace") as file:
        file.write(summary(outcomes))


def _headline(outcomes: list[Outcome]) -> str:
    counts = {verdict: sum(outcome.verdict == verdict for outcome in outcomes) for verdict in _ORDER}
    lines = [f"{count:,} {verdict}" for verdict, count in counts.items() if count]
    return f"causim: {', '.join(lines) or 'nothing was run'}"


def _table(outcomes: list[Outcome]) -> str:
    rows = ["| verdict | scenario | engine | broken | time |", "| --- | --- | --- | --- | ---: |"]
    for outcome in outcomes:
        cells = [outcome.name, outcome.engine, outcome.invariant]
        sign = _SIGNS.get(outcome.verdict, "❔")
        middle = " | ".join(map(plain, cells))
        rows.append(f"| {sign} {plain(outcome.verdict)} | {middle} | {duration(outcome.seconds)} |")
    return "\n".join(rows)


def _covered(outcomes: list[Outcome]) -> list[str]:
    measured = [outcome for outcome in outcomes if outcome.covered]
    lines = []
    for outcome in measured[:MAX_OUTCOMES]:
        first, *others = map(plain, outcome.covered)
        lines += [f"- {plain(outcome.name)}, {plain(outcome.engine)}: {first}", *(f"  - {other}" for other in others)]
    more = [f"- and {len(measured) - MAX_OUTCOMES:,} more"] if len(measured) > MAX_OUTCOMES else []
    return ["\n".join(["What the runs covered:", "", *lines, *more])] if lines else []


def _outside(outcome: Outcome) -> str:
    reached = f"{outcome.name}, {outcome.engine} reached outside of its run, which may be another the next time"
    return plain(f"{reached}: {outcome.outside}")


def _silent(outcome: Outcome) -> str:
    faults = ", ".join(f"'{fault}'" for fault in outcome.silent)
    return plain(f"{outcome.name}, {outcome.engine}: of its faults these never struck: {faults}")


def _why(outcome: Outcome) -> str:
    head = f"### {plain(outcome.name)}, engine {plain(outcome.engine)}: {plain(outcome.invariant or outcome.verdict)}"
    parts = [head, plain(outcome.because)]
    if outcome.story:
        left = len(outcome.story) - MAX_STORY_LINES
        more = [f"… {left:,} more lines"] if left > 0 else []
        parts.append(_fenced("\n".join([*outcome.story[:MAX_STORY_LINES], *more])))
    if outcome.replay:
        parts.append(_fenced(outcome.replay))
    return "\n\n".join(parts)


def plain(words: str) -> str:
    """Write words so that Markdown and HTML take nothing in them for their own."""
    one_line = " ".join(words.split())
    escaped = one_line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_{}\[\]()#+!|~@$])", r"\\\1", escaped).replace("://", ":\u200b//")


def _fenced(words: str) -> str:
    """Write words as a block of code, in a fence longer than any that they hold."""
    longest = max((len(run) for run in re.findall("`+", words)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{words}\n{fence}"
