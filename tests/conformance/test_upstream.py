"""The original's own tests of its ordering module, run against our drop-in: from its source package, not copied."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from importlib.util import find_spec
from pathlib import Path

import pytest

VERSION = "0.3.0"
CACHE = Path(".causim/upstream")

CONFTEST = '''
"""The fixtures that the tests rely on, without starting a Prefect server for each session."""
import pytest
from prefect_redis.client import _get_redis_messaging_url, get_async_redis_client
from pytest_asyncio import is_async_test


def pytest_collection_modifyitems(items):
    for test in items:
        if is_async_test(test):
            test.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest.fixture(autouse=True)
def forget_the_url():
    _get_redis_messaging_url.cache_clear()
    yield
    _get_redis_messaging_url.cache_clear()


@pytest.fixture(autouse=True)
async def empty_redis():
    client = get_async_redis_client()
    await client.flushdb()
    yield
    await client.flushdb()
'''

pytestmark = [
    pytest.mark.prefect,
    pytest.mark.skipif(find_spec("prefect_redis") is None, reason="needs the prefect extra"),
]


def source_package() -> Path:
    """Return the original's test file, downloaded once."""
    wanted = CACHE / f"prefect_redis-{VERSION}" / "tests" / "test_ordering.py"
    if not wanted.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:"]
        got = subprocess.run(
            [*command, "--dest", str(CACHE), f"prefect-redis=={VERSION}"], capture_output=True, text=True, check=False
        )
        archive = CACHE / f"prefect_redis-{VERSION}.tar.gz"
        if not archive.exists():
            pytest.skip(f"the source package cannot be fetched: {got.stderr.strip().splitlines()[-1:]}")
        with tarfile.open(archive) as tar:
            tar.extractall(CACHE, filter="data")
    return wanted


def test_upstream_tests_pass(tmp_path: Path, port: int) -> None:
    """The original's own tests pass with the module's name replaced."""
    text = source_package().read_text(encoding="utf-8")
    assert text.count("prefect_redis.ordering") >= 3
    (tmp_path / "test_ordering.py").write_text(text.replace("prefect_redis.ordering", "ordering.prefect"))
    (tmp_path / "conftest.py").write_text(CONFTEST)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", "asyncio_mode=auto", str(tmp_path)]
    environment = {**os.environ, "PREFECT_REDIS_MESSAGING_PORT": str(port)}
    environment.pop("PYTEST_ADDOPTS", None)
    result = subprocess.run(
        [*command, "--rootdir", str(tmp_path), "-c", os.devnull],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert result.returncode == 0, result.stdout[-4_000:]
    assert "11 passed, 1 skipped" in result.stdout  # it skips its own test of a cluster, which wants one at a URL
