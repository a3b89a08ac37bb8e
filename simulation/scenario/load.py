"""Reads scenarios from files and from text."""

from __future__ import annotations

import errno
import re
import tomllib
from pathlib import Path
from typing import Any

from causim.shipped import path_of
from simulation.history import untrusted_files
from simulation.history.untrusted_files import converted
from simulation.scenario.errors import BadScenario
from simulation.scenario.model import Scenario, parse

MAX_TEXT = 4 << 20
"""Characters of a scenario; four times as many take a minute to read, and a gigabyte."""

MAX_LISTED = 200_000
"""Entries of a list or a table; if all of a million are wrong, to say so takes more than a gigabyte."""

_MANY_PARTS = re.compile(r"""(?<![\w."'-])(?:["'\w-]++[ \t]*+\.[ \t]*+){100}""")
"""A key of a hundred parts, with dots between them: the time to read one grows with their square."""

_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
"""Control characters but for those of line breaks and tabs, and halves of characters."""
_BREAKING = re.compile(rf"{_CONTROL.pattern}|[\r\n]")
"""The same, and line breaks."""
_ORDERS = ("::", "##")
"""What a line begins with that a CI takes for its own."""
_SHOWN = 80
"""Characters of a place in a file that are shown."""
MAX_BITS = 10_000
"""Of a number: no key takes so large a one, and Python writes none of more than 4,300 digits into a sentence."""


def load(path: str | Path) -> Scenario:
    """Read a scenario from a file, or a shipped one by its name. Raises BadScenario with the mistake and its place."""
    file = path_of(path) if isinstance(path, str) else path
    if not file.exists():
        raise BadScenario(f"{file}: no such file; `causim list scenarios` names the shipped ones")
    return loads(read_text(file), source=str(file), folder=str(file.parent))


def read_text(file: Path) -> str:
    """Return the text of a file. Raises BadScenario if it cannot be read, or is not in UTF-8."""
    try:
        return untrusted_files.read_text(file, 4 * MAX_TEXT)
    except OSError as error:
        more = "; put many events into a trace file" if error.errno == errno.EFBIG else ""
        said = error.strerror or str(error)
        raise BadScenario(f"{file}: {said[:1].lower()}{said[1:]}{more}") from None
    except UnicodeDecodeError as error:
        raise BadScenario(f"{file}: not UTF-8 text; {converted(error, file.name)}") from None


def scenario_of(given: Scenario | str | Path) -> Scenario:
    """Return a scenario: as it is, from the path of a file, from TOML text, or a shipped one by its name.

    Raises BadScenario, TypeError.
    """
    if isinstance(given, Scenario):
        return given
    if isinstance(given, str) and ("\n" in given or "=" in given):
        return loads(given)
    if isinstance(given, str):
        return load(given)
    if isinstance(given, Path):
        return load(given)
    accepted = "a Scenario, the path of a scenario file, TOML text, or the name of a shipped scenario"
    raise TypeError(f"a scenario was expected: {accepted}; not {given!r} ({type(given).__name__})")


def loads(text: str, source: str = "scenario", folder: str = ".") -> Scenario:
    """Read a scenario from TOML text. Raises BadScenario that names the mistake and its place."""
    return parse(parse_toml(text, source), source, folder)


def parse_toml(text: str, source: str) -> dict[str, Any]:
    """Parse TOML text of a stranger. Raises BadScenario that names the mistake and its place."""
    if len(text) > MAX_TEXT:
        raise BadScenario(f"{source}: is longer than {MAX_TEXT >> 20} Mi characters; put many events into a trace file")
    if _MANY_PARTS.search(text):
        raise BadScenario(f"{source}: holds a key of a hundred parts; a scenario has tables in tables, and no more")
    try:
        record = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadScenario(f"{source}: not TOML: {error}") from None
    except ValueError:
        raise BadScenario(f"{source}: holds a number of thousands of digits; write a smaller one") from None
    except RecursionError:
        raise BadScenario(f"{source}: is nested too deep; a scenario has tables in tables, and no more") from None
    said = record.get("description")
    if isinstance(said, str) and any(line.lstrip().startswith(_ORDERS) for line in said.splitlines()):
        raise BadScenario(f"{source}: key 'description' holds a line that a CI would obey; begin it without :: and ##")
    if unusable := _unusable(record):
        raise BadScenario(f"{source}: {unusable}")
    return record


def _unusable(record: dict[str, Any]) -> str:
    """Return where a record holds a control character, too large a number or too long a list; empty if nowhere."""
    todo: list[tuple[str, Any]] = [("", record)]
    while todo:
        where, value = todo.pop()  # the place is cut at once: each of many values has one
        if isinstance(value, dict | list) and len(value) > MAX_LISTED:
            here = where[1:] or "the file"
            return f"{here!r} has {len(value):,} entries; at most {MAX_LISTED:,} are read: put events into a trace"
        if isinstance(value, dict):
            places = [f"{where}.{ascii(key[:_SHOWN])[1:-1]}"[:_SHOWN] for key in value]
            todo += zip(places, value, strict=True)
            todo += zip(places, value.values(), strict=True)
        elif isinstance(value, list):
            todo += [(f"{where}[{place}]"[:_SHOWN], inner) for place, inner in enumerate(value, start=1)]
        elif isinstance(value, int) and value.bit_length() > MAX_BITS:
            return f"'{where[1:]}' is a number of thousands of digits; write a smaller one"
        elif isinstance(value, str) and (found := (_CONTROL if where == ".description" else _BREAKING).search(value)):
            said = f"'{where[1:]}' holds a control character ({found[0]!a})"
            return f"{said}; what a scenario says is printed, so it must be text that can be"
    return ""
