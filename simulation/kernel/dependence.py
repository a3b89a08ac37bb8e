"""The accesses of a step to shared resources: the swaps that an exploration may make depend on them."""

from __future__ import annotations

from collections.abc import Mapping

EVERYTHING = "*"
"""The resource of a step whose accesses are unknown: it commutes with nothing."""


SEEN, BLIND, CHANGED = 1, 2, 3
"""The kinds of access: the step depends on the resource; the step has changed it, but would have done the same for any
value, so that others may do so before or after it; or both."""


Touched = Mapping[str, int]
"""The kind of access to each resource that a step has touched, by name: SEEN, BLIND or CHANGED."""
