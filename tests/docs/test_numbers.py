"""Numbers that a page takes from elsewhere are those that stand there."""

from __future__ import annotations

import json
import re
from pathlib import Path

from benchmarks.waitlist import RESULTS, table

README = Path("README.md").read_text(encoding="utf-8")
TUTORIAL = Path("docs/tutorial.md").read_text(encoding="utf-8")
GUIDE = Path("docs/engine.md").read_text(encoding="utf-8")
SEARCH = Path("benchmarks/search.md").read_text(encoding="utf-8")


def steps(text: str) -> list[str]:
    """Return the numbered steps of a story, with one space between words."""
    return [" ".join(line.split()) for line in re.findall(r"^ *\d+ +0 s .*", text, re.MULTILINE)]


def test_readme_and_tutorial_agree() -> None:
    """A test runs the tutorial's command."""
    assert len(steps(README)) >= 5
    assert set(steps(README)) <= set(steps(TUTORIAL))


def test_orders_of_the_readme() -> None:
    """The orders of the README are those that were tried."""
    [row] = re.findall(r"^\| three-events \| 1 \| ([\d,]+) \| .* \| 0 \| yes \|", SEARCH, re.MULTILINE)
    assert f"one crash is {row} orders" in " ".join(README.split())


def test_waitlist_cost_in_the_guide() -> None:
    """The guide shows what a waitlist was measured to cost."""
    measured = json.loads(RESULTS.read_text(encoding="utf-8"))
    assert table(measured["rows"]) in GUIDE
    assert f"on {measured['date']} with {measured['server']}" in " ".join(GUIDE.split())
