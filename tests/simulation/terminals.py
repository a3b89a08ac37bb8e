"""Programs in a terminal."""

from __future__ import annotations

import os
import pty
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path


def shown_in_a_terminal(
    command: Sequence[str], columns: int, folder: Path | None = None, environment: Mapping[str, str] | None = None
) -> str:
    """Run a command in a terminal of so many columns, and return what it shows, without colours."""
    ours, theirs = pty.openpty()
    surroundings = {**os.environ, **(environment or {}), "COLUMNS": str(columns), "TERM": "xterm"}
    process = subprocess.Popen(command, stdout=theirs, stderr=theirs, cwd=folder, env=surroundings)
    os.close(theirs)
    shown = b""
    try:
        while piece := os.read(ours, 65536):
            shown += piece
    except OSError:  # the other end is closed
        pass
    os.close(ours)
    process.wait()
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown.decode()).replace("\r\n", "\n").replace("\r", "\n")
