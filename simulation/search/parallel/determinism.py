"""Determinism: the same seeds in two processes with different hash seeds must write the same histories.

Where they do not, something outside of the simulation has a say: a clock, a random number, the order of a set.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import zip_longest

from simulation.search.parallel.pool import workers
from simulation.search.parallel.seeds import Plan, Worker

HASH_SEEDS = ("1", "2")


@dataclass(frozen=True, slots=True)
class Difference:
    """The first place in which two histories of one seed differ."""

    seed: int
    entry: int
    """The number of the entry in the traced history, from 1 on; 0 if they differed only once."""
    first: str
    second: str
    """The entries of the two processes there; empty if one of them had nothing left to write."""


@dataclass(frozen=True, slots=True)
class Compared:
    """One seed, run in both processes."""

    seed: int
    difference: Difference | None
    outside: tuple[str, ...] = ()
    """Outside resources that the run has reached, as its scenario allows."""


def compare_twice(plan: Plan, seeds: Iterable[int]) -> Iterator[Compared]:
    """Run each seed in two processes with different hash seeds, and yield whether they agree."""
    with ExitStack() as stack:
        pools = [stack.enter_context(process(hash_seed, plan)) for hash_seed in HASH_SEEDS]
        for seed in seeds:
            one, other = (pool.submit(_ran, seed) for pool in pools)
            (first, outside), (second, _) = one.result(), other.result()
            yield Compared(seed, None if first == second else _difference(pools, seed), outside)


def _difference(pools: Iterable[ProcessPoolExecutor], seed: int) -> Difference:
    one, other = (pool.submit(_lines, seed) for pool in pools)
    pairs = zip_longest(one.result(), other.result(), fillvalue="")
    for number, (first, second) in enumerate(pairs, start=1):
        if first != second:
            return Difference(seed, number, first, second)
    return Difference(seed, 0, "the histories differed once", "and did not when they were written again")


@contextmanager
def process(hash_seed: str, plan: Plan) -> Iterator[ProcessPoolExecutor]:
    """Open a process with a hash seed of its own, which can run the seeds of a plan."""
    before = os.environ.get("PYTHONHASHSEED")
    os.environ["PYTHONHASHSEED"] = hash_seed  # the child reads it when it starts, which its first task makes it do
    try:
        pool = workers(1, partial(Worker.prepare, plan))
        pool.submit(os.getpid).result()
    finally:
        if before is None:
            del os.environ["PYTHONHASHSEED"]
        else:
            os.environ["PYTHONHASHSEED"] = before
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def digest_of(seed: int) -> str:
    """Run a seed in a process of `process`, and return the digest of its history."""
    return Worker.runner.run(seed).digest


def _ran(seed: int) -> tuple[str, tuple[str, ...]]:
    run = Worker.runner.run(seed)
    return run.digest, run.outside


def _lines(seed: int) -> list[str]:
    return [entry.to_json().decode() for entry in Worker.runner.run(seed, trace=True).history]
