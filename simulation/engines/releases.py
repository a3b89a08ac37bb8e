"""Other releases of prefect_redis: each fetched once into a folder of its own, and put in front of the installed one.

`prefect@0.2.8` is the engine of that release, unmodified, beside whatever version of Prefect is installed. One process
can hold one release; who wants several asks for each in a process of its own.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

CACHE = Path(".causim/engines")
_VERSION = re.compile(r"\d+(\.\d+)*([a-z]+\d+)?")


class ReleaseUnavailable(Exception):
    """A release cannot be had, or not in this process. The message says why."""


def use(version: str) -> None:
    """Make `import prefect_redis` mean this release. Raises ReleaseUnavailable."""
    if not _VERSION.fullmatch(version):
        raise ReleaseUnavailable(f"{version!r} is not a version; give one such as prefect@0.2.8")
    folder = (CACHE / f"prefect-redis-{version}").resolve()
    if not (folder / "prefect_redis").is_dir():
        _fetch(version, folder)
    loaded = sys.modules.get("prefect_redis")
    if loaded is not None and not str(loaded.__file__).startswith(str(folder)):
        raise ReleaseUnavailable("another release of prefect_redis is in use in this process; run one at a time")
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))


def _fetch(version: str, folder: Path) -> None:
    partial = folder.with_name(folder.name + ".part")
    partial.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(partial)]
    done = subprocess.run(  # noqa: S603  # the version was checked, and pip is asked by name
        [*command, f"prefect-redis=={version}"], capture_output=True, text=True, check=False
    )
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["pip said nothing"])[-1]
        raise ReleaseUnavailable(f"prefect-redis {version} cannot be fetched: {reason}")
    if not folder.exists():
        partial.rename(folder)
