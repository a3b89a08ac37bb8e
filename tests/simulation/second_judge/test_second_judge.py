"""Two judges that share nothing but the words of the rules say the same of every history."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulation import Laboratory
from simulation.history.history import History
from simulation.invariants import judge
from tests.simulation.second_judge.comparison import difference, reduced, summary_of
from tests.simulation.second_judge.histories import histories
from tests.simulation.second_judge.rules import RULES, second_judge

KEPT = sorted((Path(__file__).parent / "kept").glob("*.jsonl"))
REFERENCE = sorted(Path("docs/reference/invariants").glob("*.jsonl"))
DRAWN = 300
RUN = 200
"""How many histories `make test` asks about: five hundred in all. `__main__` asks about as many as one likes."""


def test_the_judges_agree_on_drawn_histories() -> None:
    _compare(DRAWN, 1, None)


def test_the_judges_agree_on_real_histories(laboratory: Laboratory) -> None:
    _compare(RUN, 2, laboratory)


def _compare(count: int, seed: int, laboratory: Laboratory | None) -> None:
    for name, history in histories(count, seed, laboratory):
        if differs := difference(history):
            pytest.fail(f"{name}: {differs}\n{summary_of([reduced(history)])}")


def test_what_is_compared_is_not_always_the_same() -> None:
    drawn = [second_judge(history) for _, history in histories(DRAWN, 1, None)]
    assert {invariant for found in drawn for invariant in found} >= {
        "causal-order",
        "handled-once",
        "nothing-lost",
        "recovery",
        "lost-followers-surface",
        "no-stuck-worker",
    }
    assert sum(1 for found in drawn if not found) > DRAWN // 5


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.stem)
def test_kept_differences(path: Path) -> None:
    """What they once differed about is judged as its name says."""
    invariant, _, verdict = path.stem.rsplit(".", 1)[0].partition(".")[0], "", path.stem.rsplit(".", 1)[1]
    history = History.read(path)
    assert not difference(history)
    assert (invariant in second_judge(history)) == (verdict == "violated")


@pytest.mark.parametrize("path", REFERENCE, ids=lambda path: path.stem)
def test_agree_on_reference_histories(path: Path) -> None:
    """The judges agree on the histories of the reference."""
    history = History.read(path)
    assert not difference(history)
    assert bool(second_judge(history)) == path.stem.endswith("rejected")


def test_a_difference_is_reduced_to_what_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RULES, "causal-order", lambda reading: iter(()))
    history = History.read(Path("docs/reference/invariants/causal-order.rejected.jsonl"))
    assert difference(history).only_first == {"causal-order"}
    small = reduced(history)
    assert difference(small).only_first == {"causal-order"}
    assert len(small) < len(history)
    for i in range(len(small)):
        fewer = [entry for j, entry in enumerate(small) if j != i]
        assert not difference(History(small.header, fewer))


def test_rules_are_the_invariants() -> None:
    """The rules have the names of the invariants."""
    assert list(RULES) == list(judge(History(KEPT and History.read(KEPT[0]).header)).verdicts)
