"""A lease that lapses and two blocking reads, unmodified, under causim and under its peers: what each makes of them.

    python3.12 -m venv .peers
    .peers/bin/pip install causim looptime simloop simloom frontrun seedloop detangle async-solipsism aiotime \\
        asyncio-time-travel    # in a checkout: -e '.[server]' instead of causim
    .peers/bin/python benchmarks/probe.py [--limit 20] [--out benchmarks/probe.md]

The program (`program`) is what a worker does: it takes a lease of 5 s, sleeps for 1,000 s, looks whether the lease has
lapsed, waits for a list that stays empty, and for one to which another task pushes 10 s later. Two stores: a real
server at a real address, and fakeredis in the process. Each runs in a process of its own, which is ended after a number
of real seconds.

A peer that is not installed has a row that says so.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import json
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import fakeredis
import redis.asyncio

from simulation import Laboratory, loads
from simulation.stores.programs import server_programs

LEASE, NAP, EMPTY, PUSHED = 5, 1_000, 30, 10
"""Seconds: of the lease, of the sleep, of the wait for a list that stays empty, and until a push to the other list."""
LIMIT = 20
"""Real seconds for each row: a harness that waits for real needs more than a thousand."""
Connect = Callable[[], redis.asyncio.Redis]
Probe = Callable[[Connect], Awaitable[None]]

SCENARIO = """
name = "probe"
workload = { kind = "chains", count = 1, length = 1 }
producer = { to = "list", key = "jobs" }
consumers.count = 1
judge.preset = "queue"
policy = { lookback = "1h", retention = "2h" }
"""
"""A run ends when nothing has happened for as long as an event may have to wait: that must be more than the sleep."""


# -- the program -----------------------------------------------------------------------------------------------------


def say(**facts: object) -> None:
    """Report a result at once: the process may be ended before the next."""
    print(json.dumps(facts), flush=True)


async def program(connect: Connect) -> None:
    """Take a lease, sleep for longer, and wait twice for a list. Nothing in it knows of a harness."""
    client, loop = connect(), asyncio.get_running_loop()
    await client.set("lease", "mine", ex=LEASE)
    await asyncio.sleep(NAP)
    left = await client.get("lease")
    say(slept=True, lease="gone" if left is None else "**still there**")
    began = loop.time()
    item = await client.blpop(["empty"], timeout=EMPTY)
    say(empty=f"{'nothing' if item is None else item} after {loop.time() - began:.1f} s")
    pushing = asyncio.create_task(push(connect))
    began = loop.time()
    item = await client.blpop(["jobs:pushed"], timeout=60)
    say(pushed=f"{'**nothing**' if item is None else 'the item'} after {loop.time() - began:.1f} s")
    await pushing


async def push(connect: Connect) -> None:
    """Push to the list a while later, as another client does."""
    await asyncio.sleep(PUSHED)
    await connect().rpush("jobs:pushed", "item")


async def main(redis_url: str, effect: Any) -> None:
    """Be the consumer process that causim runs: the program, then one message, so that there is something to judge."""
    client = redis.asyncio.from_url(redis_url, socket_timeout=None)
    await program(partial(redis.asyncio.from_url, redis_url, socket_timeout=None))
    await effect((await client.blpop(["jobs"], timeout=0))[1])


# -- the harnesses ---------------------------------------------------------------------------------------------------


def causim(store: str, _: Connect) -> None:
    """Run the program as a consumer of this project's harness."""
    with Laboratory("server" if store == "server" else "embedded") as laboratory:
        laboratory.run(loads(SCENARIO), 1, "benchmarks.probe:main")


def plain(_: str, connect: Connect) -> None:
    """Run the program as it runs in production."""
    asyncio.run(program(connect))


def looptime(_: str, connect: Connect) -> None:
    """Run the program on looptime's loop, with its time compaction."""
    with asyncio.Runner(loop_factory=importlib.import_module("looptime").new_event_loop) as runner:
        runner.run(program(connect))


def simloop(_: str, connect: Connect) -> None:
    """Run the program on simloop's loop."""
    report = importlib.import_module("simloop").explore(partial(program, connect), range(1, 2))
    if report is not None:
        raise report.exception


