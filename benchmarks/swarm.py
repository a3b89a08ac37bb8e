"""The log of trust: swarms of fresh seeds on every engine, resumable, each violation reduced and written down.

    python benchmarks/swarm.py [--minutes 2] [--engines native,native-batches] [--replays 20] [--scenario FILE]
    python benchmarks/swarm.py --table                # only write the table again

A seed is made of the date and a count, so no day repeats another's. The work is done in batches of so many seeds,
always of the engine with the fewest seeds so far. A batch that is done is a line of the log, so the swarm can be ended
at any time and goes on where it was. Some seeds of each batch are run once more in another process, which has another
hash seed: no history may differ.

The worlds of `swarm-short.toml` are small and over within seconds of their time. A seed of it costs a tenth of one of
`scenarios/swarm.toml`, most of whose time passes in sweeps that find nothing.

The first violation of a kind, which is its sentence without names and numbers, is shrunk on a real server for at most a
minute, and its file is kept beside the log; the others of that kind name its seed. Its state is written by
hand into `swarm-explained.toml`, by seed or by kind: `"native/2026113000017" = "mended by …"`. What is not there counts
as open, and the exit code is 1 if something is open that was found now, or if a replay differed.
"""

from __future__ import annotations

import argparse
import gc
import json
import logging
import subprocess
import sys
import time
import tomllib
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import tomli_w

from simulation import Scenario, load
from simulation.engines import UnknownEngine, resolve
from simulation.search.parallel.determinism import digest_of, process
from simulation.search.parallel.seeds import Plan, search
from simulation.search.replay import Replay
from simulation.search.shrink.cause import reason
from simulation.search.shrink.shrinker import NothingToShrink, Shrinker
from simulation.search.summary import Summary
from simulation.world.laboratory import Laboratory

ENGINES = ("native", "native-stream", "native-batches", "native-partitions", "native-steps", "native-waiting")
SCENARIO = Path(__file__).with_name("swarm-short.toml")
EXPLAINED = Path(__file__).with_name("swarm-explained.toml")
A_DAY = 100_000
"""How many seeds a day has at most."""
HASH_SEED = "1"
"""The hash seed of the process that replays; that of the swarm itself is drawn when it starts."""
PACKAGES = ("ordering", "simulation", "reports", "causim", "scenarios")
"""The folders that runs depend on; the log itself is not among them."""
SHRINKING = 60.0
"""Seconds of real time that the reduction of one violation may take."""


@dataclass(frozen=True)
class Batch:
    """Some seeds of one engine: a line of the log."""

    date: str
    commit: str
    engine: str
    store: str
    first: int
    runs: int
    hours: float
    distinct: int
    """Distinct behaviours within the batch."""
    replayed: int = 0
    different: int = 0
    """Seeds whose histories differed between two processes."""
    violations: tuple[dict[str, Any], ...] = field(default_factory=tuple)
    scenario: str = "swarm"


