"""The census of a store at the end of a run: which keys will never expire, or too late."""

from __future__ import annotations

from typing import Any

import hiredis

from simulation.stores.protocol import Store
from simulation.stores.resp import command

_PAGE = 1000
"""Keys to ask for at a time."""


def lasting_keys(store: Store, scope: str, now: int, longest: int) -> dict[str, dict[str, Any]]:
    """Return type and TTL, in seconds, of the keys of a scope that last, at `now` microseconds after the epoch.

    A key lasts if it has no TTL (None), or one that is longer than `longest` microseconds. The others are no burden,
    and may be very many.
    """
    store.set_time(now)
    found: dict[str, dict[str, Any]] = {}
    for node in store.nodes:
        found |= _lasting_on(node, scope, longest // 1000)
    return dict(sorted(found.items()))


def _lasting_on(node: Store, scope: str, longest_ms: int) -> dict[str, dict[str, Any]]:
    link = node.link()
    reader = hiredis.Reader(encoding="utf-8", errors="backslashreplace")

    def ask(request: bytes, replies: int) -> list[Any]:
        reader.feed(link.execute(request, replies))
        return [reader.gets() for _ in range(replies)]

    found: dict[str, dict[str, Any]] = {}
    cursor = "0"
    while True:
        [[cursor, keys]] = ask(command("SCAN", cursor, "MATCH", f"*{scope}*", "COUNT", _PAGE), 1)
        ttls = ask(b"".join(command("PTTL", key) for key in keys), len(keys)) if keys else []
        lasting = {key: ttl for key, ttl in zip(keys, ttls, strict=True) if ttl == -1 or ttl > longest_ms}
        types = ask(b"".join(command("TYPE", key) for key in lasting), len(lasting)) if lasting else []
        for (key, ttl), kind in zip(lasting.items(), types, strict=True):
            found[key] = {"type": kind, "ttl": None if ttl == -1 else ttl // 1000}
        if str(cursor) == "0":
            link.close()
            return found
