"""Calls that leave the simulated world, and the exception that ends a run because of them.

A run is valid only if all that its code does takes place in virtual time. A real socket, a subprocess, a real signal or
a thread does not: its result would depend on chance. So it is refused where it is asked for, and the run ends, even if
the code under test catches the exception.

An audit hook sees sockets and subprocesses, of any library that opens them, if it does so through Python. A native
library that calls the operating system itself is not seen. An audit hook stays for the life of the Python process;
outside of a run it does nothing.
"""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any

_LIBRARY = tuple({sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"), "<frozen"})
_INSTALLED = tuple({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")})
_OWN = tuple(str(Path(__file__).parents[2] / package) for package in ("simulation", "reports"))
_LIBRARY_SEARCH = str(Path(sysconfig.get_path("stdlib")) / "ctypes" / "util.py")
_CALLBACK = str(Path(__file__).with_name("event_loop.py")), "_take_turn"
"""The file and the function from which the loop calls everything."""
_PROGRAM = str(Path(__file__).parents[1] / "engines" / "program.py")
_ENGINES = str(Path(__file__).parents[1] / "engines")


class Escaped(Exception):
    """The code under test did something that cannot be simulated, so nothing that follows would be true.

    The message has the call, and the line of code that made it.
    """


AUDITED = {
    "socket.connect": "a real socket was connected to {1}",
    "socket.bind": "a real socket was bound to {1}",
    "socket.sendto": "a real socket sent to {1}",
    "socket.sendmsg": "a real socket sent to {1}",
    "socket.getaddrinfo": "the address of {0} was looked up in the real network",
    "socket.gethostbyname": "the address of {0} was looked up in the real network",
    "subprocess.Popen": "the subprocess {0} was started",
    "os.system": "the subprocess {0} was started",
    "os.posix_spawn": "the subprocess {0} was started",
    "os.spawn": "the subprocess {1} was started",
    "os.exec": "the program {0} was started",
    "os.fork": "the Python process was forked",
    "os.forkpty": "the Python process was forked",
    "os.kill": "signal {1} was sent to a real process",
    "os.killpg": "signal {1} was sent to real processes",
    "signal.pthread_kill": "signal {1} was sent to a real thread",
}
"""The audit events that leave the world, and the meaning of each."""


def place(frame: FrameType | None = None, task: Any = None) -> str:
    """Return the line of the code under test that is being executed, as `worker.py:12 in main`.

    That is the innermost line outside of the standard library, installed packages and the harness. If there is none,
    the same is asked of the task that made the current task, and so on; then of installed packages. In an engine of the
    harness, the function is named without its line: the place is in histories, and the file changes with each version.
    """
    fallback = ""
    for candidate in (*_stack(frame or sys._getframe(1)), *_makers(task)):
        path = candidate.f_code.co_filename
        if is_users(path):
            return function_of(candidate) if _is_engine(path) else line_of(candidate, candidate.f_lineno)
        if not fallback and path.startswith(_INSTALLED):
            fallback = line_of(candidate, candidate.f_lineno)
    return fallback or "unknown code"


def _stack(frame: FrameType | None) -> Iterator[FrameType]:
    """Yield the frames of one callback, innermost first: the frames that drive the loop are not part of it."""
    while frame is not None and (frame.f_code.co_filename, frame.f_code.co_name) != _CALLBACK:
        yield frame
        frame = frame.f_back


def _makers(task: Any) -> Iterator[FrameType]:
    """Yield the suspended frames of the tasks to which a task owes its existence, innermost first."""
    while task is not None and (maker := getattr(task, "parent", None)) is not None:
        task = maker()
        frames: list[FrameType] = []
        waiting: Any = task.get_coro() if task is not None else None
        while (frame := getattr(waiting, "cr_frame", None)) is not None:
            frames.append(frame)
            waiting = waiting.cr_await
        yield from reversed(frames)


def is_importing(frame: FrameType | None) -> bool:
    """Whether the code in a frame runs during the import of a module."""
    return any(one.f_code.co_filename == "<frozen importlib._bootstrap>" for one in _stack(frame))


def finds_a_library(frame: FrameType | None) -> bool:
    """Whether Python looks for a shared library, for which it asks a program: the result is the machine's."""
    return any(one.f_code.co_filename == _LIBRARY_SEARCH for one in _stack(frame))


def is_users(path: str) -> bool:
    """Whether a source file is neither the standard library's, nor an installed package's, nor the harness's."""
    if path.startswith(_INSTALLED) or "-packages/" in path:  # another environment's site-packages or dist-packages
        return False
    if path.startswith(_OWN) and not _is_engine(path):
        return False
    return not path.startswith(_LIBRARY) and not path.startswith("<")


def _is_engine(path: str) -> bool:
    """Whether a source file is that of an engine that the harness brings along."""
    return path.startswith(_ENGINES) and path != _PROGRAM


def is_of_library(path: str) -> bool:
    """Whether a source file is the standard library's."""
    return path.startswith(_LIBRARY) and not path.startswith(_INSTALLED)


def line_of(frame: FrameType, number: int) -> str:
    """Return a line of a frame's code, by its number, as `worker.py:12 in main`."""
    return f"{_source(frame)}:{number} in {frame.f_code.co_name}"


def function_of(frame: FrameType) -> str:
    """Return the function of a frame, as `worker.py in main`."""
    return f"{_source(frame)} in {frame.f_code.co_name}"


def _source(frame: FrameType) -> str:
    """Return the path of a frame's source file, from the folder on from which its module is imported.

    It stands in histories, which must be the same in every folder and on every machine.
    """
    path = Path(frame.f_code.co_filename)
    module = str(frame.f_globals.get("__name__", ""))
    depth = module.count(".") + (2 if path.name == "__init__.py" else 1)
    return "/".join(path.parts[-depth:])


Judge = Callable[[str, tuple[Any, ...], str], None]
"""Receives the name of an audit event, its arguments, and its meaning. Raises to prevent it."""

_judges: list[Judge | None] = [None]


@cache
def _listen() -> None:
    sys.addaudithook(_audit)


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if event in AUDITED and (refuse := _judges[0]) is not None:
        refuse(event, arguments, AUDITED[event].format(*map(repr, arguments), *[""] * 2))


def watch(refuse: Judge | None) -> None:
    """Have a function called for each thing that leaves the world, from now on; None ends that.

    It is called where it happens, in any thread and also outside of the code under test, and raises to prevent it.
    """
    _listen()
    _judges[0] = refuse
