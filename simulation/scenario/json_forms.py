"""JSON Schemas of the durations, distributions and expectations in a scenario file."""

from __future__ import annotations

from typing import Any

from pydantic import WithJsonSchema

from simulation.kernel.durations import ACCEPTED as DURATION_ACCEPTED
from simulation.kernel.durations import PATTERN
from simulation.scenario.distributions import ACCEPTED as DISTRIBUTION_ACCEPTED

_ZERO = {"minimum": 0, "maximum": 0}
"""The only number that needs no unit."""

_DURATION: dict[str, Any] = {
    "type": ["string", "integer"],
    "pattern": rf"^\s*{PATTERN}\s*$",
    **_ZERO,
    "description": DURATION_ACCEPTED,
}
_OFFSET = {**_DURATION, "pattern": rf"^\s*(-\s*)?{PATTERN}\s*$"}
_DURATIONS = {"type": "array", "items": _DURATION, "minItems": 1}


def _form(name: str, value: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": {name: value}, "required": [name], "additionalProperties": False}


_LOGNORMAL = {
    "type": "object",
    "properties": {"median": _DURATION, "sigma": {"type": "number", "minimum": 0, "maximum": 10}},
    "required": ["median", "sigma"],
    "additionalProperties": False,
}
_DISTRIBUTION = {
    "description": DISTRIBUTION_ACCEPTED,
    "anyOf": [
        _DURATION,
        _form("constant", _DURATION),
        _form("uniform", {**_DURATIONS, "minItems": 2, "maxItems": 2}),
        _form("exponential", _DURATION),
        _form("lognormal", _LOGNORMAL),
        _form("empirical", _DURATIONS),
    ],
}

DURATION = WithJsonSchema(_DURATION, mode="validation")
OFFSET = WithJsonSchema(_OFFSET, mode="validation")
DISTRIBUTION = WithJsonSchema(_DISTRIBUTION, mode="validation")
EXPECTATION = WithJsonSchema(
    {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}, {"type": "object"}]},
    mode="validation",
)
