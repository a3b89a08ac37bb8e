"""Mutates lines of JSON by what they say: the same entries, at other times, of other events, in another order."""

from __future__ import annotations

import json
from random import Random
from typing import Any


def mutated_entries(lines: list[bytes], rng: Random) -> bytes:
    """Return lines with one to four changes that leave each a right entry; most stay in the order of their times."""
    records = [json.loads(line) for line in lines]
    for _ in range(rng.randint(1, 4)):
        _change(records, rng)
        if not records:
            break
    if rng.random() < 0.9 and all(isinstance(record.get("at", 0), int) for record in records):
        records.sort(key=lambda record: record.get("at", -1))
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


def _change(records: list[dict[str, Any]], rng: Random) -> None:
    place, other = rng.randrange(len(records)), rng.randrange(len(records))
    record = records[place]
    match rng.randrange(7):
        case 0:
            del records[place]
        case 1:
            records.insert(other, json.loads(json.dumps(record)))
        case 2 if "at" in record:
            record["at"] = max(0, record["at"] + rng.choice([-1, 1, -1_000_000, 1_000_000, 1 << 40, 1 << 60]))
        case 3:
            records[place], records[other] = records[other], record
        case 4:
            record.pop(rng.choice(list(record)))
        case _:
            key = rng.choice(list(records[other]))
            record[key] = json.loads(json.dumps(records[other][key]))
