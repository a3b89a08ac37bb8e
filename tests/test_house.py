"""The house: how long a file and a function may be, which room may know which, and that the design draws it as it
is."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path

import pytest

from ordering import IN_FLIGHT_EVENT_TIMEOUT, Policy
from simulation.history.entries import Terms
from simulation.scenario.model import PolicyTable

ROOT = Path(__file__).parents[1]
PACKAGES = ("causim", "ordering", "reports", "simulation")
FILES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
MAX_FILE_LINES, MAX_FUNCTION_LINES, MAX_LATE_IMPORTS, MAX_TITLE = 400, 40, 40, 50
MAX_LUA_LINES = 60
FACES = {
    *("simulation", "simulation.__main__", "simulation.api", "simulation.pytest_plugin", "simulation.strategies"),
    *(
        "causim.__main__",
        "causim.command_line",
        "causim.early_interrupt",
        "causim.pytest_plugin",
        "causim.separate_scenarios",
    ),
    *("causim.starter", "causim.testing"),
}
"""The modules that stand in no room: what users import and run."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


TREES = {name_of(path): ast.parse(path.read_text(encoding="utf-8")) for path in FILES}


def functions(tree: ast.AST) -> Iterator[Function]:
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def length(function: Function) -> int:
    """Return the lines of a function's body, without its docstring."""
    body = function.body[ast.get_docstring(function) is not None :]
    return (function.end_lineno or 0) - body[0].lineno + 1 if body else 0


