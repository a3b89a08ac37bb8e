"""Ctrl-C while a run sets up its clock, or takes it down: the process goes on with the real one."""

from __future__ import annotations

import random
import signal
import sys
from collections.abc import Iterator
from types import CodeType, FrameType
from typing import Any

import pytest
import time_machine

from simulation import Laboratory, load
from simulation.kernel.ambient import Ambient

ENTER, EXIT = Ambient.__enter__.__code__, Ambient.__exit__.__code__


@pytest.fixture(scope="module")
def embedded() -> Iterator[Laboratory]:
    with Laboratory("embedded") as laboratory:
        yield laboratory


def lines_of(code: CodeType) -> list[int]:
    return sorted({line for _, _, line in code.co_lines() if line is not None and line > code.co_firstlineno})


def interrupt_at(code: CodeType, line: int) -> tuple[Any, list[int]]:
    """Return a trace function that presses Ctrl-C once, when a line of the code is reached, and where it did."""
    pressed: list[int] = []

    def trace(frame: FrameType, event: str, _: object) -> Any:
        if frame.f_code is not code:
            return trace if event == "call" else None
        if event == "line" and frame.f_lineno == line and not pressed:
            pressed.append(line)
            signal.raise_signal(signal.SIGINT)
        return trace

    return trace, pressed


@pytest.mark.parametrize(
    ("code", "line"),
    [(code, line) for code in (ENTER, EXIT) for line in lines_of(code)],
    ids=lambda value: value.co_name.strip("_") if isinstance(value, CodeType) else None,
)
def test_the_clock_is_real_after_ctrl_c(code: CodeType, line: int, embedded: Laboratory) -> None:
    scenario, before = load("leader-follower"), random.getstate()
    trace, pressed = interrupt_at(code, line)
    traced = sys.gettrace()
    sys.settrace(trace)
    try:
        with pytest.raises(KeyboardInterrupt):
            embedded.run(scenario, engine="null")
    finally:
        sys.settrace(traced)
    assert pressed
    assert not time_machine.escape_hatch.is_travelling()
    assert random.getstate() == before
    assert embedded.run(scenario, engine="native").verdict == "holds"
