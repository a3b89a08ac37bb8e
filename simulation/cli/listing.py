"""`causim list`: scenarios, engines, mutants, invariants, faults and coverage words."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Callable, Iterable
from pathlib import Path

from causim import shipped
from simulation.cli.files import scenario_files
from simulation.cli.given import ListOptions
from simulation.cli.text import write_table
from simulation.engines import BUILT_IN
from simulation.engines.mutants import MUTANTS
from simulation.history.untrusted_files import read_text
from simulation.scenario.fault_modules import FOLDER, fault_modules

Row = tuple[str, str]


def execute(given: ListOptions) -> int:
    """Print the list."""
    write_table(list(LISTS[given.what](given.paths)))
    return 0


def _scenarios(paths: list[Path]) -> Iterable[Row]:
    own = Path("scenarios")
    if not paths:
        yield from ((name, _description(path)) for name, path in shipped.scenarios().items())
        if own.resolve() == shipped.FOLDER.resolve() or not next(own.rglob("*.toml"), None):
            return
    for path in scenario_files(paths or [own]):
        yield str(path), _description(path)


def _description(path: Path) -> str:
    try:
        return str(tomllib.loads(read_text(path)).get("description", ""))
    except OSError as error:
        return f"cannot be used: {error.strerror}"
    except (ValueError, RecursionError) as error:  # RecursionError: tables nested a thousand deep
        return f"cannot be used: not TOML: {error}"


def _engines(_: list[Path]) -> Iterable[Row]:
    yield from ((name, text) for name, (_, text) in BUILT_IN.items())
    yield "prefect@VERSION", "another release of prefect_redis, fetched on demand: prefect@0.2.8"
    yield "mutant:NAME", "the engine native with one planted fault, to test the judge: see `causim list mutants`"
    yield "module:Class", "an engine of your own, with the methods handle(event) and sweep()"


def _mutants(_: list[Path]) -> Iterable[Row]:
    yield from ((name, mutant.planted) for name, mutant in MUTANTS.items())


def _invariants(_: list[Path]) -> Iterable[Row]:
    # the judge takes longer to import than all other lists
    from simulation.invariants import INVARIANTS

    yield from ((name, invariant.summary) for name, invariant in INVARIANTS.items())


def _faults(_: list[Path]) -> Iterable[Row]:
    """Read the files of the faults without importing them: their pydantic would take longer than all the rest."""
    for module in fault_modules():
        program = ast.parse((FOLDER / f"{module}.py").read_bytes())
        for kind in (statement for statement in program.body if isinstance(statement, ast.ClassDef)):
            for line in kind.body:
                match line:
                    case ast.AnnAssign(target=ast.Name(id="kind"), value=ast.Constant(value=name)):
                        yield str(name), " ".join((ast.get_docstring(kind) or "").split())


def _coverage(_: list[Path]) -> Iterable[Row]:
    # the judge takes longer to import than all other lists
    from simulation.invariants.coverage import COVERAGE

    yield from COVERAGE.items()


LISTS: dict[str, Callable[[list[Path]], Iterable[Row]]] = {
    "scenarios": _scenarios,
    "engines": _engines,
    "mutants": _mutants,
    "invariants": _invariants,
    "faults": _faults,
    "coverage": _coverage,
}
