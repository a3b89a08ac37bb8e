"""A process that removes what a server would leave behind if this process ended without closing its store.

1. The watcher starts first, and reads from a pipe of which only this process holds the other end.
2. The server joins the watcher's process group; then files and shared memory are made under names that it knows.
3. A store that is closed says so, and the watcher ends. If this process ends in any other way, even by `kill -9`, the
   pipe ends: the watcher ends its group, the server with it, and removes the files.

A parent-death signal would be simpler, but it follows the thread that started the server, not the process.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

_PROGRAM = """
trap '' TERM INT HUP
read -r closed && exit
sleep 0.05  # a server that is just being started joins the group
kill -TERM 0
sleep 0.1
rm -rf "$@"
kill -KILL 0
"""


class Watcher:
    """Watches this process until it is dismissed."""

    def __init__(self, leftovers: Sequence[Path]) -> None:
        words = ["/bin/sh", "-c", _PROGRAM, "causim-watcher", *map(str, leftovers)]
        nowhere = subprocess.DEVNULL
        self._process = subprocess.Popen(  # noqa: S603  # its arguments are data to it
            words, stdin=subprocess.PIPE, stdout=nowhere, stderr=nowhere, process_group=0
        )

    @property
    def group(self) -> int:
        """The process group whose processes end with this one."""
        return self._process.pid

    def dismiss(self) -> None:
        """End the watcher: there is nothing left to remove."""
        self._process.communicate(b"closed\n")
