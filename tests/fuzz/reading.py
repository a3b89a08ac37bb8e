"""Reads some mutated files in a process of its own: `python -m tests.fuzz.reading KIND FIRST LAST`.

A line of JSON says how each ended. The process ends after a run that got Ctrl-C: an import that is cut off there leaves
a module half made, and the next file would be blamed for it.
"""

from __future__ import annotations

import json
import sys
from functools import cache

from simulation import cli
from tests.fuzz.running import INTERRUPTED, ending


def main(kind: str, first: int, last: int) -> None:
    cli.parser = cache(cli.parser)  # the options are the same each time; most files are read in less than it takes
    for seed in range(first, last + 1):
        end = ending(kind, seed)
        sys.stdout.write(json.dumps({"seed": seed, "how": end.how, "flaw": end.flaw}) + "\n")
        sys.stdout.flush()
        if end.how.startswith((f"exit {INTERRUPTED}", "interrupted")):
            return


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
