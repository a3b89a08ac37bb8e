"""Tokens: no two attempts have the same, be they of one process or of two."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from itertools import count


def _numbers() -> Iterator[str]:
    process = secrets.token_hex(8)
    return (f"{process}-{number:x}" for number in count())


_tokens = _numbers()


def _after_fork() -> None:
    global _tokens  # noqa: PLW0603
    _tokens = _numbers()


os.register_at_fork(after_in_child=_after_fork)  # a forked process would go on with its parent's


def unique_token() -> str:
    """Return a unique token: a random prefix of this process and a number, which costs no draw from the system."""
    return next(_tokens)
