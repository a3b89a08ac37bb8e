"""What the length of a history and the size of a world cost: processor time and peak memory, each in its own process.

    python benchmarks/scale.py [--judge 10000 100000 1000000] [--worlds 1000 10000] [--consumers 100 500]

Prints Markdown; `scale.md` beside this file is such a table. Processor time and not time on the wall, since machines
are shared; the first line says how fast the machine was, to compare by. The slope is that of log time against log
events: 1 is linear.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from math import log
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parent))

import histories  # it lies beside this file

CAUSIM = [sys.executable, "-m", "simulation"]
TURNS = 5_000_000
STARTS = 5
COMMANDS = (
    "--help",
    "list engines",
    "list scenarios scenarios",
    "list faults",
    "list invariants",
    "list mutants",
    "run scenarios/leader-follower.toml --quiet --no-results",
    "run scenarios/leader-follower.toml --quiet --out {folder}",
)
WORLD = """
name = "large"
[workload]
kind = "chains"
count = {chains}
length = 5
interleave = true
interval = "1ms"
[broker]
delay = {{ lognormal = {{ median = "20ms", sigma = 1.5 }} }}
duplicate = 0.01
[consumers]
count = {consumers}
handler_time = {{ lognormal = {{ median = "10ms", sigma = 0.7 }} }}
start = {{ uniform = ["0s", "5s"] }}
[judge]
horizon = "12h"
require_coverage = ["handled"]
"""


class Cost(NamedTuple):
    """What a command cost, without the servers that it started."""

    seconds: float
    mebibytes: float


def cost(words: Sequence[str]) -> Cost:
    """Run a command; return its processor time and its peak memory. Raises CalledProcessError if it fails."""
    child = subprocess.Popen(words, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise subprocess.CalledProcessError(child.returncode, words)
    return Cost(used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def slope(costs: Sequence[tuple[int, Cost]]) -> str:
    """Return the slope of log time against log size, from the first to the last; nothing for one size."""
    (small, less), (large, more) = costs[0], costs[-1]
    return f"{log(more.seconds / less.seconds) / log(large / small):.2f}" if large > small else "–"


def speed() -> float:
    """Return how many nanoseconds one turn of an empty counting loop takes here and now."""
    started, total = time.process_time(), 0
    for turn in range(TURNS):
        total += turn
    return (time.process_time() - started) / TURNS * 1e9


def judging(sizes: Sequence[int], folder: Path, crowded: bool) -> None:
    """Measure `causim check` on histories of these many events, few or most of them parked."""
    which = "crowded" if crowded else "spread"
    print(f"\n| judged from a file, {which}: events | entries | processor time, s | µs an entry | peak memory, MiB |")
    print("|---:|---:|---:|---:|---:|")
    costs = []
    for size in sizes:
        file = folder / "long.jsonl"
        histories.write(file, size, crowded)
        with file.open("rb") as lines:
            entries = sum(1 for _ in lines) - 1
        used = cost([*CAUSIM, "check", str(file)])
        file.unlink()
        costs.append((size, used))
        each = used.seconds / entries * 1e6
        print(f"| {size:,} | {entries:,} | {used.seconds:.1f} | {each:.1f} | {used.mebibytes:.0f} |", flush=True)
    print(f"\nSlope: {slope(costs)}")


def worlds(sizes: Sequence[int], crowds: Sequence[int], engines: Sequence[str], folder: Path) -> None:
    """Measure `causim run` on worlds of these many events, consumers and engines."""
    print("\n| world: events | consumers | engine | processor time, s | ms an event | peak memory, MiB |")
    print("|---:|---:|---|---:|---:|---:|")
    slopes = []
    for engine in engines:
        for consumers in crowds:
            costs = []
            for size in sizes:
                file = folder / "large.toml"
                file.write_text(WORLD.format(chains=size // 5, consumers=consumers))
                used = cost([*CAUSIM, "run", str(file), "--engine", engine, "--quiet", "--no-results"])
                costs.append((size, used))
                cells = f"{used.seconds:.1f} | {used.seconds / size * 1e3:.2f} | {used.mebibytes:.0f}"
                print(f"| {size:,} | {consumers:,} | {engine} | {cells} |", flush=True)
            slopes.append(f"{engine} with {consumers:,} consumers {slope(costs)}")
    print(f"\nSlopes: {', '.join(slopes)}")


def starting(folder: Path) -> None:
    """Measure how long commands take that do little, the best of some tries."""
    print("\n| command | processor time, s | peak memory, MiB |")
    print("|---|---:|---:|")
    for command in COMMANDS:
        words = command.format(folder=folder).split()
        used = min(cost([*CAUSIM, *words]) for _ in range(STARTS))
        print(f"| `causim {command}` | {used.seconds:.2f} | {used.mebibytes:.0f} |", flush=True)


def main() -> None:
    """Measure what the command line asks for, and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--judge", type=int, nargs="*", default=[10_000, 100_000, 1_000_000], metavar="EVENTS")
    parser.add_argument("--worlds", type=int, nargs="*", default=[1_000, 10_000], metavar="EVENTS")
    parser.add_argument("--consumers", type=int, nargs="*", default=[100, 500], metavar="N")
    parser.add_argument("--engines", nargs="*", default=["native", "native-batches"], metavar="NAME")
    given = parser.parse_args()
    print(f"Python {sys.version.split()[0]}; a turn of an empty counting loop takes {speed():.0f} ns here and now.")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        starting(folder)
        if given.judge:
            judging(given.judge, folder, crowded=False)
            judging(given.judge, folder, crowded=True)
        if given.worlds:
            worlds(given.worlds, given.consumers, given.engines, folder)


if __name__ == "__main__":
    main()
