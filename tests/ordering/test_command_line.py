"""`python -m ordering`: what it prints, and its exit codes."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from functools import partial
from typing import Any

import pytest
import redis.asyncio

from ordering import CausalOrdering, EventArrivedEarly, PartitionedOrdering, Policy
from ordering.__main__ import _ordering, _parser, main
from tests.ordering.conftest import Recorder, event


@pytest.fixture
def url(socket: str) -> str:
    """A server with two dead letters, a parked event, and a dead letter in a partition."""
    asyncio.run(_fill(socket))
    return f"unix://{socket}"


async def _fill(socket: str) -> None:
    async with redis.asyncio.Redis(unix_socket_path=socket) as client:
        await client.flushall()
        ordering = CausalOrdering("orders", redis=client)
        with pytest.raises(EventArrivedEarly):
            await Recorder(ordering)(event(9, 8))
        for n in (1, 2):
            await ordering.give_up(event(n, payload={"text": "\x1b[2Jsecret"}), "the queue\x07 did")
        parts = PartitionedOrdering("parts", partitions=3, by=lambda one: str(one.id), redis=client)
        await parts.give_up(event(1))


def ask(capsys: Any, *command: str) -> tuple[int, str, str]:
    code = main(command)
    said = capsys.readouterr()
    return code, said.out, said.err


def test_stats_for_people_and_for_programs(url: str, capsys: Any) -> None:
    code, said, _ = ask(capsys, "stats", url, "orders")
    assert code == 0
    assert "parked     1\n" in said
    assert "dead       2\n" in said
    code, said, _ = ask(capsys, "stats", url, "orders", "--json")
    numbers = json.loads(said)
    assert (code, numbers["parked"], numbers["dead"]) == (0, 1, 2)


def test_stats_of_partitions(url: str, capsys: Any) -> None:
    _, said, _ = ask(capsys, "stats", url, "parts", "--partitions", "3", "--json")
    numbers = json.loads(said)
    assert list(numbers) == ["total", "parts:0", "parts:1", "parts:2"]
    assert numbers["total"]["dead"] == sum(numbers[f"parts:{n}"]["dead"] for n in range(3)) == 1


def test_dead_list_without_payloads(url: str, capsys: Any) -> None:
    """Dead letters are listed without what they say."""
    code, said, _ = ask(capsys, "dead", "list", url, "orders")
    assert (code, len(said.splitlines())) == (0, 2)
    assert str(event(1).id) in said
    assert "secret" not in said
    assert "\x07" not in said
    assert "the queue\\x07 did" in said
    _, said, _ = ask(capsys, "dead", "list", url, "orders", "--json", "--limit", "1")
    assert [letter["id"] for letter in json.loads(said)] == [str(event(1).id)]
    _, said, _ = ask(capsys, "dead", "list", url, "orders", "--json", "--first", "1")
    assert [letter["id"] for letter in json.loads(said)] == [str(event(2).id)]


def test_dead_show_escapes(url: str, capsys: Any) -> None:
    """A dead letter is shown and no terminal obeys it."""
    code, said, _ = ask(capsys, "dead", "show", url, "orders", str(event(1).id))
    assert code == 0
    assert "secret" in said
    assert "\x1b" not in said
    _, said, _ = ask(capsys, "dead", "show", url, "orders", str(event(1).id), "--json")
    assert json.loads(json.loads(said)["payload"])["payload"] == {"text": "\x1b[2Jsecret"}


@pytest.mark.parametrize("verb", ["retry", "discard"])
def test_a_dead_letter_is_dealt_with_once(verb: str, url: str, capsys: Any) -> None:
    assert ask(capsys, "dead", verb, url, "orders", str(event(1).id))[0] == 0
    code, _, complaint = ask(capsys, "dead", verb, url, "orders", str(event(1).id))
    assert (code, "has no dead letter" in complaint) == (1, True)


def test_dead_letter_of_a_partition(url: str, capsys: Any) -> None:
    """A dead letter of a partition is found by its id."""
    assert ask(capsys, "dead", "discard", url, "parts", str(event(1).id), "--partitions", "3")[0] == 0


def test_nothing_to_list_is_no_failure(url: str, capsys: Any) -> None:
    assert ask(capsys, "dead", "list", url, "elsewhere") == (0, "", "no dead letters\n")


def test_a_server_that_is_not_there(capsys: Any) -> None:
    code, said, complaint = ask(capsys, "stats", "unix:///nowhere.sock", "orders")
    assert (code, said) == (3, "")
    assert complaint.startswith("unix:///nowhere.sock: ")


@pytest.mark.parametrize(
    "url", ["unix://some:secret@/nowhere.sock", "unix:///nowhere.sock?password=secret", "redis://:se@cret@localhost:1"]
)
def test_no_password_is_printed(url: str, capsys: Any) -> None:
    code, said, complaint = ask(capsys, "stats", url, "orders")
    assert (code, said) == (3, "")
    assert "…" in complaint
    assert "cret" not in complaint


@pytest.mark.parametrize(
    ("command", "complaint"),
    [
        ([], "required"),
        (["dead"], "required"),
        (["stats", "redis://x"], "SCOPE"),
        (["stats", "localhost:6379", "s"], "redis://"),
        (["stats", "redis://localhost:port", "s"], "port"),
        (["stats", "redis://x", ""], "must not be empty"),
        (["dead", "show", "redis://x", "s", ""], "must not be empty"),
        (["dead", "list", "redis://x", "s", "--limit", "0"], "at least 1, not '0'"),
        (["dead", "list", "redis://x", "s", "--first", "one"], "at least 0, not 'one'"),
        (["stats", "redis://x", "s", "--partitions", "0"], "at least 1, not '0'"),
        (["stats", "redis://x", "s", "--partitions", "100000000"], "at most 16384"),
    ],
)
def test_a_command_that_cannot_be_read(command: list[str], complaint: str, capsys: Any) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(command)
    assert complaint in capsys.readouterr().err


def test_help_is_given() -> None:
    command = [sys.executable, "-m", "ordering", "dead", "retry", "--help"]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    assert said.returncode == 0
    assert "Offer a dead event again" in said.stdout


# -- the consumers' policy, and Prefect's scope ------------------------------------------------------------------------


async def _park(socket: str) -> None:
    """Have an event wait for ten minutes by now."""
    async with redis.asyncio.Redis(unix_socket_path=socket) as client:
        await client.flushall()
        ordering = CausalOrdering("orders", redis=client)
        with pytest.raises(EventArrivedEarly):
            await Recorder(ordering)(event(9, 8))
        [seconds, _] = await client.time()
        for key in ("heads", "waitlist"):
            await client.zadd(ordering._key(key), {str(event(9).id): (seconds - 600) * 1000})


def test_overdue_by_the_consumers_lookback(socket: str, capsys: Any) -> None:
    asyncio.run(_park(socket))
    command = ("stats", f"unix://{socket}", "orders", "--json")
    assert json.loads(ask(capsys, *command)[1])["overdue"] == 0
    assert json.loads(ask(capsys, *command, "--policy", "lookback=300")[1])["overdue"] == 1
    longer = ("--policy", "lookback=3600", "--policy", "retention=7200")
    assert json.loads(ask(capsys, *command, *longer)[1])["overdue"] == 0


def test_discarded_for_the_consumers_retention(url: str, socket: str, capsys: Any) -> None:
    days = 3 * 24 * 60 * 60
    assert ask(capsys, "dead", "discard", url, "orders", str(event(1).id), "--policy", f"retention={days}")[0] == 0

    async def left() -> int:
        async with redis.asyncio.Redis(unix_socket_path=socket) as client:
            return int(await client.ttl("{orders}:seen:" + str(event(1).id)))

    assert asyncio.run(left()) > days - 60


@pytest.mark.parametrize(
    ("time", "complaint"),
    [
        ("lookback", "lookback must be a number of seconds, not ''"),
        ("lookback=nan", "lookback must be a number of seconds, not 'nan'"),
        ("lookback=1e300", "lookback must be a number of seconds"),
        ("lease=16", "must be one of lookback, retention, memory, dead_retention"),
        ("lookback=7200", "must not be shorter than policy.lookback"),
        ("memory=-1", "zero turns it off"),
    ],
)
def test_a_policy_that_cannot_be(time: str, complaint: str, capsys: Any) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["stats", "redis://localhost", "orders", "--policy", time])
    assert complaint in " ".join(capsys.readouterr().err.split())


def test_the_scope_of_the_drop_in(socket: str, capsys: Any) -> None:
    """The keys of `ordering.prefect` have other names."""
    pytest.importorskip("prefect_redis")
    from ordering.prefect import CausalOrdering as DropIn

    async def give_up() -> None:
        async with redis.asyncio.Redis(unix_socket_path=socket) as client:
            await client.flushall()
            await DropIn("triggers", redis=client).give_up(event(1), "the queue did")

    asyncio.run(give_up())
    where = (f"unix://{socket}", "triggers", "--prefect")
    assert json.loads(ask(capsys, "stats", *where, "--json")[1])["dead"] == 1
    assert "the queue did" in ask(capsys, "dead", "list", *where)[1]
    assert ask(capsys, "dead", "retry", *where, str(event(1).id))[0] == 0
    assert json.loads(ask(capsys, "stats", *where, "--json")[1])["parked"] == 1


@pytest.mark.parametrize("cluster", [False, True], ids=["single", "cluster"])
def test_keys_beside_prefect(cluster: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--prefect` names each key as the drop-in does, of which the command line can do without Prefect."""
    pytest.importorskip("prefect_redis")
    import ordering.prefect

    url = "redis+cluster://localhost:7000" if cluster else "redis://localhost:6379"
    of_prefect = ordering.prefect.cluster_key_prefix  # type: ignore[attr-defined]
    monkeypatch.setattr(ordering.prefect, "cluster_key_prefix", partial(of_prefect, url=url))
    scopes = ["triggers", "with:colon", "{braces}", "half{", "ü", "prefect:events:ordering"]
    for scope in scopes:
        options = ["stats", "redis://localhost", scope, "--prefect", *(["--cluster"] if cluster else [])]
        asked = _parser().parse_args(options)
        asked.policy = Policy()
        client = redis.asyncio.Redis()
        beside, drop_in = _ordering(asked, client), ordering.prefect.CausalOrdering(scope, redis=client)
        assert beside._waitlist == drop_in._waitlist
        for name in (beside._waitlist, "dead-letters", "untold", "claims", "dead:1", "seen:{1}", "event:a b"):
            assert beside._key(name) == drop_in._key(name), scope
