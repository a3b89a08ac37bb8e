"""What goes wrong on the way to Redis and back, packet by packet."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Literal, Self

from pydantic import Field, model_validator

from simulation.scenario.faults.timing import Chance, Duration


class PacketFault(Chance):
    """Something that happens to what is sent to Redis.

    A command is matched as it is written, and, if it runs a script that its engine has named, with the script's name
    in place of its digest: "EVALSHA complete *".
    """

    match: str = Field("*", description='which commands: a pattern such as "EVALSHA *" or "SET *:processing:*"')
    consumer: str = Field("*", description="whose commands: a pattern of names")
    event: str = Field("*", description="only commands that name the id of an event: a pattern of event names")
    duration: Duration = Field(0, alias="for", description="strike only for this long; 0s: until the world heals")

    @model_validator(mode="after")
    def _ends_once(self) -> Self:
        if self.duration and self.until is not None:
            raise ValueError("'for' and 'until' both say when it ends: give one of the two")
        return self

    def is_on(self, now: int) -> bool:
        """Return whether the fault may strike at this moment."""
        return super().is_on(now) and (not self.duration or now < self.begin + self.duration)

    def concerns(self, consumer: str, spellings: list[str]) -> bool:
        """Return whether the fault may strike a command of this consumer, given the ways to write it."""
        return fnmatchcase(consumer, self.consumer) and any(fnmatchcase(text, self.match) for text in spellings)


class RequestLost(PacketFault):
    """The request never reaches Redis, and the connection breaks."""

    kind: Literal["request-lost"] = "request-lost"


class ReplyLost(PacketFault):
    """Redis executes the request, but the reply is lost and the connection breaks."""

    kind: Literal["reply-lost"] = "reply-lost"


class Reset(PacketFault):
    """The connection is reset while the request is on its way: the client learns of it at once, Redis executes it."""

    kind: Literal["reset"] = "reset"


class Latency(PacketFault):
    """The request, the reply or both take longer."""

    kind: Literal["latency"] = "latency"
    request: Duration = Field(0, description="how much longer the request travels")
    reply: Duration = Field(0, description="how much longer the reply travels")

    @model_validator(mode="after")
    def _says_how_much(self) -> Self:
        if not (self.request or self.reply):
            raise ValueError("a latency fault needs a 'request' or a 'reply' duration")
        return self


ERRORS = {
    "OOM": "OOM command not allowed when used memory > 'maxmemory'.",
    "READONLY": "READONLY You can't write against a read only replica.",
    "LOADING": "LOADING Redis is loading the dataset in memory",
    "BUSY": "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
    "CLUSTERDOWN": "CLUSTERDOWN The cluster is down",
}

WRITES_ONLY = frozenset({"OOM", "READONLY"})
"""Errors with which Redis answers commands that write, and no others."""

READS = frozenset(
    [
        "PING",
        "ECHO",
        "AUTH",
        "HELLO",
        "SELECT",
        "CLIENT",
        "COMMAND",
        "INFO",
        "TIME",
        "WATCH",
        "UNWATCH",
        "MULTI",
        "EXEC",
        "DISCARD",
        "SCRIPT",
        "QUIT",
        "RESET",
        "GET",
        "MGET",
        "EXISTS",
        "TTL",
        "PTTL",
        "TYPE",
        "STRLEN",
        "KEYS",
        "SCAN",
        "DBSIZE",
        "RANDOMKEY",
        "HGET",
        "HMGET",
        "HGETALL",
        "HLEN",
        "HEXISTS",
        "HKEYS",
        "HVALS",
        "HSCAN",
        "LRANGE",
        "LLEN",
        "LINDEX",
        "SCARD",
        "SISMEMBER",
        "SMISMEMBER",
        "SMEMBERS",
        "SSCAN",
        "ZSCORE",
        "ZMSCORE",
        "ZCARD",
        "ZCOUNT",
        "ZRANGE",
        "ZRANGEBYSCORE",
        "ZREVRANGE",
        "ZREVRANGEBYSCORE",
        "ZRANK",
        "ZREVRANK",
        "ZSCAN",
        "EVAL_RO",
        "EVALSHA_RO",
        "FCALL_RO",
        "XLEN",
        "XRANGE",
        "XREVRANGE",
        "XREAD",
        "XINFO",
        "XPENDING",
        "PUBLISH",
        "SUBSCRIBE",
        "UNSUBSCRIBE",
    ]
)
"""Commands that write nothing."""


class ErrorReply(PacketFault):
    """Redis refuses what was sent with an error, and executes none of it. OOM and READONLY refuse only what writes."""

    kind: Literal["error-reply"] = "error-reply"
    error: Literal["OOM", "READONLY", "LOADING", "BUSY", "CLUSTERDOWN"] = Field(description="the error")

    def refuses(self, verb: str) -> bool:
        """Return whether Redis would answer a command with this error."""
        return self.error not in WRITES_ONLY or verb.upper() not in READS
