"""Runner processes: processes beside a Dask worker that make its runs, one at a time each.

A run owns the clocks and the randomness of its process. A Dask worker needs its own: it would lose its heartbeat, and
its draws would change what the run says. So a worker has as many runner processes as it has runs at a time. A runner
process keeps its laboratory from run to run and from plan to plan. It ends when its worker ends, in whatever way, and
after a minute without work. The worker passes bytes on and does not parse them.
"""

from __future__ import annotations

import os
import pickle
import select
import signal
import socket
import subprocess
import sys
import threading
import traceback
import zlib
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING
from uuid import uuid4

from simulation.engines import UnknownEngine
from simulation.search.explore.strategies import Runner
from simulation.search.summary import summarise
from simulation.stores.protocol import StoreUnavailable
from simulation.stores.watcher import Watcher
from simulation.world.laboratory import Laboratory
from simulation.world.world import EngineFailed

if TYPE_CHECKING:
    from simulation.search.explore.strategies import Runner
    from simulation.search.parallel.seeds import Plan
    from simulation.search.summary import Summary
    from simulation.world.laboratory import Laboratory

_IDLE = 60.0
"""Seconds of real time after which a runner process without work ends, and its redis-server with it."""


class ClusterUnavailable(Exception):
    """A cluster cannot be reached, or cannot do the work. The message says why, and what to do."""


class RunnerDied(ClusterUnavailable):
    """A process ended in the middle of a run. The run can be repeated."""


@dataclass(frozen=True, slots=True)
class Job:
    """A plan, as it travels to a worker."""

    version: str
    """The version of causim that the results must come from."""
    setting: tuple[str, ...]
    """Settings that a runner process cannot change once it has begun: the session (the code may have changed since the
    last one), the store, its executable, and the release of prefect_redis that it has imported."""
    content: bytes

    @classmethod
    def of(cls, plan: Plan, store: str, trace: bytes | None) -> Job:
        """Pack a plan, the store that its runs must be on (by kind and version) and the file of its trace, if any."""
        content = zlib.compress(pickle.dumps((plan, store, trace)))
        release = plan.engine if plan.engine.startswith("prefect") else ""
        return cls(our_version(), (_session(), plan.store, str(plan.executable), release), content)


def perform(job: Job, seed: int) -> bytes:
    """Make one run in a runner process of this worker; return its pickled summary or the pickled exception.

    Raises RunnerDied: then, and only then, another attempt is worth while.
    """
    if (here := our_version()) != job.version:
        return pickle.dumps(ClusterUnavailable(other_version(socket.gethostname(), here, job.version)))
    runner = _take(job.setting)
    answer = runner.run(job.content, seed)
    with _lock:
        _idle.append(runner)
    return answer


@cache
def _session() -> str:
    return uuid4().hex


def our_version() -> str:
    """Return the version of causim that this process has."""
    return version("causim")


def other_version(where: str, theirs: str, ours: str) -> str:
    """Return the sentence about a worker that has another version of causim than we have."""
    return f"worker {where} has causim {theirs}, but here it is {ours}: install the same version on both"


# -- in the worker -----------------------------------------------------------------------------------------------


