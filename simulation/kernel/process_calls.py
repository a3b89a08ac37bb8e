"""Signals, exits and processes, as code of a simulated process asks for them.

Each is a stand-in, as those of `clocks.py` are. A call about a process of the run happens in the run: a signal that a
process sends to itself, or to another by the number that it knows, and an exit without a word. A call that would
start, stop or watch something real ends the run.
"""

from __future__ import annotations

import _thread
import asyncio
import functools
import multiprocessing.process
import os
import signal
import threading
from collections.abc import Callable
from typing import Any, Protocol, cast

from simulation.kernel.clocks import owner_here, replace_in_runs


class Owner(Protocol):
    """The run that code under test belongs to, as this module asks it."""

    def signal_process(self, pid: int | None, number: int) -> bool:
        """Send a signal to a process of the run, or to the current one; False if the number is that of no process."""
        ...

    def exit_process(self, status: int) -> None:
        """End the current process, without its `finally` blocks. Does not return to it."""
        ...

    def set_signal(self, number: int, handler: Any) -> Any:
        """Note the current process's handler of a signal, and return the one before."""
        ...

    def get_signal(self, number: int) -> Any:
        """Return the current process's handler of a signal."""
        ...

    def wait_for_thread(self, timeout: float | None) -> None:
        """Block the current process for `timeout` seconds: no other thread can end its wait. Raises Escaped if None."""
        ...

    def refuse(self, event: str, arguments: tuple[Any, ...], what: str) -> None:
        """End the run, unless its scenario allows this. Raises Escaped."""
        ...


def _owner() -> Owner | None:
    return cast("Owner | None", owner_here())


def _kill(original: Callable[..., None]) -> Callable[..., None]:
    def kill(pid: int, number: int, /) -> None:
        owner = _owner()
        if owner is None or not owner.signal_process(pid, int(number)):
            original(pid, number)  # the audit hook decides

    return kill


def _raise_signal(original: Callable[..., None]) -> Callable[..., None]:
    def raise_signal(number: int, /) -> None:
        owner = _owner()
        if owner is None:
            original(number)
        else:
            owner.signal_process(None, int(number))

    return raise_signal


def _exit(original: Callable[..., Any]) -> Callable[..., Any]:
    def exit_now(status: int = 0) -> None:
        owner = _owner()
        if owner is None:
            original(status)
        else:
            owner.exit_process(status)

    return exit_now


def _abort(original: Callable[[], Any]) -> Callable[[], Any]:
    def abort() -> None:
        owner = _owner()
        if owner is None:
            original()
        else:
            owner.exit_process(128 + signal.SIGABRT)

    return abort


def _signal(original: Callable[..., Any]) -> Callable[..., Any]:
    def set_handler(signalnum: int, handler: Any) -> Any:
        owner = _owner()
        return original(signalnum, handler) if owner is None else owner.set_signal(int(signalnum), handler)

    return set_handler


def _getsignal(original: Callable[..., Any]) -> Callable[..., Any]:
    def get_handler(signalnum: int) -> Any:
        owner = _owner()
        return original(signalnum) if owner is None else owner.get_signal(int(signalnum))

    return get_handler


def _condition_wait(original: Callable[..., bool]) -> Callable[..., bool]:
    def wait(self: threading.Condition, timeout: float | None = None) -> bool:
        owner = _owner()
        if owner is None:
            return original(self, timeout)
        owner.wait_for_thread(timeout)
        return False

    return wait


def _refused(what: str, event: str = "") -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator for a stand-in that ends the run, unless its scenario allows the event."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def refused(*arguments: Any, **options: Any) -> Any:
            owner = _owner()
            if owner is not None:
                owner.refuse(event, arguments, what)
            return original(*arguments, **options)

        return refused

    return make


_TIMER = "a timer of the operating system was asked for, which knows the real time alone"
_THREAD = "a thread was started, which runs outside of virtual time"
_THREAD_STARTERS = ("start_new_thread", "start_joinable_thread")
_WAIT = "the process waited for a real signal"
_STAND_INS: tuple[tuple[Any, Callable[[Any], Any]], ...] = (
    (os.kill, _kill),
    (os._exit, _exit),
    (os.abort, _abort),
    (signal.raise_signal, _raise_signal),
    (signal.signal, _signal),
    (signal.getsignal, _getsignal),
    (threading.Condition.wait, _condition_wait),
    *((getattr(_thread, name), _refused(_THREAD)) for name in _THREAD_STARTERS if hasattr(_thread, name)),
    (signal.alarm, _refused(_TIMER)),
    (signal.setitimer, _refused(_TIMER)),
    (signal.pause, _refused(_WAIT)),
    (signal.sigwait, _refused(_WAIT)),
    (
        multiprocessing.process.BaseProcess.start,
        _refused("a process of multiprocessing was started", "subprocess.Popen"),
    ),
    (
        asyncio.BaseEventLoop.run_forever,
        _refused("a second event loop was run, which knows the real time alone"),
    ),
)
for _original, _make in _STAND_INS:
    replace_in_runs(_original, functools.wraps(_original)(_make(_original)))
