"""Sends the engine's commands by the user's client, through its public interface alone.

Timeouts, retries, pools, credentials, tracing and patches are the client's, and do for the engine's commands what they
do for `client.set`. This module knows nothing of scripts or events.

1. A request that finds no other in flight goes straight, in the task of its caller.
2. Requests made in the same turn of the event loop, or while `MAX_PIPELINES` requests are in flight, are queued, and
   travel as one `client.pipeline(transaction=False)`. So a thousand tasks take few connections out of the pool.
3. Of the requests that travel together, those that name the same `Joint` become one command.
4. A request whose reply in a pipeline is an error is asked again by itself: only there does the client apply
   its `retry_on_error`. So is one to which a joint command has no answer.
5. A request with a long word travels by itself: a server that refuses its length closes the connection.
6. Clusters, clients with a single connection, and clients whose `execute_command` was replaced get no
   pipelines: queued commands go one by one, and fewer at a time than the pool allows.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple
from weakref import WeakKeyDictionary

from redis.asyncio import Redis
from redis.client import NEVER_DECODE
from redis.exceptions import ConnectionError, NoScriptError  # noqa: A004

from ordering.terms import MAX_SHARED_BYTES, as_bytes

Word = str | int | bytes

MAX_PIPELINES = 4
"""Pipelines in flight at a time: Redis executes one while this process reads the replies of another."""
MAX_CALLS = 32
"""Requests in flight at a time where there are no pipelines."""
MAX_PIPELINED = 128
"""Requests in one pipeline: a longer one keeps the replies of its first requests waiting."""
MAX_JOINT = 64
"""Requests in one joint command: no other client is served while its script runs, for a few milliseconds."""
MAX_JOINT_BYTES = 16_384
"""A request with a longer last word, which is what an event says, is not joined with others."""
_DEFAULT_POOL = 100
_UNDECODED: Final[dict[str, Any]] = {NEVER_DECODE: True}
_TURN: Final = object()
"""Instead of a reply: the request is to be sent by its caller."""
_ALONE: Final = object()
"""Instead of a reply: the request is to be asked again by itself."""
_JOINED_FROM: Final = 5
"""Index of the first word that differs in joined requests: behind the command, the script, one key and an argument."""


def encoded(words: Sequence[Word]) -> list[int | bytes]:
    """Return words as UTF-8, for any encoding of the client; any text can be an id, also half a surrogate pair."""
    try:
        # Several times faster than with an error handler named.
        return [word.encode() if isinstance(word, str) else word for word in words]
    except UnicodeEncodeError:
        return [as_bytes(word) if isinstance(word, str) else word for word in words]


class Joint(NamedTuple):
    """Says how a request to run a script may be joined with others: a script answers them all.

    The joint command begins as the request does, with the same key and the same first argument. Then come, for each
    request, the name, a count, and so many words that the request has beyond. Its reply is a list of as many replies.
    """

    name: bytes
    """The script's name for requests of this kind."""
    digest: bytes
    text: bytes


@dataclass(slots=True, eq=False)
class _Request:
    words: Sequence[Any]
    reply: asyncio.Future[Any]
    joint: Joint | None = None
    alone: bool = False
    batch: _Batch | None = None

    @property
    def group(self) -> Any:
        """The common part of requests that may be joined; None for a request that is not to be joined."""
        last = self.words[-1]
        if self.joint is None or (isinstance(last, bytes) and len(last) > MAX_JOINT_BYTES):
            return None
        return self.joint.digest, *self.words[2:_JOINED_FROM]

    def answer(self, reply: Any) -> None:
        """Hand the reply over, unless the caller was cancelled."""
        if self.reply.done():
            return
        if isinstance(reply, NoScriptError):
            self.reply.set_exception(reply)
        else:
            self.reply.set_result(reply)


@dataclass(slots=True, eq=False)
class _Parcel:
    """Requests that travel as one command."""

    requests: list[_Request]

    def command(self, *, in_full: bool = False) -> Sequence[Any]:
        """Return the words of the command, with its script in full or by its digest."""
        first = self.requests[0]
        if len(self.requests) == 1 or first.joint is None:
            return first.words
        words: list[Any] = ["EVAL", first.joint.text] if in_full else ["EVALSHA", first.joint.digest]
        words += first.words[2:_JOINED_FROM]
        for request in self.requests:
            own = request.words[_JOINED_FROM:]
            name = request.joint.name if request.joint else b""
            words += (name, len(own), *own)
        return words

    def is_forgotten(self, reply: Any) -> bool:
        """Return whether the server does not know the script of a joint command."""
        return len(self.requests) > 1 and isinstance(reply, NoScriptError)

    def answer(self, reply: Any) -> None:
        """Hand the replies over."""
        if len(self.requests) == 1:
            self.requests[0].answer(reply)
            return
        replies = [reply] * len(self.requests) if isinstance(reply, Exception) else reply
        for request, one in zip(self.requests, replies, strict=True):
            request.answer(_ALONE if one is None else one)


