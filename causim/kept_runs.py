"""Scenario files that are records of runs: the copies that `causim run` keeps beside a verdict."""

from __future__ import annotations

from pathlib import Path

VERDICT = "verdict.json"
"""The file that every folder of a kept run has."""


def is_kept(file: Path) -> bool:
    """Say whether a scenario file belongs to a kept run: a search in folders leaves it out, since it is no test."""
    return (file.parent / VERDICT).is_file()
