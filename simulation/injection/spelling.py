"""How a Redis command may be written in a fault's pattern: as it was sent, and with its script's name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha1

RUNS_SCRIPTS = frozenset({b"EVAL", b"EVALSHA", b"EVAL_RO", b"EVALSHA_RO"})


class Spelling:
    """Spells commands. `scripts` are the names of an engine's scripts by their SHA-1 digests."""

    def __init__(self, scripts: Mapping[str, str]) -> None:
        self._scripts = scripts

    def __call__(self, words: Sequence[bytes]) -> list[str]:
        """Return the ways in which a command may be written: as it was sent first."""
        return list(self._spell(words))

    def _spell(self, words: Sequence[bytes]) -> Iterator[str]:
        yield _text(words)
        verb = words[0].upper()
        if verb in RUNS_SCRIPTS and len(words) > 1:
            by_digest = verb.startswith(b"EVALSHA")
            digest = (
                words[1].decode("ascii", "replace") if by_digest else sha1(words[1], usedforsecurity=False).hexdigest()
            )
            if name := self._scripts.get(digest):
                yield _text([words[0], name.encode(), *words[2:]])


def _text(words: Sequence[bytes]) -> str:
    return " ".join(word.decode("utf-8", "replace") for word in words)
