"""The replies of a server about itself and its connections, without facts that differ between equal runs.

The server of a run is a real process that the harness keeps for many runs: its port, its directory, its memory, its
counters and the numbers of its connections say nothing about the run. A client that logs them, or decides by them,
would have two histories. So the replies of these commands are about the simulated server: connections count from 1
in each run, and measurements of real time or memory have fixed values. Facts of the data, of the version and of
a client's settings are the server's own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha1

from simulation.kernel.environment import SECOND
from simulation.scenario.topology import Address
from simulation.stores.resp import frames

Words = Sequence[bytes]

DESCRIBED = frozenset({b"HELLO", b"CLIENT", b"INFO", b"CONFIG", b"COMMAND", b"FUNCTION", b"ACL", b"PUBSUB"})
"""Commands whose replies are changed by `described`."""

_LISTS = frozenset({b"LIST", b"CHANNELS", b"SHARDCHANNELS", b"CAT"})
"""Of COMMAND, FUNCTION, PUBSUB and ACL: their lists have no order of their own."""
_PROCESS = b"1"
_MEMORY, _MEMORY_HUMAN = b"1048576", b"1.00M"
"""One MiB: enough for a program that divides by it."""
_ID = re.compile(rb"(\$2\r\nid\r\n:)\d+")
_HEADINGS = re.compile(rb"^(cmdstat|latency_percentiles_usec|errorstat)_")
"""Lines of INFO about each command: they count the commands of other runs, too."""
_KEPT = re.compile(
    rb"^(redis_version|server_name|\w*valkey_\w+|redis_mode|server_mode|arch_bits|server_time_usec|role|connected_slaves"
    rb"|slave\d+|master_(host|port|link_status)|maxmemory\w*|loading|cluster_enabled|db\d+|hz|aof_enabled|lfu_\w+)$"
)
_NAMELESS = re.compile(
    rb"^(os|executable|config_file|listener\d+|engine_\d+|gcc_version|\w+_sha1|\w+_build_id|\w*api|mem_allocator)$"
)
_OF_MEMORY = re.compile(rb"memory|mem_|allocator|rss|overhead|dataset|_human")
_NUMBER = re.compile(rb"^-?\d+(\.\d+)?%?$")
_CLIENT_FACTS = frozenset(b"name db sub psub ssub multi watch flags cmd user lib-name lib-ver resp redir capa".split())
"""The fields of CLIENT INFO that the client has set."""
_SETTINGS: Mapping[bytes, bytes] = {
    b"dir": b"/data",
    b"unixsocket": b"",
    b"logfile": b"",
    b"pidfile": b"",
    b"maxclients": b"10000",
    b"enable-debug-command": b"no",
    b"save": b"",
    b"hash-seed": b"",
    b"activerehashing": b"yes",
    b"set-max-intset-entries": b"512",
    b"set-max-listpack-entries": b"128",
    b"set-max-listpack-value": b"64",
    b"hash-max-listpack-entries": b"128",
    b"hash-max-listpack-value": b"64",
    b"hash-max-ziplist-entries": b"128",
    b"hash-max-ziplist-value": b"64",
    # A run with a failover sets these, and they stay for the runs that come after it on the same server.
    b"repl-timeout": b"60",
    b"repl-diskless-sync": b"yes",
    b"rdbcompression": b"yes",
    b"client-output-buffer-limit": b"normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60",
}
"""Settings that the harness has chosen for its servers, each with the default of a server."""


@dataclass(frozen=True, slots=True)
class Facts:
    """The facts about a connection and its server in the run."""

    connection: int
    address: Address
    age_us: int
    now: int
    """Microseconds since the start of the run."""
    clients: int
    waiting: int


def described(words: Words, reply: bytes, facts: Callable[[], Facts]) -> bytes:
    """Return the reply to one of these commands as the simulated server gives it."""
    if reply.startswith((b"-", b"+")):
        return reply
    verb, sub = words[0].upper(), words[1].upper() if len(words) > 1 else b""
    change = _CHANGES.get(verb) or _CHANGES.get(b"%b %b" % (verb, sub))
    if change is not None:
        return change(reply, facts())
    if verb == b"COMMAND" and not sub:
        return _commands(reply)
    return in_order(reply, deep=verb == b"FUNCTION") if sub in _LISTS else reply


def text_of(reply: bytes) -> tuple[bytes, bytes]:
    """Return the text of a reply that is one, and in which form it comes; nothing of any other reply."""
    head, _, text = reply.removesuffix(b"\r\n").partition(b"\r\n")
    if not head.startswith((b"$", b"=")):
        return b"", b""
    return head[:1], text.removeprefix(b"txt:") if head.startswith(b"=") else text


def bulk(form: bytes, text: bytes) -> bytes:
    """Return a text as a reply in this form."""
    body = b"txt:" + text if form == b"=" else text
    return b"%b%d\r\n%b\r\n" % (form, len(body), body)


def _text(reply: bytes, change: Callable[[bytes], bytes]) -> bytes:
    form, text = text_of(reply)
    return bulk(form, change(text)) if form else reply


def in_order(reply: bytes, *, deep: bool = False) -> bytes:
    """Return a list or a set with its items sorted, and any other reply as it is. `deep`: lists in it as well."""
    if not reply.startswith((b"*", b"~")) or reply[1:2] == b"-":
        return reply
    head, _, rest = reply.partition(b"\r\n")
    items = frames(rest)
    if deep:
        items = [in_order(item, deep=True) if _holds_lists(item) else item for item in items]
        if not all(item.startswith((b"*", b"%")) for item in items):
            return head + b"\r\n" + b"".join(items)
    return head + b"\r\n" + b"".join(sorted(items))


def _holds_lists(reply: bytes) -> bool:
    return reply.startswith(b"*") and b"\r\n*" in reply


@lru_cache(maxsize=16)  # in each protocol a server says the same whenever it is asked
def _commands(reply: bytes) -> bytes:
    """Return the reply to COMMAND by the commands' names."""
    if not reply.startswith(b"*"):
        return reply
    head, _, commands = reply.partition(b"\r\n")
    found = []
    for command in frames(commands):
        size, _, parts = command.partition(b"\r\n")
        *facts, inner = frames(parts)
        found.append(size + b"\r\n" + b"".join(facts) + in_order(inner))
    return head + b"\r\n" + b"".join(sorted(found))


