"""Mutants of the drop-in: faults beside the original, in one fleet."""

from __future__ import annotations

from simulation.engines.mutants.mutant import SHARED, Edit, Mutant

BESIDE = (
    Mutant(
        name="parked-for-itself",
        planted="what the drop-in parks is not among the original's followers: its completions do not release it",
        scenario="beside-the-original.toml",
        convicted_by=("prompt-release",),
        seeds=20,
        edits=(Edit(SHARED, '    redis.call("SADD", key("followers:" .. leader), id)\n', ""),),
        host="drop-in",
    ),
    Mutant(
        name="takes-what-is-taken",
        planted="the drop-in handles what the original's sweep has taken",
        scenario="beside-the-original.toml",
        convicted_by=("handled-once", "mutual-exclusion"),
        seeds=20,
        edits=(Edit(SHARED, '  if not redis.call("ZSCORE", key("waitlist"), id) then return false end\n', ""),),
        host="drop-in",
    ),
    Mutant(
        name="deaf-to-the-original",
        planted="a completion of the drop-in releases nothing that the original has parked",
        scenario="beside-the-original.toml",
        convicted_by=("prompt-release", "nothing-lost"),
        seeds=20,
        edits=(Edit(SHARED, "  if not beside then return end\n", "  if true then return end\n"),),
        host="drop-in",
    ),
    Mutant(
        name="hides-what-it-has",
        planted="the drop-in does not keep what it has begun with from the original's sweeps",
        scenario="beside-the-original.toml",
        convicted_by=("handled-once", "mutual-exclusion"),
        seeds=20,
        edits=(
            Edit(
                SHARED,
                '  if beside then redis.call("ZADD", key("waitlist"), "XX"',
                '  if false then redis.call("ZADD", key("waitlist"), "XX"',
            ),
        ),
        host="drop-in",
    ),
)
