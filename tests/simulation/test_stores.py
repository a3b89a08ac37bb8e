"""The stores: a clock exact to the microsecond, runs that start empty, orders that no hash seed decides."""

import os
import re
from collections.abc import Sequence
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import hiredis
import pytest

from simulation.kernel.ambient import Ambient
from simulation.kernel.epoch import EPOCH
from simulation.kernel.event_loop import SimulatedLoop
from simulation.kernel.random_streams import Streams
from simulation.stores.open_store import open_store
from simulation.stores.programs import WHEELS, ServerProgram, server_programs
from simulation.stores.protocol import Link, Store, StoreUnavailable
from simulation.stores.redis_commands import called_by_script
from simulation.stores.redis_server import ServerStore
from simulation.stores.resp import command


def ask(store: Store, *words: str | int) -> object:
    reader = hiredis.Reader(encoding="utf-8")
    link = store.link()
    reader.feed(link.execute(command(*words), 1))
    link.close()
    return reader.gets()


@pytest.mark.parametrize("now", [0, 1, 999_999, 1_234_567, 9_999_500, 86_400_000_000, 3 * 365 * 86_400_000_000 + 7])
def test_virtual_time(server: Store, now: int) -> None:
    """The server shows the virtual time to the microsecond."""
    server.begin(EPOCH)
    server.set_time(now)
    seconds, micros = ask(server, "TIME")
    assert (int(seconds) - int(EPOCH.timestamp())) * 1_000_000 + int(micros) == now


@pytest.mark.parametrize(("now", "left"), [(9_999_500, 1), (10_001_000, 0)])
def test_expiry_is_exact(server: Store, now: int, left: int) -> None:
    server.begin(EPOCH)
    ask(server, "SET", "key", "value", "PX", 10_000)
    server.set_time(now)
    assert ask(server, "EXISTS", "key") == left


def test_run_begins_clean(server: Store) -> None:
    """A run begins with nothing of the one before."""
    server.begin(EPOCH)
    ask(server, "SET", "key", "value")
    server.set_time(5_000_000)
    server.begin(EPOCH + timedelta(days=1))
    assert ask(server, "DBSIZE") == 0
    assert int(ask(server, "TIME")[0]) == int(EPOCH.timestamp()) + 86_400


def the_connection(link: Link) -> bytes:
    return link.execute(command("CLIENT", "ID"), 1)


def test_closed_connection_is_reused(server: Store) -> None:
    """A connection that was closed is lent again and nothing said on it is left."""
    server.begin(EPOCH)
    link = server.link()
    connection = the_connection(link)
    link.execute(command("CLIENT", "SETNAME", "me"), 1)
    link.execute(command("SELECT", 3), 1)
    link.execute(command("WATCH", "key"), 1)
    link.execute(command("MULTI"), 1)
    link.close()
    again = server.link()
    assert again.execute(command("SET", "key", "value"), 1) == b"+OK\r\n"
    assert the_connection(again) == connection
    assert again.execute(command("CLIENT", "GETNAME"), 1) == b"$-1\r\n"
    assert server.all_keys() == ["key"]
    assert b" db=0 " in again.execute(command("CLIENT", "INFO"), 1)


def test_two_that_are_open_at_a_time_are_two(server: Store) -> None:
    assert the_connection(server.link()) != the_connection(server.link())


def test_listening_connection_is_not_reused(server: Store) -> None:
    """A connection that was listened on is not lent again."""
    link = server.link()
    connection = the_connection(link)
    link.send(command("SUBSCRIBE", "channel"))
    link.close()
    assert the_connection(server.link()) != connection


def test_unread_connection_is_not_reused(server: Store) -> None:
    """A connection with an unread reply is not lent again."""
    link = server.link()
    connection = the_connection(link)
    link.execute(command("PING"), 0)
    link.close()
    assert the_connection(server.link()) != connection


def test_close_without_server() -> None:
    """A connection can be closed when its server is gone."""
    store = ServerStore()
    link = store.link()
    store.close()
    link.close()


