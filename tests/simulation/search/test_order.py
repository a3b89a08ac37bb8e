"""Results come in the order in which the work was given, whichever process is faster."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path

import pytest

from simulation.search.parallel.pool import in_parallel


def work(folder: Path, piece: int) -> int:
    """Wait for the next piece, which another worker does; the last one waits for none."""
    while piece < 2 and not (folder / str(piece + 1)).exists():
        time.sleep(0.001)
    (folder / str(piece)).touch()
    if piece == 3:
        raise LookupError(piece)
    return piece


def nothing() -> None:
    """Have nothing to prepare."""


def test_the_slowest_comes_first(tmp_path: Path) -> None:
    results = in_parallel(partial(work, tmp_path), range(4), 3, nothing)
    assert [next(results), next(results), next(results)] == [0, 1, 2]
    with pytest.raises(LookupError):
        next(results)
