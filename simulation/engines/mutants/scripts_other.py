"""Mutants by edits of the scripts of the stepwise and of the batched engine."""

from __future__ import annotations

from simulation.engines.mutants.mutant import SHARED, Edit, Mutant
from simulation.engines.mutants.scripts_complete import NOT_PROLONGED
from simulation.engines.mutants.scripts_sweep import NO_SECOND_LOOK

PAST_THE_HELD = Edit("claim", '  if redis.call("EXISTS", key("processing:" .. id)) == 1 then break end\n', "")
"""Lets a claim on a queue pass an event that a consumer holds and has not begun."""

JOINT = (
    Mutant(
        name="answer-of-the-first",
        planted="of requests that tasks have made together, each is given the answer to the first",
        scenario="joint.toml",
        convicted_by=("causal-order", "handled-once"),
        edits=(
            Edit("several", "answers[#answers + 1] = done and answer", "answers[#answers + 1] = answers[1] or answer"),
        ),
    ),
    Mutant(
        name="only-the-first-is-answered",
        planted="of completions that tasks have made together, only the first is recorded, and all are answered",
        scenario="joint.toml",
        convicted_by=("nothing-lost", "prompt-release", "handled-once", "recovery"),
        edits=(
            Edit(
                "several",
                "local done, answer = pcall(scripts[ARGV[at]], request)",
                'local done, answer = true, "done 0"\n'
                '  if at == 2 or ARGV[at] ~= "complete" then done, answer = pcall(scripts[ARGV[at]], request) end',
            ),
        ),
    ),
)

STEPS = (
    Mutant(
        name="unpark-too-much",
        planted="unpark forgets what waits for the event, too",
        scenario="steps.toml",
        convicted_by=("prompt-release", "nothing-lost"),
        edits=(Edit("unpark", "forget_lost(id)\n", 'redis.call("DEL", key("queue:" .. id))\nforget_lost(id)\n'),),
        host="native-steps",
        seeds=10,
    ),
    Mutant(
        name="held-is-begun",
        planted="a lease without regard to the leader takes a parked event out of its queue at once",
        scenario="ladder/f18-duplicate-of-a-parked-sibling.toml",
        convicted_by=("sibling-order",),
        edits=(Edit("shared", "if not rules.causal and not mine then parked_behind = nil end", ""),),
        host="native-waiting",
    ),
    Mutant(
        name="claims-past-the-held",
        planted="a claim on a queue takes what comes after an event that a consumer holds and has not begun",
        scenario="ladder/f18-duplicate-of-a-parked-sibling.toml",
        convicted_by=("sibling-order",),
        edits=(PAST_THE_HELD,),
        host="native-waiting",
    ),
    Mutant(
        name="refused-is-retried",
        planted="an event that was given back before its turn is offered again as one whose leader is done",
        scenario="ladder/f19-refused-before-its-turn.toml",
        convicted_by=("causal-order",),
        edits=(Edit("fail", "local waits = leader and", "local waits = false and"),),
        host="native-waiting",
    ),
    Mutant(
        name="swept-before-the-claim",
        planted="the queue of a completed leader is due for sweeps before its consumer has claimed it",
        scenario="ladder/f20-sweep-before-the-claim.toml",
        convicted_by=("sibling-order",),
        edits=(
            Edit(
                "complete", "drain_by(id, token, rules.lease) end", 'redis.call("ZADD", key("releases"), now, id) end'
            ),
            Edit("claim", "and not is_drained_by(leader, ARGV[4])", "and false"),
            PAST_THE_HELD,
        ),
        host="native-waiting",
    ),
    Mutant(
        name="park-behind-itself",
        planted="park queues an event behind itself instead of its leader",
        scenario="steps.toml",
        convicted_by=("prompt-release",),
        edits=(Edit("park", "park(ARGV[1], ARGV[2],", "park(ARGV[1], ARGV[1],"),),
        host="native-steps",
    ),
    Mutant(
        name="read-after-delete",
        planted="claim has two commands swapped: it deletes the queue before it reads it",
        scenario="steps.toml",
        convicted_by=("nothing-lost", "prompt-release"),
        edits=(Edit("claim", "local ids = ", 'redis.call("DEL", key("queue:" .. leader))\nlocal ids = '),),
        host="native-steps",
    ),
    Mutant(
        name="rescue-the-middle",
        planted="the sweep rescues an event though its leader is parked and will be rescued itself",
        scenario="steps-lost.toml",
        convicted_by=("causal-order",),
        edits=(
            Edit("sweep", "elseif is_coming(leader) then", "elseif false then"),
            Edit("sweep", "elseif is_expected(leader, rules.redelivery) then", "elseif false then"),
        ),
        host="native-steps",
    ),
    Mutant(
        name="claim-without-deadline",
        planted="claim takes events out of their queue and notes no deadline for them",
        scenario="steps-crashing.toml",
        convicted_by=("nothing-lost",),
        edits=(
            Edit("claim", '  redis.call("ZADD", key("claims"), now + lease, id)\n', ""),
            Edit("sweep", 'look_through("claimants", key("claims")', 'look_through("nothing", key("claims")'),
            NO_SECOND_LOOK,
        ),
        host="native-steps",
        seeds=10,
    ),
)


BATCHES = (
    Mutant(
        name="batch-of-strangers",
        planted="begin_many takes every event of a batch for granted as soon as its leader is in the batch too",
        scenario="batches.toml",
        convicted_by=("causal-order",),
        edits=(Edit("begin_many", "if granted then together", "if true then together"),),
        host="native-batches",
        seeds=10,
    ),
    Mutant(
        name="batch-overtakes",
        planted="a follower is granted along with its leader, and begins, though earlier siblings are parked",
        scenario="batches.toml",
        convicted_by=("sibling-order",),
        edits=(
            Edit(SHARED, 'together[leader] and redis.call("EXISTS", key("queue:" .. leader)) == 0', "together[leader]"),
        ),
        ordering="LooksOnceForSiblings",
        host="native-batches",
        seeds=10,
    ),
    Mutant(
        name="batch-releases-nobody",
        planted="complete_many does not say which of the events others wait for",
        scenario="batches.toml",
        convicted_by=("prompt-release", "nothing-lost"),
        edits=(Edit("complete_many", '(waiting and " 1" or " 0")', '" 0"'),),
        host="native-batches",
    ),
    Mutant(
        name="batch-drain-outlives-its-lease",
        planted="the renewal of a batch prolongs the claim on the queue of an event whose lease is lost",
        scenario="production/q7-batch-renews-too-late.toml",
        convicted_by=("sibling-order",),
        edits=(Edit("renew_many", "if not lost[ARGV[i]] then", "if true then"),),
        host="native-batches",
    ),
    Mutant(
        name="batch-renews-nothing",
        planted="the renewal of a batch says that the leases were prolonged, and does not prolong them",
        scenario="slow-batch.toml",
        convicted_by=("handled-once", "mutual-exclusion"),
        edits=(
            NOT_PROLONGED,
            Edit("renew_many", 'mine and "1" or "0"', '"1"'),
        ),
        host="native-batches",
    ),
)
