"""Ends the code of a run that is over, and does not let that code keep the harness waiting.

Closing a coroutine runs its `finally` blocks, and collecting an object its `__del__`: foreign code, which may wait for
ever, or catch every exception and go on. No exception ends such code for certain. So it runs in a greenlet of its own:

1. The harness starts a greenlet that ends one thing after the other.
2. A timer looks whether it has come further. If not, the harness is switched to, in the middle of the running code.
3. The greenlet is never switched to again, and never collected, since that would let its code go on.

The same is done with a callback that never returns while the run is in progress; see `blocking_sleep.py`.
"""

from __future__ import annotations

import ctypes
import gc
import logging
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from typing import Any

from greenlet import getcurrent, greenlet

from simulation.kernel.collection import automatic_collection_off
from simulation.kernel.process import Process, current_process
from simulation.kernel.running_loop import running

CLOSE_SECONDS = 0.5
"""Seconds on the wall in which each thing has to end. One that is slower costs memory, and changes no result."""
COLLECT_SECONDS = 20.0
"""Seconds on the wall for a search for garbage. Python never searches again after one that is abandoned: that must not
come of a busy machine, on which finalizers that do end take long."""
_ATTEMPTS = 50
"""Number of attempts to close a coroutine that answers the end of the world with another await."""


class _TooSlow(BaseException):
    """The code that is being ended does not end."""


def keep_for_ever(one: object) -> None:
    """Prevent an object from ever being collected, also when Python ends."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(one))


def end_all(unfinished: Iterable[Any]) -> None:
    """Close coroutines and generators, in the context of a process that is over; their effects are ignored.

    An object that does not end, and all that come after it, are kept in memory as they are.
    """
    rest, cut_off = iter(unfinished), list[bool]()
    context = copy_context()
    context.run(current_process.set, Process("the end"))
    with _silence(), running(None):  # in a notebook, a task that ends would open real connections on its loop
        if not _in_time(lambda progress: context.run(_end_each, rest, cut_off, progress), CLOSE_SECONDS):
            for one in rest:
                keep_for_ever(one)
        elif cut_off:  # it ends here if it can, while the clocks and the network are still simulated
            _in_time(lambda _: context.run(gc.collect, 0), COLLECT_SECONDS)


@contextmanager
def collected_leftovers() -> Iterator[None]:
    """Collect the garbage made inside the context; the effects of its objects' finalizers are ignored.

    Connections that no code closed warn when they are collected, and foreign objects have a `__del__`. Collected later,
    they would do so in the middle of other code. Older objects have aged, and are not looked at.
    """
    with automatic_collection_off():
        try:
            yield
        finally:
            with _silence(), running(None):
                # No object of a run is older, since the automatic search was off.
                _in_time(lambda _: gc.collect(1), COLLECT_SECONDS)


def forget_locals(error: BaseException) -> None:
    """Clear the local variables in the tracebacks of an error and of those behind it; the lines stay."""
    left: list[BaseException | None] = [error]
    seen: set[int] = set()
    while left:
        one = left.pop()
        if one is not None and id(one) not in seen:
            seen.add(id(one))
            traceback.clear_frames(one.__traceback__)
            left += [one.__cause__, one.__context__]


def _end_each(unfinished: Iterator[Any], cut_off: list[bool], progress: Callable[[], None]) -> None:
    for one in unfinished:
        if not _end(one):
            cut_off.append(True)
        progress()


def _end(coroutine: Any) -> bool:
    """Close a coroutine, and return whether it went without a word."""
    # Closing it runs its `finally` blocks; those that await something are closed again.
    for attempt in range(_ATTEMPTS):
        try:
            coroutine.close()
        except BaseException:  # noqa: S112  # what a coroutine raises while it is closed is ignored
            continue
        return attempt == 0
    return False


def _in_time(work: Callable[[Callable[[], None]], object], seconds: float) -> bool:
    """Have some work done, and return whether it was: it is abandoned when it makes no progress for too long."""
    main, steps, seen = getcurrent(), 0, -1
    worker = greenlet(work, parent=main)
    worker.gr_context = copy_context()

    def progress() -> None:
        nonlocal steps
        steps += 1

    def look(number: int, frame: object) -> None:
        nonlocal seen
        if seen == steps and (stuck := getcurrent()) is not main:
            keep_for_ever(stuck)
            main.throw(_TooSlow)
        seen = steps

    with _interrupting(look, seconds / 2):
        try:
            worker.switch(progress)
        except _TooSlow:
            keep_for_ever(worker)
            return False
    return True


@contextmanager
def _interrupting(look: Callable[[int, object], None], interval: float) -> Iterator[None]:
    """Call a function at intervals, in seconds on the wall, if the timer for it is not in use."""
    number, timer = signal.SIGALRM, signal.ITIMER_REAL
    main_thread = threading.current_thread() is threading.main_thread()
    if not main_thread or signal.getsignal(number) is not signal.SIG_DFL or signal.getitimer(timer) != (0.0, 0.0):
        yield
        return
    signal.signal(number, look)
    signal.setitimer(timer, interval, interval)
    try:
        yield
    finally:
        signal.setitimer(timer, 0)
        signal.signal(number, signal.SIG_DFL)


@contextmanager
def _silence() -> Iterator[None]:
    """Ignore how tasks end at the end of a run: they are cancelled, and may raise or log anything."""
    hook, disabled = sys.unraisablehook, logging.root.manager.disable
    sys.unraisablehook = lambda _: None
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        sys.unraisablehook = hook
        logging.disable(disabled)
