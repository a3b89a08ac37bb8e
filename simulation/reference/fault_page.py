"""The reference of faults: what each does, its keys, and an example that a test runs."""

from __future__ import annotations

import inspect
import sys

from simulation.reference.tables import key_table, own_fields, prose, table
from simulation.scenario import faults
from simulation.scenario.faults import FAULTS, AnyFault, Chance, EventChance, TimedFault, packets

_SHARED: tuple[tuple[type[AnyFault], str, str], ...] = (
    (TimedFault, "keys of what strikes at a moment", "at-a-moment"),
    (Chance, "keys of what strikes by chance", "by-chance"),
    (EventChance, "keys of what happens to events", "to-events"),
    (packets.PacketFault, "keys of what happens to packets", "to-packets"),
)
_HEADINGS = {
    "at-a-moment": "At a moment",
    "by-chance": "By chance",
    "to-events": "To events",
    "to-packets": "To packets",
}

_TITLES = {
    "consumers": "Consumers",
    "handlers": "Handlers",
    "packets": "The way to Redis",
    "store": "Redis itself",
    "broker": "The queue",
    "workload": "Producers",
}
"""The families, by their modules."""


def examples() -> dict[str, str]:
    """Return the example of each fault by the name of its file."""
    return {f"{_name(kind)}.toml": kind.example for kind in FAULTS.values()}


def fault_page() -> str:
    """Return the page."""
    families: dict[str, list[type[AnyFault]]] = {}
    for kind in FAULTS.values():
        families.setdefault(_family(kind), []).append(kind)
    parts = ["# Faults", prose(faults), _index(families), "## When they strike", *_shared()]
    for module, kinds in families.items():
        parts += [f"## {_title(module)}", prose(sys.modules[module])]
        for kind in kinds:
            parts += _section(kind)
    return "\n\n".join(parts) + "\n"


def _index(families: dict[str, list[type[AnyFault]]]) -> str:
    rows = [
        (_title(module), ", ".join(f"[`{_name(kind)}`](#{_name(kind)})" for kind in kinds))
        for module, kinds in families.items()
    ]
    return table(("family", "faults"), rows)


def _family(kind: type[AnyFault]) -> str:
    """Return the module of a fault's family: its own, or, for a fault in a file of its own, that of its base class."""
    modules = [model.__module__ for model in kind.__mro__]
    return next((module for module in modules if module.rpartition(".")[2] in _TITLES), kind.__module__)


def _title(module: str) -> str:
    name = module.rpartition(".")[2]
    return _TITLES.get(name, name.replace("_", " ").capitalize())


def _name(kind: type[AnyFault]) -> str:
    return str(kind.model_fields["kind"].default)


def _shared() -> list[str]:
    parts = []
    for model, _, anchor in _SHARED:
        beside = [other for other, _, _ in _SHARED if other is not model and issubclass(model, other)]
        parts += [f"### {_HEADINGS[anchor]}", prose(model), key_table(own_fields(model, *beside))]
    return parts


def _section(kind: type[AnyFault]) -> list[str]:
    shared = [(model, words, anchor) for model, words, anchor in _SHARED if issubclass(kind, model)]
    own = own_fields(kind, *(model for model, _, _ in shared))
    links = " and the ".join(f"[{words}](#{anchor})" for _, words, anchor in shared)
    example = f"{_name(kind)}.toml"
    return [
        f"### {_name(kind)}",
        *([] if kind.__module__ == _family(kind) else [prose(inspect.getmodule(kind))]),
        prose(kind),
        *([key_table(own), f"And the {links}."] if own else [f"It has the {links}."]),
        f"Example, [`{example}`](faults/{example}):",
        f"```toml\n{kind.example.rstrip()}\n```",
    ]
