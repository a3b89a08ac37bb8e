"""causal-order: no event takes effect before its leader.

Every effect of `f` starts at or after the end of an effect of its leader. An event that follows itself has no leader.

A leader *came* if one of these holds:

- from f's first delivery until the lookback had passed, it was delivered to a consumer;
- a consumer or the engine still had it when f started: it was being handled, not yet answered, or parked in turn;
- its last delivery before the lookback had passed was rejected: it failed and will be offered again.

A leader of which the queue was trimmed will not be offered again: then only what a consumer or the engine still had of
it counts. A delivery that was given back counts no longer if the clock of Redis jumped ahead since, so far that by this
clock no consumer was offered the leader for a whole lookback. If its consumer died, that counts from a lease before its
death on: the store may have heard of it last then. What a consumer still has counts no longer, if the clock jumped so
far while it had it: then a lookback has passed since the store heard of it, at the earliest a lease before the jump.
A jump excuses only a follower that it freed: one that started before the lookback had passed without it (or the time of
the policy in which the queue may offer an event again, or two leases, if that is longer); or, if the jumps took half a
lease or more off that time, within one sweep and the release bound after its end by the clock of Redis, in idle time.

These deliveries do not count, because no engine can know of them:

- one that was answered, and whose traces the store has lost since;
- one that was rejected by a consumer that was cut off from Redis from the delivery to the rejection;
- one that was rejected because the consumer could not read the event, by an injected fault;
- a delivery, or a handling that began after the lookback, that was less than a second old when f started, and after
  which its consumer had done nothing else: it had not reached Redis (the sweep and a late leader meet at the end of the
  lookback).

A delivery to a consumer that cannot reach Redis counts from the time at which it can.

A leader that the engine has given up is reported by the consumer that did so, or by the first sweep after a lease: a
follower may start before that, if no consumer handles the leader then or later.

If the store lost what it held of a follower of which a copy was delivered that follows another event, that copy may be
all that an engine knows: then it is enough that the follower waits for the lookback, and for the event that the copy
follows if that came.

If the clock of Redis jumps ahead, the lookback is over sooner by that much.

A history may leave out when f was first delivered. Then that was at some time between its publication and the first
entry that shows it at a consumer, and an effect is early only if it is early for all of these times. The verdict is
`unknown` if the history leaves out how a handling of the leader ended, or begins in the middle and says nothing of the
leader.

In a cycle each member waits for all others, and for itself. No order is right, so the first member to take effect is
excused as if its leader had never come, but only after it was held back for the whole lookback. It is excused again if
it must take effect once more, as after a crash, and no other member has. The others follow in order.
"""

from __future__ import annotations

from collections.abc import Iterator

from simulation.history.index import HistoryIndex
from simulation.history.records import NEVER, Delivery, EventStory, Handling
from simulation.invariants.cascades import lists_in_hand, no_consumer_free
from simulation.invariants.copies import leaders_in_copies
from simulation.invariants.idle_time import idle_clock, takeovers
from simulation.invariants.recorded_effects import UNDERWAY
from simulation.invariants.time_format import moment, moments
from simulation.invariants.verdict import Invariant, Violation

NAME = "causal-order"


def subjects(index: HistoryIndex) -> int:
    """Count the effects of events that have a leader."""
    return index.trivial.followers + sum(len(event.effects) for event in index.nontrivial if event.leader)


def check(index: HistoryIndex) -> Iterator[Violation]:
    """Yield a violation for each effect that came before its leader's."""
    for event in index.nontrivial:
        for effect in _early(index, event):
            yield _violation(index, event, effect)


def _early(index: HistoryIndex, event: EventStory) -> Iterator[Handling]:
    """Yield the effects of an event that came before its leader's and are not excused."""
    leader = index.leader_of(event)
    if leader is None or leader.incomplete or (index.window and _unheard(leader)):
        return
    first_end = leader.effects[0].end if leader.effects else index.end
    for effect in event.effects:
        if effect.start < first_end and not _excused(index, event, leader, effect):
            yield effect


