"""The program that the peers are given runs to its end in virtual time; a peer that is not installed is named."""

from __future__ import annotations

import json

import pytest

from benchmarks import probe


@pytest.mark.parametrize("store", ["server", "fakeredis"])
def test_program_under_causim(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The lease has lapsed, and both reads end when they should."""
    probe.one("causim", store, 0)
    facts: dict[str, object] = {}
    for line in capsys.readouterr().out.splitlines():
        facts.update(json.loads(line))
    del facts["seconds"]
    assert facts == {
        "slept": True,
        "lease": "gone",
        "empty": "nothing after 30.0 s",
        "pushed": "the item after 10.0 s",
    }


def test_missing_peer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A peer that is not installed has a row that says so."""
    monkeypatch.setitem(probe.HARNESSES, "absent", probe.Harness("no-such-package", probe.plain))
    row = probe.attempt("absent", "server", 0, 1)
    assert "not installed: pip install no-such-package" in probe.table([row])
