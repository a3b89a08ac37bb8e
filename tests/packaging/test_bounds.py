"""What is declared is what is used: dependencies and their bounds, and the private parts of time-machine."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
import tomllib
from importlib.metadata import version

import time_machine

from causim.own_packages import HARNESS
from tests.packaging.conftest import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
ENGINE_ALONE = """
import sys
for name in {absent!r}:
    sys.modules[name] = None  # as if it were not installed
import ordering
print(*(getattr(ordering, name).__name__ for name in ordering.__all__ if isinstance(getattr(ordering, name), type)))
"""


def declared(*extras: str) -> set[str]:
    lines = [*PROJECT["dependencies"], *(line for extra in extras for line in PROJECT["optional-dependencies"][extra])]
    names = {re.match(r"[\w-]+", line)[0] for line in lines}
    return {name.replace("-", "_") for name in names} - {"causim"}


def test_engine_needs_redis_and_pydantic() -> None:
    """The engine needs Redis and pydantic alone."""
    assert declared() == {"redis", "pydantic"}
    absent = sorted(set(HARNESS) - declared())
    output = subprocess.run([sys.executable, "-c", ENGINE_ALONE.format(absent=absent)], capture_output=True, check=True)
    assert b"CausalOrdering" in output.stdout


def test_harness_declares_what_it_needs() -> None:
    """What the harness misses is what it declares."""
    assert set(HARNESS) == declared("simulation")


def test_time_machine_private_parts() -> None:
    """Time machine still has the private parts that the clock uses."""
    parts = list(inspect.signature(time_machine.Traveller.__init__).parameters)
    assert parts[1:] == ["destination_timestamp_ns", "destination_tzname", "tick"], version("time-machine")
    assert isinstance(time_machine.traveller_stack, list), version("time-machine")
    assert callable(time_machine.Traveller.time_ns), version("time-machine")


def test_least_versions_are_declared() -> None:
    """The least versions are those that are declared."""
    output = subprocess.run(
        [sys.executable, ROOT / ".ci/minimum.py"], capture_output=True, text=True, check=True
    ).stdout
    lines = dict(line.split("==") for line in output.splitlines())
    assert {name.replace("-", "_") for name in lines} == declared("simulation", "server", "hypothesis", "dask")
    assert all(
        f"{name}>={least}" in line for name, least in lines.items() for line in _lines() if line.startswith(f"{name}>")
    )


def _lines() -> list[str]:
    return [*PROJECT["dependencies"], *(line for lines in PROJECT["optional-dependencies"].values() for line in lines)]


def test_command_without_the_harness() -> None:
    """Without the harness the command says what to install."""
    program = (
        "import sys; sys.modules['simpy'] = None; from causim.command_line import main; sys.exit(main(['run', 'x']))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 4
    assert done.stderr == "causim: the harness is not installed (missing: simpy): pip install 'causim[simulation]'\n"
