"""Python's search for garbage, at fixed points of a run.

Python looks for circles of unreachable objects when enough objects were made, by any code of the program. The
finalizers of a collected object (its `__del__`, the `finally` of its generator, the callback of a weak reference) would
run at a moment that depends on the rest of the program. So in a run the automatic search is off, and garbage is
looked for after each so many callbacks.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

from simulation.kernel.gc_pause import paused_gc

EVERY = 10_000
"""Callbacks between two searches among new objects: they take a tenth of a second, and a search some milliseconds."""
_ALL_EVERY = 100
"""Searches among new objects between two among all of them: that takes as long as there are objects."""


@contextmanager
def automatic_collection_off() -> Iterator[None]:
    """Switch the automatic search off. Earlier garbage is looked for now, so that it does nothing in a run."""
    with paused_gc():
        gc.collect(0)
        yield


def collect(turns: int) -> None:
    """Look for garbage, after so many callbacks of a run."""
    gc.collect(0 if turns % (EVERY * _ALL_EVERY) else 2)
