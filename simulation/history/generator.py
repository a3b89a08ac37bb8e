"""Generates histories that resemble those of real runs, for `strategies.histories`.

The generator keeps the rules of an engine, except for the breaches that it is allowed to make. It imports no engine,
has no clock and draws nothing: its caller chooses what happens next, and the first option always leads to the simplest
end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from simulation.history.entries import Header
from simulation.history.history import History

Option = tuple[str, str]
"""A possible next step, and its consumer or event."""


@dataclass(slots=True)
class _Job:
    """The current work of a consumer: one delivery, and its handler if that has begun."""

    name: str
    attempt: int
    delivery: int
    handling: int = 0
    marks: set[str] = field(default_factory=set)
    """The slips that were chosen for it."""


class HistoryGenerator:
    """Makes one history.

    Args:
        leaders: for each event, the event that it follows, or "".
        occurred: the time at which each event occurred, in microseconds.
        absent: an event that is never published, or "".
        choose: picks one of the options, of which the first is the simplest.
        max_faults: the highest number of faults and breaches.
        slips: whether the engine may break its rules: begin too early or twice, forget, wait too long, or mix siblings
        up.
    """

    _SLIPS = ("linger", "mix up", "repeat")

    def __init__(
        self,
        leaders: Mapping[str, str],
        *,
        occurred: Sequence[int],
        absent: str,
        choose: Callable[[list[Option]], Option],
        max_faults: int,
        slips: bool,
    ) -> None:
        self._leaders = leaders
        self._occurred = dict(zip(leaders, occurred, strict=True))
        self._choose = choose
        self._faults_left = max_faults
        self._slips = slips
        self._history = History(Header(scenario="drawn", engine="storyteller"))
        self._now = self._numbers = 0
        self._unpublished = [name for name in leaders if name != absent]
        self._queue: list[tuple[str, int]] = []
        """Events to deliver, and which attempt it will be."""
        self._jobs: dict[str, _Job | None] = {"c1": None, "c2": None}
        self._parked: set[str] = set()
        self._handled: set[str] = set()
        self._verbs: Mapping[str, Callable[[str], None]] = {
            "go on": self._go_on,
            "deliver": self._deliver,
            "publish": self._publish,
            "crash": self._crash,
            "fail": self._fail,
            "offer again": self._offer_again,
            "begin": self._begin,
            "linger": self._mark("linger"),
            "mix up": self._mark("mix up"),
            "repeat": self._mark("repeat"),
            "forget": self._parked.discard,
        }

    def generate(self) -> History:
        """Make the history to its end, and return it."""
        self._write("phase", phase="safety")
        for consumer in self._jobs:
            self._write("joined", consumer=consumer)
        while options := self._usual():
            unusual = self._unusual() if self._faults_left else []
            verb, about = self._choose(options + unusual)
            if (verb, about) in unusual:
                self._faults_left -= 1
            self._verbs[verb](about)
        self._rescue()
        self._write("census", keys={})
        self._write("phase", phase="quiet", in_flight=[])
        return self._history

    def _write(self, kind: str, event: str = "", consumer: str = "", **details: object) -> None:
        self._now += 1_000
        self._history.append(self._now, kind, event, consumer, **details)

    def _number(self) -> int:
        self._numbers += 1
        return self._numbers

    # -- what may happen -------------------------------------------------------------------------------------

    def _busy(self) -> list[tuple[str, _Job]]:
        return [(consumer, job) for consumer, job in self._jobs.items() if job is not None]

    def _usual(self) -> list[Option]:
        idle = [consumer for consumer, job in self._jobs.items() if job is None]
        found = [("go on", consumer) for consumer, _ in self._busy()]
        found += [("deliver", consumer) for consumer in idle if self._queue]
        return found + [("publish", name) for name in self._unpublished]

    def _unusual(self) -> list[Option]:
        busy = self._busy()
        found = [("crash", consumer) for consumer, _ in busy]
        found += [("fail", consumer) for consumer, job in busy if job.handling]
        found += [("offer again", job.name) for _, job in busy]
        if self._slips:
            found += [("begin", consumer) for consumer, job in busy if not job.handling]
            found += [(slip, consumer) for consumer, job in busy if job.handling for slip in self._SLIPS]
            found += [("forget", name) for name in sorted(self._parked)]
        return found

    # -- the broker ------------------------------------------------------------------------------------------

    def _publish(self, name: str) -> None:
        self._unpublished.remove(name)
        follows, occurred = self._leaders[name], self._occurred[name]
        self._write("published", name, follows=follows, occurred=occurred, fingerprint=f"print of {name}", id=name)
        self._queue.append((name, 1))

    def _offer_again(self, name: str) -> None:
        self._write("duplicated", name)
        self._queue.append((name, 1))

    def _deliver(self, consumer: str) -> None:
        name, attempt = self._queue.pop(0)
        job = self._jobs[consumer] = _Job(name, attempt, self._number())
        self._write("delivered", name, consumer, attempt=attempt, delivery=job.delivery)

    def _return(self, consumer: str) -> None:
        job = self._job(consumer)
        self._jobs[consumer] = None
        self._queue.append((job.name, job.attempt + 1))

    def _acknowledge(self, consumer: str) -> None:
        job = self._job(consumer)
        self._jobs[consumer] = None
        self._write("acknowledged", job.name, consumer, delivery=job.delivery)

    # -- consumers -------------------------------------------------------------------------------------------

    def _job(self, consumer: str) -> _Job:
        job = self._jobs[consumer]
        assert job is not None
        return job

    def _go_on(self, consumer: str) -> None:
        job = self._job(consumer)
        leader = self._leaders[job.name]
        if job.handling:
            self._end(consumer, job.name, job.handling)
            if "repeat" in job.marks:
                self._end(consumer, job.name, self._start(consumer, job.name, "delivered"))
            self._release(consumer, job)
            self._acknowledge(consumer)
        elif job.name in self._handled:
            self._write("refused", job.name, consumer, because="seen", delivery=job.delivery)
            self._acknowledge(consumer)
        elif any(other.handling and other.name == job.name for _, other in self._busy()):
            self._write("refused", job.name, consumer, because="held", delivery=job.delivery)
            self._return(consumer)
        elif leader and leader not in self._handled:
            self._parked.add(job.name)
            self._write("parked", job.name, consumer, delivery=job.delivery)
            self._acknowledge(consumer)
        else:
            self._begin(consumer)

    def _begin(self, consumer: str) -> None:
        job = self._job(consumer)
        job.handling = self._start(consumer, job.name, "delivered")

    def _mark(self, slip: str) -> Callable[[str], None]:
        return lambda consumer: self._job(consumer).marks.add(slip)

    def _start(self, consumer: str, name: str, via: str) -> int:
        handling = self._number()
        said = f"print of {name}"
        self._write("started", name, consumer, handling=handling, via=via, fence=handling, fingerprint=said)
        return handling

    def _end(self, consumer: str, name: str, handling: int) -> None:
        self._write("ended", name, consumer, handling=handling, outcome="ok", write="accepted")
        self._handled.add(name)
        self._parked.discard(name)

    def _release(self, consumer: str, job: _Job) -> None:
        """Handle the followers of the event, and theirs; no other consumer does anything meanwhile."""
        if "linger" in job.marks:
            self._now += self._history.header.terms.release_bound
        stack = self._waiting_for(job.name)
        if "mix up" in job.marks:
            stack.reverse()
        while stack:
            name = stack.pop()
            self._end(consumer, name, self._start(consumer, name, "released"))
            stack += self._waiting_for(name)

    def _waiting_for(self, leader: str) -> list[str]:
        """Return the followers that are parked behind a leader, the earliest last."""
        found = [name for name in self._parked if self._leaders[name] == leader]
        return sorted(found, key=lambda name: (self._occurred[name], name), reverse=True)

    # -- what goes wrong -------------------------------------------------------------------------------------

    def _crash(self, consumer: str) -> None:
        job = self._job(consumer)
        self._write("crashed", consumer=consumer, holding=[job.name] if job.handling else [])
        self._return(consumer)
        self._write("joined", consumer=consumer)

    def _fail(self, consumer: str) -> None:
        job = self._job(consumer)
        self._write("ended", job.name, consumer, handling=job.handling, outcome="failed")
        self._write("rejected", job.name, consumer, delivery=job.delivery, because="HandlerFailed")
        self._return(consumer)

    # -- the end ---------------------------------------------------------------------------------------------

    def _rescue(self) -> None:
        """Let the lookback pass, and handle the events whose leader has not come."""
        if self._parked:
            self._now += self._history.header.terms.lookback
        while self._parked:
            name = self._head(min(self._parked))
            self._end("c1", name, self._start("c1", name, "rescued"))
            self._release("c1", _Job(name, 0, 0))
            self._write("swept", consumer="c1", found=1)

    def _head(self, name: str) -> str:
        """Return the uppermost parked event above this one; of a cycle, any."""
        above = {name}
        while (leader := self._leaders[name]) in self._parked - above:
            above.add(name := leader)
        return name
