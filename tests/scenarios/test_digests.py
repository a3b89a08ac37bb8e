"""The same scenario, seed and engine give the same history as when the list of digests was made."""

from __future__ import annotations

import pytest

from simulation import Laboratory
from tests.scenarios.digests import cases, digest, kept


def test_the_list_is_complete() -> None:
    assert {(path, engine) for path, engines in kept().items() for engine in engines} == set(cases())


@pytest.mark.parametrize(("path", "engine"), list(cases()))
def test_digest(path: str, engine: str, laboratory: Laboratory) -> None:
    if engine == "prefect":
        pytest.importorskip("prefect_redis")
    hint = "a reason? then: python -m tests.scenarios.digests, and say it in the commit"
    assert digest(laboratory, path, engine) == kept()[path][engine], hint
