"""The engines that a world can run, behind one small interface.

An engine is made for each incarnation of each consumer, from an `EngineContext`, and does two things: `handle` an event
that the broker delivered, and `sweep` for followers whose leader did not come. An adapter for an engine of your own is
ten lines:

    class MyEngine:
        def __init__(self, context):
            self.ordering = MyOrdering(context.connect(), context.scope)
            self.effect = context.effect

        async def handle(self, event):
            await self.ordering.process(event, self.effect)

        async def sweep(self):
            for event in await self.ordering.overdue():
                await self.handle(event)

It is named on the command line as `--engine mypackage.engine:MyEngine`. It may have an `async def start(self)`, called
before the first delivery, and an `async def close(self)`, called when its consumer stops in good order; `sys.exit()`
ends its process. An `async def give_up(self, event)` is called with an event that the queue is about to give up, if the
scenario says so (`broker.reports_dead_letters`), and returns whether the engine has taken note of that. A consumer that
reads a queue by itself is named as a function: see `program.py`.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from causim.own_packages import OWN
from simulation.kernel.prints import run_prints

if TYPE_CHECKING:
    import redis.asyncio

    from simulation.scenario.model import PolicyTable, Producer, Scenario

Outcome = Literal["handled", "parked", "seen", "busy"]
"""The outcome of a delivery. All but `busy` are acknowledged; `busy`: another consumer holds it, ask again later.
An exception is a failure: the delivery is not acknowledged, and counts towards the dead letter."""


class UnknownEngine(Exception):
    """There is no such engine, or it cannot be loaded. The message names the fix."""


class Interrupted(Exception):
    """The call ended before the outcome of the event was known, through no failure of its handler.

    The queue offers the event again, and counts no failure.
    """


class Effect(Protocol):
    """The handler's work: it must happen once, and in causal order."""

    async def __call__(self, event: Any, fence: int | None = None) -> None:
        """Handle the event. `fence` is its fencing token, from engines that have one."""
        ...


@dataclass(frozen=True, slots=True)
class EngineContext:
    """The resources of one consumer's engine: its name, connections, effect and policy."""

    consumer: str
    scope: str
    """The prefix of its keys, the same for all consumers of a world."""
    connect: Callable[..., redis.asyncio.Redis]
    """Returns a Redis client into the simulated network; arguments go to the client."""
    effect: Effect
    policy: PolicyTable
    handler: Literal["reentrant", "plain"]
    token: Callable[[], str]
    """A source of unique tokens that the run owns."""
    given_up: Callable[[Any], None] = lambda event: None
    """To be called with each event that the engine gives up: its own dead letters. The broker's are known."""
    producer: Producer | None = None
    """The queue of the producer's events, if the engine is a function that reads a queue."""
    can_read: Callable[[Any], bool] | None = None
    """Says whether the consumer can read an event that the engine has parsed; None: it can read all."""


class Engine(Protocol):
    """One consumer's engine.

    `start`, `close`, `decode` and `scripts` may be left out, and so may `in_memory = True`: an engine that says so
    needs no store, while any other that never speaks to the simulated Redis gets no verdict.
    """

    def __init__(self, context: EngineContext) -> None:
        """Connect to Redis through the context."""
        ...

    def handle(self, event: Any) -> Awaitable[Outcome | None]:
        """Handle one delivery; None means handled."""
        ...

    def sweep(self) -> Awaitable[int | None]:
        """Handle followers whose leader did not come, and return the number found."""
        ...


BUILT_IN: Mapping[str, tuple[str, str]] = {
    "native": ("simulation.engines.native:NativeEngine", "the engine of this project, package `ordering`"),
    "native-steps": (
        "simulation.engines.stepwise:StepwiseEngine",
        "the same by its single steps: siblings may overtake",
    ),
    "native-waiting": (
        "simulation.engines.wait_for_leader:WaitingEngine",
        "the same, waiting for a leader that is in flight",
    ),
    "native-batches": ("simulation.engines.batched:BatchEngine", "the same, given many events at a time"),
    "native-stream": ("simulation.engines.streamed:StreamEngine", "the same, given a stream: one round trip an event"),
    "native-partitions": ("simulation.engines.partitioned:PartitionEngine", "the same, its events divided by chain"),
    "drop-in": (
        "simulation.engines.drop_in:DropInEngine",
        "`ordering.prefect`: the same in Prefect's place, on the original's keys",
    ),
    "prefect": ("simulation.engines.prefect:PrefectEngine", "the installed prefect_redis, unmodified"),
    "null": ("simulation.engines.null:NullEngine", "no ordering at all: the control group"),
}
"""The engines with a name: the class to import, and a description."""
QUEUE = "queue:"
"""The prefix of the names of shipped task queues."""
MUTANT = "mutant:"
"""The prefix of the names of engines with a planted fault."""


def engine_name(engine: str | type[Engine]) -> str:
    """Return the name of an engine that is given by its name or by its class. Raises TypeError, UnknownEngine."""
    if isinstance(engine, str):
        return engine
    if not isinstance(engine, type):
        raise TypeError(f"an engine was expected: a name, 'module:Class' or a class; not {engine!r}")
    name = f"{engine.__module__}:{engine.__qualname__}"
    if "<locals>" in name or getattr(sys.modules.get(engine.__module__), engine.__name__, None) is not engine:
        raise UnknownEngine(f"engine {engine.__qualname__}: define the class at the top of a module or of a notebook")
    return name


