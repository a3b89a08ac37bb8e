"""Finds the events that the lost keys of a store can have been about.

The judge does not know how an engine names its keys. A key that bears an event's id or name is about that event; a key
that bears none may hold anything.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from simulation.history.records import EventStory

WORDS = re.compile(r"[A-Za-z0-9_.-]+")
"""Matches possible names and ids of events in the name of a key."""


def touched(keys: Any, events: Mapping[str, EventStory], names: Mapping[str, str]) -> frozenset[str] | None:
    """Return the events that the lost keys can have been about: those they name, or None for any if one names none.

    `names` has the name of each event by its id.
    """
    if not isinstance(keys, (list, tuple, dict)) or not keys:
        return None
    found: set[str] = set()
    for key in keys:
        words = WORDS.findall(str(key))
        about = {word for word in words if word in events} | {names[word] for word in words if word in names}
        if not about:
            return None
        found |= about
    return frozenset(found)
