"""A server that falls silent in the middle of a wait."""

from __future__ import annotations

import signal
from datetime import timedelta
from typing import Any

import pytest
import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import TimeoutError  # noqa: A004

from ordering import CausalOrdering, Policy
from tests.production.servers import Server, event

POLICY = Policy(lease=timedelta(seconds=1))


async def test_waiting_without_subscription(own: Server, connect: Any) -> None:
    """A wait for a leader ends although no subscription is confirmed."""

    class Stopping(redis.asyncio.Redis):
        """Its server stops when it is about to listen."""

        def pubsub(self, **options: Any) -> Any:
            own.process.send_signal(signal.SIGSTOP)
            return super().pubsub(**options)

    holder = CausalOrdering("test", redis=connect(own.port), policy=POLICY)
    client = connect(own.port, kind=Stopping, socket_timeout=0.3, retry=Retry(NoBackoff(), 0))
    waiting = CausalOrdering("test", redis=client, policy=POLICY)
    leader = event()
    assert await holder.record_event_as_processing(leader)
    with pytest.raises(TimeoutError):
        await waiting.wait_for_leader(event(leader.id))
