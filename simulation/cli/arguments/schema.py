"""The options of `causim schema`."""

from __future__ import annotations

from typing import Any


def register(commands: Any) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser(
        "schema",
        help="print the JSON schema of scenario files, for editors",
        description="Print the JSON schema of scenario files. An editor with taplo, such as VS Code with Even Better "
        "TOML, completes and checks a file whose first line names it: #:schema ./scenario.schema.json",
        epilog="example: causim schema > scenario.schema.json",
    )
    parser.set_defaults(execute="simulation.cli.schema:execute")
