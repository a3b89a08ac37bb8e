"""Mutants by edits of the scripts that end a handling or go on with it: complete, advance, fail, wait, renew."""

from __future__ import annotations

from simulation.engines.mutants.mutant import SHARED, Edit, Mutant

NOT_PROLONGED = Edit(
    SHARED,
    'return false end\n  redis.call("PEXPIRE", key("processing:" .. id), lease)\n',
    "return false end\n",
)
"""A renewal does as if it had prolonged the lease."""

COMPLETE = (
    Mutant(
        name="seen-without-ttl",
        planted="that an event was handled is remembered for ever",
        scenario="leader-follower.toml",
        convicted_by=("clean-store",),
        edits=(Edit(SHARED, 'token, "PX", retention)', "token)"),),
    ),
    Mutant(
        name="half-the-retention",
        planted="that an event was handled is remembered for half as long as the policy says",
        scenario="ladder/p8-edge-of-the-retention.toml",
        convicted_by=("handled-once",),
        edits=(Edit(SHARED, 'token, "PX", retention)', 'token, "PX", math.floor(retention / 2))'),),
    ),
    Mutant(
        name="no-memory",
        planted="nothing is remembered of a leader once its seen marker has lapsed",
        scenario="ladder/n18-seen-marker-expired.toml",
        convicted_by=("prompt-release",),
        edits=(Edit(SHARED, "  remember(digest, memory)\n", ""),),
    ),
    Mutant(
        name="memory-without-ttl",
        planted="the sets that remember what was handled have no TTL",
        scenario="leader-follower.toml",
        convicted_by=("clean-store",),
        edits=(Edit(SHARED, '  redis.call("PEXPIRE", set, 2 * memory)\n', ""),),
    ),
    Mutant(
        name="keep-payload",
        planted="what a parked event said stays in Redis after it was handled",
        scenario="late-leader.toml",
        convicted_by=("clean-store",),
        edits=(
            Edit(SHARED, '  redis.call("DEL", key("event:" .. id))\n', ""),
            Edit(SHARED, 'watched, key("event:" .. id)) - known', "watched) - known"),
        ),
    ),
    Mutant(
        name="leaked-leaders",
        planted="the leader of an event that was handled is still recorded",
        scenario="failing-follower.toml",
        convicted_by=("clean-store",),
        edits=(Edit(SHARED, '  redis.call("HDEL", key("leaders"), id)\n', ""),),
    ),
    Mutant(
        name="release-nobody",
        planted="completing an event does not look at what waits for it",
        scenario="late-leader.toml",
        convicted_by=("prompt-release", "nothing-lost"),
        edits=(Edit("complete", "local answer = next_of(id, next_token, next_token, rules)", "local answer = nil"),),
    ),
    Mutant(
        name="hand-out-twice",
        planted="a completion whose reply was lost hands out the next follower instead of the same one again",
        scenario="completion-repeated.toml",
        convicted_by=("sibling-order",),
        edits=(
            Edit("complete", "if answer then return answer end", "if false then return answer end"),
            Edit("complete", 'return "done " .. (waits and "1" or "0")', ""),
        ),
    ),
    Mutant(
        name="not-mine",
        planted="a completion that is repeated takes its own seen marker for another consumer's",
        scenario="completion-repeated.toml",
        convicted_by=("prompt-release",),
        edits=(Edit(SHARED, 'return state[1] == token and "again" or "lost"', 'return "lost"'),),
    ),
    Mutant(
        name="pop-before-handling",
        planted="a released event is taken out of Redis when it is handed out, not when it was handled",
        scenario="crash-while-draining.toml",
        convicted_by=("nothing-lost",),
        edits=(
            Edit(
                SHARED,
                'return {"granted", id, grant(id, token, leader, rules, attempts, last), payload}',
                "local fence = grant(id, token, leader, rules, attempts, last)\n"
                "      forget(id)\n"
                '      return {"granted", id, fence, payload}',
            ),
        ),
    ),
    Mutant(
        name="latest-first",
        planted="of the events that wait for a leader, the latest is handed out first",
        scenario="ladder/n12-duplicate-of-a-claimed-follower.toml",
        convicted_by=("sibling-order",),
        edits=(
            Edit(
                SHARED,
                'local id = redis.call("ZRANGE", key("queue:" .. leader), 0, 0)[1]',
                'local id = redis.call("ZRANGE", key("queue:" .. leader), -1, -1)[1]',
            ),
        ),
    ),
    Mutant(
        name="handed-without-ttl",
        planted="the record of what was handed out has no TTL",
        scenario="late-leader.toml",
        convicted_by=("clean-store",),
        edits=(Edit(SHARED, 'record, "PX", lease)', "record)"),),
    ),
)


