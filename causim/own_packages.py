"""The places of causim's own packages, the user's packages of the same names, and the precedence between the two.

The names `ordering`, `reports` and `simulation` are common. In the processes of the command line causim's own packages
come first. In the user's processes (a test run, a notebook) the user's come first, and a sentence says what they hide.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

OWN = ("ordering", "reports", "simulation")
"""The packages of causim beside this one."""
ROOT = Path(__file__).resolve().parents[1]
"""The folder that holds them."""

HARNESS = (
    *("fakeredis", "greenlet", "hiredis", "jinja2", "lupa", "matplotlib", "orjson", "pandas", "pyarrow"),
    *("pydantic", "redis", "rich", "simpy", "time_machine", "tomli_w"),
)
"""The modules that the harness imports; the engine alone needs redis and pydantic."""


def prefer() -> None:
    """Let `import simulation` and the others mean causim's own in this process and in those that it starts.

    Folders that hold a package of the same name move behind all others on `sys.path`; processes inherit that order.
    """
    sys.path.sort(key=_holds_a_namesake)


def _holds_a_namesake(entry: str) -> bool:
    folder = Path(entry)
    return folder.resolve() != ROOT and any(
        (folder / name).is_dir() or (folder / f"{name}.py").is_file() for name in OWN
    )


def missing() -> list[str]:
    """Return the modules that the harness needs and that are not installed."""
    return [name for name in HARNESS if find_spec(name) is None]


def what_is_missing() -> str:
    """Return a sentence that says what to install for the harness; empty if it is installed."""
    absent = ", ".join(missing())
    return f"the harness is not installed (missing: {absent}): pip install 'causim[simulation]'" if absent else ""


def what_hides() -> str:
    """Return a sentence that says which packages are found instead of causim's own; empty if none is."""
    return _sentence(dict(_found_first()))


def what_clashes(project: Path) -> str:
    """Return a sentence that says which packages of a project would be hidden, or would hide causim's; empty if none.

    It looks in the project's folder and in its `src`, whether they are on `sys.path` yet or not.
    """
    return _sentence(dict(_of_project(project)) | dict(_found_first()))


def _sentence(hiding: dict[str, Path]) -> str:
    if not hiding:
        return ""
    names = ", ".join(f"{name!r} ({place})" for name, place in hiding.items())
    return f"packages here have the names of causim's own, and one process can import only one of the two: {names}"


def _found_first() -> Iterator[tuple[str, Path]]:
    for name in OWN:
        place = _place(name)
        if place is not None and place != ROOT / name:
            yield name, place


def _place(name: str) -> Path | None:
    """Return the folder of the package, or the file of the module, that `import` finds; None if there is none."""
    try:
        spec = find_spec(name)
    except ValueError:  # something that a test has put into sys.modules
        return None
    if spec is None:
        return None
    if spec.submodule_search_locations:
        return Path(next(iter(spec.submodule_search_locations))).resolve()
    return Path(spec.origin).resolve() if spec.origin else None


def _of_project(project: Path) -> Iterator[tuple[str, Path]]:
    for folder in (project.resolve(), (project / "src").resolve()):
        for name in OWN:
            package, module = folder / name, folder / f"{name}.py"
            if folder != ROOT and (module.is_file() or next(package.glob("*.py"), None)):
                yield name, package if package.is_dir() else module
