"""The options of `causim mutants`."""

from __future__ import annotations

from typing import Any

from causim.counts import count
from simulation.cli.options import add_store_options


def register(commands: Any) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser(
        "mutants",
        help="run engines with a planted fault, which the judge must convict",
        description="Run copies of the engine with one planted fault each. Every one must be convicted by a "
        "right invariant within its budget of seeds, and the engine without the fault must not. "
        "Exit code 1 if a mutant survived. One mutant alone: causim run SCENARIO --engine mutant:NAME.",
        epilog="examples: causim list mutants; causim mutants say-parked",
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="the mutants to run (default: all)")
    parser.add_argument("--seeds", type=count, metavar="N", help="the budget of each (default: its own)")
    add_store_options(parser.add_argument_group("Redis"))
    parser.set_defaults(execute="simulation.cli.mutants:execute")
