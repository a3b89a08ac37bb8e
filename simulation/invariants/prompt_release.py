"""prompt-release: once its leader is done, a follower does not wait.

The wait runs from the later of the end of the leader's effect and the follower's own first delivery until its first
handling starts, even if that one fails. It may take `release_bound`, in idle time. Time does not count

- in which no consumer was alive, unpaused and connected to Redis;
- in which others that the same leader released, or their descendants, were being handled by a living holder, since
  siblings run one after the other; not while that holder is silent for so long that its lease may end;
- if the follower was found by a sweep, or by a consumer that took over from one that had died: in which that consumer
  was handling what it had found before in the same list.

The bound does not start again. It is longer, once, by what deaths, silences and failures can have cost
(`idle_time.py`): the consumer that was to continue does not, and a sweep has to find the rest.

If the leader's effect was cut off from its recording and the leader had to be handled again, the wait runs from the
effect that can have been recorded. If the broker gave the leader up instead, no engine can know that it was done; nor
if the store lost its mark before the follower's last delivery, or lost the leader while it was being handled, and the
effect was cut off from its recording. Nor can it know if the lease had expired and another consumer had taken it (see
`handled_once.py`), and the broker gave the leader up then. Nor can it know if the queue was trimmed of a leader that
was never parked, as the scenario allows, after its last delivery. An engine does know if the leader was offered again
after that effect, and the last such delivery was acknowledged, neither handled nor parked. Where the scenario allows a
loss of data, followers that can have been lost with it are judged by `nothing-lost` alone. If the store lost what it
held of a follower of which a copy was delivered that follows another event, that copy may be all that an engine knows:
then the bound is longer by one lookback and one sweep, unless that leader was done and its mark is kept. Nor is a
follower judged that came when the time was over, by the clock of Redis, for which an engine keeps the mark of its
leader: the retention, or the policy's memory if that is longer.
"""

from __future__ import annotations

from collections.abc import Iterator

from simulation.history.index import HistoryIndex
from simulation.history.intervals import Clock
from simulation.history.records import NEVER, EventStory, Handling
from simulation.invariants.cascades import closure, found_last
from simulation.invariants.copies import misled
from simulation.invariants.idle_time import Wait, idle_clock, retries, takeovers, until_handled
from simulation.invariants.recorded_effects import completion, mark_over, taken_over, unrecorded
from simulation.invariants.time_format import moments
from simulation.invariants.verdict import Invariant, Violation

NAME = "prompt-release"


def subjects(index: HistoryIndex) -> int:
    """Count the followers that waited for their turn after their leader was done."""
    return index.trivial.apart + sum(
        1 for leader in index.leaders for _ in _waits(index, leader, completion(index, leader))
    )


def check(index: HistoryIndex) -> Iterator[Violation]:
    """Yield a violation for each follower that waited too long."""
    for leader in index.leaders:
        done = completion(index, leader)
        if done is None or _given_up(index, leader, done):
            continue
        late = [
            wait
            for wait in _waits(index, leader, done)
            if _elapsed(index.clock, wait) > index.terms.release_bound
            and not _forgotten(index, leader, done, wait)
            and not mark_over(index, done, index.times[wait.event.first_known])
        ]
        if late:
            yield from _idle(index, leader, done, late)


def _forgotten(index: HistoryIndex, leader: EventStory, done: Handling, wait: Wait) -> bool:
    """Say whether the store had lost that the leader was done, before the follower was delivered last.

    If the effect was not recorded, the loss of what the store held of its handling is as bad: it is not taken over.
    """
    since = done.start if _unknown(index, leader, done, wait.stop) else done.end
    return index.store_lost(leader.name, since, _last_known(wait))


def _last_known(wait: Wait) -> int:
    """Return the index of the last delivery of an event before the end of its wait, or of what shows it first."""
    return max((d.index for d in wait.event.deliveries if d.index < wait.stop), default=wait.event.first_known)


def _given_up(index: HistoryIndex, leader: EventStory, done: Handling) -> bool:
    """Say whether the broker gave the leader up, or forgot it, before its effect can have been recorded."""
    if _trimmed(index, leader) and _unknown(index, leader, done, index.end):
        return True
    unknown = unrecorded(index, done, leader.dead) or taken_over(index, leader, done)
    return done.end < leader.dead and unknown


