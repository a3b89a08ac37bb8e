"""A type checker tells its users what the engine gives them, and refuses what it cannot take."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PROGRAM = """
from datetime import datetime
from uuid import UUID

from typing import Any

from pydantic import BaseModel

from ordering import CausalOrdering, Outcome, ReceivedEvent


class Order(BaseModel):
    id: UUID
    follows: UUID | None = None
    occurred: datetime
    received: datetime
    total: int


client: Any = None
orders = CausalOrdering("orders", redis=client, event_type=Order)
plain = CausalOrdering("plain", redis=client)


async def handle(event: Order, depth: int = 0) -> None:
    async with orders.preceding_event_confirmed(handle, event, depth):
        print(event.total)


async def report(event: Order, outcome: Outcome) -> None:
    print(event.total, outcome == "handled")


async def main(order: Order, received: ReceivedEvent) -> None:
    lost: list[Order] = await orders.get_lost_followers()
    outcomes: list[Outcome] = await orders.handle_batch(handle, lost)
    await orders.handle_stream(handle, [order], report)
    others: list[ReceivedEvent] = await plain.get_followers(received)
    print(outcomes, others)
    {line}
"""
WRONG = {
    "await orders.record_event_as_seen(received)": 'incompatible type "ReceivedEvent"; expected "Order"',
    "await orders.handle_batch(handle, [received])": 'expected "Order"',
    "await plain.handle_batch(handle, [received])": "Handler[ReceivedEvent]",
    'assert outcomes[0] == "done"': "Non-overlapping equality check",
}


def test_wrong_events_and_outcomes(tmp_path: Path) -> None:
    """Only wrong events and outcomes are errors."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM.replace("{line}", "\n    ".join(WRONG)))
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file", "pyproject.toml", str(program)]
    checked = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2], check=False)
    lines = program.read_text().splitlines()
    errors = [line for line in checked.stdout.splitlines() if "error:" in line]
    assert {lines[int(error.split(":")[1]) - 1].strip() for error in errors} == set(WRONG), checked.stdout
    for said in WRONG.values():
        assert any(said in error for error in errors), checked.stdout
