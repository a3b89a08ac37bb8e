"""The verbs: one Lua script each, as a typed function. What a script takes is read from its own header and checked.

A script is sent by its digest, and in full when the server has forgotten it. Everything here may be executed twice
when a client library retries on its own; each script gives the same token the same answer.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha1
from importlib.resources import files
from typing import Any

from redis.exceptions import NoScriptError

from ordering.sending import Word

Ask = Callable[..., Awaitable[Any]]
"""Sends one command, given as its words, and returns the reply."""

_STEP = re.compile(r"^local function (\w+)", re.MULTILINE)
_HEADER = re.compile(r"^-- (keys|args|returns|runs): (.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Script:
    """A script's text and what its header declares."""

    name: str
    text: str
    digest: str
    args: tuple[str, ...]
    words: frozenset[str]
    """The words that its reply may begin with; empty if it returns a list."""


@cache
def script(name: str) -> Script:
    """Return a script by its name."""
    return assemble(name, source("shared"), source(name))


def source(name: str) -> str:
    """Return what a file of `lua/` says."""
    return (files("ordering") / "lua" / f"{name}.lua").read_text(encoding="utf-8")


def assemble(name: str, shared: str, own: str, find: Callable[[str], str] = source) -> Script:
    """Return the script that is made of what all scripts share and what is its own.

    A script that `runs` another has it in front as a function of that name, which reads the same arguments.
    """
    header: dict[str, str] = dict(_HEADER.findall(own))
    if other := header.get("runs"):
        own = f"local function {other}()\n{find(other)}end\n{own}"
    text = _with_what_it_needs(own, shared)
    returns = header["returns"]
    words = () if returns.startswith("{") else (choice.split()[0] for choice in returns.split("|"))
    digest = sha1(text.encode(), usedforsecurity=False).hexdigest()
    return Script(name, text, digest, tuple(header["args"].split()), frozenset(words))


def _with_what_it_needs(own: str, shared: str) -> str:
    """Put the shared steps that a script takes in front of it: whatever is there is made anew whenever it runs."""
    text, end = own, len(shared)
    for step in reversed(list(_STEP.finditer(shared))):
        if re.search(rf"\b{step[1]}\b", text):
            text = shared[step.start() : end] + text
        end = step.start()
    return shared[:end] + text


async def call(ask: Ask, verb: Script, waitlist: str, *args: Word) -> Any:
    """Run a script. Raises TypeError if the arguments are not those that its header declares."""
    declared = verb.args
    if len(args) != len(declared) and not (declared[-1].endswith("...") and len(args) >= len(declared) - 1):
        raise TypeError(f"{verb.name} takes {' '.join(declared)}, not {len(args)} arguments")
    try:
        reply = await ask("EVALSHA", verb.digest, 1, waitlist, *args)
    except NoScriptError:
        reply = await ask("EVAL", verb.text, 1, waitlist, *args)
    return reply


def words(reply: Sequence[Any]) -> list[str]:
    """Return a reply as text, whether the client decodes replies or not."""
    return [text(part) for part in reply]


def text(value: Any) -> str:
    """Return one part of a reply as text."""
    return value.decode("utf-8", "surrogatepass") if isinstance(value, bytes) else str(value)
