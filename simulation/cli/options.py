"""Options that several commands have, and their types."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, Protocol

from causim.counts import jobs
from simulation.cli.text import write_note


class Options(Protocol):
    """A parser, or a group of its options."""

    def add_argument(self, *names: str, **options: Any) -> argparse.Action:
        """Add an option."""
        ...


class _OldName(argparse.Action):
    """An option under its old name: prints the new one, and sets the same value."""

    def __call__(
        self, parser: argparse.ArgumentParser, given: argparse.Namespace, value: Any, option: str | None = None
    ) -> None:
        write_note(f"{option} is called {self.metavar} now; the old name works for one release")
        setattr(given, self.dest, True if self.nargs == 0 else value)


def add_renamed(parser: Options, new: str, old: str, **options: Any) -> None:
    """Add an option that had another name, which works for one release."""
    dest = options.pop("dest", new.lstrip("-").replace("-", "_"))
    parser.add_argument(new, dest=dest, **options)
    flag = options.get("action") == "store_true"
    same: dict[str, Any] = (
        {"nargs": 0} if flag else {key: options[key] for key in ("type", "choices") if key in options}
    )
    parser.add_argument(
        old, dest=dest, action=_OldName, metavar=new, default=argparse.SUPPRESS, help=argparse.SUPPRESS, **same
    )


def add_where_options(parser: argparse.ArgumentParser, default: str) -> None:
    """Add the options for the place of the runs: this machine or a cluster, not both."""
    where = parser.add_argument_group("where the runs are made").add_mutually_exclusive_group()
    where.add_argument(
        "--jobs",
        type=jobs,
        default=default,
        metavar="J",
        help=f"runs at a time: a count, or auto for all cores (default: {default})",
    )
    where.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="run on the Dask cluster of this scheduler, such as tcp://host:8786; it and its workers need "
        "this version of causim[dask], workers also the same Redis, and the module of an engine of your own",
    )


def add_world_options(parser: argparse.ArgumentParser) -> None:
    """Add the options for the engine and its store."""
    group = parser.add_argument_group("engine and Redis")
    group.add_argument(
        "--engine", metavar="E", help="one of `causim list engines`, or module:Class (default: the scenario's)"
    )
    add_trust_option(group)
    add_store_options(group)


def add_trust_option(parser: Options) -> None:
    """Add the option that lets scenarios import code, read files elsewhere, and reach outside of a run."""
    parser.add_argument(
        "--trust",
        action="store_true",
        help="let the scenario import an engine that it names itself, read a trace outside of its folder, and allow "
        "what is outside of a run ([allow])",
    )


def add_store_options(parser: Options) -> None:
    """Add the options for the Redis of the runs."""
    parser.add_argument(
        "--store",
        default="auto",
        help="server; embedded; redis://host:port/db (default: server where it can run)",
    )
    parser.add_argument(
        "--redis-server", type=Path, metavar="FILE", help="use this redis-server for the store `server`"
    )
