"""The pictures of the documentation say what a run says today: their numbers are compared, not their pixels."""

from __future__ import annotations

import json
from importlib.util import find_spec

import pytest

from tests.docs.pictures import FOLDER, NUMBERS, RUNS, numbers

KEPT = json.loads(NUMBERS.read_text(encoding="utf-8"))
NEEDS_PREFECT = [
    pytest.mark.prefect,
    pytest.mark.skipif(find_spec("prefect_redis") is None, reason="needs the prefect extra"),
]


@pytest.mark.parametrize("name", ["prefect-etl-followers", pytest.param("tutorial-followers", marks=NEEDS_PREFECT)])
def test_a_picture_is_of_the_run_of_today(name: str) -> None:
    assert numbers(RUNS[name]()) == KEPT[name], "make them again: python -m tests.docs.pictures"


def test_every_picture_has_its_numbers() -> None:
    assert sorted(path.stem for path in FOLDER.glob("*.png")) == sorted(KEPT) == sorted(RUNS)