def joined_requests(words: Sequence[bytes]) -> list[list[bytes]]:
    """Return the requests of a joint command, each with the name of its script; `words` is the command as sent."""
    requests, at = [], _JOINED_FROM
    while at < len(words):
        count = int(words[at + 1])
        own = words[at + 2 : at + 2 + count]
        requests.append([words[0], words[at], *words[2:_JOINED_FROM], *own])
        at += 2 + count
    return requests


@dataclass(slots=True, eq=False)
class _Batch:
    """Requests that travel together; their task ends early when no caller waits any more."""

    waiting: int
    task: asyncio.Task[None] | None = None


def _times_cancelled(task: asyncio.Task[Any] | None) -> int:
    """Return how often a task was cancelled.

    The client may have swallowed a cancellation: before Python 3.12, `asyncio.wait_for` does so if what it waits for is
    done at that moment, and the client sends every command through it.
    """
    return task.cancelling() if task else 0


class Sender:
    """The requests of one client on one event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._queue: deque[_Request] = deque()
        self._in_flight = 0
        self._crowded = False
        """Whether the last requests came together: then the next one waits for the end of its turn of the loop."""
        self._flush_is_due = False

    async def send(self, client: Any, name: str, *words: Word, joint: Joint | None = None) -> Any:
        """Return the reply to one command, its text as bytes. Raises what `client.execute_command` raises."""
        command, task = [name, *encoded(words)], asyncio.current_task()
        cancelled = _times_cancelled(task)
        try:
            if not (self._in_flight or self._queue or self._crowded):
                self._in_flight += 1
                try:
                    reply = await client.execute_command(*command, **_UNDECODED)
                finally:
                    self._leave(client)
            else:
                alone = isinstance(command[-1], bytes) and len(command[-1]) > MAX_SHARED_BYTES
                reply = await self._queued(client, _Request(command, self.loop.create_future(), joint, alone))
                if reply is _ALONE or isinstance(reply, Exception):
                    reply = await self._queued(client, _Request(command, self.loop.create_future(), alone=True))
        except Exception:
            if _times_cancelled(task) > cancelled:
                raise asyncio.CancelledError from None
            raise
        if _times_cancelled(task) > cancelled:
            raise asyncio.CancelledError
        return reply

    async def _queued(self, client: Any, request: _Request) -> Any:
        self._queue.append(request)
        self._plan_flush(client)
        try:
            reply = await request.reply
        except asyncio.CancelledError:
            self._cancel(client, request)
            raise
        if reply is not _TURN:
            return reply
        try:
            return await client.execute_command(*request.words, **_UNDECODED)
        finally:
            self._leave(client)

    def _cancel(self, client: Any, request: _Request) -> None:
        """Drop a request whose caller was cancelled: the other requests of its pipeline go on, if there are any."""
        reply, batch = request.reply, request.batch
        if not reply.cancelled() and reply.done() and reply.exception() is None and reply.result() is _TURN:
            self._leave(client)
        if batch is not None:
            batch.waiting -= 1
            if not batch.waiting and batch.task is not None:
                batch.task.cancel()

    def _leave(self, client: Any) -> None:
        self._in_flight -= 1
        if self._queue:
            self._plan_flush(client)

    def _plan_flush(self, client: Any) -> None:
        """Send what is queued at the end of this turn of the loop, if anything may be sent now."""
        if self._queue and not self._flush_is_due and not self.loop.is_closed() and self._in_flight < _limit_of(client):
            self._flush_is_due = True
            self.loop.call_soon(self._flush, client)

    def _flush(self, client: Any) -> None:
        self._flush_is_due = False
        together, limit = _may_pipeline(client), _limit_of(client)
        may_join = together or _is_unwatched(client)
        while self._in_flight < limit and (requests := self._take(together, may_join)):
            self._crowded = len(requests) > 1
            self._in_flight += 1
            if len(requests) == 1:
                requests[0].reply.set_result(_TURN)
                continue
            batch = _Batch(len(requests))
            for request in requests:
                request.batch = batch
            batch.task = self.loop.create_task(self._send_together(client, requests))

    def _take(self, together: bool, may_join: bool) -> list[_Request]:
        """Take the next requests that travel together out of the queue: in a pipeline, or else as one command."""
        taken, first = list[_Request](), None
        while self._queue and len(taken) < MAX_PIPELINED:
            request = self._queue[0]
            if request.reply.done():  # its caller was cancelled
                self._queue.popleft()
                continue
            if request.alone:
                return taken or [self._queue.popleft()]
            group = None if together or not may_join else request.group
            if not together and taken and group != first:
                break
            first = group
            taken.append(self._queue.popleft())
            if not together and (group is None or len(taken) == MAX_JOINT):
                break
        return taken

    async def _send_together(self, client: Any, requests: list[_Request]) -> None:
        try:
            parcels = _parcels(requests)
            replies = await _replies(client, [parcel.command() for parcel in parcels])
            for i, parcel in enumerate(parcels):
                if parcel.is_forgotten(replies[i]):
                    [replies[i]] = await _replies(client, [parcel.command(in_full=True)])
            for parcel, reply in zip(parcels, replies, strict=True):
                parcel.answer(reply)
        except Exception as error:
            _fail(requests, error)
        except asyncio.CancelledError:
            _fail(requests, ConnectionError("The pipeline of this request was cancelled."))
            raise
        finally:
            self._leave(client)


def _parcels(requests: Sequence[_Request]) -> list[_Parcel]:
    """Return requests as the commands in which they travel."""
    parcels, open_parcels = list[_Parcel](), dict[Any, _Parcel]()
    for request in requests:
        group = request.group
        parcel = open_parcels.get(group) if group else None
        if parcel is not None and len(parcel.requests) < MAX_JOINT:
            parcel.requests.append(request)
            continue
        parcels.append(_Parcel([request]))
        if group:
            open_parcels[group] = parcels[-1]
    return parcels


async def _replies(client: Any, commands: Sequence[Sequence[Any]]) -> list[Any]:
    """Return the replies to commands that travel together; to several, errors are among them."""
    if len(commands) == 1:
        try:
            return [await client.execute_command(*commands[0], **_UNDECODED)]
        except NoScriptError as forgotten:
            return [forgotten]
    async with client.pipeline(transaction=False) as pipeline:
        for command in commands:
            pipeline.execute_command(*command, **_UNDECODED)
        replies: list[Any] = await pipeline.execute(raise_on_error=False)
    return replies


def _fail(requests: list[_Request], error: Exception) -> None:
    for request in requests:
        if not request.reply.done():
            request.reply.set_exception(error)


def _is_unwatched(client: Any) -> bool:
    """Return whether no tracer and no patch looks at each command of the client, as far as known.

    A replacement of `execute_command`, in an instance, a subclass or redis-py's own class, may look at nothing else.
    """
    execute = getattr(type(client), "execute_command", None)
    is_own = str(getattr(execute, "__module__", "")).partition(".")[0] in ("redis", "fakeredis")
    return is_own and not hasattr(execute, "__wrapped__") and "execute_command" not in vars(client)


def _may_pipeline(client: Any) -> bool:
    """Return whether commands may travel in a pipeline, of which a patch of each command sees nothing."""
    return isinstance(client, Redis) and not client.single_connection_client and _is_unwatched(client)


def _limit_of(client: Any) -> int:
    """Return how many requests may be in flight: at most half of the client's pool, the rest is the application's."""
    if getattr(client, "single_connection_client", False):
        return 1
    pool = getattr(client, "connection_pool", None)
    if pool is not None:
        connections = getattr(pool, "max_connections", _DEFAULT_POOL)
    else:  # a cluster's, for each node
        connections = getattr(client, "connection_kwargs", {}).get("max_connections", _DEFAULT_POOL)
    return max(1, min(MAX_PIPELINES if _may_pipeline(client) else MAX_CALLS, connections // 2))


_senders: WeakKeyDictionary[Any, Sender] = WeakKeyDictionary()


def send(client: Any, name: str, *words: Word, joint: Joint | None = None) -> Awaitable[Any]:
    """Return, when awaited, the reply to one command. Raises what `client.execute_command` raises."""
    sender, loop = _senders.get(client), asyncio.get_running_loop()
    if sender is None or sender.loop is not loop:  # the requests in flight on a loop that has ended are lost
        sender = _senders[client] = Sender(loop)
    return sender.send(client, name, *words, joint=joint)
