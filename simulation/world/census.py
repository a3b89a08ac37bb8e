"""The census of a store at the end of a run: which keys will never expire."""

from __future__ import annotations

from typing import Any

import hiredis

from simulation.stores.protocol import Store
from simulation.stores.resp import command

_PAGE = 1000
"""Keys to ask for at a time."""


def lasting_keys(store: Store, scope: str, now: int) -> dict[str, dict[str, Any]]:
    """Return type and TTL of the keys of a scope without a TTL, at `now` microseconds after the epoch.

    Those with a TTL are no burden, and may be very many.
    """
    store.set_time(now)
    link = store.link()
    reader = hiredis.Reader(encoding="utf-8", errors="backslashreplace")

    def ask(request: bytes, replies: int) -> list[Any]:
        reader.feed(link.execute(request, replies))
        return [reader.gets() for _ in range(replies)]

    found: dict[str, dict[str, Any]] = {}
    cursor = "0"
    while True:
        [[cursor, keys]] = ask(command("SCAN", cursor, "MATCH", f"*{scope}*", "COUNT", _PAGE), 1)
        ttls = ask(b"".join(command("PTTL", key) for key in keys), len(keys)) if keys else []
        lasting = [key for key, ttl in zip(keys, ttls, strict=True) if ttl == -1]
        types = ask(b"".join(command("TYPE", key) for key in lasting), len(lasting)) if lasting else []
        found.update({key: {"type": kind, "ttl": None} for key, kind in zip(lasting, types, strict=True)})
        if str(cursor) == "0":
            link.close()
            return dict(sorted(found.items()))
