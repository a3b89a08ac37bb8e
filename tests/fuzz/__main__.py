"""Mutate files and read them: `python -m tests.fuzz --count 10000`, for each kind of file.

With `--state FILE`, what is done is kept there, and a run that was interrupted goes on. Each flaw is printed with its
kind and seed: `python -m tests.fuzz --kind history --seed 17 --count 1` makes it again.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from tests.fuzz.kinds import KINDS
from tests.fuzz.running import flaw

BLOCK = 100


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--kind", choices=sorted(KINDS), help="only this kind of file")
    parser.add_argument("--count", type=int, default=10_000, help="files of each kind (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the first (default: %(default)s)")
    parser.add_argument("--state", type=Path, help="a file that keeps what is done")
    chosen = parser.parse_args()
    done = json.loads(chosen.state.read_text()) if chosen.state and chosen.state.exists() else {}
    found = 0
    for kind in [chosen.kind] if chosen.kind else sorted(KINDS):
        for seed in range(max(chosen.seed, done.get(kind, 0) + 1), chosen.seed + chosen.count):
            if told := flaw(kind, seed):
                found += 1
                sys.stdout.write(f"{kind} {seed}: {told}\n")
                sys.stdout.flush()
            if chosen.state and seed % BLOCK == 0:
                chosen.state.write_text(json.dumps({**done, kind: seed}))
        done[kind] = chosen.seed + chosen.count - 1
    sys.stdout.write(f"{chosen.count} files of each kind, {found} flaws\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
