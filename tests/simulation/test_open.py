"""`causim open` and the list of runs: which page is shown, in which browser, and what is said where there is none."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest

from simulation.cli import main
from simulation.cli.kept import LISTED, write_index


def kept(root: Path, scenario: str, name: str, **record: object) -> Path:
    """Write a folder of results, as far as the list and `open` read it, and return its report."""
    folder = root / scenario / name
    folder.mkdir(parents=True)
    (folder / "verdict.json").write_text(json.dumps({"scenario": scenario, "verdict": "holds", "seed": 1, **record}))
    (folder / "report.html").write_text("<p>a report</p>")
    return folder / "report.html"


def causim(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from causim.command_line import entry; entry()", *arguments]
    paths = os.pathsep.join(path or str(Path.cwd()) for path in sys.path)
    given = {"PYTHONPATH": paths, **environment}
    return subprocess.run(command, cwd=cwd, env=given, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def browser(tmp_path: Path) -> Path:
    """A browser that notes what it is to show."""
    program = tmp_path / "browser"
    program.write_text(f'#!/bin/sh\necho "$1" >> {tmp_path}/shown\n')
    program.chmod(0o755)
    return program


def test_the_newest_report_of_all_is_opened(tmp_path: Path, browser: Path) -> None:
    kept(tmp_path / "results", "b", "20260101T000000-1")
    newest = kept(tmp_path / "results", "a", "20260301T000000-7")
    kept(tmp_path / "results", "c", "20260201T000000-1")
    done = causim("open", cwd=tmp_path, BROWSER=f"{browser} %s")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip() == str(newest.relative_to(tmp_path))
    assert (tmp_path / "shown").read_text().strip() == newest.as_uri()


def test_without_a_browser_the_path_is_printed(tmp_path: Path) -> None:
    report = kept(tmp_path / "results", "a", "20260301T000000-7")
    done = causim("open", cwd=tmp_path, PATH="")
    assert (done.returncode, done.stdout.strip()) == (0, str(report.relative_to(tmp_path)))
    assert "there is no browser here" in done.stderr


@pytest.mark.parametrize("asked", ["a", "results/a", "results/a/20260101T000000-1", "results/a/latest"])
def test_a_result_is_named_by_scenario_or_folder(asked: str, tmp_path: Path) -> None:
    report = kept(tmp_path / "results", "a", "20260101T000000-1")
    kept(tmp_path / "results", "b", "20260301T000000-7")
    (tmp_path / "results" / "a" / "latest").symlink_to(report.parent.name)
    done = causim("open", asked, cwd=tmp_path, PATH="")
    assert done.returncode == 0
    assert (tmp_path / done.stdout.strip()).resolve() == report


@pytest.mark.parametrize("arguments", [[], ["nowhere"], ["--all"], ["--out", "elsewhere"]])
def test_where_there_is_no_report_it_says_so(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["open", *arguments]) == 4
    assert "`causim run` leaves" in capsys.readouterr().err


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.found.append(unquote(dict(attributes)["href"] or ""))


def test_list_newest_first(tmp_path: Path) -> None:
    """The list links to every report newest first."""
    reports = [
        kept(tmp_path, "a", "20260101T000000-1"),
        kept(tmp_path, "a#?%", "20260201T000000-1", verdict="unknown", missing=["parked"]),
        kept(tmp_path, "b", "20260301T093012-7", verdict="violated", runs=50, violating_runs=3,
             violations=[{"invariant": "causal-order", "because": "<b>a</b> came first"}]),
    ]  # fmt: skip
    (tmp_path / "a" / ".20260401T000000-1.part").mkdir()
    (tmp_path / "a" / ".20260401T000000-1.part" / "verdict.json").write_text("{}")
    page = write_index(tmp_path)
    text = page.read_text()
    links = _Links()
    links.feed(text)
    assert [page.parent / link for link in links.found] == reports[::-1]
    assert "1 violated · 1 unknown · 1 holds" in text
    assert "causal-order: &lt;b&gt;a&lt;/b&gt; came first" in text
    assert "50 (3 violated)" in text
    assert "nothing was proved about &#39;parked&#39;" in text
    assert "2026-03-01 09:30:12" in text


def test_list_of_odd_entries(tmp_path: Path) -> None:
    """The list takes what cannot be read and what is too much."""
    for number in range(LISTED + 2):
        kept(tmp_path, "a", f"20260101T000000-{number}")
    newest = kept(tmp_path, "a", "20260201T000000-1").with_name("verdict.json")
    newest.write_text("[")
    text = write_index(tmp_path).read_text()
    assert text.count("<a href=") == LISTED
    assert "and 3 older ones" in text
    assert '<span class="verdict unreadable">' in text


def test_a_run_brings_the_list_up_to_date(tmp_path: Path) -> None:
    (tmp_path / "fine.toml").write_text('name = "fine"\n[workload]\nkind = "chains"\n')
    results = tmp_path / "results"
    assert main(["run", str(tmp_path / "fine.toml"), "--engine", "null", "--out", str(results), "--quiet"]) == 0
    links = _Links()
    links.feed((results / "index.html").read_text())
    assert [(results / link).is_file() for link in links.found] == [True]


def test_list_not_writable(tmp_path: Path) -> None:
    """A list that cannot be written leaves the verdict."""
    (tmp_path / "fine.toml").write_text('name = "fine"\n[workload]\nkind = "chains"\n')
    (tmp_path / "results" / "index.html" / "in the way").mkdir(parents=True)
    with pytest.warns(UserWarning, match="the list of runs"):
        code = main(["run", str(tmp_path / "fine.toml"), "--out", str(tmp_path / "results"), "--quiet"])
    assert code == 0
