"""Histories for ShiViz: a line an entry, with the vector clock of the place in which it happened.

The first line is the parser, a regular expression, and the second line is empty, as ShiViz takes them from a file.
The clocks say what `causes.py` finds proven and nothing more. A clock names every place that it has heard of, so a
history of many consumers makes long lines: that is the format.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING
from urllib.parse import quote

from reports.exports.causes import BROKER, REDIS, WORLD, Place, causes_of, place_of
from reports.exports.text import compact, one_line, whole
from reports.text.sentences import moment, sentence

if TYPE_CHECKING:
    from simulation.history.entries import Entry
    from simulation.history.history import History
    from simulation.invariants import Violation

PARSER = r"^(?<host>\S+) (?<clock>\{\S*\}) (?<event>.*)$"
"""The regular expression that reads a line; no line of the head matches it."""

HOSTS = {BROKER: "broker", REDIS: "Redis", WORLD: "world"}


def host(place: Place) -> str:
    """Return the name of a place: without blanks, and never that of another place."""
    if place in HOSTS:
        return HOSTS[place]
    name = quote(whole(place.name), safe="@:+,;=()[]")
    return f"%{ord(name[0]):02X}{name[1:]}" if name in HOSTS.values() else name


def clocks(history: History) -> Iterator[tuple[str, dict[str, int]]]:
    """Yield the host of each entry and its vector clock; a host that it has not heard of is left out.

    The clock belongs to the caller only until the next one is asked for.
    """
    messages = causes_of(history)
    readers = Counter(cause for causes in messages for cause in causes)
    kept: dict[int, dict[str, int]] = {}
    hosts: dict[Place, str] = {}
    running: dict[str, dict[str, int]] = {}
    for index, (entry, causes) in enumerate(zip(history, messages, strict=True)):
        place = place_of(entry)
        if place not in hosts:
            hosts[place] = host(place)
            running[hosts[place]] = {}
        clock = running[hosts[place]]
        for cause in causes:
            _merge(clock, kept[cause])
            readers[cause] -= 1
            if not readers[cause]:
                del kept[cause]
        clock[hosts[place]] = clock.get(hosts[place], 0) + 1
        if readers[index]:
            kept[index] = dict(clock)
        yield hosts[place], clock


def _merge(clock: dict[str, int], heard: dict[str, int]) -> None:
    for name, count in heard.items():
        if count > clock.get(name, 0):
            clock[name] = count


def write(history: History, _: Sequence[Violation] = ()) -> Iterator[str]:
    """Yield the lines of the log."""
    yield PARSER + "\n\n"
    for entry, (name, clock) in zip(history, clocks(history), strict=True):
        yield f"{name} {compact(clock)} {_event(entry)}\n"


def _event(entry: Entry) -> str:
    who = f" ({entry.consumer})" if entry.kind in ("acknowledged", "rejected", "command", "fault", "healed") else ""
    return one_line(whole(f"{sentence(entry)}{who if entry.consumer else ''} at {moment(entry.at)}"))
