"""Mutants by edits of scripts: most faults that the engine can have are in a script."""

from __future__ import annotations

from simulation.engines.mutants.mutant import SHARED, Edit, Mutant
from simulation.engines.mutants.scripts_begin import BEGIN
from simulation.engines.mutants.scripts_beside import BESIDE
from simulation.engines.mutants.scripts_complete import ADVANCE, COMPLETE, FAIL, RENEW, WAIT
from simulation.engines.mutants.scripts_other import BATCHES, JOINT, STEPS
from simulation.engines.mutants.scripts_sweep import SWEEP

GIVING_UP = (
    Mutant(
        name="unreadable-deleted",
        planted="what a consumer cannot read is deleted: another one may have been able to",
        scenario="half-readers.toml",
        convicted_by=("nothing-lost",),
        seeds=4,
        edits=(
            Edit(
                "fail",
                'if how == "unread" then\n',
                'if how == "unread" then\n  redis.call("DEL", key("event:" .. id))\n',
            ),
        ),
        host="simulation.engines.mutants.half_readers:HalfReaders",
    ),
    Mutant(
        name="unreadable-kept-on",
        planted="an event that no consumer can read stays parked after its attempts, and is given up without a reason",
        scenario="production/q9-unreadable-for-all.toml",
        convicted_by=("given-up-with-reason",),
        edits=(
            Edit("fail", "if attempts < rules.attempts then", 'if how == "unread" or attempts < rules.attempts then'),
        ),
    ),
    Mutant(
        name="unreadable-uncounted",
        planted="a sweep that finds an event that it cannot read counts no attempt",
        scenario="production/q9-unreadable-for-all.toml",
        convicted_by=("causal-order", "prompt-release"),
        edits=(Edit("fail", "if not owner then attempts = count_attempt(attempts) end", ""),),
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
            Edit("fail", "if before then", "if false then"),
            Edit("fail", "attempts = math.max(1, math.ceil(attempts))", "attempts = math.ceil(attempts) + 1"),
        ),
    ),
    Mutant(
        name="expected-for-ever",
        planted="a leader that was tried once is expected for ever, also if the queue has forgotten it",
        scenario="production/q11-trimmed-leader.toml",
        convicted_by=("clean-store",),
        edits=(
            Edit(
                SHARED,
                'redis.call("SET", key("tried:" .. id), attempts .. "|" .. fence, "PX", lasts)',
                'redis.call("SET", key("tried:" .. id), attempts .. "|" .. fence)',
            ),
            Edit(SHARED, "  return left > 0\nend", "  return left ~= -2\nend"),
        ),
    ),
)


STREAMS = (
    Mutant(
        name="stream-completes-nothing",
        planted="the script that completes an event and begins the next one of a stream only begins the next one",
        scenario="stream.toml",
        convicted_by=("prompt-release", "handled-once"),
        edits=(Edit("complete_and_begin", 'if ARGV[2] ~= "" then completion = complete(ARGV) end\n', ""),),
        host="native-stream",
    ),
)

MUTANTS = (
    *BEGIN,
    *COMPLETE,
    *ADVANCE,
    *FAIL,
    *GIVING_UP,
    *WAIT,
    *RENEW,
    *SWEEP,
    *STEPS,
    *JOINT,
    *BATCHES,
    *STREAMS,
    *BESIDE,
)
