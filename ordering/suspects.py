"""Events that a batch handles one by one: they were begun with before, and their consumers have not come back.

Of a batch whose process was killed, nobody knows which handler has killed it. So an event that was granted before and
never given back is granted alone next time: it is begun and completed by itself, and the others do not count.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from ordering.describing import describe
from ordering.drain import Handler
from ordering.leases import current_grant

if TYPE_CHECKING:
    from ordering.batch import Outcome
    from ordering.causal import CausalOrdering


async def handle_alone(ordering: CausalOrdering, handler: Handler, event: Any) -> Outcome:
    """Handle one event of a batch by itself, and what it releases; return what became of it."""
    errors = ordering.errors
    outcomes: list[tuple[type[Exception], Outcome]] = [  # in Prefect, the first two are kinds of the third
        (errors.dead, "dead"),
        (errors.seen, "seen"),
        (errors.early, "parked"),
        (errors.held, "held"),
        (errors.lost, "lost"),
    ]
    try:
        async with ordering.preceding_event_confirmed(handler, event):
            grant = current_grant.get()
            if grant is not None:
                grant.handed = True  # the handler may enter the engine for it, or not, as in a batch
            await handler(event, depth=1)
    except Exception as error:
        outcome: Outcome = next((word for kind, word in outcomes if isinstance(error, kind)), "failed")
        if outcome == "failed":
            message = "failed in its handler (%s); it is to be offered again"
            ordering._log(logging.ERROR, event, message, describe(error))
        return outcome
    return "handled"
