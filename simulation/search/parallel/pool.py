"""Many pieces of work on many cores: each worker is a process with a Redis of its own."""

from __future__ import annotations

import atexit
import gc
import logging
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Self, TypeVar

from simulation.kernel.prints import process_prints
from simulation.world.laboratory import Laboratory

AHEAD = 16
"""Pieces of work for each worker that are begun or wait: the others have something to do while one piece takes long."""

Piece = TypeVar("Piece")
Result = TypeVar("Result")


class Pool:
    """Workers that take one lot of work after the other, for as long as the pool is open.

    Ended by an error, or by a caller that reads no further, it ends its workers in the middle of their pieces.
    """

    def __init__(self, jobs: int, prepare: Callable[[], None]) -> None:
        """`prepare` is called once by each of the `jobs` workers, before its first piece."""
        self._keep_alive, self._stay = multiprocessing.Pipe(duplex=False)
        self._jobs = jobs
        self._pool = workers(jobs, prepare, self._keep_alive)

    def results(self, work: Callable[[Piece], Result], pieces: Iterable[Piece]) -> Iterator[Result]:
        """Yield the result of `work` for each piece, in the order of the pieces."""
        running: deque[Future[Result]] = deque()
        for piece in pieces:
            with _undisturbed():  # the first of them starts the processes
                running.append(self._pool.submit(work, piece))
            while running and (running[0].done() or len(running) >= AHEAD * self._jobs):
                yield running.popleft().result()
        while running:
            yield running.popleft().result()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        if error is not None:
            self._stay.close()  # what they are at is not wanted any more, and may take long
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._stay.close()
        self._keep_alive.close()


def in_parallel(
    work: Callable[[Piece], Result], pieces: Iterable[Piece], jobs: int, prepare: Callable[[], None]
) -> Iterator[Result]:
    """Yield the results in the order of the pieces, so that a search does not depend on the speed of its workers.

    Args:
        work: called with each piece; like the pieces and `prepare`, something that can be sent to a process.
        pieces: the arguments of `work`, in the order in which to begin.
        jobs: the number of workers.
        prepare: called once by each worker, before its first piece.
    """
    with Pool(jobs, prepare) as pool:
        yield from pool.results(work, pieces)


def workers(jobs: int, prepare: Callable[[], None], keep_alive: Connection | None = None) -> ProcessPoolExecutor:
    """Return a pool of new processes, each prepared before its first piece of work.

    They end, in the middle of a piece, when the other end of the pipe `keep_alive` is closed.
    """
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(jobs, mp_context=context, initializer=_prepare, initargs=(prepare, keep_alive))


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Keep Ctrl-C waiting, also for the processes that are started meanwhile: half started, they would complain."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def own_laboratory(store: str, executable: Path | None) -> Laboratory:
    """Return a laboratory that lives as long as this process."""
    laboratory = Laboratory(store, executable)
    atexit.register(laboratory.store.close)
    return laboratory


def _end_with_parent(keep_alive: Connection | None) -> None:
    """End this process as soon as the one that started it has ended, however that was, or wants no results any more."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    multiprocessing.connection.wait([parent.sentinel, *([keep_alive] if keep_alive else [])])
    os._exit(1)  # the results are not read any more; the server is ended by its watcher


def _prepare(prepare: Callable[[], None], keep_alive: Connection | None) -> None:
    threading.Thread(target=_end_with_parent, args=(keep_alive,), name="causim-parent", daemon=True).start()
    process_prints()
    gc.freeze()
    logging.lastResort = logging.NullHandler()  # several worlds at a time would talk all at once
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that people talk to
    prepare()
