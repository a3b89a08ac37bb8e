"""Other releases of prefect_redis: each is fetched once into a folder of its own, and loaded beside the installed one.

`prefect@0.2.8` is the engine of that release, unmodified, with the version of Prefect that is installed. A fleet may
run several releases at once, as in a rolling upgrade: each has modules of its own, and so has the adapter that calls
it, under a name that no other code imports.
"""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import ModuleType

CACHE = Path(".causim/engines")
_VERSION = re.compile(r"\d+(\.\d+)*([a-z]+\d+)?")


class ReleaseUnavailable(Exception):
    """A release cannot be had. The message says why."""


@cache
def adapter(version: str) -> ModuleType:
    """Return `simulation.engines.prefect` as it is with this release. Raises ReleaseUnavailable."""
    if not _VERSION.fullmatch(version):
        raise ReleaseUnavailable(f"{version!r} is not a version; give one such as prefect@0.2.8")
    if importlib.util.find_spec("prefect") is None:
        raise ReleaseUnavailable("it needs Prefect beside it: pip install 'causim[prefect]'")
    folder = (CACHE / f"prefect-redis-{version}").resolve()
    if not (folder / "prefect_redis").is_dir():
        _fetch(version, folder)
    with _in_front(folder):
        name, file = f"{__package__}.prefect@{version}", Path(__file__).with_name("prefect.py")
        spec = importlib.util.spec_from_file_location(name, file)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return module


@contextmanager
def _in_front(folder: Path) -> Iterator[None]:
    """Let `import prefect_redis` mean the release in this folder, and restore its meaning afterwards."""
    before = {name: sys.modules.pop(name) for name in _loaded()}
    sys.path.insert(0, str(folder))
    try:
        with warnings.catch_warnings():
            # Prefect registers the block types of its integrations by name, and says so when it meets one again.
            warnings.filterwarnings("ignore", "Type 'RedisDatabase'", UserWarning)
            yield
    finally:
        sys.path.remove(str(folder))
        for name in _loaded():
            del sys.modules[name]
        sys.modules.update(before)


def _loaded() -> list[str]:
    return [name for name in sys.modules if name.split(".")[0] == "prefect_redis"]


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
