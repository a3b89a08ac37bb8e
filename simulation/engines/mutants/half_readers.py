"""A fleet in which some consumers cannot read events that others park: a rolling change of the events' schema.

Not a mutant itself, but the host of those that deal wrongly with such an event.
"""

from __future__ import annotations

from typing import Any

from simulation.engines import EngineContext
from simulation.engines.native import NativeEngine


class OldSchema:
    """Reads nothing that is parked."""

    @staticmethod
    def model_validate_json(payload: str | bytes) -> Any:
        """Raise, as the events' class of another version would."""
        raise ValueError("schema of another version")


class HalfReaders(NativeEngine):
    """One consumer of `ordering`; of a fleet of them, c1 reads no event that is parked."""

    def __init__(self, context: EngineContext) -> None:
        self._reads = context.consumer != "c1"
        super().__init__(context)

    def _open(self, scope: str, **options: Any) -> Any:
        if not self._reads:
            options["event_type"] = OldSchema
        return super()._open(scope, **options)
