"""prompt-release: once its leader is done, a follower does not wait.

The wait runs from the later of the end of the leader's effect and the follower's own first delivery until its first
handling starts, even if that one fails. It may take `release_bound`, in idle time. Time does not count

- in which no consumer was alive, unpaused and connected to Redis;
- in which others that the same leader released, or their descendants, were being handled by a living holder, since
  siblings run one after the other; a holder whose silence begins counts for one lease;
- if the follower was found by a sweep, or by a consumer that took over from one that had died: in which that consumer
  was handling what it had found before in the same list.

The bound does not start again. It is longer, once, by what deaths, silences and failures can have cost
(`idle_time.py`): the consumer that was to continue does not, and a sweep has to find the rest.

If the leader's effect was cut off from its recording and the leader had to be handled again, the wait runs from the
effect that can have been recorded. If the broker gave the leader up instead, no engine can know that it was done; nor
if the store lost its mark before the follower's last delivery. Where the scenario allows a loss of data, followers that
can have been lost with it are judged by `nothing-lost` alone.
"""

from __future__ import annotations

from collections.abc import Iterator

from simulation.history.index import HistoryIndex
from simulation.history.intervals import Clock
from simulation.history.records import NEVER, EventStory, Handling
from simulation.invariants.cascades import closure, found_last
from simulation.invariants.idle_time import Wait, patience, retries, takeovers, until_handled
from simulation.invariants.recorded_effects import completion, unrecorded
from simulation.invariants.time_format import moments
from simulation.invariants.verdict import Invariant, Violation

NAME = "prompt-release"


def subjects(told: HistoryIndex) -> int:
    """Count the followers that waited for their turn after their leader was done."""
    return told.plain.apart + sum(1 for leader in told.leaders for _ in _waits(told, leader, completion(told, leader)))


def check(told: HistoryIndex) -> Iterator[Violation]:
    """Yield a violation for each follower that waited too long."""
    for leader in told.leaders:
        done = completion(told, leader)
        if done is None or _given_up(told, leader, done):
            continue
        late = [
            wait
            for wait in _waits(told, leader, done)
            if _elapsed(told.clock, wait) > told.terms.release_bound
            and not told.store_lost(leader.name, done.end, _last_known(wait))
        ]
        if late:
            yield from _idle(told, leader, done, late)


def _last_known(wait: Wait) -> int:
    """Return the index of the last delivery of an event before the end of its wait, or of what shows it first."""
    return max((d.index for d in wait.event.deliveries if d.index < wait.stop), default=wait.event.first_known)


def _given_up(told: HistoryIndex, leader: EventStory, done: Handling) -> bool:
    """Say whether the leader was dead-lettered before its effect can have been recorded."""
    return done.end < leader.dead and unrecorded(told, done, leader.dead)


def _idle(told: HistoryIndex, leader: EventStory, done: Handling, late: list[Wait]) -> Iterator[Violation]:
    """Yield a violation for each of some late followers that was not just waiting for its turn."""
    stop_at = max(wait.stop_at for wait in late)
    turns, failures = closure(told, leader, max(wait.stop for wait in late))
    common = patience(told, done.end_at, stop_at, turns)
    for wait in late:
        finder = wait.finder(told)
        line = found_last(told, finder, wait.stop) if finder else []
        clock = patience(told, done.end_at, stop_at, turns, line) if line else common
        spared = takeovers(told, wait.begin_at, wait.stop_at)
        spared += retries(told, failures.values(), wait.begin_at, wait.stop_at)
        too_long = _elapsed(clock, wait) > told.terms.release_bound + spared
        if too_long and not told.loss_allowed(wait.event, wait.stop):
            yield _violation(told, leader, done, wait)


def _elapsed(clock: Clock, wait: Wait) -> int:
    return clock.elapsed(wait.begin_at, wait.stop_at)


def _waits(told: HistoryIndex, leader: EventStory, done: Handling | None) -> Iterator[Wait]:
    """Yield the wait of each follower that had not been handled when its leader was done."""
    if done is None or leader.untold:
        return
    for follower in told.followers_of(leader):
        known = follower.first_known
        if known == NEVER or follower is leader or follower.untold:
            continue
        begin, begin_at = max((done.end, done.end_at), (known, told.times[known]))
        if wait := until_handled(told, follower, begin, begin_at):
            yield wait


def _violation(told: HistoryIndex, leader: EventStory, done: Handling, wait: Wait) -> Violation:
    event = wait.event
    index, verb = (event.parked, "parked") if event.parked != NEVER else (event.first_known, "delivered")
    first = (event.deliveries or event.handlings or [done])[0].consumer
    begun, done_at, stopped = moments(told.times[index], done.end_at, wait.stop_at)
    because = (
        f"because event {event.name} was {verb} at {begun}, its leader {leader.name} completed at {done_at},"
        f" and {event.name} was still waiting at {stopped}"
    )
    witness = [index, done.end, wait.stop if wait.stop < told.end else NEVER]
    return Violation(
        NAME,
        wait.stop_at,
        (event.name, leader.name),
        tuple(dict.fromkeys((first, done.consumer))),
        because,
        tuple(sorted(index for index in witness if index != NEVER)),
    )


INVARIANT = Invariant(
    name=NAME,
    summary=(
        "a follower starts within the release bound after the later of its leader's effect and its own first delivery"
    ),
    excuses=(
        "time in which no consumer was alive or Redis was unreachable does not count, nor time in which others released"
        " by the same leader, or found before by the consumer that found the follower, were being handled by a living"
        " holder; a dead or silent holder counts for one lease and one sweep, a failing event for all its attempts,"
        " once; a leader whose mark the store lost before the follower was delivered; losses that the scenario allows"
    ),
    subjects=subjects,
    check=check,
    exercised_by=("parked", "released"),
    reading=(
        "Compare the first two times. If the follower was parked *after* its leader had completed, the engine has "
        "lost a race between the two. The last time is when the follower started, or when the history ends. A "
        "difference of about one lookback says that nothing but the sweep has found it."
    ),
    needs=frozenset({"outcomes"}),
    holds_for_trivial=True,
    order_is_known=True,
    examples={
        "accepted": """\
{"at":0,"kind":"published","event":"a"}
{"at":0,"kind":"published","event":"b","follows":"a"}
{"at":1000000,"kind":"delivered","event":"b","consumer":"c1"}
{"at":1000000,"kind":"parked","event":"b","consumer":"c1"}
{"at":2000000,"kind":"started","event":"a","consumer":"c2","handling":1}
{"at":3000000,"kind":"ended","event":"a","consumer":"c2","handling":1,"outcome":"ok"}
{"at":3000000,"kind":"started","event":"b","consumer":"c2","handling":2,"via":"released"}
{"at":4000000,"kind":"ended","event":"b","consumer":"c2","handling":2,"outcome":"ok"}
""",
        "rejected": """\
{"at":0,"kind":"published","event":"a"}
{"at":0,"kind":"published","event":"b","follows":"a"}
{"at":1000000,"kind":"delivered","event":"b","consumer":"c1"}
{"at":1000000,"kind":"parked","event":"b","consumer":"c1"}
{"at":2000000,"kind":"started","event":"a","consumer":"c2","handling":1}
{"at":3000000,"kind":"ended","event":"a","consumer":"c2","handling":1,"outcome":"ok"}
{"at":900000000,"kind":"started","event":"b","consumer":"c2","handling":2,"via":"rescued"}
{"at":901000000,"kind":"ended","event":"b","consumer":"c2","handling":2,"outcome":"ok"}
""",
    },
)
