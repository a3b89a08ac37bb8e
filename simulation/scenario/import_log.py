"""Logs of events, turned into scenarios: JSON Lines, CSV or Parquet, with columns under any names.

A log is untrusted data. Nothing in it is executed, every row that cannot be used is counted with its reason, and rows
are skipped only if that was asked for.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import NAMESPACE_URL, UUID, uuid5

import tomli_w

from causim.written_files import write_whole
from simulation.kernel.durations import format_duration
from simulation.scenario.load import load
from simulation.scenario.log_rows import BadLog, Unusable, has_column, rows, value_of
from simulation.scenario.workload import OWN_NAMES

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
MAX_DURATIONS = 50
"""Largest number of measured durations that a scenario file lists."""


@dataclass(slots=True)
class Import:
    """The events of a log, and the rows that cannot be used."""

    events: list[dict[str, Any]] = field(default_factory=list)
    rejected: list[str] = field(default_factory=list)
    """Reasons for rows that were not used, one sentence a row."""
    handlings: list[int] = field(default_factory=list)
    """Durations of the handling of events by their consumers, from `received` to `acknowledged`, in microseconds."""

    @property
    def following(self) -> int:
        """Number of events that follow another."""
        return sum(1 for event in self.events if event["follows"])

    @property
    def suspicious(self) -> str:
        """The evidence against the column of leaders, as a sentence: empty unless most leaders are not in the log."""
        if self.missing * 2 <= self.following:
            return ""
        known = {event["id"] for event in self.events}
        unknown = [e for e in self.events if e["follows"] and e["follows"] not in known]
        named = ", ".join(repr(e["follows_name"] or e["follows"]) for e in unknown[:3])
        share = f"{self.missing:,} of {self.following:,} followers"
        return f"{share} follow an event that is not in the log, such as {named}"

    @property
    def missing(self) -> int:
        """Number of events whose leader is not in the log."""
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
            raise BadLog(f"--columns {field_name + column!r}: give FIELD=COLUMN, with a field of {', '.join(FIELDS)}")
    return mapped({name: column for name, _, column in pairs})


def mapped(columns: Mapping[str, str]) -> dict[str, str]:
    """Return which column of the log each field comes from: the one named, or one called the same. Raises BadLog."""
    for name in columns:
        if name not in FIELDS:
            raise BadLog(f"{name!r} is no field of an event; give FIELD=COLUMN, with a field of {', '.join(FIELDS)}")
    return {**{name: name for name in FIELDS}, **columns}


def _check_columns(path: Path, there: Collection[str], found: Collection[str], mapping: Mapping[str, str]) -> None:
    """Raise BadLog if a field that is needed, or a column that was named, is in no row of the log."""
    for name, column in mapping.items():
        needed = name in (*REQUIRED, "follows") or column != name
        if needed and column and name not in found:
            columns = ", ".join(sorted(there)) or "none"
            none = "; `--columns follows=` says that no event follows another" if name == "follows" else ""
            raise BadLog(
                f"{path}: there is no column {column!r} (field {name}); --columns {name}=COLUMN names another{none}."
                f" The columns are {columns}"
            )


def read_log(path: Path, mapping: Mapping[str, str]) -> Import:
    """Read every row of a log. Raises BadLog if the file as a whole cannot be read, OSError if it is not there."""
    found, there, fields = Import(), set[str](), set[str]()
    seen: dict[str, str] = {}
    read = list(rows(path))
    whole = _ids_are_whole(read, mapping["id"])
    for where, row in read:
        if isinstance(row, dict):
            there.update(map(str, row))
            fields.update(name for name in mapping.keys() - fields if has_column(row, mapping[name]))
        try:
            event, times = _event(row, mapping, whole)
            _check_characters(event)
            if event["id"] in seen:
                raise ValueError(f"the id {event['name'] or event['id']!r} was there before, {seen[event['id']]}")
        except (ValueError, TypeError, OverflowError) as error:
            found.rejected.append(f"{where}: {error}")
            continue
        seen[event["id"]] = f"in {where}"
        found.events.append(event)
        found.handlings += _between(times.received or times.occurred, times.acknowledged)
    if there:
        _check_columns(path, there, fields, mapping)
    found.events.sort(key=lambda event: event["occurred"])
    return found


def _check_characters(event: Mapping[str, Any]) -> None:
    """Raise ValueError if an event holds half of a character, which no file can."""
    try:
        json.dumps(event, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ValueError("it holds half of a character (a lone surrogate)") from None


def _ids_are_whole(read: Sequence[tuple[str, object]], column: str) -> bool:
    """Say whether every id is a whole number: then a leader `101.0`, as spreadsheets and pandas write it, is 101."""
    rows = (row for _, row in read if isinstance(row, dict) and not isinstance(row.get(column), Unusable))
    ids = (value_of(row, column) for row in rows)
    return all(re.fullmatch(r"-?\d+", _plain(identity)) for identity in ids if identity is not None)


def _plain(value: object) -> str:
    """Write an id as text; a float without a fraction is the whole number."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _event(row: object, mapping: Mapping[str, str], whole: bool) -> tuple[dict[str, Any], _Times]:
    if isinstance(row, Exception):
        raise ValueError(f"not JSON: {row}")
    if not isinstance(row, dict):
        raise ValueError("not an object with named fields")
    values = {name: value_of(row, column) for name, column in mapping.items()}
    for name in REQUIRED:
        if values[name] is None:
            raise ValueError(f"no {mapping[name]!r} (field {name}; --columns {name}=COLUMN names another)")
    times = _times(values, mapping)
    resource = values["resource"]
    name, leader = (_own_id(values[field_name], whole) for field_name in ("id", "follows"))
    event: dict[str, Any] = {
        "id": _identity(name),
        "name": "" if _is_uuid(name) else name,
        "event": str(values["event"] or "imported.event"),
        "resource": resource if isinstance(resource, dict) else {"prefect.resource.id": str(resource or "imported")},
        "related": row.get("related") if isinstance(row.get("related"), list) else [],
        "payload": row.get("payload") if isinstance(row.get("payload"), dict) else {},
        "occurred": _text(times.occurred),
        "received": _text(times.received or times.occurred),
        "follows": _identity(leader) if leader else None,
        "follows_name": "" if _is_uuid(leader) else leader,
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


def _own_id(value: object, whole: bool) -> str:
    """Return an id as the log has it; empty if there is none."""
    text = "" if value is None else _plain(value)
    return re.sub(r"\.0+$", "", text) if whole else text


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True


def _identity(text: str) -> str:
    return str(UUID(text)) if _is_uuid(text) else str(uuid5(NAMESPACE_URL, f"causim:{text}"))


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

    The handler times are those of the log, if it has any.
    """
    handler_time = measured(found.handlings) or {"lognormal": {"median": "10ms", "sigma": 0.6}}
    moments = [datetime.fromisoformat(event["occurred"]) for event in found.events]
    lasts = max(moments) - min(moments)
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
        # A run ends after a day if the scenario does not say when; what is published last must be handled before that.
        **({"judge": {"horizon": f"{lasts.days + 2}d"}} if lasts > timedelta(hours=12) else {}),
        "expect": {"native": "holds"},
    }


def measured(durations: Sequence[int]) -> dict[str, Any] | None:
    """Return durations in microseconds as a distribution: at most `MAX_DURATIONS` of them, evenly from the shortest on.

    The longest is always among them. If all are 0, the result is None.
    """
    ordered = sorted(durations)
    if not ordered or not ordered[-1]:
        return None
    last = len(ordered) - 1
    places = (
        {round(last * step / (MAX_DURATIONS - 1)) for step in range(MAX_DURATIONS)}
        if last >= MAX_DURATIONS
        else set(range(last + 1))
    )
    return {"empirical": [format_duration(ordered[place]) for place in sorted(places)]}


def write_scenario(found: Import, name: str, out: Path) -> tuple[Path, Path]:
    """Write imported events and the scenario that replays them into a folder, and return both files. Raises OSError."""
    file, events = out / f"{name}.toml", out / "data" / f"{name}.jsonl"
    events.parent.mkdir(parents=True, exist_ok=True)
    written = ({key: value for key, value in event.items() if key not in OWN_NAMES or value} for event in found.events)
    lines = (json.dumps(event, separators=(",", ":"), ensure_ascii=False) + "\n" for event in written)
    write_whole(events, "".join(lines))
    write_whole(file, tomli_w.dumps(scenario_record(name, f"data/{events.name}", found)))
    return file, events


def import_log(
    log: str | Path,
    out: str | Path,
    columns: Mapping[str, str] | None = None,
    skip_bad: bool = False,
    allow_unknown_leaders: bool = False,
) -> Scenario:
    """Make a scenario of a log of events, as `causim import` does, and return it. One of the same name is replaced.

    Args:
        log: a file of JSON Lines, CSV or Parquet.
        out: the folder to write the scenario and its events to.
        columns: which column of the log a field comes from, if it is not called the same: `{"follows": "cause_id"}`.
        skip_bad: go on without the rows that cannot be used.
        allow_unknown_leaders: go on if most leaders are not in the log.

    Raises BadLog, OSError.
    """
    path = Path(log)
    found = read_log(path, mapped(columns or {}))
    if found.rejected and not skip_bad:
        raise BadLog(f"{len(found.rejected):,} rows cannot be used; the first: {found.rejected[0]}; see skip_bad")
    if not found.events:
        raise BadLog(f"{path}: no events")
    if found.suspicious and not allow_unknown_leaders:
        raise BadLog(f"{path}: {found.suspicious}; see allow_unknown_leaders")
    return load(write_scenario(found, path.stem, Path(out))[0])
