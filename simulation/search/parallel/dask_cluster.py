"""Many seeds on many machines: the runs of a search, or of all cells of a sweep, on a Dask cluster.

The inputs of a run travel to the workers: scenario, engine, strategy, seed and the file of a trace. Every worker needs
the same version of causim, the same Redis and, for an engine of one's own, its module; the scheduler needs causim as
well. Then a summary is the same bit for bit as on one machine; a worker that is not like this machine is refused.

A worker that dies loses nothing: Dask gives its seeds to others. A seed has one future, and is counted once.
"""

from __future__ import annotations

import logging
import pickle
import re
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import closing
from importlib import import_module
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any, Self

from simulation.history.untrusted_files import is_stream
from simulation.kernel.random_streams import Streams
from simulation.scenario.errors import BadScenario
from simulation.scenario.model import Scenario
from simulation.scenario.publications import make_workload
from simulation.search.parallel.pool import AHEAD
from simulation.search.parallel.runner_process import (
    ClusterUnavailable,
    Job,
    RunnerDied,
    described,
    other_version,
    our_version,
    perform,
)
from simulation.search.parallel.seeds import Plan
from simulation.search.summary import Summary, Tally
from simulation.search.sweep.grid import Cell, row
from simulation.world.laboratory import Laboratory

_TIMEOUT_S = 10
"""Seconds of real time in which a scheduler must answer, and in which it must have a worker."""
_NO_WORKER_SECONDS = 60
"""Seconds of real time without a result after which a scheduler must have a worker."""
_ADDRESS = re.compile(r"(tcp|tls|ws|wss)://[^/\s]+:\d+/?")
_EXAMPLE = "such as tcp://192.0.2.1:8786"
_LOGGERS = ("distributed.client", "tornado.application")
"""Loggers of the client. An exception of ours reports a loss; a request that Ctrl-C interrupts before it began
is reported by Dask's loop with a traceback that does not help the user."""
_ATTEMPTS = 3
"""Number of attempts at a run whose process dies while its worker lives."""


def search(address: str, plan: Plan, seeds: Iterable[int]) -> Iterator[Summary]:
    """Yield a summary for each seed, in their order. Raises ClusterUnavailable, and the exceptions of a run."""
    with Cluster(address) as cluster, closing(cluster.runs([(plan, seeds)])) as runs:
        for _, summary in runs:
            yield summary


