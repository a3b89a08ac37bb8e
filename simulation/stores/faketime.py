"""The clock of a server in virtual time: a counter in memory that libfaketime, preloaded into the server, reads.

libfaketime can count its own calls: each time the program asks for the time, it adds one tick to a counter that it
shares with other processes, and answers start + ticks. Here the start is 1970, a tick is a nanosecond, and the harness
writes the counter: its value is the time. Reading the time advances it by a nanosecond. That is not visible, since the
counter is written in whole microseconds, and before the server has asked a thousand times.

The counter and its lock lie in shared memory under names of their own, which are removed as soon as the server has
opened them, so nothing is left behind if the server or the harness is killed. (By default, libfaketime names them by
the process, and leaves them in /dev/shm.)
"""

from __future__ import annotations

import ctypes
import mmap
import os
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path

QUESTIONS = 1000
"""Number of readings of the time after which the counter must be written again."""

_SHARED = Path("/dev/shm")  # noqa: S108  # where Linux keeps the memory of shm_open
_SIZE = 4096


class FakeClock:
    """The clock of one server, under a name of its own. Raises OSError if there is no shared memory to keep it in."""

    def __init__(self, library: Path, name: str) -> None:
        self._library = library
        self._name = name
        self._lock: int | None = None
        file = os.open(_SHARED / self._name, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.ftruncate(file, _SIZE)
            self._memory = mmap.mmap(file, _SIZE)
        finally:
            os.close(file)
        self._counter = memoryview(self._memory).cast("Q")
        self._lock = _libc().sem_open(f"/{self._name}".encode(), os.O_CREAT | os.O_EXCL, 0o600, 1)
        if not self._lock:
            self.close()
            raise OSError(ctypes.get_errno(), "no semaphore for the clock of a server")

    @staticmethod
    def places(name: str) -> list[Path]:
        """Return the files that a clock of this name has until it is concealed."""
        return [_SHARED / name, _SHARED / f"sem.{name}"]

    def environment(self, monotonic: bool) -> Mapping[str, str]:
        """Return what the server's environment must hold. `monotonic`: it takes its monotonic clock from here, too."""
        real = {} if monotonic else {"FAKETIME_DONT_FAKE_MONOTONIC": "1"}
        return {
            **real,
            "LD_PRELOAD": str(self._library),
            "FAKETIME": "@1970-01-01 00:00:00 i0.0000000015",  # read as a float and cut off: one nanosecond
            "FAKETIME_SHARED": f"/{self._name} /{self._name}",
            "FAKETIME_CACHE_DURATION": "1000000000",
            "TZ": "UTC",
        }

    def show(self, microseconds: int) -> None:
        """Let it be so many microseconds after the start of 1970."""
        # Without the lock, a question that the server asks at this moment could put the old time back.
        libc, lock = _libc(), self._lock
        libc.sem_wait(lock)
        self._counter[0] = microseconds * 1000
        libc.sem_post(lock)

    def unlink(self) -> None:
        """Remove the names: the server has opened what they stand for."""
        with suppress(FileNotFoundError):
            (_SHARED / self._name).unlink()
        _libc().sem_unlink(f"/{self._name}".encode())

    def close(self) -> None:
        """Give the memory back."""
        self.unlink()
        if self._lock:
            _libc().sem_close(self._lock)
            self._lock = None
        self._counter.release()
        self._memory.close()


@cache
def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.sem_open.restype = ctypes.c_void_p
    libc.sem_open.argtypes = [ctypes.c_char_p, ctypes.c_int, ctypes.c_uint, ctypes.c_uint]
    for name in ("sem_wait", "sem_post", "sem_close"):
        getattr(libc, name).argtypes = [ctypes.c_void_p]
    libc.sem_unlink.argtypes = [ctypes.c_char_p]
    return libc
