"""Finds every name that is bound to some function of the standard library, and binds it to another for a while.

`from time import monotonic` copies a reference: replacing `time.monotonic` does not reach it. The search covers the
globals of all modules, the attributes of their classes, and the defaults of their functions and methods. In the user's
own modules it covers also the contents of a global: the items of a dict or a list, the attributes of an instance, a
`functools.partial`, the variables that a function has closed over. It goes no deeper. Each module is searched once,
when it is first seen.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from random import Random, random
from types import CellType, FunctionType, ModuleType
from typing import Any

from simulation.kernel.escapes import is_of_library, is_users

Function = Callable[..., Any]
_SHARED: object = random.__self__  # type: ignore[attr-defined]
"""The generator behind the functions of `random`: some modules keep it under a name of their own."""

Place = tuple[Callable[[Any], object], Any, Any]
"""A function that binds a value there, the value outside of a run, and the value in a run."""


class Bindings:
    """The places that hold one of some functions, and the function that each place gets during a run."""

    def __init__(self, replacements: Mapping[Function, Function], kept_module: str) -> None:
        self._kept_module = kept_module  # the module that keeps the originals
        # By identity: not everything that a module holds can be hashed or compared.
        self._replacements = {id(original): replacement for original, replacement in replacements.items()}
        self._kept = list(replacements)  # an identity is valid as long as its object lives
        self._searched: dict[str, ModuleType] = {}
        self._places: list[Place] = []
        self.generators: dict[str, Random] = {}
        """The generators of random numbers that are globals, but those of the standard library, by their names."""

    def add(self, original: Function, replacement: Function) -> None:
        """Replace one more function, wherever it is bound. To be called outside of a run."""
        self._replacements[id(original)] = replacement
        self._kept.append(original)
        self._searched.clear()
        self._places.clear()

    def knows(self, original: Function) -> bool:
        """Whether a function is replaced."""
        return id(original) in self._replacements

    def replace(self) -> None:
        """Bind each place to its replacement; modules that were imported since are searched first."""
        for name, module in list(sys.modules.items()):
            if self._searched.get(name) is module:  # asked first: this is done for all modules, in each run
                continue
            if name != self._kept_module and isinstance(module, ModuleType):
                self._searched[name] = module
                self._places += self._within(module)
        for bind, _, new in self._places:
            bind(new)

    def restore(self) -> None:
        """Bind each place to its value from before."""
        for bind, old, _ in self._places:
            bind(old)

    def _within(self, module: ModuleType) -> Iterator[Place]:
        own = is_users(getattr(module, "__file__", None) or "<none>")
        for name, value in list(vars(module).items()):
            kind = type(value)  # a proxy says what it likes when asked with isinstance
            if id(value) in self._replacements:
                yield partial(setattr, module, name), value, self._replacements[id(value)]
            if kind is FunctionType and value.__module__ == module.__name__:
                yield from self._of_function(value)
            elif issubclass(kind, type) and value.__module__ == module.__name__:
                yield from self._of_class(value)
            if kind is Random and value is not _SHARED and not is_of_library(getattr(module, "__file__", None) or ""):
                self.generators[f"{module.__name__}.{name}"] = value
            if own:
                yield from self._inside(value)

    def _inside(self, holder: Any) -> Iterator[Place]:
        """Yield the places inside of the value of a global of the user's own code."""
        kind = type(holder)
        if kind is dict:
            items = [(partial(holder.__setitem__, key), value) for key, value in holder.items()]
        elif kind is list:
            items = [(partial(holder.__setitem__, place), value) for place, value in enumerate(holder)]
        elif kind is partial:
            items = [(partial(_rebind, holder), holder.func)]
        elif kind is FunctionType:
            filled = (cell for cell in holder.__closure__ or () if _is_filled(cell))
            items = [(partial(setattr, cell, "cell_contents"), cell.cell_contents) for cell in filled]
        elif _is_made_here(kind):
            items = [(partial(setattr, holder, name), value) for name, value in list(vars(holder).items())]
        else:
            return
        for bind, value in items:
            if id(value) in self._replacements:
                yield bind, value, self._replacements[id(value)]

    def _of_class(self, holder: type) -> Iterator[Place]:
        for name, value in list(vars(holder).items()):
            inner = value.__func__ if isinstance(value, staticmethod | classmethod) else value
            if inner is not value and id(inner) in self._replacements:
                yield partial(setattr, holder, name), value, type(value)(self._replacements[id(inner)])
            elif id(value) in self._replacements:
                new = self._replacements[id(value)]
                # A builtin that is an attribute of a class takes no `self`; a method of ours would.
                yield partial(setattr, holder, name), value, new if type(value) is FunctionType else staticmethod(new)
            elif isinstance(inner, FunctionType):
                yield from self._of_function(inner)

    def _of_function(self, holder: FunctionType) -> Iterator[Place]:
        defaults, named = holder.__defaults__, holder.__kwdefaults__
        if defaults and any(id(value) in self._replacements for value in defaults):
            changed = tuple(self._replacements.get(id(value), value) for value in defaults)
            yield partial(setattr, holder, "__defaults__"), defaults, changed
        if named and any(id(value) in self._replacements for value in named.values()):
            changed_named = {name: self._replacements.get(id(value), value) for name, value in named.items()}
            yield partial(setattr, holder, "__kwdefaults__"), named, changed_named


def _rebind(call: partial[Any], function: Function) -> None:
    """Have a `functools.partial` call another function."""
    call.__setstate__((function, call.args, call.keywords, vars(call)))  # type: ignore[attr-defined]


def _is_filled(cell: CellType) -> bool:
    try:
        return cell.cell_contents is not None
    except ValueError:  # the variable has no value yet
        return False


def _is_made_here(kind: type) -> bool:
    """Whether a class of the user's own code makes instances whose attributes can be bound."""
    module = sys.modules.get(kind.__module__)
    own = is_users(getattr(module, "__file__", None) or "<none>")
    return own and kind.__dictoffset__ != 0 and not issubclass(kind, type)
