"""Scenario files: every mistake is answered with the file, the table, the key, what was given and what is accepted."""

from pathlib import Path

import pytest

from simulation.scenario.errors import BadScenario
from simulation.scenario.load import load, loads
from simulation.scenario.model import Scenario

MINIMAL = """
name = "x"
[workload]
kind = "chains"
"""


def complaint(text: str) -> str:
    with pytest.raises(BadScenario) as caught:
        loads(text, source="x.toml")
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("name = ", "x.toml: not TOML: "),
        ('[workload]\nkind = "chains"', "x.toml: key 'name': this key is required"),
        ('name = "x"', "x.toml: key 'workload': this key is required"),
        (MINIMAL + "lenght = 3", "table [workload], key 'lenght': there is no such key; did you mean 'length'?"),
        (MINIMAL + "[brokr]", "key 'brokr': there is no such key; did you mean 'broker'?"),
        (MINIMAL + "[broker]\ndrop = 1.3", "table [broker], key 'drop': must be at most 1"),
        (MINIMAL + '[broker]\nredeliver_after = "5"', "table [broker], key 'redeliver_after': '5' is not a duration"),
        (MINIMAL + "[broker]\nredeliver_after = 5", "5 has no unit; give a duration such as"),
        (MINIMAL + '[broker]\ndelay = { normal = "5ms" }', "table [broker], key 'delay': {'normal': '5ms'} is not"),
        (MINIMAL + "[consumers]\ncount = 0", "table [consumers], key 'count': must be at least 1"),
        (MINIMAL + '[consumers]\ncount = "many"', "key 'count': must be a whole number (given: 'many')"),
        (MINIMAL + "[consumers]\ncount = 1e9", "key 'count': must be at most 10,000; each consumer takes about 30 KiB"),
        (MINIMAL + "[broker]\nmax_failures = 1.5", "key 'max_failures': must be a whole number (given: 1.5)"),
        (MINIMAL + '[broker]\ntells_dead_letters = "often"', "must be true or false (given: 'often')"),
        ("name = 3\n[workload]\nkind = 'chains'", "key 'name': must be a text (given: 3)"),
        (MINIMAL + "order = 'random'", "table [workload], key 'order': must be "),
        ("broker = 3\n" + MINIMAL, "key 'broker': must be a table (given: 3)"),
        ("faults = 3\n" + MINIMAL, "key 'faults': must be a list (given: 3)"),
        (MINIMAL + '[judge]\ninvariants = ["casual-order"]', "did you mean 'causal-order'?"),
        (MINIMAL + '[judge]\nexercise = ["packed"]', "did you mean 'parked'?"),
        (
            MINIMAL + '[expect]\nnative = "hold"',
            "expect.native: expectation 'hold' is not known; did you mean 'holds'?",
        ),
        ('name = "x"\n[workload]\nkind = "chain"', "table [workload], key 'kind': 'chain' is not a kind; accepted are"),
        ('name = "x"\n[workload]\nlength = 4', "the kind is not given"),
        (MINIMAL + '[[faults]]\nkind = "crush"\nat = "1s"', "table [faults[1]], key 'kind': 'crush' is not a kind"),
        (MINIMAL + '[[faults]]\nkind = "pause"\nat = "1s"', "table [faults[1]], key 'for': this key is required"),
        (
            'name = "x"\n[workload]\nevents = [{ name = "a" }, { name = "a" }]',
            "table [workload], key 'events': two events are called a",
        ),
        (
            'name = "x"\n[workload]\nevents = [{ name = "a" }, { name = "b", again = true }, { name = "b" }]',
            "table [workload], key 'events': 'again' is set for b, and no event above has that name",
        ),
        ('name = "x"\n[workload]\nevents = [{ nme = "a" }]', "table [workload.events[1]], key 'nme'"),
    ],
)
def test_mistakes(text: str, expected: str) -> None:
    """A mistake is answered with where and what."""
    assert expected in complaint(text)


def test_all_mistakes_at_once() -> None:
    lines = complaint(MINIMAL + "lenght = 3\n[broker]\ndrop = 2\n").splitlines()
    assert len(lines) == 2
    assert all(line.startswith("x.toml: table [") for line in lines)


def test_file_missing_or_binary(tmp_path: Path) -> None:
    """A file that is not there or not text is said."""
    with pytest.raises(BadScenario, match=r"nowhere\.toml: no such file"):
        load(tmp_path / "nowhere.toml")
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadScenario, match="not UTF-8 text"):
        load(binary)


def test_bad_trace(tmp_path: Path) -> None:
    """A trace that cannot be used is named with its line."""
    from simulation.kernel.random_streams import Streams
    from simulation.scenario.publications import make_workload

    (tmp_path / "events.jsonl").write_text('{"id": "not a uuid"}\n')
    (tmp_path / "x.toml").write_text('name = "x"\n[workload]\nkind = "trace"\nfile = "events.jsonl"\n')
    with pytest.raises(BadScenario, match=r"key 'file': .*events\.jsonl:1: not an event"):
        make_workload(load(tmp_path / "x.toml"), 1, Streams(1))


def test_frozen_values() -> None:
    """A scenario is frozen and its values are numbers."""
    scenario = loads(MINIMAL + '[policy]\nlookback = "15m"\n')
    assert scenario.policy.lookback == 900_000_000
    with pytest.raises(ValueError, match="frozen"):
        scenario.policy.lookback = 1  # type: ignore[misc]


@pytest.mark.parametrize("path", sorted(Path("scenarios").rglob("*.toml")), ids=str)
def test_shipped_scenario_round_trip(path: Path) -> None:
    """A shipped scenario is written as it was read."""
    import tomli_w

    scenario = load(path)
    again = loads(tomli_w.dumps(scenario.written()), folder=scenario.folder)
    assert again == scenario
    assert scenario.description, "each shipped scenario says what it is about"


def test_values_can_be_replaced_by_their_paths() -> None:
    scenario = loads(MINIMAL).with_values({"broker.drop": 0.5, "policy.lease": "20s"})
    assert (scenario.broker.drop, scenario.policy.lease) == (0.5, 20_000_000)
    with pytest.raises(BadScenario, match="there is no such key"):
        scenario.with_values({"broker.dorp": 0.5})


def test_known_keys_are_those_of_a_file():
    crash = {"kind": "crash", "cosnumer": "c1", "at": "1s"}
    with pytest.raises(BadScenario, match=r"did you mean 'consumer'\? \(known: .*\bfor\b") as caught:
        Scenario.of("x", workload={"kind": "chains"}, faults=[crash])
    assert "duration" not in str(caught.value)
