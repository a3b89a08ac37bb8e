"""Keys of scenarios that have another name now. The old name works for one release, with a warning."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

RENAMED: Mapping[str, Mapping[str, str]] = {
    "judge": {"exercise": "require_coverage", "settle": "settle_time", "stuck_bound": "progress_bound"},
    "policy": {"depth": "max_depth"},
}
"""For each table, the new name of each old key."""


class RenamedWarning(FutureWarning):
    """A scenario or a command line uses a name that will not be accepted by the release after the next."""


def renamed(record: Mapping[str, Any], source: str) -> dict[str, Any]:
    """Return the tables of a scenario with today's names. Warns of each old one; a new one that is given too wins."""
    tables = dict(record)
    for table, names in RENAMED.items():
        given = tables.get(table)
        if isinstance(given, Mapping) and not names.keys().isdisjoint(given):
            for old in names.keys() & given.keys():
                _warn(f"{source}: table [{table}], key '{old}'", names[old])
            tables[table] = {**{names.get(key, key): value for key, value in given.items()}, **_new(given, names)}
    return tables


def _new(given: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {key: value for key, value in given.items() if key not in names}


def renamed_path(path: str) -> str:
    """Return the path of a value, such as `policy.depth`, with today's name. Warns of an old one."""
    table, _, key = path.partition(".")
    if key not in RENAMED.get(table, {}):
        return path
    _warn(f"'{path}'", f"{table}.{RENAMED[table][key]}")
    return f"{table}.{RENAMED[table][key]}"


def first_path(path: str) -> str:
    """Return the path of a value with the name that it had first: what is drawn for it must not change with the
    name."""
    table, _, key = path.partition(".")
    return next((f"{table}.{old}" for old, new in RENAMED.get(table, {}).items() if new == key), path)


def _warn(what: str, new: str) -> None:
    warnings.warn(f"{what} is called '{new}' now; the old name works for one release", RenamedWarning, stacklevel=4)
