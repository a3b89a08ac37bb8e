"""Ask both judges about many histories: `python -m tests.simulation.second_judge --count 10000 --seed 1`.

Seeds are worked off in blocks of a hundred histories. With `--state FILE`, what is done is kept there, and a run that
was interrupted goes on. Each difference is reduced and written to `--keep FOLDER`; the exit code is 1 if there was one.
"""

from __future__ import annotations

import argparse
import json
import sys
from importlib.util import find_spec
from pathlib import Path

from simulation import Laboratory
from tests.simulation.second_judge.comparison import difference, reduced
from tests.simulation.second_judge.histories import ENGINES, INSTALLED, histories

BLOCK = 100
"""Histories of one seed."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.second_judge", description=__doc__)
    parser.add_argument("--count", type=int, default=10_000, help="how many histories (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the first block (default: %(default)s)")
    parser.add_argument("--state", type=Path, help="a file that keeps the seeds that are done")
    parser.add_argument("--keep", type=Path, default=Path("differences"), help="a folder for what is found")
    chosen = parser.parse_args()
    seeds = range(chosen.seed, chosen.seed + -(-chosen.count // BLOCK))
    found: dict[str, int] = {}
    """How many differences each seed has shown that is done."""
    if chosen.state and chosen.state.exists():
        found = json.loads(chosen.state.read_text())
    with Laboratory() as laboratory:
        for seed in seeds:
            if str(seed) in found:
                continue
            found[str(seed)] = _block(seed, laboratory, chosen.keep)
            if chosen.state:
                chosen.state.write_text(json.dumps(found))
    differences = sum(found.get(str(seed), 0) for seed in seeds)
    sys.stdout.write(f"{len(seeds) * BLOCK} histories, {differences} differences\n")
    return 1 if differences else 0


def _block(seed: int, laboratory: Laboratory, keep: Path) -> int:
    engines = (*ENGINES, *(engine for module, engine in INSTALLED.items() if find_spec(module)))
    found = 0
    for name, history in histories(BLOCK, seed, laboratory, engines):
        if differs := difference(history):
            found += 1
            keep.mkdir(parents=True, exist_ok=True)
            file = keep / f"{seed}-{found}.jsonl"
            small = reduced(history)
            small.write(file)
            sys.stdout.write(f"{name}: {differs}; {len(small)} entries in {file}\n")
            sys.stdout.flush()
    return found


if __name__ == "__main__":
    sys.exit(main())