def _excused(index: HistoryIndex, event: EventStory, leader: EventStory, effect: Handling) -> bool:
    if leader.dead != NEVER and (leader.dead < effect.start or _given_up_unreported(index, leader, effect)):
        return True
    if effect.start_at < _held_until(index, event):
        return False
    if any(
        other is None or _does_not_hold(index, event, other, effect)
        for other in leaders_in_copies(index, event, effect.start)
    ):
        return True
    return not _came(index, event, leader, effect) or _first_of_cycle(index, event, effect)


def _does_not_hold(index: HistoryIndex, event: EventStory, leader: EventStory, effect: Handling) -> bool:
    """Say whether a follower need not wait any more for the event that a copy of it follows."""
    done = any(one.end <= effect.start for one in leader.effects) or NEVER < leader.dead < effect.start
    return done or not _came(index, event, leader, effect)


def _given_up_unreported(index: HistoryIndex, leader: EventStory, effect: Handling) -> bool:
    """Say whether the engine can have given a dead leader up before a follower started, and reported it only later."""
    reported_within = index.terms.lease + index.terms.sweep_interval
    in_time = leader.dead_by != "broker" and leader.dead_at - effect.start_at <= reported_within
    return in_time and not any(h.start > effect.start or h.open_at(effect.start) for h in leader.handlings)


def _first_of_cycle(index: HistoryIndex, event: EventStory, effect: Handling) -> bool:
    others = [index.events[name] for name in index.cycles.get(event.name, ()) if name != event.name]
    return bool(others) and all(effect.start < other.start for member in others for other in member.effects)


def _unheard(leader: EventStory) -> bool:
    """Return whether the only thing that a history says of an event is that another one follows it."""
    return leader.published == leader.first_known == leader.dead == NEVER


def _earliest(index: HistoryIndex, event: EventStory) -> int:
    """Return the earliest moment at which an event can have been delivered first."""
    if event.deliveries:
        return event.deliveries[0].at
    return index.times[event.published] if event.published != NEVER else 0


def _held_until(index: HistoryIndex, event: EventStory) -> int:
    """Return the earliest moment at which the lookback of an event can be over."""
    return index.store_clock.due(_earliest(index, event), index.terms.lookback)


def _latest(event: EventStory) -> int:
    """Return the index of the latest entry before which an event must have been delivered first."""
    return event.deliveries[0].index if event.deliveries else event.first_known


def _came(index: HistoryIndex, event: EventStory, leader: EventStory, effect: Handling) -> bool:
    """Return whether a consumer had the leader in the lookback after the event's first delivery."""
    until_at = _held_until(index, event)
    return (
        _delivered(index, event, leader, effect, until_at)
        or any(
            _in_hand(handling, effect, until_at) and not _forgotten(index, event, handling.start_at, effect)
            for handling in leader.handlings
        )
        or any(
            at < until_at and not index.store_lost(leader.name, since, effect.start)
            for since, at in _kept(index, leader, effect)
        )
    )


def _delivered(index: HistoryIndex, event: EventStory, leader: EventStory, effect: Handling, until_at: int) -> bool:
    """Say whether a delivery shows that the leader had come: in time, not answered, or to be offered again."""
    first = _latest(event)
    in_time = [
        one
        for one in leader.deliveries
        if _noticed_at(index, one) < until_at and one.index < effect.start and not _unknown(index, leader, one, effect)
    ]
    for delivery in in_time:
        unanswered = delivery.closed == NEVER or delivery.closed > effect.start
        if unanswered and _forgotten(index, event, delivery.at, effect):
            continue
        again = delivery is in_time[-1] and delivery.closing == "rejected"
        given_back = not unanswered and delivery.closing != "acknowledged"
        if given_back and (_trimmed(index, leader, delivery, effect) or _outdated(index, event, delivery, effect)):
            continue
        if delivery.index <= first and not unanswered and not again:
            continue
        if delivery.index > first and not _known(index, leader, delivery, effect):
            continue
        if unanswered or not index.store_lost(leader.name, delivery.index, effect.start):
            return True
    return False


