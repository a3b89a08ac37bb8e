"""Tables of keys: what a file may write in a table, read from the pydantic model that will parse it."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterable, Mapping, Sequence
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, PlainSerializer
from pydantic.fields import FieldInfo

from simulation.kernel.durations import format_duration
from simulation.scenario.distributions import Distribution
from simulation.scenario.faults.timing import Offset

DURATION, OFFSET, DISTRIBUTION = (
    "[duration](scenario.md#durations)",
    "[duration](scenario.md#durations), may be negative",
    "[distribution](scenario.md#distributions)",
)
_FORMATS_OFFSET = next(part.func for part in get_args(Offset) if isinstance(part, PlainSerializer))
_PLAIN = {str: "text", bool: "true or false", int: "whole number", float: "number"}
_BOUNDS = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}


def key_table(fields: Mapping[str, FieldInfo]) -> str:
    """Return a Markdown table of keys, one row each: how it is written, what it takes, its default, what it says."""
    rows = [
        (
            f"`{field.alias or name}`",
            accepted(field.annotation, field.metadata),
            default(field),
            plain(field.description or ""),
        )
        for name, field in fields.items()
    ]
    return table(("key", "accepted", "default", "what it says"), rows)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [_row(head), _row(["---"] * len(head)), *(_row(row) for row in rows)]
    return "\n".join(lines)


def own_fields(model: type[BaseModel], *beside: type[BaseModel]) -> dict[str, FieldInfo]:
    """Return the keys of a table that say something else than those of the tables that it is made from."""
    known = [one.model_fields for one in beside]
    return {
        name: field
        for name, field in model.model_fields.items()
        if name != "kind" and not any(name in others and _same(others[name], field) for others in known)
    }


def accepted(annotation: Any, metadata: Sequence[Any] = ()) -> str:
    """Return what a key takes, in words."""
    serializers = [part.func for part in metadata if isinstance(part, PlainSerializer)]
    if annotation is Distribution:
        return DISTRIBUTION
    if _FORMATS_OFFSET in serializers:
        return OFFSET
    if format_duration in serializers:
        return DURATION + _bounds(metadata)
    if annotation in _PLAIN:
        return _PLAIN[annotation] + _bounds(metadata)
    return _composed(get_origin(annotation), get_args(annotation), metadata)


def _composed(origin: Any, arguments: Sequence[Any], metadata: Sequence[Any]) -> str:
    """Return what a key takes whose type is made of others."""
    if origin is Annotated:
        return accepted(arguments[0], [*arguments[1:], *_inner(arguments[1:])])
    if origin in (Union, UnionType):
        return " or ".join(accepted(one, metadata) for one in arguments if one is not NoneType)
    if origin is Literal:
        return ", ".join(f"`{json.dumps(value)}`" for value in arguments if value != "")
    if origin is tuple:
        return {str: "list of texts", Any: "list"}.get(arguments[0], "tables, see below")
    if origin is None:
        return "table"
    return f"table of {' to '.join(accepted(one) for one in arguments)}"


def default(field: FieldInfo) -> str:
    """Return a key's default as a file writes it."""
    if field.is_required():
        return "**required**"
    value = field.default
    if value is None or value in ("", (), {}):
        return "–"
    if (
        isinstance(value, int)
        and not isinstance(value, bool)
        and DURATION in accepted(field.annotation, field.metadata)
    ):
        return f'`"{format_duration(value)}"`'
    return f"`{toml(value)}`"


def toml(value: Any) -> str:
    """Return a value as an inline TOML value."""
    match value:
        case dict():
            return "{ " + ", ".join(f"{key} = {toml(inner)}" for key, inner in value.items()) + " }"
        case list() | tuple():
            return "[" + ", ".join(map(toml, value)) + "]"
        case _:
            return json.dumps(value, ensure_ascii=False)


def plain(words: str) -> str:
    """Return words in which Markdown sees no emphasis: patterns such as "SET *:processing:*" are full of stars."""
    return words.replace("*", "\\*")


def prose(documented: object) -> str:
    """Return the docstring of something, its paragraphs in one line each; what is indented stays as it is."""
    paragraphs = inspect.cleandoc(getattr(documented, "__doc__", None) or "").split("\n\n")
    return "\n\n".join(one if one.startswith((" ", "- ", "1. ")) else " ".join(one.split()) for one in paragraphs)


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _same(one: FieldInfo, other: FieldInfo) -> bool:
    return (one.default, one.description, one.alias) == (other.default, other.description, other.alias)


def _inner(metadata: Sequence[Any]) -> list[Any]:
    """Return the bounds that an annotation's own FieldInfo holds."""
    return [bound for part in metadata if isinstance(part, FieldInfo) for bound in part.metadata]


def _bounds(metadata: Sequence[Any]) -> str:
    found = []
    for part in metadata:
        for sign, words in _BOUNDS.items():
            if (limit := getattr(part, sign, None)) is not None:
                found.append(f"{words} {limit:,}" if isinstance(limit, int) else f"{words} {limit:g}")
    return ", " + ", ".join(found) if found else ""
