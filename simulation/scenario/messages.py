"""Describes mistakes in a scenario in the words of its file: table, key, given value, accepted values."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel, ValidationError

from simulation.scenario.faults import FAULTS
from simulation.scenario.workloads import (
    WORKLOADS,
    PlannedEvent,
)

_PLAIN = {
    "less_than_equal": "must be at most {le:,}",
    "greater_than_equal": "must be at least {ge:,}",
    "less_than": "must be below {lt:,}",
    "greater_than": "must be above {gt:,}",
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float"), "must be a whole number"),
    **dict.fromkeys(("float_type", "float_parsing", "finite_number"), "must be a number"),
    **dict.fromkeys(("bool_type", "bool_parsing"), "must be true or false"),
    "string_type": "must be a text",
    "string_too_long": "must be at most {max_length:,} characters long",
    "string_too_short": "must not be empty",
    "too_short": "must have at least {min_length}",
    "string_pattern_mismatch": "must be without blanks and '/'",
    **dict.fromkeys(("list_type", "tuple_type"), "must be a list"),
    **dict.fromkeys(("dict_type", "mapping_type", "model_type", "model_attributes_type"), "must be a table"),
    "literal_error": "must be {expected}",
}
"""pydantic's kinds of errors in plain words; the others keep pydantic's own."""
MOST = 20
"""Mistakes of one file that are described."""
_SHOWN, _LONGEST = 200, 2_000
"""Characters of a given value, and of a sentence, that are shown: those of a stranger may be millions."""


def sentences(errors: ValidationError, root: type[BaseModel]) -> list[str]:
    """Describe the first errors of pydantic, a sentence each, and say how many more there are."""
    # a list is also called empty when none of its entries can be used
    found = [error for error in errors.errors(include_url=False) if error["type"] != "too_short" or not error["input"]]
    return [*(_sentence(error, root) for error in found[:MOST]), *_others(len(found))]


def first(mistakes: list[str]) -> list[str]:
    """Return the first of many mistakes, and how many more there are."""
    return [*mistakes[:MOST], *_others(len(mistakes))]


def _others(count: int) -> list[str]:
    return [f"and {count - MOST:,} more mistakes"] if count > MOST else []


def _sentence(error: Any, root: type[BaseModel]) -> str:
    """Describe an error of pydantic in the words of the file, whose tables are those of the model `root`."""
    where = _where(error["loc"])
    given = error.get("input")
    match error["type"]:
        case "extra_forbidden":
            return f"{where}: there is no such key{_nearest(error['loc'], root)}"
        case "missing":
            return f"{where}: this key is required"
        case "union_tag_invalid" | "union_tag_not_found":
            accepted = error["ctx"].get("expected_tags") or _kinds(error["loc"])
            return f"{_where((*error['loc'], 'kind'))}: {_tag(error)}; accepted are {accepted}"
        case _:
            plain = _PLAIN.get(error["type"], "").format_map(error.get("ctx", {}))
            message = plain or error["msg"].removeprefix("Value error, ")
            if not error["loc"] and message.startswith("table ["):
                return _cut(str(message), MOST * _LONGEST)  # it says itself where it is
            shown = (
                "" if isinstance(given, dict) or repr(given) in message else f" (given: {_cut(repr(given), _SHOWN)})"
            )
            return _cut(f"{where}: {message}", _LONGEST) + shown


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}…"


def _tag(error: Any) -> str:
    tag = error["ctx"].get("tag")
    return f"{tag!r} is not a kind" if tag else "the kind is not given"


def _where(location: tuple[Any, ...]) -> str:
    parts: list[str] = []
    for step in _path(location):
        if isinstance(step, int) and parts:
            parts[-1] += f"[{step + 1}]"
        else:
            parts.append(_cut(str(step), _SHOWN))
    if not parts:
        return "the scenario"
    if len(parts) == 1:
        return f"key '{parts[0]}'"
    return f"table [{'.'.join(parts[:-1])}], key '{parts[-1]}'"


def _path(location: tuple[Any, ...]) -> list[Any]:
    # pydantic puts the chosen member of a union behind the name of the field; a file has no such level.
    steps: list[Any] = []
    for position, step in enumerate(location):
        last = position == len(location) - 1  # then it is a key
        behind_union = position == 1 and location[0] == "workload" and not last
        behind_fault = position == 2 and location[0] == "faults" and not last
        if not (behind_union or behind_fault):
            steps.append(step)
    return steps


def _kinds(place: tuple[Any, ...]) -> str:
    """Return the kinds that a table may have of which none is given."""
    return ", ".join(map(repr, FAULTS if "faults" in place else WORKLOADS))


def _nearest(location: tuple[Any, ...], root: type[BaseModel]) -> str:
    """Name the key of the same table that was most likely meant, and all that there are."""
    names = list(_fields_at(location[:-1], root))
    near = get_close_matches(str(location[-1]), names, 1)
    hint = f"; did you mean '{near[0]}'?" if near else ""
    return f"{hint} (known: {', '.join(names)})"


def _fields_at(location: tuple[Any, ...], root: type[BaseModel]) -> list[str]:
    match location:
        case ():
            return [name for name in root.model_fields if name != "folder"]
        case ("workload", str() as kind, "events", *_):
            return _keys(PlannedEvent)
        case ("workload", str() as kind):
            return _keys(WORKLOADS[kind])
        case ("faults", int(), str() as kind):
            return _keys(FAULTS[kind])
        case (str() as table,) if table in root.model_fields:
            kind_of_table = root.model_fields[table].annotation
            return list(getattr(kind_of_table, "model_fields", {}))
        case _:
            return []


def _keys(table: type[BaseModel]) -> list[str]:
    """Return the keys of a table as a file has them: `for`, where the field is called `duration`."""
    return [field.alias or name for name, field in table.model_fields.items()]
