"""Finds the place at which a violation became certain, from its probability in re-seeded runs of place after place.

1. The run is replayed up to a place. For a run of drawn delays that is a moment: from then on all random draws come
   from another seed. For an explored run it is one of its choices: from then on any step is as likely as the others.
2. The share of such continuations that violate the same invariant estimates how likely the violation was by then.
3. Places far apart come first, then those between the two neighbours whose shares differ most: so the effort goes to
   where the odds changed.

The share is 1 at the end, and at the beginning it is that of any seed. It is not monotonic: a step can also make the
violation less likely.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

from simulation.history.entries import Entry
from simulation.search.confidence import wilson
from simulation.search.continuations import Continuation, Continuations, Elsewhere, Outcomes
from simulation.search.replay import Replay
from simulation.world.laboratory import Laboratory
from simulation.world.run import Run

FIRST = 7
"""Number of places examined before the search for the turn begins."""

CERTAIN = 0.95
"""The share from which on a violation counts as certain."""


class NothingToExplain(Exception):
    """The run violates nothing, or not the requested invariant. The message says so."""


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A place of the run, and the number of its continuations that violate the invariant."""

    number: int
    """The place's number in the run, from 0 on."""
    at: int
    """Microseconds since the start of the run."""
    words: str
    """The next step or entry of the run there, in words."""
    violated: int = field(compare=False)
    samples: int = field(compare=False)

    @property
    def share(self) -> float:
        """The share of continuations that violate the invariant."""
        return self.violated / self.samples

    @property
    def interval(self) -> tuple[float, float]:
        """The interval of Wilson around the share, at 95 %."""
        return wilson(self.violated, self.samples)


class Why:
    """Explains one violating run on one laboratory. The same run and numbers give the same places."""

    def __init__(
        self,
        laboratory: Laboratory,
        start: Replay,
        invariant: str = "",
        *,
        samples: int = 20,
        most: int = 400,
        words_of: Callable[[Entry], str] | None = None,
        elsewhere: Elsewhere | None = None,
    ) -> None:
        """`words_of` returns the sentence of an entry; by default, its consumer, kind and event.

        Continuations are made on the laboratory, or on the workers of `elsewhere`; the places are the same.
        """
        self._words_of = words_of or _briefly
        self._laboratory = laboratory
        self._elsewhere = elsewhere
        self._start = start
        self._invariant = invariant
        self._samples = samples
        self._most = most
        self.watch: Callable[[int], None] = lambda _: None
        """Called after each continuation with their number so far."""
        self.places: list[Place] = []
        """The places examined so far, in the order of the run."""
        self.made = 0
        """The number of continuations so far."""
        self._end = -1
        """The number of the run's last place, once it is known."""

    @property
    def invariant(self) -> str:
        """The invariant whose violation is explained."""
        return self._invariant

    def look(self) -> Iterator[Place]:
        """Yield one place after the other, in the order in which they are looked at. Raises NothingToExplain."""
        run = self._start.perform(self._laboratory)
        self._choose_invariant(run)
        moments = list(_moments(run, self._words_of))
        self._end = len(moments) - 1
        with self._continued(run) as outcomes:
            for number in self._order(len(moments)):
                if self._most - self.made < self._samples:
                    return
                at, words = moments[number]
                violated = 0
                for outcome in outcomes(Continuation(number, at, extra) for extra in range(self._samples)):
                    violated += outcome
                    self.made += 1
                    self.watch(self.made)
                place = Place(number, at, words, violated, self._samples)
                insort(self.places, place)
                yield place

    @contextmanager
    def _continued(self, run: Run) -> Iterator[Outcomes]:
        """Yield what says of continuations whether each violates the invariant."""
        if self._elsewhere is None:
            yield partial(map, Continuations(self._laboratory, run, self._invariant).violates)
        else:
            with self._elsewhere.opened(self._start, self._invariant) as outcomes:
                yield outcomes

    def _choose_invariant(self, run: Run) -> None:
        found = list(dict.fromkeys(violation.invariant for violation in run.judgement.violations))
        if not found:
            raise NothingToExplain(f"{run!r}: nothing is violated, so there is nothing to explain")
        self._invariant = self._invariant or found[0]
        if self._invariant not in found:
            raise NothingToExplain(f"{run!r}: '{self._invariant}' is not violated; {', '.join(found)} is")

    def _order(self, count: int) -> Iterator[int]:
        """Yield the number of the next place to examine, which depends on the places found so far."""
        yield from sorted({round(k * (count - 1) / (FIRST - 1)) for k in range(FIRST)} if count > 1 else {0})
        while (between := self._between()) is not None:
            yield between

    def _between(self) -> int | None:
        pairs = [
            (abs(later.share - earlier.share), -earlier.number, earlier, later)
            for earlier, later in zip(self.places, self.places[1:], strict=False)
            if later.number - earlier.number > 1
        ]
        if not pairs:
            return None
        difference, _, earlier, later = max(pairs, key=lambda pair: pair[:2])
        return (earlier.number + later.number) // 2 if difference else None

    @property
    def reaches_the_end(self) -> bool:
        """Whether the last place of the run was examined: else nothing is known of what comes after the others."""
        return bool(self.places) and self.places[-1].number == self._end

    @property
    def certain(self) -> Place | None:
        """The first place from which on the violation is certain at every place; None if not even at the last.

        None, too, if the last was not examined.
        """
        found = None
        for place in reversed(self.places if self.reaches_the_end else ()):
            if place.share < CERTAIN:
                break
            found = place
        return found

    @property
    def turn(self) -> tuple[Place, Place] | None:
        """The two neighbours between which the share rises most; None if it never rises."""
        pairs = list(zip(self.places, self.places[1:], strict=False))
        best = max(pairs, key=lambda pair: pair[1].share - pair[0].share, default=None)
        return best if best and best[1].share > best[0].share else None


def _briefly(entry: Entry) -> str:
    return " ".join(filter(None, (entry.consumer, entry.kind, entry.event)))


def _moments(run: Run, words_of: Callable[[Entry], str]) -> Iterator[tuple[int, str]]:
    """Yield the places of a run: its choices, or the moments at which its history has an entry."""
    if run.steps is not None:
        yield from ((at, run.steps.taken[place].about) for place, at in run.steps.places)
        return
    before = -1
    for entry in run.history:
        if entry.at != before and entry.kind not in ("phase", "census"):
            yield entry.at, words_of(entry)
            before = entry.at


def bars(places: Sequence[Place], width: int = 20) -> Iterator[str]:
    """Yield a line for each place: its time in milliseconds, a bar of its share, and its next step or entry."""
    for place in places:
        low, high = place.interval
        bar = "█" * round(place.share * width)
        yield (
            f"{place.at / 1000:>14,.3f} ms  {place.share:>4.0%} {bar:<{width}} ({low:.0%} to {high:.0%})  "
            f"before: {place.words}"
        )
