"""What the engine's guide says in figures and settings, counted and tried."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from itertools import dropwhile, takewhile
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio

from ordering import EventArrivedEarly, Policy
from tests.ordering.conftest import Fleet, Recorder, event

GUIDE = Path("docs/engine.md").read_text(encoding="utf-8")
COUNT = 100
WARM = (1_001, 1_002, 1_003, 1_004)
"""Events that are handled first, one by one, as a batch and as a stream: the server then knows the scripts."""


def table(heading: str) -> dict[str, list[str]]:
    """Return the rows of the first table of a section by their first cell."""
    section = GUIDE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = dropwhile(lambda line: not line.startswith("|"), section.splitlines())
    rows = [line.strip("| ").split(" | ") for line in takewhile(lambda line: line.startswith("|"), lines)]
    return {first: rest for first, *rest in rows[2:]}


async def scripts_run(client: Any) -> int:
    stats = await client.info("commandstats")
    return sum(stats.get(f"cmdstat_{verb}", {}).get("calls", 0) for verb in ("eval", "evalsha"))


@pytest.mark.parametrize(
    ("row", "events"),
    [
        ("without a leader", [event(n) for n in range(1, COUNT + 1)]),
        ("in order", [event(n, n - 1) for n in range(1, COUNT + 1)]),
        ("reversed: each is parked, and released later", [event(n, n - 1) for n in range(COUNT, 0, -1)]),
        ("in a stream of 100, in order", [event(n, n - 1) for n in range(1, COUNT + 1)]),
        ("in batches of 100, without a leader", [event(n) for n in range(1, COUNT + 1)]),
        ("in batches of 100, of which each follows the one before", [event(n, n - 1) for n in range(1, COUNT + 1)]),
    ],
)
async def test_round_trips(row: str, events: list[Any], socket: str) -> None:
    """The round trips are as many as the guide says."""
    clients = [redis.asyncio.Redis(unix_socket_path=socket) for _ in range(2)]
    await clients[0].flushall()
    handler = Recorder(Fleet(lambda: clients[0]).engine())
    await warm_up(handler)
    before = await scripts_run(clients[1])
    if "batches" in row:
        await handler.engine.handle_batch(handler, events)
    elif "stream" in row:
        await handler.engine.handle_stream(handler, events, ignore)
    else:
        for one in events:
            try:
                await handler(one)
            except EventArrivedEarly:
                continue
    trips = await scripts_run(clients[1]) - before
    assert len(handler.handled) == COUNT + len(WARM)
    assert trips / COUNT == float(table("What it costs")[row][0])
    for client in clients:
        await client.aclose()


async def warm_up(handler: Recorder) -> None:
    await handler(event(WARM[0]))
    await handler.engine.handle_batch(handler, [event(WARM[1]), event(WARM[2], WARM[1])])
    await handler.engine.handle_stream(handler, [event(WARM[3])], ignore)


async def ignore(one: Any, outcome: str) -> None:
    """Acknowledge nothing."""


def test_policy_fields_and_defaults() -> None:
    """The policy has the fields and defaults that the guide lists."""
    rows = table("The policy")
    assert [name.strip("`") for name in rows] == list(Policy.__dataclass_fields__)
    defaults = {"15 min": 900, "30 min": 1_800, "24 h": 86_400, "16 s": 16, "5 s": 5, "7 d": 604_800}
    for name, (said, *_) in rows.items():
        value = getattr(Policy(), name.strip("`"))
        seconds = getattr(value, "total_seconds", lambda value=value: value)()
        assert seconds == defaults.get(said) or said.strip('`"') == str(value)


def test_keys_of_scripts() -> None:
    """Every key that a script names is in the guide."""
    text = "\n".join(table("The data in Redis"))
    scripts = "\n".join(path.read_text(encoding="utf-8") for path in Path("ordering/lua").rglob("*.lua"))
    names = {name.rstrip(":") for name in re.findall(r'(?:key|is_live)\("([a-z]+:?)', scripts)}
    assert len(names) > 10
    for name in names:
        assert f"`{name}`" in text or f"`{name}:" in text, name


@pytest.mark.prefect
@pytest.mark.skipif(find_spec("prefect_redis") is None, reason="needs the prefect extra")
def test_prefect_setting(tmp_path: Path) -> None:
    """The setting makes Prefect take this engine."""
    [setting] = re.findall(r"^(PREFECT_SERVER_EVENTS_CAUSAL_ORDERING)=(\S+)$", GUIDE, re.MULTILINE)
    code = "from prefect.server.events import ordering as o; print(type(o.get_triggers_causal_ordering()).__module__)"
    environment = {**os.environ, setting[0]: setting[1], "PREFECT_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.strip() == setting[1] == "ordering.prefect"
