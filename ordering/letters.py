"""Dead letters: events that were given up, with the reason, until they are retried or discarded."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

REASONS = {
    "failed": "its handler failed at each attempt",
    "exhausted": "the consumers that began with it have not come back",
    "unreadable": "no consumer that was offered it could read it",
}
"""The reasons of the engine's own, in words. Others are those that were given to `give_up`."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An event that was given up."""

    id: str
    follows: str
    """The id of its leader, empty if it follows nothing."""
    reason: str
    """`failed`, `exhausted`, `unreadable`, or what was given to `give_up`."""
    error: str
    """Type and message of the last error, empty if none was reported."""
    attempts: int
    """Number of attempts, as far as the engine has counted."""
    at: datetime
    """The time at which it was given up, by the server's clock."""
    payload: bytes
    """The payload of the event, as it was parked; empty if that is not known."""

    @property
    def why(self) -> str:
        """The reason in words."""
        return REASONS.get(self.reason, self.reason)

    def as_dict(self, *, payload: bool = True) -> dict[str, Any]:
        """Return the letter as plain data, with its payload as text or without it."""
        about = {name: getattr(self, name) for name in ("id", "follows", "reason", "error", "attempts")}
        about["at"] = self.at.isoformat()
        return about | {"payload": self.payload.decode(errors="replace")} if payload else about


def read_letter(raw: bytes | str) -> DeadLetter | None:
    """Return a dead letter as the scripts write it: a line of JSON, and the payload. None if it is gone."""
    if not raw:
        return None
    whole = raw.encode() if isinstance(raw, str) else raw
    line, _, payload = whole.partition(b"\n")
    identity, follows, _, reason, error, attempts, at = json.loads(line)
    moment = datetime.fromtimestamp(at / 1000, UTC)
    return DeadLetter(identity, follows, reason, error, int(attempts), moment, payload)
