"""Mutants by edits of the script `begin`."""

from __future__ import annotations

from simulation.engines.mutants.mutant import SHARED, Edit, Mutant
from simulation.engines.mutants.scripts_sweep import NO_SECOND_LOOK

BEGIN = (
    Mutant(
        name="skip-seen",
        planted="begin does not ask whether the event was handled before",
        scenario="duplicates.toml",
        convicted_by=("handled-once",),
        edits=(
            Edit(SHARED, "if state[1] then\n    forget_if_parked(e.id)", "if false then\n    forget_if_parked(e.id)"),
        ),
    ),
    Mutant(
        name="ghost-lease",
        planted="begin does not know its own token again: a repeated request is held up by itself",
        scenario="begin-repeated.toml",
        convicted_by=("prompt-release",),
        edits=(Edit(SHARED, "if owner == e.token then", "if false then"),),
    ),
    Mutant(
        name="skip-held",
        planted="begin grants a lease that another consumer holds",
        scenario="ladder/n07-slow-handler.toml",
        convicted_by=("mutual-exclusion",),
        edits=(Edit(SHARED, "if owner then return decide_held", "if owner == e.token then return decide_held"),),
    ),
    Mutant(
        name="forgets-an-offer",
        planted="an offer that begin refuses as held does not prolong how long the event is expected",
        scenario="ladder/f23-offered-while-held.toml",
        convicted_by=("causal-order",),
        seeds=20,
        edits=(Edit(SHARED, 'rules.redelivery, "GT")', '0, "GT")'),),
    ),
    Mutant(
        name="ignore-leader",
        planted="begin does not wait for the leader",
        scenario="late-leader.toml",
        convicted_by=("causal-order",),
        edits=(Edit(SHARED, "answer = before_leader(e, rules, mine)", "answer = nil"),),
    ),
    Mutant(
        name="say-parked",
        planted="begin says that an early event is parked, and does not park it",
        scenario="late-leader.toml",
        convicted_by=("nothing-lost",),
        edits=(
            Edit(
                SHARED,
                "park(e.id, e.leader, e.occurred, e.payload, e.received)\n  local left",
                "local left",
            ),
        ),
    ),
    Mutant(
        name="overtake",
        planted="begin does not ask whether earlier siblings still wait",
        scenario="ladder/n16-fresh-sibling.toml",
        convicted_by=("sibling-order",),
        edits=(Edit(SHARED, "if not mine then answer, granted = after_leader(e, rules, parked_behind) end\n", "\n"),),
    ),
    Mutant(
        name="overdue-is-enough",
        planted="begin grants a follower that has waited for the lookback, though its leader is parked itself",
        scenario="parked-leader.toml",
        convicted_by=("causal-order",),
        edits=(Edit(SHARED, "if overdue and not is_expected(e.leader, rules.redelivery) then", "if overdue then"),),
    ),
    Mutant(
        name="drop-nx",
        planted="parking an event once more begins its wait again: both ZADDs have lost their NX",
        scenario="parked-again.toml",
        convicted_by=("lost-followers-surface",),
        edits=(
            Edit(
                SHARED,
                'redis.call("ZADD", waitlist, "NX", received or from_now, id)',
                'redis.call("ZADD", waitlist, now, id)',
            ),
            Edit(
                SHARED,
                '    redis.call("ZADD", key("heads"), "NX", redis.call("ZSCORE", waitlist, id), id)',
                '    redis.call("ZADD", key("heads"), redis.call("ZSCORE", waitlist, id), id)',
            ),
        ),
    ),
    Mutant(
        name="seen-at-start",
        planted="the seen marker is set when the lease is granted, not when the event was handled",
        scenario="ladder/r1-leader-in-flight.toml",
        convicted_by=("causal-order",),
        edits=(
            Edit(
                SHARED,
                'value, "PX", lease)\n',
                'value, "PX", lease)\n  redis.call("SET", key("seen:" .. id), token, "PX", rules.retention)\n',
            ),
        ),
    ),
    Mutant(
        name="forget-to-claim",
        planted="no claim with a deadline remembers a parked event once it has started",
        scenario="crash-while-draining.toml",
        convicted_by=("nothing-lost",),
        edits=(
            Edit(
                SHARED,
                '  redis.call("ZADD", key("claims"), now + lease, id)\n'
                '  redis.call("HSET", key("claimants"), id, claimant)\n',
                "",
            ),
            NO_SECOND_LOOK,
        ),
    ),
    Mutant(
        name="lease-without-ttl",
        planted="a lease has no TTL, so a consumer that dies holds it for ever",
        scenario="crash-while-draining.toml",
        convicted_by=("nothing-lost", "clean-store", "prompt-release"),
        edits=(
            Edit(SHARED, 'value, "PX", lease)', "value)"),
            NO_SECOND_LOOK,
        ),
    ),
    Mutant(
        name="short-lease",
        planted="a lease lasts a tenth of what its holder believes",
        scenario="ladder/n07-slow-handler.toml",
        convicted_by=("mutual-exclusion",),
        edits=(Edit(SHARED, 'value, "PX", lease)', 'value, "PX", math.floor(lease / 10))'),),
    ),
    Mutant(
        name="long-lease",
        planted="a lease lasts a hundred times as long as the policy says: what a dead holder had is not taken over",
        scenario="crash-while-draining.toml",
        convicted_by=("recovery",),
        edits=(Edit(SHARED, "next_fence(last), rules.lease_text", "next_fence(last), 100 * rules.lease"),),
    ),
    Mutant(
        name="constant-fence",
        planted="fencing tokens do not grow: every holder gets the first one",
        scenario="paused-holder.toml",
        convicted_by=("mutual-exclusion",),
        edits=(Edit(SHARED, 'local fence = time[1] .. string.sub("00000" .. time[2], -6)', 'local fence = "2"'),),
    ),
    Mutant(
        name="order-of-arrival",
        planted="siblings are queued in the order in which they were parked, not in which they occurred",
        scenario="siblings.toml",
        convicted_by=("sibling-order",),
        edits=(
            Edit(
                SHARED,
                'redis.call("ZADD", key("queue:" .. leader), occurred, id)',
                'redis.call("ZADD", key("queue:" .. leader), now, id)',
            ),
        ),
    ),
    Mutant(
        name="ties-by-the-greater-id",
        planted="of siblings that occurred at the same moment, the one with the greatest id is handed out first",
        scenario="simultaneous.toml",
        convicted_by=("sibling-order",),
        edits=(
            Edit(
                SHARED,
                'local id = redis.call("ZRANGE", key("queue:" .. leader), 0, 0)[1]\n    if not id',
                'local one = redis.call("ZRANGE", key("queue:" .. leader), 0, 0, "WITHSCORES")\n'
                '    local id = one[1] and redis.call("ZREVRANGEBYSCORE", key("queue:" .. leader), one[2], one[2])[1]\n'
                "    if not id",
            ),
        ),
    ),
    Mutant(
        name="one-payload-a-leader",
        planted="what parked events say is kept by leader: siblings overwrite each other",
        scenario="ladder/n16-fresh-sibling.toml",
        convicted_by=("nothing-lost", "handled-once", "payload-intact", "mutual-exclusion"),
        edits=(
            Edit(
                SHARED,
                'redis.call("SET", key("event:" .. id), payload)',
                'redis.call("SET", key("event:" .. leader), payload)',
            ),
            Edit(
                SHARED,
                'key("processing:" .. id), key("event:" .. id), key("tried:" .. id)\n',
                'key("processing:" .. id), key("event:" .. leader), key("tried:" .. id)\n',
            ),
        ),
    ),
    Mutant(
        name="altered-payload",
        planted="what an event says is altered when it is parked",
        scenario="late-leader.toml",
        convicted_by=("payload-intact",),
        edits=(
            Edit(
                SHARED,
                'redis.call("SET", key("event:" .. id), payload)',
                """redis.call("SET", key("event:" .. id), (string.gsub(payload, '"event":"', '"event":"x-')))""",
            ),
        ),
    ),
    Mutant(
        name="moved-by-a-duplicate",
        planted="a duplicate that names another leader is parked behind that one, and stays in its first queue",
        scenario="production/q12-duplicate-with-another-leader.toml",
        convicted_by=("clean-store", "causal-order"),
        edits=(
            Edit(SHARED, "if waits_for_another(e.id, parked_behind, e.leader) then", "if false then"),
            Edit(SHARED, "  if before and waits_for_another(id, before, leader) then return end\n", ""),
        ),
    ),
    Mutant(
        name="stays-without-a-payload",
        planted="a duplicate that names another leader is not taken, though the payload of the first copy was lost",
        scenario="production/q12-payload-lost-before-a-duplicate.toml",
        convicted_by=("nothing-lost", "prompt-release"),
        edits=(
            Edit(
                SHARED,
                'if redis.call("EXISTS", key("event:" .. id)) == 1 then return true end',
                "if true then return true end",
            ),
        ),
    ),
    Mutant(
        name="expected-for-two-leases",
        planted="a leader that was tried is expected for two leases, however late the queue may offer it again",
        scenario="production/q11-leader-offered-again-late.toml",
        convicted_by=("causal-order",),
        edits=(
            Edit(
                SHARED,
                'attempts .. "|" .. fence, "PX", lasts)',
                'attempts .. "|" .. fence, "PX", 32000)',
            ),
        ),
    ),
    Mutant(
        name="no-heads",
        planted="parked events whose leader is not expected are not listed",
        scenario="ladder/n02-lost-chain-twice.toml",
        convicted_by=("lost-followers-surface",),
        edits=(
            Edit(SHARED, "  if not is_coming(leader) then\n    redis", "  if false then\n    redis"),
            NO_SECOND_LOOK,
        ),
    ),
    Mutant(
        name="attempts-not-counted",
        planted="an attempt counts when its failure is reported: a handler that kills its process reports none",
        scenario="production/q6-handler-kills-its-process.toml",
        convicted_by=("no-stuck-worker",),
        edits=(
            Edit(
                SHARED,
                "note_attempts(id, count_attempt(attempts, rules.shared), fence, rules.redelivery_text)\n",
                "note_attempts(id, attempts, fence, rules.redelivery_text)\n",
            ),
            Edit("fail", "attempts = math.max(1, math.ceil(attempts))", "attempts = math.ceil(attempts) + 1"),
        ),
    ),
)
