"""What a command does not need is not imported for it: each command pays for start-up."""

import subprocess
import sys

import pytest

from simulation.cli import main
from simulation.scenario.faults import FAULTS

REPORTS = {"pandas", "matplotlib", "pyarrow", "numpy", "jinja2"}
OTHERS = {"prefect", "prefect_redis", "distributed", "dask", "hypothesis", "IPython", "fakeredis"}
WORLD = {"pydantic", "redis", "hiredis", "simpy", "asyncio", "orjson"}

PROGRAM = """
import sys
from simulation.cli import main
try:
    main(sys.argv[1:])
except SystemExit:
    pass
print("imported:", *sorted({name.partition(".")[0] for name in sys.modules}))
"""


def imported(*arguments: str) -> set[str]:
    """Return the top-level modules that a command imports, in a process of its own."""
    done = subprocess.run([sys.executable, "-c", PROGRAM, *arguments], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split()[1:])


@pytest.mark.parametrize(
    "arguments", [("--help",), ("run", "--help"), ("list", "engines"), ("list", "scenarios", "scenarios")]
)
def test_help_and_names_need_no_world(arguments: tuple[str, ...]):
    modules = imported(*arguments)
    assert "simulation" in modules
    assert not modules & (REPORTS | OTHERS | WORLD)


@pytest.mark.parametrize("what", ["faults", "invariants", "coverage", "mutants"])
def test_lists_need_no_reports(what: str):
    assert not imported("list", what) & (REPORTS | OTHERS | {"simpy"})


def test_names_without_the_engine():
    """Names of faults and mutants need no engine."""
    assert not imported("list", "faults") & WORLD
    assert not imported("list", "mutants") & (WORLD | {"ordering"})


def test_faults_are_listed_as_they_are_defined(capsys: pytest.CaptureFixture[str]):
    assert main(["list", "faults"]) == 0
    listed = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert listed == {name: " ".join((kind.__doc__ or "").split()) for name, kind in FAULTS.items()}
    assert list(listed) == list(FAULTS)


def test_a_run_without_results_needs_no_reports():
    modules = imported("run", "scenarios/leader-follower.toml", "--no-results", "--store", "server")
    assert {"simpy", "redis"} <= modules
    assert not modules & (REPORTS | OTHERS)
