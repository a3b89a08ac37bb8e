"""The answers of a sweep, one sentence per measure: its extremes, their places, and whether they may be chance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from simulation.kernel.durations import in_words

MEASURES = {
    "violated": ("violated runs", "violated_rate"),
    "lost": ("lost followers", "lost_rate"),
    "rescued": ("rescued followers", "rescued_rate"),
}
"""The rates that are printed: the name of each in a row's columns, in words, and its column."""


def answers(rows: Sequence[Mapping[str, Any]], axes: Sequence[str]) -> Iterator[str]:
    """Yield a sentence for each measure: its extremes, their places, and whether the two 95 % intervals overlap.

    No more is claimed: of many combinations, two may lie apart by chance, and the events of one run depend on each
    other, which the intervals of followers and latencies do not know.
    """
    if len(rows) < 2:
        return
    for name, (words, column) in MEASURES.items():
        if name == "rescued" and not any(row[column] for row in rows):
            continue
        yield _answer(rows, axes, words, (column, f"{name}_low", f"{name}_high"), "{:.1%}".format)
    timed = [row for row in rows if row["latency_p99_us"] is not None]
    if len(timed) > 1:
        columns = ("latency_p99_us", "latency_p99_low_us", "latency_p99_high_us")
        yield _answer(timed, axes, "latency p99", columns, in_words)


def _answer(
    rows: Sequence[Mapping[str, Any]], axes: Sequence[str], words: str, columns: tuple[str, str, str], shown: Any
) -> str:
    value, low, high = columns
    least, most = min(rows, key=lambda row: row[value]), max(rows, key=lambda row: row[value])
    if least[value] == most[value]:
        return f"{words}: {shown(least[value])} in all {len(rows)} combinations{_up_to(rows, high, shown)}"
    ends = f"from {shown(least[value])} at {_where(least, axes)} to {shown(most[value])} at {_where(most, axes)}"
    if least[high] is None or most[low] is None:
        return f"{words}: {ends}; that may be chance, too few events for 95 % intervals: more seeds would tell"
    if least[high] < most[low]:
        note = "" if value == "violated_rate" else ", if events are independent of each other"
        return f"{words}: {ends}; their 95 % intervals do not overlap{note}"
    return f"{words}: {ends}; that may be chance, their 95 % intervals overlap: more seeds would tell"


def _up_to(rows: Sequence[Mapping[str, Any]], high: str, shown: Any) -> str:
    """Return the upper end of the intervals, in words: few runs without a violation do not rule one out."""
    ends = [row[high] for row in rows if row[high] is not None]
    return f"; their 95 % intervals go up to {shown(max(ends))}" if ends else ""


def _where(row: Mapping[str, Any], axes: Sequence[str]) -> str:
    return ", ".join(f"{path}={row[path]}" for path in axes)
