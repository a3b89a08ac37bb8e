"""The id of an event in a message, by which queues distinguish jobs."""

from __future__ import annotations

import json


def event_id(body: bytes) -> str:
    """Return the id of the event that a message holds."""
    return str(json.loads(body)["id"])
