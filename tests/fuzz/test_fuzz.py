"""No file of a stranger ends in a traceback, takes for ever, or gets out; `python -m tests.fuzz` reads many more."""

from __future__ import annotations

import pytest

from tests.fuzz.kinds import KINDS
from tests.fuzz.running import ending

FEW = 60
RUN = 8
"""How many are run; the others are only read."""


@pytest.mark.parametrize("kind", KINDS)
def test_a_mutated_file_ends_with_a_sentence(kind: str) -> None:
    for seed in range(1, (RUN if kind in ("run", "rerun", "traced") else FEW) + 1):
        assert not (found := ending(kind, seed).flaw), f"{kind} {seed}: {found}"