def _unknown(index: HistoryIndex, leader: EventStory, delivery: Delivery, effect: Handling) -> bool:
    """Say whether a delivery was rejected before it came to the engine: its consumer was cut off, or cannot read it."""
    rejected = delivery.closing == "rejected" and delivery.closed < effect.start
    return rejected and (_cut_off(index, delivery) or leader.unread_in(delivery))


def _trimmed(index: HistoryIndex, leader: EventStory, delivery: Delivery, effect: Handling) -> bool:
    """Say whether the queue has forgotten a leader since: it will not be offered again."""
    return any(delivery.index < trim < effect.start for trim in index.trims(leader.name))


def _outdated(index: HistoryIndex, event: EventStory, delivery: Delivery, effect: Handling) -> bool:
    """Say whether a lookback has passed since a delivery was given back, by a clock of Redis that jumped ahead."""
    since = delivery.closed_at
    if delivery.closing == "crashed":
        since = max(delivery.at, since - index.terms.lease)
    return _freed_by_jump(index, event, since, effect)


def _forgotten(index: HistoryIndex, event: EventStory, begin: int, effect: Handling) -> bool:
    """Say whether the clock of Redis jumped over a lookback while a consumer had the leader, from `begin` on."""
    return any(
        begin <= at <= effect.start_at and _freed_by_jump(index, event, max(begin, at - index.terms.lease), effect)
        for at, _ in index.store_clock.jumps
    )


def _freed_by_jump(index: HistoryIndex, event: EventStory, heard_at: int, effect: Handling) -> bool:
    """Say whether a follower started because the clock of Redis jumped since Redis heard of its leader.

    An engine may expect a leader for a lookback, or for as long as the queue may offer an event again.
    """
    terms, clock = index.terms, index.store_clock
    promised = max(terms.lookback, terms.redelivery)
    longest = max(promised, 2 * terms.lease)
    due_at = max(clock.due(heard_at, promised), _held_until(index, event))
    first = next((handling for handling in event.handlings if handling.start_at >= due_at), effect)
    taken_off = heard_at + longest - clock.due(heard_at, longest)
    if effect.start_at < due_at or not taken_off:
        return False
    if first.start_at < heard_at + longest:
        return True
    due_at = max(clock.due(heard_at, longest), due_at)
    lists = lists_in_hand(index, due_at, first.start)
    waited = idle_clock(index, due_at, first.start_at, no_consumer_free(index), lists).elapsed(due_at, first.start_at)
    bound = terms.sweep_interval + terms.release_bound + takeovers(index, due_at, first.start_at)
    return 2 * taken_off >= terms.lease and waited <= bound


def _cut_off(index: HistoryIndex, delivery: Delivery) -> bool:
    """Say whether a consumer was out of reach of Redis from a delivery to its answer."""
    closed_at = index.times[delivery.closed]
    return any(begin <= delivery.at and closed_at <= end for begin, end in index.silences(delivery.consumer))


def _noticed_at(index: HistoryIndex, delivery: Delivery) -> int:
    """Return from which time on the consumer of a delivery could reach the store with it."""
    silences = index.silences(delivery.consumer)
    return max((end for begin, end in silences if begin <= delivery.at < end), default=delivery.at)


def _in_hand(handling: Handling, effect: Handling, until_at: int) -> bool:
    """Say whether the leader was being handled when the follower started, and an engine could know of it."""
    known = handling.start_at < until_at or effect.start_at - handling.start_at > UNDERWAY
    return known and handling.open_at(effect.start)


def _known(index: HistoryIndex, leader: EventStory, delivery: Delivery, effect: Handling) -> bool:
    """Say whether an engine could know of a leader's delivery when the follower started."""
    if effect.start_at - _noticed_at(index, delivery) > UNDERWAY:
        return True
    signs = [delivery.closed, leader.parked, *(handling.start for handling in leader.handlings)]
    return any(delivery.index < sign < effect.start for sign in signs)


