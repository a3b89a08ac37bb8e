"""A function is one consumer process: it is started, killed, restarted and stopped as a process is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from reports.text.sentences import sentence
from simulation import Laboratory, Run, loads
from simulation.cli import main
from simulation.engines import UnknownEngine
from simulation.history.entries import Entry
from simulation.kernel.escapes import Escaped
from simulation.scenario.errors import BadScenario
from simulation.search.explore.strategies import Runner, Strategy
from simulation.world.error_log import RaisedError

HERE = "tests.simulation.programs"
SCENARIO = """
name = "orders"
[workload]
kind = "chains"
count = 8
length = 1
interval = "50ms"
[consumers]
count = 2
handler_time = "20ms"
{consumers}
[judge]
preset = "queue"
require_coverage = ["handled"]
horizon = "2h"
[policy]
lookback = "30s"
retention = "60s"
{rest}
"""
STREAM = '[producer]\nto = "stream"\nkey = "orders"\n'
LIST = '[producer]\nto = "list"\nkey = "orders"\n'


def run(laboratory: Laboratory, engine: str, rest: str = "", consumers: str = "", seed: int = 1) -> Run:
    return laboratory.run(loads(SCENARIO.format(rest=rest, consumers=consumers)), seed, f"{HERE}:{engine}")


def fault(kind: str, at: str = "130ms", **more: Any) -> str:
    return f'[[faults]]\nkind = "{kind}"\nat = "{at}"\nconsumer = "c1"\nfor = "5s"\n' + "".join(
        f"{key} = {value}\n" for key, value in more.items()
    )


def moments(result: Run, kind: str, consumer: str = "c1") -> list[int]:
    return [entry.at for entry in result.history.of(kind) if entry.consumer == consumer]


def test_a_stream_is_read_in_virtual_time(laboratory: Laboratory) -> None:
    result = run(laboratory, "stream", STREAM)
    assert result.verdict == "holds"
    assert {entry.consumer for entry in result.history.of("started")} == {"c1", "c2"}
    assert {entry.consumer for entry in result.history.of("delivered")} == {"producer"}
    assert run(laboratory, "stream", STREAM).digest == result.digest


@pytest.mark.parametrize("store", ["server", "embedded"])
def test_a_list_is_read_on_every_store(store: str) -> None:
    with Laboratory(store) as laboratory:
        assert run(laboratory, "list_reader", LIST).verdict == "holds"


def test_crash_claims_a_stream(laboratory: Laboratory) -> None:
    """A crash loses nothing of a stream that is claimed."""
    crashes = fault("crash", every='"1s"', times=3)
    for seed in range(1, 6):
        result = run(laboratory, "stream", STREAM + crashes, seed=seed)
        assert "nothing-lost" not in {violation.invariant for violation in result.judgement.violations}
        assert moments(result, "crashed")


def test_crash_loses_a_popped_item(laboratory: Laboratory) -> None:
    """A crash loses what was popped from a list."""
    found = [run(laboratory, "list_reader", LIST + fault("crash", "115ms"), seed=seed) for seed in range(1, 11)]
    assert "nothing-lost" in {violation.invariant for one in found for violation in one.judgement.violations}


def test_the_users_own_function_publishes(laboratory: Laboratory) -> None:
    assert run(laboratory, "list_reader").verdict == "holds"


@pytest.mark.parametrize(("policy", "lives"), [("always", 8), ("on-failure", 2), ("never", 2)])
def test_restart_policy(laboratory: Laboratory, policy: str, lives: int) -> None:
    """A program that returns is started again if that is the policy."""
    result = run(laboratory, "one_by_one", LIST, f'restart = "{policy}"')
    assert len(moments(result, "stopped") + moments(result, "stopped", "c2")) == lives
    assert result.verdict == ("holds" if policy == "always" else "violated")


@pytest.mark.parametrize(("engine", "error"), [("failing", "LookupError"), ("exiting", "SystemExit")])
def test_failing_program_comes_back(laboratory: Laboratory, engine: str, error: str) -> None:
    """A program that fails has crashed and comes back."""
    result = run(laboratory, engine, LIST, 'restart_delay = "3s"')
    crashed = moments(result, "crashed") + moments(result, "crashed", "c2")
    joined = moments(result, "joined") + moments(result, "joined", "c2")
    assert len(crashed) == 1
    assert crashed[0] + 6_000_000 in joined or crashed[0] + 3_000_000 in joined
    assert result.verdict == "holds"
    if error == "LookupError":
        [raised] = result.errors
        assert (raised.type, raised.message, raised.where, raised.count) == (error, "no settings", "main", 1)
        assert raised.frames[-1].startswith("tests/simulation/programs.py:")


@pytest.mark.parametrize("engine", ["with_dying_tasks", "dying_and_forgotten"])
def test_dying_background_task(laboratory: Laboratory, engine: str) -> None:
    result = run(laboratory, engine)
    assert result.verdict == "holds"
    described = [(one.type, one.message, one.where, one.count) for one in result.errors]
    heartbeat = ("ConnectionError", "no heartbeat", "a task of its own", 2)
    callback = ("IndexError", "pop from empty list", "a callback", 2)
    assert described == ([heartbeat, callback] if engine == "with_dying_tasks" else [heartbeat])
    assert 200_000 <= result.errors[0].at < 300_000
    assert result.errors[0].frames[-1].startswith("tests/simulation/programs.py:")
    [first, *_] = result.history.of("raised")
    assert first.details["raised_at"] == result.errors[0].at
    assert list(run(laboratory, engine).history) == list(result.history)


def test_crashed_tasks_are_silent(laboratory: Laboratory) -> None:
    """Tasks of a crashed consumer are not reported."""
    result = run(laboratory, "with_dying_tasks", LIST + fault("crash"))
    # Three processes had a heartbeat, and that of the one that was killed at 130 ms did not come to its end.
    assert len(moments(result, "crashed")) == 1
    dead = [error for error in result.errors if error.where == "a task of its own"]
    assert [error.count for error in dead] == [2]


def test_killed_process_is_silent(laboratory: Laboratory) -> None:
    """What a killed process logs when it is collected is not recorded."""
    result = run(laboratory, "Tidy", fault("crash", "10ms"))
    assert moments(result, "crashed")
    assert result.errors == ()


def test_a_stop_is_a_sigterm(laboratory: Laboratory) -> None:
    stop = fault("stop")
    polite, deaf, stubborn = (run(laboratory, name, LIST + stop) for name in ("polite", "list_reader", "stubborn"))
    assert moments(polite, "stopped")
    assert not moments(polite, "crashed")
    assert moments(deaf, "crashed") == [130_000]
    assert moments(stubborn, "crashed") == [30_130_000]
    assert polite.verdict == "holds"


@pytest.mark.parametrize("kind", ["handler-raises", "unreadable"])
def test_own_dead_letters(laboratory: Laboratory, kind: str) -> None:
    """A message that a program gives up is a dead letter, also a damaged one; without a word it is lost."""
    poison = "".join(f'[[faults]]\nkind = "{kind}"\nevent = "{name}"\n' for name in ("c3.1", "c5.1"))
    reported, silent = (run(laboratory, name, LIST + poison) for name in ("with_dead_letters", "without_a_word"))
    assert reported.verdict == "holds"
    assert {(entry.event, entry.details["by"]) for entry in reported.history.of("dead-lettered")} == {
        ("c3.1", "engine"),
        ("c5.1", "engine"),
    }
    assert {violation.invariant for violation in silent.judgement.violations} == {"nothing-lost"}


def test_damaged_message_kills_a_program(laboratory: Laboratory) -> None:
    """A damaged message reaches the queue, and a program that raises because of it is seen to do so."""
    result = run(laboratory, "stream", STREAM + '[[faults]]\nkind = "unreadable"\nevent = "c3.1"\n')
    assert {violation.invariant for violation in result.judgement.violations} == {"nothing-lost"}
    [raised] = result.errors
    assert (raised.type, raised.where) == ("ValueError", "main")
    assert "this message was damaged" in raised.message


def test_upgrade_of_a_program(laboratory: Laboratory) -> None:
    """A function is upgraded to another function, and functions stand beside each other."""
    upgrade = f'[[faults]]\nkind = "upgrade"\nat = "100ms"\nconsumer = "c1"\nengine = "{HERE}:polite"\nfor = "1s"\n'
    result = run(laboratory, "polite", LIST + upgrade, consumers=f'engines = {{ c2 = "{HERE}:list_reader" }}')
    assert result.verdict == "holds"
    assert moments(result, "stopped")


@pytest.mark.parametrize("engine", ["polite", "Tidy"])
def test_function_beside_class(laboratory: Laboratory, engine: str) -> None:
    """A function and a class read from different places: they cannot take each other's place."""
    other = "Tidy" if engine == "polite" else "polite"
    upgrade = f'[[faults]]\nkind = "upgrade"\nat = "100ms"\nconsumer = "c1"\nengine = "{HERE}:{other}"\n'
    with pytest.raises(UnknownEngine, match=f"'{HERE}:{other}' cannot be beside '{HERE}:{engine}'"):
        run(laboratory, engine, LIST + upgrade)
    with pytest.raises(UnknownEngine, match="cannot be beside"):
        run(laboratory, engine, LIST, consumers=f'engines = {{ c2 = "{HERE}:{other}" }}')


