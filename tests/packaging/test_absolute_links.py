"""A release has a README whose links and pictures are absolute; each of them is a file of the project."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from causim import __version__
from tests.packaging.conftest import ROOT

SOURCE = "https://example.org/team/causim"
LINK = re.compile(r"\]\(([^)\s]+)\)")


def rewritten(folder: Path, urls: str) -> tuple[subprocess.CompletedProcess[str], str]:
    """Run the command on a copy of the README in a project with these addresses, and return what came of it."""
    (folder / "causim").mkdir()
    (folder / "causim" / "__init__.py").write_text((ROOT / "causim" / "__init__.py").read_text())
    (folder / "README.md").write_text((ROOT / "README.md").read_text())
    (folder / "pyproject.toml").write_text(f'[project]\nname = "causim"\n{urls}')
    command = [sys.executable, str(ROOT / ".ci" / "absolute_links.py"), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done, (folder / "README.md").read_text()


def test_links_of_a_release(tmp_path: Path) -> None:
    """Every link of a release is absolute and leads to a file."""
    done, text = rewritten(tmp_path, f'[project.urls]\nSource = "{SOURCE}"\n')
    assert done.returncode == 0, done.stderr
    before, after = (LINK.findall(each) for each in ((ROOT / "README.md").read_text(), text))
    assert len(before) == len(after)
    assert all(link.startswith("https://") for link in after)
    for old, new in zip(before, after, strict=True):
        if old != new:
            kind, tag, path = new.removeprefix(f"{SOURCE}/").split("/", 2)
            assert (kind, tag) == ("raw" if old.endswith(".png") else "blob", f"v{__version__}")
            assert (ROOT / path.partition("#")[0]).exists()
    assert f"![Followers parked, released, rescued and lost over time]({SOURCE}/raw/" in text


def test_without_an_address_the_readme_stays(tmp_path: Path) -> None:
    done, text = rewritten(tmp_path, "")
    assert done.returncode == 1
    assert "[project.urls]" in done.stderr
    assert text == (ROOT / "README.md").read_text()
