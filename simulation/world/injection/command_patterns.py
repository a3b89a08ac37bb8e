"""Spellings of a Redis command, in a fault's pattern or in a trace: as it was sent, or with its script's name.

A script that has a name and is sent in full goes by its name alone in patterns: its source has many words, and a
pattern such as "EVAL* complete *" would meet them in any script that has "complete" in a comment.

An engine may join the requests of several tasks in one command. A pattern meets each of them as if it had been sent by
itself, so a fault about "EVALSHA begin *" strikes however an event's request travels; as in a pipeline, it strikes all
that travels with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from hashlib import sha1
from typing import NamedTuple

from simulation.engines import Engine, joined_by, scripts_of
from simulation.stores.redis_commands import EVALSHA, SCRIPTS

Words = Sequence[bytes]
Joined = Callable[[str, Words], Sequence[Words]]
"""Returns the requests that the command of a script, given by its name, has joined; none if it joins no others."""


class Spelled(NamedTuple):
    """A command as patterns meet it. Each text has all its arguments."""

    whole: Sequence[str]
    """The ways in which it may be written."""
    requests: Sequence[str] = ()
    """The requests that it has joined, each with its script's name."""

    def number(self, accepts: Callable[[str], bool]) -> int:
        """Return how many requests something is about: of those that it has joined, or else the command itself."""
        return sum(map(accepts, self.requests)) or int(any(map(accepts, self.whole)))

    def matches(self, pattern: str) -> int:
        """Return how many requests match a pattern."""
        return self.number(lambda text: fnmatchcase(text, pattern))


def _joins_none(name: str, words: Words) -> Sequence[Words]:
    return ()


class Spelling:
    """Spells commands. `scripts` are the names of an engine's scripts by their SHA-1 digests."""

    def __init__(self, scripts: Mapping[str, str], joined: Joined = _joins_none) -> None:
        self._scripts = scripts
        self._joined = joined

    @classmethod
    def of(cls, engine: type[Engine]) -> Spelling:
        """Return the spelling of an engine's commands."""
        return cls(scripts_of(engine), joined_by(engine) or _joins_none)

    def __call__(self, words: Words) -> Spelled:
        """Return a command as patterns meet it."""
        name = self._script(words)
        return Spelled(
            list(self._spell(words, name)), [_text(one) for one in self._joined(name, words)] if name else ()
        )

    @staticmethod
    def _spell(words: Words, name: str) -> Iterator[str]:
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
