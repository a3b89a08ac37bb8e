"""Hypothesis strategies for the data of the simulation: workloads, faults, scenarios and histories.

    from hypothesis import given, settings
    from simulation import Laboratory
    from simulation.strategies import scenarios

    laboratory = Laboratory()

    @settings(deadline=None)
    @given(scenarios())
    def test_my_engine_holds(scenario):
        assert laboratory.run(scenario, engine="mypackage.engine:MyEngine").verdict != "violated"

Everything drawn is valid, small, and shrinks towards one event, two consumers, no fault and the defaults. Simplest
comes first in every choice here, because that is where Hypothesis shrinks to.
"""

from __future__ import annotations

from collections.abc import Collection
from types import SimpleNamespace
from typing import Any

from pydantic import TypeAdapter

from simulation.history.generator import HistoryGenerator
from simulation.history.history import History
from simulation.kernel.durations import format_duration
from simulation.scenario.faults import FAULTS, AnyFault, Fault
from simulation.scenario.model import Scenario
from simulation.scenario.workloads import Workload

try:
    from hypothesis import strategies as st
except ImportError as missing:
    raise ImportError("simulation.strategies draws with Hypothesis: pip install 'causim[hypothesis]'") from missing

NAMES = "abcdef"
"""The names of drawn events."""

_WORKLOAD: TypeAdapter[Workload] = TypeAdapter(Workload)
_FAULT: TypeAdapter[AnyFault] = TypeAdapter(Fault)

_Table = dict[str, Any]


def _milliseconds(low: int, high: int) -> st.SearchStrategy[str]:
    return st.integers(low, high).map(lambda count: format_duration(count * 1000))


_span = _milliseconds(1, 50) | st.sampled_from(["1s", "5s", "20s"])
"""Shorter and longer than what it may collide with: handlers, redeliveries, leases."""
_brief = _milliseconds(1, 50) | st.just("1s")
"""Shorter than any lease and release bound: a client that asks for each step over a slower network is late for both."""
_moment = _milliseconds(0, 50) | st.sampled_from(["1s", "5s"])
_probability = st.sampled_from([1.0, 0.5, 0.1])
_delay = st.one_of(
    _milliseconds(1, 20),
    st.tuples(_milliseconds(0, 5), _milliseconds(5, 40)).map(lambda bounds: {"uniform": list(bounds)}),
    _milliseconds(1, 20).map(lambda mean: {"exponential": mean}),
    st.lists(_milliseconds(0, 40), min_size=1, max_size=3).map(lambda values: {"empirical": values}),
)


def _some(**optional: st.SearchStrategy[Any]) -> st.SearchStrategy[_Table]:
    """Tables in which any of these keys may be left out."""
    return st.fixed_dictionaries({}, optional=optional)


def _merged(*parts: st.SearchStrategy[_Table]) -> st.SearchStrategy[_Table]:
    return st.tuples(*parts).map(lambda tables: {key: value for table in tables for key, value in table.items()})


# -- workloads ---------------------------------------------------------------------------------------------------


_number = st.integers(0, len(NAMES))
"""The place of an event among the names, counted from 1."""
_event = st.tuples(
    _number,
    st.integers(0, 9),
    _some(
        at=_moment,
        occurred=_milliseconds(0, 50),
        published=st.sampled_from([True, True, False]),
        readable=st.just(False),
    ),
)


def _listed(circles: bool) -> st.SearchStrategy[_Table]:
    """Events one by one: forests mostly, now and then with a circle, a leader that never comes, a damaged message."""
    return st.lists(_event, min_size=1, max_size=len(NAMES)).map(lambda drawn: _as_listed(drawn, circles))


def _as_listed(drawn: list[tuple[int, int, _Table]], circles: bool) -> _Table:
    # Leaders are drawn as numbers, so that an event can be left out without the rest being drawn again.
    events = []
    for place, (number, chance, keys) in enumerate(drawn):
        may_lead = NAMES[: len(drawn) if circles and chance == 9 else place]
        events.append({"name": NAMES[place], "follows": _named(number, may_lead), **keys})
    return {"kind": "events", "events": events}


def _named(number: int, names: str) -> str:
    return names[number - 1] if 0 < number <= len(names) else ""


def _shape(kind: str, **sizes: int) -> st.SearchStrategy[_Table]:
    """Families of a kind, with at most as many as given of each of its sizes."""
    return _merged(
        st.just({"kind": kind}),
        st.fixed_dictionaries({size: st.integers(1, most) for size, most in sizes.items()}),
        _some(
            interval=_delay,
            order=st.sampled_from(["in-order", "reversed", "shuffled"]),
            interleave=st.booleans(),
            missing=_probability,
        ),
    )


def workloads(*, circles: bool = True) -> st.SearchStrategy[Workload]:
    """Small workloads of every kind but `trace`, which needs a file. At most 12 events.

    Args:
        circles: whether events may follow each other in a circle.
    """
    kinds = [
        _listed(circles),
        _shape("chains", count=2, length=5),
        _shape("fan-out", count=2, followers=5),
        _shape("trees", count=1, depth=3, branching=2),
    ]
    if circles:
        kinds.append(_shape("cycles", count=2, length=3))
    return st.one_of(kinds).map(_WORKLOAD.validate_python)


# -- faults ------------------------------------------------------------------------------------------------------

