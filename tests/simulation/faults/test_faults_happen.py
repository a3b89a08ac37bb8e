"""Each fault happens: not that it was noted, but what it does to the world."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from simulation import Laboratory, Run, loads
from simulation.scenario.errors import BadScenario
from simulation.stores.protocol import StoreUnavailable

ONE = '[workload]\nevents = [{ name = "a" }]\n'
TWO = '[workload]\nevents = [{ name = "a" }, { name = "b", follows = "a", at = "100ms" }]\n'
STEADY = '[broker]\ndelay = "1ms"\n[network]\nlatency = "1ms"\n'
ALONE = '[consumers]\ncount = 1\nhandler_time = "5ms"\n'


def fault(kind: str, **keys: Any) -> str:
    lines = [f'kind = "{kind}"'] + [
        f"{k.rstrip('_')} = {v!r}".replace("True", "true").replace("False", "false") for k, v in keys.items()
    ]
    return "[[faults]]\n" + "\n".join(lines) + "\n"


def run(laboratory: Laboratory, text: str, engine: str = "native", **options: Any) -> Run:
    return laboratory.run(loads('name = "test"\n' + text), 1, engine, **options)


def entries_of(run: Run, *kinds: str) -> list[tuple[str, int]]:
    return [(e.kind, e.at) for e in run.history.of(*kinds)]


def ends(run: Run) -> Counter[tuple[str, str]]:
    return Counter((e.event, e.details["outcome"]) for e in run.history.of("ended"))


@pytest.mark.parametrize("when", ["before", "after"])
def test_crash_before_or_after_a_command(laboratory: Laboratory, when: str) -> None:
    """A crash at a command is just before or just after Redis executes it."""
    text = ONE + ALONE + STEADY + fault("crash", command="EVAL* begin *", nth=1, when=when)
    result = run(laboratory, text, trace=True)
    [crash] = result.history.of("crashed")
    executed = [e for e in result.history.of("command") if "EVAL" in e.details["commands"][0][0] and e.at <= crash.at]
    assert len(executed) == (0 if when == "before" else 1)
    assert result.verdict == "holds"


@pytest.mark.parametrize(
    ("step", "when", "started", "ended"),
    [("start", "before", 1, 1), ("start", "after", 2, 1), ("end", "before", 2, 1), ("end", "after", 2, 2)],
)
def test_a_crash_at_a_handler_step(laboratory: Laboratory, step: str, when: str, started: int, ended: int) -> None:
    result = run(laboratory, ONE + ALONE + STEADY + fault("crash", step=step, when=when))
    assert (len(entries_of(result, "started")), len(entries_of(result, "ended"))) == (started, ended)
    assert len(entries_of(result, "crashed")) == 1


def test_a_stop_cancels_and_a_crash_does_not(laboratory: Laboratory) -> None:
    slow = '[consumers]\ncount = 1\nhandler_time = "400ms"\n'
    stopped = run(laboratory, ONE + slow + STEADY + fault("stop", at="200ms"))
    crashed = run(laboratory, ONE + slow + STEADY + fault("crash", at="200ms"))
    assert ends(stopped) == {("a", "failed"): 1, ("a", "ok"): 1}
    assert ends(crashed) == {("a", "ok"): 1}


def test_pause_beyond_the_lease(laboratory: Laboratory) -> None:
    """A pause freezes and a write after the lease is refused."""
    text = ONE + '[consumers]\ncount = 2\nhandler_time = "5ms"\n' + STEADY
    result = run(laboratory, text + fault("pause", step="end", when="before", for_="40s"))
    writes = [e.details["write"] for e in result.history.of("ended")]
    assert sorted(writes) == ["accepted", "refused"]
    assert result.verdict == "holds"


def test_pause_before_a_command_outlasts_healing(laboratory: Laboratory) -> None:
    """A world that heals early does not say that a consumer has resumed whose command is still on its way."""
    policy = '[policy]\nlookback = "20s"\nretention = "1m"\nlease = "4s"\n[consumers]\nsweep_interval = "5s"\n'
    orphan = '[workload]\nevents = [{ name = "b", follows = "a" }]\n'
    pause = fault("pause", command="EVALSHA complete *", when="before", for_="5s")
    result = run(laboratory, orphan + policy + STEADY + pause)
    [paused], [resumed] = (list(result.history.of(kind)) for kind in ("paused", "resumed"))
    [healing] = (e for e in result.history.of("phase") if e.details["phase"] == "healing")
    assert paused.at < healing.at < resumed.at == paused.at + 5_000_000
    assert result.verdict == "holds"


def test_a_wrong_clock_is_what_the_consumer_sees(laboratory: Laboratory) -> None:
    text = ONE + ALONE + STEADY + fault("clock", at="0s", consumer="c1", offset="15m")
    result = run(laboratory, text, "tests.simulation.faults.engines:Watch")
    from tests.simulation.faults.engines import Watch

    assert 900 <= Watch.shown - 1_700_000_000 < 901
    assert result.silent_faults == ()


def test_join_and_leave(laboratory: Laboratory) -> None:
    """A consumer that joins late is not there before; one that leaves never returns."""
    text = TWO + STEADY + fault("join", at="2s", consumer="c2") + fault("leave", at="3s", consumer="c1")
    result = run(laboratory, text)
    assert [(e.consumer, e.at) for e in result.history.of("joined")] == [("c1", 0), ("c2", 2_000_000)]
    assert [e.consumer for e in result.history.of("stopped")] == ["c1"]


def test_upgrade_to_another_engine(laboratory: Laboratory) -> None:
    """A consumer comes back with another engine."""
    text = TWO + ALONE + STEADY + fault("upgrade", at="50ms", consumer="c1", engine="null", for_="1s")
    fences = {e.event: "fence" in e.details for e in run(laboratory, text).history.of("started")}
    assert fences == {"a": True, "b": False}


def test_two_engines_in_one_fleet(laboratory: Laboratory) -> None:
    text = '[workload]\nkind = "chains"\ncount = 30\n[consumers]\ncount = 2\nengines = { c2 = "null" }\n'
    started = run(laboratory, text).history.of("started")
    assert {(e.consumer, "fence" in e.details) for e in started} == {("c1", True), ("c2", False)}


@pytest.mark.parametrize(("tested", "fenced"), [("native", {"c1"}), ("null", set())])
def test_fleet_depends_on_the_engine(laboratory: Laboratory, tested: str, fenced: set[str]) -> None:
    """A fleet may depend on the engine under test."""
    text = '[workload]\nkind = "chains"\ncount = 30\n[consumers]\ncount = 2\nengines = { c2 = { native = "null" } }\n'
    started = list(run(laboratory, text, tested).history.of("started"))
    assert {e.consumer for e in started} == {"c1", "c2"}
    assert {e.consumer for e in started if "fence" in e.details} == fenced


@pytest.mark.parametrize(
    ("kind", "keys", "outcomes"),
    [
        ("handler-raises", {"call": 1}, {("a", "failed"): 1, ("a", "ok"): 1}),
        ("handler-cancelled", {"nth": 1}, {("a", "failed"): 1, ("a", "ok"): 1}),
    ],
)
def test_handlers_fail(laboratory: Laboratory, kind: str, keys: dict[str, Any], outcomes: dict[Any, int]) -> None:
    result = run(laboratory, ONE + ALONE + STEADY + fault(kind, **keys))
    assert ends(result) == outcomes
    assert result.verdict == "holds"


@pytest.mark.parametrize("engine", ["native", "native-batches", "native-stream"])
def test_cancelled_follower(laboratory: Laboratory, engine: str) -> None:
    """A cancelled follower is no failure of its leader."""
    events = '{ name = "b", follows = "a" }, { name = "a", at = "50ms" }'
    text = f"[workload]\nevents = [{events}]\n[broker]\nmax_failures = 1\n" + ALONE
    result = run(laboratory, text + fault("handler-cancelled", event="b", call=1), engine)
    assert ends(result) == {("a", "ok"): 1, ("b", "failed"): 1, ("b", "ok"): 1}
    assert ("a", "CancelledError") in [(e.event, e.details["because"]) for e in result.history.of("rejected")]
    assert not entries_of(result, "dead-lettered")
    assert result.verdict == "holds"


@pytest.mark.parametrize("engine", ["native", "native-batches", "native-stream", "native-partitions"])
def test_handler_always_cancelled(laboratory: Laboratory, engine: str) -> None:
    """A handler that is always cancelled is given up."""
    text = '[workload]\nevents = [{ name = "x" }, { name = "a" }, { name = "b" }]\n' + STEADY
    result = run(laboratory, text + "[consumers]\ncount = 1\n" + fault("handler-cancelled", event="a"), engine)
    assert [e.event for e in result.history.of("dead-lettered")] == ["a"]
    assert {e.event for e in result.history.of("ended") if e.details["outcome"] == "ok"} == {"b", "x"}
    assert result.verdict == "holds"


def test_a_handler_is_slow(laboratory: Laboratory) -> None:
    result = run(laboratory, TWO + ALONE + STEADY + fault("handler-slow", event="a", by="2s"))
    took = {e.event: e.at for e in result.history.of("started")}, {e.event: e.at for e in result.history.of("ended")}
    assert (took[1]["a"] - took[0]["a"], took[1]["b"] - took[0]["b"]) == (2_005_000, 5_000)


def test_reset_connection(laboratory: Laboratory) -> None:
    """A reset connection does not undo what was sent."""
    result = run(laboratory, ONE + ALONE + STEADY + fault("reset", match="EVAL* begin *", nth=1), trace=True)
    begun = [e for e in result.history.of("command") if "EVAL" in e.details["commands"][0][0]]
    assert len(begun) > 2
    assert len({e.details["connection"] for e in begun}) == 2


def test_network_fault_of_one_event(laboratory: Laboratory) -> None:
    """A fault of the network is about one event alone."""
    text = '[workload]\nevents = [{ name = "a" }, { name = "z", at = "1s" }]\n' + ALONE + STEADY
    result = run(laboratory, text + fault("latency", match="EVAL* *", event="z", request="500ms"))
    published, ended = ({e.event: e.at for e in result.history.of(kind)} for kind in ("published", "ended"))
    assert ended["a"] - published["a"] < 100_000 < 500_000 < ended["z"] - published["z"]


def test_a_read_only_server_still_answers_reads(laboratory: Laboratory) -> None:
    text = ONE + ALONE + STEADY + fault("error-reply", error="READONLY", nth=1)
    [injected] = run(laboratory, text).history.of("fault")
    assert injected.details["command"] in ("EVAL", "EVALSHA")


@pytest.mark.parametrize(("keep", "seen"), [(True, 0), (False, 1)])
def test_a_restarted_redis_has_its_data_or_not(laboratory: Laboratory, keep: bool, seen: int) -> None:
    text = (
        ONE + ALONE + STEADY + '[judge]\nallowed_loss = ["restart"]\n' + fault("restart", at="1s", keep=keep, for_="2s")
    )
    result = run(laboratory, text + fault("duplicate", after="5s"))
    assert entries_of(result, "unreachable", "reachable") == [("unreachable", 1_000_000), ("reachable", 3_000_000)]
    assert ends(result)["a", "ok"] == 1 + seen
    assert result.verdict == "holds"


@pytest.mark.parametrize(("kind", "keys"), [("flush", {}), ("evict", {"keys": "*:seen:*"})])
def test_a_lost_marker_lets_a_duplicate_in(laboratory: Laboratory, kind: str, keys: dict[str, Any]) -> None:
    text = ONE + ALONE + STEADY + fault(kind, at="1s", **keys) + fault("duplicate", after="5s")
    result = run(laboratory, text)
    assert ends(result)["a", "ok"] == 2
    assert len(entries_of(result, "store-lost")) == 1


@pytest.mark.parametrize(("lag", "effects"), [("500ms", 1), ("2s", 2)])
def test_failover_within_lag(laboratory: Laboratory, lag: str, effects: int) -> None:
    """A replica lacks what was written within its lag."""
    text = ONE + ALONE + STEADY + fault("failover", at="2s", lag=lag) + fault("duplicate", after="10s")
    result = run(laboratory, text)
    assert ends(result)["a", "ok"] == effects
    keys = [key for e in result.history.of("store-lost") for key in e.details["keys"]]
    assert any(":seen:" in key for key in keys) == (effects == 2)


def test_failover_twice(laboratory: Laboratory) -> None:
    """A failover twice in one run and again in the next."""
    text = (
        ONE
        + ALONE
        + STEADY
        + fault("failover", at="1s", lag="10ms", every="2s", times=2)
        + fault("duplicate", after="9s")
    )
    first, second = run(laboratory, text), run(laboratory, text)
    assert ends(first) == {("a", "ok"): 1}
    assert first.digest == second.digest


def test_out_of_memory(laboratory: Laboratory) -> None:
    """A server without memory refuses by itself."""
    text = ONE + ALONE + STEADY + fault("out-of-memory", at="0s", for_="3s")
    result = run(laboratory, text, trace=True)
    assert any("OOM" in e.details["reply"] for e in result.history.of("reply") if e.at < 3_000_000)
    assert all(e.at > 3_000_000 for e in result.history.of("started"))


def test_clock_jump(laboratory: Laboratory) -> None:
    """What Redis keeps lapses when its clock jumps."""
    text = ONE + ALONE + STEADY + fault("server-clock", at="1s", offset="31m") + fault("duplicate", after="5s")
    assert ends(run(laboratory, text))["a", "ok"] == 2


@pytest.mark.parametrize("kind", ["failover", "out-of-memory"])
def test_a_store_that_cannot_have_a_fault_says_so(embedded: Laboratory, kind: str) -> None:
    keys = {"lag": "1s"} if kind == "failover" else {"for_": "1s"}
    with pytest.raises(StoreUnavailable, match=f"embedded cannot have the fault '{kind}'.*--store server"):
        run(embedded, ONE + fault(kind, at="1s", **keys))


@pytest.mark.parametrize("kind", ["flush", "server-clock", "restart"])
def test_both_stores_suffer_alike(laboratory: Laboratory, embedded: Laboratory, kind: str) -> None:
    keys = {"server-clock": {"offset": "31m"}, "restart": {"keep": False}}.get(kind, {})
    text = TWO + ALONE + STEADY + fault(kind, at="1s", **keys) + fault("duplicate", after="5s")
    assert run(laboratory, text).digest == run(embedded, text).digest


# -- the queue and the producers ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "effects"),
    [
        ({"since": "handled"}, 1),
        ({"since": "forgotten", "early": "1s"}, 1),
        ({"since": "forgotten", "after": "1s"}, 2),
    ],
)
def test_duplicates_around_retention(laboratory: Laboratory, keys: dict[str, Any], effects: int) -> None:
    """Duplicates after completion and at the edge of the retention."""
    result = run(laboratory, ONE + ALONE + STEADY + fault("duplicate", **keys))
    assert len(entries_of(result, "delivered")) == 2
    assert ends(result)["a", "ok"] == effects


def test_duplicate_with_new_received(laboratory: Laboratory) -> None:
    """A duplicate with a new received says something else."""
    result = run(laboratory, ONE + ALONE + STEADY + fault("duplicate", since="handled", after="1s", received="new"))
    prints = [e.details["fingerprint"] for e in result.history.of("published")]
    assert len(set(prints)) == 2
    assert result.verdict == "holds"


def test_an_event_is_overtaken(laboratory: Laboratory) -> None:
    text = '[workload]\nevents = [{ name = "a" }, { name = "b", at = "1s" }, { name = "c", at = "2s" }]\n'
    result = run(laboratory, text + ALONE + STEADY + fault("reorder", event="a", by=1))
    assert [e.event for e in result.history.of("delivered")] == ["b", "a", "c"]


def test_redelivered_while_handled(laboratory: Laboratory) -> None:
    """An event is offered again while it is handled."""
    text = ONE + '[consumers]\ncount = 2\nhandler_time = "500ms"\n' + STEADY + fault("redeliver", after="100ms", nth=1)
    result = run(laboratory, text)
    [_, again] = result.history.of("delivered")
    [ended] = result.history.of("ended")
    assert again.at < ended.at


def test_redelivery_takes_time(laboratory: Laboratory) -> None:
    """A redelivery takes time, also where the network takes none: the run goes on."""
    text = ONE + '[consumers]\ncount = 2\nhandler_time = "20ms"\n[network]\nlatency = "0s"\n' + fault("redeliver")
    assert 1 < sum(1 for _ in run(laboratory, text).history.of("delivered")) < 100


def test_a_rejected_event_comes_back_at_once(laboratory: Laboratory) -> None:
    text = ONE + ALONE + STEADY + fault("handler-raises", call=1) + fault("nack")
    first, second = run(laboratory, text).history.of("delivered")
    assert second.at - first.at < 100_000


def test_what_is_trimmed_is_not_delivered_again(laboratory: Laboratory) -> None:
    text = ONE + ALONE + STEADY + '[judge]\nallowed_loss = ["trim"]\n'
    result = run(laboratory, text + fault("handler-raises", call=1) + fault("trim", at="1s"))
    assert len(entries_of(result, "delivered")) == 1
    assert result.history.entries[-1].details["phase"] == "quiet"


def test_a_stalled_queue_fills_up(laboratory: Laboratory) -> None:
    result = run(laboratory, TWO + ALONE + STEADY + fault("stall", at="0s", for_="10s"))
    assert min(e.at for e in result.history.of("delivered")) == 10_000_000


def test_a_leader_becomes_visible_late(laboratory: Laboratory) -> None:
    result = run(laboratory, TWO + ALONE + STEADY + fault("delay", only="leaders", by="3s"))
    assert [e.event for e in result.history.of("delivered")][:2] == ["b", "a"]


def test_producers_go_wrong(laboratory: Laboratory) -> None:
    text = TWO + ALONE + STEADY
    gone = run(laboratory, text + fault("unpublished", only="leaders"))
    assert [e.event for e in gone.history.of("published")] == ["b"]
    damaged = run(laboratory, text + fault("unreadable", event="b"))
    assert {e.details["because"] for e in damaged.history.of("rejected")} == {"Unreadable"}
    skewed = run(laboratory, text + fault("producer-clock", event="a", offset="-15m"))
    assert [e.details["occurred"] for e in skewed.history.of("published")] == [-900_000_000, 100_000]
    same = run(laboratory, text + fault("same-instant"))
    assert [e.details["occurred"] for e in same.history.of("published")] == [0, 0]


# -- all of them -------------------------------------------------------------------------------------------------


def test_fault_without_effect(laboratory: Laboratory) -> None:
    """A fault that never struck is reported and reshuffles nothing."""
    text = '[workload]\nkind = "chains"\ncount = 20\n[broker]\ndelay = { exponential = "50ms" }\n'
    lossy = fault("reply-lost", probability=0.1)
    plain, more = run(laboratory, text + lossy), run(laboratory, text + fault("drop", event="absent") + lossy)
    assert more.silent_faults == ("drop",)
    strip = [[e._replace(details={**e.details, "number": 0}) for e in r.history] for r in (plain, more)]
    assert strip[0] == strip[1]
    assert plain.history.of("fault")


def test_nothing_strikes_after_healing(laboratory: Laboratory) -> None:
    text = '[workload]\nkind = "chains"\ncount = 20\n[judge]\nheal_after = "0s"\n' + fault("latency", reply="5s")
    entries = run(laboratory, text).history.entries
    healing = next(i for i, e in enumerate(entries) if e.details.get("phase") == "healing")
    assert any(e.kind == "fault" for e in entries[:healing])
    assert not any(e.kind == "fault" for e in entries[healing:])


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (fault("crash"), "give one of 'at', 'command' and 'step'"),
        (fault("drop", probability=1.3), r"table \[faults\[1\]\], key 'probability'"),
        (fault("drop", probability=0.5, nth=2), "give one of the two"),
        (fault("pause", at="1s", for_="1s", times=3), "give 'every' too"),
        (fault("clock", at="1s"), "needs an 'offset' or a 'drift'"),
        (fault("crash", at="1s", consumer="c9"), r"table \[faults\[1\]\], key 'consumer': no consumer is called 'c9'"),
        (fault("reset", consumer="d*"), "'d\\*' matches no consumer; there are c1 to c2"),
        (fault("flush", at="25h"), "after the run's horizon"),
        (fault("leave", at="1s", consumer="c1") + fault("leave", at="1s", consumer="c2"), "let one stay"),
        ('[consumers]\nengines = { c7 = "null" }\n', r"table \[consumers\], key 'engines'"),
    ],
)
def test_what_cannot_be_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(BadScenario, match=complaint):
        loads('name = "x"\n' + ONE + text)


def test_a_handler_takes_its_process_with_it(laboratory: Laboratory) -> None:
    result = run(laboratory, ONE + STEADY + "[consumers]\ncount = 1\n" + fault("handler-kills-process", call=1))
    [crashed] = result.history.of("crashed")
    assert crashed.details["holding"] == ["a"]
    assert [entry.at - crashed.at for entry in result.history.of("joined") if entry.at] == [1_000_000]
    assert ends(result) == {("a", "ok"): 1}
    assert result.verdict == "holds"


def test_handler_blocks(laboratory: Laboratory) -> None:
    """A handler blocks its process and no other."""
    events = '{ name = "a" }, { name = "b", at = "1s" }'
    text = f"[workload]\nevents = [{events}]\n" + STEADY + "[consumers]\ncount = 2\n"
    result = run(laboratory, text + fault("handler-blocks", event="a", call=1, by="8s"))
    [blocked] = result.history.of("blocked")
    assert blocked.details["duration"] == 8_000_000
    end = {entry.event: entry.at for entry in result.history.of("ended")}
    assert end["b"] < 2_000_000 < 8_000_000 < end["a"]
    assert result.verdict == "holds"
