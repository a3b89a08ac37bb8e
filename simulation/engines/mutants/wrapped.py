"""Mutants by wrapping a method or a command: what is wrong between the scripts, or around them."""

from __future__ import annotations

from simulation.engines.mutants.planting import SHARED, Edit, Mutant

MUTANTS: tuple[Mutant, ...] = ()
