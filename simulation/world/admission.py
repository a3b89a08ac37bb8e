"""Admission of a connection's commands to the simulation: it depends on the command and on the commands before it."""

from __future__ import annotations

from collections.abc import Sequence

from simulation.stores.redis_commands import BRING_SCRIPTS, REFUSED_VERBS, called_by_script, why_refused
from simulation.world.random_commands import ALL, DRAWN
from simulation.world.self_description import DESCRIBED

Words = Sequence[bytes]

_TRANSACTIONS = frozenset({b"MULTI", b"EXEC", b"DISCARD", b"RESET"})
CHECKED = REFUSED_VERBS | _TRANSACTIONS | BRING_SCRIPTS | ALL | DESCRIBED
"""Commands that must be shown to `refuses`; all others can be simulated."""

_OUTSIDE = {
    b"MIGRATE": "it connects to another server",
    b"INFO": "its reply is about the real process",
    **dict.fromkeys(DRAWN, "there the server draws by chance, which no seed repeats"),
    **dict.fromkeys((b"SUNION", b"SDIFF"), "there the server lists sets in an order that differs by chance"),
}
"""Commands that a script must not call, and why."""


class Admission:
    """Follows the transactions of one connection."""

    def __init__(self) -> None:
        self._queues = False

    def refuses(self, words: Words) -> str:
        """Return the command that cannot be simulated, and the reason; empty if it can."""
        verb = words[0].upper()
        name = shown(words)
        if why := why_refused(words):
            return f"the command {name} was sent to Redis, but {why}"
        if verb in _TRANSACTIONS:
            self._queues = verb == b"MULTI"
        elif self._queues and (verb in ALL or verb in DESCRIBED):
            return f"{name} was sent inside of a transaction, but there the server draws its reply by chance"
        elif verb in BRING_SCRIPTS:
            for refused in sorted(called_by_script(words) & _OUTSIDE.keys()):
                return f"a script was sent to Redis that calls {refused.decode()}, but {_OUTSIDE[refused]}"
        return ""


def shown(words: Words) -> str:
    """Return the first two words of a command, as messages show them."""
    return b" ".join(words[:2])[:80].decode("utf-8", "backslashreplace")
