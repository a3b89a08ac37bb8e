"""Whether an engine has used the store of its run: one that keeps its state elsewhere cannot be judged."""

from __future__ import annotations

from collections.abc import Iterable

from simulation.kernel.escapes import Escaped
from simulation.world.consumer import Consumer
from simulation.world.error_log import ErrorLog
from simulation.world.ledger import Ledger
from simulation.world.network import Network


def check_store_was_used(consumers: Iterable[Consumer], ledger: Ledger, network: Network, errors: ErrorLog) -> None:
    """Refuse a run whose engine was given events and never spoke to the store. Raises Escaped.

    Such an engine keeps its state elsewhere, where no fault and no virtual time reaches it. The producer of a program
    speaks to the store in any case.
    """
    members = list(consumers)
    declared = any(getattr(one.kind, "in_memory", False) for one in members)
    silent = network.senders.isdisjoint(one.name for one in members)
    if ledger.deliveries and not declared and silent and not network.refusals:
        what = f"the engine was given {ledger.deliveries} deliveries and sent no command to the simulated Redis"
        if errors.all:
            raise Escaped(f"{what}. It raised {errors.all[0]}")
        raise Escaped(
            f"{what}: it keeps its state elsewhere, so no verdict about it would be true. It should connect by way of"
            " context.connect(), or to any redis:// address with an asyncio client. An engine that needs no store"
            " says so with the class attribute `in_memory = True`"
        )
