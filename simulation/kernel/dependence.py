"""How a step of a run has touched what others may touch: what an exploration may swap depends on it."""

from __future__ import annotations

from collections.abc import Mapping

EVERYTHING = "*"
"""What a step has touched if that is unknown: it commutes with nothing."""


SEEN, BLIND, CHANGED = 1, 2, 3
"""How a step has touched something: it depends on it; it has changed it, but would have done the same whatever was
there, so that others may do so before or after it; or both."""


Touched = Mapping[str, int]
"""What a step has touched, by name, and how: SEEN, BLIND or CHANGED."""
