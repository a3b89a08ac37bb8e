"""Seeds that failed before: a small file in `.causim/`, so that they are run first the next time.

It holds, for each scenario as it is written, engine and strategy, the seeds that violated an invariant when they were
last run. Only the order in which seeds are run depends on it; a file that cannot be read is replaced.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from hashlib import blake2b
from pathlib import Path

from causim.written_files import write_whole
from simulation.history.untrusted_files import read_text
from simulation.kernel.untrusted_json import parse_json
from simulation.scenario.model import Scenario
from simulation.search.explore.strategies import Strategy

FILE = Path(".causim/failures.json")
MAX_SEEDS = 100
"""Highest number of seeds kept of one scenario."""


class Failures:
    """The seeds of one scenario on one engine that failed before."""

    def __init__(self, scenario: Scenario, engine: str, strategy: Strategy, file: Path = FILE) -> None:
        self._file = file
        said = json.dumps([scenario.written(), engine, asdict(strategy)], sort_keys=True)
        self._key = f"{scenario.name} {engine} {blake2b(said.encode(), digest_size=8).hexdigest()}"

    def first(self, seeds: Sequence[int]) -> list[int]:
        """Return all the seeds, those that failed before in front."""
        before = [seed for seed in self._read().get(self._key, ()) if seed in seeds]
        known = set(before)
        return [*before, *(seed for seed in seeds if seed not in known)]

    def failed(self) -> list[int]:
        """Return the seeds that failed when they were last run, in order."""
        return sorted(self._read().get(self._key, ()))

    def remember(self, failed: Iterable[int], ran: Iterable[int]) -> None:
        """Record the seeds that failed among those that ran; seeds that did not run keep their record."""
        record = self._read()
        known = record.pop(self._key, [])
        fresh = set(ran)
        seeds = sorted({*failed, *(seed for seed in known if seed not in fresh)})[:MAX_SEEDS]
        if seeds:
            record[self._key] = seeds
        elif not known:
            return
        self._file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(self._file, json.dumps(record, indent=1) + "\n")

    def _read(self) -> dict[str, list[int]]:
        try:
            record = parse_json(read_text(self._file))
        except (OSError, ValueError):
            return {}
        if not isinstance(record, dict):
            return {}
        return {
            str(key): list(dict.fromkeys(seed for seed in seeds if type(seed) is int))[:MAX_SEEDS]
            for key, seeds in record.items()
            if isinstance(seeds, list)
        }
