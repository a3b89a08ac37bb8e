"""Runs: a function of scenario and seed; judged; the control group fails where the engine holds."""

import os
import subprocess
import sys

from simulation import Laboratory, loads

LATE = """
name = "late"
[workload]
kind = "chains"
length = 4
order = "reversed"
interval = "1ms"
[judge]
require_coverage = ["parked", "released"]
"""


def test_same_seed_other_process(
    laboratory: Laboratory,
) -> None:
    """The same seed gives the same history in another process with another hash seed."""
    here = laboratory.run(loads(LATE), seed=7).digest
    script = f"from simulation import loads, run; print(run(loads({LATE!r}), seed=7).digest)"
    environment = {**os.environ, "PYTHONHASHSEED": "4242"}
    there = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert there.stdout.strip() == here
    assert laboratory.run(loads(LATE), seed=8).digest != here


def test_null_engine_violates_order(laboratory: Laboratory) -> None:
    """Without an engine order is lost and the judge says so."""
    run = laboratory.run(loads(LATE), seed=7, engine="null")
    assert run.verdict == "violated"
    assert {violation.invariant for violation in run.judgement.violations} == {"causal-order"}


def test_native_engine_holds(laboratory: Laboratory) -> None:
    """With the engine order holds and something was exercised."""
    run = laboratory.run(loads(LATE), seed=7)
    assert run.verdict == "holds", run.judgement
    assert run.judgement.coverage["parked"] > 0
    assert run.judgement.coverage["released"] > 0
