"""Writes the pictures of the documentation and the numbers in them: `python -m tests.docs.pictures`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from simulation import Run, load, loads, run
from tests.docs.blocks import blocks

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "pictures"
NUMBERS = FOLDER / "numbers.json"


def _prefect_etl() -> Run:
    return run(load(ROOT / "scenarios" / "prefect-etl.toml"), seed=1)


def _tutorial() -> Run:
    [scenario] = [block.text for block in blocks(ROOT / "docs" / "tutorial.md") if block.file == "late-states.toml"]
    return run(loads(scenario), seed=45, engine="prefect")


RUNS = {"prefect-etl-followers": _prefect_etl, "tutorial-followers": _tutorial}


def numbers(shown: Run) -> Mapping[str, Any]:
    """Return what a picture of followers says: the words of its legend, and where each curve ends."""
    axes = shown.followers.axes[0]
    legend = axes.get_legend() or shown.followers.legends[0]
    return {
        "legend": [text.get_text() for text in legend.get_texts()],
        "ends": [[round(float(value), 6) for value in line.get_xydata()[-1]] for line in axes.get_lines()],
    }


def main() -> None:
    """Run the scenarios, and write the pictures and their numbers."""
    found = {}
    for name, made in RUNS.items():
        shown = made()
        shown.followers.savefig(FOLDER / f"{name}.png")
        found[name] = numbers(shown)
    NUMBERS.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
