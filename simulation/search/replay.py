"""Replays: one run as a file. A scenario, a seed, an engine and the choices that were made: together they are the run.

    [replay]
    format = 1
    version = "0.1.0"              # of the program that wrote it
    digest = "5f3a…"               # of the history that must come out

    [replay.choices]               # left out if drawn delays decided
    4 = 1                          # at the fifth choice, the second of those that could come next


A choice is the number of the step that came next, among those that could, in the order of `scheduling.Scheduler`:
0 continues with the current actor. So the listed choices, which are not 0, are the interruptions that make the run
special.
A file of another format is refused, and one of a version whose choices may mean something else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from itertools import zip_longest
from pathlib import Path
from typing import Any

from causim.counts import LAST_SEED
from simulation.history.entries import WIRE, Entry
from simulation.history.history import History
from simulation.scenario.errors import BadScenario
from simulation.scenario.load import parse_toml, read_text
from simulation.scenario.model import Scenario, parse
from simulation.search.explore.probe import probe
from simulation.search.explore.schedulers import Listed
from simulation.world.laboratory import Laboratory
from simulation.world.run import Run
from simulation.world.scheduling import Bounds, Exploration

FORMAT = 1
"""The version of the table; a reader refuses any other."""

MAX_CHOICES = 10_000_000
"""Highest number of choices of a run; a greater place in a file is a slip."""

_KEYS = {"format", "version", "choices", "early", "faults", "kinds", "digest", "invariant", "scouted"}


class BadReplay(BadScenario):
    """A file cannot be replayed. The message says why; run its scenario to find such a run again."""


@dataclass(frozen=True, slots=True)
class Replay:
    """A run, as far as it is needed to run it again."""

    scenario: Scenario
    choices: tuple[int, ...] | None
    """The option taken at each choice; None if drawn delays decided."""
    bounds: Bounds = field(default_factory=Bounds)
    digest: str = ""
    invariant: str = ""
    """The invariant for which the run is kept."""
    scouted: int | None = None
    """The seed of the run in which the engine's scripts were found, if that is another: Redis knew these scripts."""

    def perform(self, laboratory: Laboratory, engine: str = "", trace: bool = False) -> Run:
        """Run it again."""
        chosen = engine or self.scenario.engine
        exploration = None
        if self.choices is not None:
            seed = self.scenario.seed if self.scouted is None else self.scouted
            scripts = probe(laboratory, self.scenario, seed, chosen).scripts
            exploration = Exploration(Listed(self.choices), self.bounds, scripts, scouted=self.scouted)
        return laboratory.run(self.scenario, self.scenario.seed, chosen, trace, exploration=exploration)

    def written(self) -> dict[str, Any]:
        """Return the run as the tables of a file."""
        table: dict[str, Any] = {"format": FORMAT, "version": version("causim"), "digest": self.digest}
        if self.invariant:
            table["invariant"] = self.invariant
        if self.choices is not None:
            if self.scouted is not None:
                table["scouted"] = self.scouted
            bounds = self.bounds
            table.update(early=bounds.early, faults=bounds.faults, kinds=list(bounds.kinds))
            table["choices"] = {str(place): choice for place, choice in enumerate(self.choices) if choice}
        record = self.scenario.written()
        return {**record, "seed": self.scenario.seed, "engine": self.scenario.engine, "replay": table}


def replay_of(run: Run, invariant: str = "") -> Replay:
    """Return the replay of a run."""
    engine = run.history.header.engine
    scenario = run.scenario.model_copy(update={"seed": run.seed, "engine": engine})
    steps = run.steps
    if steps is None:
        return Replay(scenario, None, Bounds(), run.digest, invariant)
    exploration = steps.exploration
    scouted = None if exploration.scouted == run.seed else exploration.scouted
    return Replay(scenario, trimmed(steps.choices), exploration.bounds, run.digest, invariant, scouted)


@dataclass(frozen=True, slots=True)
class Difference:
    """The first difference of two histories."""

    number: int
    """The number of the first entry that differs, from 1 on; entries of the wire are not counted."""
    first: Entry | None
    """The entry of the first history; None if it has ended."""
    second: Entry | None


def first_difference(first: History, second: History) -> Difference | None:
    """Return the first difference of two histories; None if they are the same.

    Entries of the wire are skipped: only traced runs have them. Fingerprints are not compared between engines: each
    has its own class of events.
    """
    bare = first.header.engine != second.header.engine
    entries = ((entry for entry in history if entry.kind not in WIRE) for history in (first, second))
    for number, (one, other) in enumerate(zip_longest(*entries), start=1):
        if one != other and not (bare and _without_fingerprint(one) == _without_fingerprint(other)):
            return Difference(number, one, other)
    return None


