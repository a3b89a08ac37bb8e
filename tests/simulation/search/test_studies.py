"""Studies, as notebooks use them: a hunt keeps what it finds, a sweep keeps a tidy table and draws it."""

import asyncio
from pathlib import Path

import pytest

import simulation
from simulation import Laboratory, hunt, import_log, load, loads, run, shrink, sweep
from simulation.scenario.import_log import BadLog
from simulation.search.replay import load_replay
from simulation.search.summary import summarise
from simulation.search.sweep.grid import BadAxis

PAIR = 'name = "pair"\n[workload]\nkind = "chains"\nlength = 2\n[broker]\ndelay = {uniform = ["1ms", "20ms"]}\n'
DROPPED = 'name = "dropped"\n[workload]\nevents = [{name = "a"}, {name = "b", follows = "a"}]\n'


def test_everything_in_the_facade_is_there() -> None:
    assert [name for name in simulation.__all__ if getattr(simulation, name, None) is None] == []


def test_hunt_stops_at_the_first() -> None:
    """A hunt stops at the first violated run and keeps it."""
    found = hunt(loads(PAIR), engine="null", seeds=50, store="embedded")
    assert found.run is not None
    assert found.run.verdict == found.verdict == "violated"
    assert found.tally.violating == 1
    assert found.tally.runs == found.run.seed == found.tally.first_violating
    assert found.frame["because"][0].startswith("because ")
    assert f"first with seed {found.run.seed}" in repr(found)


def test_a_hunt_without_a_limit_runs_every_seed() -> None:
    found = hunt(loads(PAIR), engine="null", seeds=range(5, 25), store="embedded", stop_after=None)
    assert found.tally.runs == 20
    assert found.tally.violating > 1


def test_hunt_finds_nothing() -> None:
    """A hunt that finds nothing says what it proved."""
    found = hunt(loads(PAIR), seeds=3, store="embedded")
    assert (found.verdict, found.run, len(found.frame)) == ("holds", None, 0)


def test_sweep_rows() -> None:
    """A sweep has a row for each combination and draws any measure."""
    grid = sweep(loads(PAIR), {"workload.length": [1, 3], "broker.drop": "0:0.5:0.5"}, seeds=2, store="embedded")
    assert list(zip(grid.frame["workload.length"], grid.frame["broker.drop"], strict=True)) == [
        (1, 0.0), (1, 0.5), (3, 0.0), (3, 0.5),
    ]  # fmt: skip
    assert set(grid.frame["runs"]) == {2}
    assert grid.picture("latency_p99_us")._repr_png_().startswith(b"\x89PNG")
    with pytest.raises(ValueError, match="'speed' is no measure of a sweep; there are lost_rate"):
        grid.picture("speed")
    with pytest.raises(BadAxis, match="at least one value"):
        sweep(loads(PAIR), {"broker.drop": []})


def test_dropped_is_no_lost_follower() -> None:
    """An event that the queue drops is no lost follower and has released no other."""
    scenario = loads(
        DROPPED + '[policy]\nlookback = "10s"\n[[faults]]\nkind = "drop"\nevent = "a"\nprobability = 1.0\n'
    )
    judged = run(scenario, store="embedded")
    assert list(judged.events["via"]) == ["", "rescued"]
    summary = summarise(judged)
    assert (summary.followers, summary.lost) == (1, 0)
    everything = summarise(run(loads(DROPPED + "[broker]\ndrop = 1.0\n"), store="embedded"))
    assert (everything.followers, everything.lost) == (0, 0)


def test_the_waitlist_counts_who_waits_at_once() -> None:
    scenario = loads(
        'name = "w"\n[workload]\nevents = [{name = "b", follows = "a"}, {name = "c", follows = "a"},'
        ' {name = "a", at = "1s"}, {name = "e", follows = "d", at = "3s"}, {name = "d", at = "4s"}]\n'
    )
    assert summarise(run(scenario, store="embedded")).waiting == 2


def test_run_in_a_notebook() -> None:
    """A run shows its verdict its story and its picture."""
    found = hunt(loads(PAIR), engine="null", store="embedded").run
    assert found is not None
    assert "<b>violated</b>" in found._repr_html_()
    because = found.judgement.violations[0].because
    assert found.story.startswith(because)
    assert found.story.count("\n→ ") == len(found.judgement.violations[0].witness)
    assert found.spacetime._repr_png_().startswith(b"\x89PNG")
    holding = run(loads(PAIR), store="embedded")
    assert holding.story == ""
    assert holding.spacetime._repr_png_().startswith(b"\x89PNG")


def test_what_a_history_says_is_text_to_the_card() -> None:
    scenario = loads('name = "<b>x"\n[workload]\nevents = [{name = "<i>a"}]\n')
    assert "<b>x" not in run(scenario, store="embedded")._repr_html_()


def test_a_log_becomes_a_scenario(tmp_path: Path) -> None:
    log = tmp_path / "mine.csv"
    log.write_text("id,cause,occurred\n1,,1700000000\n2,1,1700000001\n")
    scenario = import_log(log, tmp_path / "out", columns={"follows": "cause"})
    assert scenario == load(tmp_path / "out" / "mine.toml")
    assert (run(scenario, store="embedded").events["follows"] != "").sum() == 1
    with pytest.raises(BadLog, match="'cause' is no field of an event"):
        import_log(log, tmp_path / "out", columns={"cause": "follows"})
    log.write_text("id,cause,occurred\n1,,never\n2,,1700000001\n")
    with pytest.raises(BadLog, match=r"1 rows cannot be used; the first: .*see skip_bad"):
        import_log(log, tmp_path / "out", columns={"follows": "cause"})
    good = import_log(log, tmp_path / "out", columns={"follows": "cause"}, skip_bad=True)
    assert len(run(good, store="embedded").events) == 1


async def test_dead_tasks_leave_the_callers_loop(laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch) -> None:
    """The dead of a run do not use the loop that it was called in."""
    asked: list[object] = []
    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", lambda *given, **_: asked.append(given))
    for seed in (1, 2, 3):
        laboratory.run(load("scenarios/sweeps/lease-and-handler-time.toml"), seed)
    assert asked == []


def test_shrink(tmp_path: Path) -> None:
    """Shrink keeps the smallest run with its story."""
    found = hunt(loads(PAIR), engine="null", seeds=50)
    assert found.run is not None
    smallest = shrink(found.run, tries=5)
    assert smallest.size.startswith("2 events, 1 consumer, no faults")  # one alone breaks no causal order
    assert "began to handle a" in smallest.story
    assert load_replay(smallest.write(tmp_path / "race.toml")).written() == smallest.replay.written()
