"""Coverage: what a run exercised, each word counted from the history alone.

A run that broke no invariant proves nothing about what never happened in it. A scenario lists under `require_coverage`
the words that must have counted at least once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise

from simulation.history.index import HistoryIndex
from simulation.history.intervals import within
from simulation.history.records import NEVER, EventStory, Handling
from simulation.invariants.cascades import span_of

Count = Callable[[HistoryIndex], int]


def coverage(index: HistoryIndex) -> dict[str, int]:
    """Return how often each thing happened, by the words of COVERAGE."""
    return {word: count(index) for word, (count, _) in _WORDS.items()}


def _entries(kind: str) -> Count:
    return lambda index: index.counts[kind]


def _fault(name: str) -> Count:
    return lambda index: index.faults[name]


def _handlings(meets: Callable[[Handling], bool]) -> Count:
    return lambda index: sum(1 for handling in _all_handlings(index) if meets(handling))


def _followers(meets: Callable[[HistoryIndex, EventStory, EventStory], bool]) -> Count:
    return lambda index: sum(
        1 for event in index.nontrivial if (leader := index.leader_of(event)) and meets(index, event, leader)
    )


def _all_handlings(index: HistoryIndex) -> Iterator[Handling]:
    return (handling for event in index.nontrivial for handling in event.handlings)


def _handled(index: HistoryIndex) -> int:
    return index.trivial.events + sum(1 for event in index.nontrivial if event.effects)


def _reordered(index: HistoryIndex) -> int:
    return index.trivial.reordered + _followers(_overtook)(index)


def _released(index: HistoryIndex) -> int:
    return index.trivial.released + _begun("released")(index)


def _begun(via: str) -> Count:
    return lambda index: sum(1 for event in index.nontrivial if any(each.via == via for each in event.handlings))


def _parked(index: HistoryIndex) -> int:
    return index.trivial.released + sum(1 for event in index.nontrivial if event.parked != NEVER)


def _redelivered(index: HistoryIndex) -> int:
    return sum(1 for event in index.nontrivial for delivery in event.deliveries if delivery.attempt > 1)


def _overtook(_: HistoryIndex, event: EventStory, leader: EventStory) -> bool:
    return bool(event.deliveries and leader.deliveries) and event.deliveries[0].index < leader.deliveries[0].index


def _leaderless(_: HistoryIndex, event: EventStory, leader: EventStory) -> bool:
    return bool(event.deliveries) and not leader.deliveries and not leader.handlings


def _in_cycle(index: HistoryIndex, event: EventStory, _: EventStory) -> bool:
    return event.name in index.cycles


def _waited_for_leader(index: HistoryIndex) -> int:
    return sum(
        1
        for event in index.nontrivial
        if event.leader
        for handling in event.handlings
        if _waited(index, event, handling)
    )


def _waited(index: HistoryIndex, event: EventStory, handling: Handling) -> bool:
    delivery = handling.delivery
    if delivery is None or delivery.parked:
        return False
    leading = index.events[event.leader].handlings
    return any(other.open_at(delivery.index) and NEVER < other.end < handling.start for other in leading)


def _outlasted_lease(index: HistoryIndex) -> int:
    spans = (span_of(index, handling) for handling in _all_handlings(index))
    return sum(1 for begin_at, end_at in spans if end_at - begin_at > index.terms.lease)


def _lease_expired(index: HistoryIndex) -> int:
    expired = {h for event in index.nontrivial for h in event.handlings if _silenced(index, h)}
    for event in index.nontrivial:
        pairs = pairwise(event.handlings)
        expired.update(handling for handling, later in pairs if _replaced(handling, later))
    for number, name, consumer in index.leases_lost:
        lost = index.events.get(name)
        held = [h for h in lost.handlings if h.consumer == consumer and h.start < number] if lost else []
        expired.update(held[-1:])
    return len(expired)


def _silenced(index: HistoryIndex, handling: Handling) -> bool:
    begin_at, end_at = span_of(index, handling)
    lease = index.terms.lease
    if end_at - begin_at <= lease:
        return False
    silences = within(index.silences(handling.consumer), begin_at, end_at)
    return any(min(end, end_at) - max(begin, begin_at) > lease for begin, end in silences)


def _replaced(handling: Handling, later: Handling) -> bool:
    return handling.open_at(later.start) or handling.crashed


def _returned_late(index: HistoryIndex) -> int:
    return sum(
        1
        for event in index.nontrivial
        for delivery in event.deliveries
        if event.effects and delivery.at >= event.effects[0].end_at + index.terms.retention
    )


def _duplicate_effects(index: HistoryIndex) -> int:
    return sum(max(0, len(event.effects) - 1) for event in index.nontrivial)


def _restarted(index: HistoryIndex) -> int:
    return sum(consumer.restarts for consumer in index.consumers.values())


_WORDS: Mapping[str, tuple[Count, str]] = {
    # the events
    "handled": (_handled, "an event took effect"),
    "reordered": (_reordered, "a follower was first delivered before its leader was"),
    "leader-missing": (_followers(_leaderless), "a follower was delivered, and its leader never was"),
    "in-cycle": (_followers(_in_cycle), "an event follows itself through others"),
    # the queue
    "duplicated": (_entries("duplicated"), "the broker delivered an event once more than it was asked to"),
    "dropped": (_entries("dropped"), "the broker lost a delivery"),
    "redelivered": (_redelivered, "an event was offered again because a delivery of it was not acknowledged"),
    "rejected": (_entries("rejected"), "a consumer could not handle a delivery"),
    "dead-lettered": (_entries("dead-lettered"), "an event was given up, and said so"),
    "returned-late": (_returned_late, "an event was delivered again after the retention of its seen marker"),
    "leader-changed": (_fault("duplicate-follows-another"), "an event came once more, and named another leader"),
    "odd-occurred": (_fault("odd-occurred"), "an event occurred at a time without a zone, or at the calendar's ends"),
    "not-a-number": (_fault("not-a-number"), "a payload held NaN or an infinity"),
    "too-large": (_fault("too-large"), "an event was larger than Redis takes, or Redis refused a request with it"),
    "not-an-event": (_fault("not-an-event"), "a consumer handed its engine something that is no event"),
    "trimmed": (_fault("trim"), "the queue forgot an event that was not acknowledged"),
    "unreadable-for-some": (_fault("unreadable-for-some"), "a consumer could not read an event that others can read"),
    # the engine
    "parked": (_parked, "an event was kept until its leader was handled; each event counts once"),
    "released": (_released, "an event was handled because its leader had taken effect; each event counts once"),
    "rescued": (_begun("rescued"), "an event was handled because a sweep had found it; each event counts once"),
    "waited-for-leader": (
        _waited_for_leader,
        "a follower was delivered while its leader was being handled, was not parked, and started once that had ended",
    ),
    "refused": (_entries("refused"), "the engine would not handle a delivery: seen before, held, or too deep"),
    "swept": (_entries("swept"), "a consumer reported a sweep"),
    "lease-expired": (
        _lease_expired,
        "a holder lost its lease before it had ended: it learned so, it was paused or cut off for longer than a lease,"
        " or another handling of the event began while it was open or because its consumer had died",
    ),
    "outlasted-lease": (_outlasted_lease, "a handling lasted longer than a lease"),
    "handled-again": (_duplicate_effects, "an event took effect once more"),
    "handler-failed": (_handlings(lambda h: h.outcome == "failed"), "a handler raised, or was cancelled"),
    # the consumers
    "crashed": (_entries("crashed"), "a consumer died"),
    "crashed-while-holding": (
        lambda index: len(index.crashed_holding),
        "a consumer died while it was handling an event",
    ),
    "stopped": (_entries("stopped"), "a consumer stopped in good order"),
    "restarted": (_restarted, "a consumer came back after it had died or stopped"),
    "paused": (_entries("paused"), "a consumer stopped making progress while the world went on"),
    # Redis and the way to it
    "unreachable": (_entries("unreachable"), "Redis was out of reach for a consumer, or for all"),
    "store-lost": (_entries("store-lost"), "the store lost data by an injected fault"),
    "request-lost": (_fault("request-lost"), "a request to Redis was lost"),
    "reply-lost": (_fault("reply-lost"), "a reply of Redis was lost after the command had been executed"),
    "error-reply": (_fault("error-reply"), "Redis refused a command with an error"),
    "server-stalled": (_fault("server-stalls"), "Redis had received a packet, and did not answer until much later"),
    "slot-in-two-places": (
        _fault("slot-migrates"),
        "a request was about a slot of which another node had a part",
    ),
    "refused-read-only": (_fault("server-demoted"), "a server that had become a replica refused what writes"),
    "connection-closed": (_fault("close-idle-connections"), "the server closed connections in good order"),
    "server-clock-jumped": (_fault("server-clock"), "the clock of Redis jumped"),
    "slowed": (_fault("latency"), "a request to Redis, or its reply, was held up by a fault"),
}

COVERAGE: Mapping[str, str] = {word: meaning for word, (_, meaning) in _WORDS.items()}
"""Every word that a scenario may list under `require_coverage`, with its definition."""

RENAMED_WORDS: Mapping[str, str] = {"leader-lost": "leader-missing"}
"""The word of now for each that had another name: older histories and scenarios name that."""