def _without_fingerprint(entry: Entry | None) -> Entry | None:
    if entry is None or "fingerprint" not in entry.details:
        return entry
    return entry._replace(details={name: value for name, value in entry.details.items() if name != "fingerprint"})


def difference(first: History, second: History) -> int | None:
    """Return the number of the first entry in which two histories differ, from 1 on; None if they are the same."""
    found = first_difference(first, second)
    return found.number if found else None


def trimmed(choices: list[int] | tuple[int, ...]) -> tuple[int, ...]:
    """Return choices without the zeros at their end, which are the default."""
    end = len(choices)
    while end and not choices[end - 1]:
        end -= 1
    return tuple(choices[:end])


def load_replay(path: Path) -> Replay:
    """Read a run from a file. Raises BadReplay, BadScenario."""
    record = parse_toml(read_text(path), str(path))
    table = record.pop("replay", None)
    scenario = parse(record, source=str(path), folder=str(path.parent))
    if table is None:
        return Replay(scenario, None)
    return _checked(table, scenario, str(path))


def _checked(table: object, scenario: Scenario, where: str) -> Replay:
    if not isinstance(table, Mapping):
        raise BadReplay(f"{where}: 'replay' must be a table")
    if table.get("format") != FORMAT:
        raise BadReplay(
            f"{where}: table [replay], key 'format': {table.get('format')!r} is not known; this program reads {FORMAT}"
        )
    unknown = sorted(set(table) - _KEYS)
    if unknown:
        raise BadReplay(f"{where}: table [replay], key {unknown[0]!r}: there is no such key (known: {sorted(_KEYS)})")
    _refuse_other_versions(str(table.get("version", "")), where)
    choices = _choices(table.get("choices"), where)
    early, faults, scouted = table.get("early", 0), table.get("faults", 0), table.get("scouted")
    if not (_is_place(early) and _is_place(faults)):
        raise BadReplay(f"{where}: table [replay]: 'early' and 'faults' must be whole numbers from 0 on")
    if scouted is not None and not (_is_place(scouted) and scouted <= LAST_SEED):
        raise BadReplay(
            f"{where}: table [replay], key 'scouted': must be a seed, from 0 to {LAST_SEED}, not {scouted!r}"
        )
    kinds = table.get("kinds", Bounds().kinds)
    if not isinstance(kinds, (list, tuple)) or not all(kind in Bounds().kinds for kind in kinds):
        raise BadReplay(f"{where}: table [replay], key 'kinds': must be a list of {', '.join(Bounds().kinds)}")
    if choices is not None and scenario.topology.kind == "cluster":
        raise BadReplay(
            f"{where}: table [replay], key 'choices': steps cannot be chosen in a cluster; remove the table"
        )
    bounds = Bounds(early, faults, tuple(kinds))
    return Replay(scenario, choices, bounds, str(table.get("digest", "")), str(table.get("invariant", "")), scouted)


def _choices(written: object, where: str) -> tuple[int, ...] | None:
    if written is None:
        return None
    if not isinstance(written, Mapping):
        raise BadReplay(f"{where}: table [replay.choices]: must be a table of places and choices, such as 4 = 1")
    chosen: dict[int, int] = {}
    for place, choice in written.items():
        if not (_is_number(str(place)) and int(place) < MAX_CHOICES and _is_place(choice)):
            raise BadReplay(
                f"{where}: table [replay.choices], key {str(place)[:80]!r}: place and choice must be whole numbers "
                f"from 0 on, the place below {MAX_CHOICES:,} (given: {choice!r})"
            )
        chosen[int(place)] = choice
    return tuple(chosen.get(place, 0) for place in range(max(chosen, default=-1) + 1))


def _is_number(place: str) -> bool:
    """Say whether a key is a number; one of thousands of digits is none for Python."""
    return place.isdecimal() and len(place) < 20


def _is_place(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _refuse_other_versions(written_by: str, where: str) -> None:
    own = version("causim")
    if _series(written_by) != _series(own):
        raise BadReplay(
            f"{where}: written by causim {written_by or 'of an unknown version'}, and this is {own}: "
            f"the same choices may lead elsewhere. Use that version, or run the scenario again to find such a run"
        )


def _series(number: str) -> tuple[str, ...]:
    """Return the part of a version that must agree: before 1.0 the second number too."""
    parts = tuple(number.split("."))
    return parts[:2] if parts[0] == "0" else parts[:1]
