"""How a Redis command may be written in a fault's pattern: as it was sent, and with its script's name.

A script that has a name and is sent in full is spelled with its name alone: its source has many words, and a pattern
such as "EVAL* complete *" would meet them in any script that has "complete" in a comment.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha1

RUNS_SCRIPTS = frozenset({b"EVAL", b"EVALSHA", b"EVAL_RO", b"EVALSHA_RO"})


class Spelling:
    """Spells commands. `scripts` are the names of an engine's scripts by their SHA-1 digests."""

    def __init__(self, scripts: Mapping[str, str]) -> None:
        self._scripts = scripts

    def __call__(self, words: Sequence[bytes]) -> list[str]:
        """Return the ways in which a command may be written. Each has all its arguments."""
        return list(self._spell(words))

    def _spell(self, words: Sequence[bytes]) -> Iterator[str]:
        verb = words[0].upper()
        by_digest = verb.startswith(b"EVALSHA")
        name = self._name(words[1], by_digest) if verb in RUNS_SCRIPTS and len(words) > 1 else ""
        if by_digest or not name:
            yield _text(words)
        if name:
            yield _text([words[0], name.encode(), *words[2:]])

    def _name(self, script: bytes, by_digest: bool) -> str:
        digest = script.decode("ascii", "replace") if by_digest else sha1(script, usedforsecurity=False).hexdigest()
        return self._scripts.get(digest, "")


def _text(words: Sequence[bytes]) -> str:
    return " ".join(word.decode("utf-8", "replace") for word in words)