def measure_all(
    address: str, grid: Sequence[Cell], plans: Mapping[int, Plan], seeds: range
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the rows of those cells for which there is a plan, by its place in the grid, each as it is done.

    The next cells are begun while others are not done yet: a few seeds each would not keep a cluster busy.

    Raises ClusterUnavailable, and the exceptions of a run.
    """
    if not plans:
        return
    places = list(plans)
    tallies: dict[int, Tally] = {}
    with Cluster(address) as cluster, closing(cluster.runs((plan, seeds) for plan in plans.values())) as runs:
        for number, summary in runs:
            tally = tallies.setdefault(number, Tally())
            tally.add(summary)
            if tally.runs == len(seeds):
                cell = grid[places[number]]
                yield places[number], row(cell, tallies.pop(number), cell.scenario.judge.require_coverage)


class Cluster:
    """A connection to a Dask scheduler whose workers can do our runs.

    Make no run in this process while it is open: a run owns the clocks and the randomness that the connection uses.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._dask = _dask()
        self._client = _connect(self._dask, address)
        self._stores: dict[tuple[str, Path | None], str] = {}
        try:
            self._slots = self._inspect()
        except BaseException:
            self._client.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def _inspect(self) -> int:
        """Return the number of runs the workers make at a time. Raises ClusterUnavailable if one is not like us."""
        try:
            self._client.wait_for_workers(1, timeout=_TIMEOUT_S)
        except TimeoutError:
            raise ClusterUnavailable(
                f"scheduler {self._address} has no workers: start some with `dask worker {self._address}`"
            ) from None
        ours = our_version()
        # A function of Python's own: it can be called where causim is not installed. The scheduler reads tasks too.
        try:
            self._client.run_on_scheduler(version, "causim")
        except ImportError:
            raise ClusterUnavailable(_nowhere(f"scheduler {self._address}", ours)) from None
        for worker, theirs in sorted(self._client.run(version, "causim", on_error="return").items()):
            if isinstance(theirs, ImportError):
                raise ClusterUnavailable(_nowhere(f"worker {worker}", ours))
            if isinstance(theirs, BaseException):
                raise ClusterUnavailable(f"worker {worker} does not answer: {theirs!r}")
            if theirs != ours:
                raise ClusterUnavailable(other_version(worker, theirs, ours))
        return sum(self._client.nthreads().values())

    def runs(self, plans: Iterable[tuple[Plan, Iterable[int]]]) -> Generator[tuple[int, Summary], None, None]:
        """Yield each summary with the place of its plan in `plans`, in the order of the runs. Closing the generator
        cancels the rest.

        Raises ClusterUnavailable, and the exceptions of a run.
        """
        waiting: dict[Any, tuple[int, int]] = {}
        done: dict[Any, tuple[int, Summary]] = {}
        order: deque[Any] = deque()
        todo = self._jobs(plans)

        def submit(count: int) -> None:
            for place, job, seed in islice(todo, count):
                future = self._client.submit(perform, job, seed, pure=False, retries=_ATTEMPTS, fifo_timeout=0)
                waiting[future] = (place, seed)
                order.append(future)

        try:
            submit(AHEAD * self._slots)
            while order:
                while order and order[0] in done:
                    yield done.pop(order.popleft())
                    submit(1)
                for future in self._finished(list(waiting)) if waiting else ():
                    place, seed = waiting.pop(future)
                    done[future] = place, self._result(future, seed)
        except (CancelledError, self._dask.comm.CommClosedError):
            raise ClusterUnavailable(f"scheduler {self._address} was lost, with the runs that it had") from None
        finally:
            self._client.cancel(list(waiting), force=True)

    def _finished(self, futures: list[Any]) -> set[Any]:
        """Wait until some are done and return them. Raises ClusterUnavailable if there is no worker left."""
        while True:
            try:
                with self._client.as_current():
                    finished: set[Any] = self._dask.wait(
                        futures, timeout=_NO_WORKER_SECONDS, return_when="FIRST_COMPLETED"
                    ).done
                return finished
            except TimeoutError:
                if not self._client.nthreads():
                    raise ClusterUnavailable(f"scheduler {self._address} has no workers left") from None

    def _jobs(self, plans: Iterable[tuple[Plan, Iterable[int]]]) -> Iterator[tuple[int, Job, int]]:
        for place, (plan, seeds) in enumerate(plans):
            job = Job.of(plan, self._store(plan), _trace(plan.scenario))
            for seed in seeds:
                yield place, job, seed

    def _store(self, plan: Plan) -> str:
        """Return which store the runs would be on here."""
        asked = (plan.store, plan.executable)
        if asked not in self._stores:
            with Laboratory(*asked) as laboratory:
                self._stores[asked] = described(laboratory)
        return self._stores[asked]

    def _result(self, future: Any, seed: int) -> Summary:
        try:
            answer = pickle.loads(future.result())  # noqa: S301  # the user's own cluster
        except self._dask.KilledWorker as error:
            raise ClusterUnavailable(f"seed {seed}: one worker after the other died while it had it: {error}") from None
        except RunnerDied as error:
            raise ClusterUnavailable(f"{error}, again and again: has the worker enough memory?") from None
        if isinstance(answer, Exception):
            raise answer
        assert isinstance(answer, Summary)
        assert answer.seed == seed
        return answer


def _nowhere(where: str, version: str) -> str:
    return f"{where} has no causim: install version {version} there"


def _dask() -> Any:
    """Return Dask's package, which is an extra of its own. Raises ClusterUnavailable."""
    try:
        return import_module("distributed")
    except ImportError:
        raise ClusterUnavailable("a scheduler needs Dask: pip install 'causim[dask]'") from None


def _connect(dask: Any, address: str) -> Any:
    if not _ADDRESS.fullmatch(address):
        raise ClusterUnavailable(f"scheduler {address!r}: give the address that `dask scheduler` prints, {_EXAMPLE}")
    for name in _LOGGERS:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        return dask.Client(address, timeout=_TIMEOUT_S, set_as_default=False)
    except OSError as error:
        raise ClusterUnavailable(
            f"scheduler {address} does not answer: {error}; is it the address that `dask scheduler` prints, {_EXAMPLE}?"
        ) from None


def _trace(scenario: Scenario) -> bytes | None:
    """Return the content of a trace's file; None if the workload is none. Raises BadScenario, naming the file here."""
    table = scenario.workload
    if table.kind != "trace":
        return None
    make_workload(scenario, scenario.seed, Streams(scenario.seed))
    try:
        file = Path(scenario.folder, table.file)
        is_stream(file)
        return file.read_bytes()
    except OSError as error:
        why = f"{error.filename}: {error.strerror}"
        raise BadScenario(f"{scenario.name}: table [workload], key 'file': {why}") from None
