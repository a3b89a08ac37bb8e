"""Simpler scenarios: for a scenario, those that are a little smaller or plainer, the largest step first. Pure
functions.

What counts as simpler, in this order: fewer events, fewer faults, fewer consumers, plainer settings, rounder numbers.
Whether a simpler scenario still shows the same violation is for the caller to find out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from math import floor, log10
from typing import Any

from simulation.kernel.durations import format_duration, parse_duration
from simulation.kernel.random_streams import Streams
from simulation.scenario.distributions import Constant
from simulation.scenario.errors import BadScenario
from simulation.scenario.model import Scenario, parse
from simulation.scenario.publications import make_workload
from simulation.scenario.workloads import EventsWorkload, PlannedEvent

Simplify = Callable[[Scenario], Iterator[Scenario]]


def listed(scenario: Scenario, seed: int) -> Scenario:
    """Return the scenario with its events listed one by one, as the seed has drawn them."""
    drawn = make_workload(scenario, seed, Streams(seed)).publications
    unreadable = {e.name for e in getattr(scenario.workload, "events", ()) if not e.readable}
    events = tuple(
        PlannedEvent.model_construct(
            name=publication.name,
            follows=publication.follows,
            at=publication.at,
            occurred=None if publication.occurred == publication.at else publication.occurred,
            readable=publication.name not in unreadable,
        )
        for publication in drawn
    )
    return scenario.model_copy(update={"workload": EventsWorkload.model_construct(events=_copies_marked(events))})


def focused(scenario: Scenario, invariant: str, lasted: int) -> Scenario:
    """Return the scenario with one invariant to judge, and nothing that it must exercise or is expected to show.

    A run that lasted so long, in microseconds, has shown the violation: none needs to last more than twice as long.
    """
    horizon = min(scenario.judge.horizon, rounded(2 * lasted) + rounded(lasted))
    judge = scenario.judge.model_copy(update={"invariants": (invariant,), "require_coverage": (), "horizon": horizon})
    return scenario.model_copy(update={"judge": judge, "expect": {}, "description": ""})


def _events(scenario: Scenario) -> tuple[PlannedEvent, ...]:
    assert isinstance(scenario.workload, EventsWorkload)
    return scenario.workload.events


def _remade(scenario: Scenario, **changes: Any) -> Iterator[Scenario]:
    """Yield the scenario with some tables replaced, if it is then one that a file could say, and another one."""
    changed = scenario.model_copy(update=changes)
    try:
        remade = parse(changed.written(), source=scenario.name, folder=scenario.folder)
    except BadScenario:
        return
    if remade != scenario:
        yield remade


def _with_events(scenario: Scenario, events: Sequence[PlannedEvent]) -> Iterator[Scenario]:
    if events:
        yield from _remade(scenario, workload=EventsWorkload.model_construct(events=_copies_marked(events)))


def _copies_marked(events: Sequence[PlannedEvent]) -> tuple[PlannedEvent, ...]:
    """Return events of which each but the first of a name is marked as another copy."""
    seen: set[str] = set()
    marked = []
    for event in events:
        again = event.name in seen
        marked.append(event if event.again == again else event.model_copy(update={"again": again}))
        seen.add(event.name)
    return tuple(marked)


def _without_chunks(things: Sequence[Any]) -> Iterator[list[Any]]:
    """Yield the sequence without a stretch of it: first without halves, at last without single ones."""
    size = max(1, len(things) // 2)
    while size:
        for start in range(0, len(things), size):
            yield [*things[:start], *things[start + size :]]
        size //= 2


def fewer_events(scenario: Scenario) -> Iterator[Scenario]:
    """Leave events out. The followers of one that is gone wait for the whole lookback, or follow the one before it."""
    events = _events(scenario)
    for kept in _without_chunks(events):
        yield from _with_events(scenario, kept)
    for gone in events:
        relinked = [
            event.model_copy(update={"follows": gone.follows}) if event.follows == gone.name else event
            for event in events
            if event is not gone
        ]
        yield from _with_events(scenario, relinked)


def fewer_ties(scenario: Scenario) -> Iterator[Scenario]:
    """Let an event follow none."""
    events = _events(scenario)
    for place, event in enumerate(events):
        if event.follows:
            free = event.model_copy(update={"follows": ""})
            yield from _with_events(scenario, [*events[:place], free, *events[place + 1 :]])


def fewer_faults(scenario: Scenario) -> Iterator[Scenario]:
    """Leave faults out."""
    for kept in _without_chunks(scenario.faults) if scenario.faults else ():
        yield from _remade(scenario, faults=tuple(kept))


def fewer_consumers(scenario: Scenario) -> Iterator[Scenario]:
    """Have fewer consumers, each with less to do at a time."""
    consumers = scenario.consumers
    for count in dict.fromkeys((1, 2, 3, consumers.count // 2, consumers.count - 1)):
        if 0 < count < consumers.count:
            names = {f"c{i}" for i in range(1, count + 1)}
            engines = {name: engine for name, engine in consumers.engines.items() if name in names}
            changed = consumers.model_copy(update={"count": count, "engines": engines})
            yield from _remade(scenario, consumers=changed)
    if consumers.concurrency > 1:
        yield from _remade(scenario, consumers=consumers.model_copy(update={"concurrency": 1}))


def plainer(scenario: Scenario) -> Iterator[Scenario]:
    """Leave settings at their default, whole tables first; and let what is drawn be always the same."""
    plain = Scenario(name="plain", workload=EventsWorkload(events=(PlannedEvent(name="a"),)))
    tables = ("broker", "network", "client", "consumers", "policy")
    for table in tables:
        given, default = getattr(scenario, table), getattr(plain, table)
        if table == "consumers":
            default = default.model_copy(update={"count": given.count})
        yield from _remade(scenario, **{table: default})
    for table in tables:
        given, default = getattr(scenario, table), getattr(plain, table)
        for key in type(given).model_fields:
            if key == "count" or getattr(given, key) == getattr(default, key):
                continue
            yield from _remade(scenario, **{table: given.model_copy(update={key: getattr(default, key)})})
            yield from _steadier(scenario, table, key)


def _steadier(scenario: Scenario, table: str, key: str) -> Iterator[Scenario]:
    given = getattr(scenario, table)
    value = getattr(given, key)
    if hasattr(value, "draw") and not isinstance(value, Constant):
        stream = Streams(0)["typical"]
        typical = sorted(value.draw(stream) for _ in range(99))[49]
        yield from _remade(scenario, **{table: given.model_copy(update={key: Constant(rounded(typical))})})


def rounded_numbers(scenario: Scenario) -> Iterator[Scenario]:
    """Publish events at once or at round moments, and let faults strike and last for round times."""
    events = _events(scenario)
    yield from _with_events(scenario, [e.model_copy(update={"at": 0, "occurred": None}) for e in events])
    for place, event in enumerate(events):
        for moment in dict.fromkeys((0, rounded(event.at))):
            changed = event.model_copy(update={"at": moment})
            yield from _with_events(scenario, [*events[:place], changed, *events[place + 1 :]])
        if event.occurred is not None:
            changed = event.model_copy(update={"occurred": None})
            yield from _with_events(scenario, [*events[:place], changed, *events[place + 1 :]])
    record = scenario.written()
    for place, fault in enumerate(record.get("faults", ())):
        for key, value in fault.items():
            for rounder in _rounded(value):
                changed_faults = [*record["faults"]]
                changed_faults[place] = {**fault, key: rounder}
                yield from _parsed({**record, "faults": changed_faults}, scenario)


def _rounded(value: Any) -> Iterator[Any]:
    try:
        duration = parse_duration(value) if isinstance(value, str) else None
    except ValueError:
        return
    if duration is not None and rounded(duration) != duration:
        yield format_duration(rounded(duration))


def _parsed(record: Mapping[str, Any], scenario: Scenario) -> Iterator[Scenario]:
    try:
        yield parse(record, source=scenario.name, folder=scenario.folder)
    except BadScenario:
        return


def shorter_names(scenario: Scenario) -> Iterator[Scenario]:
    """Call the events a, b, c, as long as there are letters, leaders before their followers; and in faults too."""
    events = _events(scenario)
    letters = "abcdefghijklmnopqrstuvwxyz"
    if len(events) > len(letters):
        return
    leader = {event.name: event.follows for event in events}
    names = dict(zip(sorted(leader, key=lambda name: _depth(name, leader)), letters, strict=False))
    missing = dict.fromkeys(e.follows for e in events if e.follows and e.follows not in names)
    names |= {gone: f"missing-{number}" for number, gone in enumerate(missing, start=1)}
    renamed = [e.model_copy(update={"name": names[e.name], "follows": names.get(e.follows, e.follows)}) for e in events]
    faults = tuple(_renamed(fault, names) for fault in scenario.faults)
    yield from _remade(scenario, workload=EventsWorkload.model_construct(events=tuple(renamed)), faults=faults)


def _depth(name: str, leader: Mapping[str, str]) -> int:
    passed = {name}
    while (name := leader.get(name, "")) in leader and name not in passed:
        passed.add(name)
    return len(passed)


def _renamed(fault: Any, names: Mapping[str, str]) -> Any:
    about = getattr(fault, "event", "")
    return fault.model_copy(update={"event": names[about]}) if about in names else fault


def rounded(duration: int) -> int:
    """Return a duration in microseconds with one digit that is not zero, or itself if it is 0."""
    if not duration:
        return 0
    unit: int = 10 ** floor(log10(duration))
    return max(unit, round(duration / unit) * unit)


PASSES: tuple[Simplify, ...] = (fewer_events, fewer_faults, fewer_consumers, fewer_ties, plainer, rounded_numbers)
"""All ways to be simpler, in the order in which to try them; names come last, when all else is settled."""


def size(scenario: Scenario) -> str:
    """Return the size of a scenario, in words: `2 events, 2 consumers, no faults`."""
    events = f"{len(_events(scenario))} event{'s' * (len(_events(scenario)) != 1)}"
    count = scenario.consumers.count
    faults = len(scenario.faults)
    faults_text = f"{faults} fault{'s' * (faults != 1)}" if faults else "no faults"
    return f"{events}, {count} consumer{'s' * (count != 1)}, {faults_text}"
