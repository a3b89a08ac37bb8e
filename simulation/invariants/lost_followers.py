"""lost-followers-surface: a follower whose leader never comes is handled all the same.

A leader is missing while it was delivered to no consumer, and once it was dead-lettered without an effect.
The follower is held back for the lookback, from the moment it was parked (or delivered, if the history does not show
that it was parked), or from its leader's dead letter if that came later. Then it starts within one sweep interval and
the release bound. If the queue reported the leader's dead letter to the engine, it is not held back after that.

After the lookback only idle time counts, as in prompt-release. Time does not count in which the event can have been on
a list that a sweep had found and that was being handled, or in which every consumer was busy with such a list. Each
death and each silence of a consumer makes the bound longer, once, by one lease and one sweep. A history without
deliveries does not show whether a leader came.

The chain below a missing leader has leaders that come, though late: prompt-release judges each link. That a rescued
follower takes effect once is judged by handled-once, and the order of its chain by causal-order.

The members of a cycle wait for each other, so they are overdue as soon as all of them were delivered: one of them must
start, within the same time after the last was parked. If the history leaves out how a handling of one of them began or
ended, the cycle is not judged.
"""

from __future__ import annotations

from collections.abc import Iterator

from simulation.history.index import HistoryIndex
from simulation.history.records import NEVER, EventStory
from simulation.invariants.cascades import lists_in_hand, no_consumer_free
from simulation.invariants.idle_time import Wait, idle_clock, takeovers, until_handled
from simulation.invariants.time_format import moments
from simulation.invariants.verdict import Invariant, Violation

NAME = "lost-followers-surface"


def subjects(index: HistoryIndex) -> int:
    """Count the events that waited for a missing leader; a cycle counts once."""
    return index.trivial.early + sum(1 for _ in _waits(index))


def check(index: HistoryIndex) -> Iterator[Violation]:
    """Yield a violation for each follower of a missing leader that did not surface in time."""
    terms = index.terms
    bound = terms.sweep_interval + terms.release_bound
    late = [wait for wait in _waits(index) if wait.stop_at - wait.begin_at > _lookback(index, wait) + bound]
    busy = no_consumer_free(index) if late else []
    for wait in late:
        due_at = wait.begin_at + _lookback(index, wait)
        line = lists_in_hand(index, due_at, wait.stop)
        waited = idle_clock(index, due_at, wait.stop_at, busy, line).elapsed(due_at, wait.stop_at)
        excused = takeovers(index, due_at, wait.stop_at)
        if waited > bound + excused and not index.loss_allowed(wait.event, wait.stop):
            yield _violation(index, wait)


def _lookback(index: HistoryIndex, wait: Wait) -> int:
    """Return for how long an event is held back: not after the queue reported its leader's dead letter."""
    leader = index.leader_of(wait.event)
    if leader is None or not leader.dead_reported or wait.begin_at - leader.dead_at >= index.terms.retention:
        return index.terms.lookback
    return min(index.terms.lookback, max(0, leader.dead_at - wait.begin_at))


def _waits(index: HistoryIndex) -> Iterator[Wait]:
    if not index.counts["delivered"]:
        return  # whether a leader had come is unknown
    came: dict[str, bool] = {}
    """Whether all members of a cycle were delivered, by the first of them."""
    for event in index.nontrivial:
        leader = index.leader_of(event)
        if leader is None or event.first_known == NEVER:
            continue
        ring = index.cycles.get(event.name, ())
        if ring and ring[0] not in came:
            came[ring[0]] = all(index.events[name].deliveries for name in ring)
        if ring and came[ring[0]]:
            wait = _wait_of_cycle(index, [index.events[name] for name in ring]) if event.name == ring[0] else None
        else:
            wait = None if event.incomplete or leader.incomplete else _wait(index, event, leader)
        if wait:
            yield wait


