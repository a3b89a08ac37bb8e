"""`causim why`: show where a violation became certain."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from causim.shipped import word_for
from causim.written_files import write_whole
from reports.run import Likelihood, LikelihoodPlace
from reports.text.sentences import sentence
from simulation.cli import INTERRUPTED, VIOLATED, BadUsage
from simulation.cli.errors import naming
from simulation.cli.given import WhyOptions
from simulation.cli.output import counting
from simulation.cli.result_files import replay_of_result, run_file
from simulation.cli.terminal import Terminal
from simulation.cli.text import write_lines
from simulation.search.continuations import Elsewhere
from simulation.search.why import NothingToExplain, Why, bars
from simulation.world.laboratory import Laboratory
from simulation.world.run_files import explain_report

if TYPE_CHECKING:
    from simulation.history.entries import Entry
    from simulation.search.replay import Replay


def execute(given: WhyOptions) -> int:
    """Run on from place after place, and print where the violation became certain. Raises BadUsage."""
    interrupted = False
    with naming(given.result), Laboratory(given.store, given.redis_server) as laboratory:
        start = replay_of_result(given)
        why = Why(
            laboratory,
            start,
            given.invariant,
            samples=given.samples,
            most=given.max_runs,
            words_of=_sentence_of,
            elsewhere=_workers(given),
        )
        try:
            with counting(f"{start.scenario.name} · why", given.max_runs, "runs", Terminal(stderr=True)) as count:
                why.watch = lambda runs: count(runs, "")
                for _ in why.look():
                    pass
        except NothingToExplain as error:
            raise BadUsage(f"{word_for(given.result)}: {error}") from None
        except KeyboardInterrupt:
            interrupted = True
        record = _record(why, start.scenario.name)
        if given.result.is_dir() and why.places:
            _keep(why, record, start, laboratory, run_file(given.result).parent)
    if given.json:
        sys.stdout.write(json.dumps(record) + "\n")
    else:
        write_lines(_summary(why, interrupted=interrupted))
    return INTERRUPTED if interrupted else VIOLATED


def _workers(given: WhyOptions) -> Elsewhere | None:
    return Elsewhere(given.jobs, given.store, given.redis_server) if given.jobs > 1 else None


def _sentence_of(entry: Entry) -> str:
    return ": ".join(filter(None, (entry.consumer, sentence(entry))))


def _keep(why: Why, record: dict[str, Any], start: Replay, laboratory: Laboratory, folder: Path) -> None:
    """Write the places beside the other results of the run, and into its report."""
    write_whole(folder / "why.json", json.dumps(record, indent=2) + "\n")
    explain_report(start.perform(laboratory, trace=True), folder, _likelihood(why))


def _likelihood(why: Why) -> Likelihood:
    places = [LikelihoodPlace(one.at, one.share, *one.interval, one.words) for one in why.places]
    certain = why.certain
    return Likelihood(why.invariant, places, None if certain is None else why.places.index(certain))


def _record(why: Why, scenario: str) -> dict[str, Any]:
    certain, turn = why.certain, why.turn
    return {
        "scenario": scenario,
        "invariant": why.invariant,
        "places": [
            {
                "place": place.number,
                "at_us": place.at,
                "before": place.words,
                "violated": place.violated,
                "samples": place.samples,
                "share": place.share,
                "interval": list(place.interval),
            }
            for place in why.places
        ],
        "turn": [place.number for place in turn] if turn else None,
        "certain_from": certain.number if certain else None,
        "doomed_from": certain.number if certain else None,  # its old name, for one release
    }


def _summary(why: Why, *, interrupted: bool) -> str:
    stopped = f"stopped    {'by Ctrl-C ' if interrupted else ''}after {why.made:,} runs"
    if not why.places:
        return f"{stopped}, before the first place of the run was examined\n"
    lines = [
        f"how likely {why.invariant} was violated, if everything from then on had been drawn again",
        *bars(why.places),
    ]
    if (turn := why.turn) is not None:
        earlier, later = turn
        lines.append(
            f"the turn   between {earlier.at / 1000:,.3f} and {later.at / 1000:,.3f} ms: {earlier.share:.0%} before "
            f"{earlier.words}, {later.share:.0%} before {later.words}"
        )
    certain = why.certain
    if not why.reaches_the_end:
        lines.append(f"{stopped}: later places were not examined, so it is not known where it became certain")
    elif certain:
        samples = f"{certain.violated} of {certain.samples} samples there"
        lines.append(f"certain    from {certain.at / 1000:,.3f} ms on, before {certain.words} ({samples})")
    else:
        lines.append("certain    not before its end: what was drawn last decided")
    if interrupted and why.reaches_the_end:
        lines.append(f"{stopped}: more would tell the turn more exactly")
    return "\n".join(lines) + "\n"
