"""A run in a few lines of HTML: what a notebook shows for it."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from reports.text.sentences import moment

if TYPE_CHECKING:
    from simulation.history.history import History
    from simulation.invariants import Judgement

LISTED = 3
"""Number of violations shown; the report of the run has all."""


def card(history: History, judgement: Judgement) -> str:
    """Return the verdict of a run, what it rests on, and its first violations. All text from the history is escaped."""
    header = history.header
    end = history.entries[-1].at if history.entries else 0
    exercised = ", ".join(f"{word} {count:,}" for word, count in judgement.coverage.items() if count)
    rows = {
        "verdict": f"<b>{escape(judgement.verdict)}</b>",
        "run": escape(f"{header.scenario} · {header.engine} · seed {header.seed} · {header.store}"),
        "virtual time": escape(moment(end)),
        "what happened": escape(exercised),
        "what was judged": escape(judgement.rests),
    }
    shown = [f"<b>{escape(v.invariant)}</b>: {escape(v.because)}" for v in judgement.violations[:LISTED]]
    unknown = [*judgement.reasons, *(f"it did not happen: {word}" for word in judgement.missing)]
    if shown:
        more = len(judgement.violations) - len(shown)
        rows["violations"] = "<br>".join([*shown, *([f"and {more:,} more"] if more else [])])
    elif unknown:
        rows["why unknown"] = "<br>".join(escape(reason) for reason in unknown)
    cells = "".join(
        f'<tr><th style="text-align:left">{name}</th><td style="text-align:left">{words}</td></tr>'
        for name, words in rows.items()
    )
    return f"<table>{cells}</table>"
