"""clean-store: when the world is quiet, no key is left that will never expire.

The census lists the keys that have no lifetime. A lock or a claim that was left behind is such a key, or is a field of
one; what has a lifetime goes by itself.
"""

from __future__ import annotations

from collections.abc import Iterator

from simulation.invariants.chronicle import Chronicle
from simulation.invariants.verdict import Invariant, Violation

NAME = "clean-store"
_SHOWN = 5


def subjects(told: Chronicle) -> int:
    """Count the times that the keys were looked at."""
    return len(told.censuses)


def check(told: Chronicle) -> Iterator[Violation]:
    """Yield a violation for each census that found keys without a lifetime."""
    for index in told.censuses:
        entry = told.entries[index]
        keys = entry.details.get("keys")
        found = keys if isinstance(keys, dict) else {}
        lasting = sorted(name for name, key in found.items() if _lasts(key))
        if lasting:
            shown = ", ".join(lasting[:_SHOWN]) + (
                f" and {len(lasting) - _SHOWN} more" if len(lasting) > _SHOWN else ""
            )
            one = len(lasting) == 1
            because = f"because {len(lasting)} key{'' if one else 's'} will never expire although all is quiet: {shown}"
            yield Violation(NAME, entry.at, (), (), because, (index,))


def _lasts(key: object) -> bool:
    return not isinstance(key, dict) or key.get("ttl") in (None, -1)


INVARIANT = Invariant(
    name=NAME,
    summary="when all is quiet, no key without a lifetime remains: no lock, no claim, no payload",
    excuses="none",
    subjects=subjects,
    check=check,
)
