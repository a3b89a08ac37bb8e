"""The command line for operators of the engine: `python -m ordering stats URL SCOPE`, `python -m ordering dead …`.

Exit codes: 0 done; 1 there is no such dead letter; 2 the command cannot be read; 3 Redis cannot be reached, or refuses.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sys
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import redis.asyncio
from redis.asyncio.cluster import RedisCluster

from ordering.causal import CausalOrdering
from ordering.letters import DeadLetter
from ordering.partitions import MAX_PARTITIONS, PartitionedOrdering
from ordering.policy import Policy
from ordering.shielding import REFUSALS

DONE, UNKNOWN, UNREACHABLE = 0, 1, 3
_TIMES = ("lookback", "retention", "memory", "dead_retention")
"""The times of a policy that these commands depend on: what is overdue or over, and what is remembered of a discarded
event."""
_EPILOG = "example: python -m ordering dead list redis://localhost:6379 orders"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code."""
    parser = _parser()
    asked = parser.parse_args(arguments)
    try:
        asked.policy = Policy(**dict(asked.policy))
    except ValueError as error:
        parser.error(str(error))
    try:
        return asyncio.run(_run(asked))
    except REFUSALS as refusal:
        _print(_safe(f"{_without_password(asked.url)}: {refusal}"), file=sys.stderr)
        return UNREACHABLE


def _without_password(url: str) -> str:
    """Return a URL as it may be printed."""
    return re.sub(r"(//[^:/?#]*:).*(?=@)|([?&]password=)[^&]*", r"\1\2…", url)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m ordering", description=__doc__, epilog=_EPILOG)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add(commands, "stats", _stats, "print how many events wait, and since when")
    dead = commands.add_parser("dead", help="deal with dead letters", description="Deal with dead letters.")
    verbs = dead.add_subparsers(required=True, metavar="VERB")
    listing = _add(verbs, "list", _list, "list dead letters, the oldest first")
    listing.add_argument("--limit", type=_positive, default=100, help="how many at most (default: 100)")
    listing.add_argument("--first", type=_natural, default=0, help="how many to leave out before (default: 0)")
    for name, run, what in (
        ("show", _show, "show a dead letter, with what its event says"),
        ("retry", _retry, "offer a dead event again: the next sweep hands it out, with all its attempts"),
        ("discard", _discard, "throw a dead letter away: its event counts as handled"),
    ):
        _add(verbs, name, run, what).add_argument("id", type=_named("the id of an event"), help="the id of the event")
    return parser


def _add(commands: Any, name: str, run: Callable[..., Any], what: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=what, description=what.capitalize() + ".")
    parser.add_argument(
        "url", metavar="URL", type=_address, help="where Redis is: redis://host:port/db, rediss://…, unix://…"
    )
    parser.add_argument("scope", metavar="SCOPE", type=_named("a scope"), help="the scope of the ordering")
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")
    parser.add_argument("--cluster", action="store_true", help="the URL names a node of a Redis Cluster")
    whose = parser.add_mutually_exclusive_group()
    whose.add_argument("--partitions", type=_partitions, metavar="N", help="the scope is divided into N partitions")
    whose.add_argument("--prefect", action="store_true", help="the scope is one of ordering.prefect, as triggers")
    times = "a time of your consumers' policy, if it is not the default: " + ", ".join(_TIMES)
    parser.add_argument(
        "--policy", type=_time, action="append", default=[], metavar="NAME=SECONDS", help=times + " (repeatable)"
    )
    parser.set_defaults(run=run)
    return parser


def _natural(text: str, least: int = 0) -> int:
    if not text.isdecimal() or int(text) < least:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least {least}, not {text!r}")
    return int(text)


def _positive(text: str) -> int:
    return _natural(text, 1)


def _partitions(text: str) -> int:
    if (number := _positive(text)) > MAX_PARTITIONS:
        raise argparse.ArgumentTypeError(f"must be at most {MAX_PARTITIONS}, the slots of a cluster, not {text!r}")
    return number


def _named(what: str) -> Callable[[str], str]:
    """Return what reads a name that must not be empty."""

    def read(text: str) -> str:
        if not text:
            raise argparse.ArgumentTypeError(f"{what} must not be empty")
        return text

    return read


