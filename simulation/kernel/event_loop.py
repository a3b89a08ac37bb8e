"""The one place where physics meets software: an asyncio event loop whose only clock and queue are SimPy's.

The world's actions (hops, deadlines, crashes) are scheduled on the SimPy environment; code under test is
ordinary `async def` code on `SimulatedLoop`. Both wait in the same heap, so there is one order of events and one
clock, which counts microseconds as an integer. No thread, no selector and no wall clock takes part.

A `Process` can crash or pause: it owns every callback that was scheduled from inside it. A crash is not a
cancellation: a dead process's callbacks are simply never run again, so no `finally` of its code gets a say. A
paused process's callbacks are held, in order, while the world's time goes on.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextvars import Context, copy_context
from itertools import count
from typing import Any, NoReturn, Protocol, TypeVar, TypeVarTuple, cast
from weakref import WeakSet, ref

from simpy.core import EmptySchedule

from simulation.kernel.blocking_sleep import Driver
from simulation.kernel.collection import EVERY as COLLECT_EVERY
from simulation.kernel.collection import automatic_collection_off, collect
from simulation.kernel.endings import end_all, keep_for_ever
from simulation.kernel.environment import SECOND, Handle, Timer, VirtualTime
from simulation.kernel.escapes import Escaped, place
from simulation.kernel.loop_surface import LoopSurface
from simulation.kernel.process import Process, current_process
from simulation.kernel.running_loop import running
from simulation.kernel.tasks import NumberedFuture, NumberedTask
from simulation.kernel.unretrieved import Unretrieved, unretrieved

T = TypeVar("T")
Ts = TypeVarTuple("Ts")
_ROOM = 256
"""Number of generators that may be kept, beyond twice those that are not done, before they are looked through."""


class Dialler(Protocol):
    """Opens connections for a loop: the simulated network."""

    async def connect(self, protocol_factory: Callable[[], Any], process: Process | None, *at: Any) -> tuple[Any, Any]:
        """Open a connection for a process to a host and a port; return its transport and protocol."""
        ...


class Deadlock(Exception):
    """The code under test waits for something that nothing in the world will ever do."""


_Base: Any = asyncio.AbstractEventLoop  # most of it is never needed in here, and is refused when called


class SimulatedLoop(LoopSurface, _Base):  # type: ignore[misc]
    """An asyncio event loop in virtual time.

    It supports the needs of code on top of streams and timers: tasks, futures, timers, connections (into the
    simulated network) and executors (run inline). Anything that would reach the real world ends the run.
    """

    def __init__(self, environment: VirtualTime | None = None) -> None:
        super().__init__()
        self.env = environment or VirtualTime()
        self.env.take_turn = self._take_turn
        self.network: Dialler | None = None
        self.numbers = count()
        """Numbers tasks and futures, in the order in which their hash is first used."""
        self.in_executor = False
        """Whether a function runs that was given to an executor."""
        self.turns = 0
        """Number of callbacks that have been run."""
        self.on_escape: Callable[[Escaped], None] = _ignore
        """Called with the error of a call that cannot be simulated: the run is to end."""
        self.on_exit: Callable[[Process | None, SystemExit], None] = _reraise
        """Called when code of a process calls `sys.exit()`: the process is to end."""
        self.on_block: Callable[[Process, int, str], None] = _ignore
        """Called when a process blocks, with the microseconds and the place; and with 0 when it no longer does."""
        self._world = Context()
        self._closed = False
        self._running = False
        self._driver = Driver(lambda: False, self.env.step)
        self._generators: list[Any] = []
        """Those that have begun, kept until they are done: none may end just because it happens to be collected."""
        self._room = _ROOM
        self._tasks: WeakSet[asyncio.Task[Any]] = WeakSet()
        """Those of this loop; asyncio knows those of every loop that is still in memory."""
        self._pending: set[asyncio.Task[Any]] = set()
        """Those that are not done, kept: none may end just because it happens to be collected."""

    def _keep(self, generator: Any) -> None:
        self._generators.append(generator)
        if len(self._generators) > self._room:
            self._generators = [one for one in self._generators if one.ag_frame is not None]
            self._room = 2 * len(self._generators) + _ROOM

    # -- time ------------------------------------------------------------------------------------------------

    @property
    def now(self) -> int:
        """Microseconds since the start of the run."""
        return self.env._now  # type: ignore[return-value]  # ours is always a whole number

    def time(self) -> float:
        """Return the seconds since the start of the run."""
        return self.env._now / SECOND

    def call_soon(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        """Run the callback after everything that is already due."""
        handle = Handle(callback, args, self, context)
        self.env.put(handle, 0)
        return handle

    def call_soon_threadsafe(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        """Run the callback soon: there is only one thread in here."""
        return self.call_soon(callback, *args, context=context)

    def call_later(
        self, delay: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Run the callback in `delay` seconds, rounded to a microsecond; a delay above 0 takes one at least."""
        # What is left until a deadline may be a rounding error: code that waits for that must not find the same time.
        return self._timer(max(1 if delay > 0 else 0, round(delay * SECOND)), callback, args, context)

    def call_at(
        self, when: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Run the callback when the loop's clock shows `when` seconds or, by a rounding, up to a microsecond later."""
        due = round(when * SECOND)
        # A deadline is often a sum, a rounding error above the microsecond that it means: who looks at the clock when
        # the timer fires, as anyio does, would find that it is too early, and set the same timer again for ever.
        if due / SECOND < when:
            due += 1
        return self._timer(max(0, due - self.now), callback, args, context)

    def call_in(
        self, delay: int, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Run the callback in `delay` microseconds."""
        return self._timer(delay, callback, args, context)

    def in_world(self, delay: int, callback: Callable[..., object], *args: Any) -> asyncio.TimerHandle:
        """Run the callback in `delay` microseconds, outside of every process: no crash or pause can stop it.

        It is the world's own, so its exceptions end the run: asyncio keeps the exceptions of callbacks to itself.
        """
        return self._timer(delay, callback, args, self._world)

    def _timer(
        self, delay: int, callback: Callable[..., object], args: tuple[Any, ...], context: Context | None
    ) -> asyncio.TimerHandle:
        handle = Timer((self.env._now + delay) / SECOND, callback, args, self, context)
        self.env.put(handle, delay)
        return handle

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        if handle._scheduled:  # type: ignore[attr-defined]
            self.env.timer_cancelled()

    def _take_turn(self, handle: Any) -> None:
        self.turns += 1
        if self.turns % COLLECT_EVERY == 0:
            collect(self.turns)
        if type(handle) is Timer:
            handle._scheduled = False
        if handle._context is self._world:
            self._world.run(handle._callback, *handle._args)
            return
        process = handle._context.get(current_process)
        if process is not None:
            if not process.alive:
                return
            if process.paused or process.blocked:
                process.held.append(handle)
                return
        try:
            handle._run()
        except SystemExit as error:
            self.on_exit(process, error)
        task = getattr(handle._callback, "__self__", None)
        if task.__class__ is NumberedTask and task.done():
            task.ended_at = self.now
            self._pending.discard(task)

    # -- processes -------------------------------------------------------------------------------------------

    def pause(self, process: Process) -> None:
        """Freeze a process: its due callbacks are held until it resumes."""
        process.paused = True

    def resume(self, process: Process) -> None:
        """Let a paused process go on: its held callbacks are due now, in the order in which they fell due."""
        process.paused = False
        if process.returning is not None:
            self.in_world(0, process.returning)
            process.returning = None
        self._release(process)

    def block(self, process: Process, delay: int) -> None:
        """Block a process, whose code calls this, for `delay` microseconds. Raises ProcessEnded."""
        self._driver.block(self, process, delay)

    def end_process(self, process: Process, status: int) -> None:
        """End a process with a status. If its code calls this, it does not return."""
        self.on_exit(process, SystemExit(status))
        if process is current_process.get():
            self._driver.halt(self)

    def unblock(self, process: Process) -> None:
        """Note that a blocking call of a process returns: its held callbacks are due."""
        process.blocked = False
        self._release(process)
        self.on_block(process, 0, "")

    def _release(self, process: Process) -> None:
        while process.held and not process.paused and not process.blocked:
            self.env.put(process.held.popleft(), 0)

    def escape(self, what: str, where: str = "") -> NoReturn:
        """End the run: the code under test did something that cannot be simulated. Raises Escaped."""
        process = current_process.get()
        name = process.name if process else "the harness"
        where = where or place(task=asyncio.current_task(self))
        error = Escaped(f"{name}, at {self.time():.6f} s: {what} ({where}); this cannot be simulated")
        self.on_escape(error)
        raise error

    def abandon(self, error: BaseException) -> None:
        """End the run from within a callback, which is left in the middle. Raises the error in `run_while`."""
        self._driver.abandon(error)

    def kill(self, process: Process) -> None:
        """Crash a process: nothing of it runs ever again, not even its `finally` blocks."""
        process.alive = False
        process.held.clear()

    def spawn(self, coroutine: Coroutine[Any, Any, T], process: Process, name: str | None = None) -> asyncio.Task[T]:
        """Start a task inside a process."""
        context = copy_context()
        context.run(current_process.set, process)
        return self.create_task(coroutine, name=name, context=context)

    # -- tasks and futures -----------------------------------------------------------------------------------

    def create_future(self) -> asyncio.Future[Any]:
        """Return a new future of this loop."""
        return NumberedFuture(loop=self)

    def create_task(
        self,
        coro: Coroutine[Any, Any, T] | Generator[Any, None, T],
        *,
        name: str | None = None,
        context: Context | None = None,
        **_: Any,
    ) -> asyncio.Task[T]:
        """Return a new task that runs the coroutine on this loop."""
        task = NumberedTask(cast("Coroutine[Any, Any, T]", coro), loop=self, name=name, context=context)
        current = asyncio.current_task(self)
        task.parent = None if current is None else ref(current)
        task.process = current_process.get() if context is None else context.get(current_process)
        self._tasks.add(task)
        self._pending.add(task)
        return task

    def run_in_executor(self, executor: Any, func: Callable[[*Ts], T], *args: *Ts) -> asyncio.Future[T]:
        """Run the function now, to its end, while the clock stands still: a thread would bring its own schedule."""
        future: asyncio.Future[T] = self.create_future()
        before, self.in_executor = self.in_executor, True
        try:
            with running(None):  # as in a thread
                future.set_result(func(*args))
        except Exception as error:
            future.set_exception(error)
        finally:
            self.in_executor = before
        return future

    async def create_connection(self, protocol_factory: Any, host: Any = None, port: Any = None, **_: Any) -> Any:
        """Open a connection into the simulated network. Raises OSError if there is no network."""
        if self.network is None:
            raise OSError(f"no network: this world has nothing at {host}:{port}")
        if self.is_outside((str(host), int(port or 0))):
            real = f"{host}:{port}, a real address that the scenario allows"
            self.escape(f"asyncio connected to {real}; only a blocking client can, for example in asyncio.to_thread")
        return await self.network.connect(protocol_factory, current_process.get(), host, port)

    async def create_unix_connection(self, protocol_factory: Any, path: Any = None, **_: Any) -> Any:
        """Open a connection into the simulated network. Raises OSError if there is no network."""
        return await self.create_connection(protocol_factory, path)

    # -- running ---------------------------------------------------------------------------------------------

    def run_until_complete(self, future: Awaitable[T]) -> T:
        """Run the world until the future is done, and return its result. Raises Deadlock if it never will be."""
        task: asyncio.Future[T] = asyncio.ensure_future(future, loop=self)
        self.run_while(lambda: not task.done())
        if not task.done():
            raise Deadlock(f"nothing is left to happen, and {task!r} is not done")
        return task.result()

    def run_while(self, wanted: Callable[[], bool], step: Callable[[], None] | None = None) -> None:
        """Run the world while `wanted()` and something is left to happen. Raises RuntimeError if it runs already.

        `step` does the next thing, and raises EmptySchedule if there is none; by default the heap decides.
        """
        if self._running:
            raise RuntimeError("this loop is already running")
        self._driver = Driver(wanted, step or self.env.step)
        hooks = sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(firstiter=self._keep, finalizer=_ignore)
        self._running = True
        try:
            with running(self), automatic_collection_off():
                self._driver.run()
        except EmptySchedule:
            return
        finally:
            self._running = False
            sys.set_asyncgen_hooks(*hooks)

    def is_running(self) -> bool:
        """Whether the world is turning."""
        return self._running

    def is_closed(self) -> bool:
        """Whether the loop was closed."""
        return self._closed

    def get_debug(self) -> bool:
        """Never in debug mode: asyncio's debugging reads the wall clock."""
        return False

    def unretrieved(self) -> list[Unretrieved]:
        """Return the exceptions of tasks and callbacks that no code has retrieved, in the order of time."""
        return unretrieved(self.failures, list(self._tasks))

    async def shutdown_asyncgens(self) -> None:
        """Do nothing: close() ends the remaining code."""

    def close(self) -> None:
        """End every task that is left, without letting any of them act on the world again."""
        if self._closed:
            return
        self._closed = True
        self.network = None
        # What ends now says nothing about the run. A library may keep the loop, which must not keep the whole world.
        self.on_escape, self.on_exit, self.on_block = _ignore, _reraise, _ignore
        left = [*self._driver.blocked(), *self._unfinished()]
        if self._driver.abandoned:
            for one in left:  # they may be what the abandoned callback was in the middle of
                keep_for_ever(one)
        else:
            end_all(left)
        self._driver = Driver(lambda: False, self.env.step)
        self._generators.clear()
        self._pending.clear()
        self.env._queue.clear()

    def _unfinished(self) -> list[Any]:
        """Return the coroutines that have not come to their end."""
        found: list[Any] = []
        for task in list(self._tasks):
            if not task.done():
                task._log_destroy_pending = False  # type: ignore[attr-defined]
                found.append(task.get_coro())
        for generator in self._generators:
            # Closing a coroutine that awaits a generator does not reach what that awaits.
            if (awaited := generator.ag_await) is not None and hasattr(awaited, "close"):
                found.append(awaited)
        return found


def _ignore(*_: object) -> None:
    """Do nothing. For a generator that is collected with its loop: not even its `finally` blocks run."""


def _reraise(process: Process | None, error: SystemExit) -> None:
    raise error
