"""What a verdict rests on is one sentence in the terminal, in JSON, in JUnit and in the report."""

from __future__ import annotations

import html
import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from simulation.cli import main
from simulation.invariants.verdict import rests_on

SCENARIO = """
name = "rests"
workload.events = [{ name = "a" }]
judge.require_coverage = ["parked"]
"""


def outputs(folder: Path, capsys: pytest.CaptureFixture[str], text: str) -> dict[str, str]:
    """Run a scenario and return the sentence of each output."""
    file, junit, out = folder / "rests.toml", folder / "junit.xml", folder / "out"
    file.write_text(text, encoding="utf-8")
    main(["run", str(file), "--out", str(out), "--junit", str(junit)])
    printed = capsys.readouterr().out.splitlines()
    main(["run", str(file), "--no-results", "--json"])
    record = json.loads(capsys.readouterr().out.splitlines()[0])
    page = html.unescape(next(out.rglob("report.html")).read_text(encoding="utf-8"))
    main(["check", str(next(out.rglob("history.jsonl")))])
    checked = capsys.readouterr().out.splitlines()
    case = ET.parse(junit).getroot().find(".//property[@name='judged']")
    assert case is not None
    terminal = next(line.removeprefix("  judged    ") for line in printed if line.startswith("  judged"))
    return {
        "terminal": terminal,
        "json": rests_on(list(record["judged"]), record["not_judged"]),
        "junit": case.attrib["value"],
        "report": terminal if terminal in page else page,
        "check": next(line.removeprefix("  judged: ") for line in checked if line.startswith("  judged")),
    }


def test_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All outputs say which invariants were judged, and which could not be and why, in the same words."""
    said = outputs(tmp_path, capsys, SCENARIO)
    assert set(said.values()) == {said["terminal"]}
    assert " of 13 invariants (not causal-order, " in said["terminal"]
    assert "nothing to judge happened" in said["terminal"]


MEETS_NOTHING = (
    SCENARIO
    + """
[[faults]]
kind = "error-reply"
error = "LOADING"
match = "EVAL* no such script *"
"""
)


def test_faults_without_effect(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The terminal, JSON, JUnit, the summary, the report and the kept verdict say that a fault never struck."""
    file, junit, markdown = tmp_path / "rests.toml", tmp_path / "junit.xml", tmp_path / "summary.md"
    file.write_text(MEETS_NOTHING, encoding="utf-8")
    out = tmp_path / "out"
    main(["run", str(file), "--out", str(out), "--junit", str(junit), "--summary", str(markdown)])
    assert "the fault 'error-reply' never struck" in capsys.readouterr().out
    assert "these never struck: 'error-reply'" in markdown.read_text(encoding="utf-8").replace("\\", "")
    assert 'name="never struck" value="error-reply"' in junit.read_text(encoding="utf-8")
    page = html.unescape(next(out.rglob("report.html")).read_text(encoding="utf-8"))
    assert "The fault 'error-reply' never struck." in page
    assert json.loads(next(out.rglob("verdict.json")).read_text())["silent_faults"] == ["error-reply"]
    main(["run", str(file), "--no-results", "--json"])
    assert json.loads(capsys.readouterr().out.splitlines()[0])["silent_faults"] == ["error-reply"]
