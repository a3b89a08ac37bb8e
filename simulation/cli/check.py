"""`causim check`: judge a history file, also one that another program wrote."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict

from simulation.cli import EXIT_CODES, USAGE, BadUsage
from simulation.cli.given import CheckOptions
from simulation.cli.result_files import history_file
from simulation.cli.text import visible, write_lines
from simulation.history.history import History
from simulation.invariants import INVARIANTS, judge


def execute(given: CheckOptions) -> int:
    """Judge the file, print the verdict and return the exit code. Raises BadUsage."""
    unknown = [name for name in given.invariant if name not in INVARIANTS]
    if unknown:
        raise BadUsage(f"invariant {unknown[0]!r} is not known; known are {', '.join(INVARIANTS)}")
    file = history_file(given.history)
    history = History.open(file)
    unknown = [name for name in history.header.invariants if name not in INVARIANTS]
    if unknown:
        raise BadUsage(
            f"{visible(str(file))}: the header names an invariant {unknown[0]!r}; known are {', '.join(INVARIANTS)}"
        )
    judgement = judge(history, given.invariant)
    # A file that ends in the middle of a line is a bad file, unless what there is of it proves a violation.
    code = USAGE if history.truncated and judgement.verdict == "unknown" else EXIT_CODES[judgement.verdict]

    if given.json:
        sys.stdout.write(visible(json.dumps(asdict(judgement), default=list)) + "\n")
        return code
    write_lines(f"{file} · {len(history):,} entries\n  {judgement.verdict}\n")
    for violation in judgement.violations[: given.limit]:
        write_lines(f"  {violation.invariant}\n    {violation.because}\n")
    if len(judgement.violations) > given.limit:
        write_lines(f"  … and {len(judgement.violations) - given.limit:,} more violations (--limit shows more)\n")
    for word in judgement.missing:
        write_lines(f"  nothing was proved about '{word}': it did not happen\n")
    for reason in judgement.reasons:
        write_lines(f"  {reason}\n")
    write_lines(f"  judged: {judgement.rests}\n")
    happened = " · ".join(f"{word} {count:,}" for word, count in judgement.coverage.items() if count)
    write_lines(f"  exercised: {happened or 'nothing'}\n")
    return code
