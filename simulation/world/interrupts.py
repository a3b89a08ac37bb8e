"""Has Ctrl-C wait for the end of a step."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def deferred_sigint() -> Iterator[list[int]]:
    """Have Ctrl-C wait for the end of the current step, so that it strikes no code under test in the middle.

    Yields a list that is not empty once Ctrl-C was pressed; pressed again, it strikes at once.
    """
    pressed: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield pressed
        return
    before = signal.getsignal(signal.SIGINT)

    def press(number: int, frame: Any) -> None:
        pressed.append(number)
        signal.signal(signal.SIGINT, before)

    if before is signal.default_int_handler:
        signal.signal(signal.SIGINT, press)
    try:
        yield pressed
    finally:
        if before is signal.default_int_handler:
            signal.signal(signal.SIGINT, before)