def simloom(_: str, connect: Connect) -> None:
    """Run the program on simloom's loop, with its clocks."""

    async def run(world: Any) -> None:
        await program(connect)

    explore = importlib.import_module("simloom").explore
    found = explore(run, runs=1, start_seed=1, virtual_time=True, seed_randomness=True)
    if found.first_failure is not None:
        raise found.first_failure.error


def frontrun(clock: str, _: str, connect: Connect) -> None:
    """Have frontrun run the program as one of two workers."""
    module = importlib.import_module("frontrun")

    async def other(_: Any) -> None:
        await asyncio.sleep(0)

    async def one(_: Any) -> None:
        await program(connect)

    async def run() -> Any:
        return await module.explore(
            lambda: None,
            [one, other],
            lambda _: True,
            strategy="random",
            clock=clock,
            max_attempts=1,
            max_ops=100_000,
            timeout_per_run=1_000,
        )

    found = asyncio.run(run())
    if found.property_holds is None:
        raise RuntimeError(found.inconclusive_reason or found.explanation)


def seedloop(_: str, connect: Connect) -> None:
    """Run the program in a world of seedloop."""
    module = importlib.import_module("seedloop")

    async def scenario(world: Any) -> None:
        await program(connect)

    module.check(scenario, seeds=[1])


def detangle(_: str, connect: Connect) -> None:
    """Run the program in detangle's virtual time."""
    importlib.import_module("detangle").run(partial(program, connect), seed=1)


def async_solipsism(_: str, connect: Connect) -> None:
    """Run the program on the loop of async-solipsism."""
    with asyncio.Runner(loop_factory=importlib.import_module("async_solipsism").EventLoop) as runner:
        runner.run(program(connect))


def time_travel(_: str, connect: Connect) -> None:
    """Run the program on the loop of asyncio-time-travel."""
    with asyncio.Runner(loop_factory=importlib.import_module("asyncio_time_travel").TimeTravelLoop) as runner:
        runner.run(program(connect))


def aiotime(_: str, connect: Connect) -> None:
    """Run the program beside aiotime, which moves the loop's clock when it is asked to."""
    module = importlib.import_module("aiotime")

    async def run() -> None:
        with module.FastForward(asyncio.get_running_loop()) as forward:
            running = asyncio.create_task(program(connect))
            while not running.done():
                await forward(1)

    asyncio.run(run())


@dataclass(frozen=True)
class Harness:
    """A harness: its package on PyPI, how it runs the program, and the stores that are tried with it."""

    package: str
    run: Callable[[str, Connect], None]
    stores: tuple[str, ...] = ("server", "fakeredis")
    way: str = ""


HARNESSES: Mapping[str, Harness] = {
    "causim": Harness("causim", causim),
    "asyncio": Harness("", plain),
    "looptime": Harness("looptime", looptime),
    "frontrun-explored": Harness("frontrun", partial(frontrun, "explored"), way='clock="explored"'),
    "frontrun-virtual": Harness("frontrun", partial(frontrun, "virtual"), way='clock="virtual"'),
    "simloop": Harness("simloop", simloop),
    "simloom": Harness("simloom", simloom),
    "seedloop": Harness("seedloop", seedloop),
    "detangle": Harness("detangle", detangle),
    "async-solipsism": Harness("async-solipsism", async_solipsism),
    "asyncio-time-travel": Harness("asyncio-time-travel", time_travel),
    "aiotime": Harness("aiotime", aiotime),
}


# -- running and reporting -------------------------------------------------------------------------------------------


@dataclass
class Row:
    """What came of one harness on one store."""

    harness: str
    store: str
    facts: dict[str, Any] = field(default_factory=dict)
    why_not: str = ""

    @property
    def cells(self) -> list[str]:
        """The cells of its row in the table."""
        known = [self.facts.get(key, "") for key in ("lease", "empty", "pushed")]
        seconds = self.facts.get("seconds", "")
        return [self.harness, self.store, *known, f"{seconds} s" if seconds else "", self.why_not]


