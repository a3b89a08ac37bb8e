"""The options of `causim completion`."""

from __future__ import annotations

from typing import Any

SHELLS = ("bash", "zsh", "fish")


def register(commands: Any) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser(
        "completion",
        help="print what a shell needs to complete causim's words",
        description="Print what a shell needs to complete commands, options, scenarios, engines and faults. A line in "
        'the shell\'s start-up file turns it on: eval "$(causim completion bash)", the same for zsh '
        "(after compinit), or causim completion fish | source. It needs causim[completion].",
        epilog="example: causim completion bash > causim-completion.bash",
    )
    parser.add_argument("shell", choices=SHELLS, help="the shell")
    parser.set_defaults(execute="simulation.cli.completion:execute")
