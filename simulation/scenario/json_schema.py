"""The JSON schema of scenario files, for editors: from the model that parses them.

It knows every key, kind, type and bound. Rules that only the parser can check, such as that a fault names a
consumer that exists, are not in it: `causim validate` checks those.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from simulation.kernel.durations import PATTERN, format_duration
from simulation.scenario.json_forms import DISTRIBUTION
from simulation.scenario.model import Scenario
from simulation.scenario.renamed import RENAMED

DIALECT = "http://json-schema.org/draft-07/schema#"
"""The version of JSON Schema that editors of TOML know."""

_DISTRIBUTION = "Distribution"


def json_schema() -> dict[str, Any]:
    """Return the schema of a scenario file, also of one with the table [replay]."""
    schema = Scenario.model_json_schema(by_alias=True, mode="validation", ref_template="#/definitions/{model}")
    tables: dict[str, Any] = schema.pop("$defs")
    del schema["properties"]["folder"]  # where the file lies; no file says it
    schema["properties"]["replay"] = {"type": "object", "description": "the choices of one run, as causim writes them"}
    for table in tables.values():
        _require_kind(table)
    _keep_old_names(schema, tables)
    schema["definitions"] = tables
    for node in _nodes(schema):
        _tidy(node)
        _write_default(node)
    tables[_DISTRIBUTION] = DISTRIBUTION.json_schema
    return {"$schema": DIALECT, **schema, "title": "causim scenario"}


def _require_kind(table: dict[str, Any]) -> None:
    """A table that is one of several must say which; a workload that lists its events need not."""
    kind = table.get("properties", {}).get("kind", {})
    if "const" in kind and kind["const"] != "events":
        table["required"] = ["kind", *(key for key in table.get("required", ()) if key != "kind")]


def _keep_old_names(schema: dict[str, Any], tables: dict[str, Any]) -> None:
    for key, names in RENAMED.items():
        table = tables[schema["properties"][key]["$ref"].rpartition("/")[2]]["properties"]
        for old, new in names.items():
            table[old] = {**table[new], "deprecated": True, "description": f"is called {new} now"}


def _nodes(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        for inner in value.values():
            yield from _nodes(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _nodes(inner)


def _tidy(node: dict[str, Any]) -> None:
    """Take out forms that are of no use in TOML, which has no null, and give the long form of a distribution once."""
    if isinstance(node.get("title"), str):
        del node["title"]
    if node.get("anyOf") == (DISTRIBUTION.json_schema or {})["anyOf"]:
        node["allOf"] = [{"$ref": f"#/definitions/{_DISTRIBUTION}"}]
        del node["anyOf"]
    _name_the_mistake(node)
    forms = node.get("anyOf", ())
    if len(forms) == 2 and forms[1] == {"type": "null"}:
        del node["anyOf"]
        node.update({**forms[0], **node})
    node.pop("gt", None)  # no keyword, and of a number, which a duration is not in a file


def _name_the_mistake(node: dict[str, Any]) -> None:
    """Say of each kind which table it must be: of `oneOf` alone, a validator says only that none of them fits."""
    if not isinstance(mapping := node.get("discriminator", {}).get("mapping"), dict):
        return
    node["allOf"] = [
        {"if": {"properties": {"kind": {"const": kind}}, "required": ["kind"]}, "then": {"$ref": table}}
        for kind, table in mapping.items()
    ]


def _write_default(node: dict[str, Any]) -> None:
    """Write a default as a file would: a duration with its unit; none that a file cannot write."""
    default = node.get("default")
    if default is None:
        node.pop("default", None)
    elif type(default) is int and PATTERN in str(node.get("pattern", "")):
        node["default"] = format_duration(default)
