"""Histories for the tests of the reports: made by a toy with a dice, not by the simulator."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from simulation.history.entries import Entry, Header
from simulation.history.history import History
from simulation.invariants import Judgement, Violation

MS, S = 1_000, 1_000_000


@dataclass(frozen=True)
class ToyRun:
    history: History
    judgement: Judgement
    searched: Sequence[str] = ()
    scenario_text: str = '[scenario]\nname = "toy"\n'
    replay: str = "causim run scenarios/toy.toml --seed 1"
    commands: int | None = None
    silent_faults: Sequence[str] = ()


def toy(
    events=40, consumers=3, *, seed=1, follow=0.5, lose_leader=0.02, forget=0.0, fail=0.03, gap=20 * MS, faults=True
):
    """A plausible run: chains, parked followers, rescues, redeliveries, crashes; `forget` is how often one is lost."""
    rng = random.Random(seed)
    entries: list[Entry] = []
    effect: dict[str, int] = {}
    names = [f"c{n + 1}" for n in range(consumers)]
    clock = handling = 0

    def put(at, kind, event="", consumer="", **details):
        entries.append(Entry(int(at), kind, event, consumer, details))

    for name in names:
        put(0, "joined", consumer=name)
    put(0, "phase", phase="safety")
    previous = ""
    for n in range(events):
        name = f"e{n}"
        clock += int(rng.expovariate(1 / gap)) + 1
        leader = previous if previous and rng.random() < follow else ""
        if rng.random() < lose_leader:
            leader = f"never-{n}"
        put(clock, "published", name, follows=leader, occurred=clock, fingerprint=f"{n:04x}", id=name)
        at, who = clock + int(rng.lognormvariate(3, 1) * MS), rng.choice(names)
        attempt = 1
        put(at, "delivered", name, who, attempt=1, delivery=f"d{n}.1")
        while rng.random() < fail:
            handling += 1
            put(at + MS, "started", name, who, handling=handling, via="delivered")
            put(at + 9 * MS, "ended", name, who, handling=handling, outcome="failed")
            put(at + 9 * MS, "rejected", name, who, delivery=f"d{n}.{attempt}", because="ValueError: no <b>stock</b>")
            attempt += 1
            at, who = at + S, rng.choice(names)
            put(at, "delivered", name, who, attempt=attempt, delivery=f"d{n}.{attempt}")
        start, via = at + int(rng.uniform(0.5, 3) * MS), "delivered"
        if leader and effect.get(leader, 10**18) > start:
            put(start, "parked", name, who)
            put(start + MS, "acknowledged", name, who, delivery=f"d{n}.{attempt}")
            if leader in effect and rng.random() >= forget:
                start, via = effect[leader] + int(rng.expovariate(1 / (4 * MS))) + 1, "released"
            elif leader in effect or rng.random() < forget:
                previous = name
                continue
            else:
                start, via = at + 15 * S + int(rng.uniform(0, 5 * S)), "rescued"
        handling += 1
        put(start, "started", name, who, handling=handling, via=via)
        end = start + int(rng.lognormvariate(2.5, 0.8) * MS) + 1
        put(end, "ended", name, who, handling=handling, outcome="ok", write="accepted")
        if via == "delivered":
            put(end + MS, "acknowledged", name, who, delivery=f"d{n}.{attempt}")
        effect[name] = end
        previous = name
    if faults:
        put(clock * 0.3, "fault", fault="slow-network", factor=5)
        put(clock * 0.45, "healed", fault="slow-network")
        put(clock * 0.6, "paused", consumer=names[0])
        put(clock * 0.7, "resumed", consumer=names[0])
        put(clock * 0.8, "unreachable")
        put(clock * 0.82, "reachable")
    put(clock, "phase", phase="healing")
    entries.sort(key=lambda e: e.at)
    put(entries[-1].at + S, "phase", phase="quiet", in_flight=0)
    return History(Header("toy", seed, "native", "server", invariants=()), entries)


def toy_run(events=40, consumers=3, **options):
    """A run and its judgement: every event that was parked and forgotten is a violation."""
    history = toy(events, consumers, **options)
    started = {e.event for e in history.of("started")}
    violations = [
        Violation(
            "prompt-release",
            e.at + 60 * S,
            (e.event,),
            (e.consumer,),
            f"because {e.event} was parked at {e.at / 1e6:g} s and was still waiting at the end",
            (i,),
        )
        for i, e in enumerate(history)
        if e.kind == "parked" and e.event not in started
    ]
    return ToyRun(history, judgement(violations))


def judgement(violations=(), *, verdict="", coverage=None, missing=(), reasons=()):
    """What a judge would say."""
    verdict = verdict or ("violated" if violations else "holds")
    return Judgement(verdict, tuple(violations), coverage or {"parked": 3, "crashed": 0}, missing, reasons, {})
