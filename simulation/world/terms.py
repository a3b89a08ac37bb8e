"""The terms on which the history of a scenario's run is judged."""

from __future__ import annotations

from simulation.history.entries import Terms
from simulation.scenario.model import Scenario


def terms_of(scenario: Scenario) -> Terms:
    """Return what the engine promises under a scenario's policy, and what the scenario asks."""
    policy = scenario.policy
    return Terms(
        lookback=policy.lookback,
        retention=policy.retention,
        lease=policy.lease,
        release_bound=scenario.release_bound,
        sweep_interval=scenario.consumers.sweep_interval,
        stuck_bound=scenario.judge.progress_bound,
        max_attempts=policy.max_attempts,
        retry_delay=policy.retry_delay,
        longest_ttl=max(Terms().longest_ttl, policy.memory, policy.redelivery or 0, policy.dead_retention or 0),
    )
