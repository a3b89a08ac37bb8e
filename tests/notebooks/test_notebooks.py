"""The notebooks: they run, show what they say, use only the public facade, and are kept with their outputs."""

from __future__ import annotations

import ast
import os
import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest

import simulation

nbformat = pytest.importorskip("nbformat", reason="needs nbclient and ipykernel: pip install causim[notebooks]")
if find_spec("nbclient") is None or find_spec("ipykernel") is None:
    pytest.skip("needs nbclient and ipykernel: pip install causim[notebooks]", allow_module_level=True)

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
LARGEST = 500_000

PROMISES = {
    "1-your-first-scenario": (("<b>holds</b>", "holds", "<b>violated</b>", "→", "released", "True "), 3),
    "2-hunting-a-race": (
        (
            "prompt-release",
            "→",
            "2 events, 2 consumers, no faults; 1 interruption",
            "SET processing:b 1 NX EX 16 → nil",
            "0 of 60 runs",
        ),
        2,
    ),
    "3-rescued-followers": (("rescued_rate", "holds"), 2),
    "4-choosing-lease-and-lookback": (("policy.lease", "<b>holds</b>", "holds in 2 runs; 99 % of events within"), 4),
    "5-scenarios-from-parts": (
        ("bad-day", "of 20 events were parked", "did you mean 'count'?", 'kind = "crash"', "the same history: True"),
        1,
    ),
}
"""For each notebook: what its outputs say, and how many pictures they have at least."""

OURS = {"simulation"}
ALLOWED = OURS | {"ipywidgets", "tempfile", "pathlib"}


def executed(path: Path, folder: Path):
    """Run a notebook in a copy of the folders that it reads, and return it with its outputs."""
    from nbclient import NotebookClient

    shutil.copytree(ROOT / "scenarios", folder / "scenarios")
    (folder / "notebooks").mkdir()
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(folder / "notebooks")}})
    return client.execute(env={**os.environ, "PYTHONPATH": str(ROOT), "MPLBACKEND": "agg"})


def outputs(notebook) -> tuple[str, int]:
    """Return all text that a notebook shows, and its number of pictures."""
    shown, pictures = [], 0
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            assert output.output_type != "error", output.get("evalue")
            assert output.get("name") != "stderr", output.text
            data = output.get("data", {})
            shown += [output.get("text", ""), data.get("text/plain", ""), data.get("text/html", "")]
            pictures += "image/png" in data
    return "\n".join(shown), pictures


def assert_keeps_its_promises(name: str, notebook) -> None:
    words, least = PROMISES[name]
    text, pictures = outputs(notebook)
    assert [word for word in words if word not in text] == []
    assert pictures >= least


def test_each_is_tested() -> None:
    assert [path.stem for path in NOTEBOOKS] == sorted(PROMISES)


def cases() -> list[object]:
    return [pytest.param(p, id=p.stem, marks=[pytest.mark.prefect] if "race" in p.stem else []) for p in NOTEBOOKS]


@pytest.mark.parametrize("path", cases())
def test_a_notebook_runs_and_shows_what_it_says(path: Path, tmp_path: Path) -> None:
    if "race" in path.stem and find_spec("prefect_redis") is None:
        pytest.skip("needs the prefect extra")
    assert_keeps_its_promises(path.stem, executed(path, tmp_path))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_kept_with_its_outputs(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert_keeps_its_promises(path.stem, notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert path.stat().st_size < LARGEST


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_imports(path: Path) -> None:
    """A notebook imports only the public facade."""
    notebook = nbformat.read(path, as_version=4)
    source = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
            if node.module in OURS:
                assert {alias.name for alias in node.names} <= set(simulation.__all__)
    assert "simulation" in found
    assert found <= ALLOWED
