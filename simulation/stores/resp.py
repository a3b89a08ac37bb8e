"""Redis commands as bytes of the protocol RESP."""

from __future__ import annotations

from collections.abc import Sequence

import hiredis


def command(*words: str | bytes | int) -> bytes:
    """Encode one Redis command."""
    packed: bytes = hiredis.pack_command(words)  # type: ignore[arg-type]  # its stub forgets longer tuples
    return packed


def encoded(commands: Sequence[Sequence[bytes]]) -> bytes:
    """Encode several Redis commands."""
    return b"".join([command(*words) for words in commands])
