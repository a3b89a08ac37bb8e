"""Mutants that no invariant can distinguish from their host.

Each says why; they are run all the same, and must hold.
"""

from __future__ import annotations

from simulation.engines.mutants.mutant import SHARED, Edit, Mutant

MUTANTS = (
    Mutant(
        name="heads-without-nx",
        planted="parking an event once more sets its place among the heads again: the second ZADD has lost its NX",
        scenario="parked-again.toml",
        seeds=2,
        edits=(
            Edit(
                SHARED,
                '    redis.call("ZADD", key("heads"), "NX", redis.call("ZSCORE", waitlist, id), id)',
                '    redis.call("ZADD", key("heads"), redis.call("ZSCORE", waitlist, id), id)',
            ),
        ),
        equivalent="a head's score is copied from the waitlist, where NX keeps it as it is for as long as the event is"
        " parked; or it says when to look again, which may as well be earlier. (drop-nx takes both.)",
    ),
    Mutant(
        name="park-swapped",
        planted="park has two commands swapped: it queues the event before it notes its leader",
        scenario="late-leader.toml",
        seeds=5,
        edits=(
            Edit(
                SHARED,
                '  redis.call("HSET", key("leaders"), id, leader)\n'
                '  redis.call("ZADD", key("queue:" .. leader), occurred, id)\n',
                '  redis.call("ZADD", key("queue:" .. leader), occurred, id)\n'
                '  redis.call("HSET", key("leaders"), id, leader)\n',
            ),
        ),
        equivalent="a script is executed as one step, neither command reads what the other writes, and neither can be"
        " refused without the other: before and after the script, Redis holds the same.",
    ),
    Mutant(
        name="middle-parked-again",
        planted="the sweep returns an event though its leader is parked and will be rescued itself",
        scenario="ladder/n14-lost-by-event.toml",
        seeds=2,
        edits=(
            Edit("sweep", "elseif is_coming(leader) then", "elseif false then"),
            Edit("sweep", "elseif is_expected(leader, rules.redelivery) then", "elseif false then"),
        ),
        equivalent="begin asks once more: a leader that is parked is expected, so the event is parked again, at its"
        " old place. (rescue-the-middle plants the same in a caller that does not ask begin, and is convicted.)",
    ),
    Mutant(
        name="renew-forgets-claim",
        planted="renew prolongs the lease, and not the claim of a released event",
        scenario="long-release.toml",
        seeds=5,
        edits=(
            Edit(
                "shared", '  redis.call("ZADD", key("claims"), "XX", now + lease, id)\n  return true', "  return true"
            ),
        ),
        equivalent="every reader of a claim reads the lease first: the sweep sets a lapsed claim by the lease that is"
        " left, and begin says held.",
    ),
    Mutant(
        name="complete-whose-lease",
        planted="complete does not ask whose lease it ends",
        scenario="paused-before-recording.toml",
        seeds=5,
        edits=(Edit(SHARED, '  if owner and owner ~= token then return "lost" end\n', ""),),
        equivalent="a consumer that completes has had an effect, so the event was handled. The other holder's answer is"
        " lost, and it has had, or will have, the effect that it has in the native engine, too; no other consumer"
        " can begin, since seen is asked before the lease; and followers may start, since their leader took effect.",
    ),
)
