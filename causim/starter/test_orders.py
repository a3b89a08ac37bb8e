"""The scenario as a test of pytest: the plugin of causim has the fixture."""

from pathlib import Path

from simulation.pytest_plugin import WorldRunner

SCENARIO = Path(__file__).parents[1] / "scenarios" / "orders.toml"
ENGINE = "orders_engine:OrdersEngine"


def test_orders_are_handled_in_causal_order(causim_world: WorldRunner) -> None:
    """The engine of this project keeps causal order in a hundred worlds."""
    for seed in range(1, 101):
        run = causim_world(SCENARIO, seed=seed, engine=ENGINE)
        assert run.verdict == "holds", f"causim run {SCENARIO} --engine {ENGINE} --seed {seed}\n{run}"
