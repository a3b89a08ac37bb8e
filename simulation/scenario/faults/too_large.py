"""An event that is larger than Redis takes: a request with it is refused, and its connection closed."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from simulation.scenario.faults.workload import PublicationFault, with_payload
from simulation.scenario.workload import Publication

FILLING = "x"
"""What the payload is filled with."""
LEAST = 1_048_576
"""The least limit that a server can be given: an engine need not expect that a smaller request is refused."""


class TooLarge(PublicationFault):
    """The payload of an event is larger than Redis takes, as with `proto-max-bulk-len` or a limit of its provider.

    The server closes a connection on which it would have to read such a word, and executes nothing of what was sent
    with it. This is noted for each packet, besides the publication. When the world heals, the server takes the event.
    """

    kind: Literal["too-large"] = "too-large"
    example: ClassVar[str] = """\
name = "fault-too-large"
description = "The server takes no request with the event x, which ends as a dead letter; no other event suffers."

[workload]
events = [
  { name = "x", follows = "a" },
  { name = "b", follows = "a" },
  { name = "a", at = "1s" },
]

[consumers]
count = 2

[[faults]]
kind = "too-large"
event = "x"

[judge]
require_coverage = ["too-large"]

[expect]
native = "holds"
"""
    size: int = Field(LEAST, ge=LEAST, le=16_777_216, description="how many bytes its payload has more")

    @classmethod
    def recipe(cls, tools: Any) -> Any:
        """Return a strategy for its keys."""
        return tools.events

    def change(self, publication: Publication, first: Publication) -> Publication | None:
        """Return the event as it is published."""
        return with_payload(publication, {"text": FILLING * self.size})

    def exceeds(self, word: bytes) -> bool:
        """Return whether the server refuses a request because of a word in it."""
        return len(word) >= self.size and FILLING.encode() * self.size in word
