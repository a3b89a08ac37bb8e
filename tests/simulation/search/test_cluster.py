"""A cluster of two workers: it gives the results of one machine, even if a worker dies, and mistakes are sentences.

The cluster is a process of its own, as in life: a run in this process would take the clocks of its scheduler.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from operator import itemgetter
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from simulation import load, loads
from simulation.cli import main
from simulation.engines import UnknownEngine
from simulation.scenario.errors import BadScenario
from simulation.search.explore.strategies import Strategy
from simulation.search.parallel.dask_cluster import Cluster
from simulation.search.parallel.dask_cluster import search as search_there
from simulation.search.parallel.runner_process import ClusterUnavailable
from simulation.search.parallel.seeds import Plan, search
from simulation.world.scheduling import Bounds
from simulation.world.world import EngineFailed

pytest.importorskip("distributed", reason="needs the dask extra")

CLUSTER = """
import sys
from distributed import LocalCluster
with LocalCluster(processes=True, n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
    print(cluster.scheduler_address, flush=True)
    sys.stdin.read()
"""
PAIR = 'name = "pair"\n[workload]\nkind = "chains"\nlength = 2\n[broker]\ndelay = {uniform = ["1ms", "20ms"]}\n'
PLAN = Plan(loads(PAIR), "null")


@pytest.fixture(scope="module")
def scheduler() -> Iterator[str]:
    """The address of a scheduler with two workers, each a process of its own."""
    root = Path(__file__).parents[3]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    process = subprocess.Popen([sys.executable, "-c", CLUSTER], cwd=root, **pipes)
    with process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.communicate()


def by_seed(summaries: Any) -> dict[int, Any]:
    listed = list(summaries)
    found = {summary.seed: summary for summary in listed}
    assert len(found) == len(listed), "a seed was counted twice"
    return found


def test_same_as_one_machine(scheduler: str) -> None:
    """A cluster says bit for bit what one machine says."""
    walk = replace(PLAN, strategy=Strategy("random-walk", bounds=Bounds(faults=1, kinds=("crash",))))
    with Cluster(scheduler) as cluster:
        found = list(cluster.runs([(PLAN, range(1, 9)), (walk, range(3, 7))]))
    there = by_seed(summary for place, summary in found if place == 0)
    walked = by_seed(summary for place, summary in found if place == 1)
    assert there == by_seed(search(PLAN, range(1, 9)))
    assert walked == by_seed(search(walk, range(3, 7)))
    assert {summary.verdict for summary in there.values()} == {"holds", "violated"}


def test_a_trace_travels_with_its_scenario(scheduler: str, tmp_path: Path) -> None:
    source = load("scenarios/prefect-etl.toml")
    assert source.workload.kind == "trace"
    (tmp_path / "here.jsonl").write_bytes(Path(source.folder, source.workload.file).read_bytes())
    workload = source.workload.model_copy(update={"file": "here.jsonl", "limit": 20})
    plan = Plan(source.model_copy(update={"workload": workload, "folder": str(tmp_path)}), "null")
    here = by_seed(search(plan, [4, 5]))
    assert by_seed(search_there(scheduler, plan, [4, 5])) == here
    (tmp_path / "here.jsonl").write_text("{}\n")
    with pytest.raises(BadScenario, match=r"here\.jsonl:1"):
        list(search_there(scheduler, plan, [4]))


def test_a_worker_that_dies_loses_nothing(scheduler: str) -> None:
    found = []
    with Cluster(scheduler) as cluster:
        for _, summary in cluster.runs([(PLAN, range(1, 41))]):
            found.append(summary)
            if len(found) == 3:
                os.kill(next(iter(cluster._client.run(os.getpid).values())), signal.SIGKILL)
    assert by_seed(found) == by_seed(search(PLAN, range(1, 41)))


def test_dying_run_is_retried(scheduler: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run whose process dies is made again and then given up with a sentence."""
    monkeypatch.setattr("simulation.search.parallel.dask_cluster._ATTEMPTS", 1)
    plan = replace(PLAN, engine="tests.simulation.engines:Dying", store="embedded")  # so that no server is left alone
    with pytest.raises(
        ClusterUnavailable, match=r"seed 7: its process on \S+ died with exit code -11, again and again"
    ):
        list(search_there(scheduler, plan, [7]))


@pytest.mark.parametrize(
    ("change", "kind", "said"),
    [
        ({"engine": "tests.simulation.engines:Broken"}, EngineFailed, "no licence"),
        ({"engine": "nativ"}, UnknownEngine, r"on worker \S+: engine 'nativ' is not known"),
    ],
)
def test_what_a_run_raises_is_raised_here(scheduler: str, change: Any, kind: type[Exception], said: str) -> None:
    plan = replace(PLAN, **change)
    with pytest.raises(kind) as here:
        list(search(plan, [1]))
    with pytest.raises(kind, match=said) as there:
        list(search_there(scheduler, plan, [1]))
    assert str(here.value) in str(there.value)


@pytest.mark.parametrize(
    "asks", ["simulation.search.parallel.dask_cluster", "simulation.search.parallel.runner_process"]
)
def test_worker_of_another_version(scheduler: str, monkeypatch: pytest.MonkeyPatch, asks: str) -> None:
    """A worker with another version is refused now or when it joins."""
    monkeypatch.setattr(f"{asks}.our_version", lambda: "9.9")
    with pytest.raises(ClusterUnavailable, match=r"worker \S+ has causim \S+, but here it is 9\.9: install the same"):
        list(search_there(scheduler, PLAN, [1]))


def test_a_worker_with_another_redis_is_refused(scheduler: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simulation.search.parallel.dask_cluster.described", lambda laboratory: "server 2.8")
    with pytest.raises(ClusterUnavailable, match=r"has a Redis of its own kind, server .+; here it is server 2\.8"):
        list(search_there(scheduler, PLAN, [1]))


def sweep(out: Path, *arguments: str) -> pd.DataFrame:
    vary = ["--vary", "broker.drop=0,0.4", "--vary", "consumers.count=1,2", "--seeds", "3"]
    main(["sweep", str(out.parent / "pair.toml"), *vary, "--out", str(out), "--engine", "null", *arguments])
    return pd.read_parquet(out / "pair" / "sweep" / "sweep.parquet")


def test_a_sweep_leaves_the_same_table(scheduler: str, tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "pair.toml").write_text(PAIR)
    there = sweep(tmp_path / "there", "--scheduler", scheduler)
    assert "4/4  broker.drop=0.4  consumers.count=2  " in capsys.readouterr().out
    assert len(set(there["followers"])) > 1
    pd.testing.assert_frame_equal(there, sweep(tmp_path / "here", "--jobs", "1"), check_exact=True)
    sweep(tmp_path / "there", "--scheduler", "tcp://127.0.0.1:1")  # nothing is left to do, so no scheduler is asked
    assert capsys.readouterr().out.count("from an earlier sweep") == 4


def test_command_line(scheduler: str, tmp_path: Path, capsys: Any) -> None:
    """The command line searches on a cluster and keeps what it found."""
    (tmp_path / "pair.toml").write_text(PAIR)
    common = ["run", str(tmp_path / "pair.toml"), "--engine", "null", "--out", str(tmp_path / "out")]
    messages = []
    for where in (["--scheduler", scheduler], ["--jobs", "1"]):
        assert main([*common, "--seeds", "10", "--no-results", "--json", *where]) == 1
        record = json.loads(capsys.readouterr().out)
        record["violations"].sort(key=itemgetter("invariant"))
        messages.append(record)
    assert messages[0] == messages[1]
    assert main([*common, "--seeds", "500", "--stop-after", "1", "--scheduler", scheduler]) == 1
    assert "violated  causal-order" in capsys.readouterr().out
    assert (tmp_path / "out" / "pair" / "latest" / "history.jsonl").exists()


def test_ctrl_c(scheduler: str, tmp_path: Path) -> None:
    """Ctrl-C cancels what is left and keeps what was done."""
    (tmp_path / "pair.toml").write_text(PAIR)
    command = [sys.executable, "-m", "simulation", "run", str(tmp_path / "pair.toml"), "--seeds", "100000"]
    process = subprocess.Popen(
        [*command, "--engine", "null", "--scheduler", scheduler, "--out", str(tmp_path), "--stop-after", "100000"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with Cluster(scheduler) as cluster:
        while not any(cluster._client.processing().values()):
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 2, err
        assert "interrupted" in out
        assert "Traceback" not in err
        # The seeds that were at work end, and no other begins.
        while any(cluster._client.processing().values()):
            time.sleep(0.01)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--scheduler", "tcp://127.0.0.1:1"], "scheduler tcp://127.0.0.1:1 does not answer"),
        (["--scheduler", "nonsense"], "scheduler 'nonsense': give the address that `dask scheduler` prints"),
        (["--scheduler", "tcp://a:1", "--strategy", "exhaustive"], "leave --scheduler out"),
    ],
)
def test_wrong_address(
    arguments: list[str], said: str, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong address exits with 4 and a sentence."""
    monkeypatch.setattr("simulation.search.parallel.dask_cluster._TIMEOUT_S", 1)
    (tmp_path / "pair.toml").write_text(PAIR)
    assert main(["run", str(tmp_path / "pair.toml"), "--no-results", *arguments]) == 4
    complaint = capsys.readouterr().err
    assert said in complaint
    assert "Traceback" not in complaint


def test_jobs_and_a_scheduler_are_not_given_both(capsys: Any) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["run", "x.toml", "--jobs", "1", "--scheduler", "tcp://a:1"])
    assert caught.value.code == 4
    assert "not allowed with argument --jobs" in capsys.readouterr().err
