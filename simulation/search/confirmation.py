"""The witness: a real server that must see again what a search has found on the lean store.

The lean store is code of ours that imitates Redis; a violation found on it could be its own fault. So the same scenario
is run with the same seed and the same choices on a redis-server before anybody is told. If nothing is violated there,
the lean store is wrong, and nothing that was found on it is worth telling.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from simulation.search.replay import Replay
from simulation.stores.protocol import Store, StoreUnavailable
from simulation.world.laboratory import Laboratory
from simulation.world.run import Run


class NotReproduced(Exception):
    """What was found on the lean store is not so on a real server: the lean store has a bug."""


class Witness:
    """A laboratory on a real server, or the reason why there is none."""

    def __init__(self, laboratory: Laboratory | None, because: str = "") -> None:
        self._laboratory = laboratory
        self._because = because

    @property
    def statement(self) -> str:
        """What is to be told of findings that this witness was asked about."""
        if self._laboratory is None:
            return f"not confirmed: there is no real server here to replay it on ({self._because})"
        return f"replayed on {self._laboratory.store.version}: violated there too"

    def sees(self, found: Replay, engine: str, invariants: Iterable[str]) -> Run | None:
        """Run again what was found, and return that run; None if there is no server. Raises NotReproduced."""
        if self._laboratory is None:
            return None
        run = found.perform(self._laboratory, engine, trace=True)
        missing = set(invariants) - {violation.invariant for violation in run.judgement.violations}
        if missing:
            raise NotReproduced(
                f"the lean store has a bug: {found.scenario.name}, seed {found.scenario.seed}, on engine {engine} "
                f"violates {', '.join(sorted(missing))} there, but not on a real server. Nothing is reported; search "
                "with --store server instead, and please report this line with the scenario file"
            )
        return run


def is_needed(store: Store) -> bool:
    """Whether what is found on a store needs a witness."""
    return store.name == "lean"


@contextmanager
def called(executable: Path | None = None) -> Iterator[Witness]:
    """Call a witness: start a real server, if there can be one."""
    try:
        laboratory = Laboratory("server", executable)
    except StoreUnavailable as error:
        yield Witness(None, str(error))
        return
    with laboratory:
        yield Witness(laboratory)
