"""Faults as plain data: what goes wrong, when, to whom, and when it heals. Who injects them is another file's matter.

Five families, a file each: `consumers`, `packets` (the way to Redis), `store` (Redis itself), `broker` and `workload`;
`when` is what they share. Some strike at a moment (`at`, then `every`; or at the `nth` command or handler step) and
end after `for`. Others strike what matches: the `nth`, or each with a probability, within a period. Nothing strikes
once the world heals. Each fault that was injected is in the history; each that never was is reported.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

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
    HandlerCancelled,
    HandlerFault,
    HandlerRaises,
    HandlerSlow,
    Join,
    Leave,
    Partition,
    Pause,
    Stop,
    Upgrade,
    WrongClock,
)
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

Fault = Annotated[
    Crash
    | Stop
    | Upgrade
    | Join
    | Leave
    | Pause
    | WrongClock
    | Partition
    | HandlerSlow
    | HandlerRaises
    | HandlerCancelled
    | RequestLost
    | ReplyLost
    | Reset
    | Latency
    | ErrorReply
    | Restart
    | Flush
    | Failover
    | Evict
    | OutOfMemory
    | ServerClock
    | Drop
    | Delay
    | Duplicate
    | Overtake
    | Redeliver
    | Nack
    | Trim
    | Stall
    | Unpublished
    | Unreadable
    | ProducerClock
    | Aged
    | SameInstant,
    Field(discriminator="kind"),
]
"""Any fault, as a file may name it by its `kind`."""

FAULTS: dict[str, type[AnyFault]] = {
    str(kind.model_fields["kind"].default): kind
    for kind in Fault.__origin__.__args__  # type: ignore[attr-defined]
}
"""Every kind of fault by its name."""

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
