"""Mutants by wrapping a method or a command: what is wrong between the scripts, or around them."""

from __future__ import annotations

from simulation.engines.mutants.mutant import SHARED, Edit, Mutant

MUTANTS = (
    Mutant(
        name="local-clock",
        planted="scripts are told the time by the consumer that calls them, instead of asking Redis",
        scenario="wrong-clock.toml",
        convicted_by=("causal-order",),
        edits=(
            Edit(SHARED, 'local time = redis.call("TIME")\n', ""),
            Edit(SHARED, "local now_us = time[1] * 1000000 + time[2]", "local now_us = tonumber(ARGV[#ARGV])"),
        ),
        ordering="LocalClock",
    ),
    Mutant(
        name="look-then-park",
        planted="begin is split in two: one step looks at the leader, and another parks the event",
        scenario="ladder/r2-orphan.toml",
        convicted_by=("prompt-release",),
        seeds=20,
        ordering="LooksThenParks",
    ),
    Mutant(
        name="look-then-take",
        planted="begin is split in two: one step looks who holds the event, and another takes the lease by force",
        scenario="ladder/n11-duplicate-between-check-and-lock.toml",
        convicted_by=("mutual-exclusion", "handled-once"),
        seeds=2,
        ordering="LooksThenTakes",
    ),
    Mutant(
        name="trust-late-grants",
        planted="a handler begins however long the reply that granted its lease was under way",
        scenario="production/q2-grant-later-than-its-lease.toml",
        convicted_by=("mutual-exclusion", "handled-once"),
        ordering="TrustsLateGrants",
        seeds=20,
    ),
    Mutant(
        name="rest-roots",
        planted="an event that follows nothing rests for five minutes before it is handled",
        scenario="leader-follower.toml",
        convicted_by=("prompt-start",),
        ordering="Rests",
    ),
    Mutant(
        name="wait-in-the-worker",
        planted="whoever brings an early event waits for its leader, and works on nothing else",
        scenario="ladder/n02-lost-chain-twice.toml",
        convicted_by=("no-stuck-worker",),
        ordering="Waits",
    ),
    Mutant(
        name="whole-seconds",
        planted="an event that was parked comes back without its microseconds",
        scenario="late-leader.toml",
        convicted_by=("payload-intact",),
        ordering="Rounds",
    ),
    Mutant(
        name="forgive-handlers",
        planted="an event whose handler has failed is completed as if it had not",
        scenario="failing-follower.toml",
        convicted_by=("nothing-lost",),
        ordering="ForgivesHandlers",
    ),
    Mutant(
        name="give-up-at-once",
        planted="a completion that Redis refuses is not asked for again",
        scenario="ladder/f9-completion-refused.toml",
        convicted_by=("handled-once",),
        ordering="TakesNoForAnAnswer",
    ),
    Mutant(
        name="claim-then-complete",
        planted="a completion has two commands swapped: followers are claimed before their leader is marked",
        scenario="steps.toml",
        convicted_by=("prompt-release",),
        seeds=40,
        ordering="ClaimsThenCompletes",
        host="native-steps",
    ),
    Mutant(
        name="batch-looks-once",
        planted="a batch does not look again for earlier siblings once it was granted",
        scenario="batches.toml",
        convicted_by=("sibling-order",),
        seeds=10,
        ordering="LooksBehindNobody",
        host="native-batches",
    ),
    Mutant(
        name="waits-on-a-closed-connection",
        planted="a script on a connection that the server has closed waits for ever for its reply",
        scenario="production/q1-connection-closed-while-idle.toml",
        convicted_by=("no-stuck-worker",),
        ordering="WaitsOnAClosedConnection",
    ),
    Mutant(
        name="waits-on-a-silent-server",
        planted="a script whose reply does not come in time waits for it for ever",
        scenario="production/q2-server-stalls.toml",
        convicted_by=("no-stuck-worker",),
        ordering="WaitsOnASilentServer",
    ),
    Mutant(
        name="stays-with-a-replica",
        planted="scripts go past the client on a connection of their own, which stays with an old primary",
        scenario="production/q3-failover-behind-one-address.toml",
        convicted_by=("handled-once",),
        ordering="OwnConnection",
    ),
)
