"""The kinds of untrusted files: how a good one is made and mutated, and what reads it."""

from __future__ import annotations

import gzip
import json
import tempfile
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path
from random import Random
from typing import Any

import tomli_w

from simulation import Laboratory
from simulation.cli import main
from simulation.cli.kept import kept_below, write_index
from simulation.scenario.load import load, loads
from simulation.search.explore.strategies import Strategy
from simulation.search.failure_database import Failures
from simulation.search.replay import load_replay
from tests.fuzz.columns import parquet_file
from tests.fuzz.mutation import mutated_bytes, mutated_record

Read = Callable[[], object]
Make = Callable[[Path, Random], Read]
"""Writes one mutated file into a folder, and returns what reads it: an exit code, or any value or error of a reader."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of file."""

    name: str
    make: Make


SCENARIOS = sorted([*Path("scenarios").glob("*.toml"), *Path("scenarios/ladder").glob("*.toml")])
HISTORIES = sorted(Path("docs/reference/invariants").glob("*.jsonl"))
SMALL = [path.read_text() for path in sorted(Path("docs/reference/faults").glob("*.toml"))]
"""Scenarios of a few events, one for each kind of fault."""
EVENTS = Path("scenarios/data/prefect-etl-events.jsonl")


def _toml(record: Any) -> bytes:
    try:
        return tomli_w.dumps(record).encode("utf-8", "surrogatepass")
    except (TypeError, AttributeError, ValueError):  # such as None, which TOML does not have
        return json.dumps(record).encode()


def _mutated_toml(source: Path, rng: Random) -> bytes:
    data = source.read_bytes()
    if rng.random() < 0.6:
        return _toml(mutated_record(tomllib.loads(data.decode()), rng))
    return mutated_bytes(data, rng)


def _scenario(folder: Path, rng: Random) -> Read:
    file = folder / "scenario.toml"
    file.write_bytes(_mutated_toml(rng.choice(SCENARIOS), rng))
    return partial(load, file)


def _replay(folder: Path, rng: Random) -> Read:
    record = {**tomllib.loads(rng.choice(SCENARIOS).read_text()), "seed": 1, "engine": "native"}
    record["replay"] = {"format": 1, "version": version("causim"), "digest": "0" * 64, "choices": {"4": 1}, "faults": 1}
    record["replay"].update(early=1, scouted=3, kinds=["crash", "reply-lost"], invariant="handled-once")
    good = folder / "good.toml"
    good.write_bytes(_toml(record))
    file = folder / "replay.toml"
    file.write_bytes(_mutated_toml(good, rng))
    return partial(load_replay, file)


def _run(folder: Path, rng: Random) -> Read:
    """A scenario that is run, if it can be: a small one, so that its run is short."""
    file = folder / "scenario.toml"
    file.write_bytes(_toml(mutated_record(tomllib.loads(rng.choice(SMALL)), rng)))
    return partial(main, ["run", str(file), "--out", str(folder / "out"), *rng.choice([["--no-results"], ["--json"]])])


def _rerun(folder: Path, rng: Random) -> Read:
    """A replay that is replayed, if it can be."""
    record = {**tomllib.loads(rng.choice(SMALL)), "seed": rng.randrange(9), "engine": "native"}
    choices = {str(rng.randrange(60)): rng.randrange(4) for _ in range(rng.randrange(4))}
    record["replay"] = {"format": 1, "version": version("causim"), "digest": "0" * 64, "choices": choices, "faults": 0}
    file = folder / "replay.toml"
    file.write_bytes(_toml(mutated_record(record, rng)))
    return partial(main, ["replay", str(file)])


def _lines(source: Path, rng: Random, most: int = 40) -> bytes:
    lines = source.read_bytes().splitlines()[:most]
    if rng.random() < 0.4:
        return mutated_bytes(b"\n".join(lines) + b"\n", rng)
    for _ in range(rng.randint(1, 3)):
        place = rng.randrange(len(lines))
        lines[place] = json.dumps(mutated_record(json.loads(lines[place]), rng)).encode()
    return b"\n".join(lines) + b"\n"


def _history(folder: Path, rng: Random) -> Read:
    file = folder / "history.jsonl"
    file.write_bytes(_lines(rng.choice(HISTORIES), rng))
    return partial(main, ["check", str(file), *rng.choice([[], ["--json"]])])


@cache
def _kept_run() -> dict[str, bytes]:
    """The files of a run's results that are read again, each by its name."""
    with tempfile.TemporaryDirectory() as name, Laboratory() as laboratory:
        laboratory.run(loads(SMALL[0]), 1, "native").save(name)
        return {
            path.name: path.read_bytes() for path in Path(name).iterdir() if path.suffix in (".jsonl", ".json", ".toml")
        }