def _unknown(index: HistoryIndex, leader: EventStory, done: Handling, before: int) -> bool:
    """Say whether no engine can know that a leader was done: its effect was not recorded, nor acknowledged later."""
    return unrecorded(index, done, before) and not _acknowledged_later(leader, done, before)


def _acknowledged_later(leader: EventStory, done: Handling, before: int) -> bool:
    last = leader.deliveries[-1] if leader.deliveries else None
    if last is None or last.parked or last.closing != "acknowledged":
        return False
    unhandled = all(handling.start < last.index for handling in leader.handlings)
    return unhandled and done.end < last.index < last.closed < before


def _trimmed(index: HistoryIndex, leader: EventStory) -> bool:
    """Say whether the queue forgot a leader after its last delivery; what the engine has parked, it need not offer."""
    last = leader.deliveries[-1].index if leader.deliveries else NEVER
    return leader.parked == NEVER and any(trim > last for trim in index.trims(leader.name))


def _idle(index: HistoryIndex, leader: EventStory, done: Handling, late: list[Wait]) -> Iterator[Violation]:
    """Yield a violation for each of some late followers that was not just waiting for its turn."""
    stop_at = max(wait.stop_at for wait in late)
    turns, failures = closure(index, leader, max(wait.stop for wait in late))
    failed = sorted(failures.values())
    common = idle_clock(index, done.end_at, stop_at, turns)
    for wait in late:
        finder = wait.finder(index)
        line = found_last(index, finder, wait.stop) if finder else []
        clock = idle_clock(index, done.end_at, stop_at, turns, line) if line else common
        excused = takeovers(index, wait.begin_at, wait.stop_at)
        excused += retries(index, failed, wait.begin_at, wait.stop_at)
        excused += misled(index, wait)
        too_long = _elapsed(clock, wait) > index.terms.release_bound + excused
        if too_long and not index.loss_allowed(wait.event, wait.stop):
            yield _violation(index, leader, done, wait)


def _elapsed(clock: Clock, wait: Wait) -> int:
    return clock.elapsed(wait.begin_at, wait.stop_at)


def _waits(index: HistoryIndex, leader: EventStory, done: Handling | None) -> Iterator[Wait]:
    """Yield the wait of each follower that had not been handled when its leader was done."""
    if done is None or leader.incomplete:
        return
    for follower in index.followers_of(leader):
        known = follower.first_known
        if known == NEVER or follower is leader or follower.incomplete:
            continue
        begin, begin_at = max((done.end, done.end_at), (known, index.times[known]))
        if wait := until_handled(index, follower, begin, begin_at):
            yield wait


def _violation(index: HistoryIndex, leader: EventStory, done: Handling, wait: Wait) -> Violation:
    event = wait.event
    number, verb = (event.parked, "parked") if event.parked != NEVER else (event.first_known, "delivered")
    first = (event.deliveries or event.handlings or [done])[0].consumer
    begun, done_at, stopped = moments(index.times[number], done.end_at, wait.stop_at)
    because = (
        f"because event {event.name} was {verb} at {begun}, its leader {leader.name} completed at {done_at},"
        f" and {event.name} was still waiting at {stopped}"
    )
    witness = [number, done.end, wait.stop if wait.stop < index.end else NEVER]
    return Violation(
        NAME,
        wait.stop_at,
        (event.name, leader.name),
        tuple(dict.fromkeys((first, done.consumer))),
        because,
        tuple(sorted(number for number in witness if number != NEVER)),
    )


INVARIANT = Invariant(
    name=NAME,
    summary=(
        "a follower starts within the release bound after the later of its leader's effect and its own first delivery"
    ),
    excuses=(
        "time in which no consumer was alive or Redis was unreachable; time in which others released by the same "
        "leader were being handled by a living holder; time in which the consumer that found the follower was "
        "handling what it had found before; a dead or silent holder counts for one lease and one sweep, once; a "
        "failing event that goes before it counts for all its attempts, once; a leader whose mark the store lost "
        "before the follower was delivered; a leader that the store lost while it was being handled, if its effect "
        "was not recorded; a leader of which the queue was trimmed, if its effect was not recorded; a leader's mark "
        "whose time was over by the clock of Redis; a follower that the store lost, and of which a copy follows "
        "another event, may wait for one lookback and one sweep more; a leader that the broker gave up after its "
        "expired lease was taken over; losses that the scenario allows"
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
