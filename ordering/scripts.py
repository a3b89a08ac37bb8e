"""The verbs: one Lua script each, as a typed function. Its arguments are read from its own header and checked.

A script is sent by its digest, and in full when the server has forgotten it. Everything here may be executed twice
when a client library retries on its own; each script gives the same token the same answer.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha1
from importlib.resources import files
from typing import Any

from redis.exceptions import NoScriptError

from ordering.sending import Word

Ask = Callable[..., Awaitable[Any]]
"""Sends one command, given as its words, and returns the reply."""

SHARED = "shared"
"""The name of the text of all steps that scripts share."""
SHARED_PARTS = ("scope", "leases", "parked", "attempts", "parking", "mending", "queues", "handled", "decisions")
"""Its files, in `lua/shared/`: a step calls steps that come before it."""
_LUA = files("ordering") / "lua"

_STEP = re.compile(
    r"(?P<lead>(?:(?!local function |^do$)[^\n]*\n)*?)"
    r"(?P<line>local function (?P<name>\w+)\([^)]*\)(?P<rare> {2}-- rarely)?)(?P<body>[^\n]* end\n|.*?^end\n)",
    re.MULTILINE | re.DOTALL,
)
"""One of the shared steps, with the comments and the values that come before it."""
_COMMENT = re.compile(r"--[^\n]*")
_SAID = re.compile(r'--[^\n]*|"[^"\n]*"')
"""Comments and strings, whose words are no names."""
_HEADER = re.compile(r"^-- (keys|args|returns|runs): (.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Script:
    """A script's text and the declarations of its header."""

    name: str
    text: str
    digest: str
    args: tuple[str, ...]
    words: frozenset[str]
    """The words that its reply may begin with; empty if it returns a list."""


@cache
def script(name: str) -> Script:
    """Return a script by its name."""
    return assemble(name, source(SHARED), source(name))


def names() -> list[str]:
    """Return the names of all scripts."""
    return sorted(file.name.removesuffix(".lua") for file in _LUA.iterdir() if file.name.endswith(".lua"))


def source(name: str) -> str:
    """Return the text of a script without the steps that it shares, or of all these, which are `shared`."""
    if name != SHARED:
        return (_LUA / f"{name}.lua").read_text(encoding="utf-8")
    parts = ((_LUA / SHARED / f"{part}.lua").read_text(encoding="utf-8") for part in SHARED_PARTS)
    return "\n".join(part.partition("\n\n")[2] for part in parts)  # without their headings


def assemble(name: str, shared: str, own: str, find: Callable[[str], str] = source) -> Script:
    """Return the script that is made of the text that all scripts share and its own text.

    A script that `runs` others has them in front as functions of their names, which take the arguments of one.
    """
    header: dict[str, str] = dict(_HEADER.findall(own))
    others = (f"local function {other}(ARGV)\n{find(other)}end\n" for other in header.get("runs", "").split())
    own = "".join(others) + own
    text = _with_what_it_needs(own, shared)
    returns = header["returns"]
    words = () if returns.startswith("{") else (choice.split()[0] for choice in returns.split("|"))
    digest = sha1(text.encode(), usedforsecurity=False).hexdigest()
    return Script(name, text, digest, tuple(header["args"].split()), frozenset(words))


def _with_what_it_needs(own: str, shared: str) -> str:
    """Put the shared steps that a script calls in front of it: Redis defines all of them again in each run.

    A step marked as rare contains the steps that only such steps call: those are defined when it is called.
    """
    found = list(_STEP.finditer(shared))
    steps = {step["name"]: step for step in found}
    head = shared[: found[0].start()] if found else shared
    takes = {name: _names_in(step["body"]) & steps.keys() - {name} for name, step in steps.items()}
    rare = {name for name, step in steps.items() if step["rare"]}
    often = _closure(_names_in(own) & steps.keys(), takes, rare)
    text = ""
    for name, step in steps.items():
        text += step["lead"] if name in often or _COMMENT.sub("", step["lead"]).strip() else ""
        if name in often:
            inside = _closure(takes[name], takes, set()) - often if name in rare else set()
            nested = "".join(
                "\n" + one["line"] + one["body"].rstrip("\n") for other, one in steps.items() if other in inside
            )
            text += step["line"] + nested + step["body"]
    return head + text + shared[found[-1].end() :] + own if found else head + own


def _names_in(code: str) -> set[str]:
    return set(re.findall(r"\w+", _SAID.sub("", code)))


def _closure(names: set[str], takes: Mapping[str, set[str]], ends: Collection[str]) -> set[str]:
    """Return steps with all steps that they take, directly or not; those in `ends` are not followed further."""
    found, left = set[str](), list(names)
    while left:
        name = left.pop()
        if name not in found:
            found.add(name)
            left += takes[name] if name not in ends else ()
    return found


def check(verb: Script, args: Sequence[Word]) -> None:
    """Raise TypeError if the arguments of a script are not those that its header declares."""
    declared = verb.args
    if len(args) != len(declared) and not (declared[-1].endswith("...") and len(args) >= len(declared) - 1):
        raise TypeError(f"{verb.name} takes {' '.join(declared)}, not {len(args)} arguments")


async def run(ask: Ask, verb: Script, waitlist: str, *args: Word) -> Any:
    """Run a script; send it in full if the server has forgotten it."""
    try:
        return await ask("EVALSHA", verb.digest, 1, waitlist, *args)
    except NoScriptError:
        return await ask("EVAL", verb.text, 1, waitlist, *args)


def words(reply: Sequence[Any]) -> list[str]:
    """Return a reply as text, whether the client decodes replies or not: a list, or words with spaces between them."""
    return text(reply).split(" ") if isinstance(reply, bytes | str) else [text(part) for part in reply]


def text(value: Any) -> str:
    """Return one part of a reply as text."""
    return value.decode("utf-8", "surrogatepass") if isinstance(value, bytes) else str(value)
