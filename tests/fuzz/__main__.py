"""Mutate files and read them: `python -m tests.fuzz --count 10000`, for each kind of file.

With `--state FILE`, what is done is kept there, and a run that was interrupted goes on. Each flaw is printed with its
kind and seed: `python -m tests.fuzz --kind history --seed 17 --count 1` makes it again. In the end each kind's endings
are counted: a file that is refused at once tries less than one that is run. Files are read in fresh processes, some
hundreds in each, so that none is blamed for what others left behind.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.fuzz.kinds import KINDS

BLOCK = 500
"""Files that one process reads."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--kind", action="append", choices=sorted(KINDS), help="only this kind of file; repeatable")
    parser.add_argument("--count", type=int, default=10_000, help="files of each kind (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the first (default: %(default)s)")
    parser.add_argument("--state", type=Path, help="a file that keeps what is done")
    chosen = parser.parse_args()
    state: dict[str, Any] = {"done": {}, "flaws": {}, "endings": {}, "seconds": {}}
    if chosen.state and chosen.state.exists():
        state |= json.loads(chosen.state.read_text())
    last = chosen.seed + chosen.count - 1
    kinds = chosen.kind or sorted(KINDS)
    for begin in range(chosen.seed, last + 1, BLOCK):  # some of each kind in turn: a run may be interrupted
        for kind in kinds:
            _read(kind, range(begin, min(begin + BLOCK, last + 1)), state, chosen.state)
    for kind in kinds:
        counts = sorted(state["endings"].get(kind, {}).items())
        ended = ", ".join(f"{how} {count}" for how, count in counts)
        sys.stdout.write(f"{kind}: {ended}; {state['seconds'].get(kind, 0):.0f} s\n")
    found = {kind: state["flaws"][kind] for kind in kinds if state["flaws"].get(kind)}
    sys.stdout.write(f"{chosen.count} files of each kind, {sum(map(len, found.values()))} flaws {found or ''}\n")
    return 1 if found else 0


def _read(kind: str, seeds: range, state: dict[str, Any], file: Path | None) -> None:
    """Read the files of some seeds that were not read before, and note how that ended."""
    while (first := max(seeds.start, state["done"].get(kind, 0) + 1)) < seeds.stop:
        began = time.perf_counter()
        words = [sys.executable, "-m", "tests.fuzz.reading", kind, str(first), str(seeds.stop - 1)]
        try:
            with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as reader:
                assert reader.stdout is not None
                for line in reader.stdout:
                    _note(kind, json.loads(line), state)
            if reader.returncode:  # of the file that was being read
                seed = state["done"].get(kind, first - 1) + 1
                _note(kind, {"seed": seed, "how": "ended", "flaw": f"its process ended: {reader.returncode}"}, state)
        finally:
            seconds = state["seconds"].get(kind, 0.0) + time.perf_counter() - began
            state["seconds"][kind] = round(seconds, 1)
            if file:
                file.write_text(json.dumps(state))


def _note(kind: str, read: dict[str, Any], state: dict[str, Any]) -> None:
    if read["flaw"]:
        state["flaws"].setdefault(kind, []).append(read["seed"])
        sys.stdout.write(f"{kind} {read['seed']}: {read['flaw']}\n")
        sys.stdout.flush()
    state["done"][kind] = read["seed"]
    endings = state["endings"].setdefault(kind, {})
    endings[read["how"]] = endings.get(read["how"], 0) + 1


if __name__ == "__main__":
    sys.exit(main())
