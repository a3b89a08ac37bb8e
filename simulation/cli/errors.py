"""The user's errors, and errors whose message needs no traceback."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from simulation.cli import BadUsage
from simulation.engines import UnknownEngine
from simulation.history.untrusted import MalformedHistory
from simulation.kernel.escapes import Escaped
from simulation.scenario.errors import BadScenario
from simulation.search.parallel.runner_process import ClusterUnavailable
from simulation.stores.protocol import StoreUnavailable

LONGEST = 10_000
"""Characters of a line of a message that are shown; a path has at most 4,096."""
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def naming(file: Path) -> Iterator[None]:
    """Have a mistake in a scenario that only its run has shown begin with the name of its file.

    Raises BadScenario and UnknownEngine again, with that name.
    """
    try:
        yield
    except (BadScenario, UnknownEngine) as error:
        if str(file) in str(error):
            raise
        raise type(error)(f"{file}: {error}") from None


def is_bad_input(error: Exception) -> bool:
    """Say whether an error is about the user's input: it ends with one sentence and the exit code of bad usage."""
    ours = BadUsage | BadScenario | UnknownEngine | MalformedHistory | StoreUnavailable | ClusterUnavailable
    return isinstance(error, ours | OSError)


def is_complete(error: Exception) -> bool:
    """Say whether the message names the mistake in full, so that a traceback would add nothing."""
    return isinstance(error, Escaped)


def message_of(error: Exception) -> str:
    """Return the message of an error of the user's: of a file, its name first. What a file holds may be long."""
    return "\n".join(line if len(line) <= LONGEST else f"{line[:LONGEST]}…" for line in _message(error).split("\n"))


def _message(error: Exception) -> str:
    if not isinstance(error, OSError) or not error.strerror:
        return str(error)
    name = error.filename
    if name is None and error.errno in _NO_ROOM:  # a file that a command writes has its name: see `writing`
        name = "standard output, or a temporary file"
    return str(error) if name is None else f"{name}: {error.strerror[0].lower()}{error.strerror[1:]}"
