"""Mutates scenarios so that most stay valid: a value becomes another of its type, or that of another scenario.

Sizes stay small, so that a run takes a fraction of a second. Everything else is drawn from what a file may say: the
types, words and bounds are those of the JSON schema, and the tables those of the shipped scenarios.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from simulation.scenario.faults import FAULTS
from simulation.scenario.json_schema import json_schema
from simulation.scenario.model import Scenario
from simulation.scenario.workloads import WORKLOADS, PlannedEvent

Record = dict[str, Any]

_FOLDERS = ("scenarios", "scenarios/ladder", "scenarios/production", "docs/reference/faults")
DONORS = tuple(path for folder in _FOLDERS for path in sorted(Path(folder).resolve().glob("*.toml")))
"""The scenarios whose values, tables and faults others are given."""

SHORT = ("0s", "1us", "999us", "1ms", "7ms", "50ms", "400ms", "1s", "2s", "5s")
LONG = ("16s", "1m", "15m", "16m", "1h", "25h")
FAR = ("400d", "365000d")
"""Durations: of what happens in a run, of its policy, and longer than any run."""
SHAPES = ("uniform", "exponential", "lognormal", "empirical", "constant")
NUMBERS = (0.0, 1.0, 0.5, 0.1, 1e-9, 2.5)
COUNTS = (1, 2, 3, 4, 5, 7, 12)
UNBOUNDED = (1_000_000, 1 << 31, 1 << 62)
"""What a whole number without an upper bound may be as well."""
MAX_EVENTS, MAX_CONSUMERS, MAX_DEPTH = 60, 8, 4
"""Largest workload of a mutated scenario, and fleet; more would only take longer."""

WORDS = {
    "consumer": ("c1", "c2", "any", "all", "*", "c?"),
    "event": ("a", "b", "*", "c1.*"),
    "follows": ("", "a", "b", "missing"),
    "command": ("*", "EVALSHA *", "SET *", "evalsha complete*"),
    "match": ("*", "EVALSHA *", "EVAL* begin *", "HGET *"),
    "keys": ("*", "*:seen:*", "*:processing:*", "nothing"),
    "engine": ("native", "native-waiting", "null", "native-batches"),
}
"""Texts, by the key that they are for."""


def mutated_scenario(record: Record, rng: Random) -> Record:
    """Return a copy of a scenario with one to five changes, each of which may be seen in a right file."""
    copy: Record = json.loads(json.dumps(record))
    for _ in range(rng.randint(1, 5)):
        _change(rng)(copy, rng)
    _keep_small(copy)
    return copy


def _change(rng: Random) -> Callable[[Record, Random], None]:
    return rng.choice((_set_key, _set_key, _set_key, _take_value, _take_value, _take_table, _add_fault, _leave_out))


def _tables(record: Record) -> list[tuple[str, Record]]:
    """Return the tables of a scenario that are there, each with the name of its model."""
    found = [
        (Scenario.model_fields[name].annotation.__name__, value)  # type: ignore[union-attr]
        for name, value in record.items()
        if isinstance(value, dict) and name not in ("workload", "expect", "swarm", "producer", "client", "allow")
    ]
    workload = record.get("workload", {})
    if (kind := workload.get("kind", "events")) in WORKLOADS:
        found.append((WORKLOADS[kind].__name__, workload))
    found += [(PlannedEvent.__name__, event) for event in workload.get("events", ())]
    found += [(FAULTS[fault["kind"]].__name__, fault) for fault in record.get("faults", ()) if fault["kind"] in FAULTS]
    return found


@cache
def _schemas() -> Record:
    return {name: table["properties"] for name, table in json_schema()["definitions"].items() if "properties" in table}


def _set_key(record: Record, rng: Random) -> None:
    """Give any key of a table that is there, or could be, a value of its type."""
    if rng.random() < 0.2:
        record.setdefault(rng.choice(["broker", "consumers", "network", "policy", "judge", "topology"]), {})
    name, table = rng.choice(_tables(record))
    keys = [key for key, schema in _schemas()[name].items() if "const" not in schema and "deprecated" not in schema]
    key = rng.choice(keys)
    table[key] = made(key, _schemas()[name][key], rng)


def made(key: str, schema: Record, rng: Random) -> Any:
    """Return a value of a type."""
    if key == "sweep_interval":  # shorter ones only make a run longer
        return rng.choice(["1s", "5s", "16s", "1m", "1h"])
    if "enum" in schema:
        return rng.choice(schema["enum"])
    if "allOf" in schema or "$ref" in schema:
        return _distribution(rng)
    if "pattern" in schema and "us" in schema["pattern"]:
        return _duration(rng)
    match schema.get("type"):
        case "boolean":
            return rng.random() < 0.5
        case "integer":
            return _whole(schema, rng)
        case "number":
            least, most = schema.get("minimum", -1), schema.get("maximum", 5)
            return min(most, max(least, rng.choice(NUMBERS)))
        case "array" if "enum" in schema.get("items", {}):
            return rng.sample(schema["items"]["enum"], k=rng.randrange(3))
        case "array":
            return [event_table(place, rng) for place in range(rng.randint(1, 5))] if key == "events" else []
        case "object":
            return {"c1": rng.choice(WORDS["engine"])} if key == "engines" else {}
        case _:
            return rng.choice(WORDS.get(key, ("x", "a b", "é")))


def event_table(place: int, rng: Random) -> Record:
    """Return an event of a list, by its place in it."""
    table: Record = {"name": "abcdef"[place]}
    for key in rng.sample(["follows", "at", "occurred", "published", "readable"], k=rng.randrange(4)):
        table[key] = made(key, _schemas()[PlannedEvent.__name__][key], rng)
    return table


def _whole(schema: Record, rng: Random) -> int:
    least, most = schema.get("minimum", 0), schema.get("maximum")
    if most is None and rng.random() < 0.1:
        return rng.choice(UNBOUNDED)
    return max(least, min(rng.choice(COUNTS), most or max(COUNTS)))


def _duration(rng: Random) -> str:
    return rng.choice(SHORT if (kind := rng.random()) < 0.7 else LONG if kind < 0.95 else FAR)


def _distribution(rng: Random) -> Any:
    one, other = sorted(rng.choices(range(len(SHORT)), k=2))
    match rng.choice((*SHAPES, "plain", "plain")):
        case "uniform":
            return {"uniform": [SHORT[one], SHORT[other]]}
        case "lognormal":
            return {"lognormal": {"median": SHORT[one], "sigma": rng.choice([0, 0.5, 2, 10])}}
        case "empirical":
            return {"empirical": rng.choices(SHORT, k=3)}
        case "plain":
            return _duration(rng)
        case shape:
            return {shape: SHORT[one]}


@cache
def _donors() -> tuple[Record, ...]:
    return tuple(tomllib.loads(path.read_text()) for path in DONORS)


def _take_value(record: Record, rng: Random) -> None:
    """Give a key the value that another scenario has there."""
    donor = rng.choice(_donors())
    own = dict(_tables(record))
    theirs = [(name, table) for name, table in _tables(donor) if name in own and table]
    if theirs:
        name, table = rng.choice(theirs)
        key = rng.choice(list(table))
        own[name][key] = json.loads(json.dumps(table[key]))


def _take_table(record: Record, rng: Random) -> None:
    """Replace a table by that of another scenario, or add it."""
    donor = rng.choice(_donors())
    names = [name for name, value in donor.items() if isinstance(value, dict) and name not in ("expect", "replay")]
    name = rng.choice(names)
    if donor[name].get("kind") != "trace":
        record[name] = json.loads(json.dumps(donor[name]))


def _add_fault(record: Record, rng: Random) -> None:
    """Add the fault of another scenario, or one whose keys are drawn."""
    if rng.random() < 0.6:
        if faults := rng.choice(_donors()).get("faults"):
            record.setdefault("faults", []).append(json.loads(json.dumps(rng.choice(faults))))
        return
    kind = rng.choice(list(FAULTS))
    fault: Record = {"kind": kind}
    schemas = _schemas()[FAULTS[kind].__name__]
    required = json_schema()["definitions"][FAULTS[kind].__name__].get("required", ())
    some = [key for key in schemas if key not in ("kind", *required)]
    for key in (*(key for key in required if key != "kind"), *rng.sample(some, k=min(len(some), rng.randrange(3)))):
        fault[key] = made(key, schemas[key], rng)
    if "step" in schemas and not {"at", "command", "step"} & fault.keys():
        fault["at"] = _duration(rng)
    record.setdefault("faults", []).append(fault)


def _leave_out(record: Record, rng: Random) -> None:
    """Leave out a key of a table, a fault, or a whole table."""
    if rng.random() < 0.3 and record.get("faults"):
        record["faults"].pop(rng.randrange(len(record["faults"])))
        return
    _, table = rng.choice(_tables(record))
    if keys := [key for key in table if key not in ("kind", "name", "events")]:
        del table[rng.choice(keys)]


def _keep_small(record: Record) -> None:
    """Cut what would only make a run longer."""
    workload = record["workload"]
    if isinstance(workload.get("events"), list):
        del workload["events"][MAX_EVENTS:]
    for key in ("count", "length", "followers"):
        if key in workload:
            workload[key] = min(workload[key], 6)
    for key in ("depth", "branching"):
        if key in workload:
            workload[key] = min(workload[key], MAX_DEPTH)
    consumers = record.get("consumers", {})
    for key in ("count", "concurrency"):
        if key in consumers:
            consumers[key] = min(consumers[key], MAX_CONSUMERS)
