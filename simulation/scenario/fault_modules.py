"""The modules that hold faults. It imports none of them, so that they can be listed without pydantic."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from pkgutil import iter_modules

FOLDER = Path(__file__).parent / "faults"
_FAMILIES = ("consumers", "handlers", "packets", "store", "broker", "workload")
"""The modules of the families, in the order in which they are listed; others follow by their names."""


def fault_modules() -> Iterator[str]:
    """Yield the names of the modules in the package of faults, in the order in which their faults are listed."""
    yield from _FAMILIES
    yield from sorted(module.name for module in iter_modules([str(FOLDER)]) if module.name not in _FAMILIES)
