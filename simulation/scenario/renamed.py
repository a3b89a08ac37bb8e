"""Keys of scenarios that have another name now. The old name works for one release, with a warning."""

from __future__ import annotations

import linecache
import re
import warnings
from collections.abc import Mapping
from typing import Any

from simulation.invariants import RENAMED_WORDS

RENAMED: Mapping[str, Mapping[str, str]] = {
    "broker": {"tells_dead_letters": "reports_dead_letters"},
    "judge": {"exercise": "require_coverage", "settle": "settle_time", "stuck_bound": "progress_bound"},
    "policy": {"depth": "max_depth"},
}
"""For each table, the new name of each old key."""


_warned: dict[Any, Any] = {}
"""The warnings that were given, as `warnings` keeps them: each is given once."""


class RenamedWarning(FutureWarning):
    """A scenario or a command line uses a name that will not be accepted by the release after the next."""


def renamed(record: Mapping[str, Any], source: str) -> dict[str, Any]:
    """Return the tables of a scenario with today's names. Warns of each old one; a new one that is given too wins."""
    tables = dict(record)
    for table, names in RENAMED.items():
        given = tables.get(table)
        if isinstance(given, Mapping) and not names.keys().isdisjoint(given):
            for old in sorted(names.keys() & given.keys()):
                _warn(f"{source}: table [{table}], key '{old}'", names[old], source, _line_of(source, table, old))
            tables[table] = {**{names.get(key, key): value for key, value in given.items()}, **_new(given, names)}
    return _with_words_of_now(tables, source)


def _with_words_of_now(tables: dict[str, Any], source: str) -> dict[str, Any]:
    judge = tables.get("judge")
    words = judge.get("require_coverage") if isinstance(judge, Mapping) else None
    if not isinstance(judge, Mapping) or not isinstance(words, list | tuple):
        return tables
    now = [RENAMED_WORDS.get(word, word) if isinstance(word, str) else word for word in words]
    for old, new in zip(words, now, strict=True):
        if old != new:
            _warn(f"{source}: table [judge], the coverage word '{old}'", new, source, _line_of(source, "judge", old))
    return {**tables, "judge": {**judge, "require_coverage": now}} if now != list(words) else tables


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
    """Return the path of a value with the name that it had first: its draws must not change with the name."""
    table, _, key = path.partition(".")
    return next((f"{table}.{old}" for old, new in RENAMED.get(table, {}).items() if new == key), path)


def _warn(what: str, new: str, file: str = "scenario", line: int = 0) -> None:
    """Warn of an old name, at the line of the file that has it: that is the one to change."""
    message = f"{what} is called '{new}' now; the old name works for one release"
    warnings.warn_explicit(message, RenamedWarning, file, line, module="simulation.scenario", registry=_warned)


def _line_of(file: str, table: str, word: str) -> int:
    """Return the number of the first line that has a word, from the first mention of its table on; 0 if none has."""
    linecache.checkcache(file)
    lines = linecache.getlines(file)
    begin = next((number for number, line in enumerate(lines) if re.search(rf"\b{table}\b", line)), len(lines))
    found = (number for number in range(begin, len(lines)) if re.search(rf"(?<![\w-]){word}(?![\w-])", lines[number]))
    return next(found, -1) + 1
