"""Finds every name that is bound to some function of the standard library, and binds it to another for a while.

`from time import monotonic` copies a reference: replacing `time.monotonic` does not reach it. The search covers the
globals of all modules, the attributes of their classes, and the defaults of their functions and methods. It does not
cover instances, closures and containers. Each module is searched once, when it is first seen.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from types import FunctionType, ModuleType
from typing import Any

Function = Callable[..., Any]
Place = tuple[Any, str, Any, Any]
"""Who holds a binding, under which name, what is bound there outside of a run, and what in a run."""


class Bindings:
    """The places that hold one of some functions, and the function that each place gets during a run."""

    def __init__(self, replacements: Mapping[Function, Function], kept_module: str) -> None:
        self._kept_module = kept_module  # the module that keeps the originals
        # By identity: not everything that a module holds can be hashed or compared.
        self._replacements = {id(original): replacement for original, replacement in replacements.items()}
        self._kept = list(replacements)  # an identity is valid as long as its object lives
        self._searched: dict[str, ModuleType] = {}
        self._places: list[Place] = []

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
            if name != self._kept_module and isinstance(module, ModuleType) and self._searched.get(name) is not module:
                self._searched[name] = module
                self._places += self._within(module)
        for holder, name, _, new in self._places:
            setattr(holder, name, new)

    def restore(self) -> None:
        """Bind each place to what it held before."""
        for holder, name, old, _ in self._places:
            setattr(holder, name, old)

    def _within(self, module: ModuleType) -> Iterator[Place]:
        for name, value in list(vars(module).items()):
            kind = type(value)  # a proxy says what it likes when asked with isinstance
            if id(value) in self._replacements:
                yield module, name, value, self._replacements[id(value)]
            if kind is FunctionType and value.__module__ == module.__name__:
                yield from self._of_function(value)
            elif issubclass(kind, type) and value.__module__ == module.__name__:
                yield from self._of_class(value)

    def _of_class(self, holder: type) -> Iterator[Place]:
        for name, value in list(vars(holder).items()):
            inner = value.__func__ if isinstance(value, staticmethod | classmethod) else value
            if inner is not value and id(inner) in self._replacements:
                yield holder, name, value, type(value)(self._replacements[id(inner)])
            elif id(value) in self._replacements:
                new = self._replacements[id(value)]
                # A builtin that is an attribute of a class takes no `self`; a method of ours would.
                yield holder, name, value, new if type(value) is FunctionType else staticmethod(new)
            elif isinstance(inner, FunctionType):
                yield from self._of_function(inner)

    def _of_function(self, holder: FunctionType) -> Iterator[Place]:
        defaults, named = holder.__defaults__, holder.__kwdefaults__
        if defaults and any(id(value) in self._replacements for value in defaults):
            changed = tuple(self._replacements.get(id(value), value) for value in defaults)
            yield holder, "__defaults__", defaults, changed
        if named and any(id(value) in self._replacements for value in named.values()):
            changed_named = {name: self._replacements.get(id(value), value) for name, value in named.items()}
            yield holder, "__kwdefaults__", named, changed_named
