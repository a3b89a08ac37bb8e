"""`causim init`: write a scenario, an engine with a planted bug, a test and a step for CI, to start from."""

from __future__ import annotations

import sys
from pathlib import Path

import causim
from causim.written_files import write_whole
from simulation.cli import HOLDS, BadUsage
from simulation.cli.given import InitOptions

FILES = {
    "orders.toml": Path("scenarios/orders.toml"),
    "orders_engine.py": Path("orders_engine.py"),
    "test_orders.py": Path("tests/test_orders.py"),
    "causim.yml": Path(".github/workflows/causim.yml"),
}
"""The files of `causim/starter`, and where they go."""


def execute(given: InitOptions) -> int:
    """Write the files, and print the next commands. Raises BadUsage if one of them is there already."""
    starter = Path(causim.__file__).parent / "starter"
    there = [str(given.folder / place) for place in FILES.values() if (given.folder / place).exists()]
    if there:
        raise BadUsage(f"{', '.join(there)}: there already, and not overwritten; name another folder")
    for name, place in FILES.items():
        target = given.folder / place
        target.parent.mkdir(parents=True, exist_ok=True)
        write_whole(target, (starter / name).read_text(encoding="utf-8"))
        sys.stdout.write(f"wrote {target}\n")
    enter = "" if given.folder == Path() else f"cd {given.folder} && "
    sys.stdout.write(
        "the engine has a planted bug; find it, and see how it came about:\n"
        f"  {enter}causim run scenarios/orders.toml --engine orders_engine:OrdersEngine --seeds 100\n"
    )
    return HOLDS
