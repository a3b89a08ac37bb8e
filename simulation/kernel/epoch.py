"""The instant at which virtual time begins, and instants as microseconds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

EPOCH = datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
"""The instant at which virtual time begins, unless a trace says otherwise: second 1,700,000,000."""


def microseconds(instant: datetime) -> int:
    """Return the microseconds since 1970."""
    return (instant - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
