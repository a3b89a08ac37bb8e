"""The methods of asyncio's loops beyond tasks and timers: answered where that is simple, else refused.

A refusal ends the run (see `escapes.py`), so that code which catches it and goes on is not judged for it.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn

from simulation.kernel.process import current_process

ExceptionHandler = Callable[[Any, dict[str, Any]], object]

_NO_SERVER = "nothing in the simulated network can connect to a consumer"
_NO_DESCRIPTOR = "there is no file descriptor and no selector in virtual time"
_NO_CHILD = "a child process would live in real time"
_WHY = {
    "create_server": _NO_SERVER,
    "create_unix_server": _NO_SERVER,
    "connect_accepted_socket": _NO_SERVER,
    "create_datagram_endpoint": "the simulated network carries connections only",
    "start_tls": "the simulated network is not encrypted; use redis:// instead of rediss://",
    "sendfile": _NO_DESCRIPTOR,
    "sock_accept": _NO_DESCRIPTOR,
    "sock_connect": _NO_DESCRIPTOR,
    "sock_recv": _NO_DESCRIPTOR,
    "sock_recv_into": _NO_DESCRIPTOR,
    "sock_recvfrom": _NO_DESCRIPTOR,
    "sock_recvfrom_into": _NO_DESCRIPTOR,
    "sock_sendall": _NO_DESCRIPTOR,
    "sock_sendto": _NO_DESCRIPTOR,
    "sock_sendfile": _NO_DESCRIPTOR,
    "add_reader": _NO_DESCRIPTOR,
    "remove_reader": _NO_DESCRIPTOR,
    "add_writer": _NO_DESCRIPTOR,
    "remove_writer": _NO_DESCRIPTOR,
    "connect_read_pipe": _NO_DESCRIPTOR,
    "connect_write_pipe": _NO_DESCRIPTOR,
    "subprocess_exec": _NO_CHILD,
    "subprocess_shell": _NO_CHILD,
    "run_forever": "the simulation runs the loop; let `main` return when the consumer is done",
    "stop": "the simulation runs the loop; let `main` return when the consumer is done",
    "set_default_executor": "executors run in place: a thread would bring a schedule of its own",
}
"""Methods of an asyncio loop that are not simulated, and why."""


def _refusing(name: str, why: str) -> Callable[..., NoReturn]:
    def refuse(self: LoopSurface, *_: object, **__: object) -> NoReturn:
        self.escape(f"loop.{name} was called, but {why}")

    refuse.__name__, refuse.__doc__ = name, f"Refuse: {why}."
    return refuse


def any_address(host: str) -> str:
    """Return the address of a host where every address leads to the same server."""
    return "10.0.0.1"


class LoopSurface:
    """The methods that libraries ask a loop for, beside those by which the world is run."""

    def __init__(self) -> None:
        self._exception_handlers: dict[Any, ExceptionHandler | None] = {}
        self.resolve: Callable[[str], str] = any_address
        """Returns the address of a host: the network's."""
        self.is_outside: Callable[[tuple[str, int]], bool] = lambda _: False
        """Whether an address is a real one, which the scenario allows blocking clients to connect to."""
        self.failures: list[dict[str, Any]] = []
        """Contexts of unhandled exceptions, as asyncio reports them, with the time as `at`."""

    @property
    def now(self) -> int:
        """Microseconds since the start of the run: the loop that this is a part of counts them."""
        raise NotImplementedError

    def get_task_factory(self) -> None:
        """Return None: tasks are made by the loop itself."""

    def set_task_factory(self, factory: Any) -> None:
        """Refuse everything but None: tasks are numbered by the loop, so that sets of them have an order."""
        if factory is not None:
            self.escape("loop.set_task_factory was called, but the order of tasks must be the loop's own")

    def escape(self, what: str, where: str = "") -> NoReturn:
        """End the run: the loop that this is a part of says how."""
        raise NotImplementedError(what)

    async def getaddrinfo(self, host: Any, port: Any, **_: Any) -> list[tuple[Any, ...]]:
        """Return the address of a host in the simulated network; if there is none, one that stands for all."""
        address = self.resolve(host.decode() if isinstance(host, bytes) else str(host))
        return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, int(port or 0)))]

    async def getnameinfo(self, sockaddr: Any, flags: int = 0) -> tuple[str, str]:
        """Return the address itself, as if no name were known for it."""
        return str(sockaddr[0]), str(sockaddr[1])

    def add_signal_handler(self, sig: int, callback: Callable[..., object], *args: Any) -> None:
        """Have the current process call back when it is asked to stop: a consumer's stop is a SIGTERM."""
        process = current_process.get()
        if process is not None:
            process.signals[int(sig)] = lambda: callback(*args)

    def remove_signal_handler(self, sig: int) -> bool:
        """Forget the current process's handler of a signal, and return whether there was one."""
        process = current_process.get()
        return process is not None and process.signals.pop(int(sig), None) is not None

    def set_exception_handler(self, handler: ExceptionHandler | None) -> None:
        """Call a handler for the current process's unhandled exceptions; they are also recorded."""
        self._exception_handlers[current_process.get()] = handler

    def get_exception_handler(self) -> ExceptionHandler | None:
        """Return the handler that the current process set."""
        return self._exception_handlers.get(current_process.get())

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Record an exception that no code handled, as asyncio would have logged it."""
        self.default_exception_handler(context)
        handler = self.get_exception_handler()
        if handler is not None:
            handler(self, context)

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        """Record an exception that no code handled, as asyncio would have logged it."""
        self.failures.append({**context, "at": self.now})

    def set_debug(self, enabled: bool) -> None:
        """Do nothing: asyncio's debugging reads the wall clock."""

    def shutdown_default_executor(self, timeout: float | None = None) -> Coroutine[Any, Any, None]:
        """Do nothing: there is no executor to shut down."""
        return _nothing()


async def _nothing() -> None:
    return None


for _name, _reason in _WHY.items():
    setattr(LoopSurface, _name, _refusing(_name, _reason))
