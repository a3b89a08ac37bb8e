"""A replica knows exactly what was written until a moment, whether that moment was foreseen or not."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import hiredis
import pytest

from simulation.kernel.epoch import EPOCH
from simulation.stores.links import SocketLink
from simulation.stores.protocol import Store
from simulation.stores.resp import command

STEP = 1_000
"""Microseconds between two writes."""


def values(store: Store) -> dict[str, str]:
    """Return what each key of the server holds."""
    return {name: str(ask(store.link(), "GET", name)) for name in store.all_keys()}


def ask(link: SocketLink, *words: str | int) -> object:
    reader = hiredis.Reader(encoding="utf-8")
    reader.feed(link.execute(command(*words), 1))
    return reader.gets()


def write(store: Store, start: int, end: int) -> None:
    """Write the number of each step to a key of its own, and to one that all share."""
    link = store.link()
    for number in range(start, end):
        store.set_time(number * STEP)
        ask(link, "SET", f"k{number}", number)
        ask(
            link, "EVAL", "redis.call('SET', KEYS[1], ARGV[1]) redis.call('SET', KEYS[2], ARGV[1])", 2, "a", "b", number
        )
    link.close()


@pytest.mark.parametrize("foreseen", [True, False])
@pytest.mark.parametrize("kept", [-1, 0, 1, 17, 29])
def test_loss_is_exact(server: Store, kept: int, foreseen: bool) -> None:
    """Whatever came after a moment is lost and nothing before."""
    server.begin(EPOCH)
    server.replicate([kept * STEP + 1] if foreseen else None)
    write(server, 0, 30)
    lost = server.promote(kept * STEP + 1)
    expected = {f"k{i}": str(i) for i in range(kept + 1)} | ({"a": str(kept), "b": str(kept)} if kept >= 0 else {})
    assert values(server) == expected
    assert set(lost) == {f"k{i}" for i in range(kept + 1, 30)} | ({"a", "b"} if kept < 29 else set())


@pytest.mark.parametrize("moments", [[5, 12], [12, 5], [5, 5], [3, 4], [19, 2]])
def test_overlapping_promotions(server: Store, moments: Sequence[int]) -> None:
    """Promotions whose moments overlap are the same foreseen or not."""
    replies = []
    for foreseen in (True, False):
        server.begin(EPOCH)
        server.replicate([moment * STEP for moment in moments] if foreseen else None)
        write(server, 0, 20)
        first = sorted(set(server.promote(moments[0] * STEP)))
        between = values(server)
        write(server, 20, 30)
        second = sorted(set(server.promote(moments[1] * STEP)))
        replies.append((first, between, second, values(server)))
    assert replies[0] == replies[1]
    assert replies[0][1]["a"] == str(moments[0])
    assert replies[0][3]["a"] == str(min(moments))


def test_large_transfer(server: Store) -> None:
    """What the server needs many turns to send is lost as a whole."""
    server.begin(EPOCH)
    server.replicate([0])
    server.set_time(1)
    link, large = server.link(), "x" * 10_000
    for number in range(1_000):  # ten megabytes: far more than a socket takes at a time
        ask(link, "SET", f"k{number}", large)
    assert len(server.promote(0)) == 1_000
    assert server.all_keys() == []


def test_what_lapsed_since_then_has_lapsed(server: Store) -> None:
    server.begin(EPOCH)
    server.replicate([1])
    ask(server.link(), "SET", "brief", "1", "PX", 10)
    ask(server.link(), "SET", "long", "1", "PX", 1_000)
    server.set_time(20_000)
    server.promote(1)
    assert ask(server.link(), "EXISTS", "brief") == 0
    assert ask(server.link(), "PTTL", "long") == 980


def test_replica_not_behind(server: Store) -> None:
    """Nothing is lost where the replica is not behind."""
    server.begin(EPOCH)
    server.replicate([9 * STEP])
    write(server, 0, 10)
    assert server.promote(9 * STEP) == []
    assert len(server.all_keys()) == 12


def test_next_run_is_clean(server: Store) -> None:
    """The next run knows nothing of the one before."""
    server.begin(EPOCH)
    server.replicate([0])
    write(server, 0, 5)
    server.begin(EPOCH)
    server.replicate([2 * STEP])
    write(server, 0, 5)
    server.promote(2 * STEP)
    assert sorted(server.all_keys()) == ["a", "b", "k0", "k1", "k2"]


# -- whatever engines write, with lifetimes --------------------------------------------------------------------

KEYS = [f"k{i}" for i in range(12)]
Contents = dict[str, tuple[object, int]]


def contents(store: Store) -> Contents:
    """Return what each key holds, byte for byte, and when it lapses, in milliseconds since 1970."""
    link = store.link()
    found = {}
    for key in store.all_keys():
        reader = hiredis.Reader()
        reader.feed(link.execute(command("DUMP", key) + command("PEXPIRETIME", key), 2))
        found[key] = (reader.gets(), reader.gets())
    link.close()
    return found


def write_something(store: Store, rng: Random) -> None:
    link, key = store.link(), rng.choice(KEYS)
    member, life = rng.randrange(40), rng.randrange(500, 5_000)
    match KEYS.index(key) % 5:
        case 0:
            ask(link, "SET", key, "v" * member, "PX", life)
        case 1:
            ask(link, rng.choice(("SADD", "SADD", "SREM")), key, f"member {member}")
        case 2:
            ask(link, "HSET", key, f"field {member}", rng.randrange(1_000))
        case 3:
            ask(link, "ZADD", key, rng.randrange(100), f"member {member}")
        case _:
            ask(link, rng.choice(("RPUSH", "LPUSH")), key, member)
    if rng.random() < 0.2:
        script = "redis.call('PEXPIRE', KEYS[1], ARGV[1]) redis.call('INCR', 'count')"
        ask(link, "EVAL", script, 1, key, life)
    if rng.random() < 0.05:
        ask(link, "DEL", rng.choice(KEYS))
    link.close()


def live_at(known: Contents, now: int) -> Contents:
    clock = int(EPOCH.timestamp() * 1000) + now // 1000
    return {key: value for key, value in known.items() if value[1] == -1 or value[1] > clock}


@pytest.mark.parametrize("foreseen", [True, False])
@pytest.mark.parametrize("seed", range(5))
def test_promoted_state(server: Store, seed: int, foreseen: bool) -> None:
    """What is promoted is what was there at that moment."""
    rng = Random(seed)
    lags = (40_000, 600_000, 150_000, 600_000)  # the second asks for a moment before the first one's
    steps = [[rng.randrange(1, 30) * 1_000 for _ in range(60)] for _ in lags]
    ends = [sum(map(sum, steps[: i + 1])) for i in range(len(lags))]
    server.begin(EPOCH)
    server.replicate([end - lag for end, lag in zip(ends, lags, strict=True)] if foreseen else None)
    known: dict[int, Contents] = {0: {}}
    now = 0
    for part, lag in zip(steps, lags, strict=True):
        for step in part:
            now += step
            server.set_time(now)
            for _ in range(rng.randrange(4)):
                write_something(server, rng)
            known[now] = contents(server)
        at = max(at for at in known if at <= now - lag)
        server.promote(now - lag)
        assert contents(server) == live_at(known[at], now)
        known = {then: what for then, what in known.items() if then <= at}
        known[now] = contents(server)


@pytest.mark.parametrize("foreseen", [True, False])
def test_lifetime_at_the_promotion(server: Store, foreseen: bool) -> None:
    """A lifetime is not forgotten because it is over at the promotion."""
    server.begin(EPOCH)
    server.replicate([1, 19_000_000] if foreseen else None)
    link = server.link()
    server.set_time(2)
    ask(link, "SADD", "set", "a")
    ask(link, "PEXPIRE", "set", 10_000)
    server.set_time(5_000_000)
    ask(link, "SADD", "set", "b")
    server.set_time(20_000_000)
    ask(link, "SET", "other", 1)
    server.promote(19_000_000)
    assert server.all_keys() == []


@pytest.mark.parametrize("foreseen", [True, False])
def test_replica_out_of_memory(server: Store, foreseen: bool) -> None:
    """A replica without memory obeys its primary."""
    server.begin(EPOCH)
    server.replicate([1_000_000] if foreseen else None)
    ask(server.link(), "SET", "key", "value")
    server.set_time(2_000_000)
    server.limit_memory(True)
    server.promote(1_000_000)
    assert server.all_keys() == ["key"]
    assert isinstance(ask(server.link(), "SET", "another", "value"), hiredis.ReplyError)
    server.limit_memory(False)


@pytest.mark.parametrize("foreseen", [True, False])
def test_clock_jump(server: Store, foreseen: bool) -> None:
    """A clock that jumps moves no write to another moment."""
    server.begin(EPOCH)
    server.replicate([4_000_000] if foreseen else None)
    server.set_time(5_000_000)
    ask(server.link(), "SET", "late", 1)
    server.shift(-3_600_000_000)
    server.set_time(5_000_001)
    assert server.promote(4_000_000) == ["late"]
    assert server.all_keys() == []
    server.shift(0)
