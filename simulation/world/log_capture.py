"""Reports of consumers about events, if a scenario asks whether losses are reported: warnings, and errors of the code.

A report is a log record of level warning or above that names the event, by its id in the message or as `event_id`, or
an error that names the event and leaves a consumer. In a run that is traced, all that the consumers' code logs is
recorded.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from simulation.history.history import History
from simulation.kernel.process import current_process
from simulation.scenario.workload import IDENTITY
from simulation.world.error_log import ErrorLog
from simulation.world.ledger import Ledger

RecordEntry = Callable[[str, str, Mapping[str, Any]], None]
"""Called with the kind of an entry, the consumer and the details."""

MAX_RECORDS = 1_000
"""Log records of a run that are kept: a loop that logs must not fill the history."""
_MAX_MESSAGE = 500


class _Listener(logging.Handler):
    """Writes down which events a record names."""

    def __init__(self, note: Callable[[str, str, str], None]) -> None:
        super().__init__(logging.WARNING)
        self._note = note

    def emit(self, record: logging.LogRecord) -> None:
        process = current_process.get()
        if process is None or not process.alive:
            return  # the world itself, or a consumer that is collected after its death
        error = record.exc_info[1] if record.exc_info else ""
        said = f"{_text(record)} {getattr(record, 'event_id', '')} {error}"
        self._note(said, process.name, record.levelname.lower())


class _Recorder(logging.Handler):
    """Records each log record of a living process: its level, its logger and its message."""

    def __init__(self, record_entry: RecordEntry) -> None:
        super().__init__()
        self._record_entry = record_entry
        self._count = 0

    def emit(self, record: logging.LogRecord) -> None:
        process = current_process.get()
        if process is None or not process.alive or self._count == MAX_RECORDS:
            return
        self._count += 1
        details = {"level": record.levelname.lower(), "logger": record.name, "message": _message(record)[:_MAX_MESSAGE]}
        self._record_entry("logged", process.name, details)


def _text(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (TypeError, ValueError):  # its arguments do not fit, which is the user's to see
        return str(record.msg)


def _message(record: logging.LogRecord) -> str:
    error = record.exc_info[1] if record.exc_info else None
    return f"{_text(record)} ({type(error).__name__}: {error})" if error is not None else _text(record)


@contextmanager
def logs_recorded(record_entry: RecordEntry | None) -> Iterator[None]:
    """Record the log messages of consumers that the levels of their loggers let through; nothing if it is None."""
    if record_entry is None:
        yield
        return
    with _added(_Recorder(record_entry)):
        yield


@contextmanager
def warnings_recorded(history: History, ledger: Ledger, errors: ErrorLog, now: Callable[[], int]) -> Iterator[None]:
    """Write down in a history, if its scenario is `loud`, the warnings of consumers. `now` is in microseconds.

    It listens to all loggers, also to those that hand nothing on, and while logging is switched off.
    """
    if not history.header.loud:
        yield
        return

    def note(said: str, consumer: str, level: str, event: str = "") -> None:
        known = ledger.names
        named = [name for name in map(ledger.name_of, IDENTITY.findall(said)) if name in known]
        for name in dict.fromkeys([event, *named] if event else named):
            history.append(now(), "warned", name, consumer, level=level)

    errors.on_each = lambda error, consumer, event: note(str(error), consumer, "error", event)
    disabled = logging.root.manager.disable
    logging.disable(logging.NOTSET)
    try:
        with _added(_Listener(note)):
            yield
    finally:
        logging.disable(disabled)


@contextmanager
def _added(handler: logging.Handler) -> Iterator[None]:
    """Add a handler to the root logger, and to all loggers that hand nothing on."""
    known = logging.root.manager.loggerDict.values()
    loggers = [logging.root, *(one for one in known if isinstance(one, logging.Logger) and not one.propagate)]
    for logger in loggers:
        logger.addHandler(handler)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeHandler(handler)
