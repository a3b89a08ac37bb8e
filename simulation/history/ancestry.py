"""Leaders, families and cycles. Every event has at most one leader, so a family is a tree, or a cycle with trees on it.

Each function is one pass over the events, without recursion: chains of ten thousand are ordinary here.
"""

from __future__ import annotations

from collections.abc import Mapping

from simulation.history.records import EventStory


def cycles(events: Mapping[str, EventStory]) -> dict[str, tuple[str, ...]]:
    """Return, for each event that follows itself through others, the members of its cycle, each after its follower.

    A cycle has only odd members, so the others can be left out.
    """
    rings: dict[str, tuple[str, ...]] = {}
    seen: set[str] = set()
    for start in events:
        path: dict[str, int] = {}
        name = start
        while name and name in events and name not in seen:
            seen.add(name)
            path[name] = len(path)
            name = events[name].leader
        if name in path:
            ring = tuple(path)[path[name] :]
            rings.update(dict.fromkeys(ring, ring))
    return rings


def roots(events: Mapping[str, EventStory]) -> dict[str, str]:
    """Return, for each event, its uppermost ancestor; of a cycle, the member that the history mentions first."""
    found: dict[str, str] = {}
    for start in events:
        path: dict[str, None] = {}
        name = start
        while name not in found and name not in path and events[name].leader:
            path[name] = None
            name = events[name].leader
        root = found.get(name, name)
        found.update(dict.fromkeys(path, root))
        found[name] = root
    return found
