"""Mutants by wrapping a method or a command: what is wrong between the scripts, or around them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any
from uuid import UUID

from ordering import CausalOrdering
from ordering.causal import Queues
from ordering.leases import Grant
from ordering.scripts import text, words
from ordering.terms import id_of, leader_of, milliseconds
from simulation.engines.mutants.planting import SHARED, Edit, Mutant


class _LocalClock(CausalOrdering):
    async def _call(self, name: str, *args: str | int | bytes) -> Any:
        verb = self.scripts(name)
        return await self.redis.eval(verb.text, 1, self._key("waitlist"), *args, time.time_ns() // 1000)


class _LooksThenParks(CausalOrdering):
    async def _begin(self, event: Any, *, causal: bool = True) -> tuple[str, Grant | None]:
        leader, claimed = leader_of(event), id_of(event) in self._desk.claims
        if causal and leader and not claimed and not await self.event_has_been_seen(leader):
            await self.record_follower(event)
            return "parked", None
        return await super()._begin(event, causal=causal)


class _LooksThenTakes(CausalOrdering):
    async def _begin(self, event: Any, *, causal: bool = True) -> tuple[str, Grant | None]:
        if await self.event_has_started_processing(event):
            return "held", None
        await self.redis.delete(self._key(f"processing:{id_of(event)}"))
        return await super()._begin(event, causal=causal)


class _Waits(CausalOrdering):
    async def _begin(self, event: Any, *, causal: bool = True) -> tuple[str, Grant | None]:
        answer, grant = await super()._begin(event, causal=causal)
        while answer.split()[0] in ("parked", "waiting"):
            await asyncio.sleep(1)
            answer, grant = await super()._begin(event, causal=causal)
        return answer, grant


class _Rounds(CausalOrdering):
    def _parse(self, identity: str, payload: str | bytes) -> Any:
        event = super()._parse(identity, payload)
        return event and event.model_copy(update={"occurred": event.occurred.replace(microsecond=0)})


class _ForgivesHandlers(CausalOrdering):
    @asynccontextmanager
    async def _working(self, grant: Grant, queues: tuple[tuple[str, str], ...]) -> AsyncIterator[None]:
        with suppress(Exception):
            async with super()._working(grant, queues):
                yield


class _TakesNoForAnAnswer(CausalOrdering):
    async def _record(self, grants: Sequence[Grant], ask: Callable[[], Awaitable[Any]], queues: Queues = ()) -> Any:
        return await ask()


class _ClaimsThenCompletes(CausalOrdering):
    async def complete_event_and_get_followers(self, event: Any) -> list[Any]:
        grant, claim = self._desk.held.pop(id_of(event)), self._token()
        ids = [text(i) for i in await self._call("claim", id_of(event), claim, milliseconds(self.policy.lease))]
        self._desk.claims.update(dict.fromkeys(ids, claim))
        if words(await self._complete(grant))[0] == "lost":
            raise self.errors.lost(event)
        return await self.followers_by_id([UUID(i) for i in ids])


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
        ordering=_LocalClock,
    ),
    Mutant(
        name="look-then-park",
        planted="begin is split in two: one step looks at the leader, and another parks the event",
        scenario="ladder/r2-orphan.toml",
        convicted_by=("prompt-release",),
        seeds=20,
        ordering=_LooksThenParks,
    ),
    Mutant(
        name="look-then-take",
        planted="begin is split in two: one step looks who holds the event, and another takes the lease by force",
        scenario="ladder/n11-duplicate-between-check-and-lock.toml",
        convicted_by=("mutual-exclusion", "handled-once"),
        seeds=2,
        ordering=_LooksThenTakes,
    ),
    Mutant(
        name="wait-in-the-worker",
        planted="whoever brings an early event waits for its leader, and works on nothing else",
        scenario="ladder/n02-lost-chain-twice.toml",
        convicted_by=("no-stuck-worker",),
        ordering=_Waits,
    ),
    Mutant(
        name="whole-seconds",
        planted="an event that was parked comes back without its microseconds",
        scenario="late-leader.toml",
        convicted_by=("payload-intact",),
        ordering=_Rounds,
    ),
    Mutant(
        name="forgive-handlers",
        planted="an event whose handler has failed is completed as if it had not",
        scenario="failing-follower.toml",
        convicted_by=("nothing-lost",),
        ordering=_ForgivesHandlers,
    ),
    Mutant(
        name="give-up-at-once",
        planted="a completion that Redis refuses is not asked for again",
        scenario="ladder/f9-completion-refused.toml",
        convicted_by=("handled-once",),
        ordering=_TakesNoForAnAnswer,
    ),
    Mutant(
        name="claim-then-complete",
        planted="a completion has two commands swapped: followers are claimed before their leader is marked",
        scenario="steps.toml",
        convicted_by=("prompt-release",),
        seeds=10,
        ordering=_ClaimsThenCompletes,
        host="native-steps",
    ),
)
