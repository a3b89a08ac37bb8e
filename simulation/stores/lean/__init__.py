"""The lean store: a small, strict Redis in this process, for searches.

It knows the commands that the engines under test use, executes the very same Lua scripts, and answers as Redis 8 does;
what it does not know it refuses aloud. It costs no round trip to another process, so a search makes more runs a second.
What a search finds on it is replayed on a real server before it is reported.
"""

from simulation.stores.lean.replies import UnknownToLean
from simulation.stores.lean.store import LeanStore

__all__ = ["LeanStore", "UnknownToLean"]
