"""The allowance of a run: the resources outside that its code may reach because its scenario names them.

Real sockets, subprocesses and signals to real processes end a run (see `escapes.py`). Allowed calls happen for real,
while the virtual clock stands still. So a run that uses it may be another the next time.

Python's `subprocess` waits for a real child: its clock and its sleeps are real ones, and it may send signals to its
children. Signals to the numbers that `os.getpid` shows in a run are never let out: the process with that number on this
machine is another one.
"""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Collection, Sequence
from contextvars import Context
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

Address = tuple[str, int] | str
"""A host and a port, or the path of a Unix socket."""

_LOOK_UPS = frozenset({"socket.getaddrinfo", "socket.gethostbyname"})
_CONNECTIONS = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg"})
_SUBPROCESSES = frozenset({"subprocess.Popen", "os.system", "os.posix_spawn"})
_SIGNALS = frozenset({"os.kill", "os.killpg"})
_SUBPROCESS_FILE = subprocess.__file__
_NEAR = 4
"""Number of frames above `permits` that are examined: the hook's, the stand-in's, and the caller's of `os.kill`."""


@dataclass(slots=True)
class Allowance:
    """The resources outside of a run that its code may reach. By default none."""

    addresses: Sequence[Address] = ()
    subprocesses: bool = False
    signals: bool = False
    _resolved: frozenset[Address] | None = field(default=None, init=False)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is allowed."""
        return not (self.addresses or self.subprocesses or self.signals)

    def permits(self, event: str, arguments: Sequence[Any], own: Collection[int] = ()) -> bool:
        """Return whether something may be done, as an audit event names it.

        Args:
            event: the name of the audit event.
            arguments: the arguments of the event.
            own: the process numbers that the run has given out.
        """
        if event in _SUBPROCESSES:
            return self.subprocesses
        if event in _SIGNALS:
            return arguments[0] not in own and (
                self.signals or (self.subprocesses and _is_child_ended(sys._getframe(1)))
            )
        if event in _LOOK_UPS:
            return arguments[0] in self._hosts()
        return event in _CONNECTIONS and self.is_address(arguments[-1])

    def _hosts(self) -> set[Any]:
        names = {one[0] for one in self.addresses if isinstance(one, tuple)}
        return names | {name.encode() for name in names}

    def is_address(self, address: object) -> bool:
        """Return whether a socket may be connected to an address, as Python's sockets have it."""
        if not self.addresses or address is None:
            return False
        if isinstance(address, bytes):
            address = address.decode("utf-8", "surrogateescape")
        asked = address if isinstance(address, str) else tuple(address[:2]) if isinstance(address, tuple) else None
        return asked in self.addresses or asked in self._real_addresses()

    def _real_addresses(self) -> frozenset[Address]:
        """Return the addresses of the hosts that are named, as this machine knows them."""
        if self._resolved is None:
            # Outside of every process: what is looked up here is the harness's own.
            self._resolved = frozenset(
                Context().run(lambda: [found for one in self.addresses for found in _look_up(one)])
            )
        return self._resolved

    def waits_for_real(self, frame: FrameType) -> bool:
        """Return whether a caller waits for a real child, and so needs a real clock."""
        return self.subprocesses and frame.f_code.co_filename == _SUBPROCESS_FILE


def _look_up(address: Address) -> list[Address]:
    if isinstance(address, str):
        return []
    try:
        found = socket.getaddrinfo(*address, type=socket.SOCK_STREAM)
    except OSError:  # the code under test learns so, where it looks the host up
        return []
    return [(str(place[0]), address[1]) for *_, place in found]


def _is_child_ended(frame: FrameType | None) -> bool:
    """Return whether it is Python's `subprocess` that sends a signal, which it does to its own children alone."""
    for _ in range(_NEAR):
        if frame is None:
            return False
        if frame.f_code.co_filename == _SUBPROCESS_FILE:
            return True
        frame = frame.f_back
    return False