def test_dropped_script_is_sent_again(server: Store) -> None:
    """A script is sent again if the server has dropped it."""
    server.begin(EPOCH)
    ask = [[b"EVAL", b"return redis.call('INCR', KEYS[1])", b"1", b"counter"]]
    link = server.link()
    assert [link.run(ask), link.run(ask)] == [b":1\r\n", b":2\r\n"]
    link.execute(command("SCRIPT", "FLUSH"), 1)
    assert [link.run(ask), link.run(ask)] == [b":3\r\n", b":4\r\n"]


def test_the_order_of_a_set_is_that_of_insertion(server: Store) -> None:
    server.begin(EPOCH)
    members = [f"{i * 7919 % 1000:03}-member" for i in range(300)]
    for member in members:
        ask(server, "SADD", "set", member)
    assert ask(server, "SMEMBERS", "set") == members


def test_embedded_keeps_ambient_time(embedded) -> None:
    """The embedded store keeps the ambient time."""
    store, loop = embedded.store, SimulatedLoop()
    store.begin(EPOCH)
    with Ambient(loop, EPOCH, Streams(1)):
        ask(store, "SET", "key", "value", "PX", 10_000)
        loop.in_world(9_999_500, lambda: None)
        loop.run_while(lambda: True)
        assert ask(store, "EXISTS", "key") == 1
        loop.in_world(1_500, lambda: None)
        loop.run_while(lambda: True)
        assert ask(store, "EXISTS", "key") == 0


def test_both_stores_answer_the_same(server: Store, embedded) -> None:
    server.begin(EPOCH)
    embedded.store.begin(EPOCH)
    questions = [
        ("SET", "a", "1"), ("INCR", "a"), ("GET", "a"), ("GET", "b"), ("LPUSH", "l", "x", "y"), ("LRANGE", "l", 0, -1),
        ("ZADD", "z", 1, "m"), ("ZRANGE", "z", 0, -1), ("TYPE", "z"), ("EVAL", "return {1, 'two', {3}}", 0),
        ("EVAL", "return redis.call('INCRBY', KEYS[1], ARGV[1])", 1, "a", 5), ("DEL", "a", "b"),
    ]  # fmt: skip
    for words in questions:
        assert ask(server, *words) == ask(embedded.store, *words), words
    for words in [("INCR", "l"), ("EVALSHA", "0" * 40, 0)]:
        assert str(ask(server, *words)).split()[0] == str(ask(embedded.store, *words)).split()[0]


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("WAIT", 1, 100), "fakeredis does not know it"),
        (("OBJECT", "ENCODING", "a"), "fakeredis does not know it"),
        (("XINFO", "HELP"), "fakeredis does not know it"),
        (("EVAL", "return pcall(redis.call, 'GET', 'a') and redis.pcall('WAIT', 1, 1)", 0), "its script calls WAIT"),
        (("SCRIPT", "LOAD", "return {redis.call('get', 'a'), redis.call('Lolwut')}"), "its script calls LOLWUT"),
        (("CLIENT", "SETINFO", "lib-name", "x"), ""),
        (("XINFO", "STREAM", "s"), ""),
        (("QUIT",), ""),
        (("EVAL", "return redis.call('GET', 'a')", 0), ""),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, tuple) else "",
)
def test_commands_unknown_to_fakeredis(server: Store, embedded, words: Sequence[Any], why: str) -> None:
    encoded = [str(word).encode() for word in words]
    assert embedded.store.why_refused(encoded).startswith(why)
    assert bool(embedded.store.why_refused(encoded)) == bool(why)
    assert not server.why_refused(encoded)


@pytest.mark.parametrize(
    ("script", "called"),
    [
        ("redis.call('KEYS', '*')", "KEYS"),
        ('return redis.pcall ( "scan", 0)', "SCAN"),
        ("local ok = pcall(redis.call, 'Keys', '*')", "KEYS"),
        ("local rcall = redis.call\nfor _, k in ipairs(rcall('KEYS', ARGV[1])) do rcall('DEL', k) end", "DEL KEYS"),
        ("local keys = redis.call('GET', 'KEYS') local n = other('SCAN')", "GET"),
        ("local f = redis.call('GET', 'a') return f('KEYS')", "GET"),
    ],
)
def test_commands_that_a_script_calls(script: str, called: str) -> None:
    assert called_by_script([b"EVAL", script.encode(), b"0"]) == set(called.encode().split())