def imports(tree: ast.AST) -> Iterator[tuple[ast.Import | ast.ImportFrom, str]]:
    """Yield every import of one of our modules, with the module's name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            inner = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from ((node, name if name in TREES else node.module) for name in inner)


def room_of(module: str) -> str:
    """Return the room of a module; a face is a room of its own."""
    parts = module.split(".")
    return parts[0] if parts[0] in ("ordering", "reports") else ".".join(parts[:2])


def arrows() -> dict[str, set[str]]:
    """Return for each room the rooms that it imports."""
    found: dict[str, set[str]] = {room_of(module): set() for module in TREES}
    for module, tree in TREES.items():
        targets = {room_of(name) for _, name in imports(tree) if name.split(".")[0] in PACKAGES}
        found[room_of(module)] |= targets - {room_of(module)}
    return found


def late_imports(tree: ast.AST) -> set[int]:
    """Return the lines of the imports that are made when a function runs."""
    inside = (node for function in functions(tree) for node in ast.walk(function))
    return {node.lineno for node in inside if isinstance(node, ast.Import | ast.ImportFrom)}


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_size(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_FILE_LINES
    long = {function.name: length(function) for function in functions(TREES[name_of(path)])}
    assert {name: lines for name, lines in long.items() if lines > MAX_FUNCTION_LINES} == {}


@pytest.mark.parametrize("path", sorted((ROOT / "ordering/lua").rglob("*.lua")), ids=lambda path: path.stem)
def test_size_of_lua(path: Path) -> None:
    lengths: dict[str, int] = {}
    name, lines = "", path.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= MAX_FILE_LINES
    for line in lines:
        if begin := re.match(r"local function (\w+)", line):
            name, lengths[begin[1]] = begin[1], 0
        if name:
            lengths[name] += 1
        if line == "end" or (line.endswith(" end") and begin):
            name = ""
    assert bool(lengths) or path.parent.name != "shared"
    assert {each: lines for each, lines in lengths.items() if lines > MAX_LUA_LINES} == {}


def public_functions(body: Iterable[ast.stmt], place: str = "") -> Iterator[tuple[str, Function]]:
    """Yield the public functions of a module and the public methods of its public classes, with their names."""
    for node in body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from public_functions(node.body, f"{place}{node.name}.")
        elif isinstance(node, Function) and not node.name.startswith("_"):
            yield f"{place}{node.name}", node


def raised(node: ast.AST) -> set[str]:
    """Return the exceptions that a function raises by their names, without those of functions inside of it."""
    found: set[str] = set()
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Raise) and child.exc is not None:
            found.add(ast.unparse(child.exc).partition("(")[0])
        if not isinstance(child, Function | ast.ClassDef | ast.Lambda):
            found |= raised(child)
    return found - {"NotImplementedError", "AssertionError"}


TIME = re.compile(
    r"(at|now|by|delay|timeout|duration|deadline|lease|lookback|retention|interval|latency|moment|until|since)"
    r"|.*_(at|delay|timeout|duration|time|bound|interval)"
)
"""The names of numbers that are times."""


@pytest.mark.parametrize("module", TREES)
def test_docstrings_raises_and_units(module: str) -> None:
    """Docstrings say what is raised and the units."""
    tree, silent = TREES[module], []
    about = {node.name: ast.get_docstring(node) or "" for node in tree.body if isinstance(node, ast.ClassDef)}
    for name, function in public_functions(tree.body):
        said = ast.get_docstring(function) or ""
        if raised(function) and not re.search("[Rr]aise", said):
            silent.append(f"{name} raises {', '.join(raised(function))}")
        said += about.get(name.partition(".")[0], "") + (ast.get_docstring(tree) or "")
        for argument in (*function.args.args, *function.args.kwonlyargs):
            is_number = argument.annotation is not None and ast.unparse(argument.annotation).split(" ")[0] == "int"
            if is_number and TIME.fullmatch(argument.arg) and "second" not in said:
                silent.append(f"{name}: the unit of {argument.arg}")
    assert silent == []


def test_defaults_stand_once() -> None:
    """Scenarios take the defaults of histories, and those are the engine's."""
    terms, policy, scenario = Terms(), Policy(), PolicyTable()
    for name, value in asdict(terms).items():
        promised = getattr(policy, "dead_retention" if name == "longest_ttl" else name, value)
        promised = timedelta() if promised is None else promised  # not longer than another time of the policy
        assert value == (promised // timedelta(microseconds=1) if isinstance(promised, timedelta) else promised), name
    assert (scenario.lookback, scenario.retention, scenario.lease) == (terms.lookback, terms.retention, terms.lease)
    assert timedelta(microseconds=scenario.in_flight_wait) == IN_FLIGHT_EVENT_TIMEOUT
    assert scenario.max_depth == policy.max_depth


def test_late_imports() -> None:
    """Each says why it is late, on its line or just above it."""
    count, silent = 0, []
    for path in FILES:
        lines = path.read_text(encoding="utf-8").splitlines()
        for number in late_imports(TREES[name_of(path)]):
            count += 1
            above = [line.strip() for line in lines[max(0, number - 4) : number - 1]]
            if "#" not in lines[number - 1] and not any(line.startswith("#") for line in above):
                silent.append(f"{name_of(path)}:{number}")
    assert silent == []
    assert count <= MAX_LATE_IMPORTS


def test_every_module_is_in_a_layer() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    layers = next(contract for contract in contracts if contract["type"] == "layers")["layers"]
    named = {name.strip() for layer in layers for name in re.split("[|:]", layer)}
    outside = {room for room in arrows() if room not in named and not room.startswith("causim")}
    assert outside <= {"ordering", *FACES}
    assert not any("ignore_imports" in contract for contract in contracts)


def test_only_faces_stand_outside_of_the_rooms() -> None:
    assert {
        f"simulation.{path.stem}" for path in (ROOT / "simulation").glob("*.py") if path.stem != "__init__"
    } <= FACES


def test_no_circle() -> None:
    left = {room: set(targets) for room, targets in arrows().items() if room not in FACES}
    while free := [room for room, targets in left.items() if not targets & left.keys()]:
        for room in free:
            del left[room]
    assert left == {}


def test_the_design_draws_the_house() -> None:
    text = (ROOT / "docs/design.md").read_text(encoding="utf-8")
    drawn = dict(re.findall(r"^(\S+) +← (.*)$", text, re.MULTILINE))
    users: dict[str, set[str]] = {room: set() for room in arrows() if room not in FACES}
    for room, targets in arrows().items():
        for target in targets & users.keys():
            if room not in FACES:
                users[target].add(room.removeprefix("simulation."))
    expected = {room.removeprefix("simulation."): " ".join(sorted(names)) or "-" for room, names in users.items()}
    assert drawn == expected


def test_where_to_look() -> None:
    """The table of the design names files that are there, and what they define."""
    table = (
        (ROOT / "docs/design.md").read_text(encoding="utf-8").partition("### Where to look")[2].partition("\n## ")[0]
    )
    rows = re.findall(r"`(\w+/[^`]+)`((?: `\w+`|, `\w+`(?!/))*)", table)
    assert len(rows) > 20
    for path, names in rows:
        text = (ROOT / path).read_text(encoding="utf-8") if (ROOT / path).is_file() else ""
        assert (ROOT / path).exists(), path
        for name in re.findall(r"\w+", names):
            assert re.search(rf"^\s*(async def|def|class) {name}\b|^{name}\b", text, re.MULTILINE), (path, name)


def test_titles() -> None:
    """A test is found with `-k`: its name is a few words, and its docstring the sentence."""
    tests = sorted((ROOT / "tests").rglob("test_*.py"))
    titles = [node.name for path in tests for node in functions(ast.parse(path.read_text(encoding="utf-8")))]
    assert [name for name in titles if name.startswith("test_") and len(name) > MAX_TITLE] == []
