"""The request that keeps leases: it prolongs them, and the claims on queues that their holder goes through."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import timedelta
from itertools import chain
from typing import Any

from ordering.leases import Grant, Queue
from ordering.scripts import words
from ordering.terms import milliseconds

MAX_SLICE = 1_000
"""Events that one script decides about, completes or renews: others wait in the few milliseconds that it takes."""


async def renew(
    call: Callable[..., Awaitable[Any]], lease: timedelta, sent: float, grants: Sequence[Grant], queues: Sequence[Queue]
) -> None:
    """Prolong leases in one round trip, and the claims on queues.

    Note of each lease whether it is lost, or until when it lasts. Raises the client's errors.

    Args:
        call: runs a script.
        lease: the length of a lease.
        sent: the time of the loop.
        grants: the leases.
        queues: the queues that the holder goes through, or will.
    """
    lease_ms, until = milliseconds(lease), sent + lease.total_seconds()
    if len(grants) == 1:
        (one,) = grants
        token, names = one.token, [word for queue in queues for word in queue]
        reply = words(await call("renew", one.identity, token, lease_ms, one.claim, *names))
        _note(one, token, reply[0] == "renewed", until)
        return
    slices = list(_slices(grants, queues))
    requests = (call("renew_many", lease_ms, *fields) for _, _, fields in slices)
    replies = await asyncio.gather(*requests, return_exceptions=True)
    for (part, tokens, _), answers in zip(slices, replies, strict=True):
        if not isinstance(answers, BaseException):
            for grant, token, answer in zip(part, tokens, words(answers), strict=True):
                _note(grant, token, answer == "1", until)
    for refusal in replies:
        if isinstance(refusal, BaseException):
            raise refusal


def _slices(
    grants: Sequence[Grant], queues: Sequence[Queue]
) -> Iterator[tuple[Sequence[Grant], list[str], list[str | int]]]:
    """Divide leases into slices; return of each the leases, their tokens, and the words of its request.

    A queue is in the slice of an event that came with it, since it ends with the lease on that; any other in the first.
    """
    slice_of = {grant.leader: i // MAX_SLICE for i, grant in enumerate(grants)} if len(grants) > MAX_SLICE else {}
    for i in range(0, len(grants), MAX_SLICE):
        part = grants[i : i + MAX_SLICE]
        here = [queue for queue in queues if slice_of.get(queue[0], 0) == i // MAX_SLICE]
        events = ((grant.identity, grant.token, grant.claim) for grant in part)
        fields: list[str | int] = [len(here), *chain.from_iterable(here), *chain.from_iterable(events)]
        yield part, [grant.token for grant in part], fields


def _note(grant: Grant, token: str, renewed: bool, until: float) -> None:
    if grant.token != token:  # granted again meanwhile, under another token
        return
    if renewed:
        grant.proven_until = until
    else:
        grant.lost = True
