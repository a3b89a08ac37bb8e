"""Numbers that options of the command line and of pytest take. They are checked before anything is begun."""

from __future__ import annotations

import argparse
import os

LAST_SEED = 2**62
"""The greatest seed to begin with. Seeds can be counted on from it for as long again: tables hold them in 64 bits."""


def count(text: str) -> int:
    """Return a count of at least 1 from an option. Raises ArgumentTypeError."""
    return _at_least(1, text)


def natural(text: str) -> int:
    """Return a number of at least 0 from an option. Raises ArgumentTypeError."""
    return _at_least(0, text)


def seed(text: str) -> int:
    """Return a seed from an option. Raises ArgumentTypeError."""
    value = _at_least(0, text)
    if value > LAST_SEED:
        raise argparse.ArgumentTypeError(f"must be at most {LAST_SEED}, not {value}")
    return value


def jobs(text: str) -> int:
    """Return a number of runs at a time from a count, or from `auto`: one for each core. Raises ArgumentTypeError."""
    if text != "auto":
        return _at_least(1, text)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _at_least(least: int, text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a whole number, not {text!r}") from None
    if value < least:
        raise argparse.ArgumentTypeError(f"must be at least {least}, not {value}")
    return value
