"""The numbers for operators beside a model: after each step of the machine they are what a count by hand gives."""

from __future__ import annotations

from typing import Any

from hypothesis.stateful import invariant

from ordering import Stats
from ordering.scripts import script
from simulation import Laboratory
from simulation.kernel.epoch import EPOCH
from tests.ordering.test_machine import LOOKBACK, SETTLED, Machine, drive

MILLISECOND = 1_000
"""In the units of the loop's time; Redis counts in milliseconds."""


class Counting(Machine):
    """The machine, which reads the numbers of its scope after each step."""

    def stats(self) -> Stats:
        answer = self.real.ask("EVAL", script("stats").text, 1, "{machine}:waitlist", LOOKBACK // MILLISECOND, 1)
        return Stats.read(answer)

    def waited(self, since: Any) -> int:
        """Return since when an event waits, in the loop's time."""
        return round((since.timestamp() - EPOCH.timestamp()) * 1e6)

    @invariant()
    def counts_what_there_is(self) -> None:
        stats, model, now = self.stats(), self.model, self.real.loop.now
        waiting, held = model.waiting, set(model.held)
        unclear = model.unclear - model.done - waiting.keys()
        orphaned = {one for one, until in model.orphaned.items() if until > now} - held - model.done
        assert len(waiting) <= stats.parked <= len(waiting) + len(unclear)
        assert len(held) <= stats.in_hand <= len(held) + len(orphaned)
        assert len(held & waiting.keys()) <= stats.claimed <= stats.parked
        assert stats.overdue <= sum(now - since >= LOOKBACK - SETTLED for since in waiting.values()) + len(unclear)
        assert stats.releasing <= len({model.leaders[one] for one in waiting.keys() | unclear} & model.done)
        assert (stats.dead, stats.unreadable) == (0, 0)
        assert (stats.oldest is None) == (stats.parked == 0)
        if waiting and not unclear:
            first = min(waiting.values())
            assert first - SETTLED - MILLISECOND <= self.waited(stats.oldest) <= first + MILLISECOND

    @invariant()
    def what_no_sweep_has_found_is_overdue(self) -> None:
        """An event whose leader was never delivered, and that no sweep has returned."""
        model, now, real = self.model, self.real.loop.now, self.real
        never = {one for one in model.leaders if one not in model.done | model.waiting.keys() | model.tried | self.owed}
        missed = [
            one for one, since in model.waiting.items()
            if model.leaders[one] in never and now - since > LOOKBACK + SETTLED and one not in real.swept | model.tried
        ]  # fmt: skip
        assert len(missed) <= self.stats().overdue


def test_numbers_beside_a_model(laboratory: Laboratory) -> None:
    drive(laboratory.store, examples=30, machine=Counting)
