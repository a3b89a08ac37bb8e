"""The scripts that a run has sent to its store: a run must send each script once, as to a server just started.

A store that serves many runs keeps the scripts of all of them, compiled; a run must not notice. So a digest that this
run has not sent is replaced by one that no server knows, and the server itself answers NOSCRIPT.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha1

from simulation.stores.redis_commands import ABOUT_SCRIPTS, EVAL, EVALSHA

UNKNOWN = b"0" * 40
"""The digest of no script."""

Words = Sequence[bytes]


class Scripts:
    """The scripts that the store would know if it had been started for this run."""

    def __init__(self) -> None:
        self._known: set[bytes] = set()

    def know(self, scripts: Iterable[bytes]) -> None:
        """Take note of scripts that were sent."""
        self._known.update(sha1(script, usedforsecurity=False).hexdigest().encode() for script in scripts)

    def forget(self) -> None:
        """Forget all scripts, as a server does when it restarts."""
        self._known.clear()

    def admit(self, commands: Sequence[Words]) -> Sequence[Words]:
        """Take note of the scripts that some commands send, and return the commands as the store is to see them."""
        return [self._admitted(words) for words in commands]

    def _admitted(self, words: Words) -> Words:
        verb = words[0].upper()
        if len(words) < 2 or verb not in ABOUT_SCRIPTS:
            return words
        if verb in EVALSHA:
            return [words[0], self._or_unknown(words[1]), *words[2:]]
        if verb in EVAL:
            self.know([words[1]])
            return words
        match words[1].upper():
            case b"LOAD":
                self.know(words[2:3])
            case b"FLUSH":
                self.forget()
            case b"EXISTS":
                return [*words[:2], *map(self._or_unknown, words[2:])]
        return words

    def _or_unknown(self, digest: bytes) -> bytes:
        return digest if digest.lower() in self._known else UNKNOWN
