"""The options of the commands: one frozen value for each command, as the command's function receives it.

The parsers are in `arguments`. Each option of a command is a field of its value here; a test compares their names.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

UNTIL_SATURATED = 100_000
"""Largest number of seeds until a search is saturated, if the command line gives none."""


@dataclass(frozen=True, kw_only=True)
class StoreOptions:
    """The options for the Redis of the runs."""

    store: str
    redis_server: Path | None


@dataclass(frozen=True, kw_only=True)
class WorldOptions(StoreOptions):
    """The options for the engine, its store, and the trust in the scenario."""

    engine: str | None
    trust: bool

    @property
    def engines(self) -> tuple[str, ...]:
        """The engines that the command line names."""
        return (self.engine,) if self.engine else ()


@dataclass(frozen=True, kw_only=True)
class WhereOptions:
    """The options for the place of the runs: processes of this machine, or a cluster."""

    jobs: int
    scheduler: str | None


@dataclass(frozen=True, kw_only=True)
class RunOptions(WorldOptions, WhereOptions):
    """The options of `causim run`."""

    paths: list[Path]
    seed: int | None
    seeds: int | None
    until_saturated: float | None
    stop_after: int | None
    last_failed: bool
    check_determinism: bool
    strategy: str
    depth: int
    early_timers: int
    max_faults: int
    fault_kinds: str
    max_runs: int | None
    out: Path
    no_results: bool
    junit: Path | None
    summary: Path | None
    json: bool
    quiet: bool

    @property
    def seed_count(self) -> int:
        """Number of seeds to run."""
        if self.seeds is not None:
            return self.seeds
        return UNTIL_SATURATED if self.until_saturated else 1


@dataclass(frozen=True, kw_only=True)
class CheckOptions:
    """The options of `causim check`."""

    history: Path
    invariant: list[str]
    json: bool
    limit: int


@dataclass(frozen=True, kw_only=True)
class CompareOptions(StoreOptions):
    """The options of `causim compare`."""

    path: Path
    engine: list[str]
    seed: int | None
    seeds: int
    jobs: int
    csv: Path | None
    json: bool


@dataclass(frozen=True, kw_only=True)
class CompletionOptions:
    """The options of `causim completion`."""

    shell: str


@dataclass(frozen=True, kw_only=True)
class CrashesOptions(WorldOptions):
    """The options of `causim crashes`."""

    path: Path
    fault: str
    duration: str | None
    seed: int | None
    jobs: int
    out: Path


@dataclass(frozen=True, kw_only=True)
class DiffOptions:
    """The options of `causim diff`."""

    baseline: Path
    change: Path
    json: bool


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """The options of `causim export`."""

    result: Path
    format: str
    out: Path | None


@dataclass(frozen=True, kw_only=True)
class ImportOptions:
    """The options of `causim import`."""

    log: Path
    columns: str
    name: str | None
    out: Path
    skip_bad: bool
    allow_unknown_leaders: bool
    force: bool


@dataclass(frozen=True, kw_only=True)
class InitOptions:
    """The options of `causim init`."""

    folder: Path


@dataclass(frozen=True, kw_only=True)
class ListOptions:
    """The options of `causim list`."""

    what: str
    paths: list[Path]


@dataclass(frozen=True, kw_only=True)
class MutantsOptions(StoreOptions):
    """The options of `causim mutants`."""

    names: list[str]
    seeds: int | None


@dataclass(frozen=True, kw_only=True)
class OpenOptions:
    """The options of `causim open`."""

    result: str | None
    all: bool
    out: Path


@dataclass(frozen=True, kw_only=True)
class ReplayOptions(WorldOptions):
    """The options of `causim replay`."""

    file: Path
    history: Path | None
    quiet: bool


@dataclass(frozen=True, kw_only=True)
class SchemaOptions:
    """The options of `causim schema`: none."""


@dataclass(frozen=True, kw_only=True)
class ResultOptions(WorldOptions):
    """The options that choose a violation of a run."""

    result: Path
    seed: int | None
    invariant: str
    max_runs: int


@dataclass(frozen=True, kw_only=True)
class ShrinkOptions(ResultOptions):
    """The options of `causim shrink`."""

    tries: int
    seconds: int | None
    out: Path | None
    quiet: bool


@dataclass(frozen=True, kw_only=True)
class SweepOptions(WorldOptions, WhereOptions):
    """The options of `causim sweep`."""

    path: Path
    vary: list[str]
    seed: int
    seeds: int
    out: Path
    no_resume: bool
    json: bool


@dataclass(frozen=True, kw_only=True)
class ValidateOptions:
    """The options of `causim validate`."""

    paths: list[Path]


@dataclass(frozen=True, kw_only=True)
class WhyOptions(ResultOptions):
    """The options of `causim why`."""

    samples: int
    jobs: int
    json: bool


OPTIONS: Mapping[str, type[Any]] = {
    "check": CheckOptions,
    "compare": CompareOptions,
    "completion": CompletionOptions,
    "crashes": CrashesOptions,
    "diff": DiffOptions,
    "export": ExportOptions,
    "import": ImportOptions,
    "init": InitOptions,
    "list": ListOptions,
    "mutants": MutantsOptions,
    "open": OpenOptions,
    "replay": ReplayOptions,
    "run": RunOptions,
    "schema": SchemaOptions,
    "shrink": ShrinkOptions,
    "sweep": SweepOptions,
    "validate": ValidateOptions,
    "why": WhyOptions,
}
"""The value of each command."""


def given_by(parsed: argparse.Namespace) -> Any:
    """Return the value of the command that was parsed."""
    kind = OPTIONS[parsed.command]
    return kind(**{each.name: getattr(parsed, each.name) for each in fields(kind)})