_when = st.one_of(
    st.fixed_dictionaries({"at": _moment}),
    st.fixed_dictionaries({"step": st.sampled_from(["start", "end"]), "nth": st.integers(1, 4)}),
    st.fixed_dictionaries({"command": st.sampled_from(["EVALSHA *", "*"]), "nth": st.integers(1, 8)}),
    st.fixed_dictionaries({"at": _moment, "every": _milliseconds(100, 2_000), "times": st.integers(2, 3)}),
)
_timed = _merged(_when, _some(when=st.just("before")))
_who = _some(consumer=st.sampled_from(["c1", "c2"]))
_lasting = {"for": _span}
_chance = _merged(
    _some(**{"from": _milliseconds(0, 20)}), _some(nth=st.integers(1, 4)) | _some(probability=_probability)
)
_events = _merged(_chance, _some(only=st.sampled_from(["leaders", "followers"])))
_wrong = st.sampled_from(["1s", "-1s", "20s", "-20s"])


def _with(part: st.SearchStrategy[_Table], **required: st.SearchStrategy[Any]) -> st.SearchStrategy[_Table]:
    return _merged(part, st.fixed_dictionaries(required))


_TOOLS = SimpleNamespace(
    merged=_merged,
    some=_some,
    keys=lambda **required: st.fixed_dictionaries(required),
    having=_with,
    just=st.just,
    among=lambda *values: st.sampled_from(values),
    integers=st.integers,
    timed=_timed,
    consumer=_merged(_timed, _who),
    chance=_chance,
    events=_events,
    moment=_moment,
    span=_span,
    brief=_brief,
    lasting=_lasting,
    wrong=_wrong,
)
"""The parts from which the recipes of faults are made.

`timed`, `consumer`, `chance` and `events` draw the keys that a family shares. `some` makes tables whose keys may be
left out, `keys` makes tables with all of them, `having` adds required keys to another table.
"""


def faults(kinds: Collection[str] = tuple(FAULTS)) -> st.SearchStrategy[AnyFault]:
    """Faults of some kinds; if none are named, of all. Raises ValueError for a kind that does not exist.

    They may be about the consumers c1 and c2, so a scenario that has them needs at least two.
    """
    unknown = sorted(set(kinds) - FAULTS.keys())
    if unknown:
        raise ValueError(f"no fault is called {unknown[0]!r}; known are {', '.join(FAULTS)}")
    recipes = [
        _merged(st.just({"kind": name}), fault.recipe(_TOOLS)) for name, fault in FAULTS.items() if name in kinds
    ]
    return st.one_of(recipes).map(_FAULT.validate_python)


# -- scenarios ---------------------------------------------------------------------------------------------------


_broker = _some(
    delay=_delay, duplicate=_probability, reorder=_probability, duplicate_delay=_delay, redeliver_after=st.just("1s")
)
_consumers = _merged(
    st.fixed_dictionaries({"count": st.integers(2, 3)}),
    _some(
        concurrency=st.just(2),
        handler=st.just("plain"),
        handler_time=_delay,
        handler_failure=st.just(0.1),
        sweep_interval=st.just("2s"),
    ),
)
_SHORT = {"lookback": "1m", "retention": "2m"}
"""A run in which an event is overdue stays short."""
_policy = st.sampled_from([_SHORT, {**_SHORT, "lease": "2s"}])


def scenarios(
    *, workload: st.SearchStrategy[Workload] | None = None, fault: st.SearchStrategy[AnyFault] | None = None
) -> st.SearchStrategy[Scenario]:
    """Small scenarios of two or three consumers and at most two faults, which a right engine holds.

    The permanent losses that faults cause are among the scenario's `allowed_loss`.

    Args:
        workload: the strategy for workloads; `workloads()` if not given.
        fault: the strategy for faults; `faults()` if not given, `st.nothing()` for none.
    """
    kinds = faults() if fault is None else fault
    some = st.just(()) if kinds.is_empty else st.lists(kinds, max_size=2).map(tuple)
    return st.builds(_assembled, workloads() if workload is None else workload, some, _broker, _consumers, _policy)


def _assembled(
    workload: Workload, injected: tuple[AnyFault, ...], broker: _Table, consumers: _Table, policy: _Table
) -> Scenario:
    injected, topology = _in_one_topology(injected)
    lost = sorted({fault.name for fault in injected if fault.loses_data})
    tables = {"broker": broker, "consumers": consumers, "policy": policy, "judge": {"allowed_loss": lost}, **topology}
    return Scenario.model_validate({"name": "drawn", "workload": workload, "faults": injected, **tables})


def _in_one_topology(injected: tuple[AnyFault, ...]) -> tuple[tuple[AnyFault, ...], _Table]:
    """Return the faults that can strike in the topology that the first of them needs, and that."""
    kind = injected[0].topologies[0] if injected else "single"
    kept = tuple(fault for fault in injected if kind in fault.topologies)
    return kept, {} if kind == "single" else {"topology": {"kind": kind}}


# -- histories ---------------------------------------------------------------------------------------------------


@st.composite
def histories(draw: st.DrawFn, orderly: bool | None = None) -> History:
    """Well-formed histories of a few events and consumers, as a run on an engine gives them.

    Args:
        orderly: True, and no invariant is violated, although deliveries are doubled, handlers fail and consumers crash;
        False, and the engine may violate some; None for either.
    """
    slips = not (draw(st.sampled_from([True, False])) if orderly is None else orderly)
    events = draw(st.lists(st.tuples(_number, st.integers(0, 3)), min_size=1, max_size=len(NAMES)))
    names = NAMES[: len(events)]
    leaders = {name: _named(number, names) for name, (number, _) in zip(names, events, strict=True)}
    return HistoryGenerator(
        {name: "" if leader == name else leader for name, leader in leaders.items()},
        occurred=[occurred for _, occurred in events],
        absent=_named(draw(_number), names),
        choose=lambda options: draw(st.sampled_from(options)),
        max_faults=draw(st.integers(0, 4)),
        slips=slips,
    ).generate()
