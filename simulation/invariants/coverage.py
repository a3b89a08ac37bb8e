"""Coverage: what must have happened at least once for a run to prove anything. Each word counts from the history alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from simulation.invariants.chronicle import Chronicle
from simulation.invariants.records import NEVER, EventStory, Handling

Counter = Callable[[Chronicle], int]


def _kind(kind: str) -> Counter:
    return lambda told: told.counts[kind]


def _via(via: str) -> Counter:
    return lambda told: sum(1 for event in told for handling in event.handlings if handling.via == via)


def _fault(name: str) -> Counter:
    return lambda told: told.faults[name]


def _handled(told: Chronicle) -> int:
    return sum(1 for event in told if event.effects)


def _redelivered(told: Chronicle) -> int:
    return sum(1 for event in told for delivery in event.deliveries if delivery.attempt > 1)


def _reordered(told: Chronicle) -> int:
    return sum(1 for event in told if _came_first(event, told.leader_of(event)))


def _came_first(event: EventStory, leader: EventStory | None) -> bool:
    if leader is None or not (event.deliveries and leader.deliveries):
        return False
    return event.deliveries[0].index < leader.deliveries[0].index


def _failed(told: Chronicle) -> int:
    return sum(1 for event in told for handling in event.handlings if handling.outcome == "failed")


def _waited(told: Chronicle) -> int:
    return sum(1 for event in told for handling in event.handlings if _waited_for_leader(told, event, handling))


def _waited_for_leader(told: Chronicle, event: EventStory, handling: Handling) -> bool:
    leader, delivery = told.leader_of(event), handling.delivery
    if leader is None or delivery is None or delivery.parked:
        return False
    return any(h.open_at(delivery.index) and NEVER < h.end < handling.start for h in leader.handlings)


def _lease_expired(told: Chronicle) -> int:
    """Count handlings that went on for longer than a lease while their consumer could not renew it."""
    lease = told.terms.lease
    silent = 0
    for event in told:
        for handling in event.handlings:
            end = told.end_at if handling.end == NEVER else handling.end_at
            if end - handling.start_at > lease:
                spans = told.silences(handling.consumer)
                silent += any(min(e, end) - max(b, handling.start_at) > lease for b, e in spans)
    return silent + len(told.leases_lost)


def _crashed_holding(told: Chronicle) -> int:
    return sum(1 for event in told for handling in event.handlings if handling.cut)


def _restarted(told: Chronicle) -> int:
    seen: set[str] = set()
    again = 0
    for entry in told.entries:
        if entry.kind == "joined":
            again += entry.consumer in seen
            seen.add(entry.consumer)
    return again


_WORDS: Mapping[str, tuple[Counter, str]] = {
    "handled": (_handled, "an event was handled"),
    "parked": (_kind("parked"), "an event was kept back until its leader was handled"),
    "released": (_via("released"), "an event was handled because its leader had been"),
    "rescued": (_via("rescued"), "an event was handled by the sweep, its leader had not come"),
    "waited-for-leader": (_waited, "a delivery waited while its leader was being handled, and then went on"),
    "reordered": (_reordered, "a follower was delivered before its leader"),
    "redelivered": (_redelivered, "an event was delivered again because it had not been acknowledged"),
    "duplicated": (_kind("duplicated"), "an event was delivered once more than it was published"),
    "dropped": (_kind("dropped"), "the broker lost an event"),
    "refused": (_kind("refused"), "the engine refused a delivery: seen before, or held by somebody"),
    "handler-failed": (_failed, "a handler raised"),
    "dead-lettered": (_kind("dead-lettered"), "an event was given up aloud"),
    "lease-expired": (_lease_expired, "a holder was silent for longer than its lease while its handler ran"),
    "crashed": (_kind("crashed"), "a consumer died"),
    "crashed-while-holding": (_crashed_holding, "a consumer died while it was handling an event"),
    "stopped": (_kind("stopped"), "a consumer was shut down in good order"),
    "paused": (_kind("paused"), "a consumer was frozen"),
    "restarted": (_restarted, "a consumer came back"),
    "unreachable": (_kind("unreachable"), "Redis was out of reach for a consumer"),
    "store-lost": (_kind("store-lost"), "the store lost data"),
    "swept": (_kind("swept"), "a sweep found something"),
    "request-lost": (_fault("request-lost"), "a request to Redis was lost"),
    "reply-lost": (_fault("reply-lost"), "a reply of Redis was lost after the command was executed"),
    "error-reply": (_fault("error-reply"), "Redis refused a command"),
    "slowed": (_fault("latency"), "a packet to or from Redis was slowed down"),
}

COVERAGE: Mapping[str, str] = {word: text for word, (_, text) in _WORDS.items()}
"""Every word that a scenario may list under `exercise`, and what it means."""


def coverage(told: Chronicle) -> dict[str, int]:
    """Return how often each thing happened."""
    return {word: count(told) for word, (count, _) in _WORDS.items()}
