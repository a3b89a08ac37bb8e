"""A program whose module prints when it is imported."""

from __future__ import annotations

import sys

from tests.simulation.process_programs import printing

__all__ = ["printing"]
sys.stdout.write("imported\n")
