"""A script that is refused has written nothing: while its slot is being moved, and while the server has no memory."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from redis.asyncio.cluster import RedisCluster
from redis.crc import key_slot

from ordering import CausalOrdering, Policy
from ordering.scripts import names, script
from ordering.terms import digest_of, rules_of
from tests.ordering.conftest import event

NAMES = names()
POLICY = Policy()
RULES = (rules_of(POLICY),)
TOKEN = "t9"
LEADER, FIRST, SECOND, FRESH, DEAD = (str(event(n).id) for n in (1, 2, 3, 4, 5))


def named(identity: str, leader: str, token: str = "t") -> tuple[Any, ...]:
    """Return an event as `begin` takes it."""
    return identity, token, "", "", leader, "5", "", digest_of(leader) if leader else "", "{}"


REQUESTS: dict[str, tuple[Any, ...]] = {
    "advance": (*RULES, LEADER, "drain", "next"),
    "begin": (*RULES, "causal", *named(FRESH, "none")),
    "begin_many": (*RULES, *named(FRESH, ""), *named("other", FRESH)),
    "claim": (LEADER, "claim", 1000, ""),
    "complete": (*RULES, LEADER, "holder", digest_of(LEADER), "", "", "next"),
    "complete_and_begin": (*RULES, LEADER, "holder", digest_of(LEADER), "", "", "next", *named(FRESH, "")),
    "complete_many": (*RULES, LEADER, "holder", digest_of(LEADER)),
    "discard": (DEAD, TOKEN, 1000, 1000, 1000, digest_of(DEAD)),
    "fail": (*RULES, LEADER, "holder", "failed", 0, "error"),
    "give_up": (*RULES, FRESH, "", "5", "reason", "", "{}", 0),
    "letters": (0, -1),
    "look": ("queue", LEADER, FRESH),
    "mark": (FIRST, 1000, 1000, digest_of(FIRST)),
    "park": (FRESH, LEADER, "5", "{}", ""),
    "release": (LEADER, "drain"),
    "renew": (LEADER, "holder", 1000, ""),
    "renew_many": (1000, 0, LEADER, "holder", ""),
    "revive": (DEAD, TOKEN, 1000),
    "several": (
        *RULES,
        *("begin", 10, "causal", *named(FRESH, "none")),
        *("complete", 6, LEADER, "holder", digest_of(LEADER), "", "", "next"),
    ),
    "stats": (1000, 1000),
    "sweep": (*RULES, "sweep", 10, 0, 5000),
    "unpark": (FIRST,),
    "wait": (*RULES, *named(FRESH, LEADER), 1, 0),
}


def test_there_is_a_request_for_each_script() -> None:
    assert sorted(REQUESTS) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_scripts_ask_for_their_keys_first(name: str) -> None:
    """Each script asks first whether its keys are all here."""
    code = re.sub(r"--[^\n]*", "", script(name).text)
    first = re.search(r"redis\.p?call\((.*)\)", code)
    assert first is not None
    assert first[0] == 'redis.pcall("EXISTS", KEYS[1], key("never"))'
    assert code.count('key("never")') == 1, "nothing may ever be written there"


async def fill(ordering: CausalOrdering) -> None:
    """Have a leader held, two followers parked, and a dead letter."""
    await ordering.give_up(event(5))
    await ordering.record_follower(event(2, 1))
    await ordering.record_follower(event(3, 1))
    await ordering._call("begin", *RULES, "causal", *named(LEADER, "", "holder"))


def contents(*clients: redis.Redis) -> list[dict[bytes, Any]]:
    """Return what each server has, whatever it says about a slot that is being moved: by a dump of its keys."""
    found = []
    for one in clients:
        with one.pipeline(transaction=False) as asked:
            keys = sorted(one.scan_iter())
            for key in keys:
                asked.execute_command("ASKING")
                asked.dump(key)
            found.append(dict(zip(keys, asked.execute(raise_on_error=False)[1::2], strict=True)))
    return found


class Migration:
    """A slot that is moved from one server to another, some keys at a time."""

    def __init__(self, cluster: list[redis.Redis], slot: int) -> None:
        self.slot = slot
        self.source = next(one for one in cluster if one.execute_command("CLUSTER", "COUNTKEYSINSLOT", slot))
        self.target = next(one for one in cluster if one is not self.source)
        self._cluster = cluster
        self._ids = {id(one): one.execute_command("CLUSTER", "MYID").decode() for one in cluster}

    def begin(self) -> None:
        self.target.execute_command("CLUSTER", "SETSLOT", self.slot, "IMPORTING", self._ids[id(self.source)])
        self.source.execute_command("CLUSTER", "SETSLOT", self.slot, "MIGRATING", self._ids[id(self.target)])

    def move(self, *keys: str) -> None:
        port = self.target.connection_pool.connection_kwargs["port"]
        self.source.execute_command("MIGRATE", "127.0.0.1", port, "", 0, 5000, "KEYS", *keys)

    def end(self) -> None:
        for one in (self.target, self.source, *self._cluster):
            one.execute_command("CLUSTER", "SETSLOT", self.slot, "NODE", self._ids[id(self.target)])

    def keys(self) -> list[str]:
        return sorted(key.decode() for key in self.source.scan_iter())


@pytest.fixture
async def moving(nodes: RedisCluster, cluster: list[redis.Redis]) -> Any:
    """A slot with what `fill` has put there, just before it is moved; it is moved wholly in the end."""
    ordering = CausalOrdering("moving", redis=nodes, policy=POLICY)
    await fill(ordering)
    migration = Migration(cluster, key_slot(b"{moving}"))
    migration.begin()
    yield migration
    if keys := migration.keys():
        migration.move(*keys)
    migration.end()


def ask(client: redis.Redis, name: str, *, asking: bool) -> None:
    """Send a request to one server, as a client that knows of the migration does, or one that does not."""
    with client.pipeline(transaction=False) as asked:
        if asking:
            asked.execute_command("ASKING")
        asked.execute_command("EVAL", script(name).text, 1, "{moving}:waitlist", *REQUESTS[name])
        asked.execute()


@pytest.mark.parametrize("moved", ["nothing", "the waitlist", "what is held", "half", "all but one"])
def test_moving_slot_is_not_half_written(moved: str, moving: Migration) -> None:
    """What a moving slot refuses is not half written."""
    keys = moving.keys()
    which = {
        "nothing": [],
        "the waitlist": ["{moving}:waitlist"],
        "what is held": [key for key in keys if ":processing:" in key or ":seen:" in key],
        "half": keys[::2],
        "all but one": keys[1:],
    }[moved]
    if which:
        moving.move(*which)
    before = contents(moving.source, moving.target)
    for name in NAMES:
        for server, asking in ((moving.source, False), (moving.target, True)):
            with pytest.raises(redis.ResponseError, match=r"being moved|: \d+ 127"):
                ask(server, name, asking=asking)
            assert contents(moving.source, moving.target) == before, name


def test_moved_key_is_answered_at_home(moving: Migration) -> None:
    """What was moved is answered in its new home."""
    moving.move(*moving.keys())
    moving.end()
    for name in NAMES:
        ask(moving.target, name, asking=False)


# -- memory -------------------------------------------------------------------------------------------------------


@pytest.fixture
def full(socket: str) -> Iterator[Any]:
    """A server; call it with True to have it short of memory."""
    with redis.Redis(unix_socket_path=socket) as client:
        client.flushall()

        def set_full(yes: bool) -> redis.Redis:
            client.config_set("maxmemory", 1 if yes else 0)
            return client

        yield set_full
        set_full(False)


@pytest.mark.parametrize("name", NAMES)
async def test_out_of_memory_is_not_half_written(name: str, full: Any, socket: str) -> None:
    """What is refused for want of memory is not half written."""
    async with redis.asyncio.Redis(unix_socket_path=socket) as patient:
        await fill(CausalOrdering("moving", redis=patient, policy=POLICY))
    client = full(True)
    before = contents(client)
    try:
        reply = client.execute_command("EVAL", script(name).text, 1, "{moving}:waitlist", *REQUESTS[name])
        assert name != "several" or (reply == [None, None] and contents(client) == before)
    except redis.exceptions.OutOfMemoryError:
        assert contents(client) == before
        full(False).execute_command("EVAL", script(name).text, 1, "{moving}:waitlist", *REQUESTS[name])