@contextmanager
def real_server(folder: str) -> Iterator[int]:
    """Run a Redis server in real time at a port of this machine, which it gives."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    words = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", folder]
    server = subprocess.Popen([server_programs()[0].path, *words], stdout=subprocess.DEVNULL)
    try:
        for _ in range(100):
            with socket.socket() as trying:
                if trying.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield port
    finally:
        server.terminate()
        server.wait()


def attempt(name: str, store: str, port: int, limit: float) -> Row:
    """Run the program under one harness, in a process of its own."""
    harness = HARNESSES[name]
    try:
        release = version(harness.package) if harness.package else "{}.{}.{}".format(*sys.version_info[:3])
    except PackageNotFoundError:
        return Row(name, store, why_not=f"not installed: pip install {harness.package}")
    title = f"{harness.package or 'asyncio alone, Python'} {release} {harness.way}".strip()
    row = Row(title, store)
    words = [sys.executable, "-m", "benchmarks.probe", "--harness", name, "--store", store, "--port", str(port)]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=limit, check=False)
        out, errors = done.stdout, done.stderr if done.returncode else ""
    except subprocess.TimeoutExpired as late:
        out = (late.stdout or b"").decode()
        errors = f"not at its end after {limit:.0f} real seconds"
    for line in out.splitlines():
        if line.startswith("{"):
            row.facts.update(json.loads(line))
    raised = [line for line in errors.splitlines() if re.match(r"[\w.]+(Error|Exception)\b|not at", line)]
    row.why_not = (
        raised[-1].replace("|", "/").replace(f":{port}", ":PORT").replace(f", {port}", ", PORT") if raised else ""
    )
    return row


def one(name: str, store: str, port: int) -> None:
    """Run the program under one harness in this process, and report by lines of JSON."""
    server = fakeredis.FakeServer(version=(7,))
    connect: Connect = (
        partial(redis.asyncio.Redis, port=port, socket_timeout=None)
        if store == "server"
        else partial(fakeredis.FakeAsyncRedis, server=server)
    )
    if name != "causim" and store == "server":
        with redis.Redis(port=port) as client:
            client.flushall()
    clock = time.perf_counter
    began = clock()
    HARNESSES[name].run(store, connect)
    say(seconds=round(clock() - began, 1))


HEAD = (
    "harness",
    "Redis",
    "lease of 5 s after 1,000 s",
    "BLPOP, empty",
    "BLPOP, pushed to after 10 s",
    "real",
    "its words",
)
ABOUT = """\
# One program under causim and its peers

Made by `python -m benchmarks.probe --limit {limit:.0f}` on {day}; Python {python}, redis-py {redis}, fakeredis
{fakeredis}.

The program takes a lease (`SET … EX 5`), sleeps for 1,000 s, and looks whether it has lapsed. Then it waits by `BLPOP`
for 30 s for a list that stays empty, and for one to which another task pushes 10 s later. It is the same code in each
row. Redis is a real server, or fakeredis in the process. The times of the answers are those of the program's own clock;
an empty cell was not reached. A row is ended after {limit:.0f} real seconds. All of them but causim are loops or
schedulers for asyncio code in general, and most of them say that real sockets are none of theirs. The real times are of
a machine that was busy with other work.

"""


def table(rows: list[Row]) -> str:
    """Return the rows as a table in Markdown."""
    lines = [HEAD, ["---"] * len(HEAD), *(row.cells for row in rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def main_of_the_script() -> None:
    """Run every harness on every store, or one of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--limit", type=float, default=LIMIT)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--harness", choices=HARNESSES)
    parser.add_argument("--store", default="server")
    parser.add_argument("--port", type=int, default=6379)
    given = parser.parse_args()
    if given.harness:
        return one(given.harness, given.store, given.port)
    rows = []
    with tempfile.TemporaryDirectory() as folder, real_server(folder) as port:
        for name, harness in HARNESSES.items():
            for store in harness.stores:
                rows.append(attempt(name, store, port, given.limit))
                print(" | ".join(rows[-1].cells), flush=True)
    if given.out:
        versions = {name: version(name) for name in ("redis", "fakeredis")}
        python = "{}.{}.{}".format(*sys.version_info[:3])
        about = ABOUT.format(day=datetime.now(UTC).date(), python=python, limit=given.limit, **versions)
        given.out.write_text(f"{about}{table(rows)}\n", encoding="utf-8")
    return None


if __name__ == "__main__":
    main_of_the_script()
