"""The histories that both judges are asked about: random ones, real ones, and each of them with single edits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random

from simulation import Laboratory
from simulation.history.entries import Entry, Header, Terms
from simulation.history.generator import HistoryGenerator, Option
from simulation.history.history import History
from simulation.scenario.load import loads
from tests.simulation.invariants.reference_model import execute

SECOND = 1_000_000
NAMES = "abcdefgh"
LONGEST = 160
"""Entries of a history; the second judge is slow."""

ENGINES = (
    "native",
    "native-batches",
    "null",
    "mutant:ghost-lease",
    "mutant:release-nobody",
    "mutant:give-up-at-once",
    "mutant:overtake",
    "mutant:sweep-pops",
    "mutant:renew-nothing",
    "mutant:skip-seen",
)
"""Engines whose histories are compared."""
INSTALLED = {"prefect_redis": "prefect", "docket": "queue:docket", "saq": "queue:saq"}
"""Further engines, by the module that must be installed for each."""

SCENARIO = """
name = "small"
description = "A few events under whatever faults a seed draws."
[workload]
events = [{events}]
[broker]
delay = {{ uniform = ["1ms", "{spread}"] }}
duplicate = {duplicate}
redeliver_after = "{redeliver}"
[consumers]
count = {consumers}
concurrency = {concurrency}
handler_time = "{handler}"
handler_failure = {failure}
[policy]
lookback = "{lookback}"
retention = "{retention}"
lease = "{lease}"
[judge]
allowed_loss = {allowed}
loud = {loud}
{faults}
"""

FAULTS = (
    '[[faults]]\nkind = "crash"\nstep = "start"\nnth = {nth}\nfor = "{long}"\n',
    '[[faults]]\nkind = "crash"\nstep = "end"\nnth = {nth}\nfor = "{long}"\n',
    '[[faults]]\nkind = "pause"\nconsumer = "c1"\nat = "{at}"\nfor = "{long}"\n',
    '[[faults]]\nkind = "partition"\nconsumer = "c1"\nat = "{at}"\nfor = "{long}"\n',
    '[[faults]]\nkind = "evict"\nkeys = "*"\nat = "{at}"\n',
    '[[faults]]\nkind = "stop"\nconsumer = "c1"\nat = "{at}"\nfor = "{long}"\n',
    '[[faults]]\nkind = "server-demoted"\nat = "{at}"\nfor = "{long}"\n',
    '[[faults]]\nkind = "server-clock"\nat = "{at}"\noffset = "{long}"\nfor = "{long}"\n',
    '[[faults]]\nkind = "server-clock"\nat = "{at}"\noffset = "-{long}"\nfor = "{long}"\n',
    '[[faults]]\nkind = "unreadable-for-some"\nconsumer = "c1"\n',
    '[[faults]]\nkind = "duplicate-follows-another"\nprobability = 0.3\n',
    '[[faults]]\nkind = "handler-blocks"\nprobability = 0.3\nby = "{long}"\n',
)


def histories(
    count: int, seed: int, laboratory: Laboratory | None, engines: Sequence[str] = ENGINES
) -> Iterator[tuple[str, History]]:
    """Yield histories with what each is; the same for the same seed. Without a laboratory, no real ones."""
    kinds = ("story", "model", "real") if laboratory else ("story", "model")
    made = number = 0
    while made < count:
        rng = Random(f"{seed}/{number}")
        kind = kinds[number % len(kinds)]
        number += 1
        match kind:
            case "story":
                base = story(rng)
            case "model":
                base = model(rng)
            case _:
                assert laboratory is not None
                base = real(rng, laboratory, rng.choice(engines))
        if len(base) > LONGEST:
            continue
        yield f"seed {seed}, number {number}: {kind} as it is", base
        made += 1
        for edit in range(min(9, count - made)):
            name, edited = edited_once(base, rng)
            yield f"seed {seed}, number {number}: {kind}, edit {edit}: {name}", edited
            made += 1


# -- whole histories


def drawn_terms(rng: Random) -> Terms:
    return Terms(
        lookback=rng.choice([30, 900]) * SECOND,
        retention=rng.choice([900, 1800]) * SECOND,
        lease=rng.choice([4, 16]) * SECOND,
        release_bound=rng.choice([1, 5, 60]) * SECOND,
        sweep_interval=rng.choice([1, 5]) * SECOND,
        stuck_bound=rng.choice([20, 600]) * SECOND,
        max_attempts=rng.choice([1, 2, 4]),
    )


def drawn_leaders(rng: Random) -> dict[str, str]:
    names = NAMES[: rng.randint(1, 6)]
    return {name: rng.choice(["", *(other for other in names if other != name)]) for name in names}


def story(rng: Random) -> History:
    leaders = drawn_leaders(rng)

    def choose(options: list[Option]) -> Option:
        return options[0] if rng.random() < 0.6 else rng.choice(options)

    history = HistoryGenerator(
        leaders,
        occurred=[rng.randint(0, 3) for _ in leaders],
        absent=rng.choice(["", *leaders]),
        choose=choose,
        max_faults=rng.randint(0, 4),
        slips=rng.random() < 0.5,
    ).generate()
    return stretched(history, rng)


def model(rng: Random) -> History:
    leaders = drawn_leaders(rng)
    absent = [rng.choice(list(leaders))] if rng.random() < 0.3 else []
    history = execute(leaders, absent, rng, rng.randint(0, 3))
    return stretched(history, rng) if rng.random() < 0.5 else history


def stretched(history: History, rng: Random) -> History:
    """Return a history under other terms, with pauses in which nothing happens."""
    terms = drawn_terms(rng)
    bounds = [terms.lease // 2, terms.lease + 1, terms.release_bound + 1, terms.lookback, terms.stuck_bound]
    lengths = [0, 0, 0, 0, *bounds]
    entries, later = [], 0
    for entry in history:
        if rng.random() < 0.1:
            later += rng.choice(lengths)
        entries.append(entry._replace(at=entry.at + later))
    allowed = rng.choice([(), (), ("evict",)])
    return History(
        Header(terms=terms, allowed_loss=allowed, loud=rng.random() < 0.3, reconnects=rng.random() < 0.3), entries
    )


def real(rng: Random, laboratory: Laboratory, engine: str) -> History:
    leaders = drawn_leaders(rng)
    events = ", ".join(
        f'{{ name = "{name}"' + (f', follows = "{leader}"' if leader else "") + f', at = "{rng.randint(0, 3000)}ms" }}'
        for name, leader in leaders.items()
    )
    faults = "".join(
        rng.choice(FAULTS).format(
            nth=rng.randint(1, 3), long=rng.choice(["1s", "3s", "9s", "40s"]), at=f"{rng.randint(1, 9000)}ms"
        )
        for _ in range(rng.randint(0, 2))
    )
    text = SCENARIO.format(
        events=events,
        spread=rng.choice(["2ms", "500ms", "5s"]),
        duplicate=rng.choice(["0.0", "0.3"]),
        redeliver=rng.choice(["5s", "2s"]),
        consumers=rng.randint(1, 3),
        concurrency=rng.choice([1, 1, 4]),
        handler=rng.choice(["5ms", "1s", "7s"]),
        failure=rng.choice(["0.0", "0.0", "0.2", "0.7"]),
        lookback=rng.choice(["30s", "15m"]),
        retention=rng.choice(["15m", "30m"]),
        lease=rng.choice(["4s", "16s"]),
        allowed=rng.choice(["[]", '["evict"]']),
        loud=rng.choice(["true", "false"]),
        faults=faults,
    )
    run = laboratory.run(loads(text), rng.randrange(1 << 30), engine)
    history = History(run.history.header, list(run.history))
    return stretched(history, rng) if rng.random() < 0.3 else history


# -- single edits


def edited_once(history: History, rng: Random) -> tuple[str, History]:
    """Return what was done, and the history in which it was done."""
    entries = list(history)
    edit = rng.choice([removed, doubled, moved, moved, otherwise, otherwise, later, inserted, cut_short])
    place = rng.randrange(len(entries))
    name = edit(entries, place, rng)
    return f"{name} at {place}", History(history.header, entries)


def removed(entries: list[Entry], place: int, _: Random) -> str:
    return f"removed {entries.pop(place).kind}"


def doubled(entries: list[Entry], place: int, _: Random) -> str:
    entries.insert(place, entries[place])
    return f"doubled {entries[place].kind}"


def moved(entries: list[Entry], place: int, rng: Random) -> str:
    entry = entries.pop(place)
    there = rng.randint(0, len(entries))
    at = entries[there - 1].at if there else 0
    entries.insert(there, entry._replace(at=at))
    return f"moved {entry.kind} to {there}"


def later(entries: list[Entry], place: int, rng: Random) -> str:
    by = rng.choice([1, 1_000_000, 4_000_001, 8_000_000, 16_000_001, 81_000_001, 900_000_000, 1_800_000_000])
    entries[place:] = [entry._replace(at=entry.at + by) for entry in entries[place:]]
    return f"all later by {by}"


def otherwise(entries: list[Entry], place: int, rng: Random) -> str:
    """Let a handling end otherwise, or change what another entry says."""
    kinds = ("ended", "refused", "started", "acknowledged", "dead-lettered")
    ends = [i for i, e in enumerate(entries) if e.kind in kinds]
    place = rng.choice(ends) if ends else place
    entry = entries[place]
    details = dict(entry.details)
    kind = entry.kind
    match kind:
        case "ended":
            details.pop("write", None)
            details["outcome"] = rng.choice(["ok", "failed", "unknown"])
            if rng.random() < 0.3:
                details["write"] = rng.choice(["accepted", "refused"])
            if rng.random() < 0.2:
                del details["outcome"]
        case "started":
            details["via"] = rng.choice(["delivered", "released", "rescued"])
        case "refused":
            details["because"] = rng.choice(["seen", "held", "depth"])
        case "acknowledged":
            kind = rng.choice(["rejected", "refused", "parked"])
        case "dead-lettered":
            details["by"] = rng.choice(["broker", "engine"])
            details["because"] = rng.choice(["unreadable", "", "tired"])
            details["told"] = rng.random() < 0.5
    entries[place] = entry._replace(kind=kind, details=details)
    return f"{entry.kind} otherwise"


def cut_short(entries: list[Entry], place: int, rng: Random) -> str:
    """Let a consumer die, or fall silent, in the middle of a handling, and say nothing more of it for a long time."""
    begun = [i for i, e in enumerate(entries) if e.kind == "started"]
    if not begun:
        return removed(entries, place, rng)
    place = rng.choice(begun)
    start = entries[place]
    kind = rng.choice(["crashed", "stopped", "paused", "unreachable"])
    entries[place] = start._replace(details={**start.details, "via": rng.choice(["released", "rescued", "delivered"])})
    number = start.details.get("handling")
    end = next((i for i, e in enumerate(entries) if e.kind == "ended" and e.details.get("handling") == number), None)
    if end is not None and kind in ("crashed", "stopped"):
        del entries[end]
    entries.insert(place + 1, Entry(start.at, kind, "", start.consumer, {}))
    by = rng.choice([5, 20, 90, 1000]) * SECOND
    entries[place + 2 :] = [entry._replace(at=entry.at + by) for entry in entries[place + 2 :]]
    return f"{kind} in a handling"


def inserted(entries: list[Entry], place: int, rng: Random) -> str:
    """Let something happen to a consumer, or to the store."""
    at = entries[place].at
    names = sorted({e.consumer for e in entries if e.consumer}) or ["c1"]
    events = sorted({e.event for e in entries if e.event}) or ["a"]
    lives = ["crashed", "paused", "resumed", "unreachable", "joined"]
    faults = ["demoted", "clock", "unread", "changed"]
    kind = rng.choice([*lives, *faults, "store-lost", "dead-lettered", "swept", "warned", "blocked", "unfinished"])
    match kind:
        case "store-lost":
            details: dict[str, object] = {"fault": "evict"}
            if rng.random() < 0.7:
                details["keys"] = [f"x:queue:{rng.choice(events)}"]
            entry = Entry(at, kind, details=details)
        case "dead-lettered":
            details = {"by": rng.choice(["broker", "engine"]), "told": rng.random() < 0.5}
            entry = Entry(at, kind, rng.choice(events), rng.choice(names), details)
        case "blocked":
            long = rng.choice([1, 3, 20, 2000]) * SECOND
            entry = Entry(at, kind, "", rng.choice(names), {"duration": long, "where": "f.py:1 in f"})
        case "unfinished":
            call, event = rng.choice([("sweep", ""), ("start", ""), ("handle", rng.choice(events))])
            details = {"call": call, "since": max(0, at - rng.choice([1, 15, 25, 700]) * SECOND)}
            entry = Entry(at, kind, event, rng.choice(names), details)
        case "demoted":
            details = {"fault": "server-demoted", "number": rng.randint(1, 2)}
            entry = Entry(at, "fault", "", rng.choice(names), details)
            last = rng.randint(place, len(entries))
            entries.insert(last, entry._replace(at=entries[last - 1].at if last else at))
        case "clock":
            ahead = rng.choice([1, -1]) * rng.choice([2, 8, 30, 1000]) * SECOND
            entry = Entry(at, "fault", "", "", {"fault": "server-clock", "offset": ahead, "number": 1})
            if ahead < 0:
                last = rng.randint(place, len(entries))
                healed = {"fault": "server-clock", "number": 1}
                entries.insert(last, Entry(entries[last - 1].at if last else at, "healed", "", "", healed))
        case "unread":
            given = [i for i, e in enumerate(entries) if e.kind == "rejected"]
            place = rng.choice(given) if given else place
            one = entries[place]
            entry = Entry(one.at, "fault", one.event, one.consumer, {"fault": "unreadable-for-some"})
        case "changed":
            entry = Entry(at, "published", rng.choice(events), "", {"follows": rng.choice([*NAMES, ""])})
        case "warned":
            entry = Entry(at, kind, rng.choice(events), rng.choice(names), {"level": "warning"})
        case "swept":
            entry = Entry(at, kind, "", rng.choice(names), {"found": rng.randint(0, 2)})
        case _:
            entry = Entry(at, kind, "", rng.choice(names), {})
    entries.insert(place, entry)
    return f"inserted {kind}"
