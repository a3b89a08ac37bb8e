"""Mutants by edits of the script `sweep`."""

from __future__ import annotations

from simulation.engines.mutants.mutant import SHARED, Edit, Mutant

NO_SECOND_LOOK = Edit(
    "sweep", 'if redis.call("EXISTS", key("heads")) == 0 or oldest_waits_too_long() then', "if false then"
)
"""Removes a sweep's rebuilding of evicted lists, which would make up for other faults later."""


NOTHING_IN_HAND = Edit(SHARED, "tonumber(deadline) > now or return_from_hands(e.leader)", "tonumber(deadline) > now")
"""Removes the search, before a queue is taken over, for events in the hands of its last drainer: likewise a repair."""


SWEEP = (
    Mutant(
        name="dropped-from-hands",
        planted="a consumer that takes a queue over leaves to the sweep what its last drainer had in hand",
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
        planted="claims last for a lease, however long a consumer goes through the list",
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
        planted="a sweep does not return dead letters that were not reported",
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
        planted="the sweep does not rebuild what was evicted about waiting events",
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
        name="any-of-the-siblings",
        planted="of siblings whose claims lapse together, a sweep offers as many as it takes, whichever they are",
        scenario="ladder/f17-more-claims-than-a-sweep-takes.toml",
        convicted_by=("sibling-order",),
        seeds=3,
        edits=(Edit("sweep", "local crowded = redis", "local crowded = false and redis"),),
        host="native-waiting",
    ),
    Mutant(
        name="evicted-drainers",
        planted="the drainer of a queue is remembered for ever if the record of its drain was evicted",
        scenario="ladder/p5-evicted-releases.toml",
        convicted_by=("clean-store",),
        edits=(Edit("sweep", "end, end_drain)", "end, function() end)"),),
    ),
    Mutant(
        name="mends-one-event",
        planted="a sweep that finds a chain without its leaders rebuilds the event that it looks at, and none above",
        scenario="ladder/p5-evicted-leaders-small-sweeps.toml",
        convicted_by=("nothing-lost", "lost-followers-surface", "clean-store"),
        edits=(
            Edit(
                "sweep",
                "local leader = leader_of(head)",
                'local leader = head == id and leader_of(head) or redis.call("HGET", key("leaders"), head)',
            ),
        ),
    ),
    Mutant(
        name="lapsed-claim-is-the-end",
        planted="an event of which the claim alone is left is forgotten when that has lapsed, with its payload",
        scenario="ladder/p5-evicted-but-for-the-claims.toml",
        convicted_by=("nothing-lost",),
        edits=(Edit("sweep", "  if not is_left(id) then\n", "  if not is_parked(id) then\n"),),
    ),
    Mutant(
        name="waits-for-each-other",
        planted="the first of a queue, as a sweep has found it, waits for an elder sibling that waits for it",
        scenario="ladder/f21-elder-sibling-after-a-sweep.toml",
        convicted_by=("prompt-release", "nothing-lost"),
        edits=(
            Edit("sweep", "    if queued then id = ", "    local elder = "),
            Edit("sweep", "0, 0)[1] end  -- an elder", "0, 0)[1]  -- an elder"),
            Edit(SHARED, "or e.given and first and drainer == e.claim", ""),
        ),
    ),
    Mutant(
        name="queue-for-ever",
        planted="a queue has no time to live, though nothing may be left that names it",
        scenario="ladder/p5-evicted-leaders-and-payload.toml",
        convicted_by=("clean-store",),
        edits=(
            Edit(
                SHARED,
                'leader) redis.call("PEXPIRE", key("queue:" .. leader), beside and DAY or 7 * DAY) end',
                "leader) end",
            ),
        ),
    ),
    Mutant(
        name="evicted-and-begun-anew",
        planted="a list of waiting followers that exists is taken for whole, though it was evicted and begun again",
        scenario="ladder/f9-evicted-heads-begun-anew.toml",
        convicted_by=("lost-followers-surface",),
        edits=(Edit("sweep", " or oldest_waits_too_long() then", " then"),),
    ),
    Mutant(
        name="evicted-kinship",
        planted="the list of waiting followers is not rebuilt from payloads, if the leaders were evicted, too",
        scenario="ladder/f9-evicted-leaders-and-heads.toml",
        convicted_by=("nothing-lost", "lost-followers-surface"),
        edits=(
            Edit(
                "sweep",
                "local leader = leader_of(head)",
                'local leader = redis.call("HGET", key("leaders"), head)',
            ),
        ),
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
        edits=(
            Edit("shared", "rules.shared), fence, rules.redelivery_text)", "rules.shared), fence, lease)"),
            Edit("shared", 'rules.redelivery, "GT")', '0, "GT")'),
        ),
    ),
    Mutant(
        name="abandoned-claims",
        planted="the sweep does not look for events whose holder is gone",
        scenario="crash-while-draining.toml",
        convicted_by=("nothing-lost",),
        edits=(
            Edit("sweep", '"LIMIT", 0, most)', '"LIMIT", 0, 0)'),
            Edit("sweep", '"LIMIT", 0, math.max(0, window - #found))', '"LIMIT", 0, 0)'),
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
