"""Admission of a connection's commands to the simulation: it depends on the command and on the commands before it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from simulation.stores.redis_commands import EVAL, REFUSED_VERBS, why_refused
from simulation.world.random_commands import ALL, DRAWN
from simulation.world.self_description import DESCRIBED

Words = Sequence[bytes]

_TRANSACTIONS = frozenset({b"MULTI", b"EXEC", b"DISCARD", b"RESET"})
_BRING_SCRIPTS = EVAL | {b"SCRIPT", b"FUNCTION"}
CHECKED = REFUSED_VERBS | _TRANSACTIONS | _BRING_SCRIPTS | ALL | DESCRIBED
"""Commands that must be shown to `refuses`; all others can be simulated."""

_CALL = re.compile(rb"""\bp?call\s*\(\s*(['"])(\w+)\1""")
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
        name = b" ".join(words[:2]).decode("utf-8", "backslashreplace")
        if why := why_refused(words):
            return f"the command {name} was sent to Redis, but {why}"
        if verb in _TRANSACTIONS:
            self._queues = verb == b"MULTI"
        elif self._queues and (verb in ALL or verb in DESCRIBED):
            return f"{name} was sent inside of a transaction, but there the server draws its reply by chance"
        elif verb in _BRING_SCRIPTS:
            called = _calls(words[1] if verb in EVAL and len(words) > 1 else words[-1])
            for refused in sorted(called & _OUTSIDE.keys()):
                return f"a script was sent to Redis that calls {refused.decode()}, but {_OUTSIDE[refused]}"
        return ""


@lru_cache(maxsize=512)
def _calls(script: bytes) -> frozenset[bytes]:
    """Return the commands that a script calls by their names."""
    return frozenset(found[2].upper() for found in _CALL.finditer(script))
