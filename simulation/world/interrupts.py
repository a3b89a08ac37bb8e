"""Has Ctrl-C wait for the end of a step, but not for long, and for what a run sets up or takes down."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from contextvars import Context
from typing import Any

from simulation.kernel.event_loop import SimulatedLoop

STEP_SECONDS = 0.3
"""Seconds on the wall that a step may take after Ctrl-C: then it is abandoned, in any state."""


@contextmanager
def deferred_sigint(loop: SimulatedLoop) -> Iterator[list[int]]:
    """Have Ctrl-C wait for the end of the current step, so that it strikes no code under test in the middle.

    Yields a list that is not empty once Ctrl-C was pressed. A step that does not end, or in which Ctrl-C is pressed
    again, is abandoned. Raises KeyboardInterrupt then.
    """
    pressed: list[int] = []
    over = False
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or before is not signal.default_int_handler:
        yield pressed
        return
    # The signal that the timer sends is taken by this thread, also where it waits for a lock.
    again = threading.Timer(STEP_SECONDS, signal.pthread_kill, (threading.get_ident(), signal.SIGINT))
    again.daemon = True

    def press(number: int, frame: Any) -> None:
        pressed.append(number)
        if over:
            return
        if len(pressed) > 1:
            loop.abandon(KeyboardInterrupt())
        Context().run(again.start)  # outside of the process whose code is running: it is no thread of its own

    signal.signal(signal.SIGINT, press)
    try:
        yield pressed
    finally:
        over = True
        if pressed:
            again.cancel()
            again.join()
        signal.signal(signal.SIGINT, before)


@contextmanager
def surroundings(*contexts: AbstractContextManager[object]) -> Iterator[None]:
    """Enter contexts, and leave all that were entered, also if Ctrl-C is pressed meanwhile. Raises KeyboardInterrupt.

    A context that is entered or left half would stay after the run: its clock would be that of the whole process.
    """
    stack = ExitStack()
    try:
        with _sigint_held():
            for context in contexts:
                stack.enter_context(context)
        yield
    finally:
        try:
            with _sigint_held():
                stack.close()
        finally:
            stack.close()  # does nothing, unless Ctrl-C came just before it was held


@contextmanager
def _sigint_held() -> Iterator[None]:
    """Raise the KeyboardInterrupt of a Ctrl-C at the end of the context, and not within it."""
    pressed: list[int] = []
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or before is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, lambda number, _: pressed.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if pressed:
        raise KeyboardInterrupt
