"""The digests of the shipped scenarios, as they are kept beside this file.

    python -m tests.scenarios.digests

makes the list again. A digest changes only with a reason: a change of the engine, of a scenario or of what a history
says. The commit with the new list says which reason it is.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path

from simulation import Laboratory, load

ROOT = Path(__file__).parents[2]
KEPT = Path(__file__).with_name("digests.json")
ENGINES = ("native", "null", "prefect")
LARGE = frozenset({"many-consumers", "prefect-etl", "production"})
"""Scenarios that take seconds; other tests run them."""


def cases() -> Iterator[tuple[str, str]]:
    """Yield the path of each small scenario below the project, with each engine."""
    for path in sorted((ROOT / "scenarios").rglob("*.toml")):
        if path.stem not in LARGE and "queues" not in path.parts:
            yield from ((str(path.relative_to(ROOT)), engine) for engine in ENGINES)


def digest(laboratory: Laboratory, path: str, engine: str) -> str:
    """Return the digest of a scenario's own seed, or the type of the error that ends the run."""
    try:
        return laboratory.run(load(ROOT / path), engine=engine).digest
    except Exception as error:
        return type(error).__name__


def kept() -> Mapping[str, Mapping[str, str]]:
    """Return the list: for each scenario, the digest by engine."""
    record: Mapping[str, Mapping[str, str]] = json.loads(KEPT.read_text(encoding="utf-8"))
    return record


def main() -> None:
    """Make the list again."""
    logging.disable(logging.CRITICAL)
    record: dict[str, dict[str, str]] = {}
    with Laboratory("server") as laboratory:
        for path, engine in cases():
            record.setdefault(path, {})[engine] = digest(laboratory, path, engine)
    KEPT.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
