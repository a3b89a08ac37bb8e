"""Mutate files and read them: `python -m tests.fuzz --count 10000`, for each kind of file.

With `--state FILE`, what is done is kept there, and a run that was interrupted goes on. Each flaw is printed with its
kind and seed: `python -m tests.fuzz --kind history --seed 17 --count 1` makes it again. In the end each kind's endings
are counted: a file that is refused at once tries less than one that is run.
"""

from __future__ import annotations

import argparse
import json
import sys
from functools import cache
from pathlib import Path
from typing import Any

from simulation import cli
from tests.fuzz.kinds import KINDS
from tests.fuzz.running import ending

BLOCK = 100


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--kind", action="append", choices=sorted(KINDS), help="only this kind of file; repeatable")
    parser.add_argument("--count", type=int, default=10_000, help="files of each kind (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the first (default: %(default)s)")
    parser.add_argument("--state", type=Path, help="a file that keeps what is done")
    chosen = parser.parse_args()
    state: dict[str, Any] = {"done": {}, "flaws": {}, "endings": {}}
    if chosen.state and chosen.state.exists():
        state |= json.loads(chosen.state.read_text())
    last = chosen.seed + chosen.count - 1
    kinds = chosen.kind or sorted(KINDS)
    cli.parser = cache(cli.parser)  # the options are the same each time; most files are read in less than it takes
    for begin in range(chosen.seed, last + 1, BLOCK):  # some of each kind in turn: a run may be interrupted
        for kind in kinds:
            _read(kind, range(begin, min(begin + BLOCK, last + 1)), state)
            if chosen.state:
                chosen.state.write_text(json.dumps(state))
    for kind in kinds:
        counts = sorted(state["endings"].get(kind, {}).items())
        sys.stdout.write(f"{kind}: {', '.join(f'{how} {count}' for how, count in counts)}\n")
    found = {kind: state["flaws"][kind] for kind in kinds if state["flaws"].get(kind)}
    sys.stdout.write(f"{chosen.count} files of each kind, {sum(map(len, found.values()))} flaws {found or ''}\n")
    return 1 if found else 0


def _read(kind: str, seeds: range, state: dict[str, Any]) -> None:
    """Read the files of some seeds that were not read before, and note how that ended."""
    for seed in range(max(seeds.start, state["done"].get(kind, 0) + 1), seeds.stop):
        end = ending(kind, seed)
        if end.flaw:
            state["flaws"].setdefault(kind, []).append(seed)
            sys.stdout.write(f"{kind} {seed}: {end.flaw}\n")
            sys.stdout.flush()
        state["done"][kind] = seed
        endings = state["endings"].setdefault(kind, {})
        endings[end.how] = endings.get(end.how, 0) + 1


if __name__ == "__main__":
    sys.exit(main())
