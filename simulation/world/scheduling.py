"""The interface between a world and the scheduler that decides its order: it picks the next one of the pending steps.

1. Without a scheduler a world draws a delay for every hop, and one heap decides.
2. With one, each short hop (a request on its way to Redis, a reply on its way back, a delivery, the end of a handler's
   work) waits here as a *step* until nothing immediate is left to run.
3. Then the scheduler picks one of the steps that may come next, or lets time pass to the next timer. A run is thereby a
   function of its choices.

Steps of one lane, such as the requests of one connection, keep their order. No virtual time passes for a step. Delays
of a second and more (redelivery, sweeps, leases, a slow handler) stay timers. This module does not know the action of a
step, only its consumer or event, and the resources that it has touched.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

from simulation.kernel.dependence import CHANGED, EVERYTHING, Touched
from simulation.kernel.environment import SECOND
from simulation.kernel.event_loop import SimulatedLoop

BRIEF = SECOND
"""A delay shorter than this is a hop, whose length does not matter because every order of hops is possible."""


Kind = Literal["request", "reply", "delivery", "handler", "time", "crash", "reply-lost"]


class Abandoned(Exception):
    """The scheduler has no interest in the rest of this run."""


@dataclass(frozen=True, slots=True)
class Step:
    """Something that may happen next.

    `label` names it in the same way in every run in which the same things led to it; `about` describes it in words.
    """

    label: str
    kind: Kind
    who: str
    """The consumer that it concerns, or the event that is delivered."""
    about: str
    cause: str = field(default="", compare=False)
    """The label of the step in whose course it arose."""
    keys: frozenset[bytes] = field(default=frozenset(), compare=False)
    """The keys that a request names. A script may touch others."""

    @property
    def lane(self) -> str:
        """The queue in which it waits: steps of one lane keep their order."""
        return self.label.rstrip("!").rstrip("0123456789")


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A step, and its action. Apart, since schedulers and runs keep steps, which must not keep their worlds."""

    number: int
    step: Step
    run: Callable[[], object]
    lost: Callable[[], object] | None
    """For a request: have it executed, but lose the reply."""


class Scheduler(Protocol):
    """Decides the order of a run."""

    def choose(self, steps: Sequence[Step]) -> int:
        """Return the place of the step that comes next. Raises Abandoned to end the run.

        First come the pending steps: the consequences of the last step, then the others of the same consumer, then the
        rest, oldest first. So a scheduler that always chooses the first lets every consumer finish its work. Then, as
        far as the bounds allow, come the passing of time and faults.
        """
        ...

    def done(self, step: Step, touched: Touched) -> None:
        """Take note of the resources touched by the step and by its consequences until the next choice."""
        ...


@dataclass(frozen=True, slots=True)
class Bounds:
    """The limits of a scheduler's choices beyond an order."""

    early: int = 0
    """Number of times that time may pass to the next timer although steps are pending; `Steps` limits the duration."""
    faults: int = 0
    """Maximum number of faults."""
    kinds: tuple[Literal["crash", "reply-lost"], ...] = ("crash", "reply-lost")
    """The kinds of faults that are possible."""


@dataclass(frozen=True, slots=True)
class Exploration:
    """The settings of an exploration of a world."""

    scheduler: Scheduler
    bounds: Bounds = Bounds()
    scripts: tuple[bytes, ...] = ()
    """Scripts that Redis knows before the run begins, as it does when engines have been running for a while."""
    footprint: Callable[[Sequence[Sequence[bytes]], bytes], Touched] | None = None
    """Returns the resources touched by the commands of a request, given them and the reply. Without it: everything."""
    scouted: int | None = None
    """The seed of the run in which the scripts were found; None if that is the run's own."""


