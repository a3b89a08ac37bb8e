"""Which errors are the user's, and which say all that there is to say."""

from __future__ import annotations

from simulation.cli import BadUsage
from simulation.engines import UnknownEngine
from simulation.history.untrusted import MalformedHistory
from simulation.kernel.escapes import Escaped
from simulation.scenario.errors import BadScenario
from simulation.search.parallel.runner_process import ClusterUnavailable
from simulation.stores.protocol import StoreUnavailable


def is_bad_input(error: Exception) -> bool:
    """Say whether an error is about what the user gave: it ends with one sentence and the exit code of bad usage."""
    ours = BadUsage | BadScenario | UnknownEngine | MalformedHistory | StoreUnavailable | ClusterUnavailable
    return isinstance(error, ours | OSError)


def is_complete(error: Exception) -> bool:
    """Whether the message says what is wrong, so that a traceback would add nothing."""
    return isinstance(error, Escaped)


def message_of(error: Exception) -> str:
    """Return what an error of the user's says: of a file, its name first."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{error.filename}: {error.strerror[0].lower()}{error.strerror[1:]}"
    return str(error)
