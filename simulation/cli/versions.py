"""`causim --version`: the versions that a report of a bug must name."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

from causim import __version__
from simulation.stores.protocol import StoreUnavailable
from simulation.stores.redis_server import ServerStore


def lines() -> Iterator[str]:
    """Yield the versions of causim, Python, the server, redis-py and fakeredis, and the platform."""
    yield f"causim {__version__}"
    yield f"{platform.python_implementation()} {platform.python_version()}"
    yield _server()
    for title, package in {"redis-py": "redis", "fakeredis": "fakeredis"}.items():
        yield f"{title} {_version(package)}"
    yield platform.platform()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "is not installed"


def _server() -> str:
    """Return the version that a running server reports, and its origin; its program alone may not know the version."""
    try:
        store = ServerStore()
    except StoreUnavailable as error:
        return f"no server in virtual time: {error}"
    store.close()
    return f"{store.version} ({store.origin})"
