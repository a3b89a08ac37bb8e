"""The user's errors, and errors whose message needs no traceback."""

from __future__ import annotations

from simulation.cli import BadUsage
from simulation.engines import UnknownEngine
from simulation.history.untrusted import MalformedHistory
from simulation.kernel.escapes import Escaped
from simulation.scenario.errors import BadScenario
from simulation.search.parallel.runner_process import ClusterUnavailable
from simulation.stores.protocol import StoreUnavailable


def is_bad_input(error: Exception) -> bool:
    """Say whether an error is about the user's input: it ends with one sentence and the exit code of bad usage."""
    ours = BadUsage | BadScenario | UnknownEngine | MalformedHistory | StoreUnavailable | ClusterUnavailable
    return isinstance(error, ours | OSError)


def is_complete(error: Exception) -> bool:
    """Say whether the message names the mistake in full, so that a traceback would add nothing."""
    return isinstance(error, Escaped)


def message_of(error: Exception) -> str:
    """Return the message of an error of the user's: of a file, its name first."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{error.filename}: {error.strerror[0].lower()}{error.strerror[1:]}"
    return str(error)
