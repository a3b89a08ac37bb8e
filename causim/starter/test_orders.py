"""The scenario as tests of pytest, one for each seed; a failure shows what happened, and how to replay it."""

from pathlib import Path

from causim.testing import scenarios
from simulation.pytest_plugin import Verify

ORDERS = Path(__file__).parents[1] / "scenarios" / "orders.toml"
ENGINE = "orders_engine:OrdersEngine"


@scenarios(ORDERS, seeds=40)
def test_orders_are_handled_in_causal_order(causim_verify: Verify, scenario: Path, seed: int) -> None:
    """The engine of this project keeps causal order."""
    causim_verify(scenario, seed, engine=ENGINE)
