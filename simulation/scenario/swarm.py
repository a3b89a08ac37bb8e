"""Swarms: a scenario that draws its own configuration from the seed, so that a thousand seeds are a thousand worlds.

    [swarm.choose]                            # one value of each list
    "consumers.count" = [1, 2, 5]
    "policy.lease" = ["2s", "16s"]

    [[swarm.faults]]                          # each is there with its chance; a list in it is a choice too
    kind = "crash"
    chance = 0.4
    at = ["20ms", "1s"]

The drawn scenario is an ordinary one: it is run and kept, and it replays without the swarm. Each option has a
stream of its own, so that a new one leaves the worlds of all seeds as they were in everything else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from simulation.kernel.durations import format_duration, parse_duration
from simulation.kernel.random_streams import Streams
from simulation.scenario.errors import BadScenario
from simulation.scenario.faults import FAULTS
from simulation.scenario.model import Broker, Scenario, SwarmTable, assign, parse
from simulation.scenario.renamed import first_path

CHANCE = 0.5
"""Probability of a fault whose `chance` is not given."""

MAX_CHECKED = 100_000
"""Options, times what is listed beside them: each option is read with the whole scenario, and all take some seconds."""
EMPTY_SIZE = 50
"""The size of a scenario that lists nothing: it takes as long to read as so many events."""

_TOPOLOGY = "topology.kind"
_LEFT_OUT = ("swarm", "expect")


@dataclass(frozen=True, slots=True)
class Drawn:
    """One world of a swarm."""

    scenario: Scenario
    options: Mapping[str, Any]
    """The draws: the values by their paths, and the faults."""


def draw(scenario: Scenario, seed: int) -> Drawn:
    """Return the world of a seed; a scenario that is no swarm is its own world. Raises BadScenario."""
    if scenario.swarm is None:
        return Drawn(scenario, {})
    streams = Streams(seed)
    chosen = {
        path: streams[f"swarm/{first_path(path)}"].choose(options) for path, options in scenario.swarm.choose.items()
    }
    faults = list(_faults(scenario.swarm, streams))
    return _world(scenario, chosen, faults, f"{scenario.name}, as drawn from seed {seed}")


def check(scenario: Scenario) -> None:
    """Raise BadScenario if an option of a swarm cannot be had, at least in the world of all first options."""
    for _ in worlds(scenario):
        pass


def worlds(scenario: Scenario) -> Iterator[Scenario]:
    """Yield a world for each option of a swarm, with the first of all others; a scenario that is no swarm is its own.

    Raises BadScenario if an option cannot be had.
    """
    yield scenario
    if scenario.swarm is None:
        return
    _check_size(scenario, scenario.swarm)
    first = {path: options[0] for path, options in scenario.swarm.choose.items()}
    for path, options in scenario.swarm.choose.items():
        for option in options:
            source = f"{scenario.name}: table [swarm.choose], {path} = {option!r}"
            yield _world(scenario, {**first, path: option}, [], source).scenario
    for number, table in enumerate(scenario.swarm.faults, start=1):
        for fault in _variants(table):
            source = f"{scenario.name}: table [swarm.faults[{number}]]"
            chosen = {**first, **_topology_for(fault, scenario.swarm, source)}
            yield _world(scenario, chosen, [fault], source).scenario


def _check_size(scenario: Scenario, swarm: SwarmTable) -> None:
    """Refuse a swarm whose options take minutes to check. Raises BadScenario."""
    lists = [*swarm.choose.values(), *(value for table in swarm.faults for value in table.values())]
    options = sum(len(value) for value in lists if isinstance(value, list | tuple)) + len(swarm.faults)
    listed = len(scenario.faults) + len(getattr(scenario.workload, "events", ()))
    if options * (EMPTY_SIZE + listed) > MAX_CHECKED:
        raise BadScenario(
            f"{scenario.name}: table [swarm]: {options:,} options are too many for a scenario that lists {listed:,}"
            f" events and faults; at most {MAX_CHECKED // (EMPTY_SIZE + listed):,} are checked"
        )


def _topology_for(fault: Mapping[str, Any], swarm: SwarmTable, source: str) -> dict[str, Any]:
    """Return the first topology of those that are drawn in which a fault can strike. Raises BadScenario."""
    kinds = swarm.choose.get(_TOPOLOGY, ())
    found = next((kind for kind in kinds if _strikes_in(fault, kind)), None)
    if kinds and found is None:
        raise BadScenario(f"{source}: '{fault.get('kind')}' can strike in no topology.kind that is drawn")
    return {} if found is None else {_TOPOLOGY: found}


def _strikes_in(fault: Mapping[str, Any], topology: object) -> bool:
    kind = FAULTS.get(str(fault.get("kind")))
    return kind is None or topology in kind.topologies


def _world(scenario: Scenario, chosen: Mapping[str, Any], faults: list[dict[str, Any]], source: str) -> Drawn:
    record = {key: value for key, value in scenario.written().items() if key not in _LEFT_OUT}
    for path in sorted(chosen, key=lambda path: path.count(".")):  # a table before what is in it
        assign(record, path, deepcopy(chosen[path]))  # the swarm must not be changed
    try:
        adjusted = _agreeing(record, scenario)
    except ValueError as error:
        raise BadScenario(f"{source}: table [policy]: {error}") from None
    if record["workload"].get("kind") == "cycles":
        # No event of a cycle is handled before the lookback: a world that loses its store by then proves nothing.
        faults = [fault for fault in faults if not _loses(fault)]
    if _TOPOLOGY in chosen:
        faults = [fault for fault in faults if _strikes_in(fault, chosen[_TOPOLOGY])]
    record["faults"] = [*record.get("faults", []), *faults]
    judge = dict(record.get("judge", {}))
    judge.pop("require_coverage", None)  # it is asked of all seeds together
    lost = sorted({str(fault["kind"]) for fault in faults if _loses(fault)} - set(judge.get("allowed_loss", ())))
    record["judge"] = {**judge, "allowed_loss": [*judge.get("allowed_loss", ()), *lost]}
    options = {**chosen, **adjusted, "faults": faults}
    return Drawn(parse(record, source, scenario.folder), options)


def _loses(fault: Mapping[str, Any]) -> bool:
    """Return whether a fault loses data, whose loss is allowed then; a fault that is not right is refused elsewhere."""
    kind = FAULTS.get(str(fault.get("kind")))
    try:
        return kind is not None and kind.model_validate(fault).loses_data
    except ValidationError:
        return False


def _agreeing(record: dict[str, Any], scenario: Scenario) -> dict[str, Any]:
    """Change drawn values so that the policy keeps its inequalities, and return the changes."""
    changed: dict[str, Any] = {}

    def value(path: str) -> Any:
        table, key = path.split(".")
        return record.get(table, {}).get(key, getattr(getattr(scenario, table), key))

    def duration(path: str) -> int:
        given = value(path)
        return given if isinstance(given, int) else parse_duration(given)

    def bound(path: str, limit: int, choose: Callable[[int, int], int]) -> None:
        own = duration(path)
        if (agreed := choose(own, limit)) != own:
            changed[path] = format_duration(agreed)
            assign(record, path, changed[path])

    # A leader that fails is offered again within the lookback, or its followers are right not to wait for it.
    with suppress(ValidationError):  # a table that is not right is refused when the whole is read
        bound("policy.lookback", Broker.model_validate(record.get("broker", {})).redelivery_time, max)
    # A follower within the lookback must still find that its leader was handled.
    bound("policy.retention", duration("policy.lookback"), max)
    # No consumer waits for an event in flight whose holder is gone.
    bound("policy.in_flight_wait", duration("policy.lease"), min)
    return changed


def _faults(swarm: SwarmTable, streams: Streams) -> Iterator[dict[str, Any]]:
    kinds: Counter[str] = Counter()
    for table in swarm.faults:
        kind = str(table.get("kind", ""))
        kinds[kind] += 1
        owner = f"swarm/fault/{kind}/{kinds[kind]}"
        if streams[owner].random() < table.get("chance", CHANCE):
            yield {
                key: streams[f"{owner}/{key}"].choose(value) if isinstance(value, list | tuple) else value
                for key, value in table.items()
                if key != "chance"
            }


def _variants(table: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a fault with each of its options once, the others at their first."""
    first = {
        key: value[0] if isinstance(value, list | tuple) else value for key, value in table.items() if key != "chance"
    }
    yield first
    for key, value in table.items():
        if isinstance(value, list | tuple):
            yield from ({**first, key: option} for option in value[1:])
