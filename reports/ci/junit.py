"""Verdicts as JUnit XML, which every build server reads.

A violated invariant is a failure. An unknown verdict is an error and not a skipped test: it is never a pass.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from xml.etree import ElementTree as ET

from causim.written_files import write_whole
from reports.ci.outcome import Outcome

_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""The characters that XML 1.0 cannot hold, even escaped."""


def junit(outcomes: Iterable[Outcome]) -> str:
    """Return the outcomes as one XML document: a test suite an engine, a test case a scenario."""
    suites: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        suites.setdefault(outcome.engine, []).append(outcome)
    everything = [outcome for suite in suites.values() for outcome in suite]
    root = ET.Element("testsuites", {"name": "causim", **_counts(everything)})
    for engine, suite in suites.items():
        element = ET.SubElement(root, "testsuite", {"name": _text(f"causim {engine}"), **_counts(suite)})
        for outcome in suite:
            _case(element, outcome)
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def write_junit(path: Path, outcomes: Iterable[Outcome]) -> None:
    """Write the outcomes to a file, whole or not at all. Raises OSError."""
    write_whole(path, junit(outcomes))


def _counts(outcomes: list[Outcome]) -> dict[str, str]:
    verdicts = [outcome.verdict for outcome in outcomes]
    return {
        "tests": str(len(verdicts)),
        "failures": str(verdicts.count("violated")),
        "errors": str(sum(verdict not in ("holds", "violated") for verdict in verdicts)),
        "skipped": "0",
        "time": f"{sum(outcome.seconds for outcome in outcomes):.3f}",
    }


def _case(suite: ET.Element, outcome: Outcome) -> None:
    case = ET.SubElement(
        suite,
        "testcase",
        {
            "classname": _text(f"causim.{outcome.engine}"),
            "name": _text(outcome.name),
            "time": f"{outcome.seconds:.3f}",
        },
    )
    facts = {"judged": outcome.rests, "coverage": "; ".join(outcome.covered), "outside": outcome.outside}
    facts["never struck"] = ", ".join(outcome.silent)
    if any(facts.values()):
        properties = ET.SubElement(case, "properties")
        for name, value in facts.items():
            if value:
                ET.SubElement(properties, "property", {"name": name, "value": _text(value)})
    if outcome.verdict == "holds":
        return
    tag, kind = ("failure", outcome.invariant) if outcome.verdict == "violated" else ("error", outcome.verdict)
    why = ET.SubElement(case, tag, {"message": _text(outcome.because), "type": _text(kind or outcome.verdict)})
    why.text = _text("\n".join([outcome.because, *outcome.story, f"replay: {outcome.replay}"]))


def _text(words: str) -> str:
    """Replace what XML cannot hold; the rest is escaped where it is written."""
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", words)