def _results(folder: Path, rng: Random) -> Read:
    """A results folder, one of whose files is mutated, packed, missing, a folder or a link, and what reads it."""
    for place in (folder / "kept", folder / "other"):
        place.mkdir()
        for name, data in _kept_run().items():
            (place / name).write_bytes(data)
    _spoil(folder / "kept", rng)
    match rng.randrange(8):
        case 0:
            form = rng.choice(["perfetto", "shiviz", "otlp-json", "csv"])
            words = ["export", str(folder / "kept"), "--format", form, "--out", str(folder / "exported")]
        case 1:
            words = [
                "diff",
                *rng.sample([str(folder / "kept"), str(folder / "other")], 2),
                *rng.choice([[], ["--json"]]),
            ]
        case 2:
            words = ["replay", str(folder / "kept" / "scenario.toml")]
        case 3:
            words = ["shrink", str(folder / "kept"), "--max-runs", "3"]
        case 4:
            return partial(_overview, folder)
        case _:
            words = ["check", str(folder / "kept"), *rng.choice([[], ["--json"]])]
    return partial(main, words)


def _overview(folder: Path) -> object:
    """Read what the list of all runs says of the runs below a folder."""
    assert kept_below(folder)
    return write_index(folder).read_text() and None


def _spoil(folder: Path, rng: Random) -> None:
    name = rng.choice(sorted(_kept_run()))
    file = folder / name
    data = file.read_bytes()
    match rng.randrange(12):
        case 0:
            file.unlink()
        case 1:
            file.unlink()
            file.mkdir()
        case 2:
            file.unlink()
            (folder / f"{name}.gz").write_bytes(gzip.compress(data, mtime=0))
        case 3:
            file.unlink()
            file.symlink_to(rng.choice([name, ".", "/dev/null", "/dev/zero", "missing", "../other/verdict.json"]))
        case 4:
            for one in folder.iterdir():
                one.unlink()
            (folder / "latest").write_text("elsewhere\n")
        case 5:
            file.write_bytes(b"")
        case _ if name.endswith(".jsonl"):
            file.write_bytes(_lines(file, rng))
        case _ if name.endswith(".toml"):
            file.write_bytes(_mutated_toml(file, rng))
        case _ if rng.random() < 0.3:
            file.write_bytes(mutated_bytes(data, rng))
        case _:
            file.write_text(json.dumps(mutated_record(json.loads(data), rng)))


def _trace(folder: Path, rng: Random) -> Read:
    form = rng.choice(["jsonl", "csv", "parquet"])
    file = folder / f"log.{form}"
    rows = b"id,follows,occurred\na,,2026-01-01T00:00:00Z\nb,a,2026-01-01T00:00:01Z\nc,b,3\n"
    match form:
        case "jsonl":
            file.write_bytes(_lines(EVENTS, rng))
        case "csv":
            file.write_bytes(mutated_bytes(rows, rng))
        case _:
            data = parquet_file(rng)
            file.write_bytes(mutated_bytes(data, rng) if rng.random() < 0.2 else data)
    words = ["import", str(file), "--out", str(folder / "out"), "--allow-unknown-leaders"]
    return partial(main, [*words, *rng.choice([[], ["--skip-bad"]])])


def _traced(folder: Path, rng: Random) -> Read:
    """A scenario that is run, and replays events of a mutated file."""
    (folder / "events.jsonl").write_bytes(_lines(EVENTS, rng, 6))
    file = folder / "scenario.toml"
    file.write_text('name = "traced"\n[workload]\nkind = "trace"\nfile = "events.jsonl"\n')
    return partial(main, ["run", str(file), "--no-results"])


def _failures(folder: Path, rng: Random) -> Read:
    file = folder / "failures.json"
    scenario = loads('name = "s"\n[workload]\nevents = [{ name = "a" }]\n')
    known = Failures(scenario, "native", Strategy(), file)
    known.remember([1, 5], range(10))
    if rng.random() < 0.5:
        file.write_bytes(mutated_bytes(file.read_bytes(), rng))
    else:
        file.write_text(json.dumps(mutated_record(json.loads(file.read_text()), rng)))

    def read() -> object:
        assert sorted(known.first(range(10))) == list(range(10))
        known.remember([2], range(10))
        return None

    return read


KINDS = {
    kind.name: kind
    for kind in (
        Kind("scenario", _scenario),
        Kind("history", _history),
        Kind("replay", _replay),
        Kind("run", _run),
        Kind("rerun", _rerun),
        Kind("trace", _trace),
        Kind("traced", _traced),
        Kind("results", _results),
        Kind("failures", _failures),
    )
}
"""By name."""
