"""What the harness knows about Redis commands: what they read, write and list, which block, which run scripts.

Each set holds the names of commands in capitals, as bytes. A command that stands in none of them is taken for one that
reads and changes everything.
"""

from __future__ import annotations


def _commands(names: bytes) -> frozenset[bytes]:
    return frozenset(names.split())


# -- scripts ---------------------------------------------------------------------------------------------------------

EVAL = _commands(b"EVAL EVAL_RO")
EVALSHA = _commands(b"EVALSHA EVALSHA_RO")
SCRIPTS = EVAL | EVALSHA
"""Commands that run a script; what it touches depends on what it finds."""
ABOUT_SCRIPTS = SCRIPTS | {b"SCRIPT"}
MANY_COMMANDS = SCRIPTS | {b"FCALL", b"EXEC"}
"""Commands that execute any number of others."""

# -- connections -----------------------------------------------------------------------------------------------------

GREETING = _commands(b"HELLO AUTH SELECT CLIENT PING")
"""Commands with which a client opens or tests a connection."""
SUBSCRIBING = _commands(b"SUBSCRIBE PSUBSCRIBE SSUBSCRIBE UNSUBSCRIBE PUNSUBSCRIBE SUNSUBSCRIBE")
PUBLISHING = _commands(b"PUBLISH SPUBLISH EXEC EVAL EVALSHA FCALL")
"""Commands after which the server may have something to push to subscribers."""
BLOCKING = _commands(b"BLPOP BRPOP BLMOVE BLMPOP BRPOPLPUSH BZPOPMIN BZPOPMAX BZMPOP")
MAY_BLOCK = _commands(b"XREAD XREADGROUP")
"""Commands that block if they have the option BLOCK."""

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
IDLE_IF_NOTHING = _commands(
    b"SET SETNX DEL UNLINK EXPIRE PEXPIRE EXPIREAT PEXPIREAT PERSIST SADD SREM SPOP LPUSHX RPUSHX LPOP RPOP LREM "
    b"HSETNX HDEL ZREM ZPOPMIN ZPOPMAX ZREMRANGEBYSCORE ZREMRANGEBYRANK ZREMRANGEBYLEX GETDEL"
)
"""Commands that have changed nothing if they answer 0 or nothing."""

EXPIRING = _commands(b"EXPIRE PEXPIRE EXPIREAT PEXPIREAT")
LISTING = _commands(b"HGETALL HKEYS HVALS")
"""Commands that list the fields of a hash, whose order depends on which came first."""
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
