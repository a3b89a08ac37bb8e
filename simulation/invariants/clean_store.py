"""clean-store: when the world is quiet, Redis holds no key that stays without a limit.

The census lists the keys that are left. A leak is

- a key without a TTL;
- a lock or a claim, with or without a TTL, where the census says that a key is one;
- a key whose TTL is more than a tenth longer than all times that the policy names (`longest_ttl`, the lookback, the
  retention).

A policy may document keys that stay, as patterns in the header's `documented_keys`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

from simulation.history.index import HistoryIndex
from simulation.invariants.time_format import moment
from simulation.invariants.verdict import Invariant, Violation

NAME = "clean-store"

HELD = ("lock", "claim")
"""The roles of keys that no consumer may hold when all is quiet."""

SECOND = 1_000_000
"""Microseconds; the TTL of a key is in seconds."""

_SHOWN = 5


def subjects(index: HistoryIndex) -> int:
    """Count the censuses that were taken when the world was quiet."""
    return sum(1 for _ in _censuses(index))


def check(index: HistoryIndex) -> Iterator[Violation]:
    """Yield a violation for each census that found keys which should not be there, and why they should not."""
    for number in _censuses(index):
        keys = index.censuses[number].details.get("keys") or {}
        if isinstance(keys, Mapping):
            yield from _violations(index, number, keys)


def _censuses(index: HistoryIndex) -> Iterator[int]:
    if index.quiet or not index.phases:
        yield from index.censuses


def _violations(index: HistoryIndex, number: int, keys: Mapping[str, Any]) -> Iterator[Violation]:
    leaked = _those(index, keys, lambda key: key.get("ttl") in (None, -1) and key.get("role") not in HELD)
    held = _those(index, keys, lambda key: key.get("role") in HELD)
    most = index.terms.longest_life // SECOND
    lasting = _those(index, keys, lambda key: _lasts(key.get("ttl"), most) and key.get("role") not in HELD)
    at = index.times[number]
    flaws = (
        (leaked, "without a TTL"),
        (held, "that a consumer still holds"),
        (lasting, "that lives longer than any time of the policy"),
    )
    for names, flaw in flaws:
        if names:
            because = f"because at {moment(at)}, when the world was quiet, Redis still had {_counted(names)} {flaw}"
            yield Violation(NAME, at, (), (), f"{because}: {_shortened(names)}", (number,))


def _lasts(ttl: object, most: int) -> bool:
    return isinstance(ttl, (int, float)) and ttl > most


def _those(index: HistoryIndex, keys: Mapping[str, Any], flawed: Callable[[Mapping[str, Any]], bool]) -> list[str]:
    documented = index.header.documented_keys
    return sorted(
        name
        for name, key in keys.items()
        if flawed(key if isinstance(key, Mapping) else {})
        and not any(fnmatchcase(name, pattern) for pattern in documented)
    )


def _counted(names: list[str]) -> str:
    return "a key" if len(names) == 1 else f"{len(names)} keys"


def _shortened(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


INVARIANT = Invariant(
    name=NAME,
    summary=(
        "when the world is quiet, no key without a TTL remains, no lock or claim, and no TTL is longer than the longest"
        " that the policy names"
    ),
    excuses="keys that the policy documents",
    subjects=subjects,
    check=check,
    exercised_by=("handled",),
    reading=(
        "The keys are named at the end, the first five of them. Look for the command that was to remove them or to "
        "give them a TTL."
    ),
    needs=frozenset({"end", "census"}),
    holds_for_trivial=True,
    order_is_known=True,
    examples={
        "accepted": """\
{"at":0,"kind":"published","event":"a"}
{"at":1000000,"kind":"started","event":"a","consumer":"c1","handling":1}
{"at":2000000,"kind":"ended","event":"a","consumer":"c1","handling":1,"outcome":"ok"}
{"at":9000000,"kind":"census","keys":{"seen/a":{"type":"string","ttl":1800}}}
""",
        "rejected": """\
{"at":0,"kind":"published","event":"a"}
{"at":1000000,"kind":"started","event":"a","consumer":"c1","handling":1}
{"at":2000000,"kind":"ended","event":"a","consumer":"c1","handling":1,"outcome":"ok"}
{"at":9000000,"kind":"census","keys":{"seen/a":{"type":"string","ttl":1800},"event/b":{"type":"string","ttl":null}}}
""",
    },
)
