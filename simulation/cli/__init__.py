"""The command line: `causim`, also `python -m causim`.

The options of each command are in `arguments/`. They name its function as "module:function", so that a command is
imported when it runs. Exit codes are pytest's: 0 holds, 1 violated, 2 interrupted, 3 an error of causim or of the
engine, 4 bad usage or a bad file, 5 nothing was exercised or the run did not come to its end. The exit code is 141 if
the reader of the output closed it, as `| head` does.
"""

from __future__ import annotations

import argparse
import logging
import os
import shutil
import signal
import sys
import traceback
import warnings
from collections.abc import Sequence
from importlib import import_module
from typing import Any, NoReturn

from causim.early_interrupt import leave_at_once
from causim.wrapping import broken
from simulation.cli.text import folded, write_lines, write_note
from simulation.kernel.prints import prints_kept_apart

HOLDS, VIOLATED, INTERRUPTED, INTERNAL, USAGE, UNKNOWN = range(6)
CLOSED_PIPE = 141
"""The exit code when the output is closed, as the shell has it for other tools: 128 and SIGPIPE."""
EXIT_CODES = {"holds": HOLDS, "violated": VIOLATED, "unknown": UNKNOWN}


_COMMANDS = (
    *("run", "opening", "replay", "shrink", "why", "compare", "diff", "crashes", "mutants", "check", "sweep"),
    *("importing", "export", "validate", "schema", "listing", "init", "completion"),
)
"""The modules in `arguments/` with the options of the commands, in the order in which `--help` lists them."""


class BadUsage(Exception):
    """The command line asks for something that does not make sense. The message names the fix."""


class _Parser(argparse.ArgumentParser):
    """A parser whose examples have a line each, or more that the shell takes as one: they are there to be copied."""

    def __init__(self, *, epilog: str | None = None, **options: Any) -> None:
        about, heading, examples = (epilog or "").rpartition("example: ")
        if not heading:
            about, heading, examples = (epilog or "").rpartition("examples: ")
        self._about = about if heading else examples
        self._examples = examples.strip().split("; ") if heading else []
        super().__init__(**options)

    def format_help(self) -> str:
        """Return the help, and below it the remarks, line by line, and the examples."""
        width = shutil.get_terminal_size().columns - 2  # as argparse has it
        about = [part for line in self._about.splitlines() for part in broken(line, width)]
        copied = [part for each in self._examples for part in folded(f"  {each}", width)]
        examples = [f"example{'s' * (len(self._examples) > 1)}:", *copied]
        return "\n".join([super().format_help(), *about, *(examples if self._examples else [])]) + "\n"

    def parse_known_args(self, *arguments: Any, **options: Any) -> tuple[Any, list[str]]:
        """Refuse what a command does not know with the usage of the command, where argparse shows that of `causim`."""
        known, others = super().parse_known_args(*arguments, **options)
        if others and " " in self.prog:
            self.error(f"unrecognized arguments: {' '.join(others)}")
        return known, others

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        write_lines(f"{self.prog}: error: {message}", sys.stderr)
        self.exit(USAGE)


def parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    top = _Parser(
        prog="causim",
        description="Verify causal event ordering on Redis: run scenarios in virtual time, judge what happened.",
        epilog="exit codes: 0 holds, 1 violated, 2 interrupted, 3 an error of causim or of the engine, or code that "
        "cannot be simulated, 4 bad usage or file, 5 unknown, 141 output closed",
    )
    top.add_argument("--version", action=_Version, nargs=0, help="show what runs here, with versions, and exit")
    top.add_argument("--logs", action="store_true", help="show what engines log, where a run is made in this process")
    commands = top.add_subparsers(title="commands", dest="command", metavar="COMMAND")
    for name in _COMMANDS:
        import_module(f"simulation.cli.arguments.{name}").register(commands)
    return top


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        for line in _function("simulation.cli.versions:lines")():
            print(line)  # noqa: T201  # this is what was asked for
        parser.exit(HOLDS)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    options = parser()
    if arguments is None:
        warnings.showwarning = _show_warning  # the rest of a warning is not for users
        if "_ARGCOMPLETE" in os.environ:  # a shell asks what may come next
            _function("simulation.cli.completion:complete")(options)
    try:
        code = _execute(options, arguments)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        write_note("interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        _discard_output()
        return CLOSED_PIPE
    except Exception as error:
        try:
            sys.stdout.flush()
        except OSError:  # what cannot be written now cannot be written at the end
            _discard_output()
        return _failed(error)


class _VirtualTimes(logging.Formatter):
    """Puts the time in the run and the process before a log record of code under test."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the text of a record."""
        # only a run has them, and a run has imported both
        from asyncio import get_running_loop

        from simulation.kernel.process import current_process

        text, process = super().format(record), current_process.get()
        if process is None:
            return text
        return f"{get_running_loop().time():.6f} s  {process.name}  {record.levelname} {record.name}: {text}"


def _discard_output() -> None:
    """Send buffered output to the null device: Python would try to write it, and end with an exit code of its own."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _execute(options: argparse.ArgumentParser, arguments: Sequence[str] | None) -> int:
    given = options.parse_args(arguments)
    if given.command is None:
        options.print_help()
        return USAGE
    if not given.logs:  # what an engine logs is part of the world that it is in: the history has more
        logging.lastResort = logging.NullHandler()
    elif logging.lastResort is not None:
        logging.lastResort.setFormatter(_VirtualTimes())
    execute = _function(given.execute)
    if signal.getsignal(signal.SIGINT) is leave_at_once:  # from here on there is something to keep
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # it takes a while to import, and a shell that asks for completions needs none of it
    from simulation.cli.given import given_by

    with prints_kept_apart():
        code: int = execute(given_by(given))
    return code


def _function(place: str) -> Any:
    """Import a function, named as "module:function"."""
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)


def _failed(error: Exception) -> int:
    """Print an error, and return the exit code for its source: the input, the surroundings, or causim itself."""
    # the errors of input come from all over the house, and most commands need no other of its modules
    from simulation.cli.errors import is_bad_input, is_complete, message_of

    if is_bad_input(error):
        write_note(f"error: {message_of(error)}")
        return USAGE
    if is_complete(error):
        write_note(f"error: {error}")
        return INTERNAL
    return _internal(error)


def _internal(error: Exception) -> int:
    traceback.print_exception(error)
    write_note(
        "this is a bug in causim or in the engine under test; if it is causim's, please report it "
        "with the lines above, the scenario file, the seed and the output of `causim --version`"
    )
    return INTERNAL


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    write_note(f"warning: {message}")
