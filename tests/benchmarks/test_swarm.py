"""The log of trust: fresh seeds, batches that are not repeated, violations that are reduced and stay open."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.swarm import A_DAY, Batch, Log, main, table

WORLD = """
name = "small-swarm"
workload.events = [{ name = "a" }, { name = "b", follows = "a", at = "1ms" }]
broker.delay = { uniform = ["1ms", "9ms"] }
[swarm.choose]
"consumers.count" = [2, 3]
"""


def done(**changes: Any) -> Batch:
    """Return a batch of the log."""
    plain = {"date": "2026-11-30", "commit": "abc", "engine": "native", "store": "server", "first": 7, "runs": 5}
    return Batch(**{**plain, "hours": 0.5, "distinct": 4, **changes})


def swarmed(folder: Path, engine: str) -> list[dict[str, Any]]:
    """Run two batches of three seeds and return the lines of the log."""
    (folder / "world.toml").write_text(WORLD, encoding="utf-8")
    words = ["--scenario", str(folder / "world.toml"), "--engines", engine, "--batch", "3", "--replays", "1"]
    words += ["--log", str(folder / "log.jsonl"), "--out", str(folder / "table.md"), "--minutes", "0.0001"]
    for _ in range(2):
        main(words)
    return [json.loads(line) for line in (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()]


def test_resumes_with_seeds_not_run(tmp_path: Path) -> None:
    """A swarm goes on with seeds that were not run."""
    first, second = swarmed(tmp_path, "native")
    assert first["runs"] == second["runs"] == 3
    assert first["date"] != second["date"] or second["first"] == first["first"] + 3
    assert first["first"] // A_DAY == int(first["date"].replace("-", ""))
    assert (first["replayed"], first["different"], first["violations"]) == (1, 0, [])
    assert "6 seeds" in (tmp_path / "table.md").read_text(encoding="utf-8")


def test_violation_becomes_a_file(tmp_path: Path) -> None:
    """A violation is reduced to a file and stays open."""
    found = [violation for line in swarmed(tmp_path, "null") for violation in line["violations"]]
    assert found
    assert all(Path(violation["file"]).exists() for violation in found)
    assert "**open**" in (tmp_path / "table.md").read_text(encoding="utf-8")


def test_another_day_has_other_seeds(tmp_path: Path) -> None:
    log = Log(tmp_path / "log.jsonl")
    log.add(done(first=2026113000000))
    assert log.fresh("2026-11-30", "native", 5) == 2026113000005
    assert log.fresh("2026-12-01", "native", 5) == 2026120100000
    assert log.fresh("2026-11-30", "native-batches", 5) == 2026113000000
    assert Log(tmp_path / "log.jsonl").batches == log.batches


def test_fresh_seeds_fill_a_gap(tmp_path: Path) -> None:
    log = Log(tmp_path / "log.jsonl")
    for first in (2026113000015, 2026113000000):
        log.add(done(first=first))
    assert log.fresh("2026-11-30", "native", 10) == 2026113000005
    assert log.fresh("2026-11-30", "native", 11) == 2026113000020


def test_explained_in_the_table(tmp_path: Path) -> None:
    log = Log(tmp_path / "log.jsonl")
    log.add(
        done(violations=({"seed": 9, "invariant": "handled-once", "because": "x", "file": "f", "size": "2 events"},))
    )
    assert "| 2 events | **open** |" in table(log, {})
    assert "| 2 events | mended |" in table(log, {"native/9": "mended"})