def _time(text: str) -> tuple[str, timedelta]:
    """Return a time of a policy, and its name."""
    name, _, seconds = text.partition("=")
    if name not in _TIMES:
        raise argparse.ArgumentTypeError(f"must be one of {', '.join(_TIMES)}, with =SECONDS, not {text!r}")
    try:
        return name, timedelta(seconds=float(seconds))
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(f"{name} must be a number of seconds, not {seconds!r}") from None


def _address(text: str) -> str:
    """Return a URL that the client can read."""
    try:
        redis.asyncio.ConnectionPool.from_url(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


async def _run(asked: argparse.Namespace) -> int:
    kind: Any = RedisCluster if asked.cluster else redis.asyncio.Redis
    async with kind.from_url(asked.url) as client:
        code: int = await asked.run(_ordering(asked, client), asked)
        return code


class _BesidePrefect(CausalOrdering[Any]):
    """The keys of `ordering.prefect`, without what that needs: an installed Prefect, and its settings."""

    _waitlist = "parked"
    is_cluster = False

    def _key(self, name: str) -> str:
        return super()._key(name) if self.is_cluster else f"{self.scope}:{name}"


def _ordering(asked: argparse.Namespace, client: Any) -> Any:
    """Return the ordering that a command is about."""
    if asked.partitions:
        return PartitionedOrdering(asked.scope, partitions=asked.partitions, redis=client, policy=asked.policy)
    if not asked.prefect:
        return CausalOrdering(asked.scope, redis=client, policy=asked.policy)
    beside = _BesidePrefect(asked.scope, redis=client, policy=asked.policy)
    beside.is_cluster = asked.cluster
    return beside


async def _stats(ordering: Any, asked: argparse.Namespace) -> int:
    parts = {"total": await ordering.stats()}
    for part in getattr(ordering, "partitions", ()):
        parts[part.scope] = await part.stats()
    if asked.json:
        _print(
            json.dumps(
                {name: stats.as_dict() for name, stats in parts.items()}
                if asked.partitions
                else parts["total"].as_dict()
            )
        )
        return DONE
    for name, stats in parts.items():
        if asked.partitions:
            _print(name)
        for key, value in stats.as_dict().items():
            _print(f"{key:<11}{'-' if value is None else value}")
    return DONE


async def _list(ordering: Any, asked: argparse.Namespace) -> int:
    letters = await ordering.dead_letters(limit=asked.limit, first=asked.first)
    if asked.json:
        _print(json.dumps([letter.as_dict(payload=False) for letter in letters]))
        return DONE
    for letter in letters:
        _print("  ".join((letter.at.isoformat(timespec="seconds"), _safe(letter.id), *_about(letter))))
    if not letters:
        _print("no dead letters", file=sys.stderr)
    return DONE


def _about(letter: DeadLetter) -> tuple[str, ...]:
    return f"{letter.attempts} attempts", _safe(letter.reason), _safe(letter.error)


async def _show(ordering: Any, asked: argparse.Namespace) -> int:
    letter = await ordering.dead_letter(asked.id)
    if letter is None:
        return _unknown(asked)
    if asked.json:
        _print(json.dumps(letter.as_dict()))
        return DONE
    for key, value in letter.as_dict(payload=False).items():
        _print(f"{key:<9}{_safe(str(value))}")
    _print(_safe(letter.payload.decode(errors="replace")))
    return DONE


async def _retry(ordering: Any, asked: argparse.Namespace) -> int:
    return _said(asked, await ordering.retry(asked.id), "is offered again")


async def _discard(ordering: Any, asked: argparse.Namespace) -> int:
    return _said(asked, await ordering.discard(asked.id), "was discarded")


def _said(asked: argparse.Namespace, done: bool, what: str) -> int:
    if not done:
        return _unknown(asked)
    _print(json.dumps({"id": asked.id, "done": True}) if asked.json else f"event {_safe(asked.id)} {what}")
    return DONE


def _unknown(asked: argparse.Namespace) -> int:
    if asked.json:
        _print(json.dumps({"id": asked.id, "done": False}))
    _print(f"scope {_safe(asked.scope)} has no dead letter {_safe(asked.id)}", file=sys.stderr)
    return UNKNOWN


def _safe(text: str) -> str:
    """Return text of which a terminal shows every character, and obeys none."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def _print(text: str, *, file: Any = None) -> None:
    print(text, file=file)  # what a command says goes to the terminal


if __name__ == "__main__":
    sys.exit(main())