class Log:
    """The batches that were done."""

    def __init__(self, path: Path) -> None:
        self.path = path
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        records = [json.loads(line) for line in lines]
        self.batches = [Batch(**{**record, "violations": tuple(record["violations"])}) for record in records]

    def add(self, batch: Batch) -> None:
        """Write a batch down, as one line."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(batch)) + "\n")
        self.batches.append(batch)

    def runs(self, engine: str) -> int:
        """Return how many seeds an engine was run with."""
        return sum(batch.runs for batch in self.batches if batch.engine == engine)

    def kinds(self, engine: str, made: str) -> dict[str, int]:
        """Return the kinds of violations that an engine has shown at a commit, each with the first seed that did.

        What comes back after it was fixed is another bug, and is reduced again.
        """
        found: dict[str, int] = {}
        for done in self.batches:
            for violation in done.violations if (done.engine, done.commit) == (engine, made) else ():
                found.setdefault(violation.get("kind", ""), violation["seed"])
        return found

    def fresh(self, date: str, engine: str, count: int) -> int:
        """Return the first seed of a day from which on an engine has not been run with `count` seeds."""
        first = int(date.replace("-", "")) * A_DAY
        done = sorted((b.first, b.first + b.runs) for b in self.batches if b.engine == engine)
        for start, end in done:
            if first + count <= start:
                break
            first = max(first, end)
        return first


def commit() -> str:
    """Return the commit of the working tree, with a + if what runs was changed."""
    record = subprocess.run(["git", "describe", "--always"], capture_output=True, text=True, check=False)
    changed = subprocess.run(["git", "status", "--porcelain", "--", *PACKAGES], capture_output=True, check=False)
    return (record.stdout.strip() or "unknown") + "+" * bool(changed.stdout)


@dataclass(frozen=True, slots=True)
class Found:
    """A violation, and the sentence that is the same for all violations of its kind."""

    summary: Summary
    kind: str


def reduced(plan: Plan, scenario: Scenario, found: Found, folder: Path) -> dict[str, Any]:
    """Shrink a violation on a real server, keep its file, and return what the log says of it."""
    record, seed = _record_of(found), found.summary.seed
    start = Replay(scenario.model_copy(update={"seed": seed, "engine": plan.engine}), None)
    until = time.monotonic() + SHRINKING
    with Laboratory("auto", plan.executable) as laboratory:
        shrinker = Shrinker(laboratory, start, record["invariant"], tries=20, enough=lambda: time.monotonic() > until)
        try:
            (best,) = deque(shrinker.improvements(), maxlen=1)  # each holds a whole run
        except NothingToShrink as error:
            return {**record, "because": f"{record['because']} ({error})"}
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{plan.engine}-{seed}.toml"
    file.write_text(tomli_w.dumps(best.replay.written()), encoding="utf-8")
    return {**record, "file": str(file), "size": best.size}


def _record_of(found: Found) -> dict[str, Any]:
    violation = found.summary.violations[0]
    record = {"seed": found.summary.seed, "invariant": violation.invariant, "because": violation.because}
    return {**record, "kind": found.kind, "file": ""}


def kind_of(plan: Plan, summary: Summary, laboratory: Laboratory) -> str:
    """Return the sentence of a run's first violation without names and numbers."""
    run = laboratory.run(plan.scenario, summary.seed, plan.engine)
    return reason(run.history, summary.violations[0])


def differing(plan: Plan, digests: Mapping[int, str]) -> list[int]:
    """Return the seeds whose history has another digest in a process of its own, which has another hash seed."""
    with process(HASH_SEED, plan) as pool:
        return [seed for seed, digest in digests.items() if pool.submit(digest_of, seed).result() != digest]


def batch(plan: Plan, seeds: range, replays: int, log: Log, folder: Path, *, jobs: int = 1) -> Batch:
    """Run some seeds, replay a few in another process, and reduce what was violated."""
    started = time.monotonic()
    behaviours: set[int | None] = set()
    violated: list[Summary] = []
    digests: dict[int, str] = {}
    for summary in search(plan, seeds, jobs):
        behaviours.add(summary.covered.behaviour)
        if summary.seed < seeds.start + replays:
            digests[summary.seed] = summary.digest
        if summary.verdict == "violated":
            violated.append(summary)
    different = differing(plan, digests)
    violations = list(reported(plan, violated, log.kinds(plan.engine, commit()), folder))
    return Batch(
        date=datetime.now(UTC).date().isoformat(),
        commit=commit(),
        engine=plan.engine,
        store=plan.store,
        first=seeds.start,
        runs=len(seeds),
        hours=(time.monotonic() - started) / 3600,
        distinct=len(behaviours),
        replayed=len(digests),
        different=len(different),
        violations=tuple(violations),
        scenario=plan.scenario.name,
    )


def reported(plan: Plan, violated: Sequence[Summary], kinds: dict[str, int], folder: Path) -> Iterator[dict[str, Any]]:
    """Yield what the log says of each violation; `kinds` are those known so far, each with its first seed."""
    if not violated:
        return
    with Laboratory(plan.store, plan.executable) as laboratory:
        found = [Found(summary, kind_of(plan, summary, laboratory)) for summary in violated]
    for one in found:
        if one.kind in kinds:
            yield {**_record_of(one), "size": f"as {kinds[one.kind]}"}
        else:
            kinds[one.kind] = one.summary.seed
            yield reduced(plan, plan.scenario, one, folder)


def available(names: Sequence[str]) -> Iterator[str]:
    """Yield the engines that there are; say which there are not."""
    for name in names:
        try:
            resolve(name)
        except UnknownEngine as error:
            print(f"left out: {error}")
        else:
            yield name


