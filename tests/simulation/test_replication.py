"""A replica knows exactly what was written until a moment, whether that moment was foreseen or not."""

from __future__ import annotations

from collections.abc import Sequence

import hiredis
import pytest

from simulation.servers import EPOCH, SocketLink, Store, command

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
def test_whatever_came_after_a_moment_is_lost_and_nothing_before(server: Store, kept: int, foreseen: bool) -> None:
    server.begin(EPOCH)
    server.replicate([kept * STEP + 1] if foreseen else None)
    write(server, 0, 30)
    lost = server.promote(kept * STEP + 1)
    expected = {f"k{i}": str(i) for i in range(kept + 1)} | ({"a": str(kept), "b": str(kept)} if kept >= 0 else {})
    assert values(server) == expected
    assert set(lost) == {f"k{i}" for i in range(kept + 1, 30)} | ({"a", "b"} if kept < 29 else set())


@pytest.mark.parametrize("moments", [[5, 12], [12, 5], [5, 5], [3, 4], [19, 2]])
def test_promotions_whose_moments_overlap_are_the_same_foreseen_or_not(server: Store, moments: Sequence[int]) -> None:
    told = []
    for foreseen in (True, False):
        server.begin(EPOCH)
        server.replicate([moment * STEP for moment in moments] if foreseen else None)
        write(server, 0, 20)
        first = sorted(set(server.promote(moments[0] * STEP)))
        between = values(server)
        write(server, 20, 30)
        second = sorted(set(server.promote(moments[1] * STEP)))
        told.append((first, between, second, values(server)))
    assert told[0] == told[1]
    assert told[0][1]["a"] == str(moments[0])
    assert told[0][3]["a"] == str(min(moments))


def test_what_the_server_needs_many_turns_to_send_is_lost_as_a_whole(server: Store) -> None:
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


def test_nothing_is_lost_where_the_replica_is_not_behind(server: Store) -> None:
    server.begin(EPOCH)
    server.replicate([9 * STEP])
    write(server, 0, 10)
    assert server.promote(9 * STEP) == []
    assert len(server.all_keys()) == 12


def test_the_next_run_knows_nothing_of_the_one_before(server: Store) -> None:
    server.begin(EPOCH)
    server.replicate([0])
    write(server, 0, 5)
    server.begin(EPOCH)
    server.replicate([2 * STEP])
    write(server, 0, 5)
    server.promote(2 * STEP)
    assert sorted(server.all_keys()) == ["a", "b", "k0", "k1", "k2"]
