"""The engine of this project, spread over several partitions, as on a Redis Cluster."""

from __future__ import annotations

from typing import Any

from ordering import PartitionedOrdering, by_resource
from simulation.engines.native import NativeEngine

PARTITIONS = 4
_GENERATED = "causim.event"


def chain_of(event: Any) -> str:
    """Return the partition key of an event: the resource of one of a trace, the chain (`c1`) of one made (`c1.3`).

    For events that a scenario lists by name it is the part before the first dot of their names, too.
    """
    if event.event != _GENERATED:
        return by_resource(event)
    return str(event.payload.get("name", "")).partition(".")[0]


class PartitionEngine(NativeEngine):
    """One consumer of an ordering in partitions."""

    def _open(self, scope: str, **options: Any) -> PartitionedOrdering:
        return PartitionedOrdering(scope, partitions=PARTITIONS, by=chain_of, **options)
