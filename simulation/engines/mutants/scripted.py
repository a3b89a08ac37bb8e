"""Mutants by edits of scripts: most of what can be wrong with the engine is wrong in a script."""

from __future__ import annotations

from simulation.engines.mutants.mutant import SHARED, Edit, Mutant

NO_SECOND_LOOK = Edit(
    "sweep", 'if redis.call("EXISTS", key("heads")) == 0 or somebody_waits_too_long() then', "if false then"
)
"""What a sweep does about lists that were evicted would make up for other faults, later."""
NOTHING_IN_HAND = Edit(SHARED, "tonumber(deadline) > now or return_from_hands(e.leader)", "tonumber(deadline) > now")
"""As does looking, before a queue is taken over, for what its last drainer had in hand."""

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
        planted="begin grants a lease that somebody else holds",
        scenario="ladder/n07-slow-handler.toml",
        convicted_by=("mutual-exclusion",),
        edits=(Edit(SHARED, "  if owner then\n    lease_left(e.id)", "  if false then\n    lease_left(e.id)"),),
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
        edits=(Edit(SHARED, "answer = not mine and after_leader(e, rules, parked_behind)", "answer = nil"),),
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
        planted="parking an event once more begins its wait anew: both ZADDs have lost their NX",
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
                'value, "PX", lease)\n  redis.call("SET", key("seen:" .. id), token, "PX", rules.keep)\n',
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
                '    redis.call("ZADD", key("claims"), now + lease, id)\n'
                '    redis.call("HSET", key("claimants"), id, token .. (mark or ""))\n',
                "",
            ),
            NO_SECOND_LOOK,
        ),
    ),
    Mutant(
        name="lease-without-ttl",
        planted="a lease has no TTL, so whoever dies holds it for ever",
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
        name="give-up-early",
        planted="a released event is given up at its first failure",
        scenario="failing-follower.toml",
        convicted_by=("given-up-with-reason",),
        edits=(Edit("fail", "if attempts < rules.attempts then", "if false then"),),
    ),
    Mutant(
        name="failures-counted-twice",
        planted="a failure counts when it is reported, too, and once more if its reply was lost",
        scenario="ladder/p3-reply-lost-failing.toml",
        convicted_by=("given-up-with-reason",),
        edits=(
            Edit("fail", "if told then", "if false then"),
            Edit("fail", "attempts = math.max(1, math.ceil(attempts))", "attempts = math.ceil(attempts) + 1"),
        ),
    ),
    Mutant(
        name="long-lease",
        planted="a lease lasts a hundred times as long as the policy says: nobody takes over what a dead holder had",
        scenario="crash-while-draining.toml",
        convicted_by=("recovery",),
        edits=(Edit(SHARED, "next_fence(rules.keep), rules.lease", "next_fence(rules.keep), 100 * rules.lease"),),
    ),
    Mutant(
        name="constant-fence",
        planted="fencing tokens do not grow: every holder gets the first one",
        scenario="paused-holder.toml",
        convicted_by=("mutual-exclusion",),
        edits=(Edit(SHARED, 'local fence = string.format("%.0f", now_us)', 'local fence = "2"'),),
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
            Edit(SHARED, '  if parked_behind and parked_behind ~= e.leader then return {"parked"} end\n', ""),
            Edit(SHARED, "  if before and before ~= leader and is_parked(id) then return end\n", ""),
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
                '"SET", key("tried:" .. id), attempts, "PX", lasts)',
                '"SET", key("tried:" .. id), attempts, "PX", 32000)',
            ),
        ),
    ),
    Mutant(
        name="no-heads",
        planted="nobody notes which parked events wait for a leader that is not expected",
        scenario="ladder/n02-lost-chain-twice.toml",
        convicted_by=("lost-followers-surface",),
        edits=(
            Edit(SHARED, "  if not is_coming(leader) then\n    redis", "  if false then\n    redis"),
            NO_SECOND_LOOK,
        ),
    ),
)

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
        planted="whom it followed is still known of an event that was handled",
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
        edits=(Edit("complete", "if answer then return answer end", "if false then return answer end"),),
    ),
    Mutant(
        name="not-mine",
        planted="a completion that is repeated takes its own seen marker for somebody else's",
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
                'return {"granted", id, grant(id, token, leader, rules, attempts), payload}',
                "local fence = grant(id, token, leader, rules, attempts)\n"
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
        planted="a drain ends after the first follower, whoever else waits in the queue",
        scenario="siblings.toml",
        convicted_by=("prompt-release", "nothing-lost"),
        edits=(
            Edit("advance", "local answer = next_of(leader, drain, next_token, rules)", "local answer = nil"),
            Edit("complete", "answer = next_of(leader, drain, next_token, rules)\n  if", "answer = nil\n  if"),
        ),
    ),
    Mutant(
        name="two-drainers",
        planted="nobody who drains a queue asks whether somebody else has taken it over",
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

GIVING_UP = (
    Mutant(
        name="give-up-early",
        planted="a released event is given up at its first failure",
        scenario="failing-follower.toml",
        convicted_by=("given-up-with-reason",),
        edits=(Edit("fail", "if attempts < rules.attempts then", "if false then"),),
    ),
    Mutant(
        name="failures-counted-twice",
        planted="a failure counts when it is reported, too, and once more if its reply was lost",
        scenario="ladder/p3-reply-lost-failing.toml",
        convicted_by=("given-up-with-reason",),
        edits=(
            Edit("fail", "if told then", "if false then"),
            Edit("fail", "attempts = math.max(1, math.ceil(attempts))", "attempts = math.ceil(attempts) + 1"),
        ),
    ),
)

WAIT = (
    Mutant(
        name="wait-and-forget",
        planted="who has waited for long enough is told that the event is parked, and it is not",
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
        name="renew-nothing",
        planted="renew says that the lease was prolonged, and does not prolong it",
        scenario="ladder/n07-slow-handler.toml",
        convicted_by=("mutual-exclusion",),
        edits=(Edit("renew", 'redis.call("PEXPIRE", key("processing:" .. id), lease)\n', ""),),
    ),
)

SWEEP = (
    Mutant(
        name="dropped-from-hands",
        planted="whoever takes a queue over leaves to the sweep what its last drainer had in hand",
        scenario="ladder/f12-dropped-by-a-drainer.toml",
        convicted_by=("sibling-order",),
        edits=(NOTHING_IN_HAND,),
    ),
    Mutant(
        name="sweep-before-the-time",
        planted="an event that is parked waits from the beginning of the millisecond, and is overdue too soon",
        scenario="ladder/f11-not-before-the-lookback.toml",
        convicted_by=("causal-order",),
        edits=(Edit("shared", "local from_now = math.ceil(now_us / 1000)", "local from_now = now"),),
    ),
    Mutant(
        name="sweep-takes-over",
        planted="what two sweeps have found, one after the other, is the second one's alone",
        scenario="ladder/f10-slower-than-the-lease.toml",
        convicted_by=("lost-followers-surface",),
        seeds=10,
        edits=(Edit("shared", "if e.given and claimant and", "if false and"),),
    ),
    Mutant(
        name="sweep-is-not-kept",
        planted="claims last for a lease, however long somebody goes through what they are on",
        scenario="ladder/f10-slower-than-the-lease.toml",
        convicted_by=("lost-followers-surface",),
        seeds=40,
        edits=(Edit("shared", "if left < 0 then return end", "if true then return end"),),
    ),
    Mutant(
        name="sweep-too-early",
        planted="the sweep rescues events after half of the lookback",
        scenario="late-but-in-time.toml",
        convicted_by=("causal-order",),
        edits=(Edit("sweep", "now - lookback,", "now - lookback / 2,"),),
    ),
    Mutant(
        name="sweep-too-late",
        planted="the sweep rescues events after twice the lookback",
        scenario="ladder/n02-lost-chain-twice.toml",
        convicted_by=("lost-followers-surface",),
        edits=(Edit("sweep", "now - lookback,", "now - 2 * lookback,"),),
    ),
    Mutant(
        name="sweep-pops",
        planted="the sweep takes events out of Redis when it returns them",
        scenario="ladder/n04-sweep-reply-lost.toml",
        convicted_by=("nothing-lost",),
        edits=(
            Edit(
                "sweep",
                '    claim(id, "")\n    keep(id, leader, "lost")\n',
                '    claim(id, "")\n    keep(id, leader, "lost")\n    forget(id)\n',
            ),
        ),
    ),
    Mutant(
        name="blind-to-cycles",
        planted="the sweep does not see that events wait for each other",
        scenario="cycle.toml",
        convicted_by=("lost-followers-surface", "nothing-lost"),
        edits=(Edit("sweep", "  return id == start\n", "  return false\n"),),
    ),
    Mutant(
        name="cycles-pull-down",
        planted="the sweep takes whatever hangs below a cycle for a part of it",
        scenario="ladder/f3-below-a-cycle.toml",
        convicted_by=("causal-order",),
        edits=(Edit("sweep", "  return id == start\n", "  return visited[id]\n"),),
    ),
    Mutant(
        name="cycle-broken-twice",
        planted="two consumers break one cycle in two places",
        scenario="ladder/f8-cycle-broken-in-one-place.toml",
        convicted_by=("causal-order",),
        edits=(Edit("sweep", "if id and untouched and", "if false and"),),
        seeds=5,
    ),
    Mutant(
        name="cycle-broken-once",
        planted="who has broken a cycle and failed is taken for an ordinary follower when it has rested",
        scenario="ladder/f4-cycle-fails-once.toml",
        convicted_by=("nothing-lost", "lost-followers-surface"),
        edits=(
            Edit("sweep", 'is_on_cycle(id) and "!" or ""', '""'),
            NO_SECOND_LOOK,
        ),
    ),
    Mutant(
        name="impatient-in-line",
        planted="the sweep takes those for lost who wait for their turn behind their siblings",
        scenario="ladder/f5-drain-slower-than-lookback.toml",
        convicted_by=("sibling-order",),
        edits=(Edit("sweep", "elseif is_done(leader) and", "elseif false and"),),
    ),
    Mutant(
        name="forgotten-in-line",
        planted="the sweep takes a leader whose mark has expired for lost, though its queue is still being drained",
        scenario="ladder/f9-drain-slower-than-retention.toml",
        convicted_by=("sibling-order",),
        seeds=5,
        edits=(Edit("sweep", '\n    or redis.call("ZSCORE", key("releases"), leader)', ""),),
    ),
    Mutant(
        name="back-of-the-line",
        planted="what a consumer gives back when it is shut down waits for a sweep, and its siblings overtake it",
        scenario="ladder/f9-given-back-keeps-its-place.toml",
        convicted_by=("sibling-order",),
        edits=(
            Edit("fail", "if leader and place and", "if false and"),
            NOTHING_IN_HAND,
        ),
    ),
    Mutant(
        name="told-by-its-writer-alone",
        planted="a sweep does not tell of dead letters that nobody was told of",
        scenario="production/q14-dead-letter-of-a-dead-consumer.toml",
        convicted_by=("nothing-lost",),
        edits=(
            Edit(
                "sweep", 'key("untold"), "-inf", now, "LIMIT", 0, batch)', 'key("untold"), "-inf", now, "LIMIT", 0, 0)'
            ),
        ),
    ),
    Mutant(
        name="deadlines-of-another-clock",
        planted="the sweep leaves deadlines as they are that were written before the server's clock was set back",
        scenario="production/q13-server-clock-set-back.toml",
        convicted_by=("prompt-release", "nothing-lost"),
        edits=(
            Edit("sweep", 'pull_back("claims", now + math.max(lease, delay), now + lease)\n', ""),
            Edit("sweep", 'pull_back("releases", now + lease, now + lease)\n', ""),
        ),
    ),
    Mutant(
        name="in-the-last-millisecond",
        planted="the sweep takes a queue over in the last millisecond of its drainer's lease",
        scenario="production/q10-last-millisecond-of-a-lease.toml",
        convicted_by=("sibling-order",),
        edits=(Edit("sweep", "then in_use[leader] = true", "then in_use[leader] = false"),),
    ),
    Mutant(
        name="orphans-of-the-unreadable",
        planted="what waits for an event that can never be read is forgotten",
        scenario="ladder/p5-payload-of-a-leader.toml",
        convicted_by=("nothing-lost",),
        edits=(
            Edit(SHARED, "  forget(id)\n  make_heads(id)\n", "  forget(id)\n"),
            NO_SECOND_LOOK,
        ),
    ),
    Mutant(
        name="evicted-for-good",
        planted="the sweep does not write down again what was evicted about those who wait",
        scenario="ladder/p5-evicted-leaders.toml",
        convicted_by=("nothing-lost", "lost-followers-surface"),
        edits=(Edit("sweep", "if not mend(id) then", "if true then"), NO_SECOND_LOOK),
    ),
    Mutant(
        name="out-of-its-place",
        planted="what a dead drainer had in its hands is offered beside its queue, and not in its place there",
        scenario="ladder/f9-drainer-dies-with-its-event.toml",
        convicted_by=("sibling-order",),
        edits=(Edit("sweep", "if leader and place and is_due", "if false and is_due"), NOTHING_IN_HAND),
    ),
    Mutant(
        name="evicted-and-begun-anew",
        planted="a list of lost followers that exists is taken for whole, though it was evicted and begun anew",
        scenario="ladder/f9-evicted-heads-begun-anew.toml",
        convicted_by=("lost-followers-surface",),
        edits=(Edit("sweep", " or somebody_waits_too_long() then", " then"),),
    ),
    Mutant(
        name="evicted-kinship",
        planted="the list of lost followers is not made anew from what events say, if what they follow was evicted too",
        scenario="ladder/f9-evicted-leaders-and-heads.toml",
        convicted_by=("nothing-lost", "lost-followers-surface"),
        edits=(Edit("sweep", " == 1 or mend(id) then", " == 1 then"),),
    ),
    Mutant(
        name="tried-in-vain",
        planted="a leader that has failed is not expected any more",
        scenario="ladder/f1-leader-fails-at-the-edge.toml",
        convicted_by=("causal-order",),
        edits=(Edit("shared", "  return left > 0\n", "  return false\n"),),
    ),
    Mutant(
        name="tried-too-briefly",
        planted="a leader is expected for no longer than its lease",
        scenario="ladder/f2-leader-crashes-at-the-edge.toml",
        convicted_by=("causal-order",),
        edits=(Edit("shared", "rules.shared), rules.redelivery)", "rules.shared), lease)"),),
    ),
    Mutant(
        name="abandoned-claims",
        planted="the sweep does not look for events whose holder is gone",
        scenario="crash-while-draining.toml",
        convicted_by=("nothing-lost",),
        edits=(
            Edit(
                "sweep", 'key("claims"), "-inf", now, "LIMIT", 0, batch)', 'key("claims"), "-inf", now, "LIMIT", 0, 0)'
            ),
            Edit("sweep", '"LIMIT", 0, math.max(0, batch - #found))', '"LIMIT", 0, 0)'),
        ),
    ),
    Mutant(
        name="abandoned-queues",
        planted="the sweep does not look for queues whose drainer is gone",
        scenario="crash-while-draining.toml",
        convicted_by=("nothing-lost", "prompt-release"),
        edits=(
            Edit(
                "sweep",
                'key("releases"), "-inf", now, "LIMIT", 0, batch)',
                'key("releases"), "-inf", now, "LIMIT", 0, 0)',
            ),
        ),
    ),
    Mutant(
        name="sweep-once",
        planted="a repeated sweep does not know what it has claimed before",
        scenario="sweep-repeated.toml",
        convicted_by=("lost-followers-surface",),
        edits=(Edit("sweep", 'if redis.call("EXISTS", record) == 1 then', "if false then"),),
    ),
    Mutant(
        name="sweep-record-for-ever",
        planted="what a sweep has found is remembered for ever",
        scenario="ladder/n02-lost-chain-twice.toml",
        convicted_by=("clean-store",),
        edits=(Edit("sweep", 'redis.call("PEXPIRE", record, lease)\n', ""),),
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
        edits=(
            Edit("claim", 'redis.call("DEL", key("queue:" .. leader))\n', ""),
            Edit("claim", "local ids = ", 'redis.call("DEL", key("queue:" .. leader))\nlocal ids = '),
        ),
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
        planted="claim takes events out of their queue and notes no deadline for whoever has them",
        scenario="steps-crashing.toml",
        convicted_by=("nothing-lost",),
        edits=(
            Edit("claim", '  redis.call("ZADD", key("claims"), now + lease, id)\n', ""),
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
        edits=(Edit("begin_many", 'if answer[1] == "granted" then together', "if true then together"),),
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
        ordering="LooksBehindNobody",
        host="native-batches",
        seeds=10,
    ),
    Mutant(
        name="batch-releases-nobody",
        planted="complete_many does not say which of the events others wait for",
        scenario="batches.toml",
        convicted_by=("prompt-release", "nothing-lost"),
        edits=(Edit("complete_many", 'waiting and "1" or "0"', '"0"'),),
        host="native-batches",
    ),
    Mutant(
        name="batch-renews-nothing",
        planted="the renewal of a batch says that the leases were prolonged, and does not prolong them",
        scenario="slow-batch.toml",
        convicted_by=("handled-once", "mutual-exclusion"),
        edits=(
            Edit("renew_many", 'redis.call("PEXPIRE", key("processing:" .. id), lease)\n', ""),
            Edit("renew_many", 'mine and "1" or "0"', '"1"'),
        ),
        host="native-batches",
    ),
)

STREAMS = (
    Mutant(
        name="stream-completes-nothing",
        planted="the script that completes an event and begins the next one of a stream only begins the next one",
        scenario="stream.toml",
        convicted_by=("prompt-release", "handled-once"),
        edits=(Edit("complete_and_begin", 'if ARGV[8] ~= "" then completion = complete() end\n', ""),),
        host="native-stream",
    ),
)

MUTANTS = (*BEGIN, *COMPLETE, *ADVANCE, *FAIL, *GIVING_UP, *WAIT, *RENEW, *SWEEP, *STEPS, *BATCHES, *STREAMS)