def _wait(index: HistoryIndex, event: EventStory, leader: EventStory) -> Wait | None:
    """Return how long an event waited for a leader that was lost at the time; none if the leader had come."""
    begin, begin_at = _held_since(index, event)
    came = leader.first_known if leader.first_known != NEVER else index.end
    if leader.dead != NEVER and not leader.effects and came < index.end:
        begin, begin_at = max((begin, begin_at), (leader.dead, leader.dead_at))
        came = next((d.index for d in leader.deliveries if d.index > leader.dead), index.end)
    if came < begin:
        return None
    wait = until_handled(index, event, begin, begin_at)
    if wait and came < wait.stop:
        return Wait(event, begin, begin_at, came, index.times[came])
    return wait


def _wait_of_cycle(index: HistoryIndex, members: list[EventStory]) -> Wait | None:
    """Return how long a whole cycle waited for its first member to start, named after the member parked last.

    None if the history leaves out how a handling of a member began or ended.
    """
    if any(member.incomplete for member in members):
        return None
    last = max(members, key=lambda member: _held_since(index, member))
    since = _held_since(index, last)
    waits = [until_handled(index, member, *since) for member in members]
    stops = [(wait.stop, wait.stop_at) if wait else (NEVER, NEVER) for wait in waits]
    stop, stop_at = min(stops)
    return Wait(last, *since, stop, stop_at) if stop != NEVER else None


def _held_since(index: HistoryIndex, event: EventStory) -> tuple[int, int]:
    number = event.parked if event.parked != NEVER else event.first_known
    return number, index.times[number]


def _violation(index: HistoryIndex, wait: Wait) -> Violation:
    event, leader = wait.event, index.events[wait.event.leader]
    verb = "parked" if event.parked != NEVER else "delivered"
    held, until = moments(_held_since(index, event)[1], wait.stop_at)
    if event.name in index.cycles:
        why = f"it follows itself through {leader.name}"
    elif leader.dead != NEVER:
        why = f"its leader {leader.name} was dead-lettered"
    else:
        why = f"its leader {leader.name} had not come"
    witness = (_held_since(index, event)[0], wait.begin, wait.stop)
    return Violation(
        NAME,
        wait.stop_at,
        (event.name, leader.name),
        ((event.deliveries or event.handlings)[0].consumer,) if event.deliveries or event.handlings else (),
        f"because event {event.name} was {verb} at {held}, {why}, and {event.name} was still waiting at {until}",
        tuple(sorted({number for number in witness if number < index.end})),
    )


INVARIANT = Invariant(
    name=NAME,
    summary=(
        "a follower whose leader never comes is handled within the lookback, one sweep and the release bound"
        " (once, as handled-once says; with the chain below it in order, as causal-order and prompt-release say)"
    ),
    excuses=(
        "after the lookback, time in which no consumer was alive or Redis was unreachable; time in which the "
        "sweep's list that it was on was in hand; a death or a silence of a consumer counts for one lease and one "
        "sweep, once; losses that the scenario allows"
    ),
    subjects=subjects,
    check=check,
    exercised_by=("leader-missing", "rescued"),
    reading=(
        "The first time is when the follower was first kept, the last when it started or when the history ends. Take "
        "the lookback off the difference: what is left is how long it waited too long."
    ),
    needs=frozenset({"outcomes", "deliveries"}),
    holds_for_trivial=True,
    order_is_known=True,
    examples={
        "accepted": """\
{"at":0,"kind":"published","event":"b","follows":"a"}
{"at":1000000,"kind":"delivered","event":"b","consumer":"c1"}
{"at":1000000,"kind":"parked","event":"b","consumer":"c1"}
{"at":903000000,"kind":"started","event":"b","consumer":"c1","handling":1,"via":"rescued"}
{"at":904000000,"kind":"ended","event":"b","consumer":"c1","handling":1,"outcome":"ok"}
""",
        "rejected": """\
{"at":0,"kind":"published","event":"b","follows":"a"}
{"at":1000000,"kind":"delivered","event":"b","consumer":"c1"}
{"at":1000000,"kind":"parked","event":"b","consumer":"c1"}
{"at":1800000000,"kind":"started","event":"b","consumer":"c1","handling":1,"via":"rescued"}
{"at":1801000000,"kind":"ended","event":"b","consumer":"c1","handling":1,"outcome":"ok"}
""",
    },
)
