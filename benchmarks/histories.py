"""Makes up a long history that reads like that of a real run and breaks nothing, so that a judge can be measured.

    python benchmarks/histories.py [--crowded] 1000000 long.jsonl

Chains of five on five hundred consumers: one in fifty followers overtakes its leader, is parked and then released; one
event in a hundred is delivered twice. In a crowded history the events of a chain are published a millisecond apart, as
a workload does that does not interleave them, so that every follower comes before its leader was handled. The same
count always gives the same bytes, written as they are made.
"""

from __future__ import annotations

import argparse
import heapq
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

from simulation.history.entries import Entry, Header, Terms

CHAIN, CONSUMERS, GAP = 5, 500, 1_000
TRAVEL, LATENCY, WORK = 20_000, 500, 10_000


class _Entry(NamedTuple):
    """An entry with its place among those of the same microsecond."""

    at: int
    place: int
    entry: Entry


class Maker:
    """Makes the entries of a history of some events, in order."""

    def __init__(self, events: int, crowded: bool = False) -> None:
        self._chains = -(-events // CHAIN)
        self._crowded = crowded
        self._waiting: list[_Entry] = []
        self._places = self._deliveries = self._handlings = 0

    def entries(self) -> Iterator[Entry]:
        """Yield every entry of the history."""
        yield Entry(0, "phase", details={"phase": "safety"})
        for number in range(CONSUMERS):
            yield Entry(0, "joined", consumer=f"c{number + 1}")
        at = 0
        beside = 1 if self._crowded else CONSUMERS
        for first in range(0, self._chains, beside):  # families come in waves, as an interleaved workload has them
            wave = range(first, min(first + beside, self._chains))
            done = dict.fromkeys(wave, (0, ""))
            for link in range(CHAIN):
                for chain in wave:
                    yield from self._until(at)
                    done[chain] = self._life(chain, link, at, done[chain])
                    at += GAP
        end = max(entry.at for entry in self._waiting) + 10_000_000
        yield from self._until(end)
        yield Entry(end, "census", details={"keys": {}})
        yield Entry(end, "phase", details={"phase": "quiet", "in_flight": []})

    def _until(self, at: int) -> Iterator[Entry]:
        while self._waiting and self._waiting[0].at <= at:
            yield heapq.heappop(self._waiting).entry

    def _add(self, at: int, kind: str, event: str = "", consumer: str = "", **details: Any) -> None:
        self._places += 1
        heapq.heappush(self._waiting, _Entry(at, self._places, Entry(at, kind, event, consumer, details)))

    def _life(self, chain: int, link: int, at: int, done: tuple[int, str]) -> tuple[int, str]:
        """Tell all of an event's life after its leader's handling; return when its own ended, and whose it was."""
        number = chain * CHAIN + link
        ready, releaser = done
        name, leader = f"c{chain + 1}.{link + 1}", f"c{chain + 1}.{link}" if link else ""
        consumer = f"c{(number * 7 + chain) % CONSUMERS + 1}"
        said = blake2b(name.encode(), digest_size=16).hexdigest()
        occurred = {"occurred": number, "fingerprint": said[:16], "id": str(UUID(said)), "follows": leader}
        self._add(at, "published", name, **occurred)
        early = bool(link) and (self._crowded or number % 50 == 1)
        travelled = at + TRAVEL + number * 7919 % TRAVEL
        arrived = max(travelled, ready + LATENCY) if not early else travelled if self._crowded else at + 1
        delivery = self._deliver(arrived, name, consumer)
        via, begun = "delivered", arrived + LATENCY
        if early and begun < ready:
            self._add(begun, "parked", name, consumer, delivery=delivery)
            self._add(begun + LATENCY, "acknowledged", name, consumer, delivery=delivery)
            consumer, via, begun = releaser, "released", ready + LATENCY
        begun = max(begun, ready + 1)
        ended = begun + WORK + number * 104_729 % WORK
        if number % 50 == 0:  # a slow leader, which its follower overtakes
            ended += 2 * CONSUMERS * GAP
        self._handle(begun, ended, name, consumer, via=via, fingerprint=said[:16])
        if via == "delivered":
            self._add(ended + LATENCY, "acknowledged", name, consumer, delivery=delivery)
        if number % 100 == 0:
            self._add(at, "duplicated", name)
            again = self._deliver(ended + TRAVEL, name, "c1")
            self._add(ended + TRAVEL + LATENCY, "refused", name, "c1", because="seen", delivery=again)
            self._add(ended + TRAVEL + 2 * LATENCY, "acknowledged", name, "c1", delivery=again)
        return ended, consumer

    def _deliver(self, at: int, name: str, consumer: str) -> int:
        self._deliveries += 1
        self._add(at, "delivered", name, consumer, attempt=1, delivery=self._deliveries)
        return self._deliveries

    def _handle(self, begun: int, ended: int, name: str, consumer: str, **details: str) -> None:
        self._handlings += 1
        handling = f"{consumer}/{self._handlings}"
        fence = 1_700_000_000_000_000 + self._handlings
        self._add(begun, "started", name, consumer, handling=handling, fence=fence, **details)
        self._add(ended, "ended", name, consumer, handling=handling, outcome="ok", write="accepted")


def write(path: Path, events: int, crowded: bool = False) -> None:
    """Write a history of so many events into a file."""
    header = Header(scenario="long", engine="made-up", terms=Terms(), exercise=("handled", "parked", "released"))
    with path.open("wb") as file:
        file.write(header.to_json().encode() + b"\n")
        file.writelines(entry.to_json() + b"\n" for entry in Maker(events, crowded).entries())


def main() -> None:
    """Write the history that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("events", type=int)
    parser.add_argument("path", type=Path)
    parser.add_argument("--crowded", action="store_true", help="most events are parked")
    given = parser.parse_args()
    write(given.path, given.events, given.crowded)


if __name__ == "__main__":
    main()
