"""Logs of events, turned into scenarios: JSON Lines, CSV or Parquet, with columns named as the log names them.

A log is somebody else's data. Nothing of it is executed, every row that cannot be used is counted with its reason,
and rows are skipped only when that was asked for.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import NAMESPACE_URL, UUID, uuid5

from simulation.kernel.durations import format_duration

if TYPE_CHECKING:
    from simulation.scenario.model import Scenario

FIELDS: Mapping[str, str] = {
    "id": "what identifies the event: a UUID, or any text (a UUID is made from it)",
    "follows": "the id of the event that it follows, empty if none",
    "occurred": "when it happened: ISO 8601, or seconds, milliseconds or microseconds since 1970",
    "received": "when it arrived; `occurred` if there is no such column",
    "acknowledged": "when its message was acknowledged, if the log says so",
    "event": "what kind of event it is",
    "resource": "what it is about",
}
REQUIRED = ("id", "occurred")
MOST = 50
"""How many measured durations a scenario file lists."""


class BadLog(Exception):
    """A log cannot be imported. The message says which file, which row and why."""


@dataclass(slots=True)
class Import:
    """What was read from a log."""

    events: list[dict[str, Any]] = field(default_factory=list)
    rejected: list[str] = field(default_factory=list)
    """Why rows were not used, one sentence a row."""
    handlings: list[int] = field(default_factory=list)
    """How long events were with their consumers, from `received` to `acknowledged`, in microseconds."""

    @property
    def following(self) -> int:
        """How many events follow another."""
        return sum(1 for event in self.events if event["follows"])

    @property
    def missing(self) -> int:
        """How many of them follow an event that is not in the log."""
        known = {event["id"] for event in self.events}
        return sum(1 for event in self.events if event["follows"] and event["follows"] not in known)


class _Times(NamedTuple):
    occurred: datetime
    received: datetime | None
    acknowledged: datetime | None


def parse_map(text: str) -> dict[str, str]:
    """Read `id=…,follows=…,occurred=…`: which column of the log each field comes from. Raises BadLog."""
    pairs = [pair.partition("=") for pair in filter(None, text.split(","))]
    for field_name, equals, column in pairs:
        if not equals:
            raise BadLog(f"--map {field_name + column!r}: give FIELD=COLUMN, with a field of {', '.join(FIELDS)}")
    return mapped({name: column for name, _, column in pairs})


def mapped(columns: Mapping[str, str]) -> dict[str, str]:
    """Return which column of the log each field comes from: the one named, or one called the same. Raises BadLog."""
    for name in columns:
        if name not in FIELDS:
            raise BadLog(f"{name!r} is no field of an event; give FIELD=COLUMN, with a field of {', '.join(FIELDS)}")
    return {**{name: name for name in FIELDS}, **columns}


def read_log(path: Path, mapping: Mapping[str, str]) -> Import:
    """Read every row of a log. Raises BadLog if the file as a whole cannot be read, OSError if it is not there."""
    found = Import()
    seen: dict[str, str] = {}
    for where, row in _rows(path):
        try:
            event, times = _event(row, mapping)
            if event["id"] in seen:
                raise ValueError(f"the id {_value(row, mapping['id'])} was there before, {seen[event['id']]}")
        except (ValueError, TypeError, OverflowError) as error:
            found.rejected.append(f"{where}: {error}")
            continue
        seen[event["id"]] = f"in {where}"
        found.events.append(event)
        found.handlings += _between(times.received or times.occurred, times.acknowledged)
    found.events.sort(key=lambda event: event["occurred"])
    return found


def _rows(path: Path) -> Iterator[tuple[str, object]]:
    match path.suffix.lower():
        case ".jsonl" | ".ndjson" | ".json":
            yield from _json_lines(path)
        case ".csv":
            with path.open(encoding="utf-8", newline="") as file:
                for number, row in enumerate(csv.DictReader(file), start=2):
                    yield f"{path}:{number}", row
        case ".parquet":
            import pyarrow.parquet

            for number, row in enumerate(pyarrow.parquet.read_table(path).to_pylist(), start=1):
                yield f"{path} row {number}", row
        case _:
            raise BadLog(f"{path}: a log must be .jsonl, .csv or .parquet")


def _json_lines(path: Path) -> Iterator[tuple[str, object]]:
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                yield f"{path}:{number}", json.loads(line)
            except json.JSONDecodeError as error:
                yield f"{path}:{number}", error


def _event(row: object, mapping: Mapping[str, str]) -> tuple[dict[str, Any], _Times]:
    if isinstance(row, Exception):
        raise ValueError(f"not JSON: {row}")
    if not isinstance(row, dict):
        raise ValueError("not an object with named fields")
    values = {name: row.get(column) for name, column in mapping.items()}
    for name in REQUIRED:
        if values[name] in (None, ""):
            raise ValueError(f"no {mapping[name]!r} (field {name}; --map {name}=COLUMN names another)")
    times = _times(values, mapping)
    resource = values["resource"]
    event: dict[str, Any] = {
        "id": _identity(values["id"]),
        "event": str(values["event"] or "imported.event"),
        "resource": resource if isinstance(resource, dict) else {"prefect.resource.id": str(resource or "imported")},
        "related": row.get("related") if isinstance(row.get("related"), list) else [],
        "payload": row.get("payload") if isinstance(row.get("payload"), dict) else {},
        "occurred": _text(times.occurred),
        "received": _text(times.received or times.occurred),
        "follows": _identity(values["follows"]) if values["follows"] else None,
    }
    return event, times


def _times(values: Mapping[str, Any], mapping: Mapping[str, str]) -> _Times:
    received, acknowledged = (
        _instant(name, values[name], mapping) if values[name] else None for name in ("received", "acknowledged")
    )
    return _Times(_instant("occurred", values["occurred"], mapping), received, acknowledged)


def _between(begin: datetime, end: datetime | None) -> list[int]:
    """Return the microseconds from one moment to another; nothing if it is not known, or clocks disagreed."""
    micros = (end - begin) // timedelta(microseconds=1) if end else -1
    return [micros] if micros >= 0 else []


def _identity(value: object) -> str:
    try:
        return str(UUID(str(value)))
    except ValueError:
        return str(uuid5(NAMESPACE_URL, f"causim:{value}"))


def _value(row: object, column: str) -> str:
    return repr(row.get(column)) if isinstance(row, dict) else ""


def _instant(field_name: str, value: object, mapping: Mapping[str, str]) -> datetime:
    try:
        return _moment(value)
    except (ValueError, OverflowError, OSError):
        where = f"{mapping[field_name]!r} (field {field_name})"
        raise ValueError(f"{where} is {value!r}: give ISO 8601, or seconds, ms or µs since 1970") from None


def _moment(value: object) -> datetime:
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    text = str(value).strip()
    try:
        number = float(text)
    except ValueError:
        moment = datetime.fromisoformat(text)
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    for unit in (1, 1_000, 1_000_000):  # seconds until the year 5138, then the finer units
        if abs(number) / unit < 1e11:
            return datetime.fromtimestamp(number / unit, UTC)
    raise ValueError


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def scenario_record(name: str, events_file: str, found: Import) -> dict[str, Any]:
    """Return the tables of a scenario that replays imported events, with an ordinary day's troubles.

    How long handlers work is as in the log, if it says so.
    """
    handler_time = measured(found.handlings) or {"lognormal": {"median": "10ms", "sigma": 0.6}}
    return {
        "name": name,
        "description": f"{len(found.events):,} imported events, reordered and duplicated.",
        "workload": {"kind": "trace", "file": events_file},
        "broker": {
            "delay": {"lognormal": {"median": "15ms", "sigma": 0.9}},
            "duplicate": 0.02,
            "reorder": 0.1,
            "reorder_delay": {"exponential": "300ms"},
        },
        "consumers": {"count": 5, "handler_time": handler_time},
        "expect": {"native": "holds"},
    }


def measured(durations: Sequence[int]) -> dict[str, Any] | None:
    """Return durations in microseconds as a distribution: at most `MOST` of them, evenly from the shortest on.

    The longest is always among them. Where nothing took any time, the log says nothing: `None`.
    """
    ordered = sorted(durations)
    if not ordered or not ordered[-1]:
        return None
    last = len(ordered) - 1
    places = {round(last * step / (MOST - 1)) for step in range(MOST)} if last >= MOST else set(range(last + 1))
    return {"empirical": [format_duration(ordered[place]) for place in sorted(places)]}


def write_scenario(found: Import, name: str, out: Path) -> tuple[Path, Path]:
    """Write imported events and the scenario that replays them into a folder, and return both files. Raises OSError."""
    import tomli_w

    file, events = out / f"{name}.toml", out / "data" / f"{name}.jsonl"
    events.parent.mkdir(parents=True, exist_ok=True)
    lines = (json.dumps(event, separators=(",", ":"), ensure_ascii=False) + "\n" for event in found.events)
    events.write_text("".join(lines), encoding="utf-8")
    file.write_text(tomli_w.dumps(scenario_record(name, f"data/{events.name}", found)), encoding="utf-8")
    return file, events


def import_log(
    log: str | Path, out: str | Path, columns: Mapping[str, str] | None = None, skip_bad: bool = False
) -> Scenario:
    """Make a scenario of a log of events, as `causim import` does, and return it. One of the same name is replaced.

    Args:
        log: a file of JSON Lines, CSV or Parquet.
        out: the folder to write the scenario and its events to.
        columns: which column of the log a field comes from, if it is not called the same: `{"follows": "cause_id"}`.
        skip_bad: go on without the rows that cannot be used.

    Raises BadLog, OSError.
    """
    from simulation.scenario.load import load

    path = Path(log)
    found = read_log(path, mapped(columns or {}))
    if found.rejected and not skip_bad:
        raise BadLog(f"{len(found.rejected):,} rows cannot be used; the first: {found.rejected[0]}; see skip_bad")
    if not found.events:
        raise BadLog(f"{path}: no events")
    return load(write_scenario(found, path.stem, Path(out))[0])
