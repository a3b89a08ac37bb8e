"""Spellings of a Redis command, in a fault's pattern or in a trace: as it was sent, or with its script's name.

A script that has a name and is sent in full goes by its name alone in patterns: its source has many words, and a
pattern such as "EVAL* complete *" would meet them in any script that has "complete" in a comment.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha1

from simulation.stores.redis_commands import EVALSHA, SCRIPTS


class Spelling:
    """Spells commands. `scripts` are the names of an engine's scripts by their SHA-1 digests."""

    def __init__(self, scripts: Mapping[str, str]) -> None:
        self._scripts = scripts

    def __call__(self, words: Sequence[bytes]) -> list[str]:
        """Return the ways in which a command may be written. Each has all its arguments."""
        return list(self._spell(words))

    def _spell(self, words: Sequence[bytes]) -> Iterator[str]:
        name = self._script(words)
        if not name or words[0].upper() in EVALSHA:
            yield _text(words)
        if name:
            yield _text([words[0], name.encode(), *words[2:]])

    def _script(self, words: Sequence[bytes]) -> str:
        """Return the name of the script that a command runs; empty if it runs none, or one without a name."""
        verb = words[0].upper()
        if verb not in SCRIPTS or len(words) < 2:
            return ""
        if verb in EVALSHA:
            return self._scripts.get(words[1].decode("ascii", "replace"), "")
        return self._scripts.get(sha1(words[1], usedforsecurity=False).hexdigest(), "")

    def spelled(self, words: Sequence[bytes]) -> list[str]:
        """Return the words of a command as a trace has them: with its script's name, if that has one."""
        spelled = [word.decode("utf-8", "backslashreplace") for word in words]
        if name := self._script(words):
            spelled[1] = name
        return spelled


def _text(words: Sequence[bytes]) -> str:
    return " ".join(word.decode("utf-8", "replace") for word in words)