class Steps:
    """The pending steps of a world; drives the world from one to the next.

    Args:
        loop: the loop of the world.
        exploration: how the world is explored.
        early_time: the microseconds for which time may pass early between two moments without pending steps.
            A request that is held for longer than a lease, or its reply, is a partition. The judge excuses much of an
            engine that was cut off, but learns of no partition that a scheduler has made.
    """

    def __init__(self, loop: SimulatedLoop, exploration: Exploration, early_time: int) -> None:
        self.exploration = exploration
        self.choices: list[int] = []
        """The place of the chosen option, for each choice."""
        self.places: list[tuple[int, int]] = []
        """For each choice, the number of steps taken before it, and the time in microseconds."""
        self.taken: list[Step] = []
        """The steps, in the order in which they were taken."""
        self.deviations: list[tuple[Step, Step]] = []
        """Choices of another option than the first: pairs of the chosen step and the first option."""
        self.crashes: Callable[[], Iterable[tuple[Step, Callable[[], object]]]] = tuple
        """Returns the crashes that are possible now, each with the function that causes it; set by the world."""
        self.strike: Callable[[Step], None] = lambda step: None
        """Called with each fault before it acts."""
        self._loop = loop
        self._lanes: dict[str, deque[_Waiting]] = {}
        self._crashing: dict[str, Callable[[], object]] = {}
        self._added = 0
        self._numbers: dict[str, int] = {}
        self._touched: dict[str, int] = {}
        self._last: Step | None = None
        self._early = exploration.bounds.early
        self._early_time = self._left = early_time
        self._faults = exploration.bounds.faults

    def over(self) -> None:
        """Keep the choices, and let go of the world: its connections would live as long as the choices."""
        self._lanes.clear()
        self._crashing.clear()
        self.crashes, self.strike = tuple, lambda step: None
        del self._loop

    @property
    def pending(self) -> bool:
        """Whether anything is on its way."""
        return bool(self._lanes)

    def add(
        self,
        lane: str,
        kind: Kind,
        who: str,
        about: str,
        *,
        run: Callable[[], object],
        lost: Callable[[], object] | None = None,
        keys: frozenset[bytes] = frozenset(),
    ) -> None:
        """Let a step wait behind the others of its lane."""
        number = self._numbers[lane] = self._numbers.get(lane, 0) + 1
        self._added += 1
        cause = self._last.label if self._last else ""
        step = Step(f"{lane}{number}", kind, who, about, cause, keys)
        self._lanes.setdefault(lane, deque()).append(_Waiting(self._added, step, run, lost))

    def waits(self, lane: str) -> bool:
        """Whether anything waits in a lane."""
        return lane in self._lanes

    def drop(self, lane: str) -> None:
        """Forget the steps of a lane: their receiver is gone."""
        self._lanes.pop(lane, None)

    def touch(self, name: str, how: int = CHANGED) -> None:
        """Take note that the current step touches something that others may touch."""
        self._touched[name] = how | self._touched.get(name, 0)

    def executed(self, commands: Sequence[Sequence[bytes]], reply: bytes) -> None:
        """Take note of Redis's work in the current step."""
        footprint = self.exploration.footprint
        touched = footprint(commands, reply) if footprint else {EVERYTHING: CHANGED}
        for name, how in touched.items():
            self.touch(name, how)

    def step(self) -> None:
        """Do the next thing: a due callback, else the scheduler's choice. Raises EmptySchedule, Abandoned."""
        env = self._loop.env
        if env.peek() <= env.now:
            env.step()
            return
        self._report()
        if not self._lanes:
            self._left = self._early_time
            self.taken.append(_TIME)
            self._last = _TIME
            self.touch(EVERYTHING)
            env.step()
            return
        options = self._options()
        choice = self.exploration.scheduler.choose(options)
        if len(options) > 1:
            self.choices.append(choice)
            self.places.append((len(self.taken), self._loop.now))
        if choice:
            self.deviations.append((options[choice], options[0]))
        self._take(options[choice])

    def step_after_the_end(self) -> None:
        """Do the next thing once the run is over: the oldest step first, which is no choice. Raises EmptySchedule."""
        env = self._loop.env
        if env.peek() <= env.now or not self._lanes:
            env.step()
        else:
            self._removed(min((lane[0] for lane in self._lanes.values()), key=lambda one: one.number).step)()

    def _options(self) -> list[Step]:
        waiting = sorted((lane[0] for lane in self._lanes.values()), key=self._turn)
        options = [one.step for one in waiting]
        faults: list[Step] = []
        if self._faults:
            if "reply-lost" in self.exploration.bounds.kinds:
                faults = [_reply_lost(one.step) for one in waiting if one.lost is not None]
            if "crash" in self.exploration.bounds.kinds:
                crashes = list(self.crashes())
                self._crashing = {step.label: run for step, run in crashes}
                faults += [step for step, _ in crashes]
        if self._early and self._loop.env.peek() - self._loop.now <= self._left:
            options.append(_TIME)
        return options + faults

    def _turn(self, waiting: _Waiting) -> tuple[bool, bool, int]:
        """Put first the consequences of the last step, then the steps of the same consumer, then the oldest."""
        if not self.taken:
            return False, False, waiting.number
        step, last = waiting.step, self.taken[-1]
        return step.cause != last.label, step.who != last.who, waiting.number

    def _take(self, step: Step) -> None:
        self.taken.append(step)
        self._last = step
        match step.kind:
            case "time":
                self._early -= 1
                self._left -= int(self._loop.env.peek()) - self._loop.now
                self.touch(EVERYTHING)
                self._loop.env.step()
                return
            case "crash" | "reply-lost":
                self._faults -= 1
                self.strike(step)
        run = self._crashing[step.label] if step.kind == "crash" else self._removed(step)
        match step.kind:
            case "request" | "reply-lost":
                self.touch(f"request {step.label.removesuffix('!')}")
            case "delivery":
                pass  # the broker says what of it was touched
            case _:
                self.touch(f"consumer {step.who}")
        run()

    def _removed(self, step: Step) -> Callable[[], object]:
        """Take a step out of its lane, and return its action."""
        waiting = self._lanes[step.lane]
        first = waiting.popleft()
        if not waiting:
            del self._lanes[step.lane]
        return first.lost if step.kind == "reply-lost" and first.lost is not None else first.run

    def _report(self) -> None:
        touched, self._touched, last, self._last = self._touched, {}, self._last, None
        if last is not None:  # what came before the first step belongs to none: no other order of it is possible
            self.exploration.scheduler.done(last, touched)


def _reply_lost(step: Step) -> Step:
    return replace(step, label=f"{step.label}!", kind="reply-lost", about=f"{step.about}, whose reply is lost")


_TIME = Step("time", "time", "", "time passes to the next timer")