class _RunnerProcess:
    def __init__(self, setting: tuple[str, ...]) -> None:
        self.setting = setting
        self._process = subprocess.Popen(  # noqa: S603  # this very program
            [sys.executable, "-P", "-c", f"from {__name__} import serve; serve()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def run(self, content: bytes, seed: int) -> bytes:
        assert self._process.stdin
        assert self._process.stdout
        try:
            pickle.dump((content, seed), self._process.stdin)
            self._process.stdin.flush()
            answer: bytes = pickle.load(self._process.stdout)  # noqa: S301  # a child of ours has written it
        except (EOFError, OSError, pickle.UnpicklingError):
            self.close()
            code = self._process.returncode
            raise RunnerDied(f"seed {seed}: its process on {socket.gethostname()} died with exit code {code}") from None
        return answer

    def close(self) -> None:
        assert self._process.stdin
        assert self._process.stdout
        with suppress(OSError):  # what it has not read by now, it never will
            self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


_lock = threading.Lock()
_idle: list[_RunnerProcess] = []


def _take(setting: tuple[str, ...]) -> _RunnerProcess:
    """Return an idle runner process for this setting, or a new one. Those for other settings end."""
    with _lock:
        fit = [runner for runner in _idle if runner.setting == setting and runner.alive]
        rest = [runner for runner in _idle if runner not in fit]
        found = fit.pop() if fit else None
        _idle[:] = fit
    for runner in rest:
        runner.close()
    return found or _RunnerProcess(setting)


# -- in the runner process --------------------------------------------------------------------------------------------


def serve() -> None:
    """Answer the requests of standard input on standard output, until there are none left."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # a runner process ends with its worker, and only then
    requests = sys.stdin.buffer
    with suppress(BrokenPipeError), os.fdopen(os.dup(1), "wb") as answers, _Runs() as runs:
        os.dup2(2, 1)  # what an engine prints is no answer
        while select.select([requests], [], [], _IDLE)[0]:
            try:
                content, seed = pickle.load(requests)  # noqa: S301  # our parent has written it
            except EOFError:
                return
            pickle.dump(runs.answer(content, seed), answers)
            answers.flush()


class _Runs:
    """The state of a runner process between its runs: its laboratory, and the runner of the latest plan."""

    def __init__(self) -> None:
        self._laboratory: Laboratory | None = None
        self._content = b""
        self._runner: Runner | None = None

    def __enter__(self) -> _Runs:
        self._folder = TemporaryDirectory(prefix="causim-trace-")
        self._watcher = Watcher([Path(self._folder.name)])
        return self

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()
        self._watcher.dismiss()
        if self._laboratory is not None:
            self._laboratory.store.close()

    def answer(self, content: bytes, seed: int) -> bytes:
        """Return the pickled summary of a run, or the pickled exception that it raised."""
        try:
            return pickle.dumps(self._run(content, seed))
        except Exception as error:
            return _portable(error)

    def _run(self, content: bytes, seed: int) -> Summary:
        if self._runner is None or content != self._content:
            self._runner = self._unpack(content)
            self._content = content
        return summarise(self._runner.run(seed))

    def _unpack(self, content: bytes) -> Runner:
        plan: Plan
        plan, expected, trace = pickle.loads(zlib.decompress(content))  # noqa: S301  # the user's own plan
        if self._laboratory is None:
            self._laboratory = Laboratory(plan.store, plan.executable)
        found = described(self._laboratory)
        if found != expected:
            raise ClusterUnavailable(
                f"worker {socket.gethostname()} has a Redis of its own kind, {found}; here it is {expected}, and "
                "results would differ: install the same on both, or choose a --store that both have"
            )
        if trace is not None:
            plan = self._with_trace(plan, trace)
        return Runner(self._laboratory, plan.scenario, plan.engine, plan.strategy)

    def _with_trace(self, plan: Plan, trace: bytes) -> Plan:
        file = Path(self._folder.name, "trace.jsonl")
        file.write_bytes(trace)
        workload = plan.scenario.workload.model_copy(update={"file": file.name})
        local = {"workload": workload, "folder": self._folder.name}
        return replace(plan, scenario=plan.scenario.model_copy(update=local))


def described(laboratory: Laboratory) -> str:
    """Return the name and version of a laboratory's store, as in histories."""
    return f"{laboratory.store.name} {laboratory.store.version}"


def _portable(error: Exception) -> bytes:
    """Pickle an exception with the text of its traceback."""
    frames = "".join(traceback.format_exception(error))
    if isinstance(error, StoreUnavailable | UnknownEngine):  # it is about this machine: say which
        error = type(error)(f"on worker {socket.gethostname()}: {error}")
    error.add_note(frames)
    try:
        packed = pickle.dumps(error)
        pickle.loads(packed)  # noqa: S301  # an exception of an engine may not survive its own constructor
    except Exception:
        return pickle.dumps(EngineFailed(f"{type(error).__name__}: {error}"))
    return packed
