"""The table [policy] of a scenario reaches the engine and the judge."""

from __future__ import annotations

from dataclasses import fields
from datetime import timedelta
from typing import Any

import pytest

from ordering import Policy
from simulation import Laboratory, loads
from simulation.engines.native import policy_of
from simulation.scenario.model import PolicyTable

TIMES = ("lookback", "retention", "memory", "lease", "retry_delay", "redelivery", "dead_retention")
NUMBERS = (("max_attempts", 7), ("max_depth", 3), ("batch", 2), ("age_by", "received"))
FAILING = """
name = "failing"
workload.events = [{ name = "b", follows = "a" }, { name = "a", at = "20ms" }]
consumers = { count = 1, sweep_interval = "100ms" }
faults = [{ kind = "handler-raises", event = "b" }]
"""

TWICE = """
name = "twice"
workload.events = [{ name = "b", follows = "a" }, { name = "a", at = "20ms" }]
consumers = { handler_failure = 0.6 }
broker = { duplicate = 1.0 }
"""


def test_every_number_can_be_set() -> None:
    """Every number of the engine's policy can be set."""
    assert {field.name for field in fields(Policy)} <= set(PolicyTable.model_fields)


@pytest.mark.parametrize("name", TIMES)
def test_a_time_of_the_policy_reaches_the_engine(name: str) -> None:
    table = PolicyTable.model_validate({"lookback": "2m", "retention": "1h", name: "31m"})
    assert getattr(policy_of(table), name) == timedelta(minutes=31)


@pytest.mark.parametrize(
    ("name", "value"), [("max_attempts", 7), ("max_depth", 3), ("batch", 2), ("age_by", "received")]
)
def test_number_reaches_the_engine(name: str, value: Any) -> None:
    """A number of the policy reaches the engine."""
    assert getattr(policy_of(PolicyTable.model_validate({name: value})), name) == value


def test_defaults_are_the_engines() -> None:
    """Without keys the policy is the engine's own."""
    own, given = Policy(), policy_of(PolicyTable())
    differs = {field.name for field in fields(Policy) if getattr(own, field.name) != getattr(given, field.name)}
    assert differs == {"dead_retention"}  # as long as the retention: a world knows no operator


def test_attempts_reach_the_judge(laboratory: Laboratory) -> None:
    """The engine tries as often as the policy says and the judge knows."""
    run = laboratory.run(loads(FAILING + 'policy = { max_attempts = 2, retry_delay = "700ms" }'), 1)
    failed = [entry.at for entry in run.history.of("ended") if entry.event == "b"]
    assert len(failed) == 2
    assert 700_000 <= failed[1] - failed[0] < 1_000_000
    assert [entry.details["by"] for entry in run.history.of("dead-lettered")] == ["engine"]
    terms = run.history.header.terms
    assert (terms.max_attempts, terms.retry_delay) == (2, 700_000)
    assert run.verdict == "holds"


@pytest.mark.parametrize("name", ["lookback", "memory", "lease", "redelivery", "dead_retention"])
def test_long_times_leave_a_clean_store(name: str, laboratory: Laboratory) -> None:
    """What the engine keeps for twice a time of the policy, as its guide says, does not live for too long."""
    run = laboratory.run(loads(TWICE + f'policy = {{ {name} = "40d", retention = "40d" }}'), 1)
    assert run.verdict == "holds", run.judgement.violations
    assert "clean-store" in run.judgement.judged
