"""How fast the harness is: schedules a second, events a second, and a command beside a bare round trip.

    python benchmarks/harness.py [--seconds 5]

Everything is measured in one run, one after the other, so the ratios hold where the machine's speed drifts.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import time
from collections.abc import Callable

from simulation import Laboratory, load
from simulation.kernel.epoch import EPOCH
from simulation.kernel.event_loop import SimulatedLoop
from simulation.kernel.random_streams import Streams
from simulation.scenario.distributions import Uniform
from simulation.stores.redis_server import ServerStore
from simulation.stores.resp import command
from simulation.world.connection import Wire
from simulation.world.network import Network

PING = command("PING")


def rate(work: Callable[[int], object], seconds: float) -> float:
    """Return how often a second `work` can be done; it receives the number of the turn."""
    work(0)
    started, turns = time.perf_counter(), 0
    while time.perf_counter() - started < seconds:
        turns += 1
        work(turns)
    return turns / (time.perf_counter() - started)


class Pinger(asyncio.Protocol):
    """A client that knows one command, and sends it again as soon as it is answered."""

    def __init__(self, times: int) -> None:
        self.left = times

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the first."""
        assert isinstance(transport, Wire)
        self.wire = transport
        self.wire.write(PING)

    def data_received(self, data: bytes) -> None:
        """Send the next."""
        self.left -= 1
        if self.left:
            self.wire.write(PING)


def on_the_wire(store: ServerStore, times: int) -> None:
    """Send commands through the simulated network to a real server, one after the other, and do nothing else."""
    store.begin(EPOCH)
    loop = SimulatedLoop()
    network = Network(loop, store, Uniform(100, 900), Streams(1))
    _, pinger = loop.run_until_complete(network.connect(lambda: Pinger(times), None))
    loop.run_while(lambda: pinger.left > 0)
    network.close()
    loop.close()


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0)
    given = parser.parse_args()
    pair, many = load("scenarios/leader-follower.toml"), load("scenarios/many-consumers.toml")
    print("| what | store | engine | figure |\n|---|---|---|---:|")
    for store in ("server", "embedded"):
        with Laboratory(store) as laboratory:
            for engine in ("native", "null"):
                runs = rate(lambda seed, lab=laboratory, e=engine: lab.run(pair, seed + 1, e), given.seconds)
                print(f"| schedules a second, leader-follower | {store} | {engine} | {runs:.0f} |", flush=True)
    with Laboratory("server") as laboratory:
        for engine in ("native", "native-steps", "prefect"):
            sent: list[int] = []
            runs = rate(
                lambda seed, lab=laboratory, e=engine, n=sent: n.append(lab.run(pair, seed + 1, e).counts.commands),
                given.seconds,
            )
            figure = runs * sum(sent) / len(sent)
            print(f"| Redis commands a second, leader-follower | server | {engine} | {figure:.0f} |", flush=True)
    with Laboratory("server") as laboratory:
        started = time.perf_counter()
        run = laboratory.run(many)
        elapsed = time.perf_counter() - started
        print(f"| events a second, many-consumers | server | native | {run.counts.events / elapsed:.0f} |")
        print(f"| Redis commands a second, many-consumers | server | native | {run.counts.commands / elapsed:.0f} |")
        store = laboratory.store
        assert isinstance(store, ServerStore)
        link = store.link()
        with store.nearby():
            wired = rate(lambda _: on_the_wire(store, 2000), given.seconds) * 2000
            bare = rate(lambda _: link.execute(PING, 1), given.seconds)
        print(f"| bare round trips a second | server | – | {bare:.0f} |")
        print(f"| wall time of a command on the wire alone, in bare round trips | server | – | {bare / wired:.1f} |")
        cost = elapsed / run.counts.commands * bare
        print(
            f"| wall time of a command, in bare round trips (all of the run included) | server | native | {cost:.1f} |"
        )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"| peak memory, MiB, after all of the above | – | – | {peak:.0f} |")


if __name__ == "__main__":
    main()
