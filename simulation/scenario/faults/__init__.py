"""Faults: what goes wrong, when and where, when it heals, and what it does.

A fault is a class with a `kind` in any module of this package: its keys, its act (on the protocols of `targets`), its
recipe for scenarios that are drawn, whether it loses data, and its example. A module that is added here is found by
itself. The families are `consumers`, `handlers`, `packets` (the way to Redis), `store` (Redis itself), `broker` and
`workload`; `timing` is what they share. Some strike at a moment (`at`, then `every`; or at the `nth` command or
handler step) and end after `for`. Others strike what matches: the `nth`, or each with a probability, within a period.
Nothing strikes once the world heals. Each fault that was injected is in the history; each that never was is reported.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Union

from pydantic import Field

from simulation.scenario.fault_modules import fault_modules
from simulation.scenario.faults.broker import (
    Delay,
    DeliveryFault,
    Drop,
    Duplicate,
    Nack,
    Overtake,
    Redeliver,
    Stall,
    TimedBrokerFault,
    Trim,
)
from simulation.scenario.faults.consumers import (
    ConsumerFault,
    Crash,
    Join,
    Leave,
    Partition,
    Pause,
    Stop,
    Upgrade,
    WrongClock,
)
from simulation.scenario.faults.handlers import HandlerCancelled, HandlerFault, HandlerRaises, HandlerSlow
from simulation.scenario.faults.packets import ERRORS, ErrorReply, Latency, PacketFault, ReplyLost, RequestLost, Reset
from simulation.scenario.faults.store import Evict, Failover, Flush, OutOfMemory, Restart, ServerClock, StoreFault
from simulation.scenario.faults.timing import AnyFault, Chance, EventChance, TimedFault, describe
from simulation.scenario.faults.workload import (
    Aged,
    ProducerClock,
    PublicationFault,
    SameInstant,
    Unpublished,
    Unreadable,
)


def _kinds() -> Iterator[type[AnyFault]]:
    """Yield every class with a `kind` in the modules of this package, in the order in which each module has them."""
    for name in fault_modules():
        module = f"{__name__}.{name}"
        for value in vars(import_module(module)).values():
            own = isinstance(value, type) and issubclass(value, AnyFault) and value.__module__ == module
            if own and "kind" in value.model_fields:
                yield value


FAULTS: dict[str, type[AnyFault]] = {str(kind.model_fields["kind"].default): kind for kind in _kinds()}
"""Every kind of fault by its name."""

if TYPE_CHECKING:
    Fault = AnyFault
else:
    Fault = Annotated[Union[tuple(FAULTS.values())], Field(discriminator="kind")]  # noqa: UP007  # of a tuple
"""Any fault, as a file may name it by its `kind`."""

__all__ = [
    "ERRORS",
    "FAULTS",
    "Aged",
    "AnyFault",
    "Chance",
    "ConsumerFault",
    "Crash",
    "Delay",
    "DeliveryFault",
    "Drop",
    "Duplicate",
    "ErrorReply",
    "EventChance",
    "Evict",
    "Failover",
    "Fault",
    "Flush",
    "HandlerCancelled",
    "HandlerFault",
    "HandlerRaises",
    "HandlerSlow",
    "Join",
    "Latency",
    "Leave",
    "Nack",
    "OutOfMemory",
    "Overtake",
    "PacketFault",
    "Partition",
    "Pause",
    "ProducerClock",
    "PublicationFault",
    "Redeliver",
    "ReplyLost",
    "RequestLost",
    "Reset",
    "Restart",
    "SameInstant",
    "ServerClock",
    "Stall",
    "Stop",
    "StoreFault",
    "TimedBrokerFault",
    "TimedFault",
    "Trim",
    "Unpublished",
    "Unreadable",
    "Upgrade",
    "WrongClock",
    "describe",
]
