"""Mutants that no history can tell from their host. Each says why; they are run all the same, and must hold."""

from __future__ import annotations

from simulation.engines.mutants.planting import SHARED, Edit, Mutant

MUTANTS: tuple[Mutant, ...] = ()
