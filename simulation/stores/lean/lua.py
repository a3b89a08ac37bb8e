"""The scripts of a lean store: run by the very Lua that Redis has inside, 5.1, over a `redis.call` in Python.

What Redis adds to Lua is in `prelude.lua`. A script is compiled once and kept for as long as the store.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha1
from importlib.resources import files
from typing import Any

import orjson
from lupa import lua51

from simulation.stores.lean.commands import Words
from simulation.stores.lean.replies import ErrorReply, Members, Scored, Status, UnknownToLean, Written, number

Execute = Callable[[Words], Any]
"""Executes one command of a script and returns its reply. Raises ErrorReply, UnknownToLean."""

_NO_WORD = "ERR Lua redis lib command arguments must be strings or integers"
_FEW = 200
"""How many values Lua takes at once without looking for more room."""


class ScriptError(Exception):
    """An error of Lua, as a script or its client is told it."""


def _word(value: Any) -> bytes:
    """Return what a script gave as a word of a command, as Redis would write it."""
    kind = type(value)
    if kind is bytes:
        return value  # type: ignore[no-any-return]  # its type was just looked at
    if kind is int or kind is float:
        return number(float(value))
    raise ErrorReply(_NO_WORD)


def _hexdigest(text: bytes) -> bytes:
    return sha1(text, usedforsecurity=False).hexdigest().encode()


class Interpreter:
    """Lua, with everything that Redis adds to it."""

    def __init__(self, execute: Execute) -> None:
        self._execute = execute
        self._lua = lua51.LuaRuntime(encoding=None, unpack_returned_tuples=True, register_eval=False)
        self._unknown: UnknownToLean | None = None
        self._scripts: dict[bytes, Any] = {}
        begin = self._lua.compile((files("simulation.stores.lean") / "prelude.lua").read_bytes())
        own = self._from_script, self._tried, self._encode, self._decode, self._sha1hex, self._refuse, _told
        made = dict(begin(*own))
        self._compile, self._run, self._run_long = made[b"compile"], made[b"run"], made[b"run_long"]
        self._status, self._failure, self._list = made[b"status"], made[b"failure"], made[b"list"]
        self._json, self._where = made[b"json"], made[b"where"]

    def load(self, script: bytes) -> bytes:
        """Compile a script, unless it was before, and return its digest. Raises ErrorReply."""
        digest = _hexdigest(script)
        if digest not in self._scripts:
            compiled, error = self._compile(script)
            if error is not None:
                told = error.decode("utf-8", "surrogateescape")
                raise ErrorReply(f"ERR Error compiling script (new function): {told}")
            self._scripts[digest] = compiled
        return digest

    def knows(self, digest: bytes) -> bool:
        """Whether a script was loaded."""
        return digest in self._scripts or digest.lower() in self._scripts

    def run(self, digest: bytes, keys: int, words: Words, protocol: int) -> Written:
        """Run a script on some words, the first of which are keys; return what it answers.

        Raises ErrorReply if it was not loaded, and UnknownToLean.
        """
        script = self._scripts.get(digest)
        if script is None:
            if not self.knows(digest):
                raise ErrorReply("NOSCRIPT No matching script. Please use EVAL.")
            digest = digest.lower()
            script = self._scripts[digest]
        self._unknown = None
        try:
            if len(words) > _FEW:
                return Written(self._run_long(script, digest, protocol, keys, self._lua.table_from(words)))
            return Written(self._run(script, digest, protocol, keys, *words))
        finally:
            if self._unknown is not None:  # whatever the script has made of it
                raise self._unknown

    # -- what scripts call -----------------------------------------------------------------------------------------

    def _from_script(self, *words: Any) -> Any:
        """Execute a command: `redis.call`."""
        try:
            for word in words:
                if type(word) is not bytes:
                    words = tuple(map(_word, words))
                    break
            reply = self._execute(words)
            kind = type(reply)
            if kind is bytes or kind is int:
                return reply
            return False if reply is None else self._converted(reply, kind)
        except UnknownToLean as error:
            raise self._refused(error) from None

    def _tried(self, *words: Any) -> Any:
        """Execute a command, and answer with an error instead of raising it: `redis.pcall`."""
        try:
            return self._from_script(*words)
        except ErrorReply as error:
            return self._failure(error.text)

    def _converted(self, reply: Any, kind: type[Any]) -> Any:
        if kind is Status:
            return self._status(bytes(reply))
        if kind is float:
            return number(reply)
        if kind is Scored:
            reply = [part for member, score in reply for part in (member, number(score))]
        elif kind is not list and kind is not Members:
            raise UnknownToLean(f"how to hand {kind.__name__} to a script")
        items = [self._converted(item, list) if type(item) is list else _plain(item) for item in reply]
        return self._list(*items) if len(items) <= _FEW else self._lua.table_from(items)

    def _encode(self, *values: Any) -> Any:
        """Write JSON: `cjson.encode`."""
        if len(values) != 1:
            raise self._refused(UnknownToLean("cjson.encode of other than one value"))
        written, error = self._json(*values)
        if error:
            raise ScriptError(self._where() + error)
        return written

    def _decode(self, *values: Any) -> Any:
        """Parse JSON: `cjson.decode`."""
        if len(values) != 1 or type(values[0]) is not bytes:
            raise self._refused(UnknownToLean("cjson.decode of other than one text"))
        if not values[0]:
            raise ScriptError(self._where() + b"Expected value but found T_END at character 1")
        try:
            return self._as_lua(orjson.loads(values[0]))
        except orjson.JSONDecodeError:
            raise self._refused(UnknownToLean(f"whether cjson can read {values[0][:40]!r}")) from None

    def _as_lua(self, value: Any) -> Any:
        kind = type(value)
        if kind is str:
            return value.encode()
        if kind is list:
            items = [self._as_lua(item) for item in value]
            return self._list(*items) if len(items) <= _FEW else self._lua.table_from(items)
        if kind is dict:
            return self._lua.table_from({key.encode(): self._as_lua(item) for key, item in value.items()})
        if value is None:
            raise self._refused(UnknownToLean("null in JSON"))
        return value

    def _sha1hex(self, *values: Any) -> bytes:
        if len(values) != 1 or type(values[0]) is not bytes:
            raise self._refused(UnknownToLean("redis.sha1hex of other than one text"))
        return _hexdigest(values[0])

    def _refuse(self, what: bytes) -> None:
        raise self._refused(UnknownToLean(what.decode("utf-8", "backslashreplace")))

    def _refused(self, error: UnknownToLean) -> UnknownToLean:
        """Take note that a script needs something that is not known here; no pcall of the script's can hide it."""
        self._unknown = self._unknown or error
        return self._unknown


def _plain(item: Any) -> Any:
    """Return an item of a reply as Lua has it."""
    if item is None:
        return False
    if type(item) not in (bytes, int):
        raise UnknownToLean(f"how to hand {type(item).__name__} in an array to a script")
    return item


def _told(error: Exception, to_client: bool) -> bytes:
    """Return what a script, or its client, is told of an error that came out of Python."""
    if isinstance(error, ErrorReply):
        return error.text
    said = error.args[0] if isinstance(error, ScriptError) else str(error).encode()
    return b"ERR " + said if to_client else said
