"""A strict importer of Chrome trace-event files, written from the format's description and not from our exporter.

It does what a viewer does, with a stack of open slices for each thread, and raises where a viewer would silently drop
or bend something: a slice that begins in another and outlasts it, an arrow end in no slice, an arrow without an end.
"""

import json
from dataclasses import dataclass, field
from typing import Any

FIELDS = {
    "M": {"name": str, "pid": int, "args": dict},
    "X": {"name": str, "cat": str, "pid": int, "tid": int, "ts": (int, float), "dur": (int, float), "args": dict},
    "i": {"name": str, "cat": str, "pid": int, "tid": int, "ts": (int, float), "s": str, "args": dict},
    "C": {"name": str, "pid": int, "tid": int, "ts": (int, float), "args": dict},
    "s": {"name": str, "cat": str, "pid": int, "tid": int, "ts": (int, float), "id": int},
    "f": {"name": str, "cat": str, "pid": int, "tid": int, "ts": (int, float), "id": int, "bp": str},
}
"""The phases that a viewer understands, and what an event of each must have."""

LABELS = {"process_name": "name", "thread_name": "name", "process_sort_index": "sort_index"}
LABELS["thread_sort_index"] = "sort_index"


class Rejected(Exception):
    """A viewer would lose something of this file."""


@dataclass
class Imported:
    """What a viewer shows."""

    slices: int = 0
    depth: int = 0
    """How deep slices are nested, at most."""
    arrows: list[tuple[str, str, str]] = field(default_factory=list)
    """Each arrow's category, and the names of the slices that it leaves and enters."""
    processes: dict[int, str] = field(default_factory=dict)


def import_trace(text: str) -> Imported:
    """Read a file as a viewer does. Raises Rejected."""
    file = json.loads(text, parse_constant=_refuse)
    if not isinstance(file.get("traceEvents"), list):
        raise Rejected("no list of traceEvents")
    events = file["traceEvents"]
    for event in events:
        _check(event)
    return _Importer().take(events)


def _refuse(word: str) -> None:
    raise Rejected(f"{word} is not JSON")


def _check(event: Any) -> None:
    expected = FIELDS.get(event.get("ph"))
    if expected is None:
        raise Rejected(f"unknown phase: {event}")
    for name, kind in expected.items():
        if not isinstance(event.get(name), kind) or isinstance(event[name], bool):
            raise Rejected(f"{name} is missing or of the wrong type: {event}")
    if event.get("ts", 0) < 0 or event.get("dur", 1) <= 0:
        raise Rejected(f"a time is negative, or a slice has no length: {event}")
    if event["ph"] == "M" and list(event["args"]) != [LABELS.get(event["name"])]:
        raise Rejected(f"unknown metadata: {event}")
    if event["ph"] == "C" and not all(isinstance(value, int | float) for value in event["args"].values()):
        raise Rejected(f"a counter counts numbers: {event}")
    if event["ph"] == "i" and event["s"] not in "gpt":
        raise Rejected(f"unknown scope: {event}")


class _Importer:
    def __init__(self) -> None:
        self._found = Imported()
        self._open: dict[tuple[int, int], list[tuple[int, str]]] = {}
        """For each thread, the ends and names of the slices that are open, the innermost last."""
        self._flying: dict[tuple[str, str, int], str] = {}
        self._now = 0

    def take(self, events: list[dict[str, Any]]) -> Imported:
        for event in events:
            if event["ph"] == "M":
                if event["name"] == "process_name":
                    self._found.processes[event["pid"]] = event["args"]["name"]
                continue
            now = round(event["ts"] * 1000)
            if now < self._now:
                raise Rejected(f"out of order: {event}")
            self._now = now
            if event["pid"] not in self._found.processes:
                raise Rejected(f"a process without a name: {event}")
            self._step(event, now)
        if self._flying:
            raise Rejected(f"arrows that never arrive: {list(self._flying)[:3]}")
        return self._found

    def _step(self, event: dict[str, Any], now: int) -> None:
        stack = self._open.setdefault((event["pid"], event["tid"]), [])
        while stack and stack[-1][0] <= now:
            stack.pop()
        arrow = (event.get("cat", ""), event["name"], event.get("id", 0))
        if event["ph"] == "X":
            end = now + round(event["dur"] * 1000)
            if stack and stack[-1][0] < end:
                raise Rejected(f"begins in {stack[-1][1]!r} and outlasts it: {event}")
            stack.append((end, event["name"]))
            self._found.slices += 1
            self._found.depth = max(self._found.depth, len(stack))
        elif event["ph"] in "sf" and not stack:
            raise Rejected(f"an arrow's end in no slice: {event}")
        elif event["ph"] == "s":
            if arrow in self._flying:
                raise Rejected(f"this arrow has left already: {event}")
            self._flying[arrow] = stack[-1][1]
        elif event["ph"] == "f":
            if event["bp"] != "e" or arrow not in self._flying:
                raise Rejected(f"an arrow that never left, or that binds to the next slice: {event}")
            self._found.arrows.append((event["cat"], self._flying.pop(arrow), stack[-1][1]))
