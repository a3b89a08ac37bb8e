"""Releases of prefect_redis, side by side in one process."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from simulation.engines import UnknownEngine, resolve

pytestmark = [
    pytest.mark.prefect,
    pytest.mark.skipif(find_spec("prefect_redis") is None, reason="needs the prefect extra"),
]


def release(name: str) -> Any:
    try:
        return resolve(name)
    except UnknownEngine as error:
        if "cannot be fetched" in str(error):
            pytest.skip(str(error))
        raise


def test_each_release_calls_its_own_modules() -> None:
    engines = [release(name) for name in ("prefect", "prefect@0.2.8", "prefect@0.2.7")]
    files = [Path(engine.handle.__globals__["original"].__file__) for engine in engines]
    assert len(set(files)) == 3
    assert [file.parent.parent.name for file in files[1:]] == ["prefect-redis-0.2.8", "prefect-redis-0.2.7"]
    assert [engine.version for engine in engines[1:]] == ["0.2.8", "0.2.7"]


def test_installed_release_stays() -> None:
    """The installed release stays what all other code imports."""
    import prefect_redis

    release("prefect@0.2.8")
    assert sys.modules["prefect_redis"] is prefect_redis
    assert ".causim" not in str(prefect_redis.__file__)
    assert not any("prefect-redis-0.2.8" in entry for entry in sys.path)


def test_a_release_is_loaded_once() -> None:
    assert release("prefect@0.2.8") is release("prefect@0.2.8")