def _kept(index: HistoryIndex, leader: EventStory, effect: Handling) -> Iterator[tuple[int, int]]:
    """Yield since when the engine had the leader parked when the follower started, as indices and times.

    It was parked at some time between a delivery and the entry that says so, or at that entry if it names no delivery.
    """
    parked = [one for one in leader.deliveries if one.parked and NEVER < one.closed < effect.start]
    yield from ((one.index, _noticed_at(index, one)) for one in parked)
    if not parked and NEVER < leader.parked < effect.start:
        yield leader.parked, leader.parked_at


def _violation(index: HistoryIndex, event: EventStory, effect: Handling) -> Violation:
    leader = index.events[event.leader]
    witness = [event.published, effect.start]
    if leader.effects:
        done = leader.effects[0]
        began, ended = moments(effect.start_at, done.end_at)
        because = (
            f"because the effect of event {event.name} began at {began},"
            f" before its leader {leader.name} completed at {ended}"
        )
        witness += [done.start, done.end]
    else:
        because = (
            f"because event {event.name} took effect from {moment(effect.start_at)} on,"
            f" but its leader {leader.name} never did"
        )
        witness += [delivery.index for delivery in leader.deliveries[:1]]
    return Violation(
        NAME,
        effect.start_at,
        (event.name, leader.name),
        tuple(dict.fromkeys([effect.consumer, *(h.consumer for h in leader.effects[:1])])),
        because,
        tuple(sorted(number for number in witness if number != NEVER)),
    )


INVARIANT = Invariant(
    name=NAME,
    summary="every effect of an event starts at or after the end of an effect of its leader",
    excuses=(
        "the leader was not delivered for the whole lookback after the event's first delivery, no consumer holds "
        "it when the event starts, and that is after the lookback (a leader that was delivered, failed and will be "
        "offered again is not lost); the leader was dead-lettered before; the engine had given the leader up, and "
        "reported it up to a lease and a sweep later; in a cycle, the first member to take effect; a follower that the "
        "store lost, and of which a copy follows another event; a jump of the clock of Redis over a lookback, if it "
        "freed the follower"
    ),
    subjects=subjects,
    check=check,
    exercised_by=("reordered", "parked"),
    reading=(
        "The first time is when the follower's handler began, the second when its leader's effect was complete. If "
        "the leader never took effect, there is only the first."
    ),
    needs=frozenset({"outcomes", "leaders"}),
    holds_for_trivial=True,
    order_is_known=True,
    examples={
        "accepted": """\
{"at":0,"kind":"published","event":"b","follows":"a"}
{"at":1000,"kind":"delivered","event":"b","consumer":"c1"}
{"at":2000,"kind":"parked","event":"b","consumer":"c1"}
{"at":3000,"kind":"delivered","event":"a","consumer":"c2"}
{"at":4000,"kind":"started","event":"a","consumer":"c2","handling":1}
{"at":9000,"kind":"ended","event":"a","consumer":"c2","handling":1,"outcome":"ok"}
{"at":9000,"kind":"started","event":"b","consumer":"c2","handling":2,"via":"released"}
{"at":14000,"kind":"ended","event":"b","consumer":"c2","handling":2,"outcome":"ok"}
""",
        "excused": """\
{"at":0,"kind":"published","event":"b","follows":"a"}
{"at":1000,"kind":"delivered","event":"b","consumer":"c1"}
{"at":2000,"kind":"parked","event":"b","consumer":"c1"}
{"at":905000000,"kind":"started","event":"b","consumer":"c1","handling":1,"via":"rescued"}
{"at":906000000,"kind":"ended","event":"b","consumer":"c1","handling":1,"outcome":"ok"}
""",
        "rejected": """\
{"at":0,"kind":"published","event":"a"}
{"at":0,"kind":"published","event":"b","follows":"a"}
{"at":1000,"kind":"delivered","event":"b","consumer":"c1"}
{"at":2000,"kind":"started","event":"b","consumer":"c1","handling":1}
{"at":3000,"kind":"delivered","event":"a","consumer":"c2"}
{"at":4000,"kind":"started","event":"a","consumer":"c2","handling":2}
{"at":7000,"kind":"ended","event":"b","consumer":"c1","handling":1,"outcome":"ok"}
{"at":9000,"kind":"ended","event":"a","consumer":"c2","handling":2,"outcome":"ok"}
""",
    },
)
