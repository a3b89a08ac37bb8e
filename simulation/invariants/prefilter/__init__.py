"""The prefilter: skips event families that no invariant can reject, before and after a history is indexed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from simulation.history.history import History
from simulation.history.index import HistoryIndex
from simulation.history.indexer import IndexBuilder, index_of
from simulation.history.intervals import Span
from simulation.invariants.prefilter.automaton import leave_out_trivial
from simulation.invariants.prefilter.trivial import keep_all, sort_out


def index_to_judge(history: History, index: HistoryIndex | None = None, *, every_event: bool = False) -> HistoryIndex:
    """Return the index of a history in which trivial events are counted and set apart, unless `every_event` is asked.

    Of a history in a file only the families that must be examined are indexed at all. `index` is that of the whole
    history, if there is one. Raises MalformedHistory as reading the history does.
    """
    if every_event:
        return keep_all(index or index_of(history))
    terms, left_out = history.header.terms, None
    if (
        index is None
        and not isinstance(history.entries, list)
        and (left_out := leave_out_trivial(history.entries, terms))
    ):
        builder = IndexBuilder(history.header, truncated=bool(history.truncated))
        index = builder.build(history.some(left_out.kept), left_out.times, left_out.counts)
    index = index or index_of(history)
    index.trivial, index.nontrivial, index.leaders = sort_out(index.events, index.times, terms)
    if left_out:
        index.trivial += left_out.trivial
        index.work_left_out = partial(_work_left_out, history, left_out.kept)
    return index


def _work_left_out(history: History, kept: Sequence[int]) -> Mapping[str, list[Span]]:
    """Return the times in which each consumer handled what was left out, merged. It reads those entries again."""
    begun: dict[str, int] = {}
    work: dict[str, list[Span]] = {}
    for _, entry in history.some(bytes(not one for one in kept)):
        if entry.kind == "started":
            begun[entry.event] = entry.at
        elif entry.kind == "ended":
            begin, spans = begun.pop(entry.event), work.setdefault(entry.consumer, [])
            while spans and spans[-1][1] >= begin:
                begin = min(begin, spans.pop()[0])
            spans.append((begin, entry.at))
    return work
