"""`causim check`: judge a history file, also one that another program wrote."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from simulation.cli.text import visible


def register(commands: Any) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser(
        "check",
        help="judge a history file",
        description="Judge a history (JSON Lines) against the causal invariants. The format is in the documentation. "
        "A file whose last line is cut off is judged up to there: exit code 4, unless that much proves a violation.",
    )
    parser.add_argument(
        "history",
        type=Path,
        metavar="HISTORY",
        help="the file to judge (.jsonl or .jsonl.gz), or a results folder with one",
    )
    parser.add_argument("--invariant", action="append", default=[], metavar="NAME", help="judge only this (repeatable)")
    parser.add_argument("--json", action="store_true", help="print the verdict as JSON")
    parser.add_argument("--most", type=int, default=20, metavar="N", help="violations to print (default: 20)")
    parser.set_defaults(execute=execute)


def _history_in(path: Path) -> Path:
    """Return the history in a results folder; any other path is a history itself. Raises BadUsage."""
    from simulation.cli import BadUsage

    if not path.is_dir():
        return path
    for folder in (path, path / "latest"):
        for name in ("history.jsonl", "history.jsonl.gz"):
            if (folder / name).is_file():
                return folder / name
    raise BadUsage(f"{visible(str(path))}: there is no history.jsonl in it; name a history, or the folder of one run")


def execute(given: argparse.Namespace) -> int:
    """Judge the file, print what came of it and return the exit code."""
    from simulation.cli import EXIT_CODES, USAGE, BadUsage
    from simulation.history.history import History
    from simulation.invariants import INVARIANTS, judge

    unknown = [name for name in given.invariant if name not in INVARIANTS]
    if unknown:
        raise BadUsage(f"invariant {unknown[0]!r} is not known; known are {', '.join(INVARIANTS)}")
    file = _history_in(given.history)
    history = History.open(file)
    unknown = [name for name in history.header.invariants if name not in INVARIANTS]
    if unknown:
        raise BadUsage(
            f"{visible(str(file))}: the header names an invariant {unknown[0]!r}; known are {', '.join(INVARIANTS)}"
        )
    judgement = judge(history, given.invariant)
    # A file that ends in the middle of a line is a bad file, unless what there is of it proves a violation.
    code = USAGE if history.truncated and judgement.verdict == "unknown" else EXIT_CODES[judgement.verdict]

    def write(text: str) -> None:
        sys.stdout.write(visible(text))

    if given.json:
        write(json.dumps(asdict(judgement), default=list) + "\n")
        return code
    write(f"{file} · {len(history):,} entries\n  {judgement.verdict}\n")
    for violation in judgement.violations[: given.most]:
        write(f"  {violation.invariant}\n    {violation.because}\n")
    if len(judgement.violations) > given.most:
        write(f"  … and {len(judgement.violations) - given.most:,} more violations (--most shows more)\n")
    for word in judgement.missing:
        write(f"  nothing was proved about '{word}': it did not happen\n")
    for reason in judgement.reasons:
        write(f"  {reason}\n")
    write(f"  judged: {judgement.rests}\n")
    happened = " · ".join(f"{word} {count:,}" for word, count in judgement.coverage.items() if count)
    write(f"  exercised: {happened or 'nothing'}\n")
    return code