# -- INFO ------------------------------------------------------------------------------------------------------------


def _info(reply: bytes, facts: Facts) -> bytes:
    return _text(reply, lambda text: _info_lines(text, facts))


def _info_lines(text: bytes, facts: Facts) -> bytes:
    lines = (line for line in text.split(b"\r\n") if not _HEADINGS.match(line))
    return b"\r\n".join(_info_line(line, facts) for line in lines)


def _info_line(line: bytes, facts: Facts) -> bytes:
    key, colon, value = line.partition(b":")
    if not colon:
        return line
    seconds = facts.now // SECOND
    host, port = facts.address
    name = sha1(b"%b:%d" % (host.encode(), port), usedforsecurity=False).hexdigest()
    known = {
        b"run_id": name,
        b"master_replid": name,
        b"process_id": _PROCESS.decode(),
        b"tcp_port": str(port),
        b"uptime_in_seconds": str(seconds),
        b"uptime_in_days": str(seconds // 86_400),
        b"connected_clients": str(facts.clients),
        b"blocked_clients": str(facts.waiting),
        b"maxclients": "10000",
    }
    if key in known:
        return key + b":" + known[key].encode()
    if _KEPT.match(key):
        return re.sub(rb"avg_ttl=\d+", b"avg_ttl=0", line)
    if _NAMELESS.match(key):
        return key + b":unknown"
    if not _NUMBER.match(value) and not _OF_MEMORY.search(key):
        return line
    return key + b":" + _measured(key, value)


def _measured(key: bytes, value: bytes) -> bytes:
    """Return the substitute for a number that is measured in real time or memory, or counted over many runs."""
    if key.endswith(b"_human"):
        return _MEMORY_HUMAN
    if not _OF_MEMORY.search(key):
        return b"0.00" if b"." in value else b"0"
    return b"1.00" if b"." in value else _MEMORY


# -- connections and settings ----------------------------------------------------------------------------------------


def _hello(reply: bytes, facts: Facts) -> bytes:
    return _ID.sub(rb"\g<1>%d" % facts.connection, reply)


def _number(reply: bytes, facts: Facts) -> bytes:
    return b":%d\r\n" % facts.connection


def _client(reply: bytes, facts: Facts) -> bytes:
    return _text(reply, lambda text: _client_line(text, facts))


def _client_line(text: bytes, facts: Facts) -> bytes:
    host, port = facts.address
    known = {
        b"id": b"%d" % facts.connection,
        b"addr": b"10.0.0.200:%d" % (40_000 + facts.connection % 20_000),
        b"laddr": b"%b:%d" % (host.encode(), port),
        b"fd": b"%d" % (7 + facts.connection),
        b"age": b"%d" % (facts.age_us // SECOND),
        b"events": b"r",
        b"multi": b"-1",  # within MULTI the command is refused
    }
    fields = []
    for field in text.rstrip(b"\n").split(b" "):
        key, _, value = field.partition(b"=")
        fields.append(key + b"=" + known.get(key, value if key in _CLIENT_FACTS else b"0"))
    return b" ".join(fields) + b"\n"


def _settings(reply: bytes, facts: Facts) -> bytes:
    """Return the reply to CONFIG GET by the names of the settings, without the harness's own settings."""
    head, _, rest = reply.partition(b"\r\n")
    items = frames(rest)
    pairs = []
    for name, value in zip(items[::2], items[1::2], strict=True):
        setting = text_of(name)[1]
        known = b"%d" % facts.address[1] if setting == b"port" else _SETTINGS.get(setting)
        pairs.append(name + (value if known is None else bulk(b"$", known)))
    return head + b"\r\n" + b"".join(sorted(pairs))


_CHANGES: Mapping[bytes, Callable[[bytes, Facts], bytes]] = {
    b"HELLO": _hello,
    b"INFO": _info,
    b"CLIENT ID": _number,
    b"CLIENT INFO": _client,
    b"CONFIG GET": _settings,
}
