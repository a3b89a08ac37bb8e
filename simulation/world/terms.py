"""The first line of a run's history: which run it is, and the terms on which it is judged."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from importlib.metadata import version

from simulation.history.entries import Header, Terms
from simulation.scenario.model import Scenario
from simulation.stores.protocol import Store


def terms_of(scenario: Scenario) -> Terms:
    """Return the promises of the engine under a scenario's policy, and the demands of the scenario."""
    policy = scenario.policy
    # Of each key that the engine's guide lists, the longest life; that of a dead letter and an attempt may be named.
    lives = (
        2 * policy.memory,
        2 * policy.lookback,
        2 * policy.lease,
        policy.redelivery or 0,
        policy.dead_retention or 0,
    )
    return Terms(
        lookback=policy.lookback,
        retention=policy.retention,
        lease=policy.lease,
        release_bound=scenario.release_bound,
        sweep_interval=scenario.consumers.sweep_interval,
        stuck_bound=scenario.judge.progress_bound,
        max_attempts=policy.max_attempts,
        retry_delay=policy.retry_delay,
        memory=policy.memory,
        redelivery=policy.redelivery or 0,
        longest_ttl=max(Terms().longest_ttl, *lives),
    )


def header_of(scenario: Scenario, seed: int, engine: str, store: Store, epoch: datetime) -> Header:
    """Return the header of the history of a run."""
    judge = scenario.judge
    return Header(
        scenario=scenario.name,
        seed=seed,
        engine=engine,
        store=f"{store.name} {store.version}",
        version=_version(),
        epoch=epoch.isoformat(),
        terms=terms_of(scenario),
        exercise=judge.require_coverage,
        invariants=judge.invariants,
        allowed_loss=judge.allowed_loss,
        loud=judge.loud,
        reconnects="READONLY" in scenario.client.retry_on,
    )


@cache
def _version() -> str:
    return version("causim")
