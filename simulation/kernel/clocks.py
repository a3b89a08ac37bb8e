"""The functions of the standard library that a run owns: counting clocks, sleep, random bytes, names of machines.

Each is a stand-in that identifies its caller. Code of a simulated process gets the run's answer; the harness itself,
other threads, and everything outside of a run get the original. So the stand-ins may be bound anywhere, at any time.

`time.time`, `datetime.now` and their kin are not here: time-machine owns them wherever they were imported.
"""

from __future__ import annotations

import asyncio
import functools
import importlib
import os
import random
import socket
import sys
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from importlib.machinery import ModuleSpec, PathFinder
from types import FrameType
from typing import Any, Protocol

from simulation.kernel.bindings import Bindings
from simulation.kernel.process import current_process

_NODE = 0x02_00_00_00_00_01
"""The network address that `uuid1` shows in a run: locally administered, and the same on every machine."""


class Owner(Protocol):
    """The run that code under test belongs to."""

    def elapsed_ns(self) -> int:
        """Return the nanoseconds since the start of the run."""
        ...

    def sleep(self, seconds: float) -> None:
        """Block the current process for so long."""
        ...

    def urandom(self, size: int) -> bytes:
        """Return random bytes that belong to the run."""
        ...

    def host_name(self) -> str:
        """Return the name of the machine that the current process runs on."""
        ...

    def process_id(self) -> int:
        """Return the number of the current process."""
        ...

    def waits_for_real(self, frame: FrameType) -> bool:
        """Return whether a caller waits for something real, and so needs a real clock."""
        ...

    def thread_started(self, thread: threading.Thread) -> None:
        """Decide about a thread that the current process starts: return to let it start, or raise."""
        ...


class _Active:
    """The run that takes place in this Python process, and its thread."""

    owner: Owner | None = None
    thread = 0


def activate(owner: Owner) -> None:
    """Let a run answer, in the thread that calls. Raises RuntimeError if another run takes place."""
    if _Active.owner is not None:
        raise RuntimeError("two runs cannot take place in one Python process at the same time")
    _Active.owner, _Active.thread = owner, threading.get_ident()
    if "anyio" in sys.modules:
        _own_threads_of(importlib.import_module("anyio.to_thread"))
    _bindings.replace()
    sys.meta_path.insert(0, _late_anyio)


def deactivate() -> None:
    """Give everything back."""
    sys.meta_path.remove(_late_anyio)
    _bindings.restore()
    _Active.owner = None


def owner_here() -> Owner | None:
    """Return the run that the caller belongs to, if it is code of a simulated process."""
    owner = _Active.owner
    if owner is None or current_process.get() is None or threading.get_ident() != _Active.thread:
        return None
    return owner


def _clock(original: Callable[[], Any], unit: int) -> Callable[[], Any]:
    """Return a stand-in for a clock that shows seconds (`unit` 10**9) or nanoseconds (1)."""

    @functools.wraps(original)
    def shown() -> Any:
        owner = owner_here()
        if owner is None or owner.waits_for_real(sys._getframe(1)):
            return original()
        elapsed = owner.elapsed_ns()
        return elapsed if unit == 1 else elapsed / unit

    return shown


@functools.wraps(time.sleep)
def _sleep(seconds: float, /) -> None:
    owner = owner_here()
    if owner is None or owner.waits_for_real(sys._getframe(1)):
        _originals.sleep(seconds)
    else:
        owner.sleep(seconds)


@functools.wraps(os.urandom)
def _urandom(size: int, /) -> bytes:
    # The harness draws its own ids from the run as well: only another thread gets real bytes.
    if _Active.owner is None or threading.get_ident() != _Active.thread:
        return _originals.urandom(size)
    return _Active.owner.urandom(size)


@functools.wraps(uuid.getnode)
def _getnode() -> int:
    return _originals.getnode() if owner_here() is None else _NODE


@functools.wraps(socket.gethostname)
def _gethostname() -> str:
    owner = owner_here()
    return _originals.gethostname() if owner is None else owner.host_name()


@functools.wraps(os.getpid)
def _getpid() -> int:
    owner = owner_here()
    return _originals.getpid() if owner is None else owner.process_id()


@functools.wraps(random.Random.seed)
def _seed(self: random.Random, a: Any = None, version: int = 2) -> None:
    if a is None and owner_here() is not None:
        a = int.from_bytes(_urandom(32))  # without a seed, C code would ask the operating system
    _originals.seed(self, a, version)


@functools.wraps(threading.Thread.start)
def _start(self: threading.Thread) -> None:
    owner = owner_here()
    if owner is not None:
        owner.thread_started(self)
    _originals.start(self)


def _in_place(original: Callable[..., Any]) -> Callable[..., Any]:
    """Return a stand-in for AnyIO's way to run a function in a thread, which is not an executor of the loop."""

    @functools.wraps(original)
    async def run_sync(func: Callable[..., Any], *args: Any, **options: Any) -> Any:
        if owner_here() is None:
            return await original(func, *args, **options)
        return await asyncio.get_running_loop().run_in_executor(None, func, *args)

    return run_sync


def _own_threads_of(module: Any) -> None:
    if not _bindings.knows(module.run_sync):
        _bindings.add(module.run_sync, _in_place(module.run_sync))


class _LateAnyio:
    """Finds AnyIO's threads if they are first imported during a run: that run must not be another than the next."""

    def find_spec(self, name: str, path: Any, target: Any = None) -> ModuleSpec | None:
        """Return where a module is: AnyIO's threads with a loader that replaces them at once."""
        if name != "anyio.to_thread":
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            load = spec.loader.exec_module

            def exec_module(module: Any) -> None:
                load(module)
                module.run_sync = _in_place(module.run_sync)

            spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


_late_anyio = _LateAnyio()


class _Originals:
    """The functions that the names were bound to when this module was imported."""

    sleep = staticmethod(time.sleep)
    urandom = staticmethod(os.urandom)
    getnode = staticmethod(uuid.getnode)
    gethostname = staticmethod(socket.gethostname)
    getpid = staticmethod(os.getpid)
    seed = staticmethod(random.Random.seed)
    start = staticmethod(threading.Thread.start)


_originals = _Originals()
_bindings = Bindings(
    {
        time.monotonic: _clock(time.monotonic, 10**9),
        time.monotonic_ns: _clock(time.monotonic_ns, 1),
        time.perf_counter: _clock(time.perf_counter, 10**9),
        time.perf_counter_ns: _clock(time.perf_counter_ns, 1),
        time.process_time: _clock(time.process_time, 10**9),
        time.process_time_ns: _clock(time.process_time_ns, 1),
        time.thread_time: _clock(time.thread_time, 10**9),
        time.thread_time_ns: _clock(time.thread_time_ns, 1),
        time.sleep: _sleep,
        os.urandom: _urandom,
        uuid.getnode: _getnode,
        socket.gethostname: _gethostname,
        os.getpid: _getpid,
        random.Random.seed: _seed,
        threading.Thread.start: _start,
    },
    kept_module=__name__,
)


def replace_in_runs(original: Callable[..., Any], stand_in: Callable[..., Any]) -> None:
    """Replace one more function wherever it is bound, during runs. To be called outside of a run."""
    _bindings.add(original, stand_in)


def generators() -> Mapping[str, random.Random]:
    """Return the generators of random numbers that modules hold as globals, by their names, during a run."""
    return _bindings.generators
