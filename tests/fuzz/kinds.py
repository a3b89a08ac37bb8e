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
from tests.fuzz.entries import mutated_entries
from tests.fuzz.mutation import mutated_bytes, mutated_record
from tests.fuzz.valid import mutated_scenario

Read = Callable[[], object]
Make = Callable[[Path, Random], Read]
"""Writes one mutated file into a folder, and returns what reads it: an exit code, or any value or error of a reader."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of file."""

    name: str
    make: Make


ROOT = Path().resolve()
"""Files are read in a folder of their own."""
SCENARIOS = sorted([*ROOT.glob("scenarios/*.toml"), *ROOT.glob("scenarios/ladder/*.toml")])
HISTORIES = sorted(ROOT.glob("docs/reference/invariants/*.jsonl"))
SMALL = [path.read_text() for path in sorted(ROOT.glob("docs/reference/faults/*.toml"))]
"""Scenarios of a few events, one for each kind of fault."""
EVENTS = ROOT / "scenarios/data/prefect-etl-events.jsonl"
VALID = 0.75
"""Share of the files that are run whose changes keep most of them valid; the others have one odd value or more."""


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


def _changed(record: dict[str, Any], rng: Random) -> dict[str, Any]:
    """Return a scenario with changes of which most are right, and now and then one that is not."""
    changed = mutated_scenario(record, rng)
    return changed if rng.random() < VALID else mutated_record(changed, rng)


def _run(folder: Path, rng: Random) -> Read:
    """A scenario that is run, if it can be: a small one, so that its run is short."""
    file = folder / "scenario.toml"
    file.write_bytes(_toml(_changed(tomllib.loads(rng.choice(SMALL)), rng)))
    name, out = str(file), ["--out", str(folder / "out")]
    match rng.randrange(16):
        case 0:
            return partial(main, ["compare", name, "--engine", "native", "--engine", "null", "--seeds", "1"])
        case 1:
            return partial(main, ["sweep", name, "--vary", "broker.duplicate=0,0.5", "--seeds", "1", *out])
        case 2:
            return partial(main, ["why", name, "--samples", "2", "--max-runs", "3"])
        case 3:
            return partial(main, ["shrink", name, "--max-runs", "3", "--out", str(folder / "shrunk.toml")])
        case 4:
            return partial(main, ["validate", name])
        case 5:
            strategy = rng.choice(["surw", "pct", "random-walk", "guided", "exhaustive"])
            return partial(main, ["run", name, *out, "--strategy", strategy, "--max-runs", "3", "--no-results"])
        case 6:
            return partial(main, ["run", name, *out, "--seeds", "3", "--junit", str(folder / "junit.xml")])
        case 7 | 8:
            return partial(main, ["run", name, *out, "--engine", rng.choice(ENGINES), "--no-results"])
        case 9 if rng.random() < 0.2:  # a report takes as long as twenty runs
            return partial(main, ["run", name, *out])
        case _:
            return partial(main, ["run", name, *out, *rng.choice([["--no-results"], ["--no-results", "--json"]])])


ENGINES = ("null", "native-steps", "native-waiting", "native-batches", "native-stream", "native-partitions", "prefect")


def _rerun(folder: Path, rng: Random) -> Read:
    """A replay that is replayed, if it can be."""
    record = {**_changed(tomllib.loads(rng.choice(SMALL)), rng), "seed": rng.randrange(9), "engine": "native"}
    choices = {str(rng.randrange(60)): rng.randrange(4) for _ in range(rng.randrange(4))}
    table = {"format": 1, "version": version("causim"), "digest": "0" * 64, "choices": choices}
    table |= {"faults": rng.randrange(3), "early": rng.randrange(3), "kinds": rng.sample(["crash", "reply-lost"], 1)}
    record["replay"] = table if rng.random() < VALID else mutated_record(table, rng)
    file = folder / "replay.toml"
    file.write_bytes(_toml(record))
    return partial(main, ["replay", str(file)])


def _lines(source: Path, rng: Random, most: int = 40) -> bytes:
    lines = source.read_bytes().splitlines()[:most]
    if rng.random() < 0.5:
        return mutated_entries(lines, rng)
    if rng.random() < 0.4:
        return mutated_bytes(b"\n".join(lines) + b"\n", rng)
    for _ in range(rng.randint(1, 3)):
        place = rng.randrange(len(lines))
        lines[place] = json.dumps(mutated_record(json.loads(lines[place]), rng)).encode()
    return b"\n".join(lines) + b"\n"


def _history(folder: Path, rng: Random) -> Read:
    """A history, short or of a run, and a command that reads it."""
    file = folder / "history.jsonl"
    if rng.random() < 0.3:
        (folder / "real.jsonl").write_bytes(_kept_run()["history.jsonl"])
        file.write_bytes(_lines(folder / "real.jsonl", rng, 200))
    else:
        file.write_bytes(_lines(rng.choice(HISTORIES), rng))
    match rng.randrange(8):
        case 0:
            form = rng.choice(["perfetto", "shiviz", "otlp-json", "csv"])
            return partial(main, ["export", str(file), "--format", form, "--out", str(folder / "exported")])
        case 1:
            return partial(main, ["diff", *rng.sample([str(file), str(rng.choice(HISTORIES))], 2)])
        case _:
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
        case _ if name.endswith(".toml") and rng.random() < 0.5:
            file.write_bytes(_toml(mutated_scenario(tomllib.loads(data.decode()), rng)))
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
