"""The parts of an error and of an event that may stand in a log or a dead letter: never the content of an event.

Errors of pydantic repeat their input. Of those, the kinds and the names of the fields are given.
"""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

MAX_LENGTH = 300
"""Characters of a message that are kept: enough for a sentence, and too few for a payload."""


def describe(error: BaseException) -> str:
    """Return the type and the message of an error in one line, without any input of a pydantic model."""
    name = type(error).__name__
    message = _fields_of(error) if isinstance(error, ValidationError) else _message_of(error)
    line = " ".join(message.split())
    if len(line) > MAX_LENGTH:
        line = line[:MAX_LENGTH] + "…"
    return f"{name}: {line}" if line else name


def field_of(event: Any, name: str) -> str:
    """Return a field of an event for the log, empty if it has none: what is logged may be no event at all."""
    try:
        return str(getattr(event, name))
    except Exception:  # also one that a user's property raises
        return ""


def _message_of(error: BaseException) -> str:
    if isinstance(error.__cause__ or error.__context__, ValidationError) and _repeats(error):
        return ""
    try:
        return str(error)
    except Exception:  # an exception of a user's, whose message cannot be made, is no reason to lose the event
        return ""


def _repeats(error: BaseException) -> bool:
    """Return whether an error that was raised for one of pydantic's says what that says."""
    return str(error.__cause__ or error.__context__) in str(error)


def _fields_of(error: ValidationError) -> str:
    found = error.errors(include_url=False, include_context=False, include_input=False)
    return ", ".join(f"{one['type']} at {one['loc'][0] if one['loc'] else 'the top'}" for one in found[:5])
