"""Errors of a scenario that cannot be used."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any


class BadScenario(Exception):
    """A scenario cannot be used. Each line of the message names the file, the table, the key and the fix."""


def known_names(what: str, given: tuple[str, ...], known: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the given names. Raises ValueError that names the nearest one if one of them is not known."""
    for name in given:
        if name not in known:
            near = get_close_matches(name, known, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ValueError(f"{what} {name!r} is not known{hint} (known: {', '.join(known)})")
    return given
