"""The examples on the pages of the documentation do what the pages say; the links on them lead somewhere."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import redis

from simulation import load
from tests.docs.blocks import Block, blocks, check, follow

DOCS = Path("docs").resolve()
PAGES = sorted(DOCS.rglob("*.md"))
NEEDS_PREFECT = pytest.mark.skipif(find_spec("prefect_redis") is None, reason="needs the prefect extra")
NEEDS_DOCKET = pytest.mark.skipif(find_spec("docket") is None, reason="needs pydocket")
LINK = re.compile(r"\]\(([^)\s]+)\)")
TRIVIAL = 2
"""A page with fewer commands and examples than this has lost them to a slip of its fences."""


@pytest.fixture
def said(capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """An empty folder with the documentation in it to work in, and what was printed since it was last asked."""
    (tmp_path / "docs").symlink_to(DOCS)
    root = str(DOCS.parent)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH", "")])))
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))

    def read() -> str:
        out, err = capfd.readouterr()
        return out + err

    return read


@pytest.mark.parametrize(
    "name",
    [
        "ci",
        "pytest",
        pytest.param("consumers", marks=NEEDS_DOCKET),
        pytest.param("tutorial", marks=[pytest.mark.prefect, NEEDS_PREFECT]),
    ],
)
def test_a_page_does_what_it_says(name: str, said: Any) -> None:
    assert follow(blocks(DOCS / f"{name}.md"), said) >= TRIVIAL


def test_guide_of_the_engine(
    said: Any,
    socket: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The engine's guide works on a Redis server."""
    monkeypatch.setenv("REDIS_URL", f"unix://{socket}")
    assert follow(blocks(DOCS / "engine.md"), said) >= TRIVIAL


@pytest.mark.skipif(find_spec("prometheus_client") is None, reason="needs prometheus-client")
def test_operators_page(said: Any, socket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The operator's page works on a Redis server."""
    monkeypatch.setenv("REDIS_URL", f"unix://{socket}")
    with redis.Redis(unix_socket_path=socket) as client:
        client.flushall()
    assert follow(blocks(DOCS / "operating.md"), said) >= TRIVIAL


def test_the_pages_agree_on_who_is_executed() -> None:
    executed = {"ci.md", "pytest.md", "consumers.md", "tutorial.md", "engine.md", "operating.md"}
    for page in PAGES:
        if any(block.language in ("console", "python") for block in blocks(page)):
            assert page.name in executed, f"no test executes the examples of {page}"


def test_workflow_of_the_page() -> None:
    """The workflow runs the command of the page."""
    workflow = (DOCS / "ci" / "causim.yml").read_text(encoding="utf-8")
    [command] = re.findall(r"causim run .*", workflow)
    assert any(command == block.text.strip() for block in blocks(DOCS / "ci.md"))


# -- links and claims


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS)))
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in LINK.findall(page.read_text(encoding="utf-8")):
        path, _, anchor = link.partition("#")
        if "://" in path:
            continue
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page.name} links to {link}"
        if anchor:
            assert anchor in anchors(target), f"{page.name} links to {link}, but there is no such heading"


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as code hosts make them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def test_index_of_pages() -> None:
    """Every page is in the index and leads back to it."""
    index = (DOCS / "README.md").read_text(encoding="utf-8")
    for page in PAGES:
        if page.name != "README.md":
            assert f"({page.relative_to(DOCS)})" in index
            assert (
                f"[All documentation]({'../' * (len(page.relative_to(DOCS).parts) - 1)}README.md)" in page.read_text()
            )


def test_promises_have_scenarios() -> None:
    """Every promise of the engine has a scenario that holds."""
    guide = (DOCS / "engine.md").read_text(encoding="utf-8")
    promises = guide.partition("## What is promised")[2].partition("## What is not promised")[0]
    rows = [line for line in promises.splitlines() if line.startswith("| ")][1:]
    assert len(rows) > TRIVIAL
    for row in rows:
        files = [link for link in LINK.findall(row) if link.endswith(".toml")]
        assert files, f"nothing proves this: {row}"
        for file in files:
            assert load(DOCS / file).expected["native"] == ("holds",)


# -- the checks of the pages are checked


def test_a_line_that_was_not_printed_is_noticed() -> None:
    check("x", ["b … d"], "a\nb  c d\n")
    for wrong in (["b"], ["c", "a"], ["b … e"]):
        with pytest.raises(AssertionError, match="has not printed"):
            check("x", wrong, "a\nb c d\nc\n")


def test_unexecuted_command_is_noticed(said: Any) -> None:
    """A command that no test executes is noticed."""
    with pytest.raises(AssertionError, match="not executed"):
        follow([Block("console", "", "$ rm -r results\n")], said)
