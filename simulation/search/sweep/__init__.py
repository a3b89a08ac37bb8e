"""Grids: one run for each value, each fault point, each mutant."""
