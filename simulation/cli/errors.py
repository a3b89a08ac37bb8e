"""Which errors are the user's, and which say all that there is to say."""

from __future__ import annotations

from simulation.cli import BadUsage
from simulation.engines import UnknownEngine
from simulation.history.entries import MalformedHistory
from simulation.kernel.escapes import Escaped
from simulation.scenario.errors import BadScenario
from simulation.search.confirmation import NotReproduced
from simulation.search.parallel.runner_process import ClusterUnavailable
from simulation.stores.protocol import StoreUnavailable


def is_users(error: Exception) -> bool:
    """Whether the user has to change something: the command line, a file, what is installed."""
    ours = BadUsage | BadScenario | UnknownEngine | MalformedHistory | StoreUnavailable | ClusterUnavailable
    return isinstance(error, ours | OSError)


def is_complete(error: Exception) -> bool:
    """Whether the message says what is wrong, so that a traceback would add nothing."""
    return isinstance(error, NotReproduced | Escaped)
