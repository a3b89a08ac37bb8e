"""The pytest plugin: scenario files as tests, and fixtures to run worlds from tests.

    pytest scenarios/ --causim-seeds 50 --causim-engine native

A file is a scenario if it has a `name` and a `[workload]`. Nothing of causim is imported until there is one, or a test
asks for a fixture. If the project has packages with the names of causim's own, each scenario runs in its own process.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from causim import counts, own_packages
from causim.kept_runs import is_kept
from causim.wrapping import broken

if TYPE_CHECKING:
    from simulation.pytest_plugin import Verify, WorldRunner
    from simulation.world.laboratory import Laboratory

_LABORATORY: pytest.StashKey[Laboratory] = pytest.StashKey()
_WIDTH: pytest.StashKey[int] = pytest.StashKey()
_COPIED = ("replay  ", "report  ")
"""How the lines of a failure begin that are to be copied whole."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("causim", "causal ordering on Redis, simulated")
    group.addoption(
        "--causim-seeds", type=counts.count, default=1, metavar="N", help="seeds to run each scenario file with"
    )
    group.addoption(
        "--causim-batch",
        type=counts.count,
        metavar="K",
        help="one test for each K of the seeds (default: one for all of them)",
    )
    group.addoption(
        "--causim-jobs", type=counts.jobs, default="1", metavar="J", help="runs at a time in a test: a count, or auto"
    )
    group.addoption(
        "--causim-results", metavar="FOLDER", help="write the report of each failed scenario into a folder below this"
    )
    group.addoption("--causim-engine", metavar="E", help="the engine under test (default: the scenario's)")
    group.addoption("--causim-store", default="auto", metavar="S", help="server, embedded or redis://… (default: auto)")


def pytest_configure(config: pytest.Config) -> None:
    """Register the mark that every scenario has: `-m causim` runs scenarios only, `-m "not causim"` the others."""
    config.addinivalue_line("markers", "causim: a scenario of causim, or a test that runs one")


def pytest_sessionstart(session: pytest.Session) -> None:
    """Ask how wide the terminal is, before the output of tests is captured."""
    session.config.stash[_WIDTH] = _columns(session.config)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker of pytest-xdist how wide the terminal is on which its failures are shown."""
    node.workerinput["causim_width"] = _columns(node.config)


def _columns(config: pytest.Config) -> int:
    if (width := getattr(config, "workerinput", {}).get("causim_width")) is not None:
        return int(width)
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    return config.get_terminal_writer().fullwidth if getattr(reporter, "isatty", False) else 0


def fitted(text: str, config: pytest.Config) -> str:
    """Return the text of a failure with its lines broken to fit the terminal; commands and paths stay whole."""
    width = config.stash.get(_WIDTH, 0)
    lines = [[line] if line.startswith(_COPIED) else broken(line, width) for line in text.splitlines()]
    return "\n".join(part for parts in lines for part in parts)


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect a scenario file."""
    if file_path.suffix != ".toml" or not _is_scenario(file_path, parent.config.args):
        return None
    if is_kept(file_path) and not _is_named(file_path, parent.config):
        return None
    if own_packages.missing() or own_packages.what_clashes(parent.config.rootpath):
        # installed causim must not slow down the tests of others
        from causim.separate_scenarios import SeparateFile

        separate: pytest.Collector = SeparateFile.from_parent(parent, path=file_path)
        return separate
    # installed causim must not slow down the tests of others
    from simulation.pytest_plugin import ScenarioFile

    collector: pytest.Collector = ScenarioFile.from_parent(parent, path=file_path)
    return collector


def _is_named(path: Path, config: pytest.Config) -> bool:
    folder = config.invocation_params.dir
    return path in {(folder / argument.partition("::")[0]).resolve() for argument in config.args}


def _is_scenario(path: Path, named: Iterable[str]) -> bool:
    import tomllib  # needed only where a .toml file is collected

    try:
        record = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return path.name in {Path(name).name for name in named}  # who names it wants to hear what is wrong with it
    return "workload" in record and "name" in record


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the Redis server, if one was started."""
    opened = config.stash.get(_LABORATORY, None)
    if opened is not None:
        opened.store.close()
        del config.stash[_LABORATORY]


def laboratory(config: pytest.Config) -> Laboratory:
    """Return the laboratory of the session, made when it is first asked for."""
    if _LABORATORY not in config.stash:
        if sentence := own_packages.what_is_missing() or own_packages.what_hides():
            pytest.fail(f"causim: {sentence}", pytrace=False)
        # installed causim must not slow down the tests of others
        from simulation.world.laboratory import Laboratory

        config.stash[_LABORATORY] = Laboratory(config.getoption("--causim-store"))
    return config.stash[_LABORATORY]


@pytest.fixture(scope="session")
def causim_store(request: pytest.FixtureRequest) -> Laboratory:
    """The store of the session: a private redis-server in virtual time where one can run."""
    return laboratory(request.config)


@pytest.fixture
def causim_verify(request: pytest.FixtureRequest, causim_store: Laboratory) -> Verify:
    """A function that runs a scenario, and fails unless it holds, with a story, and keeps its budgets."""
    from simulation.pytest_plugin import verifier  # only who asks for it waits for it

    return verifier(causim_store, request.config)


@pytest.fixture
def causim_world(request: pytest.FixtureRequest, causim_store: Laboratory) -> WorldRunner:
    """A function that runs a scenario on the store of the session and returns the judged run."""
    # installed causim must not slow down the tests of others
    from simulation.pytest_plugin import world_runner

    return world_runner(causim_store, request.config.getoption("--causim-engine"))
