"""What users may draw: scenarios that files can say, histories that files can hold, and a judge that reads them all."""

import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import tomli_w
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st

from simulation import History, Laboratory, Run, Scenario, judge, loads
from simulation.history.entries import KINDS, Entry
from simulation.scenario.faults import FAULTS
from simulation.strategies import faults, histories, scenarios, workloads

BOTH_STORES = sorted(FAULTS.keys() - {"failover", "out-of-memory", "slot-migrates"})
"""Faults that either store can have."""
SURVIVED = sorted(FAULTS.keys() - {"error-reply", "out-of-memory", "trim"})
"""Faults that cost nothing but time. A store that refuses to write may refuse to write an effect down, and what is
trimmed after it was parked is still in the store when the run has come to its end."""

steady = settings(derandomize=True, deadline=None, database=None)
once = settings(steady, phases=[Phase.generate])
few = settings(steady, max_examples=20, suppress_health_check=[HealthCheck.too_slow])


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Leave out what the engine says about the faults; a hundred examples say it a hundred times."""
    with caplog.at_level(logging.CRITICAL):
        yield


def again(scenario: Scenario) -> Scenario:
    return loads(tomli_w.dumps(scenario.written()), folder=scenario.folder)


def violated(history: History) -> set[str]:
    return {violation.invariant for violation in judge(history).violations}


# -- scenarios ---------------------------------------------------------------------------------------------------


@settings(steady, max_examples=200)
@given(scenarios())
def test_scenario_round_trip(scenario: Scenario) -> None:
    """A drawn scenario is written as it was drawn."""
    assert again(scenario) == scenario


@pytest.mark.parametrize("kind", sorted(FAULTS))
def test_every_kind_of_fault_can_be_drawn(kind: str) -> None:
    fault = find(faults([kind]), lambda fault: True, settings=once)
    assert fault.name == kind


def test_unknown_kind_of_fault() -> None:
    """A kind of fault that does not exist is named."""
    with pytest.raises(ValueError, match="no fault is called 'crush'"):
        faults(["crash", "crush"])


def test_shrinks_to_one_event() -> None:
    """What is drawn shrinks to one event and no fault."""
    # Which kind of workload is left is chance: the shrinker prefers fewer choices to an earlier alternative.
    smallest = find(scenarios(), lambda scenario: scenario.workload.kind == "events", settings=steady)
    assert [event.name for event in smallest.workload.events] == ["a"]
    assert not smallest.faults
    assert set(smallest.written()) == {"name", "workload", "policy"}


@few
@given(scenarios(workload=workloads(circles=False), fault=faults(SURVIVED)))
def test_the_engine_holds_what_is_drawn(laboratory: Laboratory, scenario: Scenario) -> None:
    assert not laboratory.run(scenario).story


@few
@given(scenarios(fault=st.nothing()))
def test_engine_holds_without_faults(laboratory: Laboratory, scenario: Scenario) -> None:
    """The engine holds what is drawn without faults."""
    assert not laboratory.run(scenario).story


@few
@given(scenarios(fault=faults(BOTH_STORES)))
def test_same_history_on_both_stores(laboratory: Laboratory, embedded: Laboratory, scenario: Scenario) -> None:
    real, faked = laboratory.run(scenario), embedded.run(scenario)
    assert real.digest == faked.digest or part_in_the_millisecond_of_a_leases_end(real, faked)


def part_in_the_millisecond_of_a_leases_end(real: Run, faked: Run) -> bool:
    """Return whether fakeredis has granted a lease where the server still keeps the last one.

    Both keep the end of a key's life in milliseconds. The server lets it live until the millisecond after; fakeredis,
    which looks at fractions, only until then.
    """
    pairs = list(zip(real.history, faked.history, strict=False))
    place, other = next((i, faked) for i, (real, faked) in enumerate(pairs) if real != faked)
    fences = [entry.details["fence"] for entry, _ in pairs[:place] if entry[1:3] == ("started", other.event)]
    lease = real.history.header.terms.lease
    return other.kind == "started" and 0 <= other.details["fence"] - fences[-1] - lease < 1_000


# -- histories ---------------------------------------------------------------------------------------------------


@settings(steady, max_examples=100)
@given(histories())
def test_a_history_survives_its_file(history: History) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "drawn.jsonl"
        history.write(file)
        read = History.read(file)
    assert read.header == history.header
    assert read.entries == history.entries
    assert judge(read) == judge(history)


@settings(steady, max_examples=150)
@given(histories(orderly=True))
def test_who_keeps_the_rules_is_not_convicted(history: History) -> None:
    assert not violated(history)


def test_generator_breaks_every_rule() -> None:
    """A generator with slips breaks every rule that an engine is asked about."""
    broken: set[str] = set()

    @settings(steady, max_examples=400)
    @given(histories(orderly=False))
    def slip(history: History) -> None:
        broken.update(violated(history))

    slip()
    assert broken >= {"causal-order", "handled-once", "nothing-lost", "prompt-release", "sibling-order"}


@st.composite
def mutilated(draw: st.DrawFn) -> History:
    """Histories from which entries are torn, doubled, moved and blotted."""
    history = draw(histories())
    for _ in range(draw(st.integers(1, 6))):
        if not history.entries:
            break
        place = draw(st.integers(0, len(history) - 1))
        entry = history.entries.pop(place)
        history.entries[draw(st.integers(0, len(history))) : 0] = draw(_pieces(entry))
    return history


def _pieces(entry: Entry) -> st.SearchStrategy[list[Entry]]:
    """What may be left of an entry: nothing, two of it, another kind, or details that are missing or mean nothing."""
    nonsense = st.none() | st.integers(-1, 3) | st.text(max_size=3) | st.lists(st.integers(), max_size=2)
    return st.one_of(
        st.just([]),
        st.just([entry, entry]),
        st.sampled_from(sorted(KINDS)).map(lambda kind: [entry._replace(kind=kind)]),
        st.sampled_from(["", "a", "z"]).map(lambda event: [entry._replace(event=event)]),
        st.sampled_from(["", "c1", "c9"]).map(lambda consumer: [entry._replace(consumer=consumer)]),
        st.just([entry._replace(details={})]),
        st.dictionaries(st.sampled_from(sorted(entry.details) or ["fence"]), nonsense, max_size=3).map(
            lambda details: [entry._replace(details={**entry.details, **details})]
        ),
    )


@settings(steady, max_examples=300)
@given(mutilated())
def test_judge_of_partial_histories(history: History) -> None:
    """The judge has a verdict on whatever is left of a history."""
    judgement = judge(history)
    assert judgement.verdict in ("holds", "violated", "unknown")
    assert (judgement.verdict == "violated") == bool(judgement.violations)
    assert all(0 <= index < len(history) for violation in judgement.violations for index in violation.witness)


@settings(steady, max_examples=100)
@given(workloads())
def test_a_drawn_workload_is_small(workload: object) -> None:
    sizes = {"events": 6, "chains": 10, "fan-out": 12, "trees": 7, "cycles": 6}
    record = dict(workload)  # type: ignore[call-overload]
    match record["kind"]:
        case "events":
            count = len(record["events"])
        case "fan-out":
            count = record["count"] * (1 + record["followers"])
        case "trees":
            count = sum(record["branching"] ** level for level in range(record["depth"]))
        case _:
            count = record["count"] * record["length"]
    assert count <= sizes[record["kind"]]
