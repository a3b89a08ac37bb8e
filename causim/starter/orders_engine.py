"""An engine that keeps causal order on Redis. Replace its inside with a call of your own code.

It has a bug that was planted, and that `causim` finds: see `handle`.
"""

from ordering import ReceivedEvent
from simulation.engines import EngineContext, Outcome


class OrdersEngine:
    """The engine of one consumer. A consumer that crashes comes back with a new one."""

    def __init__(self, context: EngineContext) -> None:
        self.redis = context.connect(decode_responses=True)  # a plain redis.asyncio.Redis, in virtual time
        self.effect = context.effect  # what the handler does: it must happen once, and in causal order
        self.done = f"{context.scope}:done"
        self.waiting = f"{context.scope}:waiting"

    async def handle(self, event: ReceivedEvent) -> Outcome:
        """Handle one delivery: now, or park the event until its leader was handled."""
        if event.follows and not await self.redis.sismember(self.done, str(event.follows)):
            # The bug: the leader may complete between the question above and the line below. Then no consumer looks for
            # this follower any more. Both belong into one script.
            await self.redis.rpush(f"{self.waiting}:{event.follows}", event.model_dump_json())
            return "parked"
        if await self.redis.sadd(f"{self.done}:begun", str(event.id)) == 0:
            return "seen"  # delivered twice
        await self.effect(event)
        await self.redis.sadd(self.done, str(event.id))
        while isinstance(follower := await self.redis.lpop(f"{self.waiting}:{event.id}"), str):
            await self.handle(ReceivedEvent.model_validate_json(follower))
        for key in (self.done, f"{self.done}:begun"):
            await self.redis.expire(key, 3600)  # seconds; what is kept for ever fills the store
        return "handled"

    async def sweep(self) -> int:
        """Handle followers whose leader did not come; called at intervals. Returns how many there were."""
        return 0
