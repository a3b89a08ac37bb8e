"""Runs scenarios, one after the other, on one store."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from causim.counts import LAST_SEED
from simulation.engines import Engine, engine_name
from simulation.kernel.endings import collected_leftovers, forget_locals
from simulation.kernel.escapes import Escaped
from simulation.kernel.random_streams import Reseed
from simulation.scenario.load import scenario_of
from simulation.scenario.model import Scenario
from simulation.scenario.swarm import draw
from simulation.stores.open_store import open_store
from simulation.stores.protocol import StoreUnavailable
from simulation.world.quiescence import Watch
from simulation.world.run import Run
from simulation.world.scheduling import Exploration
from simulation.world.world import World


class Laboratory:
    """A store that is kept for many runs, one after the other."""

    def __init__(self, store: str = "auto", executable: Path | None = None) -> None:
        self.store, self.note = open_store(store, executable)
        self.folder: Path | None = None
        """The folder for histories that grow long; None: the system's folder for temporary files."""
        self.watch: Watch | None = None
        """Receives the progress of a run from time to time."""

    def run(
        self,
        scenario: Scenario | str | Path,
        seed: int | None = None,
        engine: str | type[Engine] | None = None,
        trace: bool = False,
        *,
        exploration: Exploration | None = None,
        reseed: Reseed | None = None,
    ) -> Run:
        """Run a scenario. Seed and engine are the scenario's own unless given; a swarm draws its world from the seed.

        With an exploration, its scheduler chooses the order of steps; else drawn delays do. With a `reseed`, the run
        goes on under another seed from some moment on.

        Raises BadScenario, UnknownEngine, EngineFailed, StoreUnavailable, TypeError for a seed that is no whole number.
        """
        scenario = scenario_of(scenario)
        chosen = scenario.seed if seed is None else seed
        if not isinstance(chosen, int) or isinstance(chosen, bool) or not 0 <= chosen < 2 * LAST_SEED:
            raise TypeError(f"a seed was expected: a whole number from 0 to {2 * LAST_SEED - 1}; not {chosen!r}")
        world = draw(scenario, chosen).scenario
        named = engine_name(engine or scenario.engine)

        def begin() -> Run:
            built = World(
                world, chosen, named, self.store, trace, exploration=exploration, folder=self.folder, reseed=reseed
            )
            built.quiescence.watch = self.watch
            return built.run()

        with collected_leftovers():
            try:
                return begin()
            except (Escaped, StoreUnavailable) as error:  # it names the line; the locals of that would keep the world
                forget_locals(error)
                raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.store.close()


def run(
    scenario: Scenario | str | Path,
    seed: int | None = None,
    engine: str | type[Engine] | None = None,
    store: str = "auto",
    trace: bool = False,
) -> Run:
    """Run a scenario once, on a store of its own, and return the judged run.

    Args:
        scenario: the scenario to run: from `load`, the path of a file, TOML text, or the name of a shipped scenario.
        seed: the scenario's own if not given.
        engine: a built-in engine's name, `module:Class` or a class; the scenario's own if not given.
        store: `server`, `embedded`, `redis://…`, or `auto`: the server where it can run.
        trace: keep every Redis command and reply in the history too.

    Raises StoreUnavailable, UnknownEngine, BadScenario, EngineFailed, TypeError.
    """
    with Laboratory(store) as laboratory:
        return laboratory.run(scenario, seed, engine, trace)