def table(log: Log, explained: dict[str, str]) -> str:
    """Return the log as a table: a row for each day, commit, worlds and engine; then the violations."""
    rows: dict[tuple[str, str, str, str], list[Batch]] = defaultdict(list)
    for done in log.batches:
        rows[done.date, done.commit, done.scenario, done.engine].append(done)
    lines = [
        "# The log of trust",
        "",
        "Made by `python benchmarks/swarm.py`, on a real server: every seed is a world of its own, and none was run",
        "before. `swarm` is `scenarios/swarm.toml`; `swarm-short`, beside this file, has small worlds that end soon.",
        "*Replayed* seeds were run again in another process, with another hash seed.",
        "",
        "| date | commit | worlds | engine | seeds | from | hours | behaviours | violated | replayed | different |",
        "|---|---|---|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for (date, made, worlds, engine), some in rows.items():
        lines.append(
            f"| {date} | {made} | {worlds} | {engine} | {sum(b.runs for b in some):,} | {min(b.first for b in some)} "
            f"| {sum(b.hours for b in some):.2f} | {sum(b.distinct for b in some):,} "
            f"| {sum(len(b.violations) for b in some)} | {sum(b.replayed for b in some):,} "
            f"| {sum(b.different for b in some)} |"
        )
    everything = log.batches
    lines += [
        "",
        f"In all: {sum(b.runs for b in everything):,} seeds in {sum(b.hours for b in everything):.1f} hours, "
        f"{sum(len(b.violations) for b in everything)} violated; {sum(b.replayed for b in everything):,} replayed, "
        f"{sum(b.different for b in everything)} different.",
    ]
    return "\n".join([*lines, *_violations(everything, explained)]) + "\n"


def _violations(batches: Sequence[Batch], explained: dict[str, str]) -> Iterator[str]:
    """Yield a row for all violations of one engine and invariant of which the same was done."""
    alike: dict[tuple[str, str, str], list[dict[str, Any]]] = defaultdict(list)
    for done in batches:
        for violation in done.violations:
            became = explanation(done.engine, violation, explained) or "**open**"
            alike[done.engine, violation["invariant"], became].append(violation)
    if not alike:
        return
    yield "\n# Violations, and what was done about them\n"
    yield "| engine | invariant | seeds | the first | reduced to | what was done |"
    yield "|---|---|---:|---:|---|---|"
    for (engine, invariant, became), some in alike.items():
        size = some[0].get("size") or "not reduced"
        yield f"| {engine} | {invariant} | {len(some)} | {some[0]['seed']} | {size} | {became} |"


def explanation(engine: str, violation: Mapping[str, Any], explained: dict[str, str]) -> str:
    """Return what was done about a violation, by its seed or by its kind; empty if nothing was."""
    names = (f"{engine}/{violation['seed']}", f"{engine}: {violation.get('kind', '')}")
    return next((explained[name] for name in names if name in explained), "")


def swarm(given: argparse.Namespace, log: Log, explained: dict[str, str]) -> bool:
    """Run batch after batch until the time is over, always of the engine with the fewest seeds.

    Returns whether every violation is explained, and no replay differed.
    """
    clean = True
    scenario = load(given.scenario)
    engines = list(available(given.engines.split(",")))
    until = time.monotonic() + given.minutes * 60
    while time.monotonic() < until:
        engine = min(engines, key=log.runs)
        first = log.fresh(datetime.now(UTC).date().isoformat(), engine, given.batch)
        plan = Plan(scenario, engine, given.store)
        seeds, folder = range(first, first + given.batch), given.log.parent / "found"
        done = batch(plan, seeds, given.replays, log, folder, jobs=given.jobs)
        log.add(done)
        print(
            f"{engine}: {done.runs} seeds from {first}, {len(done.violations)} violated, {done.different} different",
            flush=True,
        )
        open_ones = (one for one in done.violations if not explanation(engine, one, explained))
        clean = clean and not done.different and next(open_ones, None) is None
    return clean


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the swarm, and write the table. Returns 1 if something is open that was found now."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--engines", default=",".join(ENGINES))
    parser.add_argument("--scenario", type=Path, default=SCENARIO)
    parser.add_argument("--store", default="server")
    parser.add_argument("--batch", type=int, default=100)
    parser.add_argument("--replays", type=int, default=20)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--log", type=Path, default=Path("benchmarks/swarm.jsonl"))
    parser.add_argument("--out", type=Path, default=Path("benchmarks/swarm.md"))
    parser.add_argument("--table", action="store_true")
    given = parser.parse_args(arguments)
    log, clean = Log(given.log), True
    explained = tomllib.loads(EXPLAINED.read_text(encoding="utf-8"))
    if not given.table:
        try:
            clean = swarm(given, log, explained)
        except KeyboardInterrupt:
            print("ended; the batch in hand is not in the log")
    given.out.write_text(table(log, explained), encoding="utf-8")
    return 0 if clean else 1


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)  # a broken engine complains of every event
    gc.freeze()  # what is loaded by now stays: no search for garbage need look at it
    sys.exit(main())