def resolve(name: str) -> type[Engine]:
    """Return the engine class for a name, a `module:Class` or a `module:function`. Raises UnknownEngine."""
    if name.startswith(MUTANT):
        return _mutant(name.removeprefix(MUTANT))
    if name.startswith("prefect@"):
        return _release(name.removeprefix("prefect@"))
    if name.startswith(QUEUE):
        return _queue(name.removeprefix(QUEUE))
    check_name(name)
    module_name, _, class_name = (BUILT_IN[name][0] if name in BUILT_IN else name).partition(":")
    if name not in BUILT_IN and str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))  # last: a folder of the user's must not hide what causim imports later
    try:
        with run_prints():
            found = getattr(importlib.import_module(module_name), class_name)
    except ImportError as error:
        raise UnknownEngine(f"engine {name!r} cannot be loaded: {error}{_remedy(name, module_name)}") from error
    except AttributeError:
        raise UnknownEngine(f"engine {name!r}: module {module_name} has no {class_name}") from None
    if inspect.iscoroutinefunction(found):
        return _program(name, found, getattr(sys.modules[module_name], "publish", None))
    if inspect.isfunction(found):
        raise UnknownEngine(
            f"engine {name!r}: {class_name} is not async; name the `async def` that it gives to asyncio.run (a worker"
            " that blocks in its own client, without asyncio, cannot be run in virtual time)"
        )
    for verb in ("handle", "sweep"):
        if not callable(getattr(found, verb, None)):
            raise UnknownEngine(f"engine {name!r}: {class_name} has no method {verb}")
    engine: type[Engine] = found
    return engine


def check_name(name: str) -> None:
    """Raise UnknownEngine for a word that can name no engine. Nothing is imported."""
    if name in BUILT_IN or ":" in name or name.startswith("prefect@"):
        return
    near = get_close_matches(name, BUILT_IN, 1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise UnknownEngine(
        f"engine {name!r} is not known; {hint}known are {', '.join(BUILT_IN)}, prefect@VERSION, "
        "mutant:NAME, module:Class and module:function"
    )


def check_expected(scenario: Scenario) -> None:
    """Raise UnknownEngine if a scenario expects something of an engine that there cannot be: it is never compared."""
    for name in scenario.expected:
        try:
            check_name(name)
        except UnknownEngine as error:
            raise UnknownEngine(f"expect.{name}: {error}") from None


def is_shipped(name: str) -> bool:
    """Say whether an engine is one of causim's own, or a release of prefect_redis."""
    return name in BUILT_IN or name.startswith((MUTANT, "prefect@"))


def _program(name: str, main: Any, publish: Any) -> type[Engine]:
    # an engine is imported when it is named
    from simulation.engines.program import program

    try:
        return program(main, publish)
    except ValueError as error:
        raise UnknownEngine(f"engine {name!r}: {error}") from None


def _queue(name: str) -> type[Engine]:
    from simulation.engines.queues import QUEUES  # only who asks for it waits for it

    if name not in QUEUES:
        raise UnknownEngine(f"engine '{QUEUE}{name}' is not known; known queues are {', '.join(QUEUES)}")
    try:
        with run_prints():
            module = importlib.import_module(f"simulation.engines.queues.{name}")
    except ImportError as error:
        package = QUEUES[name][0]
        raise UnknownEngine(f"engine '{QUEUE}{name}' needs {package}: {error} (pip install {package})") from error
    return _program(f"{QUEUE}{name}", module.main, module.publish)


def _remedy(name: str, module: str) -> str:
    if name == "prefect":
        return " (pip install 'causim[prefect]')"
    if (package := module.partition(".")[0]) in OWN:
        return f" (here {package!r} is causim's own package; move the engine to a package with another name)"
    return ""


def _mutant(name: str) -> type[Engine]:
    # an engine is imported when it is named
    from simulation.engines.mutants import StaleMutant, UnknownMutant, engine

    try:
        return engine(name)
    except (UnknownMutant, StaleMutant) as error:
        raise UnknownEngine(f"engine '{MUTANT}{name}': {error}") from None


def _release(version: str) -> type[Engine]:
    # an engine is imported when it is named
    from simulation.engines.prefect_releases import ReleaseUnavailable, adapter

    try:
        engine: type[Engine] = adapter(version).PrefectEngine
    except ReleaseUnavailable as error:
        raise UnknownEngine(f"engine 'prefect@{version}': {error}") from None
    return engine


def scripts_of(engine: type[Engine]) -> Mapping[str, str]:
    """Return the names of an engine's scripts by their SHA-1 digests; nothing if it does not name them."""
    own: Callable[[], Mapping[str, str]] | None = getattr(engine, "scripts", None)
    return own() if own is not None else {}


def joined_by(engine: type[Engine]) -> Callable[[str, Sequence[bytes]], Sequence[Sequence[bytes]]] | None:
    """Return the function by which an engine says which requests a command has joined; None if it joins none.

    It is given the name of the command's script and the command's words.
    """
    own: Callable[[str, Sequence[bytes]], Sequence[Sequence[bytes]]] | None = getattr(engine, "joined", None)
    return own


def decoder(engine: type[Engine]) -> Callable[[bytes], Any]:
    """Return the function by which an engine's consumers read a message: its own `decode`, or that of `ordering`."""
    own: Callable[[bytes], Any] | None = getattr(engine, "decode", None)
    if own is not None:
        return own
    # an engine is imported when it is named
    from ordering import ReceivedEvent

    return ReceivedEvent.model_validate_json
