"""`python -m simulation` is `causim`."""

from simulation.cli import entry

entry()
