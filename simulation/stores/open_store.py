"""Opens the store that was asked for, and says what it chose."""

from __future__ import annotations

from pathlib import Path

from simulation.stores.protocol import Store, StoreUnavailable
from simulation.stores.redis_server import ServerStore
from simulation.stores.remote import RemoteStore


def open_store(choice: str = "auto", executable: Path | None = None) -> tuple[Store, str]:
    """Open a store and return it with a note: empty, or one line that says why it is not what one might expect.

    `choice` is `server`, `embedded`, an address `redis://…`, or `auto`: the server where it can run. Raises
    StoreUnavailable if what was asked for cannot be had.
    """
    if choice.startswith(("redis://", "rediss://")):
        return RemoteStore(choice), "TTLs lapse in real time on this server; only the run's own scope is touched"
    match choice:
        case "embedded":
            return _embedded(), ""
        case "server":
            return ServerStore(executable), ""
        case "auto":
            try:
                return ServerStore(executable), ""
            except StoreUnavailable as error:
                if executable is not None:
                    raise
                return _embedded(), f"no redis-server in virtual time here ({error}); running in fakeredis instead"
        case _:
            raise StoreUnavailable(f"store {choice!r} is not known; known are server, embedded, redis://host:port/db")


def _embedded() -> Store:
    from simulation.stores.fakeredis_store import EmbeddedStore  # heavy, and needed only where no server runs

    return EmbeddedStore()
