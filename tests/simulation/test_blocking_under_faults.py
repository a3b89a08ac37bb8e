"""Each blocking command, in each form, under each fault: nothing is lost that a server would not lose."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from simulation import Laboratory, loads
from simulation.search.explore.strategies import Runner, Strategy
from tests.simulation.blocking_workers import COMMANDS, FORMS, KEEPS

WORKERS = "tests.simulation.blocking_workers"
SCENARIO = """
name = "t"
workload = { kind = "chains", count = 6, length = 1, interval = "300ms" }
consumers = { count = 2, handler_time = "20ms" }
judge = { preset = "queue", require_coverage = ["handled"], horizon = "1h" }
policy = { lookback = "4s", retention = "5s", lease = "2s" }
"""
FAULTS = {
    "none": "",
    "pause": 'kind = "pause"\nat = "400ms"\nfor = "5s"\nconsumer = "c1"',
    "crash": 'kind = "crash"\nat = "600ms"\nevery = "300ms"\ntimes = 3\nfor = "1s"\nconsumer = "any"',
    "stop": 'kind = "stop"\nat = "700ms"\nfor = "1s"\nconsumer = "c1"',
    "request-lost": 'kind = "request-lost"\nprobability = 0.2',
    "reply-lost": 'kind = "reply-lost"\nprobability = 0.2\nconsumer = "c1"',
    "reset": 'kind = "reset"\nprobability = 0.2\nconsumer = "c1"',
    "delay": 'kind = "delay"\nprobability = 0.3\nby = "400ms"',
    "partition": 'kind = "partition"\nat = "500ms"\nfor = "1s"\nconsumer = "c1"',
    "failover": 'kind = "failover"\nat = "700ms"\nlag = "100ms"\nfor = "1s"',
    "server-demoted": 'kind = "server-demoted"\nat = "700ms"\nfor = "1s"',
    "evict": 'kind = "evict"\nat = "700ms"\nkeys = "*"',
    "restart": 'kind = "restart"\nat = "700ms"\nkeep = true\nfor = "1s"',
    "close-idle-connections": 'kind = "close-idle-connections"\nat = "700ms"\nidle = "0s"',
    "server-stalls": 'kind = "server-stalls"\nat = "700ms"\nfor = "3s"',
}
LOSE_DATA = frozenset({"failover", "evict"})
LOSE_REPLIES = frozenset({"crash", "stop", "reply-lost", "reset", "partition", "restart"})
"""Faults that can lose a reply behind the executed command; a message that was popped is lost with it."""
SERVER_ONLY = frozenset({"failover", "BLMPOP", "BZMPOP", "WAIT"})
"""What fakeredis does not have."""
STRATEGIES = ("random-walk", "pct", "pos", "surw")


def scenario(fault: str) -> str:
    return SCENARIO + (f"[[faults]]\n{FAULTS[fault]}\n" if FAULTS[fault] else "")


def cases() -> Iterator[tuple[str, str, str]]:
    return itertools.product(COMMANDS, FORMS, FAULTS)


def few_cases() -> list[tuple[str, str, str]]:
    """Return each command, each form and each fault at least once."""
    return list(zip(itertools.cycle(COMMANDS), itertools.cycle(FORMS), FAULTS, strict=False))


def check(laboratory: Laboratory, case: tuple[str, str, str], strategy: str = "random-delays", seeds: int = 1) -> None:
    command, form, fault = case
    if laboratory.store.name == "embedded" and (fault in SERVER_ONLY or command in SERVER_ONLY):
        return
    engine = f"{WORKERS}:{command.lower()}_{form}"
    runner = Runner(laboratory, loads(scenario(fault)), engine, Strategy(strategy))  # type: ignore[arg-type]
    for seed in range(1, 1 + seeds):
        result, again = runner.run(seed), runner.run(seed)
        about = (engine, fault, strategy, seed, [str(violation) for violation in result.judgement.violations])
        assert result.digest == again.digest, about
        found = {violation.invariant for violation in result.judgement.violations}
        lossy = fault in LOSE_DATA or (fault in LOSE_REPLIES and command not in KEEPS)
        assert found <= ({"nothing-lost"} if lossy else set()), about
        assert result.verdict in ("holds", "violated"), about


@pytest.mark.parametrize("case", few_cases(), ids="-".join)
def test_nothing_is_lost_that_a_server_would_not_lose(laboratory: Laboratory, case: tuple[str, str, str]) -> None:
    check(laboratory, case)


@pytest.mark.parametrize("strategy", ["pct", "surw"])
def test_each_strategy_gives_the_same_verdicts(laboratory: Laboratory, strategy: str) -> None:
    check(laboratory, ("BLMOVE", "pipeline", "crash"), strategy)


@pytest.mark.nightly
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("store", ["laboratory", "embedded"])
def test_each_command_in_each_form_under(request: pytest.FixtureRequest, store: str, fault: str) -> None:
    laboratory = request.getfixturevalue(store)
    for case in cases():
        if case[2] == fault:
            check(laboratory, case, seeds=2)


@pytest.mark.nightly
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_each_command_by(laboratory: Laboratory, strategy: str) -> None:
    for command, form in itertools.product(COMMANDS, FORMS):
        for fault in ("none", "crash", "reply-lost"):
            check(laboratory, (command, form, fault), strategy)
