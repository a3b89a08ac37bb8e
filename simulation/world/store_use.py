"""Whether an engine has used the store of its run: one that keeps its state elsewhere cannot be judged."""

from __future__ import annotations

from collections.abc import Iterable

from simulation.kernel.escapes import Escaped
from simulation.world.consumer import Consumer
from simulation.world.ledger import Ledger
from simulation.world.network import Network


def check_store_was_used(consumers: Iterable[Consumer], ledger: Ledger, network: Network) -> None:
    """Refuse a run whose engine was given events and never spoke to the store. Raises Escaped.

    Such an engine keeps its state elsewhere, where no fault and no virtual time reaches it.
    """
    engines = {consumer.kind for consumer in consumers}
    declared = any(getattr(engine, "in_memory", False) for engine in engines)
    if ledger.deliveries and not declared and not network.commands and not network.refusals:
        raise Escaped(
            f"the engine was given {ledger.deliveries} deliveries and sent no command to the simulated Redis:"
            " it keeps its state elsewhere, so no verdict about it would be true. It should connect by way of"
            " context.connect(), or to any redis:// address with an asyncio client. An engine that needs no store"
            " says so with the class attribute `in_memory = True`"
        )
