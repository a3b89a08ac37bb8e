"""Properties of Redis commands: their reads, writes and lists, those that block, and those that run scripts.

Each set holds the names of commands in capitals, as bytes. A command that stands in none of them is taken for one that
reads and changes everything.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from functools import lru_cache


def _commands(names: bytes) -> frozenset[bytes]:
    return frozenset(names.split())


# -- scripts ---------------------------------------------------------------------------------------------------------

EVAL = _commands(b"EVAL EVAL_RO")
EVALSHA = _commands(b"EVALSHA EVALSHA_RO")
SCRIPTS = EVAL | EVALSHA
"""Commands that run a script; what it touches depends on what it finds."""
ABOUT_SCRIPTS = SCRIPTS | {b"SCRIPT"}
BRING_SCRIPTS = EVAL | {b"SCRIPT", b"FUNCTION"}
"""Commands that may have the text of a script."""
MANY_COMMANDS = SCRIPTS | {b"FCALL", b"EXEC"}
"""Commands that execute any number of others."""

_CALL = re.compile(rb"""\b(\w+)\s*[(,]\s*(['"])(\w+)\2""")
"""A call of a function with a name in quotes first, or of Lua's own `pcall` with the function before the name."""
_OTHER_NAME = re.compile(rb"\blocal\s+(\w+)\s*=\s*redis\.p?call\b(?!\s*\()")
_CALLERS = frozenset({b"call", b"pcall"})


def called_by_script(words: Sequence[bytes]) -> frozenset[bytes]:
    """Return the commands that a script calls by their names; `words` is a command that has the script's text.

    A command whose name is computed is not found.
    """
    return _called(words[1] if words[0].upper() in EVAL and len(words) > 1 else words[-1])


@lru_cache(maxsize=512)
def _called(script: bytes) -> frozenset[bytes]:
    callers = _CALLERS.union(_OTHER_NAME.findall(script))
    return frozenset(found[3].upper() for found in _CALL.finditer(script) if found[1] in callers)


# -- connections -----------------------------------------------------------------------------------------------------

HANDSHAKE = _commands(b"HELLO AUTH SELECT CLIENT PING")
"""Commands with which a client opens or tests a connection."""
SUBSCRIBING = _commands(b"SUBSCRIBE PSUBSCRIBE SSUBSCRIBE UNSUBSCRIBE PUNSUBSCRIBE SUNSUBSCRIBE")
PUBLISHING = _commands(b"PUBLISH SPUBLISH EXEC EVAL EVALSHA FCALL")
"""Commands after which the server may have something to push to subscribers."""
BLOCKING = _commands(b"BLPOP BRPOP BLMOVE BLMPOP BRPOPLPUSH BZPOPMIN BZPOPMAX BZMPOP WAIT")
MAY_BLOCK = _commands(b"XREAD XREADGROUP")
"""Commands that block if they have the option BLOCK."""
INDIRECT = MANY_COMMANDS | {b"FLUSHALL", b"FLUSHDB", b"SWAPDB", b"RESTORE", b"COPY", b"FCALL"}
"""Commands that may change keys which they do not name."""
STATEFUL = _commands(b"MULTI EXEC DISCARD WATCH UNWATCH RESET SELECT HELLO")
"""Commands that change what later commands of the same connection do."""

SUBCOMMANDS = _commands(
    b"ACL CLIENT CLUSTER COMMAND CONFIG DEBUG FUNCTION LATENCY MEMORY MODULE OBJECT PUBSUB SCRIPT SLOWLOG XGROUP XINFO"
)
"""Commands whose second word is a part of their name."""

# -- keys ------------------------------------------------------------------------------------------------------------

KEYLESS = _commands(b"CLIENT HELLO PING ECHO AUTH SELECT COMMAND INFO TIME MULTI EXEC DISCARD")
MANY = _commands(b"DEL UNLINK EXISTS MGET TOUCH")
"""Commands of which every argument is a key."""

READS = _commands(
    b"GET MGET EXISTS STRLEN GETRANGE TTL PTTL EXPIRETIME PEXPIRETIME TYPE TOUCH SISMEMBER SMISMEMBER SMEMBERS SCARD "
    b"LRANGE LLEN LINDEX LPOS HGET HMGET HGETALL HEXISTS HLEN HKEYS HVALS ZRANGE ZREVRANGE ZRANGEBYSCORE "
    b"ZREVRANGEBYSCORE ZRANGEBYLEX ZSCORE ZMSCORE ZCARD ZCOUNT ZRANK ZREVRANK"
)
WRITES = _commands(
    b"SET SETNX SETEX PSETEX GETSET GETDEL GETEX APPEND INCR INCRBY DECR DECRBY DEL UNLINK EXPIRE PEXPIRE EXPIREAT "
    b"PEXPIREAT PERSIST SADD SREM SPOP LPUSH RPUSH LPUSHX RPUSHX LPOP RPOP LREM LSET LTRIM HSET HSETNX HMSET HDEL "
    b"HINCRBY ZADD ZREM ZINCRBY ZPOPMIN ZPOPMAX ZREMRANGEBYSCORE ZREMRANGEBYRANK ZREMRANGEBYLEX"
)
WRITING_NOTHING = _commands(
    b"PING ECHO AUTH HELLO SELECT CLIENT COMMAND INFO TIME WATCH UNWATCH MULTI EXEC DISCARD SCRIPT QUIT RESET GET "
    b"MGET EXISTS TTL PTTL TYPE STRLEN KEYS SCAN DBSIZE RANDOMKEY HGET HMGET HGETALL HLEN HEXISTS HKEYS HVALS "
    b"HSCAN LRANGE LLEN LINDEX SCARD SISMEMBER SMISMEMBER SMEMBERS SSCAN ZSCORE ZMSCORE ZCARD ZCOUNT ZRANGE "
    b"ZRANGEBYSCORE ZREVRANGE ZREVRANGEBYSCORE ZRANK ZREVRANK ZSCAN EVAL_RO EVALSHA_RO FCALL_RO XLEN XRANGE "
    b"XREVRANGE XREAD XINFO XPENDING PUBLISH SPUBLISH PUBSUB SUBSCRIBE PSUBSCRIBE SSUBSCRIBE UNSUBSCRIBE "
    b"PUNSUBSCRIBE SUNSUBSCRIBE ROLE CLUSTER ASKING READONLY READWRITE CONFIG OBJECT MEMORY SLOWLOG LATENCY ACL "
    b"LOLWUT WAIT DUMP TOUCH EXPIRETIME PEXPIRETIME GETRANGE SUBSTR GETBIT BITCOUNT BITPOS BITFIELD_RO LPOS LCS "
    b"SORT_RO SINTER SINTERCARD SUNION SDIFF SRANDMEMBER ZMSCORE ZLEXCOUNT ZRANGEBYLEX ZREVRANGEBYLEX "
    b"ZRANDMEMBER ZINTER ZINTERCARD ZUNION ZDIFF HSTRLEN HRANDFIELD HTTL HPTTL HEXPIRETIME HPEXPIRETIME GEODIST "
    b"GEOHASH GEOPOS GEOSEARCH GEORADIUS_RO GEORADIUSBYMEMBER_RO"
)
"""Commands that a server executes which has no memory left, or is a replica."""
READING_DATA = WRITING_NOTHING - _commands(
    b"PING ECHO AUTH HELLO SELECT CLIENT COMMAND INFO TIME WATCH UNWATCH MULTI EXEC DISCARD SCRIPT QUIT RESET PUBLISH "
    b"SPUBLISH PUBSUB SUBSCRIBE PSUBSCRIBE SSUBSCRIBE UNSUBSCRIBE PUNSUBSCRIBE SUNSUBSCRIBE ROLE CLUSTER ASKING "
    b"READONLY READWRITE CONFIG ACL WAIT"
)
"""Commands that only read the data: a replica answers them by what it has."""
IDLE_IF_NOTHING = _commands(
    b"SET SETNX DEL UNLINK EXPIRE PEXPIRE EXPIREAT PEXPIREAT PERSIST SADD SREM SPOP LPUSHX RPUSHX LPOP RPOP LREM "
    b"HSETNX HDEL ZREM ZPOPMIN ZPOPMAX ZREMRANGEBYSCORE ZREMRANGEBYRANK ZREMRANGEBYLEX GETDEL"
)
"""Commands that have changed nothing if they answer 0 or nothing."""

EXPIRING = _commands(b"EXPIRE PEXPIRE EXPIREAT PEXPIREAT")
LISTING = _commands(b"HGETALL HKEYS HVALS")
"""Commands that list the fields of a hash, whose order depends on which came first."""
LISTING_KEYS = _commands(b"KEYS SCAN")
"""Commands that list keys, whose order depends on the seed of a server's hash tables."""
HASHED = _commands(b"HGET HMGET HEXISTS HSET HMSET HSETNX HDEL HINCRBY")
"""Commands about some fields of a hash."""

_ALL, _FIRST, _EVERY_OTHER = slice(None), slice(1), slice(None, None, 2)
MEMBERS = {
    b"HGET": _FIRST,
    b"HMGET": _ALL,
    b"HEXISTS": _FIRST,
    b"HSET": _EVERY_OTHER,
    b"HMSET": _EVERY_OTHER,
    b"HSETNX": _FIRST,
    b"HDEL": _ALL,
    b"HINCRBY": _FIRST,
    b"ZSCORE": _FIRST,
    b"ZMSCORE": _ALL,
    b"ZREM": _ALL,
}
"""Commands about some members of their key, and which of the other arguments name them."""
ZADD_FLAGS = _commands(b"NX XX GT LT CH INCR")
"""Options of ZADD, which stand before its scores and members."""


# -- blocking --------------------------------------------------------------------------------------------------------

_TIMEOUT_FIRST = _commands(b"BLMPOP BZMPOP")


def blocks(words: Sequence[bytes]) -> bool:
    """Whether a command may keep its client waiting."""
    verb = words[0].upper()
    return verb in BLOCKING or (verb in MAY_BLOCK and _block_option(words) is not None)


def timeout_of(words: Sequence[bytes]) -> int | None:
    """Return for how many microseconds a blocking command waits; 0 is without a limit, None if its timeout cannot be
    read.
    """
    verb = words[0].upper()
    try:
        if verb in MAY_BLOCK:
            place = _block_option(words)
            return None if place is None else int(words[place + 1]) * 1_000
        if verb == b"WAIT":
            return int(words[2]) * 1_000
        seconds = float(words[1] if verb in _TIMEOUT_FIRST else words[-1])
        return math.ceil(seconds * 1_000) * 1_000  # Redis rounds up to milliseconds
    except (ValueError, IndexError, OverflowError):
        return None


_STREAMS, _LISTS, _SORTED_SETS = b"stream", b"list", b"zset"


def awaited_type(words: Sequence[bytes]) -> bytes:
    """Return of which type a key must be to wake a blocking command, as TYPE says; empty if any change wakes it."""
    verb = words[0].upper()
    if verb == b"XREADGROUP":
        return b""
    if verb == b"XREAD":
        return _STREAMS
    return _SORTED_SETS if verb.startswith(b"BZ") else _LISTS


def blocking_keys(words: Sequence[bytes]) -> frozenset[bytes]:
    """Return the keys that a blocking command waits for; none if it waits for replicas."""
    match words[0].upper():
        case b"BLMOVE" | b"BRPOPLPUSH":
            return frozenset(words[1:2])
        case b"BLMPOP" | b"BZMPOP":
            return frozenset(words[3 : 3 + int(words[2])])
        case b"XREAD" | b"XREADGROUP":
            place = next(i for i, word in enumerate(words) if word.upper() == b"STREAMS") + 1
            return frozenset(words[place : place + (len(words) - place) // 2])
        case b"WAIT":
            return frozenset()
    return frozenset(words[1:-1])


def _block_option(words: Sequence[bytes]) -> int | None:
    """Return the place of the option BLOCK, which stands before the keys."""
    for place, word in enumerate(words):
        match word.upper():
            case b"STREAMS":
                return None
            case b"BLOCK":
                return place
    return None


# -- refused ---------------------------------------------------------------------------------------------------------

_FOR_THE_HARNESS = "it changes the server itself, which the harness keeps for many runs"
_NO_REPLIES = "it breaks the pairing of commands and replies"
_REAL_TIME = "it takes real time"
_MEASURED = "its reply has real time and memory"
_REFUSED: dict[bytes, str] = {
    b"MONITOR": _NO_REPLIES,
    b"SYNC": _NO_REPLIES,
    b"PSYNC": _NO_REPLIES,
    b"CLIENT REPLY": _NO_REPLIES,
    b"CLIENT PAUSE": _REAL_TIME,
    b"CLIENT UNBLOCK": "the server does not know who waits in virtual time",
    b"CLIENT LIST": "it would list the connections of the harness",
    b"CLIENT KILL": "connections are ended by faults only",
    b"DEBUG": _FOR_THE_HARNESS,
    b"SLOWLOG": _MEASURED,
    b"COMMANDLOG": _MEASURED,
    b"LATENCY": _MEASURED,
    b"MEMORY STATS": _MEASURED,
    b"MEMORY DOCTOR": _MEASURED,
    b"MEMORY MALLOC-STATS": _MEASURED,
    b"OBJECT IDLETIME": _MEASURED,
    b"OBJECT FREQ": _MEASURED,
    b"ACL GENPASS": "the server draws it by chance, which no seed repeats",
    b"LOLWUT": "the server draws it by chance, which no seed repeats",
    b"WAITAOF": "the server writes no append-only file",
    b"SHUTDOWN": _FOR_THE_HARNESS,
    b"REPLICAOF": _FOR_THE_HARNESS,
    b"SLAVEOF": _FOR_THE_HARNESS,
    b"FAILOVER": _FOR_THE_HARNESS,
    b"CONFIG SET": _FOR_THE_HARNESS,
    b"CONFIG REWRITE": _FOR_THE_HARNESS,
    b"CONFIG RESETSTAT": _FOR_THE_HARNESS,
    b"SAVE": _FOR_THE_HARNESS,
    b"BGSAVE": _FOR_THE_HARNESS,
    b"BGREWRITEAOF": _FOR_THE_HARNESS,
    b"MODULE LOAD": _FOR_THE_HARNESS,
    b"ACL SETUSER": _FOR_THE_HARNESS,
    b"ACL DELUSER": _FOR_THE_HARNESS,
    b"MIGRATE": _FOR_THE_HARNESS,
    **{
        b"CLUSTER " + sub: _FOR_THE_HARNESS
        for sub in _commands(
            b"ADDSLOTS ADDSLOTSRANGE BUMPEPOCH CANCELSLOTMIGRATIONS DELSLOTS DELSLOTSRANGE FAILOVER FLUSHSLOTS FORGET "
            b"MEET MIGRATESLOTS MIGRATION REPLICATE RESET SAVECONFIG SET-CONFIG-EPOCH SETSLOT"
        )
    },
}
REFUSED_VERBS = frozenset(name.split()[0] for name in _REFUSED)
NOTIFY = b"NOTIFY-KEYSPACE-EVENTS"


def why_refused(words: Sequence[bytes]) -> str:
    """Return why a command cannot be simulated, empty if it can."""
    verb, sub = words[0].upper(), words[1].upper() if len(words) > 1 else b""
    if verb == b"CONFIG" and sub == b"SET" and len(words) == 4 and words[2].upper() == NOTIFY:
        expired = set(words[3]) & set(b"xA") and set(words[3]) & set(b"KE")
        return "notifications of expired keys come whenever the server looks at them, by real time" if expired else ""
    if verb == b"CLIENT" and sub == b"TRACKING" and b"REDIRECT" in {word.upper() for word in words}:
        return "connections have other numbers in the run than on the server"
    return _REFUSED.get(verb) or _REFUSED.get(b"%b %b" % (verb, sub), "")