def test_needs_a_place_for_events(laboratory: Laboratory, tmp_path: Path) -> None:
    """A program needs to know where events are put."""
    (tmp_path / "lonely_worker.py").write_text("async def main(redis_url, effect): ...\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(tmp_path))
        with pytest.raises(UnknownEngine, match=r"does not name: add a table \[producer\]"):
            laboratory.run(loads(SCENARIO.format(rest="", consumers="")), 1, "lonely_worker:main")


def test_not_offered_is_refused(laboratory: Laboratory) -> None:
    """A program that asks for what is not offered is refused."""
    with pytest.raises(UnknownEngine, match="it asks for 'database'; offered are redis_url, effect, consumer"):
        run(laboratory, "asking", LIST)


def test_a_table_that_is_wrong_is_refused() -> None:
    with pytest.raises(BadScenario, match=r"\[producer\]"):
        loads(SCENARIO.format(rest='[producer]\nto = "pipe"\nkey = "orders"\n', consumers=""))


@pytest.mark.parametrize(
    ("engine", "why"),
    [("elsewhere", "it keeps its state elsewhere"), ("unborn", "It raised ModuleNotFoundError: No module")],
)
def test_program_without_a_command(laboratory: Laboratory, engine: str, why: str) -> None:
    """A program that sends no command gets no verdict, though its producer speaks to the store."""
    with pytest.raises(Escaped, match=rf"sent no command to the simulated Redis.*{why}"):
        run(laboratory, engine, LIST)


def test_exceptions_of_a_program(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "orders.toml"
    file.write_text(SCENARIO.format(rest=LIST, consumers=""))
    assert main(["run", str(file), "--engine", f"{HERE}:failing", "--out", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "raised    LookupError: no settings in main of c" in said
    assert "tests/simulation/programs.py:" in said


def test_story_of_a_dying_task() -> None:
    """A task whose death is noticed late is shown with the moment at which it died, on one line."""
    error = RaisedError("OSError", "no heart\nbeat", ("w.py:1 in f",), "c1", "", 200_000, "a task of its own")
    assert str(error).startswith("OSError: no heart beat in a task of its own of c1 at 0.200000 s")
    entry = Entry(9_000_000, "raised", "", "c1", error.details(9_000_000))
    assert sentence(entry).endswith("raised OSError: no heart beat (w.py:1 in f), at 0.2 s")


def test_ci_shows_exceptions(tmp_path: Path) -> None:
    """The build server shows what a program raises."""
    file, report = tmp_path / "orders.toml", tmp_path / "junit.xml"
    file.write_text(SCENARIO.format(rest=LIST, consumers='restart = "never"').replace("count = 2", "count = 1"))
    words = ["run", str(file), "--engine", f"{HERE}:failing", "--out", str(tmp_path), "--junit", str(report)]
    assert main(words) == 1
    assert "raised LookupError: no settings" in report.read_text()


def test_sweep_that_raises(laboratory: Laboratory) -> None:
    text = SCENARIO.format(rest="", consumers='sweep_interval = "100ms"')
    result = laboratory.run(loads(text), 1, "tests.simulation.engines:Sweeping")
    [raised] = result.errors
    assert (raised.type, raised.message, raised.where) == ("RuntimeError", "swept too hard", "sweep")
    assert raised.count == len(list(result.history.of("swept")))
    assert len(list(result.history.of("raised"))) == 1


@pytest.mark.parametrize("strategy", ["random-walk", "pct"])
def test_served_order_is_explored(laboratory: Laboratory, strategy: Any) -> None:
    """Which client is served is a choice of an exploration."""
    scenario = loads(SCENARIO.format(rest=LIST, consumers=""))
    first = {_first_served(laboratory, scenario, strategy, seed) for seed in range(1, 12)}
    assert first == {"c1", "c2"}


def _first_served(laboratory: Laboratory, scenario: Any, strategy: Any, seed: int) -> str:
    runner = Runner(laboratory, scenario, f"{HERE}:list_reader", Strategy(strategy))
    result = runner.run(seed)
    assert result.verdict == "holds"
    return next(iter(result.history.of("started"))).consumer