ADVANCE = (
    Mutant(
        name="endless-drain",
        planted="a queue that was gone through to its end stays claimed",
        scenario="late-leader.toml",
        convicted_by=("clean-store",),
        edits=(Edit(SHARED, '  redis.call("ZREM", key("releases"), leader)\n', ""),),
    ),
    Mutant(
        name="stop-after-one",
        planted="a drain ends after the first follower, though others wait in the queue",
        scenario="siblings.toml",
        convicted_by=("prompt-release", "nothing-lost"),
        edits=(
            Edit("advance", "local answer = next_of(leader, drain, next_token, rules)", "local answer = nil"),
            Edit("complete", "answer = next_of(leader, drain, next_token, rules)\n  if", "answer = nil\n  if"),
        ),
    ),
    Mutant(
        name="two-drainers",
        planted="a consumer that drains a queue does not ask whether another has taken it over",
        scenario="paused-drainer.toml",
        convicted_by=("sibling-order",),
        edits=(
            Edit("advance", "if drainer and drainer ~= drain then", "if false then"),
            Edit(
                SHARED,
                "  return not drainer or drainer == token\n",
                "  return true\n",
            ),
        ),
    ),
)


FAIL = (
    Mutant(
        name="free-whose-lease",
        planted="fail does not ask whose lease it gives back",
        scenario="paused-holder.toml",
        convicted_by=("mutual-exclusion",),
        edits=(Edit("fail", 'if owner and owner ~= token then return {"lost"} end\n', ""),),
    ),
    Mutant(
        name="give-up-at-once",
        planted="a released event whose handler fails is forgotten",
        scenario="failing-follower.toml",
        convicted_by=("nothing-lost",),
        edits=(
            Edit(
                "fail", 'redis.call("HDEL", key("claimants"), id)\n', 'forget(id)\nif true then return {"freed"} end\n'
            ),
        ),
    ),
)


WAIT = (
    Mutant(
        name="wait-and-forget",
        planted="an event that has waited for long enough is answered as parked, and it is not",
        scenario="ladder/f1-leader-fails-at-the-edge.toml",
        convicted_by=("nothing-lost",),
        edits=(Edit("wait", "park_before_leader(e, rules)\n", ""),),
        host="native-waiting",
    ),
    Mutant(
        name="wait-for-the-dead",
        planted="a follower waits for a leader in flight for as long as the lease lasts, though its holder is silent",
        scenario="production/h8-followers-of-a-dead-holder.toml",
        convicted_by=("no-stuck-worker",),
        edits=(Edit("wait", "left - math.floor((lease or rules.lease) * 23 / 32) or 0", "left or 0"),),
        host="native-waiting",
    ),
)


RENEW = (
    Mutant(
        name="drain-outlives-its-lease",
        planted="renew prolongs a drain, though the lease on the event that it has handed out is lost",
        scenario="ladder/f22-renewed-too-late.toml",
        convicted_by=("sibling-order",),
        edits=(Edit("renew", "mine and #ARGV or 0", "#ARGV"),),
    ),
    Mutant(
        name="hands-out-again",
        planted="a completion that is executed once more, late, hands out the next event to no consumer",
        scenario="ladder/f25-completed-twice.toml",
        convicted_by=("sibling-order",),
        edits=(Edit("complete", 'return "done " .. (waits and "1" or "0")', ""),),
    ),
    Mutant(
        name="advances-again",
        planted="a request for the next event that is executed once more, late, hands one out to no consumer",
        scenario="ladder/f25-advanced-twice.toml",
        convicted_by=("sibling-order",),
        edits=(Edit("advance", "if is_over then", "if false then"),),
    ),
    Mutant(
        name="gives-back-what-others-drain",
        planted="release gives a queue back, also if another consumer has taken it over since",
        scenario="ladder/f24-released-too-late.toml",
        convicted_by=("sibling-order",),
        edits=(Edit("release", "if is_drained_by(ARGV[i], ARGV[i + 1]) then", "if true then"),),
    ),
    Mutant(
        name="renew-nothing",
        planted="renew says that the lease was prolonged, and does not prolong it",
        scenario="ladder/n07-slow-handler.toml",
        convicted_by=("mutual-exclusion",),
        edits=(NOT_PROLONGED,),
    ),
)
