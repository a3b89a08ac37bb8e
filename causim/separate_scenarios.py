"""Scenarios of a project that has packages with the names of causim's own: each is a test in its own process.

The project's tests import the project's packages; the process imports causim's. It is a pytest that collects one file,
without the project's conftest files, and prints the outcome as its last line.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from causim import own_packages
from causim.pytest_plugin import fitted

_OPTIONS = ("--causim-seeds", "--causim-engine", "--causim-store")


class SeparateFile(pytest.File):
    """A scenario file, which is one test."""

    def collect(self) -> Iterator[pytest.Item]:
        """Yield the test. Raises CollectError if the harness is not installed."""
        if sentence := own_packages.what_is_missing():
            raise self.CollectError(f"causim: {sentence}")
        item: SeparateScenario = SeparateScenario.from_parent(self, name=self.path.stem)
        yield item


class ScenarioFailed(Exception):
    """The process says that the scenario did not do what is expected. The message is what a failing test shows."""


class SeparateScenario(pytest.Item):
    """One scenario, run in a process of its own."""

    def runtest(self) -> None:
        """Run the scenario. Raises ScenarioFailed if it does not do what is expected of it."""
        options = [f"{name}={value}" for name in _OPTIONS if (value := self.config.getoption(name)) is not None]
        program = "import sys; from causim.separate_scenarios import run_alone; sys.exit(run_alone(*sys.argv[1:]))"
        done = subprocess.run(  # noqa: S603  # this very interpreter
            [sys.executable, "-P", "-c", program, json.dumps(sys.path), self.path, *options],
            env={
                **os.environ,
                "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
                "PYTEST_ADDOPTS": "",
            },
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            lines = done.stdout.strip().splitlines()
            raise ScenarioFailed(json.loads(lines[-1]) if lines else done.stderr)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Show a failure as its story, without a traceback."""
        if isinstance(excinfo.value, ScenarioFailed):
            return fitted(str(excinfo.value), self.config)
        return super().repr_failure(excinfo)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Return what the test is called in reports."""
        return self.path, None, self.name


class _Recorder:
    """Keeps what pytest reports of the one test."""

    def __init__(self) -> None:
        self.failures: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._keep(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self._keep(report)

    def _keep(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        if report.failed:
            self.failures.append(report.longreprtext)


def run_alone(path: str, file: str, *options: str) -> int:
    """Run one scenario file in this process, which looks for modules on `path` (JSON); print the failure as JSON."""
    sys.path[:] = json.loads(path)
    own_packages.prefer()
    for name in own_packages.OWN:  # before pytest puts a folder of the project on the path
        importlib.import_module(name)
    recorder = _Recorder()
    plugins = ["-p", "causim.pytest_plugin", "-p", "no:cacheprovider", "--noconftest"]
    where = ["-c", os.devnull, "--rootdir", str(Path(file).parent)]
    code = pytest.main([*plugins, *where, file, *options], plugins=[recorder])
    print(json.dumps("\n".join(recorder.failures) or f"pytest ended with exit code {int(code)}"))  # noqa: T201
    return int(code)
