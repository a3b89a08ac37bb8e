"""Each entry of a history as a plain sentence. A page must escape the sentences."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from simulation.history.entries import Entry

Details = Mapping[str, object]
Phrase = Callable[[str, Details], str]

LONGEST_REPLY = 200
"""Number of characters shown of a command, a reply or a message; the history has it whole."""


def sentence(entry: Entry) -> str:
    """Say what an entry says, in a few words, without its time and its consumer."""
    phrase = WORDS.get(entry.kind)
    details = {name: value for name, value in entry.details.items() if value not in ("", None, [])}
    return phrase(entry.event, details) if phrase else entry.kind


def moment(at: int) -> str:
    """Write a moment of a run, to the microsecond where it matters: `0.0115 s`, `900 s`."""
    return f"{at / 1e6:,.6f}".rstrip("0").rstrip(".") + " s"


def _with(words: str, details: Details, *names: str) -> str:
    """Append to some words the details that the history has."""
    shown = [f"{name} {_plain(details[name])}" for name in names if name in details]
    return f"{words} ({', '.join(shown)})" if shown else words


def _plain(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _published(event: str, details: Details) -> str:
    follows = details.get("follows")
    return f"{event} was published" + (f"; it follows {follows}" if follows else "")


def _delivered(event: str, details: Details) -> str:
    attempt = details.get("attempt", 1)
    return f"{event} was delivered" + (f" again, attempt {attempt}" if attempt != 1 else "")


def _started(event: str, details: Details) -> str:
    ways = {
        "released": "released by its leader",
        "rescued": "rescued by the sweep",
        "delivered": "delivered by the broker",
    }
    how = ways.get(str(details.get("via")), "")
    return f"began to handle {event}" + (f", {how}" if how else "")


def _ended(event: str, details: Details) -> str:
    words = {"ok": f"{event} was handled", "failed": f"the handling of {event} failed"}.get(
        str(details.get("outcome", "unknown")), f"the handling of {event} ended; its outcome is not recorded"
    )
    write = details.get("write")
    return f"{words}; its write was {write}" if write else words


def _because(words: str) -> Phrase:
    def phrase(event: str, details: Details) -> str:
        because = details.get("because")
        return words.format(event=event) if not because else f"{words.format(event=event)}: {because}"

    return phrase


def _fault(event: str, details: Details) -> str:
    rest = [f"{name} {_plain(value)}" for name, value in details.items() if name not in ("fault", "number")]
    words = f"fault {details.get('fault', '')}" + (f" on {event}" if event else "")
    return f"{words} ({', '.join(rest)})" if rest else words


def _phase(_: str, details: Details) -> str:
    return _with(f"the {details.get('phase', '')} phase begins", details, "in_flight")


def _census(_: str, details: Details) -> str:
    keys = details.get("keys")
    return f"{len(keys) if isinstance(keys, (dict, list)) else 0} keys were left in the store"


def _command(_: str, details: Details) -> str:
    said = details.get("commands", details.get("command", ""))
    return "→ Redis: " + _short("; ".join(map(_words, said)) if isinstance(said, list) else str(said))


def _words(command: object) -> str:
    return " ".join(map(str, command)) if isinstance(command, list) else str(command)


def _reply(_: str, details: Details) -> str:
    said = details.get("reply", "")
    return "← Redis: " + _short(said if isinstance(said, str) else json.dumps(said, ensure_ascii=False))


def _short(text: str) -> str:
    one_line = " ".join(text.split())
    return one_line if len(one_line) <= LONGEST_REPLY else one_line[:LONGEST_REPLY] + " …"


def _raised(_: str, details: Details) -> str:
    said = f"{details.get('error', 'an error')}: {_short(str(details.get('message', '')))}".rstrip(": ")
    frames = details.get("frames")
    where = f" ({frames[-1]})" if isinstance(frames, list) and frames else ""
    at = details.get("raised_at")
    when = f", at {moment(at)}" if type(at) is int else ""
    return f"raised {said}{where}{when}"


WORDS: Mapping[str, Phrase] = {
    "published": _published,
    "duplicated": lambda event, _: f"the broker will deliver {event} once more",
    "dropped": lambda event, _: f"the broker lost a delivery of {event}",
    "delivered": _delivered,
    "acknowledged": lambda event, _: f"{event} was acknowledged",
    "rejected": _because("{event} was rejected"),
    "dead-lettered": lambda event, details: _with(f"{event} was dead-lettered", details, "by"),
    "parked": lambda event, _: f"{event} was parked until its leader is handled",
    "refused": _because("{event} was refused"),
    "lease-lost": lambda event, _: f"learned that the lease on {event} is no longer its own",
    "started": _started,
    "ended": _ended,
    "swept": lambda _, details: _with("swept for overdue followers", details, "found", "because"),
    "joined": lambda *_: "came alive",
    "stopped": lambda *_: "stopped in good order",
    "crashed": lambda _, details: _with("crashed", details, "holding"),
    "paused": lambda *_: "was paused",
    "resumed": lambda *_: "went on",
    "blocked": lambda _, details: _with("was blocked by a call of its own", details, "duration", "where"),
    "fault": _fault,
    "healed": lambda _, details: f"fault {details.get('fault', '')} ended",
    "unreachable": lambda *_: "Redis became unreachable",
    "reachable": lambda *_: "Redis is reachable again",
    "slot-moving": lambda *_: "a slot of the cluster began to move",
    "slot-moved": lambda *_: "the slot of the cluster has moved",
    "store-lost": lambda _, details: _with("Redis lost data", details, "keys"),
    "phase": _phase,
    "census": _census,
    "raised": _raised,
    "outside": lambda _, details: f"{details.get('what', 'something outside of the run was reached')}, as is allowed",
    "unfinished": lambda event, details: (
        f"{details.get('call', 'a call')} has not returned" + (event and f" for {event}")
    ),
    "warned": lambda event, _: f"warned of {event}",
    "command": _command,
    "reply": _reply,
    "logged": lambda _, details: f"logged {details.get('level', '')}: {_short(str(details.get('message', '')))}",
}
"""The sentence of each kind of entry; the time and the consumer stand before it."""