def test_keys_in_a_script_need_a_seed(server: Store) -> None:
    """A server whose hash tables have no seed of the harness lists keys in another order in each process."""
    words = [b"EVAL", b"return redis.call('KEYS', '*')", b"0"]
    assert not server.why_refused(words)
    unseeded = next(
        (program for program in server_programs() if not program.has_hash_seed and program.origin in WHEELS), None
    )
    if unseeded is None:
        pytest.skip("no such server is installed")
    with closing(ServerStore(unseeded.path)) as store:
        assert "its script calls KEYS, and redis-server" in store.why_refused(words)
        assert not store.why_refused([b"KEYS", b"*"])  # the harness sorts these
        assert not store.why_refused([b"EVAL", b"return redis.call('SMEMBERS', 's')", b"0"])


@pytest.mark.parametrize(
    "words",
    [
        ("SET", "a", "1", "IFEQ", "1"),
        ("EVAL", "return cmsgpack.pack({1})", 0),
        ("EVAL", "return redis.sha1hex('a')", 0),
        ("EVAL", "#!lua flags=no-writes\nreturn 1", 0),
        ("EVAL", "return redis.call(ARGV[1])", 0, "WAIT"),
    ],
    ids=lambda words: " ".join(map(str, words)),
)
def test_replies_of_ignorance_end_the_run(embedded, words: Sequence[Any]) -> None:
    embedded.store.begin(EPOCH)
    with pytest.raises(StoreUnavailable, match=r"fakeredis answered.*may be the one that is wrong"):
        ask(embedded.store, *words)


def test_server_cannot_start(tmp_path: Path) -> None:
    """A server that cannot start is named with its reason."""
    broken = tmp_path / "redis-server"
    broken.write_text("#!/bin/sh\necho no such library\nexit 1\n")
    broken.chmod(0o755)
    with pytest.raises(StoreUnavailable, match=r"redis-server does not start under libfaketime: no such library"):
        ServerStore(broken)


def test_server_waits_for_its_allocator(tmp_path: Path) -> None:
    """A server that waits for its own allocator is given up with the reason."""
    stuck = tmp_path / "redis-server"
    stuck.write_text(
        "#!/bin/sh\n"
        "[ $1 = --version ] && exit\n"
        "echo 'Returning -1 on clock_gettime() to break recursion now'\n"
        "exec sleep 600\n"
    )
    stuck.chmod(0o755)
    with pytest.raises(StoreUnavailable, match="jemalloc from a library"):
        ServerStore(stuck)


def shared_by(*processes: int) -> list[str]:
    """Return the names in shared memory that name one of these processes."""
    names = [path.name for path in Path("/dev/shm").iterdir()]
    return [name for name in names if set(re.findall(r"\d+", name)) & set(map(str, processes))]


def test_a_server_leaves_nothing_behind() -> None:
    store = ServerStore()
    directory, process = store._directory, store._process
    assert directory.exists()
    assert process is not None
    assert not shared_by(os.getpid(), process.pid)  # from the start: a killed process leaves nothing either
    store.close()
    assert not directory.exists()
    assert process.poll() is not None


def test_unknown_store() -> None:
    """An unknown store is refused with those that are known."""
    with pytest.raises(StoreUnavailable, match="known are server, embedded"):
        open_store("postgres")


def test_fakeredis_fallback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no server can run fakeredis is chosen and said."""

    def no_server(named: Path | None) -> list[ServerProgram]:
        raise StoreUnavailable("no server for plan9")

    monkeypatch.setattr("simulation.stores.redis_server.server_programs", no_server)
    store, note = open_store("auto")
    assert store.name == "embedded"
    assert "no server for plan9" in note
    assert "fakeredis" in note


def test_no_redis_at_an_address_is_said() -> None:
    with pytest.raises(StoreUnavailable, match=r"no Redis at redis://127.0.0.1:1"):
        open_store("redis://127.0.0.1:1")
